"""The check that a site loads nothing from elsewhere finds what does."""

import runpy

import pytest
from pages import ROOT

elsewhere = runpy.run_path(str(ROOT / "ci/runner/loads.py"))["elsewhere"]
OTHER = "https://other.example/x"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", f'<script src="{OTHER}"></script>'),
        ("a.html", f'<link rel="stylesheet" href="{OTHER}">'),
        ("a.html", f'<link rel="preload icon" href="{OTHER}">'),
        ("a.html", f'<img alt="" src="{OTHER}">'),
        ("a.html", f'<img srcset="own.png 1x, {OTHER} 2x">'),
        ("a.html", f'<p style="background: url({OTHER})">'),
        ("a.html", f"<style>@font-face {{ src: url('{OTHER}') }}</style>"),
        ("a.svg", f'<svg><image href="{OTHER}"/></svg>'),
        ("a.css", f'@import "{OTHER}";'),
        ("a.css", f"body {{ background: url( {OTHER} ) }}"),
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(name, text):
    assert elsewhere(name, text) == [OTHER]
    assert elsewhere(name, text.replace("https:", "")) == ["//other.example/x"]
    assert elsewhere(name, text.replace(OTHER, "../own/x")) == []


def test_a_link_is_not_loaded():
    page = f'<a href="{OTHER}">there</a><link rel="canonical" href="{OTHER}"><style></style>url({OTHER})'
    assert elsewhere("a.html", page) == []

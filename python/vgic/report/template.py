"""Filling in a page: one HTML file that needs nothing else."""

from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from vgic.links import html
from vgic.text import many, rate_text, ratio_text, time_text

__all__ = ["NARROW", "WIDE", "fill"]

#: Widths of pictures, in pixels: for a page as wide as it gets, and for one on a telephone.
WIDE, NARROW = 950, 372


def fill(name: str, **values: Any) -> str:
    """The page of a template of this package, ``name``.html.j2, with the style that all pages have."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(linked=html, rate=rate_text, ratio=ratio_text, time=time_text, many=many)
    folder = resources.files("vgic.report")
    style = Markup((folder / "style.css").read_text(encoding="utf-8").strip())
    template = (folder / f"{name}.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(style=style, **values)

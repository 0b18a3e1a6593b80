"""Where what a text refers to can be read: CVEs, commits, postings, the architecture, the kernel's documentation.

``links.toml`` says what such a reference looks like, and where it leads. Reports, the terminal and the documentation
take their links from here, so no text has an address in it.
"""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from markupsafe import Markup, escape

__all__ = ["Link", "find_links", "html"]


class Link(NamedTuple):
    """A reference in a text."""

    start: int
    end: int
    text: str
    url: str


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    raw = tomllib.loads(files("vgic").joinpath("links.toml").read_text(encoding="utf-8"))
    return tuple((re.compile(entry["pattern"]), entry["url"]) for entry in raw["link"])


def find_links(text: str) -> list[Link]:
    """The references of a text, in order; none runs into another."""
    found = sorted(_all(text))
    return [link for at, link in enumerate(found) if at == 0 or link.start >= found[at - 1].end]


def _all(text: str) -> Iterator[Link]:
    for pattern, url in _patterns():
        for match in pattern.finditer(text):
            number = int(match[1]) + 1 if "{next}" in url else 0
            yield Link(*match.span(), match[0], url.format(match[0], *match.groups(), next=number))


def html(text: str) -> Markup:
    """A text as HTML, each reference a link."""
    parts, at = [], 0
    for link in find_links(text):
        parts += [escape(text[at : link.start]), Markup('<a href="{}">{}</a>').format(link.url, link.text)]
        at = link.end
    return Markup("").join([*parts, escape(text[at:])])

"""Links in a terminal: an escape sequence (OSC 8) that some terminals show as garbage; only where it is understood."""

import os
from collections.abc import Mapping

from rich.console import Console
from rich.style import Style
from rich.text import Text

from vgic.links import find_links

#: ``TERM_PROGRAM`` and ``TERM`` of terminals that know links.
_PROGRAMS = ("Hyper", "WezTerm", "ghostty", "iTerm.app", "mintty", "rio", "vscode")
_TERMINALS = ("alacritty", "contour", "foot", "foot-extra", "xterm-ghostty", "xterm-kitty")


def linked(out: Console, text: str, style: str = "") -> Text:
    """A text whose references are links, if ``out`` is a terminal that knows links. It is not markup."""
    made = Text(text, style)
    if out.is_terminal and knows_links(os.environ):
        for link in find_links(text):
            made.stylize(Style(link=link.url), link.start, link.end)
    return made


def knows_links(environment: Mapping[str, str]) -> bool:
    """Whether a terminal says that it knows links; ``FORCE_HYPERLINK`` decides for one that does not say."""
    forced = environment.get("FORCE_HYPERLINK")
    if forced is not None:
        return forced not in ("", "0")
    if environment.get("TERM", "").startswith(("dumb", "screen", "tmux")):
        return False
    return (
        environment.get("TERM_PROGRAM") in _PROGRAMS
        or environment.get("TERM") in _TERMINALS
        or "WT_SESSION" in environment
        or _at_least(environment.get("VTE_VERSION"), 5000)
        or _at_least(environment.get("KONSOLE_VERSION"), 201200)
    )


def _at_least(version: str | None, least: int) -> bool:
    return version is not None and version.isdigit() and int(version) >= least

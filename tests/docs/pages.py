"""The pages of the documentation: their code blocks, commands and links."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import typer.main

from vgic.cli import app

ROOT = Path(__file__).resolve().parent.parent.parent

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_QUICK = re.compile(r"<!-- quick(?:: (\d+))? -->\s*$")
_LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str
    line: int
    #: Exit status that its commands have, if it is marked as quick enough to be run.
    status: int | None


def pages() -> list[str]:
    """Every page, by its path in the repository."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[Block]:
    """The blocks of one language."""
    text = read(page)
    found = []
    for match in _FENCE.finditer(text):
        if match["language"] == language:
            quick = _QUICK.search(text[: match.start()])
            status = int(quick[1] or 0) if quick else None
            line = text.count("\n", 0, match.start()) + 2
            found.append(Block(language, textwrap.dedent(match["body"]), line, status))
    return found


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Commands of a console block, each with the output that is shown; ``...`` stands for lines that are not."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif line and line.strip() != "..." and found:
            found[-1][1].append(line)
    return found


def parse(arguments: list[str]) -> dict[str, object]:
    """The values of a command line of vgic, which is not run; none for one that only asks for help."""
    group = typer.main.get_command(app)
    if not arguments or arguments[0].startswith("-") or {"-h", "--help"} & set(arguments):
        return {}
    return group.get_command(None, arguments[0]).make_context(arguments[0], arguments[1:]).params


def links(page: str) -> list[str]:
    """Targets of links, those in code left out."""
    text = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", read(page)))
    return _LINK.findall(text)


def anchors(text: str) -> set[str]:
    """Names that a page's headings can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

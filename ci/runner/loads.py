"""Says what the pages and style sheets of a folder load from elsewhere; exit status 1 if anything.

Links that a reader may follow lead anywhere. What a browser fetches by itself has to be there.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_ELSEWHERE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_CSS = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""")
#: Kinds of <link> that fetch nothing.
_RELATIONS = {"alternate", "author", "canonical", "help", "license", "next", "prev", "search"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.loads += _CSS.findall(values.get("style", ""))
        self.loads += [part.split()[0] for part in values.get("srcset", "").split(",") if part.strip()]
        self.loads += [values[name] for name in ("src", "data", "poster") if name in values]
        if tag == "link" and not _RELATIONS & set(values.get("rel", "").split()):
            self.loads.append(values.get("href", ""))
        if tag in ("use", "image"):
            self.loads += [values[name] for name in ("href", "xlink:href") if name in values]

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.loads += _CSS.findall(data)


def elsewhere(name: str, text: str) -> list[str]:
    """What a page, picture or style sheet loads from elsewhere."""
    if name.endswith(".css"):
        loads = _CSS.findall(text)
    else:
        page = _Page()
        page.feed(text)
        loads = page.loads
    return [one for one in loads if _ELSEWHERE.match(one)]


def found(folder: Path) -> Iterator[str]:
    """A line for each."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".svg", ".css"):
            for one in elsewhere(path.name, path.read_text(encoding="utf-8")):
                yield f"{path}: loads {one}"


if __name__ == "__main__":
    lines = list(found(Path(sys.argv[1])))
    print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr)
    sys.exit(1 if lines else 0)

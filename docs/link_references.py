"""Makes a link of each CVE, commit, posting and manual that README.md and the pages of ``docs/`` name.

``link_references.py`` rewrites the pages. ``link_references.py --check`` writes nothing; it says which pages have a
name that is no link and exits with status 1 if one has. What is a reference, and where it leads, is said by
``vgic.links``; code, headings and existing links stay as they are. A reference becomes ``[CVE-2024-26598]``, and the
addresses stand at the end of its page.
"""

import re
import sys
from pathlib import Path

from vgic.links import find_links

ROOT = Path(__file__).resolve().parent.parent
MARK = "<!-- Addresses of references: made by docs/link_references.py. -->\n"

#: What is not touched: blocks of code, comments, headings, code, links and addresses, and references that are links.
_KEPT = re.compile(
    r"^(?P<fence> *```).*?^ *```$|<!--.*?-->|^#.*?$|`[^`\n]*`|!?\[[^\]]*\]\([^)]*\)|https?://\S+|(?P<link>\[[^\]\[]*\])",
    re.MULTILINE | re.DOTALL,
)


def linked(text: str) -> str:
    """A page whose references are links, with their addresses at its end. The same once more changes nothing."""
    body = text.split(MARK, 1)[0].rstrip("\n") + "\n"
    addresses: dict[str, str] = {}
    parts, at = [], 0
    for kept in _KEPT.finditer(body):
        parts += [_link(body[at : kept.start()], addresses), kept[0]]
        if kept["link"]:
            _note(kept[0][1:-1], addresses)
        at = kept.end()
    parts.append(_link(body[at:], addresses))
    if not addresses:
        return body
    return "".join(parts) + "\n" + MARK + "\n" + "".join(f"[{name}]: {url}\n" for name, url in addresses.items())


def _link(text: str, addresses: dict[str, str]) -> str:
    parts, at = [], 0
    for link in find_links(text):
        parts += [text[at : link.start], f"[{link.text}]"]
        addresses.setdefault(" ".join(link.text.split()), link.url)
        at = link.end
    return "".join([*parts, text[at:]])


def _note(name: str, addresses: dict[str, str]) -> None:
    """Keep the address of what is a link already."""
    found = find_links(name)
    if len(found) == 1 and found[0].text == name:
        addresses.setdefault(" ".join(name.split()), found[0].url)


def pages() -> list[Path]:
    """README.md and every page of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main(arguments: list[str]) -> int:
    """Rewrite or check the pages; the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: link_references.py [--check]", file=sys.stderr)
        return 2
    changed = [page for page in pages() if linked(page.read_text(encoding="utf-8")) != page.read_text(encoding="utf-8")]
    for page in changed:
        if arguments:
            name = page.relative_to(ROOT)
            print(f"{name} names what is no link: run .venv/bin/python docs/link_references.py", file=sys.stderr)
        else:
            page.write_text(linked(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 1 if arguments and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

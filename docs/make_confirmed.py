"""Write what ``vgic confirm --json`` found on some kernels into ``docs/explain/confirmed.md``.

``make_confirmed.py FILE...``: one file for each kernel, in the order of the columns.
"""

import json
import sys
from pathlib import Path
from typing import Any

from make_defects import put

PAGE = Path(__file__).resolve().parent / "explain" / "confirmed.md"


def table(kernels: list[dict[str, Any]]) -> str:
    """Defects by kernels, and where threads were held, which differs between kernels."""
    found = [{row["defect"]: row for row in kernel["confirmations"]} for kernel in kernels]
    releases = [f"`{kernel['release']}`" for kernel in kernels]
    rows = [f"| defect | scenario | {' | '.join(releases)} |", "|---|---|" + "---|" * len(kernels)]
    for name, row in found[0].items():
        cells = [_cell(of_kernel[name]) for of_kernel in found]
        rows.append(f"| {name} | `{row['scenario']}` | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _cell(row: dict[str, Any]) -> str:
    places = [text.rsplit("held at ", 1)[1] for text in row["held"]]
    return row["verdict"] + "".join(f", held at `{place}`" for place in places)


def main(paths: list[str]) -> None:
    """Put the table into the page."""
    put(PAGE, "output of vgic confirm", table([json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]))


if __name__ == "__main__":
    main(sys.argv[1:])

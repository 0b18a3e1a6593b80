"""Write what ``vgic confirm --json`` found on some kernels into ``docs/explain/confirmed.md``.

``make_confirmed.py FILE...``: one file for each kernel, in the order of the columns. What ``--report`` wrote beside it,
``FILE`` with ``.txt`` for ``.json``, becomes the page's evidence.
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
    releases = [f"[`{kernel['release']}`]({_evidence(kernel).relative_to(PAGE.parent)})" for kernel in kernels]
    rows = [f"| defect | scenario | {' | '.join(releases)} |", "|---|---|" + "---|" * len(kernels)]
    for name, row in found[0].items():
        cells = [_cell(of_kernel[name]) for of_kernel in found]
        rows.append(f"| {name} | `{row['scenario']}` | {' | '.join(cells)} |")
    seconds = [sorted(row["seconds"] for row in of_kernel.values()) for of_kernel in found]
    middle = ", ".join(f"{of_kernel[len(of_kernel) // 2]:.1f}" for of_kernel in seconds)
    return "\n".join(rows) + f"\n\nSeconds for a story and its control, the middle of each column: {middle}.\n"


def _cell(row: dict[str, Any]) -> str:
    if row["verdict"] == "not possible here":
        return f"not possible: {row['why']}"
    places = [text.rsplit("; held ", 1)[1] for text in row["held"] if "; held " in text]
    shown = [f"at `{place.removeprefix('at ')}`" if place.startswith("at ") else place for place in places]
    verdict = f"refuted at {row['differs']}" if row["differs"] else row["verdict"]
    points = f", the same state at {row['compared']}" if row["compared"] else ", not compared"
    return verdict + "".join(f", held {place}" for place in shown) + points


def _evidence(kernel: dict[str, Any]) -> Path:
    return PAGE.parent / "confirmed" / f"{kernel['release']}.txt"


def main(paths: list[str]) -> None:
    """Put the table into the page, and the reports beside it."""
    kernels = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    for path, kernel in zip(paths, kernels, strict=True):
        _evidence(kernel).parent.mkdir(exist_ok=True)
        _evidence(kernel).write_text(Path(path).with_suffix(".txt").read_text(encoding="utf-8"), encoding="utf-8")
    put(PAGE, "output of vgic confirm", table(kernels))


if __name__ == "__main__":
    main(sys.argv[1:])

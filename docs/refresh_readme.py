"""Runs ``vgic compare`` once, and puts what it printed and its chart into README.md and ``docs/images/compare.svg``.

For a release, on a quiet machine: ``.venv/bin/python docs/refresh_readme.py``. Takes about a minute.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from vgic import ResultFile
from vgic.report import bar_chart

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- output of make run -->", "<!-- end of output of make run -->"


def main() -> int:
    """Measure and write; the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [sys.executable, "-m", "vgic", "compare", "--output", folder],
            env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=True,
        )
        results = ResultFile.from_json((Path(folder) / "result.json").read_text(encoding="utf-8"))
    printed = "\n".join(line.rstrip() for line in run.stdout.replace(f"{folder}/", "").strip().splitlines())
    readme = ROOT / "README.md"
    block = f"{BEGIN}\n```text\n{printed}\n```\n{END}"
    text, count = re.subn(f"{BEGIN}.*?{END}", lambda _: block, readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    if count != 1:
        print(f"README.md: {BEGIN} ... {END} is there {count} times", file=sys.stderr)
        return 1
    readme.write_text(text, encoding="utf-8")
    (ROOT / "docs" / "images" / "compare.svg").write_text(bar_chart(results) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

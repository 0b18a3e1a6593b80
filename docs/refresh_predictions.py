"""Runs the predictions that the documentation shows, and puts what they print or draw where it stands.

``refresh_predictions.py`` writes the pages and ``docs/images/scale.svg``. With ``--check`` it writes nothing, and exits
with status 1 if a page or the picture shows something else. A prediction is the same on every computer, so only a
change of the engine, of a machine or of the output makes a difference. A page marks such a block:

    <!-- output of vgic predict -->
    (a block of language ``console``: commands after ``$``, each with all that it prints)
    <!-- end of output of vgic predict -->
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "scale.svg"
BEGIN, END = "<!-- output of vgic predict -->", "<!-- end of output of vgic predict -->"
_BLOCK = re.compile(f"(?<={BEGIN}\n```console\n).*?(?=^```\n{END}$)", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ (?:.*\\\n)*.*\n", re.MULTILINE)


def marked_blocks(text: str) -> list[str]:
    """What stands in the marked blocks of a page."""
    found = _BLOCK.findall(text)
    if len(found) != text.count(BEGIN + "\n") or len(found) != text.count(END):
        raise ValueError(f"a block between {BEGIN} and {END} is not one of language console")
    return found


def commands_of(block: str) -> list[str]:
    """The command lines of a block, as they stand there."""
    return _COMMAND.findall(block)


def output_of(command: str) -> str:
    """What a command line prints where no terminal is: notes and results, without a progress bar."""
    words = shlex.split(command.removeprefix("$ ").replace("\\\n", " "))
    if words[0] != "vgic":
        raise ValueError(f"{command.strip()}: only vgic can be run")
    plain = {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "vgic", *words[1:]],
        env={name: value for name, value in os.environ.items() if name != "FORCE_COLOR"} | plain,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=True,
    )
    return run.stdout


def refreshed(block: str) -> str:
    """The block as it has to be."""
    return "".join(command + output_of(command) for command in commands_of(block))


def scale_picture() -> str:
    """The chart of ``vgic scale``, in this process, as a file."""
    from vgic.predict import scale
    from vgic.report.scale_page import rates_chart

    return rates_chart(scale()) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check the pages; the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: refresh_predictions.py [--check]", file=sys.stderr)
        return 2
    wanted = {PICTURE: scale_picture()}
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        text = page.read_text(encoding="utf-8")
        for block in marked_blocks(text):
            text = text.replace(block, refreshed(block))
        wanted[page] = text
    status = 0
    for path, text in wanted.items():
        if path.exists() and text == path.read_text(encoding="utf-8"):
            continue
        if arguments:
            print(f"{path.relative_to(ROOT)} is out of date: run docs/refresh_predictions.py", file=sys.stderr)
            status = 1
        else:
            path.write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Opens a page in a headless Chromium, and tells what a reader would see."""

import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: What browsers of the kind are called.
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")

#: Shows the page in a frame of the wanted width: a window of a desktop cannot be as narrow as a telephone.
_FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" src="{page}" style="border:0;width:{width}px;height:2000px"></iframe><pre id="told"></pre>
<script>
addEventListener("load", () => {{
  const page = document.getElementById("page").contentDocument
  const root = page.documentElement
  const out = [...page.querySelectorAll("svg text")].filter(one => one.getClientRects().length)
  const text = out.map(one => one.getBoundingClientRect()).map(box => [box.left, box.right])
  const sizes = out.map(one => parseFloat(getComputedStyle(one).fontSize) * one.getScreenCTM().a)
  document.getElementById("told").textContent = JSON.stringify({{
    width: root.clientWidth, scrolls: Math.max(root.scrollWidth, page.body.scrollWidth), text: page.body.innerText,
    left: Math.min(0, ...text.map(one => one[0])), right: Math.max(0, ...text.map(one => one[1])),
    smallest: sizes.length ? Math.min(...sizes) : null,
  }})
}})
</script>"""


@dataclass(frozen=True)
class Seen:
    """A page as it is shown."""

    #: Pixels that are there, and pixels that the page needs: more than are there is sideways scrolling.
    width: int
    scrolls: int
    #: All that can be read.
    text: str
    #: Where the labels of pictures begin and end, in pixels, and the size of the smallest letters in them.
    left: float
    right: float
    smallest: float | None
    #: What the page has written to the console, errors among it.
    console: list[str]


def find_browser() -> str | None:
    """The browser's path, if one is installed. ``CHROMIUM`` names another one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def look(browser: str, page: Path, width: int, folder: Path) -> Seen:
    """Open ``page`` as wide as ``width`` pixels; ``folder`` is for files of the browser's."""
    frame = folder / f"frame-{width}.html"
    frame.write_text(_FRAME.format(page=page.absolute().as_uri(), width=width), encoding="utf-8")
    done = subprocess.run(
        [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={max(width, 600)},2000",
            "--virtual-time-budget=20000",
            "--dump-dom",
            frame.absolute().as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    (told,) = re.findall(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    console = re.findall(r"CONSOLE\S*\] (.*)", done.stderr)
    return Seen(**json.loads(html.unescape(told)), console=console)

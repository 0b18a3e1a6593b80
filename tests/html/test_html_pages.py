"""Every page that the package writes, opened by a browser: at a telephone's width and at a desk's."""

import json
import re

import pytest

import vgic
from browser import NAMES, find_browser, look
from qemu_logs import Guest, log
from vgic.text import rate_text

WIDTHS = (420, 1280)


@pytest.fixture(scope="module")
def browser():
    found = find_browser()
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Name -> the page, and the result file that it shows."""
    folder = tmp_path_factory.mktemp("pages")
    told = Guest()
    told.boot()
    for event in (0, 1):
        told.msi(event)
        told.take(event, 0x2000 + event)
    (folder / "a guest with a long name.log").write_text(log(told.events))
    from vgic.cli import main

    def run(name, *arguments):
        assert main([*arguments]) in (0, 1)
        return name

    designs = "v6.8-rc1,patch-15,v6.10,v7.1.8"
    run("compare", "compare", "--quick", "--design", designs, "--output", str(folder))
    few = ("-v", "2", "-d", "2", "-i", "20")
    for name, arguments in {
        "predict": ("predict", "--design", f"{designs},gicv4", *few),
        "masked": ("predict", "--design", designs, "--guest", "as-published", "--entry", "irqfd", *few),
        "closed": ("predict", "--closed", "each", "--queues", "2", "-v", "2", "--requests", "200", "--design", designs),
        "alone": ("predict", "--design", "v6.10", *few),
        "scale": ("scale", "--cores", "1..8", "--sends", "600", "--design", designs),
    }.items():
        run(name, *arguments, "--report", str(folder / f"{name}.html"), "--json", str(folder / f"{name}.json"))
    recorded = folder / "recorded"
    log_file = str(folder / "a guest with a long name.log")
    run("recorded", "compare", "--quick", "--recording", log_file, "--design", "v6.10", "--output", str(recorded))
    (folder / "report.html").rename(folder / "compare.html")
    (folder / "result.json").rename(folder / "compare.json")
    (recorded / "report.html").rename(folder / "recorded.html")
    (recorded / "result.json").rename(folder / "recorded.json")
    return folder


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["compare", "recorded", "predict", "masked", "closed", "alone", "scale"])
def test_a_page_is_readable_and_shows_what_the_json_says(browser, pages, tmp_path, name, width):
    seen = look(browser, pages / f"{name}.html", width, tmp_path)
    assert seen.console == []
    assert seen.width == width
    assert seen.scrolls <= width, "it scrolls sideways"
    # Labels of pictures: none is cut, none too small to be read.
    assert seen.left >= 0
    assert seen.right <= width
    assert seen.smallest is None or seen.smallest >= 9.5
    data = json.loads((pages / f"{name}.json").read_text())
    assert isinstance(vgic.ResultFile.from_json(json.dumps(data)), vgic.ResultFile)
    text = " ".join(seen.text.split())
    for result in data["results"]:
        assert result["design"] in text
        assert rate_text(result["rate"]) in text, result
        if result["ratio"] is not None:
            assert re.search(rf"\b{re.escape(_ratio(result['ratio']))}", text), result
    for row in data["recorded"]:
        assert f"{row['design']} {row['acknowledges']} {row['in_order']}" in text


def _ratio(ratio):
    digits = 0 if ratio >= 100 else 1 if ratio >= 10 else 2 if ratio >= 0.1 else 4
    return f"{ratio:.{digits}f}"


def test_what_is_wrong_is_seen(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><body><div style='width:900px'>wide</div><script>console.error('oh');nothing()</script>"
        "<svg viewBox='0 0 920 100' width=400><text x=880 font-size=12>cut</text></svg>"
    )
    seen = look(browser, page, 420, tmp_path)
    assert seen.scrolls > 420
    assert len(seen.console) == 2
    assert seen.smallest < 9.5

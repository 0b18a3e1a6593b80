"""``vgic recording``: what is in a recorded guest; its stretches, also in ``replay``; where it is read from."""

import bz2
import gzip
import json
import lzma
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from qemu_logs import Guest, log
from vgic.trace.packed import zstd


@pytest.fixture
def text():
    told = Guest()
    told.boot()
    for event in (0, 1, 0, 0):
        told.msi(event)
        told.take(event, 0x2000 + event)
    return log(told.events).encode()


def test_what_is_in_the_bundled_guest(vgic_command):
    done = vgic_command("recording", "virtio-4cpu")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "virtio-4cpu: 4 vCPUs, 4 devices, 178 ITS commands, 5296 MSIs, 5296 LPIs acknowledged in 11.2 s"
    )
    assert lines[1].startswith("472 MSIs/s; 0 merged with one that was pending; 14 MOVIs, 0 of pending LPIs; gaps p10,")
    for head in ("MSIs", "vCPU 0 takes", "MOVIs", "phase", "vector", "vCPU"):
        assert any(line.startswith(head) for line in lines), head
    assert max(map(len, lines[2:])) <= 80


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd.compress], ids=lambda f: f.__module__
)
def test_a_file_may_be_compressed_and_may_come_from_standard_input(vgic_command, tmp_path, text, compress):
    path = tmp_path / "guest.log"
    path.write_bytes(compress(text))
    done = vgic_command("recording", str(path), "--json", "-")
    data = json.loads(done.stdout)
    assert (data["recording"], data["msis"], data["taken"], data["merged"]) == ("guest", 4, 4, 0)
    assert done.stderr.startswith("guest: 2 vCPUs, 1 device, ")
    program = "import sys, vgic.cli; sys.exit(vgic.cli.main())"
    command = [sys.executable, "-c", program, "recording", "-", "--json", "-"]
    piped = subprocess.run(command, input=compress(text), capture_output=True, check=True, timeout=100)
    assert json.loads(piped.stdout) == data | {"recording": "standard input"}


def test_what_standard_input_has_that_is_no_recording_is_one_line():
    program = "import sys, vgic.cli; sys.exit(vgic.cli.main())"
    for data, message in (
        (b"", "the file is empty"),
        (b"hello\n", "no gicv3_its line"),
        (b"\x1f\x8b\x08", "truncated"),
    ):
        command = [sys.executable, "-c", program, "recording", "-"]
        done = subprocess.run(command, input=data, capture_output=True, timeout=100)
        assert done.returncode == 2
        assert done.stderr.decode().startswith(f"vgic: error: standard input: {message}")
        assert done.stderr.count(b"\n") == 1


def test_a_stretch_is_told_and_replayed(vgic_command):
    done = vgic_command("recording", "virtio-4cpu", "--from", "6", "--to", "7.5", "--json", "-")
    data = json.loads(done.stdout)
    assert data["recording"] == "virtio-4cpu from 6 s to 7.5 s"
    assert (data["begin"], round(data["seconds"], 1)) == (6.0, 1.5)
    assert 3000 < data["msis"] < 4000
    done = vgic_command("replay", "virtio-4cpu", "--from", "6", "--to", "7.5", "--loop", "0", "--design", "v6.10")
    assert done.returncode == 0, done.stdout
    assert f"v6.10: {data['taken']} of {data['taken']} acknowledges as recorded (100.00%)" in done.stdout
    phase = data["phases"][0]
    done = vgic_command("replay", "virtio-4cpu", "--phase", "5", "--loop", "1", "--mode", "lockstep", "--json", "-")
    (row,) = json.loads(done.stdout)["results"]
    assert row["workload"].startswith("virtio-4cpu from ")
    assert row["sent"] > phase["msis"] / 2


def test_what_a_log_lacks_is_said(vgic_command, tmp_path, text):
    path = tmp_path / "guest.log"
    path.write_bytes(b"".join(line for line in text.splitlines(keepends=True) if b"_its_write" not in line))
    done = vgic_command("recording", str(path))
    assert done.returncode == 0
    assert done.stderr.startswith("vgic: note: taken to be on from the start, as no line turns it on: the ITS")


def test_the_report_has_what_is_shown_and_needs_nothing_else(vgic_command, tmp_path):
    page = tmp_path / "recording.html"
    done = vgic_command("recording", "redis-memtier", "--report", str(page))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"Wrote {page}.\n")
    html = page.read_text()
    assert "15909 MSIs of 8 vectors of 1 device, 15908 LPIs" in html
    for part in ("<h2>Over time</h2>", "<h2>Phases</h2>", '<th scope="row">8:8</th>', "vgic recording redis-memtier"):
        assert part in html, part
    assert re.findall(r"(?:src|href)=|url\(|@import", html) == []
    pictures = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg .*?</svg>", html, re.DOTALL)]
    assert len(pictures) == 2
    for picture in pictures:
        wide, high = (float(picture.get(side)) for side in ("width", "height"))
        bars = [part for part in picture.iter("{http://www.w3.org/2000/svg}rect") if part.get("class") == "b1"]
        assert len(bars) > 100
        for bar in bars:
            x, y, width, height = (float(bar.get(side)) for side in ("x", "y", "width", "height"))
            assert x >= 0
            assert x + width <= wide
            assert y >= 0
            assert y + height <= high
            assert width > 0


def test_a_report_of_a_hostile_name_and_of_a_log_without_times(vgic_command, tmp_path):
    told = Guest()
    told.boot()
    told.msi(0)
    path = tmp_path / "<b>&.log"
    path.write_text(re.sub(r"(?m)^\d+@[\d.]+:", "", log(told.events)))
    page = tmp_path / "page.html"
    done = vgic_command("recording", str(path), "--report", str(page))
    assert done.returncode == 0, done.stderr
    html = page.read_text()
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html
    assert "1 MSI of 1 vector of 1 device" in html
    # No vCPU has taken it, and it did not move.
    assert "<td>-</td><td>0</td></tr>" in html
    assert "<svg" not in html
    nowhere = vgic_command("recording", str(path), "--report", str(tmp_path / "no" / "page.html"))
    assert nowhere.returncode == 2
    assert len(nowhere.stderr.splitlines()) == 1

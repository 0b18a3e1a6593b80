"""The layouts of QEMU's machines, against what QEMU itself says of them."""

import re
import subprocess
from pathlib import Path

import pytest

import vgic
from vgic.conformance.qtest import BINARY

#: A line of the monitor's ``info mtree`` about a frame of the GIC.
FRAME = re.compile(
    r"^ +([0-9a-f]{16})-([0-9a-f]{16}) \(prio \d+, i/o\): gicv3_(dist|its|redist_region\[\d+\])\s*$", re.M
)
REDISTRIBUTOR = 0x2_0000


@pytest.mark.parametrize(
    ("layout", "machine", "vcpus"),
    [
        ("qemu-virt", "virt,gic-version=3", 8),
        ("qemu-virt", "virt,gic-version=3", 200),
        ("qemu-sbsa-ref", "sbsa-ref", 20),
    ],
)
def test_frames_are_where_qemu_has_them(layout: str, machine: str, vcpus: int, tmp_path: Path):
    # Its board has a graphics card, whose ROM Debian has in another package.
    (tmp_path / "vgabios-stdvga.bin").write_bytes(bytes(512))
    command = [BINARY, "-L", str(tmp_path), "-M", machine, "-cpu", "max", "-smp", str(vcpus), "-m", "1G", "-nodefaults"]
    command += ["-display", "none", "-S", "-monitor", "stdio"]
    shown = subprocess.run(command, input="info mtree\nquit\n", capture_output=True, text=True, timeout=120, check=True)
    found = {what: (int(first, 16), int(last, 16)) for first, last, what in FRAME.findall(shown.stdout)}

    places = vgic.Vm(vcpus, layout=layout).topology
    assert found.pop("dist")[0] == places.distributor
    # The sbsa-ref of QEMU 7.2 has none.
    if "its" in found or layout == "qemu-virt":
        assert found.pop("its")[0] == places.its[0]
    regions = {
        f"redist_region[{n}]": (region.base, region.base + region.count * REDISTRIBUTOR - 1)
        for n, region in enumerate(places.regions)
    }
    first = regions.pop("redist_region[0]")
    # QEMU keeps the first region's whole place, also if it has fewer redistributors.
    begin, end = found.pop("redist_region[0]")
    assert begin == first[0]
    assert end >= first[1]
    assert found == regions

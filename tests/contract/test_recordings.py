"""Recorded guests: every LPI that a vCPU took is given to it again, in its place, by every design.

``redis-4cpu-movi`` is the first 53,000 lines of a recording of a server under load whose interrupts are moved all the
time: 926 MOVIs, and one LPI that is in progress on two vCPUs at once. (Only writes of registers, commands, MSIs,
acknowledges and their ends were traced.)
"""

from functools import cache
from pathlib import Path

import pytest

import vgic

FILES = {
    **vgic.recordings(),
    **{
        path.name.removesuffix(".log.xz"): path
        for path in sorted((Path(__file__).parent.parent / "data" / "recordings").glob("*.log.xz"))
    },
}


@cache
def recording(name: str) -> vgic.Recording:
    return vgic.read_recording(FILES[name])


def test_there_are_six_recordings():
    names = ["all-1cpu", "all-4cpu", "nvme-4cpu", "redis-4cpu-movi", "redis-memtier", "virtio-4cpu"]
    assert sorted(FILES) == names
    assert recording("redis-4cpu-movi").counts["movi"] == 926
    assert recording("redis-4cpu-movi").counts["int"] == 1


@pytest.mark.parametrize("list_registers", [4, 16])
@pytest.mark.parametrize("name", sorted(FILES))
def test_every_recorded_acknowledge_is_reproduced_in_its_order(design, name, list_registers):
    guest = recording(name)
    raw = vgic._core.replay(design, guest.program(), vcpus=guest.vcpus, mode="recorded", list_registers=list_registers)
    answer = vgic.check(guest, raw["acknowledges"], raw["left"])
    assert answer.acknowledges == guest.acknowledges
    assert answer.same_multiset, str(answer)
    assert answer.mismatches == [], str(answer)
    assert answer.holds
    assert answer.left == 0
    assert raw["command_errors"] == []
    assert raw["sent"] == raw["delivered"] + raw["coalesced"] + raw["dropped"] + raw["pending"]
    # Each send of a recording that was not taken was merged with one that was.
    assert raw["delivered"] == guest.acknowledges

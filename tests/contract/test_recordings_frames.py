"""Recorded guests through the register frames: every register write and every command that the guest made.

The log has the guest's register writes with their values and sizes, each command with its operands, and its place in
the queue. The commands are encoded again, put where the guest had them, and started by the guest's write of
GITS_CWRITER. What is not in the log is what the guest wrote to plain memory: the entries of the level 1 device table,
and the configuration of its LPIs (enabled, priority 0xa0, as Linux does). (``redis-4cpu-movi`` does not have the places
of the commands.)
"""

import lzma
import re
from collections.abc import Iterator
from functools import cache
from mmap import mmap

import pytest
from test_recordings import FILES, recording

import vgic
from vgic.its import encode

RAM, RAM_SIZE = 0x4000_0000, 1 << 30
#: Pages of the device table, above what the guests use.
DEVICE_PAGES = RAM + RAM_SIZE - 8 * 0x1_0000

_LINE = re.compile(r"^\S*:?(gicv3_\w+) (.*)$")
_PAIR = re.compile(r"\b([A-Za-z_]\w*) (0x[0-9a-f]+|\d+)(?=[\s:]|$)")
_OPERANDS = {
    "DeviceID": "device_id",
    "EventID": "event_id",
    "Size": "event_bits",
    "ITT_addr": "itt_address",
    "ICID": "collection_id",
    "RDbase": "vcpu",
    "pINTID": "intid",
    "V": "valid",
}


@cache
def lines(name: str) -> list[tuple[int, str, dict[str, int]]]:
    """(line, event, values) of a recording."""

    def parsed() -> Iterator[tuple[int, str, dict[str, int]]]:
        for number, line in enumerate(lzma.decompress(FILES[name].read_bytes()).decode().splitlines(), 1):
            match = _LINE.match(re.sub(r"^\d+@[\d.]+:", "", line))
            if match:
                yield number, match[1], {key: int(value, 0) for key, value in _PAIR.findall(match[2])}

    return list(parsed())


class Guest:
    """The machine of the recordings, driven as its guest drove it."""

    def __init__(self, design: str, vcpus: int) -> None:
        self.ram = mmap(-1, RAM_SIZE)
        self.memory = vgic.GuestMemory({RAM: self.ram})
        self.vm = vgic.Vm(vcpus, design, memory=self.memory)
        self.its = self.vm.its[0].frame
        self.queue_offset = 0
        self.collection = 0
        self.configured: set[int] = set()
        self.acknowledges: list[tuple[int, int, int, int]] = []

    def do(self, line: int, event: str, values: dict[str, int]) -> None:
        if event == "gicv3_its_write":
            self.its_write(values)
        elif event == "gicv3_redist_write":
            if values["offset"] < 0x1_0000:
                frame = self.vm.vcpu[_vcpu(values["redistributor"])].frame
                frame.write(values["offset"], values["size"], values["data"])
        elif event == "gicv3_its_process_command":
            self.queue_offset = 32 * values["offset"]
        elif event.startswith("gicv3_its_cmd_"):
            self.put(event.removeprefix("gicv3_its_cmd_").upper(), values)
        elif event == "gicv3_its_translation_write":
            self.its.translater.write(0x40, values["data"], values["requester_id"])
        elif event == "gicv3_icc_iar1_read" and 8192 <= values["value"] < 65536:
            vcpu = _vcpu(values["cpu"])
            answered = self.vm.vcpu[vcpu].acknowledge(lowest_intid=True)
            self.acknowledges.append((vcpu, values["value"], answered or 0, line))
        elif event == "gicv3_icc_eoir_write" and 8192 <= values["value"] < 65536:
            vcpu = _vcpu(values["cpu"])
            if self.acknowledges and self.acknowledges[-1][2]:
                self.vm.vcpu[vcpu].eoi(values["value"])

    def its_write(self, values: dict[str, int]) -> None:
        offset, size, data = values["offset"], values["size"], values["data"]
        if offset == 0 and data & 1:
            self.map_device_pages()
        self.its.write(offset, size, data)
        if offset == 0x88:
            assert self.its.read(0x90, 8) == self.its.read(0x88, 8), "a command waits"
            assert self.its.read(0x0, 4) >> 31, "not quiescent"

    def map_device_pages(self) -> None:
        """Level 2 pages for all devices, and enabled LPIs, as the guest's memory has them."""
        baser = self.its.read(0x100, 8)
        assert baser >> 62 == 3, "the guests use a valid, indirect device table"
        for page in range(8):
            self.memory.write_u64((baser & 0xFFFF_FFFF_0000) + 8 * page, 1 << 63 | DEVICE_PAGES + page * 0x1_0000)

    def put(self, name: str, values: dict[str, int]) -> None:
        operands = {_OPERANDS[key]: value for key, value in values.items() if key in _OPERANDS}
        if name == "MAPD":
            operands["event_bits"] += 1
            operands["itt_address"] <<= 8
        elif name == "MAPC":
            self.collection = operands["collection_id"]
        elif name == "INVALL":
            operands["collection_id"] = self.collection
        elif name == "SYNC":
            operands["vcpu"] = 0
        if name in ("MAPTI", "MAPI"):
            intid = operands.get("intid", operands["event_id"])
            propbaser = self.vm.vcpu[0].frame.read(0x70, 8)
            self.memory.write((propbaser & 0xF_FFFF_FFFF_F000) + intid - 8192, b"\xa1")
        cbaser = self.its.read(0x80, 8)
        self.memory.write((cbaser & 0xF_FFFF_FFFF_0000) + self.queue_offset, encode(name, **operands))
        # Where the next one goes, if the log does not say.
        self.queue_offset = (self.queue_offset + 32) % (((cbaser & 0xFF) + 1) * 0x1000)


def _vcpu(affinity: int) -> int:
    return (affinity >> 8) * 16 + (affinity & 0xFF)


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"redis-4cpu-movi"}))
def test_every_acknowledge_through_the_frames(design: str, name: str) -> None:
    told = recording(name)
    guest = Guest(design, told.vcpus)
    for line, event, values in lines(name):
        guest.do(line, event, values)
    answer = vgic.check(told, guest.acknowledges)
    assert guest.its.errors == {}
    assert answer.acknowledges == told.acknowledges
    assert answer.same_multiset, str(answer)
    assert answer.mismatches == [], str(answer)

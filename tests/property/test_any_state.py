"""Whatever a guest has done, a snapshot has it: of this package, and of three VMMs, into the same design or another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quirks import SOUND

import vgic
from vgic.its import encode
from vmms import VMMS, Board

RAM, RAM_SIZE = 0x4000_0000, 1 << 20
QUEUE, DEVICES, COLLECTIONS, CONFIG, PENDING, ITTS = (RAM + n * 0x1_0000 for n in (0, 1, 2, 3, 4, 8))
VALID = 1 << 63
AFFINITIES = [0, 0x100, 0x1234_5678]
VCPU, COLLECTION = st.integers(0, 2), st.integers(0, 3)
DEVICE, EVENT = st.integers(0, 2), st.integers(0, 5)
INTID = st.integers(8192, 8209)


def mapd(device: int, event_bits: int) -> bytes:
    """Each device has a table of its own."""
    return encode("MAPD", device_id=device, event_bits=event_bits, itt_address=ITTS + device * 0x100, valid=True)


def mapti(device: int, event: int, collection: int) -> bytes:
    """Each event has an LPI of its own: the target of one that two share is that of whoever was mapped last."""
    intid = 8192 + 6 * device + event
    return encode("MAPTI", device_id=device, event_id=event, intid=intid, collection_id=collection)


#: No MOVALL: it leaves LPIs that pend for another vCPU than that of their collection, which no restore finds.
COMMAND = st.one_of(
    # Not V=0: an event without a collection is dead, and neither KVM nor this saves it.
    st.builds(encode, st.just("MAPC"), collection_id=COLLECTION, vcpu=VCPU, valid=st.just(True)),
    st.builds(mapd, DEVICE, st.sampled_from([2, 3])),
    st.builds(mapti, DEVICE, EVENT, COLLECTION),
    st.builds(encode, st.just("MOVI"), device_id=DEVICE, event_id=EVENT, collection_id=COLLECTION),
    st.builds(encode, st.sampled_from(["DISCARD", "INT", "CLEAR", "INV"]), device_id=DEVICE, event_id=EVENT),
)
STEP = st.one_of(
    st.tuples(st.just("command"), COMMAND),
    st.tuples(st.just("send"), st.tuples(DEVICE, EVENT)),
    st.tuples(st.just("acknowledge"), VCPU),
    st.tuples(st.just("eoi"), VCPU),
    st.tuples(st.just("configure"), st.tuples(INTID, st.sampled_from([0x01, 0x81, 0xA0, 0xA1]))),
)
#: Every vCPU has LPIs and every event a device at first, so that most of the steps do something.
BOOT = [
    *(encode("MAPC", collection_id=n, vcpu=n, valid=True) for n in range(3)),
    *(mapd(n, 3) for n in range(2)),
    *(mapti(n // 6, n % 6, n % 3) for n in range(12)),
]


class Guest:
    """A guest of a VM with three vCPUs, one of which came later."""

    def __init__(self, design: str, ram: bytearray) -> None:
        self.vm = vgic.Vm(AFFINITIES[:2], design, max_vcpus=3, list_registers=2, memory=vgic.GuestMemory({RAM: ram}))
        self.vm.plug(2, 0x12_0034_5678)
        self.its = self.vm.its[0].frame
        self.taken: list[list[int]] = [[], [], []]

    def boot(self) -> None:
        self.vm.memory.write(CONFIG, b"\xa1" * 64)
        for n, vcpu in enumerate(self.vm.vcpu):
            vcpu.frame.write(vgic.GICR.PROPBASER, 8, CONFIG | 13)
            vcpu.frame.write(vgic.GICR.PENDBASER, 8, PENDING + n * 0x1_0000)
            vcpu.frame.write(vgic.GICR.CTLR, 4, 1)
        self.its.write(vgic.GITS.CBASER, 8, VALID | QUEUE)
        self.its.write(vgic.GITS.BASER0, 8, VALID | DEVICES)
        self.its.write(vgic.GITS.BASER1, 8, VALID | COLLECTIONS)
        self.its.write(vgic.GITS.CTLR, 4, 1)
        for command in BOOT:
            self.command(command)

    def command(self, command: bytes) -> None:
        at = self.its.read(vgic.GITS.CWRITER, 8)
        self.vm.memory.write(QUEUE + at, command)
        self.its.write(vgic.GITS.CWRITER, 8, (at + 32) % 0x1000)

    def send(self, event: tuple[int, int]) -> None:
        self.its.translater.write(0x40, event[1], event[0])

    def acknowledge(self, vcpu: int) -> None:
        intid = self.vm.vcpu[vcpu].acknowledge()
        if intid is not None:
            self.taken[vcpu].append(intid)

    def eoi(self, vcpu: int) -> None:
        if self.taken[vcpu]:
            self.vm.vcpu[vcpu].eoi(self.taken[vcpu].pop())

    def configure(self, setting: tuple[int, int]) -> None:
        intid, byte = setting
        self.vm.write_config(intid, byte)
        self.vm.vcpu[0].frame.write(vgic.GICR.INVLPIR, 4, intid)

    def rest(self) -> list[list[int]]:
        """What each vCPU ends and takes from here on, until nothing is left.

        Only of events that are mapped: an LPI that was unmapped while it was queued may be delivered once more, and is
        in no table.
        """
        mapped = {event[1] for device in self.vm.its[0].tables()["devices"] for event in device["events"]}
        # What migrates does so when its old vCPU leaves the guest.
        for vcpu in self.vm.vcpu:
            vcpu.highest_pending()
        found = []
        for vcpu, taken in zip(self.vm.vcpu, self.taken, strict=True):
            while taken:
                vcpu.eoi(taken.pop())
            row = []
            while (intid := vcpu.acknowledge()) is not None:
                row.append(intid)
                vcpu.eoi(intid)
            found.append(sorted(mapped.intersection(row)))
        return found


def seen(vm: vgic.Vm) -> dict[str, object]:
    """What a guest could tell of the state."""
    tables = vm.its[0].tables()
    devices = sorted(tables["devices"], key=lambda device: device["device_id"])
    return {
        # An event without a collection is dead, and is not saved.
        "devices": [
            device | {"events": sorted(event for event in device["events"] if event[2] is not None)}
            for device in devices
        ],
        "collections": sorted(tables["collections"]),
        "active": [vm._core.active_priorities(n) for n in range(3)],
        "queue": [vm.its[0].frame.get(offset) for offset in (vgic.GITS.CREADR, vgic.GITS.CWRITER, vgic.GITS.CTLR)],
    }


@pytest.mark.parametrize("how", [None, *VMMS], ids=lambda how: how.name if how else "vgic")
@given(
    steps=st.lists(STEP, max_size=25),
    waiting=st.lists(COMMAND, max_size=3),
    designs=st.tuples(st.sampled_from(SOUND), st.sampled_from(SOUND)),
)
def test_a_state_survives_a_snapshot(how, steps, waiting, designs):
    ram = bytearray(RAM_SIZE)
    source = Guest(designs[0], ram)
    source.boot()
    for name, argument in steps:
        getattr(source, name)(argument)
    if waiting:
        source.its.write(vgic.GITS.CTLR, 4, 0)
        for command in waiting:
            source.command(command)
    before = seen(source.vm)
    if how is None:
        state = vgic.SavedState.from_json(source.vm.save().to_json())
        target = Guest(designs[1], bytearray(ram))
        target.vm.restore(state)
        assert target.vm.save() == state
    else:
        snapshot = how.save(Board(source.vm), AFFINITIES)
        target = Guest(designs[1], bytearray(ram))
        how.restore(Board(target.vm), AFFINITIES, snapshot)
        assert how.save(Board(target.vm), AFFINITIES) == snapshot
    # The save has changed nothing, and the restore has all of it.
    assert seen(source.vm) == before
    assert seen(target.vm) == before
    for n in range(3):
        target.taken[n] = list(source.taken[n])
    for guest in (source, target):
        guest.its.write(vgic.GITS.CTLR, 4, 1)
    assert seen(source.vm) == seen(target.vm)
    assert target.rest() == source.rest()

"""Register frames above every design: threads beside them, and saved state in another design."""

import random

import pytest
from quirks import SOUND

import vgic
from vgic.its import encode
from workers import working

RAM, RAM_SIZE = 0x4000_0000, 4 << 20
DEVICES, COLLECTIONS, CONFIG, PENDING, TRANSLATION_TABLES = (RAM + n * 0x1_0000 for n in (1, 2, 3, 4, 16))
VALID = 1 << 63
EVENTS = 16


class Machine:
    """A guest with two vCPUs, a collection for each, and three devices of 16 events."""

    def __init__(self, design: str, *, boot: bool = True, ram: bytearray | None = None) -> None:
        self.ram = bytearray(RAM_SIZE) if ram is None else ram
        self.vm = vgic.Vm(2, design, memory=vgic.GuestMemory({RAM: self.ram}))
        self.its = self.vm.its[0].frame
        if boot:
            self.boot()

    def boot(self) -> None:
        self.vm.memory.write(CONFIG, b"\xa1" * 0x1_0000)
        for n, vcpu in enumerate(self.vm.vcpu):
            vcpu.frame.write(0x70, 8, CONFIG | 15)
            vcpu.frame.write(0x78, 8, PENDING + n * 0x1_0000)
            vcpu.frame.write(0x00, 4, 1)
        self.its.write(0x080, 8, VALID | RAM | 15)
        self.its.write(0x100, 8, VALID | DEVICES)
        self.its.write(0x108, 8, VALID | COLLECTIONS)
        self.its.write(0x000, 4, 1)
        self.run(*(encode("MAPC", collection_id=n, vcpu=n, valid=True) for n in range(2)))
        for device in range(3):
            itt = TRANSLATION_TABLES + device * 0x1000
            self.run(encode("MAPD", device_id=device, event_bits=5, itt_address=itt, valid=True))
            self.run(*(self.mapti(device, event) for event in range(EVENTS)))

    @staticmethod
    def mapti(device: int, event: int) -> bytes:
        intid = 8192 + EVENTS * device + event
        return encode("MAPTI", device_id=device, event_id=event, intid=intid, collection_id=event % 2)

    def run(self, *commands: bytes) -> None:
        position = self.its.read(0x88, 8)
        for command in commands:
            self.vm.memory.write(RAM + position, command)
            position = (position + 32) % 0x1_0000
        self.its.write(0x88, 8, position)
        assert self.its.read(0x90, 8) == position

    def take(self, vcpu: int) -> list[int]:
        taken = []
        while (intid := self.vm.vcpu[vcpu].acknowledge()) is not None:
            self.vm.vcpu[vcpu].eoi(intid)
            taken.append(intid)
        return taken


def adds_up(vm: vgic.Vm) -> bool:
    counts = vm.counts()
    ends = counts["delivered"] + counts["coalesced"] + counts["dropped"] + counts["pending"]
    return counts["sent"] + counts["pending_loaded"] == ends


def test_saved_state_goes_on_in_another_design(design):
    other = SOUND[(SOUND.index(design) + 1) % len(SOUND)]
    source = Machine(design)
    sent = [(device, event) for device in range(3) for event in range(0, EVENTS, 3)]
    for device, event in sent:
        assert source.its.translater.write(0x40, event, device) == 1
    source.run(encode("MOVI", device_id=1, event_id=3, collection_id=0))
    state = vgic.SavedState.from_json(source.vm.save().to_json())
    target = Machine(other, boot=False, ram=bytearray(source.ram))
    told = set()
    for vcpu in target.vm.vcpu:
        vcpu.on_pending = told.add
    target.vm.restore(state)
    assert told == set(target.vm.vcpu), "each has something now"
    assert target.vm.its[0].tables() == source.vm.its[0].tables()

    def seen(lpi):
        return {key: value for key, value in lpi.items() if key not in ("references", "queued_on")}

    assert [seen(lpi) for lpi in target.vm.lpis()] == [seen(lpi) for lpi in source.vm.lpis()]
    assert target.vm.save() == state
    for vcpu in (1, 0):  # In the source, the event that was moved migrates when its old vCPU leaves the guest.
        # In which order, is the queue's.
        assert sorted(target.take(vcpu)) == sorted(source.take(vcpu))
    assert target.its.translater.write(0x40, 3, 1) == 1
    assert target.take(0) == [8192 + EVENTS + 3]
    assert adds_up(target.vm)


@pytest.mark.usefixtures("returns_memory")
def test_what_was_acknowledged_and_not_ended_survives(design):
    source = Machine(design)
    source.vm.write_config(8194, 0x41)  # of a higher priority than the others
    source.run(encode("INV", device_id=0, event_id=2))
    for event in (0, 2, 4):
        source.its.translater.write(0x40, event, 0)
        if event == 0:
            assert source.vm.vcpu[0].acknowledge() == 8192
    assert source.vm.vcpu[0].acknowledge() == 8194  # It preempts the first one.
    target = Machine(design, boot=False, ram=source.ram)
    target.vm.restore(source.vm.save())
    cpu = target.vm.vcpu[0]
    assert (cpu.highest_pending(), cpu.has_pending) == (None, True)
    cpu.eoi(8194)
    assert cpu.highest_pending() is None  # 8192 is still active, of the same priority.
    cpu.eoi(8192)
    assert cpu.acknowledge() == 8196


@pytest.mark.usefixtures("returns_memory")
def test_a_reset_leaves_a_new_vm(design):
    machine = Machine(design)
    new = Machine(design, boot=False).vm
    for event in (0, 1, 2):
        machine.its.translater.write(0x40, event, 0)
    assert machine.vm.vcpu[0].acknowledge() == 8192  # and it is not ended
    machine.vm.distributor_enabled = False
    machine.vm.reset()
    assert machine.vm.lpis() == []
    assert machine.vm.its[0].tables() == {"devices": [], "collections": []}
    registers = [("its", offset) for offset in (0x0, 0x80, 0x88, 0x90)] + [("vcpu", n) for n in (0x0, 0x70, 0x78)]
    for name, offset in registers:
        for frame, other in zip(getattr(machine.vm, name), getattr(new, name), strict=True):
            assert frame.frame.get(offset) == other.frame.get(offset)
    assert not any(machine.its.get(offset) >> 63 for offset in (0x100, 0x108))
    assert machine.vm.distributor_enabled
    assert not any(vcpu.has_pending for vcpu in machine.vm.vcpu)
    # The guest boots again, and what was active before holds nothing up.
    machine.boot()
    assert machine.its.translater.write(0x40, 4, 0) == 1
    assert machine.take(0) == [8192 + 4]


def test_restoring_another_shape_is_refused(design):
    state = Machine(design).vm.save()
    for vm in (vgic.Vm(1, design, memory=vgic.GuestMemory()), vgic.Vm(2, design, its=2, memory=vgic.GuestMemory())):
        with pytest.raises(ValueError, match="the state is of 2 vCPUs and 1 ITSes"):
            vm.restore(state)
    running = Machine(design)
    with pytest.raises(vgic.TableError, match="has not run"):
        running.vm.restore(state)
    assert len(running.vm.lpis()) == 3 * EVENTS


def test_a_failed_restore_leaves_a_vm_that_can_be_restored(design):
    source = Machine(design)
    state = source.vm.save()
    target = Machine(design, boot=False, ram=bytearray(source.ram))
    entry = TRANSLATION_TABLES + 8 * 3
    good = target.vm.memory.read_u64(entry)
    target.vm.memory.write_u64(entry, 1 << 16)
    with pytest.raises(vgic.TableError, match="device 0, event 3"):
        target.vm.restore(state)
    assert target.vm.lpis() == []
    assert [vcpu.frame.read(0x70, 8) for vcpu in target.vm.vcpu] == [0x580] * 2
    assert target.vm.its[0].tables() == {"devices": [], "collections": []}
    target.vm.memory.write_u64(entry, good)
    target.vm.restore(state)
    assert len(target.vm.lpis()) == 3 * EVENTS


@pytest.mark.usefixtures("returns_memory")
@pytest.mark.parametrize("seed", [1, 2])
def test_commands_beside_sends_and_running_vcpus(design, seed):
    """Three devices send and two vCPUs take while the guest reprograms everything."""
    machine = Machine(design)

    def send(device):
        chance = random.Random(f"{seed} {device}")

        def one():
            for _ in range(50):
                machine.its.translater.write(0x40, chance.randrange(2 * EVENTS), device)

        return one

    jobs = [send(device) for device in range(3)]
    jobs += [lambda vcpu=vcpu: machine.take(vcpu) for vcpu in range(2)]
    chance = random.Random(seed)
    with working(*jobs):
        for _ in range(150):
            machine.run(*(random_command(machine, chance) for _ in range(chance.randrange(1, 8))))
            if chance.random() < 0.1:
                machine.its.write(0, 4, 0)
                machine.its.write(0, 4, 1)
            if chance.random() < 0.1:
                frame = machine.vm.vcpu[chance.randrange(2)].frame
                frame.write(0, 4, 0)
                frame.write(0, 4, 1)
            if chance.random() < 0.1:
                machine.vm.vcpu[chance.randrange(2)].frame.write(0xB0, 8, 0)
            if chance.random() < 0.1:
                machine.its.save_tables()
    assert set(machine.its.errors) <= EXPECTED, machine.its.errors
    # The guest starts anew: everything that it maps is delivered.
    machine.its.reset()
    for vcpu in machine.vm.vcpu:
        machine.take(vcpu.index)
        vcpu.frame.write(0, 4, 0)
    machine.boot()
    for vcpu in range(2):
        machine.take(vcpu)
    for device in range(3):
        for event in range(EVENTS):
            assert machine.its.translater.write(0x40, event, device) == 1
    taken = [machine.take(0), machine.take(1)]
    assert sorted(taken[0] + taken[1]) == [8192 + n for n in range(3 * EVENTS)]
    assert adds_up(machine.vm)


EXPECTED = {
    "EBUSY",
    "E_ITS_CLEAR_UNMAPPED_INTERRUPT",
    "E_ITS_DISCARD_UNMAPPED_INTERRUPT",
    "E_ITS_INT_UNMAPPED_INTERRUPT",
    "E_ITS_INVALL_UNMAPPED_COLLECTION",
    "E_ITS_INV_UNMAPPED_INTERRUPT",
    "E_ITS_MAPTI_UNMAPPED_DEVICE",
    "E_ITS_MOVI_UNMAPPED_COLLECTION",
    "E_ITS_MOVI_UNMAPPED_INTERRUPT",
}


def random_command(machine: Machine, chance: random.Random) -> bytes:
    device, event, collection = chance.randrange(3), chance.randrange(EVENTS), chance.randrange(2)
    name = chance.choice(["MAPTI"] * 6 + ["DISCARD", "MOVI", "INV", "CLEAR", "INT", "INVALL", "MOVALL", "MAPC", "MAPD"])
    itt = TRANSLATION_TABLES + device * 0x1000
    match name:
        case "MAPTI":
            return machine.mapti(device, event)
        case "DISCARD" | "INV" | "CLEAR" | "INT":
            return encode(name, device_id=device, event_id=event)
        case "MOVI":
            return encode(name, device_id=device, event_id=event, collection_id=collection)
        case "INVALL":
            return encode(name, collection_id=collection)
        case "MOVALL":
            return encode(name, vcpu=chance.randrange(2), to_vcpu=chance.randrange(2))
        case "MAPC":
            return encode(name, collection_id=collection, vcpu=chance.randrange(2), valid=chance.random() < 0.8)
        case _:
            return encode(name, device_id=device, event_bits=5, itt_address=itt, valid=chance.random() < 0.5)

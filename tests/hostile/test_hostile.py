"""Hostile guests: seeded runs over every design, inputs that Hypothesis makes, and threads beside them."""

import errno
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import left_since, objects
from quirks import SOUND, quirks

import vgic
from guest import BASER1, CTLR, CWRITER, OPCODES, VALID, Machine, play
from vgic.its import saving
from vgic.its.commands import COMMAND_SIZE, WORDS
from workers import working

#: Commands of the seeded runs, over all designs; with the rest some 10 ** 5.
COMMANDS = 100_000
BYTES = 6000


@pytest.mark.parametrize("design", SOUND)
def test_seeded_runs(design):
    before = objects()
    done, number = 0, 0
    while done < COMMANDS // len(SOUND):
        done += play(design, random.Random(f"{design} {number}").randbytes(BYTES)).commands
        number += 1
    left = left_since(before)
    if quirks(design).leak:
        left.pop("vgic_irq", None)
    assert left == {}


@settings(max_examples=60)
@given(design=st.sampled_from(SOUND), data=st.binary(max_size=600))
def test_any_bytes(design, data):
    play(design, data)


@pytest.mark.parametrize("design", ["v6.8-rc1", "patch-15", "v6.10", "v6.17", "v7.1.8", "v7.3"])
def test_beside_senders_and_running_vcpus(design):
    """The guest does its worst while devices send and vCPUs take."""
    machine = Machine(design)
    vm = machine.vm
    chances = [random.Random(n) for n in range(3)]

    def send(device):
        chance = chances[device]
        for _ in range(20):
            vm.its[0].frame.translater.write(0x40, chance.randrange(6), device)

    def take(vcpu):
        for _ in range(8):
            intid = vcpu.acknowledge()
            if intid is None:
                break
            vcpu.eoi(intid)

    jobs = [lambda n=n: send(n) for n in range(3)]
    jobs += [lambda vcpu=vcpu: take(vcpu) for vcpu in vm.vcpu]
    with working(*jobs):
        for number in range(3):
            machine.play(random.Random(f"beside {number}").randbytes(2000), check=False)
    machine.finish()


def test_a_full_queue_of_the_worst_legal_command_ends():
    """As many INVALLs as a queue holds: bounded work, and a VMM may have it done bit by bit."""
    machine = Machine(vgic.DEFAULT_DESIGN, its=1)
    frame = machine.vm.its[0].frame
    frame.commands_per_write = 100
    count = 2047
    machine.run(0, WORDS.pack(OPCODES["INVALL"], 0, 0, 0) * count)
    writes = 1
    while frame.read(0x90, 8) != frame.read(CWRITER, 8):
        assert frame.process(100) <= 100
        writes += 1
    assert writes == -(-count // 100)
    assert frame.errors == {}


def test_mapped_events_are_limited():
    """Beyond 2 ** 20 mapped events MAPTI fails; nothing is lost."""
    ram = bytearray(1 << 20)
    vm = vgic.Vm(1, its=2, memory=vgic.GuestMemory({0x4000_0000: ram}))
    frame = vm.its[0].frame
    vm.vcpu[0].frame.set(0x70, 0x4000_0000 | 15)
    frame.set(0x100, VALID | 0x4004_0000)
    frame.set(0x108, VALID | 0x4005_0000)
    per_device = 1 << 9
    events = [(event, 8192 + event % 57344, 0) for event in range(per_device)]
    devices = [(device, 9, 0x4006_0000, events) for device in range((1 << 20) // per_device)]
    assert vm._core.restore(0, [(0, None)], devices) is None
    frame.set(0x80, VALID | 0x4008_0000)
    frame.set(CTLR, 1)
    commands = [
        (OPCODES["MAPD"] | 4000 << 32, 1, VALID | 0x4006_0000, 0),
        (OPCODES["MAPTI"] | 4000 << 32, 8192 << 32, 0, 0),
        (OPCODES["DISCARD"] | 4000 << 32, 0, 0, 0),
    ]
    vm.memory.write(0x4008_0000, b"".join(WORDS.pack(*words) for words in commands))
    frame.write(CWRITER, 8, COMMAND_SIZE * len(commands))
    assert frame.errors == {"ENOMEM": 1, "E_ITS_DISCARD_UNMAPPED_INTERRUPT": 1}
    frame.reset()
    assert vm.lpis() == []


def test_overlapping_tables_are_bounded():
    """65,536 devices whose translation tables are one and the same: too many events, and nothing is left of them."""
    ram = bytearray(2 << 20)
    memory = vgic.GuestMemory({0x4000_0000: ram})
    vm = vgic.Vm(1, memory=memory)
    frame = vm.its[0].frame
    vm.vcpu[0].frame.set(0x70, 0x4000_0000 | 15)
    vm.vcpu[0].frame.set(0x78, 0x4003_0000)
    frame.set(0x108, VALID | 0x4001_0000)
    frame.set(0x100, VALID | 0x4010_0000 | 7)
    memory.write_u64(0x4001_0000, VALID)
    itt = 0x4002_0000
    for event in range(64):
        memory.write_u64(itt + 8 * event, 1 << 48 | (8192 + event) << 16)
    entry = (VALID | 1 << 49 | itt >> 8 << 5 | 15).to_bytes(8, "little")
    memory.write(0x4010_0000, entry * 65536)
    with pytest.raises(vgic.TableError, match="more than 1048576 mapped events") as error:
        frame.restore_tables()
    assert error.value.errno == errno.ENOMEM
    assert vm.its[0].tables() == {"devices": [], "collections": []}


@pytest.mark.parametrize("number", [1, 511, 512])
def test_a_restore_does_not_go_over_zeroes_one_by_one(number, monkeypatch):
    """Many devices, one translation table, hardly anything in it: pages are skipped, and what is there is counted.

    One by one it was eleven minutes with 65,536 devices: the zeroes before an entry at a page's end did not count.
    """
    memory = vgic.GuestMemory({0x4000_0000: bytearray(4 << 20)})
    vm = vgic.Vm(1, memory=memory)
    frame = vm.its[0].frame
    frame.set(0x108, VALID | 0x4001_0000)
    frame.set(0x100, VALID | 0x4010_0000 | 7)
    memory.write_u64(0x4001_0000, VALID)
    itt = 0x4020_0000
    # Neither valid nor zero: a collection, but no INTID. At the end of a page, and somewhere in every second one.
    pages = range(0, 128, 2)
    for page in pages:
        memory.write_u64(itt + 4096 * page + 8 * (number - 1), 1)
    devices = 4
    entry = (VALID | 1 << 49 | itt >> 8 << 5 | 15).to_bytes(8, "little")
    memory.write(0x4010_0000, entry * devices)
    looked_at = []
    monkeypatch.setattr(saving._Steps, "step", lambda self: looked_at.append(1))
    skipped = []
    behind = saving._behind_zeroes
    monkeypatch.setattr(saving, "_behind_zeroes", lambda chunk, at: skipped.append(at) or behind(chunk, at))
    frame.restore_tables()
    assert len(vm.its[0].tables()["devices"]) == devices
    assert len(looked_at) == devices * len(pages)
    # At most before and after each entry; the rest of the device table's page is skipped at once as well.
    assert len(skipped) <= 2 * len(looked_at) + 1


def test_garbage_is_limited():
    """A device table of entries that are neither valid nor zero, again and again: refused."""
    memory = vgic.GuestMemory({0x4000_0000: bytearray(4 << 20)})
    vm = vgic.Vm(1, memory=memory)
    frame = vm.its[0].frame
    frame.set(0x108, VALID | 0x4001_0000)
    frame.set(0x100, VALID | 0x4010_0000 | 7)
    memory.write(0x4020_0000, (1).to_bytes(8, "little") * 65536)
    memory.write(0x4010_0000, (VALID | 1 << 49 | 0x4020_0000 >> 8 << 5 | 15).to_bytes(8, "little") * 65536)
    with pytest.raises(vgic.TableError, match="more than 1048576 entries that are neither valid nor zero") as error:
        frame.restore_tables()
    assert error.value.errno == errno.EINVAL
    assert vm.its[0].tables() == {"devices": [], "collections": []}


@pytest.mark.parametrize("indirect", [False, True], ids=["flat", "indirect"])
@pytest.mark.parametrize("design", SOUND)
def test_no_command_keeps_a_vm_from_being_saved(design, indirect):
    """A guest that could block its own migration could stay where it is for ever."""
    refused, saves = Counter(), 0
    for number in range(4):
        machine = Machine(design, indirect=indirect, holes=False)
        saves += machine.keep_saving(random.Random(f"save {design} {indirect} {number}").randbytes(4000))
        for its in machine.vm.its:
            refused.update(its.frame.errors)
    assert saves > 40
    # It did try: ITTs that are nowhere, or end before the event, and devices whose entry is gone.
    assert refused["E_ITS_MAPTI_ID_OOR"] > 10
    assert refused["E_ITS_MAPD_DEVICE_OOR"] > 0


@settings(max_examples=60)
@given(design=st.sampled_from(SOUND), indirect=st.booleans(), data=st.binary(max_size=600))
def test_no_bytes_keep_a_vm_from_being_saved(design, indirect, data):
    Machine(design, indirect=indirect, holes=False).keep_saving(data)


def test_a_collection_table_that_is_nowhere_is_named():
    """What is left to a guest that means harm, as in KVM: a register that says that a table is where no memory is."""
    machine = Machine(vgic.DEFAULT_DESIGN)
    frame = machine.vm.its[0].frame
    frame.write(CTLR, 4, 0)
    frame.write(BASER1, 8, VALID | 0x9000_0000)
    with pytest.raises(vgic.TableError, match=r"collection.*: 0x90000000 is not in guest memory") as error:
        machine.vm.save()
    assert error.value.errno == errno.EFAULT
    # Without the valid bit there is no table, and nothing to save there.
    frame.write(BASER1, 8, 0)
    machine.vm.save()


def test_a_pending_table_that_is_missing_is_named():
    machine = Machine(vgic.DEFAULT_DESIGN)
    frame = machine.vm.vcpu[0].frame
    frame.write(CTLR, 4, 0)
    frame.write(0x78, 8, 0x9000_0000)
    with pytest.raises(vgic.TableError, match="GICR_PENDBASER") as error:
        machine.vm.save()
    assert error.value.errno == errno.EFAULT


def test_a_state_that_is_refused_is_told_in_a_short_line():
    text = Machine(vgic.DEFAULT_DESIGN).vm.save().to_json()
    for value in ("0x" + "f" * 5000, "y" * 5000, "a\\nb"):
        with pytest.raises(ValueError, match="not a saved state") as error:
            vgic.SavedState.from_json(text.replace('"GITS_CTLR": "0x80000001"', f'"GITS_CTLR": "{value}"'))
        assert len(str(error.value)) < 250
        assert len(str(error.value).splitlines()) == 1

"""What a restore reads, entry by entry, and what it says; what becomes of a command that memory fails."""

import errno
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_its_tables import COLLECTIONS, DEVICES, INDIRECT, PAGE, RAM, VALID, machine

import vgic
from vgic.its import encode, saving
from vgic.its.tables import ENTRY_SIZE, ENTRY_VALID

BASE = 0x4010_0FF0  # the first page of what is read at a time has two entries


def scan(words: list[int], distance: int = 1) -> tuple[list[int], bool, int]:
    """Indices of the valid entries, whether one said that it is the last, and how many were stepped over."""
    memory = vgic.GuestMemory({RAM: bytearray(2 << 20)})
    for index, word in enumerate(words):
        memory.write_u64(BASE + ENTRY_SIZE * index, word)
    steps = saving._Steps()

    def found() -> Iterator[int]:
        nonlocal last
        entries = saving._scan(memory, BASE, len(words), ENTRY_VALID, lambda word: word & 0xF, steps, "table")
        while True:
            try:
                index, address, word = next(entries)
            except StopIteration as end:
                last = end.value
                return
            assert (address, word) == (BASE + ENTRY_SIZE * index, words[index])
            yield index

    last = False
    return list(found()), last, steps.steps


@given(st.lists(st.one_of(st.just(0), st.integers(1, 0xFF), st.integers(0, 5).map(ENTRY_VALID.__or__)), max_size=40))
def test_a_table_is_walked_by_the_distances_of_its_entries(words):
    expected, steps, at, last = [], 0, 0, False
    while at < len(words) and not last:
        if words[at] & ENTRY_VALID:
            expected.append(at)
            at, last = at + (words[at] & 0xF), words[at] & 0xF == 0
        else:
            steps += words[at] != 0
            at += 1
    assert scan(words) == (expected, last, steps)


def test_an_empty_table_is_walked_without_a_step():
    assert scan([0] * 5000) == ([], False, 0)
    assert scan([0] * 5000 + [ENTRY_VALID]) == ([5000], True, 0)


def test_only_what_is_looked_at_must_be_in_memory():
    memory = vgic.GuestMemory({RAM: bytearray(PAGE)})
    end = RAM + PAGE - ENTRY_SIZE
    memory.write_u64(end, ENTRY_VALID)
    last = list(saving._scan(memory, end, 9, ENTRY_VALID, lambda _: 0, saving._Steps(), "table"))
    assert last == [(0, end, ENTRY_VALID)]
    entries = saving._scan(memory, end, 9, ENTRY_VALID, lambda _: 1, saving._Steps(), "that table")
    assert next(entries)[0] == 0
    message = f"that table, entry 1: {RAM + PAGE:#x} is not in guest memory"
    with pytest.raises(vgic.TableError, match=message) as caught:
        next(entries)
    assert caught.value.errno == errno.EFAULT


def test_a_restore_looks_at_so_many_wrong_entries_and_no_more(monkeypatch):
    """Of all tables together: two of the device table, one of an ITT."""
    monkeypatch.setattr(saving, "_MOST_STEPS", 3)

    def restored(junk: int) -> vgic.Vm:
        vm = machine()
        vm.its[0].frame.set(0x00, 0)
        memory = vm.memory
        memory.write_u64(COLLECTIONS, ENTRY_VALID)
        for n in range(2):
            memory.write_u64(DEVICES + 8 * n, 1)
        memory.write_u64(DEVICES + 16, ENTRY_VALID | 0x4010_0000 >> 8 << 5 | 3)
        for n in range(junk):
            memory.write_u64(0x4010_0000 + 8 * n, 1)
        memory.write_u64(0x4010_0000 + 8 * junk, 8192 << 16)
        vm.its[0].frame.restore_tables()
        return vm

    assert restored(1).its[0].tables()["devices"][0]["events"] == [(1, 8192, 0)]
    with pytest.raises(vgic.TableError, match=r"more than 3 entries that are neither valid nor zero"):
        restored(2)


def test_an_indirect_device_table_says_which_page_is_wrong():
    per_page = PAGE // ENTRY_SIZE
    memory = vgic.GuestMemory({RAM: bytearray(2 << 20)})
    memory.write_u64(DEVICES, ENTRY_VALID | 0x4011_0000)
    memory.write_u64(DEVICES + 8, ENTRY_VALID | 0x4012_0000)
    memory.write_u64(0x4011_0000 + 8 * 5, ENTRY_VALID | 3 << 49)  # the next one is three behind
    memory.write_u64(0x4011_0000 + 8 * 8, ENTRY_VALID | (per_page - 8 + 2) << 49)
    memory.write_u64(0x4012_0000 + 8 * 2, ENTRY_VALID)
    baser = VALID | INDIRECT | DEVICES
    found = [number for number, _, _ in saving._device_entries(memory, baser, saving._Steps())]
    assert found == [5, 8, per_page + 2]
    memory.write_u64(DEVICES + 8, ENTRY_VALID | 0x9000_0000)
    with pytest.raises(vgic.TableError, match=r"device table page 1, entry 0: 0x90000000 is not in guest memory"):
        list(saving._device_entries(memory, baser, saving._Steps()))
    junk = vgic.GuestMemory({RAM: bytearray(2 << 20)})
    junk.write_u64(DEVICES, 1)
    steps = saving._Steps()
    assert list(saving._device_entries(junk, baser, steps)) == []
    assert steps.steps == 1
    with pytest.raises(vgic.TableError, match=r"level 1 device table, entry 0: 0x90000000 is not in guest memory"):
        list(saving._device_entries(junk, VALID | INDIRECT | 0x9000_0000, saving._Steps()))
    with pytest.raises(vgic.TableError, match=r"^.*device table, entry 0: 0x90000000 is not in guest memory"):
        list(saving._device_entries(junk, VALID | 0x9000_0000, saving._Steps()))


class Core:
    """A core whose restore fails at an event, or which has something already."""

    vcpus = 2

    def __init__(self, number: int | None = None, *, devices: object = (), collections: object = ()) -> None:
        self.number, self.there = number, {"devices": devices, "collections": collections}

    def tables(self, its: int) -> dict[str, object]:
        return self.there

    def restore(self, *_: object) -> tuple[int, int, int] | None:
        return None if self.number is None else (7, 3, self.number)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.ENOMEM, "out of memory"),
        (errno.EFAULT, "the LPI tables are not in guest memory (are GICR_PROPBASER and GICR_PENDBASER restored?)"),
        (errno.EINVAL, "the device's table has no entry for it in guest memory"),
    ],
)
def test_an_event_that_cannot_be_mapped_is_named_with_its_reason(number, why):
    with pytest.raises(vgic.TableError) as caught:
        saving.restore_tables(Core(number), 0, vgic.GuestMemory(), 0, 0)
    assert caught.value.args == (number, f"device 7, event 3: {why}")


@pytest.mark.parametrize("there", [{"devices": [1]}, {"collections": [1]}])
def test_an_its_that_has_something_is_not_restored(there):
    with pytest.raises(vgic.TableError) as caught:
        saving.restore_tables(Core(**there), 0, vgic.GuestMemory(), 0, 0)
    text = "the ITS has devices or collections: reset it before the tables are restored"
    assert caught.value.args == (errno.EBUSY, text)


def test_tables_that_are_not_valid_are_not_read():
    saving.restore_tables(Core(), 0, vgic.GuestMemory(), 0x9000_0000, 0x9000_0000)


def test_a_collection_table_outside_memory_is_named():
    with pytest.raises(vgic.TableError) as caught:
        saving.restore_tables(Core(), 0, vgic.GuestMemory(), 0, VALID | 0x9000_0000)
    assert caught.value.args == (errno.EFAULT, "collection table, entry 0 at 0x90000000: not in guest memory")


# Commands that memory fails.


@pytest.mark.parametrize(
    ("raised", "name"),
    [(MemoryError(), "ENOMEM"), (OSError(errno.EFAULT, "gone"), "EFAULT"), (OSError("no number"), "EIO")],
)
def test_a_command_that_fails_for_the_hosts_reasons_is_told_with_its_bytes(raised, name):
    vm = machine()
    frame = vm.its[0].frame
    faults: list[vgic.CommandFault] = []
    frame.on_error = faults.append

    def fail(*_: object) -> None:
        raise raised

    frame._handlers = {**frame._handlers, "INV": fail}
    command = encode("INV", device_id=1, event_id=2)
    vm.memory.write(RAM + 32, command)
    vm.memory.write(RAM, encode("SYNC", vcpu=0))
    frame.write(0x88, 8, 64)
    assert [(fault.offset, fault.entry, fault.code, fault.name) for fault in faults] == [(32, command, 0, name)]


def test_a_command_that_cannot_be_read_is_told_without_bytes():
    vm = machine()
    frame = vm.its[0].frame
    frame.set(0x00, 0)
    frame.set(0x80, VALID | 0x9000_0000)
    frame.set(0x00, 1)
    faults: list[vgic.CommandFault] = []
    frame.on_error = faults.append
    frame.write(0x88, 8, 64)
    assert [(fault.offset, fault.entry, fault.code, fault.name) for fault in faults] == [
        (0, None, 0, "EFAULT"),
        (32, None, 0, "EFAULT"),
    ]
    assert str(faults[1]) == "command at 0x20: unreadable: EFAULT"


def test_a_doorbell_takes_the_first_device_and_the_last():
    vm = machine()
    for device in (0, (1 << 32) - 1):
        vm.its[0].frame.write(0x1_0040, 4, 0, device_id=device)
    for device in (-1, 1 << 32):
        with pytest.raises(ValueError, match="device_id"):
            vm.its[0].frame.write(0x1_0040, 4, 0, device_id=device)

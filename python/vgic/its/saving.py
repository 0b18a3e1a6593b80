"""Devices, events and collections to the tables in guest memory, and back (KVM's table format revision 0).

A VMM saves before it migrates a guest and restores on the other side. What a guest's memory holds is not to be
trusted: every entry is checked before the engine is told of it, a bad one leaves no device and no collection behind,
and the work is bounded: a table has at most 65,536 entries, a VM at most 1,048,576 mapped events.
"""

import errno
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from vgic.errors import TableError
from vgic.its.tables import (
    ENTRY_SIZE,
    ENTRY_VALID,
    ITE_MAPPED,
    PAGE_SIZE,
    CollectionEntry,
    DeviceEntry,
    IttEntry,
    Level1Entry,
    device_distance,
    event_distance,
    ite_fields,
)
from vgic.registers import INDIRECT, VALID, mask

if TYPE_CHECKING:
    from vgic import _core
    from vgic._core import GuestMemory

__all__ = ["restore_tables", "save_tables", "table_address", "table_size"]

_DEVICES, _COLLECTIONS = 0, 1
_MOST_IDS = 1 << 16
_MOST_EVENT_BITS = 16
_FIRST_LPI = 8192
#: Mapped events that a VM may have.
_MOST_EVENTS = 1 << 20
#: Entries that are neither valid nor zero, over which a restore goes one by one. Proper tables have none.
_MOST_STEPS = 1 << 20
_CHUNK = 1 << 12
#: Zeroes to compare with, each a multiple of the next.
_ZEROES = (bytes(512), bytes(64), bytes(ENTRY_SIZE))
#: DeviceID, EventID bits, ITT address, and events: EventID, INTID, collection.
_Device = tuple[int, int, int, list[tuple[int, int, int]]]


def table_address(baser: int) -> int:
    """Guest physical address that a GITS_BASER<n> with pages of 64 KiB names: bits 47:16, and bits 51:48 in 15:12."""
    return baser & mask(47, 16) | (baser & mask(15, 12)) << 36


def table_size(baser: int) -> int:
    """Bytes of the table that a GITS_BASER<n> names: pages of 64 KiB."""
    return ((baser & 0xFF) + 1) * PAGE_SIZE


def save_tables(vm: "_core.Vm", its: int, memory: "GuestMemory", devices_baser: int, collections_baser: int) -> None:
    """Write the tables; see :meth:`vgic.ItsFrame.save_tables`."""
    tables = vm.tables(its)
    #: Address, word, and whose it is: a text with its numbers, put together only if it is needed.
    entries: list[tuple[int, int, str, tuple[int, ...]]] = []
    if devices_baser & VALID:
        devices = []
        for device in sorted(tables["devices"], key=lambda device: device["device_id"]):
            address = vm.table_entry(its, _DEVICES, device["device_id"])
            if address is not None:
                devices.append((address, device))
            elif not vm.skips_lost_devices:
                raise TableError(errno.EINVAL, f"device {device['device_id']}: the device table has no entry for it")
        for n, (address, device) in enumerate(devices):
            device_id, itt = device["device_id"], device["itt_address"]
            events = sorted(device["events"])
            for m, (event_id, intid, collection_id) in enumerate(events):
                following = events[m + 1][0] - event_id if m + 1 < len(events) else 0
                # An event whose collection was unmapped is dead: it is not saved.
                word = 0 if collection_id is None else IttEntry(following, intid, collection_id).encode()
                entries.append((itt + ENTRY_SIZE * event_id, word, "ITE of device {}, event {}", (device_id, event_id)))
            following = devices[n + 1][1]["device_id"] - device_id if n + 1 < len(devices) else 0
            word = DeviceEntry(True, following, itt, device["event_bits"]).encode()
            entries.append((address, word, "DTE of device {}", (device_id,)))
    if collections_baser & VALID:
        address = table_address(collections_baser)
        room = table_size(collections_baser) // ENTRY_SIZE
        for collection_id, vcpu in tables["collections"][:room]:
            word = CollectionEntry(True, vcpu, collection_id).encode()
            entries.append((address, word, "CTE of collection {}", (collection_id,)))
            address += ENTRY_SIZE
        if len(tables["collections"]) < room:
            entries.append((address, 0, "end of the collection table", ()))
    for address, _, what, ids in entries:
        if not memory.contains(address, ENTRY_SIZE):
            raise TableError(errno.EFAULT, f"{what.format(*ids)}: {address:#x} is not in guest memory")
    for address, word, _, _ in entries:
        memory.write_u64(address, word)


class _Steps:
    """Counts what a restore looks at, and says when it is too much."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise TableError(errno.EINVAL, f"more than {_MOST_STEPS} entries that are neither valid nor zero")


def _scan(
    memory: "GuestMemory",
    base: int,
    count: int,
    valid: int,
    distance: Callable[[int], int],
    steps: _Steps,
    what: str,
) -> Generator[tuple[int, int, int], None, bool]:
    """Yield (index, address, word) of the valid entries of a table; whether one said that it is the last.

    From a valid entry it goes on by the entry's distance, from another one by one. Only what is looked at is read:
    a table may be larger than its memory.
    """
    index = 0
    while index < count:
        # To the end of the page that holds the entry.
        address = base + ENTRY_SIZE * index
        room = min(_CHUNK - address % _CHUNK, ENTRY_SIZE * (count - index))
        try:
            chunk = memory.read(address, room)
        except OSError:
            raise TableError(errno.EFAULT, f"{what}, entry {index}: {address:#x} is not in guest memory") from None
        if chunk == bytes(room):
            index += room // ENTRY_SIZE
            continue
        words = memoryview(chunk).cast("Q")
        first = index
        while index - first < len(words):
            word = words[index - first]
            if word & valid:
                yield index, base + ENTRY_SIZE * index, word
                step = distance(word)
                if step == 0:
                    return True
                index += step
            elif word:
                steps.step()
                index += 1
            else:
                index = first + _behind_zeroes(chunk, ENTRY_SIZE * (index - first)) // ENTRY_SIZE
    return False


def _behind_zeroes(chunk: bytes, at: int) -> int:
    """The first entry from ``at`` on that is not zero, or the end.

    Not one by one: tables of many devices may be the same memory, and one entry at a page's end is enough for a guest
    to have every other one of the page looked at 65,536 times.
    """
    for zeroes in _ZEROES:
        while chunk.startswith(zeroes, at):
            at += len(zeroes)
    return at


def _device_entries(memory: "GuestMemory", baser: int, steps: _Steps) -> Generator[tuple[int, int, int], None, None]:
    """Yield (DeviceID, address, word) of the valid entries of the device table."""
    base, size = table_address(baser), table_size(baser)
    if not baser & INDIRECT:
        count = min(size // ENTRY_SIZE, _MOST_IDS)
        yield from _scan(memory, base, count, ENTRY_VALID, device_distance, steps, "device table")
        return
    per_page = PAGE_SIZE // ENTRY_SIZE
    pages = min(size // ENTRY_SIZE, _MOST_IDS // per_page)
    for page, _, word in _scan(memory, base, pages, ENTRY_VALID, lambda _: 1, steps, "level 1 device table"):
        what = f"device table page {page}"
        entries = _scan(memory, Level1Entry.decode(word).address, per_page, ENTRY_VALID, device_distance, steps, what)
        last = yield from _numbered(entries, page * per_page)
        if last:
            return


def _numbered(
    entries: Generator[tuple[int, int, int], None, bool], first: int
) -> Generator[tuple[int, int, int], None, bool]:
    """``entries`` with ``first`` added to each index."""
    while True:
        try:
            index, address, word = next(entries)
        except StopIteration as end:
            return bool(end.value)
        yield first + index, address, word


def restore_tables(vm: "_core.Vm", its: int, memory: "GuestMemory", devices_baser: int, collections_baser: int) -> None:
    """Read the tables; see :meth:`vgic.ItsFrame.restore_tables`."""
    present = vm.tables(its)
    if present["devices"] or present["collections"]:
        raise TableError(errno.EBUSY, "the ITS has devices or collections: reset it before the tables are restored")
    collections = _collections(vm, its, memory, collections_baser) if collections_baser & VALID else {}
    devices: list[_Device] = []
    wrong: TableError | None = None
    if devices_baser & VALID:
        try:
            for device in _devices(memory, devices_baser, collections):
                devices.append(device)
        except TableError as error:
            wrong = error
    # As in KVM, which maps what it reads until an entry is wrong, and then frees it all: an LPI whose pending bit was
    # taken from its table is queued by then, and stays so.
    failed = vm.restore(its, list(collections.items()), devices)
    if failed is not None:
        device_id, event_id, number = failed
        why = "out of memory"
        if number == errno.EFAULT:
            why = "the LPI tables are not in guest memory (are GICR_PROPBASER and GICR_PENDBASER restored?)"
        if number == errno.EINVAL:
            why = "the device's table has no entry for it in guest memory"
        raise TableError(number, f"device {device_id}, event {event_id}: {why}")
    if wrong is not None:
        vm.free_tables(its, True, True)
        raise wrong


def _collections(vm: "_core.Vm", its: int, memory: "GuestMemory", baser: int) -> dict[int, int | None]:
    """Collections with their vCPUs, in the order of the table."""
    collections: dict[int, int | None] = {}
    for index in range(table_size(baser) // ENTRY_SIZE):
        address = table_address(baser) + ENTRY_SIZE * index
        what = f"collection table, entry {index} at {address:#x}"
        try:
            entry = CollectionEntry.decode(memory.read_u64(address))
        except OSError:
            raise TableError(errno.EFAULT, f"{what}: not in guest memory") from None
        if not entry.valid:
            break
        what += f" ({entry})"
        if entry.vcpu is not None and not (entry.vcpu < vm.vcpus and vm.is_present(entry.vcpu)):
            raise TableError(errno.EINVAL, f"{what}: the VM has no such vCPU")
        if entry.collection_id in collections:
            raise TableError(errno.EEXIST, f"{what}: the collection is there already")
        if vm.table_entry(its, _COLLECTIONS, entry.collection_id) is None:
            raise TableError(errno.EINVAL, f"{what}: the table has no entry for that collection")
        collections[entry.collection_id] = entry.vcpu
    return collections


def _devices(memory: "GuestMemory", baser: int, collections: dict[int, int | None]) -> Iterator[_Device]:
    """Yield devices, each before its list of events is filled: what was read before an error is there."""
    steps = _Steps()
    mapped = 0
    for device_id, address, word in _device_entries(memory, baser, steps):
        device = DeviceEntry.decode(word)
        what = f"device {device_id} at {address:#x} ({device})"
        if device.event_bits > _MOST_EVENT_BITS:
            raise TableError(errno.EINVAL, f"{what}: more than {_MOST_EVENT_BITS} EventID bits")
        events: list[tuple[int, int, int]] = []
        yield device_id, device.event_bits, device.itt_address, events
        room = 1 << device.event_bits
        scan = _scan(memory, device.itt_address, room, ITE_MAPPED, event_distance, steps, what)
        for event_id, ite_address, ite_word in scan:
            following, intid, collection_id = ite_fields(ite_word)
            number, why = 0, ""
            if intid < _FIRST_LPI:
                number, why = errno.EINVAL, f"INTID {intid} is not an LPI"
            elif event_id + following >= room:
                number, why = errno.EINVAL, f"the next event is beyond the device's {room} events"
            elif collection_id not in collections:
                number, why = errno.EINVAL, f"collection {collection_id} is unknown"
            elif mapped >= _MOST_EVENTS:
                number, why = errno.ENOMEM, f"more than {_MOST_EVENTS} mapped events"
            if number:
                ite = IttEntry.decode(ite_word)
                raise TableError(number, f"device {device_id}, event {event_id} at {ite_address:#x} ({ite}): {why}")
            mapped += 1
            events.append((event_id, intid, collection_id))

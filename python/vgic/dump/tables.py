"""An ITS's command queue and tables in a dump, row by row, as they are found."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from vgic.dump.formats import FORMATS, WORD, Format
from vgic.dump.memory import Dump
from vgic.dump.registers import Registers
from vgic.its.commands import COMMAND_SIZE, WORDS, decode
from vgic.its.tables import ENTRY_SIZE, ENTRY_VALID, CollectionEntry, DeviceEntry, IttEntry, Level1Entry
from vgic.registers import INDIRECT, VALID, mask

__all__ = ["COMMAND_COLUMNS", "EVENT_COLUMNS", "Kind", "Row", "Section", "Tables", "one"]

_MOST_IDS = 1 << 16
_MOST_EVENT_BITS = 16
#: Entries of all ITTs together that are looked at: 64 for each device that there may be. A guest can give all of them
#: one ITT of 65,536 entries.
_MOST_ITT_ENTRIES = 1 << 22
_FIRST_LPI = 8192


class Kind(StrEnum):
    """What a dump that is one queue or one table holds."""

    COMMANDS = "commands"
    DEVICES = "devices"
    COLLECTIONS = "collections"
    ITT = "itt"


class Row(NamedTuple):
    """One decoded entry."""

    address: int
    kind: str
    #: Its number in its queue or table; of a pending bit the INTID.
    number: int
    #: As the entry's type prints itself.
    text: str
    #: Its words, the lowest first.
    words: tuple[int, ...]
    #: What the columns show, after the address and the word.
    cells: tuple[object, ...]
    #: For an event: its device, if known.
    device_id: int | None = None
    #: For a pending bit: whose table it is in.
    vcpu: int | None = None
    #: Whether its words say more than its text.
    unknown: bool = False


class Section(NamedTuple):
    """A queue or a table."""

    title: str
    #: Head of each column of cells, and its width.
    columns: tuple[tuple[str, int], ...]
    rows: Iterable[Row]


COMMAND_COLUMNS = (("command", 0),)
_DEVICE = (("DeviceID", 8), ("ITT address", 15), ("EventID bits", 12), ("next", 5))
EVENT_COLUMNS = (("DeviceID", 8), ("EventID", 7), ("INTID", 10), ("collection", 10), ("next", 5))
_COLLECTION = (("collection", 10), ("vCPU", 10))
_LEVEL1 = (("page", 5), ("address", 15), ("DeviceIDs", 12))
_PENDING = (("vCPU", 5), ("INTID", 7))


def commands(dump: Dump, address: int, size: int) -> Iterator[Row]:
    """Rows of the command queue; entries of zeroes are left out."""
    for index, words in dump.entries(address, size, WORDS):
        command = decode(WORDS.pack(*words))
        text = str(command)
        name, _, operands = text.partition(" ")
        cells = (f"{name:7} {operands}" if command.operands else text,)
        at = address + index * COMMAND_SIZE
        yield Row(at, "command", index, text, words, cells, unknown=not command.operands)


class Tables:
    """The tables that registers name, in the format of one implementation."""

    def __init__(self, dump: Dump, registers: Registers, layout: Format) -> None:
        """Nothing is read yet."""
        self.dump = dump
        self.registers = registers
        self.layout = layout
        self._itt_entries_left = _MOST_ITT_ENTRIES

    # One table each.

    def itt(self, address: int, size: int, device_id: int | None = None) -> Iterator[tuple[Row, IttEntry]]:
        """Entries of one interrupt translation table."""
        step = self.layout.itt_entry
        for index, words in self.dump.entries(address, size, step):
            entry = self.layout.event(words[0])
            cells = (entry.intid, entry.collection_id, self._next(entry.next)) if entry.intid else ("not mapped",)
            device = "-" if device_id is None else device_id
            text = self._text(entry)
            yield (
                Row(address + index * step.size, "event", index, text, words, (device, index, *cells), device_id),
                entry,
            )

    def devices(self, address: int, size: int, first: int = 0) -> Iterator[tuple[Row, DeviceEntry]]:
        """Entries of a device table, or of a page of one that begins with DeviceID ``first``."""
        for index, words in self.dump.entries(address, size, WORD):
            entry = self.layout.device(words[0])
            if not entry.valid:
                self._doubt(words[0])
            cells = (f"{entry.itt_address:#x}", entry.event_bits, self._next(entry.next))
            row_cells = (first + index, *(cells if entry.valid else ("not valid",)))
            at = address + index * ENTRY_SIZE
            yield Row(at, "device", first + index, self._text(entry), words, row_cells), entry

    def collections(self, address: int, size: int) -> Iterator[tuple[Row, CollectionEntry]]:
        """Entries of a collection table; in KVM's the first one that is not valid ends it."""
        for following, (index, words) in enumerate(self.dump.entries(address, size, WORD)):
            if self.layout.linked and index != following:
                return
            entry = self.layout.collection(index, words[0])
            vcpu = "not mapped" if entry.vcpu is None else entry.vcpu
            cells = (entry.collection_id, vcpu) if entry.valid else ("not valid",)
            last = self.layout.linked and not entry.valid
            at = address + index * ENTRY_SIZE
            yield Row(at, "collection", index, str(entry), words, (*cells, "the end") if last else cells), entry
            if last:
                return

    def level1(self, address: int, size: int, page_size: int) -> Iterator[tuple[Row, Level1Entry]]:
        """Entries of the first level of an indirect device table."""
        per_page = page_size // ENTRY_SIZE
        for page, words in self.dump.entries(address, size, WORD):
            entry = Level1Entry(bool(words[0] & ENTRY_VALID), words[0] & mask(51, 12) & -page_size)
            ids = f"{page * per_page}-{(page + 1) * per_page - 1}"
            cells = (page, f"{entry.address:#x}", ids) if entry.valid else (page, "not valid")
            yield Row(address + page * ENTRY_SIZE, "level 1", page, str(entry), words, cells), entry

    def _next(self, distance: int) -> object:
        return distance if self.layout.linked else "-"

    def _text(self, entry: DeviceEntry | IttEntry) -> str:
        return str(entry) if self.layout.linked else str(entry).removesuffix(" next=0")

    def _doubt(self, word: int) -> None:
        for other in FORMATS.values():
            if other is not self.layout and other.device(word).valid:
                self.dump.remark(
                    f"there are device entries that are not valid in the format of {self.layout.name}, "
                    f"but would be in that of {other.name}: is it --format {other.name}?"
                )

    # What the registers name.

    def all_devices(self) -> Iterator[tuple[Row, DeviceEntry]]:
        """The device table's entries, of one level or two."""
        baser0 = self.registers.baser0
        if baser0 is None:
            return
        address, size = self.layout.address(baser0), self.layout.size(baser0)
        if not baser0 & INDIRECT:
            size = self.dump.share(address, min(size, _MOST_IDS * ENTRY_SIZE), "device table")
            yield from self.devices(address, size)
            return
        page_size = self.layout.page(baser0)
        for row, entry in self._all_level1(baser0):
            if entry.valid:
                size = self.dump.share(entry.address, page_size, f"device table, page {row.number}")
                yield from self.devices(entry.address, size, row.number * (page_size // ENTRY_SIZE))

    def _all_level1(self, baser0: int) -> Iterator[tuple[Row, Level1Entry]]:
        page_size, address = self.layout.page(baser0), self.layout.address(baser0)
        most = _MOST_IDS // (page_size // ENTRY_SIZE) * ENTRY_SIZE
        size = self.dump.share(address, min(self.layout.size(baser0), most), "device table, level 1")
        return self.level1(address, size, page_size)

    def events_of(self, device_id: int, device: DeviceEntry) -> Iterator[tuple[Row, IttEntry]]:
        """The entries of a device's ITT."""
        entry = self.layout.itt_entry.size
        size = entry << min(device.event_bits, _MOST_EVENT_BITS)
        size = self.dump.share(device.itt_address, size, f"ITT of device {device_id}")
        if size // entry > self._itt_entries_left:
            self.dump.remark(f"the ITTs have more than {_MOST_ITT_ENTRIES:,} entries: the rest is not looked at")
            size = entry * self._itt_entries_left
        self._itt_entries_left -= size // entry
        return self.itt(device.itt_address, size, device_id)

    def all_collections(self) -> Iterator[tuple[Row, CollectionEntry]]:
        """The collection table's entries."""
        baser1 = self.registers.baser1
        if baser1 is not None:
            address = self.layout.address(baser1)
            size = min(self.layout.size(baser1), _MOST_IDS * ENTRY_SIZE)
            yield from self.collections(address, self.dump.share(address, size, "collection table"))

    @property
    def intids(self) -> int:
        """How many INTIDs there are: those of GICR_PROPBASER.IDbits, of 16 bits at most."""
        propbaser = self.registers.propbaser
        return _MOST_IDS if propbaser is None else min(_MOST_IDS, 2 << (propbaser & 0x1F))

    def pending(self, vcpu: int) -> Iterator[Row]:
        """The bits that are set in a vCPU's pending table."""
        start = self.registers.pendbaser[vcpu] & mask(51, 16)
        size = self.dump.share(start, self.intids // 8, f"pending table of vCPU {vcpu}") - _FIRST_LPI // 8
        for index, (word,) in self.dump.entries(start + _FIRST_LPI // 8, max(0, size), WORD):
            at = start + _FIRST_LPI // 8 + 8 * index
            bits = word
            while bits:
                lowest = bits & -bits
                intid = _FIRST_LPI + 64 * index + lowest.bit_length() - 1
                yield Row(at, "pending", intid, f"LPI {intid}", (word,), (vcpu, intid), vcpu=vcpu)
                bits ^= lowest

    def configuration(self) -> bytes:
        """The configuration byte of each LPI, from 8192 on, as far as the dump has them."""
        propbaser = self.registers.propbaser
        size = self.intids - _FIRST_LPI
        if propbaser is None or size <= 0:
            return b""
        start = propbaser & mask(51, 12)
        return self.dump.read(start, self.dump.share(start, size, "configuration table"))

    def check_registers(self) -> None:
        """Remark on registers that name nothing."""
        named = self.registers
        values = {"GITS_CBASER": named.cbaser, "GITS_BASER0": named.baser0, "GITS_BASER1": named.baser1}
        for name, value in values.items():
            if value is not None and not value & VALID:
                self.dump.remark(f"{name} {value:#x} is not valid: bit 63 is clear")

    def sections(self) -> Iterator[Section]:
        """Everything that the registers name, table by table."""
        self.check_registers()
        named, layout = self.registers, self.layout
        if (cbaser := named.cbaser) is not None:
            address = cbaser & mask(51, 12) & ~mask(15, 12)
            size = self.dump.share(address, ((cbaser & 0xFF) + 1) << 12, "command queue")
            yield Section(f"Command queue at {address:#x}", COMMAND_COLUMNS, commands(self.dump, address, size))
        if named.baser1 is not None:
            title = f"Collection table at {layout.address(named.baser1):#x}"
            yield Section(title, _COLLECTION, (row for row, _ in self.all_collections()))
        if (baser0 := named.baser0) is not None:
            title = f"Device table at {layout.address(baser0):#x}"
            if baser0 & INDIRECT:
                level1_title = f"{title}: level 1, pages of {layout.page(baser0) // ENTRY_SIZE} devices"
                yield Section(level1_title, _LEVEL1, (row for row, _ in self._all_level1(baser0)))
                title = "Devices"
            yield Section(title, _DEVICE, (row for row, _ in self.all_devices()))
            events = (
                row
                for device, entry in self.all_devices()
                if entry.valid
                for row, _ in self.events_of(device.number, entry)
            )
            yield Section("Events, from the devices' interrupt translation tables", EVENT_COLUMNS, events)
        if named.pendbaser:
            rows = (row for vcpu in sorted(named.pendbaser) for row in self.pending(vcpu))
            yield Section("Pending tables", _PENDING, rows)


def one(dump: Dump, kind: Kind, layout: Format) -> Iterator[Section]:
    """A raw dump as one queue or one table."""
    at, size = dump.segments[0].address, dump.size
    tables = Tables(dump, Registers(), layout)
    entry = {Kind.COMMANDS: COMMAND_SIZE, Kind.ITT: layout.itt_entry.size}.get(kind, ENTRY_SIZE)
    if size % entry:
        dump.remark(f"the dump ends with {size % entry} of the {entry} bytes of an entry")
    if kind is Kind.COMMANDS:
        yield Section(f"Command queue at {at:#x}", COMMAND_COLUMNS, commands(dump, at, size))
    elif kind is Kind.DEVICES:
        yield Section(f"Device table at {at:#x}", _DEVICE, (row for row, _ in tables.devices(at, size)))
    elif kind is Kind.COLLECTIONS:
        yield Section(f"Collection table at {at:#x}", _COLLECTION, (row for row, _ in tables.collections(at, size)))
    else:
        rows = (row._replace(cells=row.cells[1:]) for row, _ in tables.itt(at, size))
        yield Section(f"Interrupt translation table at {at:#x}", EVENT_COLUMNS[1:], rows)

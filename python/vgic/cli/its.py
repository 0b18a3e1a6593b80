"""``vgic its``: what an ITS's memory says, in words.

A dump may be large and is not to be trusted: it is read piece by piece, where the tables are, and rows are printed as
they are found.
"""

import json as json_module
import os
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from vgic.cli.common import Update, check_json, progress, warn, write_json
from vgic.cli.helping import Command, Group
from vgic.cli.options import JsonOption
from vgic.its.commands import COMMAND_SIZE, decode
from vgic.its.saving import table_address, table_size
from vgic.its.tables import ENTRY_SIZE, CollectionEntry, DeviceEntry, IttEntry, Level1Entry
from vgic.registers import INDIRECT, VALID, mask

__all__ = ["app"]

#: Most bytes that are taken from a pipe, which has to be held: 1 GiB.
MOST_HELD = 1 << 30
_PER_PAGE = 8192
_MOST_IDS = 1 << 16
_MOST_EVENT_BITS = 16
_CHUNK = 1 << 16
_MOST_REMARKS = 10
#: Seconds until a progress bar appears.
_PATIENCE = 2.0

app = typer.Typer(
    name="its",
    cls=Group,
    help="Read an ITS's commands and tables in a dump of guest memory.",
    no_args_is_help=True,
    add_completion=False,
)


class Kind(StrEnum):
    """What the dump holds."""

    COMMANDS = "commands"
    DEVICES = "devices"
    COLLECTIONS = "collections"
    ITT = "itt"


class Row(NamedTuple):
    """One decoded entry."""

    address: int
    kind: str
    #: Its number in its queue or table.
    number: int
    #: As the entry's type prints itself.
    text: str
    #: Its 64-bit words, the lowest first.
    words: tuple[int, ...]
    #: What the columns show, after the address and the word.
    cells: tuple[object, ...]
    #: For an event: its device, if known.
    device_id: int | None = None
    #: Whether its words say more than its text.
    unknown: bool = False


class Section(NamedTuple):
    """A queue or a table."""

    title: str
    #: Head of each column of cells, and its width.
    columns: tuple[tuple[str, int], ...]
    rows: Iterable[Row]


_COMMAND = (("command", 0),)
_DEVICE = (("DeviceID", 8), ("ITT address", 15), ("EventID bits", 12), ("next", 5))
_EVENT = (("DeviceID", 8), ("EventID", 7), ("INTID", 10), ("collection", 10), ("next", 5))
_COLLECTION = (("collection", 10), ("vCPU", 10))
_LEVEL1 = (("page", 5), ("address", 15), ("DeviceIDs", 12))


class Dump:
    """Bytes of guest memory, from an address on."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, base: int) -> None:
        """``read(offset, size)``: bytes of the dump, fewer where it ends."""
        self._read = read
        self.size = size
        self.base = base
        self.end = base + size
        #: What the dump does not have, and the like, in the order in which it was found.
        self.remarks: dict[str, None] = {}
        #: Called with the offset of each piece that is read.
        self.on_read: Callable[[int], object] = lambda offset: None

    def remark(self, text: str) -> None:
        """Keep a remark, for the end."""
        self.remarks[text] = None

    def share(self, address: int, size: int, what: str) -> int:
        """How many of ``size`` bytes at ``address`` the dump has, counted from there; a remark if not all."""
        if self.base <= address < self.end:
            if address + size > self.end:
                self.remark(f"{what} at {address:#x}: the dump ends at {self.end:#x}, within it")
            return min(size, self.end - address)
        self.remark(f"{what} at {address:#x}: not in the dump ({self.base:#x} to {self.end - 1:#x})")
        return 0

    def entries(self, address: int, size: int, entry_size: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """(index, words) of the whole entries in ``size`` bytes at ``address`` that are not zero."""
        unpack = struct.Struct(f"<{entry_size // 8}Q")
        for at in range(0, size - size % entry_size, _CHUNK):
            offset = address - self.base + at
            self.on_read(offset)
            chunk = self._read(offset, min(_CHUNK, size - at))
            if chunk.count(0) == len(chunk):
                continue
            usable = len(chunk) - len(chunk) % entry_size
            for index, words in enumerate(unpack.iter_unpack(chunk[:usable]), at // entry_size):
                if any(words):
                    yield index, words


def commands(dump: Dump, address: int, size: int) -> Iterator[Row]:
    """Rows of the command queue; entries of zeroes are left out."""
    for index, words in dump.entries(address, size, COMMAND_SIZE):
        command = decode(struct.pack("<4Q", *words))
        text = str(command)
        name, _, operands = text.partition(" ")
        cells = (f"{name:7} {operands}" if command.operands else text,)
        at = address + index * COMMAND_SIZE
        yield Row(at, "command", index, text, words, cells, unknown=not command.operands)


def itt(dump: Dump, address: int, size: int, device_id: int | None = None) -> Iterator[Row]:
    """Rows of one interrupt translation table."""
    for index, words in dump.entries(address, size, ENTRY_SIZE):
        entry = IttEntry.decode(words[0])
        cells = (entry.intid, entry.collection_id, entry.next) if entry.intid else ("not mapped",)
        device = "-" if device_id is None else device_id
        at = address + index * ENTRY_SIZE
        yield Row(at, "event", index, str(entry), words, (device, index, *cells), device_id)


def devices(dump: Dump, address: int, size: int, first: int = 0) -> Iterator[Row]:
    """Rows of a device table, or of a page of one that begins with DeviceID ``first``."""
    for index, words in dump.entries(address, size, ENTRY_SIZE):
        entry = DeviceEntry.decode(words[0])
        cells = (f"{entry.itt_address:#x}", entry.event_bits, entry.next) if entry.valid else ("not valid",)
        at = address + index * ENTRY_SIZE
        yield Row(at, "device", first + index, str(entry), words, (first + index, *cells))


def collections(dump: Dump, address: int, size: int) -> Iterator[Row]:
    """Rows of a collection table; the first entry that is not valid ends it."""
    for following, (index, words) in enumerate(dump.entries(address, size, ENTRY_SIZE)):
        if index != following:
            return
        entry = CollectionEntry.decode(words[0])
        vcpu = "not mapped" if entry.vcpu is None else entry.vcpu
        cells = (entry.collection_id, vcpu) if entry.valid else ("not valid", "the end")
        yield Row(address + index * ENTRY_SIZE, "collection", index, str(entry), words, cells)
        if not entry.valid:
            return


def level1(dump: Dump, address: int, size: int) -> Iterator[Row]:
    """Rows of the first level of an indirect device table."""
    for page, words in dump.entries(address, size, ENTRY_SIZE):
        entry = Level1Entry.decode(words[0])
        ids = f"{page * _PER_PAGE}-{(page + 1) * _PER_PAGE - 1}"
        cells = (page, f"{entry.address:#x}", ids) if entry.valid else (page, "not valid")
        yield Row(address + page * ENTRY_SIZE, "level 1", page, str(entry), words, cells)


def whole(dump: Dump, cbaser: int | None, baser0: int | None, baser1: int | None) -> Iterator[Section]:
    """Everything that the registers name."""
    for name, value in (("GITS_CBASER", cbaser), ("GITS_BASER0", baser0), ("GITS_BASER1", baser1)):
        if value is not None and not value & VALID:
            dump.remark(f"{name} {value:#x} is not valid: bit 63 is clear")
    if cbaser is not None:
        address = cbaser & mask(51, 12) & ~mask(15, 12)
        size = dump.share(address, ((cbaser & 0xFF) + 1) << 12, "command queue")
        yield Section(f"Command queue at {address:#x}", _COMMAND, commands(dump, address, size))
    if baser1 is not None:
        address = table_address(baser1)
        size = dump.share(address, table_size(baser1), "collection table")
        yield Section(f"Collection table at {address:#x}", _COLLECTION, collections(dump, address, size))
    if baser0 is not None:
        yield from _device_tables(dump, baser0)


def _device_tables(dump: Dump, baser0: int) -> Iterator[Section]:
    address = table_address(baser0)
    parts = []
    if baser0 & INDIRECT:
        most = _MOST_IDS // _PER_PAGE * ENTRY_SIZE
        size = dump.share(address, min(table_size(baser0), most), "device table, level 1")
        title = f"Device table at {address:#x}: level 1, pages of {_PER_PAGE} devices"
        yield Section(title, _LEVEL1, level1(dump, address, size))
        for row in level1(dump, address, size):
            page = Level1Entry.decode(row.words[0])
            if page.valid:
                what = f"device table, page {row.number}"
                parts.append((page.address, dump.share(page.address, _PER_PAGE * ENTRY_SIZE, what), row.number))
    else:
        size = dump.share(address, min(table_size(baser0), _MOST_IDS * ENTRY_SIZE), "device table")
        parts.append((address, size, 0))

    def all_devices() -> Iterator[Row]:
        for start, length, page in parts:
            yield from devices(dump, start, length, page * _PER_PAGE)

    def all_events() -> Iterator[Row]:
        for row in all_devices():
            entry = DeviceEntry.decode(row.words[0])
            if entry.valid:
                length = ENTRY_SIZE << min(entry.event_bits, _MOST_EVENT_BITS)
                length = dump.share(entry.itt_address, length, f"ITT of device {row.number}")
                yield from itt(dump, entry.itt_address, length, row.number)

    yield Section("Devices" if baser0 & INDIRECT else f"Device table at {address:#x}", _DEVICE, all_devices())
    yield Section("Events, from the devices' interrupt translation tables", _EVENT, all_events())


def one(dump: Dump, kind: Kind) -> Iterator[Section]:
    """The dump as one queue or one table."""
    at, size = dump.base, dump.size
    entry = COMMAND_SIZE if kind is Kind.COMMANDS else ENTRY_SIZE
    if size % entry:
        dump.remark(f"the dump ends with {size % entry} of the {entry} bytes of an entry")
    if kind is Kind.COMMANDS:
        yield Section(f"Command queue at {at:#x}", _COMMAND, commands(dump, at, size))
    elif kind is Kind.DEVICES:
        yield Section(f"Device table at {at:#x}", _DEVICE, devices(dump, at, size))
    elif kind is Kind.COLLECTIONS:
        yield Section(f"Collection table at {at:#x}", _COLLECTION, collections(dump, at, size))
    else:
        yield Section(f"Interrupt translation table at {at:#x}", _EVENT[1:], _without_device(itt(dump, at, size)))


def _without_device(rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        yield row._replace(cells=row.cells[1:])


def lines(section: Section, width: int, *, words: bool) -> Iterator[str]:
    """A section's lines; ``width``: of addresses; ``words``: those of each command, too."""
    queue = section.columns is _COMMAND
    columns = section.columns if queue else (("word", 16), *section.columns)
    shown = False
    for row in section.rows:
        if not shown:
            yield section.title
            yield f"{'address':{width}}  " + "  ".join(f"{head:>{wide}}" for head, wide in columns)
            shown = True
        raw = " ".join(f"{word:016x}" for word in row.words)
        cells = row.cells if queue else (raw, *row.cells)
        text = "  ".join(f"{cell!s:>{wide}}" for (_, wide), cell in zip(columns, cells, strict=False))
        yield f"{row.address:#0{width}x}  {text}"
        if queue and (words or row.unknown):
            yield f"{'':{width}}  {raw}"
    if not shown:
        yield f"{section.title}: no entry"


def json_parts(sections: Iterable[Section], dump: Dump) -> Iterator[str]:
    """The rows as JSON, piece by piece."""
    yield '{"schema": 1,\n "entries": ['
    separator = "\n  "
    for section in sections:
        for row in section.rows:
            entry: dict[str, object] = {"address": row.address, "kind": row.kind, "number": row.number}
            if row.device_id is not None:
                entry["device_id"] = row.device_id
            entry |= {"text": row.text, "words": [f"{word:#018x}" for word in row.words]}
            yield separator + json_module.dumps(entry)
            separator = ",\n  "
    yield '],\n "remarks": ' + json_module.dumps(list(dump.remarks)) + "}\n"


def _number(text: str | int) -> int:  # A default comes as it is.
    try:
        value = int(str(text), 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise typer.BadParameter(f"{text!r} is not a number from 0 to 2**64 - 1 (0x... is hexadecimal)")
    return value


def _open(file: str, base: int, stack: ExitStack) -> Dump:
    """The dump: a file is read where it is needed, a pipe is held."""
    name = "standard input" if file == "-" else file
    stream = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))  # noqa: SIM115
    status = os.fstat(stream.fileno())
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "Is a directory", name)
    if stat.S_ISREG(status.st_mode) and file != "-":
        number, size = stream.fileno(), status.st_size
        dump = Dump(lambda offset, count: os.pread(number, count, offset), size, base)
    else:
        data = stream.read(MOST_HELD + 1)
        if len(data) > MOST_HELD:
            raise ValueError(f"{name}: more than {MOST_HELD >> 20} MiB, which only a regular file may have")
        size = len(data)
        dump = Dump(lambda offset, count: data[offset : offset + count], size, base)
    if not size:
        raise ValueError(f"{name}: the dump is empty")
    if dump.end > 1 << 64:
        raise ValueError(f"--base {base:#x}: {size} bytes from there on do not fit into 64 bits of address")
    return dump


class _Bar:
    """A progress bar for what takes long and prints nothing on the terminal meanwhile."""

    def __init__(self, size: int, stack: ExitStack) -> None:
        """``size``: of the dump; the bar ends with ``stack``."""
        self._size = size
        self._stack = stack
        self._due = time.monotonic() + _PATIENCE
        self._update: Update | None = None
        self._wanted = sys.stderr.isatty() and not sys.stdout.isatty()

    def __call__(self, offset: int) -> None:
        """Show where the reading is."""
        if self._wanted and time.monotonic() > self._due:
            if self._update is None:
                self._update = self._stack.enter_context(progress("decoding"))
            self._update(offset / self._size)


@app.callback()
def _its() -> None:
    """Read an ITS's commands and tables in a dump of guest memory."""


@app.command("decode", cls=Command)
def decode_dump(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="Raw bytes of guest memory; - is standard input.")],
    kind: Annotated[
        Kind | None, typer.Option("--as", help="What the dump holds from its first byte on. Default: commands.")
    ] = None,
    base: Annotated[
        int, typer.Option(parser=_number, metavar="ADDRESS", help="Guest physical address of its first byte.")
    ] = 0,
    cbaser: Annotated[
        int | None, typer.Option(parser=_number, metavar="VALUE", help="GITS_CBASER: print that command queue.")
    ] = None,
    baser0: Annotated[
        int | None,
        typer.Option(parser=_number, metavar="VALUE", help="GITS_BASER0: print that device table, and each ITT."),
    ] = None,
    baser1: Annotated[
        int | None, typer.Option(parser=_number, metavar="VALUE", help="GITS_BASER1: print that collection table.")
    ] = None,
    words: Annotated[bool, typer.Option("--words", help="Print the four 64-bit words of each command, too.")] = False,
    json: JsonOption = None,
) -> None:
    """Print ITS commands and table entries readably.

    Tables are in the format that KVM saves (revision 0). Without register
    values the whole dump is one queue or one table (--as); with them, what
    they name is printed, and --base says where the dump begins. Entries of
    zeroes are left out.
    """
    check_json(json)
    registers = (cbaser, baser0, baser1)
    named = any(value is not None for value in registers)
    if kind is not None and named:
        raise ValueError("--as and register values exclude each other: the registers say what is where")
    with ExitStack() as stack:
        dump = _open(file, base, stack)
        dump.on_read = _Bar(dump.size, stack)

        def sections() -> Iterator[Section]:
            return whole(dump, *registers) if named else one(dump, kind or Kind.COMMANDS)

        if json is not None:
            write_json(json, json_parts(sections(), dump))
        if json != "-":
            _print(sections(), dump, words=words)


def _print(sections: Iterable[Section], dump: Dump, *, words: bool) -> None:
    """For people: not by way of Rich, as there may be millions of lines."""
    out = sys.stdout  # which a progress bar replaces
    width = max(len("address"), len(f"{dump.end - 1:#x}"))
    for number, section in enumerate(sections):
        if number:
            out.write("\n")
        for line in lines(section, width, words=words):
            out.write(line + "\n")
    out.flush()
    remarks = list(dump.remarks)
    for remark in remarks[:_MOST_REMARKS]:
        warn(f"note: {remark}")
    if len(remarks) > _MOST_REMARKS:
        warn(f"note: {len(remarks) - _MOST_REMARKS} more like these")

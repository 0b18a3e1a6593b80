"""``vgic its``: what an ITS's memory says, in words."""

import json as json_module
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from vgic.cli.common import JsonOption, check_json, console, write_json
from vgic.its.commands import COMMAND_SIZE, decode
from vgic.its.saving import table_address, table_size
from vgic.its.tables import ENTRY_SIZE, CollectionEntry, DeviceEntry, IttEntry, Level1Entry
from vgic.registers import mask

__all__ = ["app"]

#: Most bytes of a dump: 1 GiB.
MAX_BYTES = 1 << 30
_INDIRECT = 1 << 62
_PER_PAGE = 8192

app = typer.Typer(help="Read an ITS's commands and tables in a dump of guest memory.", no_args_is_help=True)


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
    text: str
    #: As it is in memory, the lowest word first.
    words: str


class _Dump:
    """Bytes of guest memory, from an address on."""

    def __init__(self, data: bytes, base: int) -> None:
        self.data = data
        self.base = base

    def read(self, address: int, size: int) -> bytes:
        """What the dump has of it; shorter, or empty, where it ends."""
        start = address - self.base
        return self.data[start : start + size] if start >= 0 else b""

    def words(self, address: int, count: int) -> Iterator[tuple[int, int, int]]:
        """(index, address, word) of the 64-bit words that are not zero."""
        data = self.read(address, count * ENTRY_SIZE)
        for index in range(len(data) // ENTRY_SIZE):
            word = int.from_bytes(data[index * ENTRY_SIZE : (index + 1) * ENTRY_SIZE], "little")
            if word:
                yield index, address + ENTRY_SIZE * index, word

    def size_from(self, address: int) -> int:
        return max(0, self.base + len(self.data) - address) if address >= self.base else 0


def _row(address: int, kind: str, index: int, text: str, word: int) -> Row:
    return Row(address, kind, index, text, f"{word:016x}")


def commands(dump: _Dump, address: int, size: int) -> Iterator[Row]:
    """Rows of the command queue; entries of zeroes are left out."""
    data = dump.read(address, size)
    for index in range(len(data) // COMMAND_SIZE):
        entry = data[index * COMMAND_SIZE : (index + 1) * COMMAND_SIZE]
        if entry != bytes(COMMAND_SIZE):
            words = " ".join(f"{int.from_bytes(entry[at : at + 8], 'little'):016x}" for at in range(0, 32, 8))
            yield Row(address + index * COMMAND_SIZE, "command", index, str(decode(entry)), words)


def itt(dump: _Dump, address: int, events: int) -> Iterator[Row]:
    """Rows of one interrupt translation table."""
    for index, at, word in dump.words(address, events):
        yield _row(at, "event", index, str(IttEntry.decode(word)), word)


def devices(dump: _Dump, address: int, count: int, first: int = 0, *, with_events: bool = False) -> Iterator[Row]:
    """Rows of a device table, or of a page of one that begins with DeviceID ``first``."""
    for index, at, word in dump.words(address, count):
        entry = DeviceEntry.decode(word)
        yield _row(at, "device", first + index, str(entry), word)
        if with_events and entry.valid:
            yield from itt(dump, entry.itt_address, 1 << min(entry.event_bits, 16))


def collections(dump: _Dump, address: int, count: int) -> Iterator[Row]:
    """Rows of a collection table, to its end."""
    for index, at, word in dump.words(address, count):
        entry = CollectionEntry.decode(word)
        if not entry.valid:
            return
        yield _row(at, "collection", index, str(entry), word)


def whole(dump: _Dump, cbaser: int | None, baser0: int | None, baser1: int | None) -> Iterator[Row]:
    """Rows of everything that the registers name."""
    if cbaser is not None:
        yield from commands(dump, cbaser & mask(51, 12) & ~mask(15, 12), ((cbaser & 0xFF) + 1) << 12)
    if baser1 is not None:
        yield from collections(dump, table_address(baser1), table_size(baser1) // ENTRY_SIZE)
    if baser0 is not None and not baser0 & _INDIRECT:
        yield from devices(dump, table_address(baser0), table_size(baser0) // ENTRY_SIZE, with_events=True)
    elif baser0 is not None:
        for page, at, word in dump.words(table_address(baser0), min(table_size(baser0) // ENTRY_SIZE, 8)):
            entry = Level1Entry.decode(word)
            yield _row(at, "level 1", page, str(entry), word)
            if entry.valid:
                yield from devices(dump, entry.address, _PER_PAGE, page * _PER_PAGE, with_events=True)


def _number(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise typer.BadParameter(f"{text!r} is not a number from 0 to 2**64 - 1 (0x... is hexadecimal)")
    return value


def _read(file: str) -> bytes:
    if file == "-":
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    name = "standard input" if file == "-" else file
    if len(data) > MAX_BYTES:
        raise ValueError(f"{name}: more than {MAX_BYTES >> 20} MiB; cut the dump, and say with --base where it begins")
    if not data:
        raise ValueError(f"{name}: the dump is empty")
    return data


@app.callback()
def _its() -> None:
    """Read an ITS's commands and tables in a dump of guest memory."""


@app.command("decode")
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
    json: JsonOption = None,
) -> None:
    """Print ITS commands and table entries readably.

    Tables are in the format that KVM saves (revision 0). Without register values the whole dump is one queue or one
    table (--as); with them, what they name is printed, and --base says where the dump begins. Entries of zeroes are
    left out.
    """
    check_json(json)
    registers = (cbaser, baser0, baser1)
    named = any(value is not None for value in registers)
    if kind is not None and named:
        raise ValueError("--as and register values exclude each other: the registers say what is where")
    dump = _Dump(_read(file), base)
    if named:
        rows = list(whole(dump, *registers))
    else:
        count = len(dump.data) // ENTRY_SIZE
        readers = {Kind.DEVICES: devices, Kind.COLLECTIONS: collections, Kind.ITT: itt}
        reader = readers.get(kind or Kind.COMMANDS)
        rows = list(reader(dump, base, count) if reader else commands(dump, base, len(dump.data)))
    if json is not None:
        data = {"schema": 1, "entries": [row._asdict() for row in rows]}
        write_json(json, json_module.dumps(data, indent=1) + "\n")
        if json == "-":
            return
    out = console()
    if not rows:
        out.print("nothing there: only zeroes" if named else "only zeroes")
    for row in rows:
        indent = "  " if row.kind == "event" and named else ""
        out.print(f"{row.address:#012x}  {row.words}  {indent}{row.kind} {row.number}: {row.text}", soft_wrap=True)

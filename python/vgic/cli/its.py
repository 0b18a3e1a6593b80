"""``vgic its decode``: what an ITS's memory says, in words.

A dump may be large and is not to be trusted: it is read piece by piece, where the tables are, and rows are printed as
they are found.
"""

import json as json_module
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vgic.cli.common import Update, check_json, progress, text_width, warn, write_json
from vgic.cli.helping import Command, Group
from vgic.cli.its_check import check_its
from vgic.cli.options import JsonOption
from vgic.dump.formats import FORMATS
from vgic.dump.memory import Dump, open_dump
from vgic.dump.registers import Registers, registers_of
from vgic.dump.tables import COMMAND_COLUMNS, Kind, Section, Tables, one
from vgic.dump.tree import Contents

__all__ = ["app"]

#: Most bytes of a file of register values.
_MOST_TEXT = 64 << 20
_MOST_REMARKS = 10
#: A width for those who are no terminal: a vCPU may have 57,344 LPIs pending.
_UNWRAPPED = 1 << 20
#: Seconds until a progress bar appears.
_PATIENCE = 2.0

app = typer.Typer(
    name="its",
    cls=Group,
    help="Look into an ITS: what its memory says, what it does.",
    no_args_is_help=True,
    add_completion=False,
)


class TableFormat(StrEnum):
    """Whose tables they are."""

    KVM = "kvm"
    QEMU = "qemu"


def lines(section: Section, width: int, *, words: bool) -> Iterator[str]:
    """A section's lines; ``width``: of addresses; ``words``: those of each command, too."""
    queue = section.columns is COMMAND_COLUMNS
    columns = section.columns
    shown = False
    for row in section.rows:
        raw = " ".join(f"{word:016x}" for word in row.words)
        if not shown:
            columns = columns if queue else (("word", len(raw)), *columns)
            yield section.title
            yield f"{'address':{width}}  " + "  ".join(f"{head:>{wide}}" for head, wide in columns)
            shown = True
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
            if row.vcpu is not None:
                entry["vcpu"] = row.vcpu
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


def _registers(
    file: Path | None,
    cbaser: int | None,
    baser0: int | None,
    baser1: int | None,
    propbaser: int | None,
    pendbaser: list[int] | None,
) -> Registers:
    """What a file names, and over it what the options do."""
    found = Registers()
    if file is not None:
        with file.open("rb") as opened:
            data = opened.read(_MOST_TEXT + 1)
        if len(data) > _MOST_TEXT:
            raise ValueError(f"{file}: more than {_MOST_TEXT >> 20} MiB of text")
        try:
            found = registers_of(data.decode(errors="replace"))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
    given = {"cbaser": cbaser, "baser0": baser0, "baser1": baser1, "propbaser": propbaser}
    for name, value in given.items():
        if value is not None:
            setattr(found, name, value)
    if pendbaser:
        found.pendbaser = dict(enumerate(pendbaser))
    return found


def _value(help_text: str) -> object:
    return typer.Option(parser=_number, metavar="VALUE", help=help_text)


@app.callback()
def _its() -> None:
    """Look into an ITS: what its memory says, what it does."""


@app.command("decode", cls=Command)
def decode_dump(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A dump of guest memory; - is standard input.")],
    kind: Annotated[
        Kind | None, typer.Option("--as", help="What a raw dump holds from its first byte on. Default: commands.")
    ] = None,
    base: Annotated[
        int | None,
        typer.Option(
            parser=_number, metavar="ADDRESS", help="Guest physical address of a raw dump's first byte. Default: 0."
        ),
    ] = None,
    registers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A text with register values: name=value, gdb's output, a saved state, or Linux's boot messages.",
        ),
    ] = None,
    cbaser: Annotated[int | None, _value("GITS_CBASER: print that command queue.")] = None,
    baser0: Annotated[int | None, _value("GITS_BASER0: print that device table, and each ITT.")] = None,
    baser1: Annotated[int | None, _value("GITS_BASER1: print that collection table.")] = None,
    propbaser: Annotated[int | None, _value("GICR_PROPBASER: number of INTIDs, priorities.")] = None,
    pendbaser: Annotated[
        list[int] | None, _value("GICR_PENDBASER: print that pending table. Once for each vCPU, from 0 on.")
    ] = None,
    layout: Annotated[
        TableFormat, typer.Option("--format", help="Whose tables: KVM's, or those of the ITS that QEMU emulates.")
    ] = TableFormat.KVM,
    tree: Annotated[
        bool, typer.Option("--tree", help="Print what goes where: devices, events, collections, pending LPIs.")
    ] = False,
    words: Annotated[bool, typer.Option("--words", help="Print the four 64-bit words of each command, too.")] = False,
    json: JsonOption = None,
) -> None:
    """Print ITS commands and table entries readably.

    FILE is an ELF core (virsh dump --memory-only, QEMU's dump-guest-memory)
    or raw memory (QEMU's pmemsave), where --base says where it begins.
    Registers are not in memory: options or --registers give their values,
    and what they name is printed. Without them a raw dump is one queue or
    one table (--as). Entries of zeroes are left out.
    """
    check_json(json)
    named = _registers(registers, cbaser, baser0, baser1, propbaser, pendbaser)
    if kind is not None and named:
        raise ValueError("--as and register values exclude each other: the registers say what is where")
    if tree and words:
        raise ValueError("--words and --tree exclude each other: a tree shows no commands")
    if tree and not named:
        raise ValueError("--tree: registers say where the tables are (--registers, or --baser0 and the others)")
    with ExitStack() as stack:
        dump = open_dump(file, base, stack)
        dump.on_read = _Bar(dump.size, stack)
        if not (dump.raw or named):
            raise ValueError(f"{file}: registers say where the tables are (--registers, or --baser0 and the others)")
        tables = Tables(dump, named, FORMATS[layout])

        def sections() -> Iterator[Section]:
            return tables.sections() if named else one(dump, kind or Kind.COMMANDS, tables.layout)

        if json is not None:
            write_json(json, Contents(tables).json_parts() if tree else json_parts(sections(), dump))
        if json != "-":
            if tree:
                _print_trees(Contents(tables))
            else:
                _print(sections(), dump, words=words)
            _print_remarks(dump)


def _print_trees(contents: Contents) -> None:
    """A tree at a time: a device has 65,536 events at most."""
    console = Console(highlight=False, emoji=False, markup=False)
    for tree in contents.trees():
        console.print(tree, width=text_width(console, _UNWRAPPED))


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


def _print_remarks(dump: Dump) -> None:
    remarks = list(dump.remarks)
    for remark in remarks[:_MOST_REMARKS]:
        warn(f"note: {remark}")
    if len(remarks) > _MOST_REMARKS:
        warn(f"note: {len(remarks) - _MOST_REMARKS} more like these")


app.command("check", cls=Command)(check_its)

"""Reader of QEMU's trace log (``-trace 'gicv3_*' -D file``), plain or compressed with xz.

A line is a prefix, the name of an event and its message (QEMU, ``hw/intc/trace-events``). Prefixes: none;
``pid@seconds.microseconds:``; an ISO-8601 time, alone or before that. What is used:

- ``gicv3_its_cmd_*``: the guest's ITS commands. SYNC and INVALL are logged without operands: SYNC needs none, and an
  INVALL is taken to be for the collection of the last MAPC, since guests issue it right after (Linux,
  ``its_cpu_init_collection``). MAPD's ``Size`` is the command's field, one less than the number of EventID bits
  (Arm GICv3, 5.3.11).
- ``gicv3_its_translation_write``: a device's MSI; ``data`` is the EventID and ``requester_id`` the DeviceID.
- ``gicv3_its_write`` at offset 0: GITS_CTLR. (The translation frame has its own event.)
- ``gicv3_redist_write`` at offset 0: GICR_CTLR, with EnableLPIs in bit 0.
- ``gicv3_icc_iar1_read`` and ``gicv3_icc_eoir_write`` with an INTID of an LPI (8192 to 65535).

The redistributor and the CPU interface name a vCPU by its affinity; the virt machine has 16 a cluster.

The emulator's threads write the log, so lines of different threads that lie within microseconds of each other may
stand in the wrong order; nothing is sorted here, since nothing in the file says which ones.
"""

import hashlib
import lzma
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from vgic.errors import RecordingError
from vgic.trace.recording import Recording

__all__ = ["MAX_BYTES", "MAX_LINE", "read_qemu"]

#: Text that a file may hold, decompressed: 2 GiB.
MAX_BYTES = 2 << 30
#: Longest line: 64 KiB.
MAX_LINE = 64 << 10
_CHUNK = 1 << 18
_XZ_MAGIC = b"\xfd7zXZ\x00"
_XZ_MEMORY = 256 << 20  # xz -9 needs 65 MiB to decompress

_LINE = re.compile(
    rb"(?:(?P<iso>\d{4}-\d\d-\d\dT[0-9:.,+\-Z]*?):?\s+)?"
    rb"(?:\d+@(?P<sec>\d{1,11})\.(?P<usec>\d{6}):)?"
    rb"(?P<name>gicv3_\w+) (?P<message>.*)",
    re.DOTALL,
)
_PAIR = re.compile(r"\b([A-Za-z_][A-Za-z_0-9]*) (0x[0-9a-fA-F]{1,16}|\d{1,20})(?=\s|$)")
#: kind -> names in the message, in the order of the kind's operands.
_COMMANDS: dict[str, tuple[str, ...]] = {
    "mapd": ("DeviceID", "Size", "V"),
    "mapc": ("ICID", "RDbase", "V"),
    "mapti": ("DeviceID", "EventID", "pINTID", "ICID"),
    "mapi": ("DeviceID", "EventID", "ICID"),
    "movi": ("DeviceID", "EventID", "ICID"),
    "movall": ("RDbase1", "RDbase2"),
    "discard": ("DeviceID", "EventID"),
    "clear": ("DeviceID", "EventID"),
    "int": ("DeviceID", "EventID"),
    "inv": ("DeviceID", "EventID"),
    "invall": (),
    "sync": (),
}
_USED = frozenset(
    {b"gicv3_its_translation_write", b"gicv3_its_write", b"gicv3_redist_write", b"gicv3_icc_iar1_read"}
    | {b"gicv3_icc_eoir_write"}
)


def read_qemu(path: str | Path, *, name: str | None = None) -> Recording:
    """Read a recording. ``name`` is what to call it; by default the file's name without suffixes.

    Raises :class:`vgic.RecordingError` if the file is not a QEMU trace log with ITS events, is cut short, or is larger
    than :data:`MAX_BYTES` of text, and ``OSError`` if it cannot be read.
    """
    path = Path(path)
    recording = Recording(name or path.name.split(".")[0] or path.name, source=str(path))
    digest = hashlib.sha256()
    reader = _Reader(recording)
    with path.open("rb") as file:
        for number, (line, whole) in enumerate(_lines(_text(file, path, digest), path), start=1):
            reader.line(number, line, whole)
    if reader.lines == 0:
        raise RecordingError(f"{path}: the file is empty")
    if reader.its_lines == 0:
        raise RecordingError(f"{path}: no gicv3_its line: not a QEMU trace log of an ITS (-trace 'gicv3_*')")
    recording.sha256 = digest.hexdigest()
    recording.vcpus = max(recording.vcpus, 1)
    return recording


def _text(file: BinaryIO, path: Path, digest: "hashlib._Hash") -> Iterator[bytes]:
    """The file's text in pieces, decompressed if it is xz (by its first bytes, whatever its name)."""
    compressed = file.read(len(_XZ_MAGIC)) == _XZ_MAGIC
    file.seek(0)
    total = 0
    for piece in _decompressed(_chunks(file, digest), path) if compressed else _chunks(file, digest):
        total += len(piece)
        if total > MAX_BYTES:
            raise RecordingError(f"{path}: more than {MAX_BYTES >> 20} MiB of text")
        yield piece


def _chunks(file: BinaryIO, digest: "hashlib._Hash") -> Iterator[bytes]:
    while data := file.read(_CHUNK):
        digest.update(data)
        yield data


def _decompressed(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    decoder = _decoder()
    try:
        for data in chunks:
            while True:
                if decoder.eof:  # Another stream may follow, or padding of zeroes (the .xz format allows both).
                    data = (decoder.unused_data + data).lstrip(b"\0")
                    if not data:
                        break
                    decoder = _decoder()
                yield decoder.decompress(data, _CHUNK)
                data = b""
                if decoder.needs_input and not decoder.eof:
                    break
    except lzma.LZMAError as error:
        raise RecordingError(f"{path}: damaged xz data ({str(error).rstrip('.').lower()})") from None
    if not decoder.eof:
        raise RecordingError(f"{path}: truncated: the xz data ends before its end mark")


def _decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _lines(pieces: Iterator[bytes], path: Path) -> Iterator[tuple[bytes, bool]]:
    """Lines without their ends, and whether each had one."""
    rest = b""
    number = 0
    for piece in pieces:
        if b"\0" in piece:
            raise RecordingError(f"{path}: binary data, not a QEMU trace log")
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            number += 1
            if len(line) > MAX_LINE:
                rest = line
                break
            yield line, True
        if len(rest) > MAX_LINE:
            raise RecordingError(f"{path}: line {number + 1} is longer than {MAX_LINE >> 10} KiB: not a QEMU trace log")
    if rest:
        yield rest, False


class _Reader:
    """Turns lines into events."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.lines = 0
        self.its_lines = 0
        self.collection: int | None = None  # of the last MAPC
        self.its_on: bool | None = None
        self.iso = (b"", 0)

    def line(self, number: int, line: bytes, whole: bool) -> None:
        self.lines += 1
        if b"gicv3_" not in line:
            return
        match = _LINE.match(line.strip())
        if match is None:
            return
        event = match["name"]
        if event.startswith(b"gicv3_its_"):
            self.its_lines += 1
        if not (event in _USED or event.startswith(b"gicv3_its_cmd_")):
            return
        message = match["message"].decode("ascii", "replace")
        time_us = self.time(match)
        try:
            self.event(number, time_us, event.decode(), message, dict(_PAIR.findall(message)))
        except (KeyError, ValueError) as error:
            if isinstance(error, RecordingError):
                raise
            source = self.recording.source
            missing = f"without {error.args[0]}" if isinstance(error, KeyError) else "not understood"
            cut = "" if whole else "truncated: "
            raise RecordingError(f"{source}: {cut}line {number}: {event.decode()} {missing}") from None

    def time(self, match: re.Match[bytes]) -> int:
        if match["sec"] is not None:
            return int(match["sec"]) * 1_000_000 + int(match["usec"])
        text = match["iso"]
        if text is None:
            return 0
        if text != self.iso[0]:
            try:
                moment = datetime.fromisoformat(text.decode().replace(",", "."))
            except ValueError:
                return self.iso[1]
            self.iso = (text, round(moment.timestamp() * 1e6))
        return self.iso[1]

    def event(self, line: int, time_us: int, event: str, message: str, values: dict[str, str]) -> None:
        append = self.recording.append
        match event:
            case "gicv3_its_translation_write":
                append(line, time_us, "msi", _number(values, "requester_id"), _number(values, "data"))
            case "gicv3_icc_iar1_read" | "gicv3_icc_eoir_write":
                intid = _number(values, "value")
                if 8192 <= intid < 65536:
                    kind = "acknowledge" if event == "gicv3_icc_iar1_read" else "eoi"
                    append(line, time_us, kind, _vcpu(_number(values, "cpu")), intid)
            case "gicv3_redist_write":
                if _number(values, "offset") == 0:
                    vcpu = _vcpu(_number(values, "redistributor"))
                    append(line, time_us, "lpis_enabled", vcpu, _number(values, "data") & 1)
            case "gicv3_its_write":
                if _number(values, "offset") == 0:
                    append(line, time_us, "its_enabled", _number(values, "data") & 1)
            case _:
                self.command(line, time_us, event.removeprefix("gicv3_its_cmd_"), values)

    def command(self, line: int, time_us: int, kind: str, values: dict[str, str]) -> None:
        names = _COMMANDS.get(kind)
        if names is None:
            self.recording.ignored[kind] += 1
            return
        operands = [_number(values, name) for name in names]
        if kind == "mapd":
            operands[1] += 1
        elif kind == "mapc":
            self.collection = operands[0]
        elif kind == "invall":
            if self.collection is None:
                self.recording.ignored["invall before any mapc"] += 1
                return
            operands = [self.collection]
        self.recording.append(line, time_us, kind, *operands)


def _number(values: dict[str, str], name: str) -> int:
    return int(values[name], 0)


def _vcpu(affinity: int) -> int:
    """Number of the vCPU with an affinity (Aff3.Aff2.Aff1.Aff0, a byte each)."""
    return (affinity >> 8) * 16 + (affinity & 0xFF)

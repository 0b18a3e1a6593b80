"""Reader of QEMU's trace log (``-trace 'gicv3_*' -D file``), plain or compressed (:mod:`vgic.trace.packed`).

How a line may be spelled, by QEMU and by what collected it: :mod:`vgic.trace.spelling`. What is used:

- ``gicv3_its_cmd_*``: the guest's ITS commands. SYNC and INVALL are logged without operands: SYNC needs none, and an
  INVALL is taken to be for the collection of the last MAPC, since guests issue it right after (Linux,
  ``its_cpu_init_collection``). MAPD's ``Size`` is the command's field, one less than the number of EventID bits
  (Arm GICv3, 5.3.11). QEMU 7.0 logs INV and INVALL alike, without operands; older ones have no events of the ITS.
- ``gicv3_its_process_command``: which command it is, to tell these two apart, and to know what else is missing.
- ``gicv3_its_translation_write``: a device's MSI; ``data`` is the EventID and ``requester_id`` the DeviceID.
- ``gicv3_its_write``, ``gicv3_redist_write``: the registers of :mod:`vgic.trace.registers`.
- ``gicv3_redist_read`` of GICR_TYPER: which vCPU has which affinity, see :mod:`vgic.trace.topology`.
- ``gicv3_icc_iar1_read``, ``gicv3_icc_nmiar1_read`` and ``gicv3_icc_eoir_write`` with an LPI (INTID 8192 to 65535).

The emulator's threads write the log, so lines of different threads that lie within microseconds of each other may
stand in the wrong order; nothing is sorted here, since nothing in the file says which ones.

What a log lacks is said in ``Recording.notes``, a sentence each, with what that makes of a replay.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from vgic.errors import RecordingError
from vgic.its.commands import COMMANDS
from vgic.trace.packed import unpacked
from vgic.trace.recording import Progress, Recording
from vgic.trace.registers import Registers
from vgic.trace.spelling import Lines, Spelled
from vgic.trace.topology import Topology

__all__ = ["MAX_BYTES", "MAX_LINE", "read_qemu", "read_qemu_file", "recording_name"]

#: Text that a file may hold, decompressed: 2 GiB.
MAX_BYTES = 2 << 30
#: Longest line: 64 KiB.
MAX_LINE = 64 << 10
#: Bytes of the file that are read at once, and lines after which the progress is told.
_CHUNK = 1 << 16
_TELL_LINES = 1 << 12

#: First bytes of files that hold traces in another form: what they are, and what to do.
_OTHERS = {
    b"\xff" * 8 + bytes.fromhex("b429a40acb77b1f2"): "a trace of QEMU's back end simple: print it with simpletrace.py",
    b"\x17\x08\x44tracing": "a trace of trace-cmd: print it with trace-cmd report",
    b"LPKSHHRH": "a file of systemd's journal: print it with journalctl",
    b"PERFILE2": "a recording of perf: print it with perf script",
    bytes.fromhex("c11ffcc1"): "a stream of LTTng, which is not read: trace with QEMU's back end log",
    b"\xff\xfe": "text in UTF-16: convert it to UTF-8",
    b"\xfe\xff": "text in UTF-16: convert it to UTF-8",
}

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
#: Numbers of the commands (Arm GICv3, 5.3).
_OPCODES = {opcode: name.lower() for name, (opcode, _) in COMMANDS.items()}
#: Commands that change nothing for a guest whose LPIs are all enabled, as those of a replay are.
_HARMLESS = frozenset({"inv", "invall", "sync"})
_OPCODE = re.compile(r"(?:at offset \w+: |\bcmd=)(0x[0-9a-f]{1,2})(?!\w)")
_COMMAND = "gicv3_its_cmd_"
_MAY_BE_EVENT = re.compile(rb'gicv3| pid=|"MESSAGE"\s*:\s*\[')
#: What collectors write in the place of lines that they do not have.
_LOST = {
    re.compile(rb"Suppressed \d+ messages from "): "journald has suppressed messages, by its RateLimitBurst",
    re.compile(rb"\[[\d.]{1,9}[KMG]?B? blob data\]"): "journalctl has left out messages, without --all",
    re.compile(rb"message repeated \d+ times"): "a syslog daemon has folded repeated messages",
    re.compile(rb" lost \d+ messages from pid"): "rsyslog has lost messages, by its rate limit",
    re.compile(rb"^dropped -?\d+\.\d{3} pid="): "QEMU's back end simple has dropped events",
}
#: Commands of GICv4, which the engine does not have.
_GICV4 = frozenset({"vinv", "vinvall", "vmapi", "vmapp", "vmapti", "vmovi", "vmovp", "vsgi", "vsync"})
_SUFFIXES = ((".xz", ".gz", ".bz2", ".zst"), (".log", ".txt"))


def recording_name(path: Path) -> str:
    """What to call a recording: the file's name without ``.xz`` (``.gz``, ``.bz2``, ``.zst``), ``.log`` or ``.txt``."""
    name = path.name
    for suffixes in _SUFFIXES:
        suffix = next((suffix for suffix in suffixes if name.endswith(suffix)), "")
        name = name.removesuffix(suffix) or name
    return name


def read_qemu(path: str | Path, *, name: str | None = None, progress: Progress | None = None) -> Recording:
    """Read a recording. ``name`` is what to call it; by default :func:`recording_name`.

    ``progress`` is called now and then with the share read, 0 to 1 (0 of what has no size), and a text; it may raise
    to stop.

    Raises :class:`vgic.RecordingError` if the file is not a QEMU trace log with ITS events, is cut short, or is larger
    than :data:`MAX_BYTES` of text, and ``OSError`` if it cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        size = path.stat().st_size
        return read_qemu_file(file, name or recording_name(path), source=str(path), size=size, progress=progress)


def read_qemu_file(
    file: BinaryIO, name: str, *, source: str, size: int = 0, progress: Progress | None = None
) -> Recording:
    """As :func:`read_qemu`, from an open file of ``size`` bytes (0: not known); errors name the ``source``."""
    recording = Recording(name, source=source)
    reader = _Reader(recording)
    digest = hashlib.sha256()
    taken = 0

    def told(data: bytes) -> None:
        nonlocal taken
        digest.update(data)
        taken += len(data)

    for number, (line, whole) in enumerate(_lines(_text(file, source, told), source), start=1):
        reader.line(number, line, whole)
        if progress is not None and number % _TELL_LINES == 0:
            progress(min(1.0, taken / size) if size else 0.0, f"reading {name}: {number:,} lines")
    reader.finish()
    recording.sha256 = digest.hexdigest()
    return recording


def _text(file: BinaryIO, source: str, told: Callable[[bytes], None]) -> Iterator[bytes]:
    """The file's text in pieces, decompressed if it was compressed; ``told`` gets it as it is in the file."""
    total = 0
    for piece in unpacked(_chunks(file, told), source):
        total += len(piece)
        if total > MAX_BYTES:
            raise RecordingError(f"{source}: more than {MAX_BYTES >> 20} MiB of text")
        yield piece


def _chunks(file: BinaryIO, told: Callable[[bytes], None]) -> Iterator[bytes]:
    while data := file.read(_CHUNK):
        told(data)
        yield data


def _lines(pieces: Iterator[bytes], source: str) -> Iterator[tuple[bytes, bool]]:
    """Lines without their ends, and whether each had one."""
    rest = b""
    number = 0
    first = True
    for piece in pieces:
        if first and (what := next((what for start, what in _OTHERS.items() if piece.startswith(start)), None)):
            raise RecordingError(f"{source}: {what}")
        first = False
        if b"\0" in piece:
            raise RecordingError(f"{source}: binary data, not a QEMU trace log")
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if len(line) > MAX_LINE:
                rest = line
                break
            number += 1
            yield line, True
        if len(rest) > MAX_LINE:
            raise RecordingError(
                f"{source}: line {number + 1} is longer than {MAX_LINE >> 10} KiB: not a QEMU trace log"
            )
    if rest:
        yield rest, False


class _Reader:
    """Turns lines into events."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.lines = 0
        self.spelling = Lines()
        self.topology = Topology(recording.source)
        self.registers = Registers(recording, self.topology.place)
        #: Lines with an event; those of the ITS among them; lines that name one and are not understood, and the first.
        self.events = self.its_events = self.unread = self.first_unread = 0
        self.collection: int | None = None  # of the last MAPC
        self.opcode: str | None = None  # of the last gicv3_its_process_command
        self.processed: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.bare: Counter[str] = Counter()  # commands without operands, as logged
        self.unmapped = self.first_unmapped = 0
        self.lost: Counter[str] = Counter()

    def line(self, number: int, line: bytes, whole: bool) -> None:
        self.lines += 1
        if _MAY_BE_EVENT.search(line) is None:
            self.loss(line)
            return
        spelled = self.spelling.read(line)
        if spelled is None:
            self.loss(line)
            if b"gicv3_" in line:
                self.unread += 1
                self.first_unread = self.first_unread or number
            return
        self.events += 1
        self.its_events += spelled.event.startswith("gicv3_its_")
        try:
            self.event(number, spelled)
        except (KeyError, ValueError) as error:
            if isinstance(error, RecordingError):
                raise
            missing = f"without {error.args[0]}" if isinstance(error, KeyError) else "not understood"
            cut = "" if whole else "truncated: "
            source = self.recording.source
            raise RecordingError(f"{source}: {cut}line {number}: {spelled.event} {missing}") from None

    def loss(self, line: bytes) -> None:
        for pattern, what in _LOST.items():
            if pattern.search(line):
                self.lost[what] += 1

    def event(self, line: int, spelled: Spelled) -> None:
        time_us, values = spelled.time_us, spelled.values
        append = partial(self.recording.append, writer=spelled.writer)
        self.registers.writer = spelled.writer
        match spelled.event:
            case "gicv3_its_translation_write":
                device, event = _number(values, "requester_id"), _number(values, "data")
                append(line, time_us, "msi", device, event)
            case "gicv3_icc_iar1_read" | "gicv3_icc_nmiar1_read" | "gicv3_icc_eoir_write":
                intid = _number(values, "value")
                if not 8192 <= intid < 65536:
                    return
                affinity = _number(values, "cpu")
                vcpu = self.topology.place(affinity)
                if spelled.event == "gicv3_icc_eoir_write":
                    append(line, time_us, "eoi", vcpu, intid)
                    return
                self.registers.acknowledge(time_us, affinity)
                if not self.topology.acknowledge(affinity, intid):
                    self.unmapped += 1
                    self.first_unmapped = self.first_unmapped or line
                append(line, time_us, "acknowledge", vcpu, intid)
            case "gicv3_redist_write":
                affinity = _number(values, "redistributor", "cpu")
                offset, data, size = _number(values, "offset"), _number(values, "data"), int(values.get("size", "8"), 0)
                self.registers.redistributor_write(line, time_us, affinity, offset, size, data)
            case "gicv3_redist_read":
                if _number(values, "offset") == 8:  # GICR_TYPER
                    affinity = _number(values, "redistributor", "cpu")
                    self.topology.typer(affinity, _number(values, "data") >> 8 & 0xFFFF)
            case "gicv3_its_write":
                offset, data, size = _number(values, "offset"), _number(values, "data"), int(values.get("size", "8"), 0)
                self.registers.its_write(line, time_us, offset, size, data)
            case "gicv3_its_process_command":
                found = _OPCODE.search(spelled.message)
                self.opcode = _OPCODES.get(int(found[1], 0)) if found else None
                if self.opcode is not None:
                    self.processed[self.opcode] += 1
            case event if event.startswith(_COMMAND):
                self.command(line, spelled, event.removeprefix(_COMMAND))

    def command(self, line: int, spelled: Spelled, kind: str) -> None:
        time_us, values = spelled.time_us, spelled.values
        opcode, self.opcode = self.opcode, None
        if kind == "inv" and not values and opcode == "invall":  # QEMU 7.0
            kind = opcode
        names = _COMMANDS.get(kind)
        if names is None:
            self.recording.ignored[kind if kind in _GICV4 else "unknown"] += 1
            return
        self.commands[kind] += 1
        if names and not any(name in values for name in names):
            self.bare[kind] += 1
            return
        # The back end simple calls MAPD's field "size".
        if "size" in values:
            values.setdefault("Size", values["size"])
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
        self.registers.command(time_us, kind, tuple(operands))
        self.topology.command(kind, tuple(operands))
        self.recording.append(line, time_us, kind, *operands, writer=spelled.writer)

    def finish(self) -> None:
        """Say what the log lacks, number the vCPUs."""
        recording = self.recording
        if self.lines == 0:
            raise RecordingError(f"{recording.source}: the file is empty")
        if not self.its_events:
            raise RecordingError(f"{recording.source}: {self.no_its()}")
        self.say_what_is_missing()
        recording.number_vcpus(self.topology.numbers())
        recording.vcpus = max(recording.vcpus, 1)

    def no_its(self) -> str:
        if self.unread and not self.events:
            return (
                f"line {self.first_unread}: an event of the GIC in a form that is not read (what is read: the text of "
                "QEMU's trace back ends log, syslog and ftrace, and that of simpletrace.py)"
            )
        text = "no gicv3_its line: not a QEMU trace log of an ITS (-trace 'gicv3_*')"
        return f"{text}; QEMU before 7.0 does not log what its ITS does" if self.events else text

    def say_what_is_missing(self) -> None:
        notes = self.recording.notes
        missing = Counter(self.bare)
        missing.update(self.processed - self.commands)
        for harmless, makes in (
            (True, "they are left out, which changes no acknowledge"),
            (False, "what they did is not replayed, so acknowledges will differ"),
        ):
            few = [f"{n} {name.upper()}" for name, n in sorted(missing.items()) if (name in _HARMLESS) == harmless]
            if few:
                notes.append(f"the log does not have the operands of these commands: {', '.join(few)}; {makes}")
        if self.unmapped:
            notes.append(
                f"{self.unmapped} acknowledges are of LPIs which no command in the log maps, or whose collection none "
                f"maps (first: line {self.first_unmapped}): the log starts late or lacks commands, so they will differ"
            )
        if assumed := list(dict.fromkeys(self.registers.assumed)):
            more = f" and {len(assumed) - 4} more" if len(assumed) > 4 else ""
            notes.append(f"taken to be on from the start, as no line turns it on: {', '.join(assumed[:4])}{more}")
        for what, n in self.lost.items():
            notes.append(f"{what} ({n} times): the log is not whole, so acknowledges may differ")


def _number(values: dict[str, str], *names: str) -> int:
    name = next((name for name in names if name in values), names[0])
    return int(values[name], 0)

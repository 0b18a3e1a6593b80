"""A dump of guest memory: bytes by guest physical address.

A raw dump (QEMU's ``pmemsave``) is one run of bytes from an address on. An ELF core (QEMU's ``dump-guest-memory``,
``virsh dump --memory-only``) has many, each with its address: its PT_LOAD program headers.

A dump may be large, cut short, sparse, and made by somebody who means harm. Nothing of it is read but the headers and
the pieces that are asked for; headers are at most :data:`MOST_SEGMENTS`.
"""

import os
import stat
import struct
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

__all__ = ["MOST_HELD", "MOST_SEGMENTS", "Dump", "Segment", "open_dump"]

#: Most bytes that are taken from a pipe, which has to be held: 1 GiB.
MOST_HELD = 1 << 30
#: Most segments of an ELF core. QEMU writes one for each block of RAM; with ``paging`` one for each mapping.
MOST_SEGMENTS = 1 << 16
_CHUNK = 1 << 16
_MOST_RANGES = 3

#: What begins like this holds guest memory in a form that is not read here, and what to do instead.
_OTHER_FORMS = {
    b"KDUMP   ": "a kdump-compressed dump; dump it as ELF (virsh dump --memory-only, dump-guest-memory without -z)",
    b"makedumpf": "a flattened dump of makedumpfile; make an ELF core of it (makedumpfile -R, then -E)",
    b"QEVM": "a migration stream of QEMU; dump with virsh dump --memory-only, or dump-guest-memory",
    b"LibvirtQ": "an image of virsh save; dump with virsh dump --memory-only",
}

_IDENT, _ELF64, _LITTLE, _ET_CORE, _EM_AARCH64, _PT_LOAD, _PN_XNUM = b"\x7fELF", 2, 1, 4, 183, 1, 0xFFFF
#: e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, e_ehsize, e_phentsize, e_phnum, e_shentsize,
#: e_shnum, e_shstrndx: from byte 16 on.
_HEADER = struct.Struct("<HHIQQQIHHHHHH")
#: p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align.
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")

#: read(offset, size): bytes of a file, fewer where it ends.
Read = Callable[[int, int], bytes]


class Segment(NamedTuple):
    """A run of bytes."""

    #: Guest physical address.
    address: int
    size: int
    #: Where it begins in the file.
    offset: int

    @property
    def end(self) -> int:
        """Address behind it."""
        return self.address + self.size


class Dump:
    """Bytes of guest memory, by guest physical address."""

    def __init__(self, read: Read, segments: list[Segment], size: int, *, raw: bool) -> None:
        """``segments``: by address, none overlaps another; ``size``: of the file, in bytes."""
        #: Whether the file is nothing but memory.
        self.raw = raw
        self._read = read
        self.segments = segments
        self._starts = [segment.address for segment in segments]
        self.size = size
        self.end = segments[-1].end
        #: What the dump does not have, and the like, in the order in which it was found.
        self.remarks: dict[str, None] = {}
        #: Called with the offset in the file of each piece that is read.
        self.on_read: Callable[[int], object] = lambda offset: None

    def remark(self, text: str) -> None:
        """Keep a remark, for the end."""
        self.remarks[text] = None

    def _pieces(self, address: int, size: int) -> Iterator[Segment]:
        """The segments that hold ``size`` bytes from ``address`` on, up to the first gap, each cut to what is asked."""
        at = bisect_right(self._starts, address) - 1
        while size > 0 and 0 <= at < len(self.segments):
            segment = self.segments[at]
            inside = address - segment.address
            if not 0 <= inside < segment.size:
                return
            count = min(size, segment.size - inside)
            yield Segment(address, count, segment.offset + inside)
            address, size, at = address + count, size - count, at + 1

    def read(self, address: int, size: int) -> bytes:
        """Read ``size`` bytes at ``address``, fewer where the dump has a gap."""
        found = []
        for piece in self._pieces(address, size):
            self.on_read(piece.offset)
            found.append(data := self._read(piece.offset, piece.size))
            if len(data) < piece.size:
                break
        return b"".join(found)

    def share(self, address: int, size: int, what: str) -> int:
        """How many of ``size`` bytes at ``address`` the dump has, counted from there; a remark if not all."""
        found = sum(piece.size for piece in self._pieces(address, size))
        if not found and size:
            self.remark(f"{what} at {address:#x}: not in the dump ({self.ranges})")
        elif found < size:
            self.remark(f"{what} at {address:#x}: the dump ends at {address + found:#x}, within it")
        return found

    @property
    def ranges(self) -> str:
        """Which addresses the dump has, in words."""
        runs: list[list[int]] = []
        for segment in self.segments:
            if runs and runs[-1][1] == segment.address:
                runs[-1][1] = segment.end
            elif len(runs) > _MOST_RANGES:
                break
            else:
                runs.append([segment.address, segment.end])
        texts = [f"{start:#x} to {end - 1:#x}" for start, end in runs[:_MOST_RANGES]]
        return ", ".join(texts) + (", and more" if len(runs) > _MOST_RANGES else "")

    def entries(self, address: int, size: int, entry: struct.Struct) -> Iterator[tuple[int, tuple[int, ...]]]:
        """(index, words) of the whole entries in ``size`` bytes at ``address`` that are not zero."""
        step = _CHUNK - _CHUNK % entry.size
        for at in range(0, size - size % entry.size, step):
            chunk = self.read(address + at, min(step, size - at))
            if chunk.count(0) == len(chunk):
                continue
            usable = len(chunk) - len(chunk) % entry.size
            for index, words in enumerate(entry.iter_unpack(chunk[:usable]), at // entry.size):
                if any(words):
                    yield index, words


def open_dump(file: str, base: int | None, stack: ExitStack) -> Dump:
    """Open a dump: a file is read where it is needed, a pipe is held. It stays open as long as ``stack``.

    ``file``: a path, ``"-"`` for standard input. ``base``: guest physical address of a raw dump's first byte (0 if
    None). Raises ``ValueError`` for what is no such dump, and ``OSError``.
    """
    name = "standard input" if file == "-" else file
    stream = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))  # noqa: SIM115
    status = os.fstat(stream.fileno())
    read: Read
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "Is a directory", name)
    if stat.S_ISREG(status.st_mode) and file != "-":
        number, size = stream.fileno(), status.st_size

        def read(offset: int, count: int) -> bytes:
            return os.pread(number, count, offset)
    else:
        data = stream.read(MOST_HELD + 1)
        size = len(data)
        if size > MOST_HELD:
            raise ValueError(f"{name}: more than {MOST_HELD >> 20} MiB, which only a regular file may have")

        def read(offset: int, count: int) -> bytes:
            return data[offset : offset + count]

    if not size:
        raise ValueError(f"{name}: the dump is empty")
    start = read(0, 16 + _HEADER.size)
    for magic, what in _OTHER_FORMS.items():
        if start.startswith(magic):
            raise ValueError(f"{name}: {what}")
    if _is_core(start):
        if base is not None:
            raise ValueError("--base: an ELF core has the addresses of its memory itself")
        return _core(name, read, size, start)
    base = base or 0
    if base + size > 1 << 64:
        raise ValueError(f"--base {base:#x}: {size} bytes from there on do not fit into 64 bits of address")
    return Dump(read, [Segment(base, size, 0)], size, raw=True)


def _is_core(start: bytes) -> bool:
    """Whether a file is an ELF core; RAM may well begin with another ELF file."""
    kind = start[16:18]
    return start.startswith(_IDENT) and _ET_CORE in (int.from_bytes(kind, "little"), int.from_bytes(kind, "big"))


def _core(name: str, read: Read, size: int, start: bytes) -> Dump:
    if start[4] != _ELF64 or start[5] != _LITTLE:
        raise ValueError(f"{name}: an ELF core that is not 64-bit little-endian")
    if len(start) < 16 + _HEADER.size:
        raise ValueError(f"{name}: an ELF core that ends within its header")
    _, machine, _, _, phoff, shoff, _, _, phentsize, phnum, *_ = _HEADER.unpack_from(start, 16)
    if machine != _EM_AARCH64:
        raise ValueError(f"{name}: an ELF core of machine {machine}; AArch64 is {_EM_AARCH64}")
    if phnum == _PN_XNUM:  # More than fit: the number is in sh_info of the first section header.
        phnum = int.from_bytes(read(shoff + 44, 4), "little") if shoff < size else 0
    if phnum > MOST_SEGMENTS:
        raise ValueError(f"{name}: {phnum} program headers, more than {MOST_SEGMENTS}")
    if phentsize != _PROGRAM_HEADER.size:
        raise ValueError(f"{name}: program headers of {phentsize} bytes instead of {_PROGRAM_HEADER.size}")
    headers = read(phoff, phnum * phentsize) if phoff < size else b""
    if len(headers) < phnum * phentsize:
        raise ValueError(f"{name}: the file ends within its {phnum} program headers")
    remarks = []
    found = []
    for number, header in enumerate(_PROGRAM_HEADER.iter_unpack(headers)):
        kind, _, offset, _, address, length, _, _ = header
        if kind != _PT_LOAD or not length:
            continue
        if address + length > 1 << 64:
            remarks.append(f"segment {number}: {length} bytes at {address:#x} do not fit into 64 bits of address")
            continue
        if offset + length > size:
            remarks.append(f"segment {number} at {address:#x}: the file ends within it")
            length = max(0, size - offset)
        if length:
            found.append(Segment(address, length, offset))
    segments = _apart(found, remarks)
    if not segments:
        raise ValueError(f"{name}: an ELF core without memory")
    dump = Dump(read, segments, size, raw=False)
    for text in remarks:
        dump.remark(text)
    return dump


def _apart(segments: list[Segment], remarks: list[str]) -> list[Segment]:
    """The segments by address; where two overlap, the one that begins first counts."""
    kept: list[Segment] = []
    for segment in sorted(segments):
        end = kept[-1].end if kept else 0
        if segment.address < end:
            before = kept[-1]
            if segment.offset - segment.address != before.offset - before.address:
                remarks.append(
                    f"segments at {before.address:#x} and {segment.address:#x} overlap: the first one counts"
                )
            skipped = end - segment.address
            segment = Segment(end, segment.size - skipped, segment.offset + skipped)
        if segment.size > 0:
            kept.append(segment)
    return kept

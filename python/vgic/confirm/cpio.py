"""An initramfs: a cpio archive of the kind "newc" (the kernel's Documentation/driver-api/early-userspace)."""

import stat
from typing import NamedTuple

__all__ = ["Entry", "archive", "device", "directory", "program"]


class Entry(NamedTuple):
    """A file of the archive."""

    name: str
    mode: int
    data: bytes = b""
    #: Of a device: its numbers.
    major: int = 0
    minor: int = 0


def directory(name: str) -> Entry:
    """An empty directory."""
    return Entry(name, stat.S_IFDIR | 0o755)


def program(name: str, data: bytes) -> Entry:
    """A file that can be executed."""
    return Entry(name, stat.S_IFREG | 0o755, data)


def device(name: str, major: int, minor: int) -> Entry:
    """A character device."""
    return Entry(name, stat.S_IFCHR | 0o600, b"", major, minor)


def archive(entries: list[Entry]) -> bytes:
    """The archive of these files; a directory stands before what is in it."""
    out = bytearray()
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], 1):
        name = entry.name.encode() + b"\0"
        links, owner, size = 1, 0, len(entry.data)
        numbers = [number, entry.mode, owner, owner, links, 0, size, 0, 0, entry.major, entry.minor, len(name), 0]
        out += b"070701" + b"".join(b"%08X" % value for value in numbers) + name
        out += bytes(-len(out) % 4)
        out += entry.data
        out += bytes(-len(out) % 4)
    return bytes(out)

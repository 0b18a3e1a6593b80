"""A kernel for arm64: a plain Image, found in what it may come in.

QEMU boots a plain Image, and its BTF can be read there. A distribution has it compressed by gzip, or as an EFI program
that unpacks itself ("zboot", the header is in the kernel's ``drivers/firmware/efi/libstub/zboot-header.S``), and all of
these in packages. The header of an Image is told in the kernel's ``Documentation/arch/arm64/booting.rst``.
"""

import hashlib
import lzma
import re
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vgic.confirm.deb import file_of_deb, is_deb
from vgic.errors import KernelError

__all__ = ["Kernel", "plain_image", "read_kernel"]

#: Where packages have their kernel.
_IN_PACKAGE = r"boot/vmlinuz-.*|(usr/)?lib/modules/[^/]+/(vmlinuz|Image)"
#: More than any kernel unpacks to, in bytes.
_LARGEST = 1 << 29


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted."""

    #: What it was called by: a file, or ``debian:6.12``.
    name: str
    #: A plain Image.
    image: bytes = field(repr=False)

    @cached_property
    def release(self) -> str:
        """What ``uname -r`` says in it; empty if the Image does not tell."""
        found = re.search(rb"Linux version ([\x21-\x7e]{1,64}) ", self.image)
        return found[1].decode() if found else ""

    @cached_property
    def banner(self) -> str:
        """What ``uname -r`` and ``uname -v`` say in it, where distributions tell the stable release; or nothing."""
        found = re.search(rb"Linux version [\x20-\x7e]{1,400}? (#[\x20-\x7e]{1,100})", self.image)
        return f"{self.release} {found[1].decode()}" if found else self.release

    @cached_property
    def digest(self) -> str:
        """The same for the same bytes: what is found out about a kernel is kept under this name."""
        return hashlib.sha256(self.image).hexdigest()[:32]


def read_kernel(path: Path, name: str | None = None) -> Kernel:
    """The kernel in a file: an Image, a vmlinuz, or a Debian package with one.

    Raises :class:`~vgic.errors.KernelError` if there is none for arm64 in it, ``OSError`` if it cannot be read.
    """
    data = file_of_deb(path, _IN_PACKAGE) if is_deb(path) else path.read_bytes()
    try:
        return Kernel(name or str(path), plain_image(data))
    except KernelError as error:
        raise KernelError(f"{path}: {error}") from None


def plain_image(data: bytes) -> bytes:
    """The plain Image in the bytes of an Image or a vmlinuz. Raises :class:`~vgic.errors.KernelError`."""
    for _ in range(3):  # gzip around zboot around the Image is the deepest that there is.
        if data[56:60] == b"ARM\x64":
            if data[24] & 1:
                raise KernelError("this kernel is big-endian")
            return data
        if data[:2] == b"\x1f\x8b":
            data = _unpacked(data, "gzip")
        elif data[:2] == b"MZ" and data[4:8] == b"zimg":
            begin, size = int.from_bytes(data[8:12], "little"), int.from_bytes(data[12:16], "little")
            kind = data[24:56].split(b"\0")[0].decode("latin1")
            data = _unpacked(data[begin : begin + size], kind)
        else:
            break
    if data[:4] == b"\x7fELF":
        raise KernelError("this is an ELF file; the Image or the vmlinuz of the kernel is needed")
    raise KernelError("this is not a kernel for arm64")


def _unpacked(data: bytes, kind: str) -> bytes:
    unpacker: zlib._Decompress | lzma.LZMADecompressor
    if kind == "gzip":
        unpacker = zlib.decompressobj(31)
    elif kind in ("lzma", "xzkern", "xz"):
        unpacker = lzma.LZMADecompressor()
    else:
        raise KernelError(f"this kernel is compressed by {kind!a}, which cannot be read; unpack it first")
    try:
        image = unpacker.decompress(data, _LARGEST)
    except (zlib.error, lzma.LZMAError) as error:
        raise KernelError(f"the compressed kernel cannot be read: {error}") from None
    if not unpacker.eof:
        raise KernelError("the compressed kernel is too large" if len(image) == _LARGEST else "it is cut short")
    return image

"""One file out of a Debian package: an ``ar`` archive (deb(5)) whose member ``data.tar.*`` holds the files.

A package comes from anywhere, so every size is bounded.
"""

import io
import re
import tarfile
from pathlib import Path

from vgic.errors import KernelError

__all__ = ["file_of_deb", "is_deb"]

_MAGIC = b"!<arch>\n"
#: Bytes of a member's header: name 16, dates and owners 32, size 10, end mark 2.
_HEADER = 60
#: More than any kernel has, packed or not.
_LARGEST = 1 << 30


def is_deb(path: Path) -> bool:
    """Whether a file begins as a package does."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def file_of_deb(path: Path, pattern: str) -> bytes:
    """The content of the first regular file whose whole path (without ``./``) matches a regular expression.

    Raises :class:`~vgic.errors.KernelError` if there is none, or the package cannot be read.
    """
    wanted = re.compile(pattern)
    name, data = _data_member(path)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r|*") as files:
            for member in files:
                if member.isreg() and wanted.fullmatch(member.name.removeprefix("./")):
                    if member.size > _LARGEST:
                        raise KernelError(f"{path}: {member.name} is too large")
                    file = files.extractfile(member)
                    assert file is not None
                    return file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        why = "compressed with zstd, which this Python cannot read" if name.endswith(".zst") else str(error)
        raise KernelError(f"{path}: {name} cannot be read: {why}") from None
    raise KernelError(f"{path}: this package has no kernel in it")


def _data_member(path: Path) -> tuple[str, bytes]:
    with path.open("rb") as file:
        file.seek(len(_MAGIC))
        while len(header := file.read(_HEADER)) == _HEADER:
            name = header[:16].decode("latin1").strip().rstrip("/")
            size = header[48:58].strip()
            if header[58:] != b"`\n" or not size.isdigit() or int(size) > _LARGEST:
                break
            if name.startswith("data.tar"):
                data = file.read(int(size))
                if len(data) < int(size):
                    raise KernelError(f"{path}: the package is cut short")
                return name, data
            file.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise KernelError(f"{path}: this is not a package that can be read")

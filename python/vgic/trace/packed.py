"""Text that may be compressed: with xz, gzip, bzip2 or zstd, known by its first bytes, whatever the file is called.

Each of these formats allows several streams one behind the other, and they are read as one; xz may have zeroes between
them. What is decompressed comes in pieces of a bounded size, so a small file that stands for terabytes does no harm to
who counts them.
"""

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from vgic.errors import RecordingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["PIECE", "unpacked"]

#: Most bytes of text that come at once: 256 KiB.
PIECE = 1 << 18
_XZ_MEMORY = 256 << 20  # xz -9 needs 65 MiB to decompress
_ZSTD_WINDOW = 27  # log2; what zstd itself accepts without --long


class _Decoder(Protocol):
    """What the decoders of Python's libraries have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's decoder in the shape of the others: it hands back what it has not taken, the others keep it."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)


class _Format(NamedTuple):
    name: str
    decoder: Callable[[], _Decoder]
    #: What the decoder raises of data that it cannot read.
    error: type[Exception]
    #: What may stand between two streams.
    padding: bytes = b""


def _xz() -> Any:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _zstd() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW})


_FORMATS = {
    b"\xfd7zXZ\x00": _Format("xz", _xz, lzma.LZMAError, b"\0"),
    b"\x1f\x8b\x08": _Format("gzip", _Gzip, zlib.error),
    b"BZh": _Format("bzip2", bz2.BZ2Decompressor, OSError),
    b"\x28\xb5\x2f\xfd": _Format("zstd", _zstd, zstd.ZstdError),
}
_MOST_MAGIC = max(map(len, _FORMATS))


def unpacked(chunks: Iterable[bytes], source: str) -> Iterator[bytes]:
    """The text of a file that comes in ``chunks``, in pieces of at most :data:`PIECE` bytes if it was compressed.

    Raises :class:`vgic.RecordingError`, which names the ``source``, if the data is damaged or ends early.
    """
    rest = iter(chunks)
    first = b""
    for data in rest:
        first += data
        if len(first) >= _MOST_MAGIC:
            break
    form = next((form for magic, form in _FORMATS.items() if first.startswith(magic)), None)
    whole = _behind(first, rest)
    return whole if form is None else _decompressed(whole, form, source)


def _behind(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _decompressed(chunks: Iterator[bytes], form: _Format, source: str) -> Iterator[bytes]:
    decoder = form.decoder()
    try:
        for data in chunks:
            while True:
                if decoder.eof:  # Another stream may follow.
                    data = decoder.unused_data + data
                    data = data.lstrip(form.padding) if form.padding else data
                    if not data:
                        break
                    decoder = form.decoder()
                yield decoder.decompress(data, PIECE)
                data = b""
                if decoder.needs_input and not decoder.eof:
                    break
    except form.error as error:
        raise RecordingError(f"{source}: damaged {form.name} data ({_reason(error)})") from None
    if not decoder.eof:
        raise RecordingError(f"{source}: truncated: the {form.name} data ends before its end mark")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".").lower()

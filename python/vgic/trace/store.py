"""Recordings by name or path: those that come with the package, and any file."""

import sys
from functools import lru_cache
from importlib import resources
from pathlib import Path

from vgic.errors import RecordingError
from vgic.trace.qemu import read_qemu, read_qemu_file
from vgic.trace.recording import Progress, Recording

__all__ = ["MAIN_RECORDING", "read_recording", "recordings"]

#: The bundled recording that the main job replays: redis under memtier_benchmark.
MAIN_RECORDING = "redis-memtier"

_SUFFIX = ".log.xz"


def recordings() -> dict[str, Path]:
    """The recordings that come with the package: name -> file."""
    folder = Path(str(resources.files("vgic.trace") / "recordings"))
    return {path.name.removesuffix(_SUFFIX): path for path in sorted(folder.glob(f"*{_SUFFIX}"))}


@lru_cache(maxsize=4)
def _bundled(name: str) -> Recording:
    return read_qemu(recordings()[name], name=name)


def read_recording(source: str | Path, *, progress: Progress | None = None) -> Recording:
    """Read a recording: the name of a bundled one (:func:`recordings`), the path of a QEMU trace log, or ``-``.

    The log may be compressed with xz, gzip, bzip2 or zstd; ``-`` is standard input. ``progress`` is called now and then
    with the share read, 0 to 1 (0 of what has no size), and a text; it may raise to stop.

    Raises :class:`vgic.RecordingError` if there is no such name or file, or the file is not a recording.
    """
    if str(source) == "-":
        return read_qemu_file(sys.stdin.buffer, "standard input", source="standard input", progress=progress)
    if str(source) in recordings():
        return _bundled(str(source))
    path = Path(source)
    if not path.exists():
        raise RecordingError(f"{source}: no such file, nor a bundled recording ({', '.join(recordings())})")
    if not (path.is_file() or path.is_fifo()):
        raise RecordingError(f"{source}: not a regular file")
    try:
        return read_qemu(path, progress=progress)
    except OSError as error:
        raise RecordingError(f"{source}: {error.strerror}") from None

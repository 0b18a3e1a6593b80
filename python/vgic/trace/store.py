"""Recordings by name or path: those that come with the package, and any file."""

from functools import lru_cache
from importlib import resources
from pathlib import Path

from vgic.errors import RecordingError
from vgic.trace.qemu import read_qemu
from vgic.trace.recording import Recording

__all__ = ["read_recording", "recordings"]

_SUFFIX = ".log.xz"


def recordings() -> dict[str, Path]:
    """The recordings that come with the package: name -> file."""
    folder = Path(str(resources.files("vgic.trace") / "recordings"))
    return {path.name.removesuffix(_SUFFIX): path for path in sorted(folder.glob(f"*{_SUFFIX}"))}


@lru_cache(maxsize=4)
def _bundled(name: str) -> Recording:
    return read_qemu(recordings()[name], name=name)


def read_recording(source: str | Path) -> Recording:
    """Read a recording: the name of a bundled one (:func:`recordings`), or the path of a QEMU trace log.

    Raises :class:`vgic.RecordingError` if there is no such name or file, or the file is not a recording.
    """
    if str(source) in recordings():
        return _bundled(str(source))
    path = Path(source)
    if not path.exists():
        raise RecordingError(f"{source}: no such file, nor a bundled recording ({', '.join(recordings())})")
    if not path.is_file():
        raise RecordingError(f"{source}: not a regular file")
    try:
        return read_qemu(path)
    except OSError as error:
        raise RecordingError(f"{source}: {error.strerror}") from None

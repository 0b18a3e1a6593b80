"""Which build of the core this process uses: on arm64 a wheel has two.

In the core that every arm64 CPU runs a read-modify-write is a call, which looks whether the CPU has Arm's atomic
instructions (FEAT_LSE). The kernel patches its own at boot; a library cannot, so the wheel brings the core a second
time (`vgic/lse`), compiled for CPUs that have them and FEAT_LRCPC, as all since Neoverse N1: there a read-modify-write
is one instruction in place, and an acquire is ``ldapr``. The first import of the package chooses. ``VGIC_CORE=generic``
in the environment takes the one for all CPUs, so that the two can be compared.
"""

import os
import struct
import sys
from pathlib import Path

__all__ = ["other_core"]

_AT_HWCAP = 16
#: Bits of AT_HWCAP on arm64 (Documentation/arch/arm64/elf_hwcaps.rst): HWCAP_ATOMICS and HWCAP_LRCPC.
_NEEDED = 1 << 8 | 1 << 15
_FOLDER = Path(__file__).parent / "lse"


def other_core(folder: Path = _FOLDER, auxv: str = "/proc/self/auxv") -> Path | None:
    """The build for LSE, if there is one and this CPU runs it; None for the one that runs everywhere."""
    path = folder / "_core.abi3.so"
    if os.environ.get("VGIC_CORE") == "generic" or not path.exists() or _hwcap(auxv) & _NEEDED != _NEEDED:
        return None
    return path


def _load(path: Path) -> None:
    """Makes the library ``vgic._core``."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("vgic._core", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["vgic._core"] = module
    vars(sys.modules["vgic"])["_core"] = module


def _hwcap(auxv: str) -> int:
    """What the kernel says of the CPU; 0 if it does not say."""
    try:
        data = Path(auxv).read_bytes()
    except OSError:
        return 0
    pair = struct.Struct("@LL")
    pairs = pair.iter_unpack(data[: len(data) // pair.size * pair.size])
    return next((value for key, value in pairs if key == _AT_HWCAP), 0)


if (path := other_core()) is not None:
    _load(path)

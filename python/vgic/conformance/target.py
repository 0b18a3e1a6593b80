"""What the kit asks of an ITS: a dozen verbs, and where things are.

A target is a GICv3 with one ITS, some PEs ("vCPUs"), RAM, and devices that can send MSIs. Nothing of it runs but what a
verb asks for. Addresses are physical; registers are those of the frames (Arm IHI 0069, chapter 12), little-endian.

=====================  =============================================================================================
``reset``              everything as after power-on; the kit's RAM is zero
``read A S``           read a register of ``S`` bytes (4 or 8) at ``A``
``write A S V``        write ``V`` there
``load A N``           read ``N`` bytes of RAM
``store A BYTES``      write RAM
``msi D E``            device ``D`` writes EventID ``E`` to GITS_TRANSLATER
``pending N``          vCPU ``N`` reads ICC_HPPIR1_EL1: the LPI that it would take, or nothing
``acknowledge N``      vCPU ``N`` reads ICC_IAR1_EL1: the LPI that it takes, or nothing
``end N I``            vCPU ``N`` writes LPI ``I`` to ICC_EOIR1_EL1
``settle``             let all that was asked for become visible: commands, caches, vCPUs that enter and leave
``version``            what is tested, in words: of Python targets only
``close``              the end
=====================  =============================================================================================
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from vgic.errors import MeasurementError

__all__ = ["VIRT", "Places", "Target", "TargetError", "open_target"]


class TargetError(MeasurementError):
    """A target that is not there, or that cannot do what it is asked for."""


class Places(NamedTuple):
    """Where the target has what."""

    gicd: int
    gits: int
    #: RD_base of vCPU 0, and the distance to the next vCPU's.
    gicr: int
    gicr_stride: int
    #: What the kit may use; :attr:`ram_size` is at least 2 MiB, :attr:`ram` a multiple of 64 KiB.
    ram: int
    ram_size: int


#: Those of QEMU's board ``virt``, whose RAM begins 2 MiB below with a device tree.
VIRT = Places(0x0800_0000, 0x0808_0000, 0x080A_0000, 0x2_0000, 0x4020_0000, 2 << 20)


class Target(ABC):
    """An ITS to be tested."""

    #: How the report calls it.
    name: str
    places: Places = VIRT
    #: At least 3.
    vcpus: int = 4
    #: DeviceIDs that :meth:`msi` can send with, at least 2, each below 64.
    devices: Sequence[int] = (0x18, 0x19)
    #: Cases in which it is known to differ, by name, and why.
    known: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def reset(self) -> None:
        """Everything as after power-on; the kit's RAM is zero."""

    @abstractmethod
    def read(self, address: int, size: int) -> int:
        """Read a register."""

    @abstractmethod
    def write(self, address: int, size: int, value: int) -> None:
        """Write a register."""

    @abstractmethod
    def load(self, address: int, size: int) -> bytes:
        """Read RAM."""

    @abstractmethod
    def store(self, address: int, data: bytes) -> None:
        """Write RAM."""

    @abstractmethod
    def msi(self, device_id: int, event_id: int) -> None:
        """A device writes to GITS_TRANSLATER."""

    @abstractmethod
    def pending(self, vcpu: int) -> int | None:
        """Read ICC_HPPIR1_EL1; None for 1023."""

    @abstractmethod
    def acknowledge(self, vcpu: int) -> int | None:
        """Read ICC_IAR1_EL1; None for 1023."""

    @abstractmethod
    def end(self, vcpu: int, intid: int) -> None:
        """Write ICC_EOIR1_EL1 (with EOImode 0: the priority drops)."""

    def settle(self) -> None:  # noqa: B027 (most have nothing to do)
        """Let all that was asked for become visible. An ITS that does everything at once has nothing to do."""

    @property
    def version(self) -> str:
        """What is tested, in words."""
        return self.name

    def close(self) -> None:  # noqa: B027
        """The kit is done."""


def open_target(text: str) -> Target:
    """Open a target by its name.

    - ``qtest``: QEMU, which is started
    - ``qtest:SOCKET,MONITOR``: a QEMU that runs, by the paths of its qtest and QMP sockets
    - ``program:COMMAND``: a program that speaks :mod:`~vgic.conformance.lines`
    - ``python:MODULE`` or ``python:MODULE:TEXT``: a module with a function ``target()``, which is given the text

    Raises ``ValueError`` for another name or a module that has no such function, ``OSError`` and :class:`TargetError`
    for what cannot be started or reached.
    """
    kind, _, rest = text.partition(":")
    if kind == "qtest":
        from vgic.conformance.qemu import open_qemu

        return open_qemu(rest)
    if kind == "program":
        from vgic.conformance.lines import LinesTarget

        return LinesTarget(rest)
    if kind != "python" or not rest:
        raise ValueError(
            f"target {text!r} is none of qtest, qtest:SOCKET,MONITOR, program:COMMAND, python:MODULE[:TEXT]"
        )
    name, colon, argument = rest.partition(":")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"target {text!r}: {error}") from None
    make = getattr(module, "target", None)
    if not callable(make):
        raise ValueError(f"target {text!r}: {name} has no function target()")
    found = make(argument) if colon else make()
    if not isinstance(found, Target):
        raise ValueError(f"target {text!r}: {name}.target() returned no vgic.conformance.Target")
    return found

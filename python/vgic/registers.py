"""What the register frames share: partial accesses, and the cacheability and shareability that KVM settles for.

A 64-bit register may be read and written whole or in halves (Arm IHI 0069, 12.1.3 "GIC memory-mapped register access");
KVM gives the guest back what it will really use: inner shareable, inner cacheable, outer attributes as inner
(``vgic_sanitise_field`` and its callers in ``vgic-mmio.c``).
"""

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import NamedTuple

__all__ = ["GICR", "GITS"]

#: Of GITS_CBASER and GITS_BASER<n>: there is a queue, a table.
VALID = 1 << 63
#: Of GITS_BASER<n>: the table has two levels.
INDIRECT = 1 << 62


class GITS(IntEnum):
    """Registers of an ITS, as offsets in its frame (Arm IHI 0069, 12.18 "The ITS register map")."""

    CTLR = 0x0000
    IIDR = 0x0004
    TYPER = 0x0008
    CBASER = 0x0080
    CWRITER = 0x0088
    CREADR = 0x0090
    BASER0 = 0x0100
    BASER1 = 0x0108
    PIDR2 = 0xFFE8
    TRANSLATER = 0x1_0040


class GICR(IntEnum):
    """Registers of a redistributor's RD_base, LPI part, as offsets (Arm IHI 0069, 12.10)."""

    CTLR = 0x0000
    IIDR = 0x0004
    TYPER = 0x0008
    STATUSR = 0x0010
    WAKER = 0x0014
    PROPBASER = 0x0070
    PENDBASER = 0x0078
    INVLPIR = 0x00A0
    INVALLR = 0x00B0
    SYNCR = 0x00C0
    PIDR2 = 0xFFE8


def mask(high: int, low: int) -> int:
    """Bits ``high`` down to ``low``, as register descriptions give them."""
    return (1 << (high + 1)) - (1 << low)


def part(value: int, offset: int, size: int) -> int:
    """``size`` bytes of a 64-bit value, from byte ``offset`` on."""
    return value >> (8 * offset) & ((1 << (8 * size)) - 1)


def merge(old: int, offset: int, size: int, value: int) -> int:
    """``old`` with ``size`` bytes from byte ``offset`` on replaced by ``value``."""
    bits = ((1 << (8 * size)) - 1) << (8 * offset)
    return old & ~bits | value << (8 * offset) & bits


def sanitise(value: int, *, inner: int, outer: int, shareability: int) -> int:
    """Replace memory attributes that KVM does not take; the arguments are the lowest bits of the three fields.

    Inner cacheability (3 bits): device and non-cacheable become read-allocate write-back. Outer cacheability (3 bits):
    "as inner" and non-cacheable stay, anything else becomes "as inner". Shareability (2 bits): outer becomes inner.
    """
    if value >> inner & 7 in (0, 1):
        value = value & ~(7 << inner) | 3 << inner
    if value >> outer & 7 not in (0, 1):
        value &= ~(7 << outer)
    if value >> shareability & 3 == 2:
        value = value & ~(3 << shareability) | 1 << shareability
    return value


class Register(NamedTuple):
    """A register, or several in a row, of a frame."""

    offset: int
    length: int
    #: Sizes of access in bytes; an access of another size reads as zero and writes nothing.
    sizes: tuple[int, ...]
    #: read(offset from the start, size) -> value
    read: Callable[[int, int], int]
    #: write(offset from the start, size, value)
    write: Callable[[int, int, int], None]


def read_only(offset: int, size: int, value: int) -> None:
    """The write of a register that cannot be written."""


def access(registers: Iterable[Register], offset: int, size: int) -> Register | None:
    """The register that a guest reaches by ``size`` bytes at ``offset``; None if none allows that access."""
    register = find(registers, offset)
    return register if register is not None and size in register.sizes and offset % size == 0 else None


def find(registers: Iterable[Register], offset: int) -> Register | None:
    """The register at ``offset``."""
    for register in registers:
        if 0 <= offset - register.offset < register.length:
            return register
    return None

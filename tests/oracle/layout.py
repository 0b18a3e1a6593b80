"""Where things are: the same guest physical addresses on both machines, and the ids that the tests use."""

from typing import NamedTuple

from vgic.conformance.qtest import EDU_IDS, VCPUS
from vgic.conformance.target import VIRT

GITS, GICR, GICR_STRIDE = VIRT.gits, VIRT.gicr, VIRT.gicr_stride
TRANSLATER = GITS + 0x10040
TABLES, RAM_END = VIRT.ram, VIRT.ram + VIRT.ram_size

#: What KVM asks for, of all tables of the ITS.
PAGE = 64 << 10
CONFIG = TABLES
PENDING = [CONFIG + PAGE * (1 + vcpu) for vcpu in range(VCPUS)]
COLLECTIONS = PENDING[-1] + PAGE
#: Flat device table, or the first level of an indirect one, and what that points to.
DEVICES = COLLECTIONS + PAGE
SECOND_LEVEL = [DEVICES + PAGE, DEVICES + 2 * PAGE]
QUEUES = [SECOND_LEVEL[-1] + PAGE, SECOND_LEVEL[-1] + 2 * PAGE]

#: Interrupt translation tables. QEMU's entries have 12 bytes, KVM's 8.
ITT_ENTRY = 12
SMALL_ITT, SMALL_BITS = 4 << 10, 8
SMALL_ITTS = [QUEUES[-1] + PAGE + n * SMALL_ITT for n in range(24)]
BIG_ITT, BIG_BITS = 256 << 10, 14
BIG_ITTS = [RAM_END - (4 - n) * BIG_ITT for n in range(4)]
assert SMALL_ITTS[-1] + SMALL_ITT <= BIG_ITTS[0]

#: A 64 KiB page of 8 byte entries.
ENTRIES = PAGE // 8

FIRST_LPI = 8192
#: Device ids: those that can send MSIs, and some that only commands can name. 8192 has an entry in the indirect table
#: only, 16384 and 65535 in none.
SENDERS = (0, *EDU_IDS)
DEVICE_IDS = (*SENDERS, 7, ENTRIES - 1, ENTRIES, 2 * ENTRIES, 0xFFFF)
EVENT_IDS = (0, 1, 2, 3, 31, 255, 8192, 8193, 16383)
COLLECTION_IDS = (0, 1, 2, 3, 4, 9, ENTRIES - 1, ENTRIES, 0xFFFF)
#: The last one with 14 and with 15 INTID bits, and the first behind each.
LPIS: tuple[int, ...] = (*range(8192, 8204), 8255, 16383, 16384, 32767)
INTIDS: tuple[int, ...] = (*LPIS, 32768, 8191, 31, 0, 65536, 0xFFFF_FFFF)


class Setup(NamedTuple):
    """What the guest chooses once, when it sets up the ITS."""

    indirect: bool = False
    #: PROPBASER.IDbits: the number of INTID bits minus one.
    id_bits: int = 13
    queue_pages: int = 1
    ptz: bool = True
    #: Whether 64 bit registers are written in halves, as a 32 bit guest does.
    halves: bool = False

    @property
    def pending_bytes(self) -> int:
        """Size of a pending table."""
        return (2 << self.id_bits) // 8

    def device_entry(self, device: int) -> int | None:
        """Address of a device's table entry, if it has one."""
        table = SECOND_LEVEL if self.indirect else [DEVICES]
        return table[device // ENTRIES] + device % ENTRIES * 8 if device < len(table) * ENTRIES else None


class Register(NamedTuple):
    """A register, of a given vCPU's redistributor if it is one of those."""

    name: str
    address: int
    size: int


def _its(name: str, offset: int, size: int) -> Register:
    return Register(f"GITS_{name}", GITS + offset, size)


def _redistributors(name: str, offset: int, size: int) -> list[Register]:
    return [Register(f"GICR{n}_{name}", GICR + n * GICR_STRIDE + offset, size) for n in range(VCPUS)]


_IDS = [(f"PIDR{n}", 0xFFD0 + 4 * (n - 4)) for n in range(4, 8)]
_IDS += [(f"PIDR{n}", 0xFFE0 + 4 * n) for n in range(4)]
_IDS += [(f"CIDR{n}", 0xFFF0 + 4 * n) for n in range(4)]

_WHOLE: dict[str, Register] = {
    register.name: register
    for register in [
        _its("CTLR", 0x0, 4),
        _its("IIDR", 0x4, 4),
        _its("TYPER", 0x8, 8),
        _its("CBASER", 0x80, 8),
        _its("CWRITER", 0x88, 8),
        _its("CREADR", 0x90, 8),
        *[_its(f"BASER{n}", 0x100 + 8 * n, 8) for n in range(8)],
        *[_its(name, offset, 4) for name, offset in _IDS],
        *_redistributors("CTLR", 0x0, 4),
        *_redistributors("IIDR", 0x4, 4),
        *_redistributors("TYPER", 0x8, 8),
        *_redistributors("WAKER", 0x14, 4),
        *_redistributors("PROPBASER", 0x70, 8),
        *_redistributors("PENDBASER", 0x78, 8),
        *_redistributors("INVLPIR", 0xA0, 8),
        *_redistributors("INVALLR", 0xB0, 8),
        *_redistributors("SYNCR", 0xC0, 4),
        *[each for name, offset in _IDS for each in _redistributors(name, offset, 4)],
    ]
}

#: Registers by name; of those with 64 bits also the halves, by the names of which a mask's bits are shifted.
HALVES = {"[31:0]": 0, "[63:32]": 32}
REGISTERS: dict[str, Register] = _WHOLE | {
    half.name: half
    for name, address, size in _WHOLE.values()
    for half in [Register(name + suffix, address + shift // 8, 4) for suffix, shift in HALVES.items()]
    if size == 8
}

#: What is compared after each step; the others rarely change.
STATUS = ["GITS_CTLR", "GITS_CWRITER", "GITS_CREADR", *[f"GICR{n}_CTLR" for n in range(VCPUS)]]

# Fields. KVM's choice of cacheability and shareability, which it keeps as written: see masks.SANITISED.
VALID = 1 << 63
SHAREABLE = 1 << 10
CACHEABLE = 7
INDIRECT = 1 << 62
PAGES_64K = 2 << 8
PTZ = 1 << 62


def cbaser(queue: int, pages: int) -> int:
    return VALID | CACHEABLE << 59 | queue | SHAREABLE | pages - 1


def baser(table: int, kind: int, *, indirect: bool = False) -> int:
    """One page; ``kind``: 1 for devices, 4 for collections. Entry size and kind are read-only fields."""
    fixed = kind << 56 | 7 << 48
    return VALID | indirect * INDIRECT | CACHEABLE << 59 | fixed | table | SHAREABLE | PAGES_64K


def propbaser(id_bits: int) -> int:
    return CONFIG | SHAREABLE | CACHEABLE << 7 | id_bits


def pendbaser(vcpu: int, *, ptz: bool) -> int:
    return PENDING[vcpu] | SHAREABLE | CACHEABLE << 7 | ptz * PTZ

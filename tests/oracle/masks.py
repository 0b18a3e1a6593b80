"""Every way in which QEMU 7.2 is known to differ from KVM, in one table: what each does, and what the tests do
about it.

KVM's rule is the one that vgic follows. The architecture leaves most of these cases to the implementation
("CONSTRAINED UNPREDICTABLE"), and no driver depends on them; of the others each says whose fault it is, and the
conformance kit has a case of it. A mask is applied where a difference would otherwise show, and counts how often that
was. `test_masks.py` lifts them one by one, and shows that the machines then differ in just the way that is written
here: a mask that hides nothing is an error.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

from layout import HALVES

#: How often each mask was needed in this process, by name.
USED: Counter[str] = Counter()
_OFF: set[str] = set()


class How(Enum):
    """What a mask does."""

    SKIP = "the guest does not do it"
    PREPARE = "the guest does something first, or afterwards, that makes both agree"
    VMM = "the VMM, or the test, sees to it on one of the machines"
    BITS = "bits of a register are not compared"


class Ruling(Enum):
    """Who is right, by the architecture (Arm IHI 0069)."""

    QEMU = "QEMU does otherwise than the architecture demands"
    KVM = "KVM does"
    OPEN = "the architecture leaves it open, or forbids what leads to it"
    VMM = "it is no matter of the architecture: the VMM does it"


@dataclass(frozen=True)
class Mask:
    """One difference."""

    name: str
    how: How
    ruling: Ruling
    qemu: str
    kvm: str
    #: What exactly is skipped, prepared or ignored.
    remedy: str
    #: For BITS: which registers (all redistributors' for a name that starts with "GICR_"), and which bits of them.
    registers: tuple[str, ...] = ()
    bits: int = 0
    #: The case, or the choice, of the conformance kit that shows it.
    kit: str = ""

    def use(self) -> bool:
        """Whether to apply it, here and now; it is needed."""
        if self.name in _OFF:
            return False
        USED[self.name] += 1
        return True

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Do not apply it for a while, to see what it hides."""
        _OFF.add(self.name)
        try:
            yield
        finally:
            _OFF.discard(self.name)


class Masked(Exception):
    """The guest leaves an operation out, because of a mask."""


MASKS: dict[str, Mask] = {}


def _mask(name: str, how: How, ruling: Ruling, **rest: Any) -> Mask:
    mask = Mask(name, how, ruling, **rest)
    assert name not in MASKS
    MASKS[name] = mask
    return mask


# Mapping and unmapping events.

MAPTI_MAPPED = _mask(
    "mapti-of-a-mapped-event",
    How.SKIP,
    Ruling.OPEN,
    kit="mapti-of-a-mapped-event",
    qemu="overwrites the entry; the old LPI stays pending",
    kvm="returns success and keeps the old mapping",
    remedy="MAPTI and MAPI name an event that is not mapped",
)
MAPTI_ID_BITS = _mask(
    "mapti-above-propbaser-idbits",
    How.SKIP,
    Ruling.OPEN,
    qemu="maps it (it looks at the distributor's 16 bits only) and drops its MSIs",
    kvm="rejects the MAPTI",
    remedy="INTIDs below 65536 that PROPBASER.IDbits excludes are not mapped",
)
SHARED_LPI = _mask(
    "one-lpi-in-two-collections",
    How.SKIP,
    Ruling.OPEN,
    qemu="has a pending bit for each vCPU",
    kvm="has one pending state and one target for each INTID",
    remedy="events that share an LPI are mapped in one collection, and are not moved out of it one by one",
)
LINGERING_LPI = _mask(
    "unmapped-lpi-stays-queued",
    How.PREPARE,
    Ruling.KVM,
    qemu="a DISCARDed LPI is gone",
    kvm="it stays on the vCPU's queue until that leaves the guest; a MAPTI until then finds it again, with its old "
    "target",
    remedy="every vCPU enters and leaves the guest before an INTID that was unmapped is mapped again",
)
DISCARD_PENDING = _mask(
    "discard-of-a-pending-lpi",
    How.PREPARE,
    Ruling.KVM,
    kit="discard-takes-the-pending-state-away",
    qemu="DISCARD takes the pending bit away",
    kvm="pending state of a queued LPI survives, and may be delivered once",
    remedy="CLEAR comes first",
)
MAPD_PENDING = _mask(
    "mapd-over-pending-lpis",
    How.PREPARE,
    Ruling.OPEN,
    kit="mapd-over-pending-lpis",
    qemu="pending bits of the device's LPIs stay in the tables",
    kvm="pending state goes with the translations (of what is not queued)",
    remedy="CLEAR of each pending LPI of the device comes first",
)
ITT_REUSE = _mask(
    "itt-memory-is-not-zero",
    How.PREPARE,
    Ruling.OPEN,
    kit="itt-memory-is-not-zero",
    qemu="entries that an earlier MAPD left in the ITT are live again",
    kvm="a device starts with no event; the ITT is only read when tables are restored",
    remedy="the guest zeroes the ITT before MAPD",
)
MAPD_SIZE = _mask(
    "mapd-invalid-with-a-size",
    How.PREPARE,
    Ruling.OPEN,
    kit="mapd-invalid-with-a-size",
    qemu="MAPD with V=0 and a size above the limit is rejected: the device stays mapped",
    kvm="the size is looked at with V=1 only",
    remedy="MAPD with V=0 has the size field 0 in that case",
)

# Collections.

MAPC_MOVES = _mask(
    "mapc-moves-a-collection",
    How.PREPARE,
    Ruling.OPEN,
    kit="mapc-moves-a-collection",
    qemu="pending LPIs stay on the old vCPU",
    kvm="the collection's LPIs have the new target at once, pending or not",
    remedy="CLEAR of each pending LPI of the collection comes first (or MOVALL)",
)
MAPC_UNMAPS = _mask(
    "commands-on-an-unmapped-collection",
    How.PREPARE,
    Ruling.OPEN,
    qemu="CLEAR and INV of an event whose collection is not mapped are ignored",
    kvm="they work: the event is mapped, and that is all they need",
    remedy="CLEAR of each pending LPI comes before a MAPC with V=0",
)
MAPC_REVIVES = _mask(
    "mapc-again-after-unmapping",
    How.SKIP,
    Ruling.OPEN,
    kit="mapc-again-after-unmapping",
    qemu="events keep the collection's number and work again",
    kvm="events have lost their collection and are dead until they are mapped anew",
    remedy="a collection is not mapped again while events from before are left",
)
MAPC_RANGE = _mask(
    "unmapping-with-a-vcpu-that-does-not-exist",
    How.PREPARE,
    Ruling.OPEN,
    qemu="MAPC with V=0 ignores its vCPU",
    kvm="kernels before 6.10 reject it",
    remedy="on designs of such kernels, MAPC with V=0 names vCPU 0 instead",
)
MAPC_CACHED = _mask(
    "mapc-to-a-vcpu-whose-lpis-are-off",
    How.PREPARE,
    Ruling.KVM,
    kit="a-redistributor-without-lpis-ignores-known-events",
    qemu="the next MSI is dropped",
    kvm="an event that has been sent is cached, and MAPC does not empty the cache: its next MSI is taken without a "
    "look at EnableLPIs",
    remedy="a MOVI of one event to the collection where it is already follows: that empties the cache",
)
MOVALL_ALONE = _mask(
    "movall-without-mapc",
    How.PREPARE,
    Ruling.OPEN,
    kit="movall-without-mapc",
    qemu="moves pending bits only: the next MSI goes where the collection points",
    kvm="changes the target of every LPI of the vCPU: the next MSI goes to the new one",
    remedy="MOVALL is followed by MAPC of each collection of the old vCPU to the new one, as a driver does",
)
MOVALL_ALL = _mask(
    "movall-of-every-vcpu",
    How.SKIP,
    Ruling.KVM,
    kit="movall-leaves-others-alone",
    qemu="moves what is pending on the old vCPU",
    kvm="from 6.10 to 7.2.9 every LPI of the VM gets the new vCPU as its target",
    remedy="on designs of such kernels there is no MOVALL",
)

# Redistributors.

LPIS_OFF = _mask(
    "moving-lpis-of-a-disabled-redistributor",
    How.SKIP,
    Ruling.OPEN,
    qemu="does nothing with pending bits of a redistributor whose LPIs are off, nor moves any to one",
    kvm="state and target are the LPI's, whether its vCPU's LPIs are on or not",
    remedy="LPIs that are pending in a switched off table are not unmapped or moved, no pending LPI is moved to such a "
    "vCPU, and MOVALL names none",
)
PENDING_TABLES = _mask(
    "pending-tables-are-live",
    How.VMM,
    Ruling.OPEN,
    kit="pending-tables-are-live",
    qemu="the pending table in memory is the state: EnableLPIs = 0 leaves it there",
    kvm="the table is read when LPIs are enabled or mapped and written when the VMM saves it; EnableLPIs = 0 drops "
    "what is queued",
    remedy="the VMM saves a vCPU's table before its LPIs are switched off, and wipes it after they were switched on",
)
PENDING_ELSEWHERE = _mask(
    "pending-bits-of-other-lpis",
    How.SKIP,
    Ruling.OPEN,
    qemu="any bit of a pending table counts",
    kvm="only those of LPIs that are mapped to that vCPU; MAPTI takes a bit out of the table, and what it took is lost "
    "when the LPIs are enabled after that",
    remedy="the guest sets bits of LPIs that are mapped to the table's vCPU already",
)
PTZ = _mask(
    "pending-table-zero",
    How.PREPARE,
    Ruling.OPEN,
    kit="pending-table-zero",
    qemu="PENDBASER.PTZ is ignored: what the table holds becomes pending",
    kvm="with PTZ the table is not read",
    remedy="PTZ is set only if the table is empty",
)
PTZ_READS = _mask(
    "pending-table-zero-reads",
    How.BITS,
    Ruling.QEMU,
    kit="pending-table-zero-reads-as-zero",
    qemu="PENDBASER.PTZ reads as written",
    kvm="it reads as 0",
    remedy="bit 62 is not compared",
    registers=("GICR_PENDBASER",),
    bits=1 << 62,
)
BASE_WHILE_ENABLED = _mask(
    "propbaser-and-pendbaser-while-enabled",
    How.SKIP,
    Ruling.OPEN,
    kit="propbaser-while-enabled",
    qemu="a write is taken",
    kvm="it is ignored",
    remedy="they are written while the LPIs are off",
)

# Migration: QEMU goes on as if nothing had happened.

SAVE_DEAD = _mask(
    "saving-an-event-without-collection",
    How.SKIP,
    Ruling.VMM,
    qemu="the event stays as it is",
    kvm="an event whose collection was unmapped is not saved: after the migration it is not mapped",
    remedy="no migration while there are such events",
)
SAVE_WHILE_OFF = _mask(
    "saving-a-switched-off-pending-table",
    How.SKIP,
    Ruling.VMM,
    qemu="the bits stay as they are",
    kvm="the save also writes tables of vCPUs whose LPIs are off: a pending bit there is lost",
    remedy="no migration while a switched off table has bits",
)

# Registers of the ITS.

ENABLE_INVALID = _mask(
    "enabling-without-tables",
    How.SKIP,
    Ruling.OPEN,
    kit="enabling-without-tables",
    qemu="switches the ITS on; a table that is not valid counts as empty",
    kvm="GITS_CTLR.Enabled stays 0 unless CBASER and both BASERs are valid",
    remedy="the ITS is switched on with valid tables",
)
SANITISED = _mask(
    "baser-fields",
    How.PREPARE,
    Ruling.OPEN,
    kit="page-sizes",
    qemu="keeps page size, cacheability and shareability as written",
    kvm="forces 64 KiB pages, and replaces attributes that it does not support",
    remedy="the guest asks for what KVM keeps, and has tables of 64 KiB pages",
)
CWRITER_KEPT = _mask(
    "cbaser-resets-cwriter",
    How.PREPARE,
    Ruling.OPEN,
    kit="cbaser-resets-cwriter",
    qemu="a write of CBASER resets CREADR only",
    kvm="it resets CREADR and CWRITER",
    remedy="the guest writes CWRITER = 0 after CBASER, as Linux does",
)
CWRITER_RANGE = _mask(
    "cwriter-beyond-the-queue",
    How.SKIP,
    Ruling.OPEN,
    kit="cwriter-beyond-the-queue",
    qemu="is stored, and processing stops",
    kvm="the write is ignored",
    remedy="CWRITER stays within the queue",
)
CREADR_WRITE = _mask(
    "creadr-is-writable",
    How.SKIP,
    Ruling.QEMU,
    kit="creadr-is-read-only",
    qemu="the guest can write CREADR, as GICD_CTLR.DS is 1",
    kvm="a guest's write is ignored",
    remedy="the guest does not write it",
)
QUIESCENT = _mask(
    "quiescent",
    How.BITS,
    Ruling.OPEN,
    kit="quiescent",
    qemu="GITS_CTLR.Quiescent is always 1",
    kvm="it is 0 while commands wait",
    remedy="bit 31 is not compared",
    registers=("GITS_CTLR",),
    bits=1 << 31,
)

# What vCPUs take; QEMU's can only be asked with the agent.

CONFIG_CACHED = _mask(
    "configuration-is-cached",
    How.PREPARE,
    Ruling.OPEN,
    kit="configuration-is-cached",
    qemu="reads an LPI's byte whenever it looks for the most important one, and at each MSI",
    kvm="reads it at MAPTI, INV and INVALL only",
    remedy="the guest sends INV or INVALL when it has written the byte",
)
LOWEST_PRIORITY = _mask(
    "lowest-priority",
    How.SKIP,
    Ruling.OPEN,
    qemu="ICC_PMR_EL1 has 5 bits, so the most open mask is 0xf8: an LPI of that priority is pending and never taken",
    kvm="the CPU interface is hardware, which does the same; vgic's has no priority mask, and takes it",
    remedy="no LPI has the lowest priority",
)
TIES = _mask(
    "equal-priorities",
    How.SKIP,
    Ruling.OPEN,
    kit="equal-priorities",
    qemu="the lowest INTID is taken first",
    kvm="the one that was queued first",
    remedy="LPIs have different priorities",
)

# What the implementations say of themselves.

ITS_TYPER = _mask(
    "its-typer",
    How.BITS,
    Ruling.OPEN,
    qemu="ITT entries of 12 bytes, a collection-id size field",
    kvm="ITT entries of 8 bytes, no collection-id size field",
    remedy="bits 7:4, 36 and 35:32 are not compared",
    registers=("GITS_TYPER",),
    bits=0x1F_0000_00F0,
)
PRODUCT = _mask(
    "product",
    How.BITS,
    Ruling.OPEN,
    qemu="names no product in IIDR",
    kvm="is product 'K'",
    remedy="bits 31:24 are not compared",
    registers=("GITS_IIDR", "GICR_IIDR"),
    bits=0xFF << 24,
)
PARTS = _mask(
    "parts",
    How.BITS,
    Ruling.OPEN,
    qemu="each frame has Arm's part number and the component ids",
    kvm="the ITS has another part number, a redistributor has PIDR2 only",
    remedy="PIDR0 and PIDR4, and of redistributors all but PIDR2, are not compared",
    registers=(
        *("GITS_PIDR0", "GITS_PIDR4", "GICR_PIDR0", "GICR_PIDR1", "GICR_PIDR4"),
        *(f"GICR_CIDR{n}" for n in range(4)),
    ),
    bits=0xFF,
)
COMMON_AFFINITY = _mask(
    "common-lpi-affinity",
    How.BITS,
    Ruling.OPEN,
    qemu="GICR_TYPER.CommonLPIAff is 1: PROPBASER is shared by redistributors with the same Aff3",
    kvm="it is 0: by all of them",
    remedy="bits 25:24 are not compared; the guest writes the same to all",
    registers=("GICR_TYPER",),
    bits=3 << 24,
)
DIRECT_INV = _mask(
    "direct-invalidation",
    How.BITS,
    Ruling.OPEN,
    kit="direct-invalidation",
    qemu="has no GICR_INVLPIR and GICR_INVALLR: GICR_CTLR.IR is 0",
    kvm="has both",
    remedy="bit 2 is not compared",
    registers=("GICR_CTLR",),
    bits=1 << 2,
)
WAKER = _mask(
    "waker",
    How.BITS,
    Ruling.OPEN,
    qemu="redistributors are asleep after reset until the guest wakes them by GICR_WAKER (LPIs pend all the same)",
    kvm="GICR_WAKER reads as zero, and writes are ignored",
    remedy="bits 2:1 are not compared",
    registers=("GICR_WAKER",),
    bits=3 << 1,
)


def differing(name: str, qemu: int, kvm: int) -> int:
    """The bits in which a register (or a half of one) differs without a mask that says so."""
    whole, bracket, half = name.partition("[")
    shift = HALVES[bracket + half] if bracket else 0
    generic = "GICR_" + whole.partition("_")[2] if whole.startswith("GICR") else whole
    differs = (qemu ^ kvm) << shift
    for mask in MASKS.values():
        if generic in mask.registers and differs & mask.bits and mask.use():
            differs &= ~mask.bits
    return differs >> shift

"""Entries of the ITS tables in guest memory, in KVM's table format revision 0 (GITS_IIDR.Revision = 0).

The architecture leaves the format of the tables to the implementation; KVM fixed one for migration
(``Documentation/virt/kvm/devices/arm-vgic-its.rst``, "ITS Table ABI REV0"). Every entry is one little-endian 64-bit
word:

====================  =====================================================================================
Device Table entry    63 valid; 62:49 distance to the next valid DeviceID, 0 if last, at most 16383; 48:5 ITT
                      address bits 51:8; 4:0 number of EventID bits less one. Indexed by DeviceID.
Collection Table      63 valid; 51:16 RDbase, the number of the vCPU (all ones in 47:16: not mapped);
entry                 15:0 collection. Packed from the start; the first entry that is not valid ends it.
ITT entry             63:48 distance to the next mapped EventID, 0 if last; 47:16 INTID, 0 if the event is not
                      mapped; 15:0 collection. Indexed by EventID.
Level 1 entry         63 valid; 51:16 address of a 64 KiB page of Device Table entries.
====================  =====================================================================================
"""

from typing import NamedTuple

from vgic.arguments import integer
from vgic.registers import mask

__all__ = ["CollectionEntry", "DeviceEntry", "IttEntry", "Level1Entry"]

#: Bytes of each kind of entry.
ENTRY_SIZE = 8
#: Bytes of a page of a table (GITS_BASER<n>.Page_Size: only 64 KiB).
PAGE_SIZE = 0x1_0000

#: What makes an entry of a Device, Collection or level 1 table valid, and what is not zero in the ITE of an event.
ENTRY_VALID = 1 << 63
ITE_MAPPED = mask(47, 16)

_MOST_DEVICE_DISTANCE = (1 << 14) - 1
_MOST_EVENT_DISTANCE = (1 << 16) - 1
_NOT_MAPPED = (1 << 32) - 1
_WORD = (1 << 64) - 1


def device_distance(word: int) -> int:
    """Distance to the next valid DTE, of a DTE."""
    return word >> 49 & _MOST_DEVICE_DISTANCE


def event_distance(word: int) -> int:
    """Distance to the ITE of the next event, of an ITE."""
    return word >> 48


def ite_fields(word: int) -> tuple[int, int, int]:
    """Distance, INTID and collection of an ITE: a restore has many of these."""
    return word >> 48, word >> 16 & 0xFFFF_FFFF, word & 0xFFFF


class DeviceEntry(NamedTuple):
    """Device Table entry (DTE)."""

    valid: bool
    #: Distance to the DeviceID of the next valid entry; 0 if there is none.
    next: int
    #: Guest physical address of the interrupt translation table.
    itt_address: int
    #: Number of EventID bits, 1 to 32.
    event_bits: int

    @classmethod
    def decode(cls, word: int) -> "DeviceEntry":
        """Split the 64-bit entry ``word``."""
        integer("word", word, 0, _WORD)
        return cls(bool(word & ENTRY_VALID), device_distance(word), (word >> 5 & mask(43, 0)) << 8, (word & 0x1F) + 1)

    def encode(self) -> int:
        """Return the 64-bit entry; a distance that is too far is capped.

        Raises ``ValueError`` for another number that does not fit; the low 8 bits of the address are not kept.
        """
        distance = min(integer("next", self.next, 0, _WORD), _MOST_DEVICE_DISTANCE)
        integer("itt_address", self.itt_address, 0, (1 << 52) - 1)
        integer("event_bits", self.event_bits, 1, 32)
        return self.valid << 63 | distance << 49 | self.itt_address >> 8 << 5 | self.event_bits - 1

    def __str__(self) -> str:
        if not self.valid:
            return "DTE invalid"
        return f"DTE itt_address={self.itt_address:#x} event_bits={self.event_bits} next={self.next}"


class CollectionEntry(NamedTuple):
    """Collection Table entry (CTE)."""

    valid: bool
    #: Number of the vCPU; None if the collection is known but not mapped.
    vcpu: int | None
    collection_id: int

    @classmethod
    def decode(cls, word: int) -> "CollectionEntry":
        """Split the 64-bit entry ``word``."""
        integer("word", word, 0, _WORD)
        vcpu = word >> 16 & 0xFFFF_FFFF
        return cls(bool(word & ENTRY_VALID), None if vcpu == _NOT_MAPPED else vcpu, word & 0xFFFF)

    def encode(self) -> int:
        """Return the 64-bit entry. Raises ``ValueError`` for a number that does not fit."""
        vcpu = _NOT_MAPPED if self.vcpu is None else integer("vcpu", self.vcpu, 0, _NOT_MAPPED - 1)
        integer("collection_id", self.collection_id, 0, 0xFFFF)
        return self.valid << 63 | vcpu << 16 | self.collection_id

    def __str__(self) -> str:
        if not self.valid:
            return "CTE invalid"
        vcpu = "not mapped" if self.vcpu is None else f"vcpu={self.vcpu}"
        return f"CTE collection_id={self.collection_id} {vcpu}"


class IttEntry(NamedTuple):
    """Interrupt translation table entry (ITE)."""

    #: Distance to the next mapped EventID; 0 if there is none.
    next: int
    #: The LPI, or 0: not mapped.
    intid: int
    collection_id: int

    @classmethod
    def decode(cls, word: int) -> "IttEntry":
        """Split the 64-bit entry ``word``."""
        integer("word", word, 0, _WORD)
        return cls(*ite_fields(word))

    def encode(self) -> int:
        """Return the 64-bit entry; a distance that is too far is capped.

        Raises ``ValueError`` for another number that does not fit.
        """
        try:
            fits = not (self.intid >> 32 or self.collection_id >> 16 or self.next >> 64)
        except TypeError:
            fits = False
        if not fits:  # Asked one by one only then: a save has many of these.
            integer("intid", self.intid, 0, 0xFFFF_FFFF)
            integer("collection_id", self.collection_id, 0, 0xFFFF)
            integer("next", self.next, 0, _WORD)
        return min(self.next, _MOST_EVENT_DISTANCE) << 48 | self.intid << 16 | self.collection_id

    def __str__(self) -> str:
        if not self.intid:
            return "ITE not mapped"
        return f"ITE intid={self.intid} collection_id={self.collection_id} next={self.next}"


class Level1Entry(NamedTuple):
    """Level 1 entry of an indirect Device Table."""

    valid: bool
    #: Guest physical address of the page of Device Table entries.
    address: int

    @classmethod
    def decode(cls, word: int) -> "Level1Entry":
        """Split the 64-bit entry ``word``."""
        integer("word", word, 0, _WORD)
        return cls(bool(word & ENTRY_VALID), word & mask(51, 16))

    def __str__(self) -> str:
        return f"level 1 address={self.address:#x}" if self.valid else "level 1 invalid"

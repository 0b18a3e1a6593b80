"""What an entry of an ITS's tables says; the architecture leaves that to the implementation.

========  ============================================================================================================
``kvm``   KVM's, revision 0, as :mod:`vgic.its.tables` has it. The tables are written at a save, which QEMU asks for
          whenever it stops the machine.
``qemu``  Of the ITS that QEMU emulates, since 7.0. The tables are alive. Device entry: 0 valid; 5:1 number of EventID
          bits less one; 49:6 ITT address bits 51:8. Collection entry, indexed by collection: 0 valid; 16:1 vCPU. ITT
          entry, 12 bytes: 0 valid; 1 physical; 25:2 INTID; 47:32 collection; a doorbell.
========  ============================================================================================================

In both the first level of an indirect table is the architecture's.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

from vgic.its.saving import table_address
from vgic.its.tables import PAGE_SIZE, CollectionEntry, DeviceEntry, IttEntry
from vgic.registers import mask

__all__ = ["FORMATS", "WORD", "Format"]

WORD = struct.Struct("<Q")
_QEMU_ITE = struct.Struct("<QI")
_PAGES = (4 << 10, 16 << 10, 64 << 10, 64 << 10)


class Format(NamedTuple):
    """How an implementation keeps its tables."""

    name: str
    device: Callable[[int], DeviceEntry]
    #: Of the entry's index and word.
    collection: Callable[[int, int], CollectionEntry]
    event: Callable[[int], IttEntry]
    #: An ITT entry, the word of :attr:`event` first.
    itt_entry: struct.Struct
    #: Bytes of a page of the table that a GITS_BASER<n> names.
    page: Callable[[int], int]
    #: Whether an entry tells the distance to the next one, and the collection table ends with one that is not valid.
    linked: bool

    def address(self, baser: int) -> int:
        """Guest physical address of the table that a GITS_BASER<n> names."""
        return table_address(baser) if self.page(baser) == PAGE_SIZE else baser & mask(47, 12)

    def size(self, baser: int) -> int:
        """Bytes of the table that a GITS_BASER<n> names."""
        return ((baser & 0xFF) + 1) * self.page(baser)


def _qemu_device(word: int) -> DeviceEntry:
    return DeviceEntry(bool(word & 1), 0, (word >> 6 & mask(43, 0)) << 8, (word >> 1 & 0x1F) + 1)


def _qemu_collection(index: int, word: int) -> CollectionEntry:
    return CollectionEntry(bool(word & 1), word >> 1 & 0xFFFF, index)


def _qemu_event(word: int) -> IttEntry:
    return IttEntry(0, word >> 2 & 0xFF_FFFF if word & 1 else 0, word >> 32 & 0xFFFF)


FORMATS = {
    "kvm": Format(
        "kvm",
        DeviceEntry.decode,
        lambda index, word: CollectionEntry.decode(word),
        IttEntry.decode,
        WORD,
        lambda baser: PAGE_SIZE,
        linked=True,
    ),
    "qemu": Format(
        "qemu",
        _qemu_device,
        _qemu_collection,
        _qemu_event,
        _QEMU_ITE,
        lambda baser: _PAGES[baser >> 8 & 3],
        linked=False,
    ),
}

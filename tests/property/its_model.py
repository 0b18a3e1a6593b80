"""A small model of KVM's ITS, LPIs and vCPU interfaces for one thread: dicts, no locks, no caches of pointers.

Each method does what the operation of the same name does to a VM, and raises :class:`Rejected` or ``OSError`` where
that one does.
"""

import errno
from dataclasses import dataclass, field

from quirks import Quirks

DEFAULT_CONFIG = 0xA1
FIRST_LPI, LPI_LIMIT = 8192, 65536
ID_LIMIT = 1 << 16

MOVALL_PROCNUM_OOR = 0x010E01
MAPD_DEVICE_OOR = 0x010801
MAPD_ITTSIZE_OOR = 0x010802
MAPC_PROCNUM_OOR = 0x010902
MAPC_COLLECTION_OOR = 0x010903
MAPTI_UNMAPPED_DEVICE = 0x010A04
MAPTI_ID_OOR = 0x010A05
MAPTI_PHYSICALID_OOR = 0x010A06
MOVI_UNMAPPED_INTERRUPT = 0x010107
MOVI_UNMAPPED_COLLECTION = 0x010109
DISCARD_UNMAPPED_INTERRUPT = 0x010F07
INT_UNMAPPED_INTERRUPT = 0x010307
CLEAR_UNMAPPED_INTERRUPT = 0x010507
INV_UNMAPPED_INTERRUPT = 0x010C07
INVALL_UNMAPPED_COLLECTION = 0x010D09


class Rejected(Exception):
    """An ITS command with an error."""

    def __init__(self, code: int) -> None:
        super().__init__(hex(code))
        self.code = code


@dataclass(eq=False)
class Lpi:
    """One LPI: it lives while something is mapped to it or a vCPU has it queued.

    Where vCPUs have hints, it is queued by what it is, and that does not keep it alive.
    """

    intid: int
    target: int | None
    priority: int = 0
    enabled: bool = False
    pending: bool = False
    active: bool = False
    hints: bool = False
    on_list: int | None = None
    mappings: int = 0

    @property
    def queued(self) -> int | None:
        """The vCPU that has it queued."""
        if self.hints:
            return self.target if self.pending and self.enabled else None
        return self.on_list


@dataclass(eq=False)
class Collection:
    """A collection, by identity: one that is unmapped and mapped again is another one."""

    number: int
    target: int | None = None


@dataclass(eq=False)
class Event:
    """What one EventID translates to."""

    lpi: Lpi
    collection: Collection | None


@dataclass(eq=False)
class Device:
    """A device with its events, in the order of mapping."""

    bits: int
    itt: int
    events: dict[int, Event] = field(default_factory=dict)


@dataclass(eq=False)
class ItsModel:
    """One ITS."""

    enabled: bool = False
    devices: dict[int, Device] = field(default_factory=dict)
    collections: dict[int, Collection] = field(default_factory=dict)
    cached: set[tuple[int, int]] = field(default_factory=set)

    def event(self, device: int, event: int, error: int) -> Event:
        """The mapped event, or the command's error."""
        try:
            return self.devices[device].events[event]
        except KeyError:
            raise Rejected(error) from None


class Model:
    """One VM."""

    def __init__(self, quirks: Quirks, *, vcpus: int, its: int, list_registers: int) -> None:
        self.quirks = quirks
        self.vcpus = vcpus
        self.list_registers = list_registers
        self.its = [ItsModel() for _ in range(its)]
        self.lpis: dict[int, Lpi] = {}
        self.distributor = True
        self.lpis_enabled = [False] * vcpus
        self.running: list[int] = [0] * vcpus  # active priorities, a bit for each of 32 levels
        self.config: dict[int, int] = {}
        self.pending_table: set[tuple[int, int]] = set()
        names = ("sent", "delivered", "coalesced", "dropped", "pending_loaded", "cache_hits", "cache_misses")
        self.counts = dict.fromkeys((*names, "migrations", "cache_evictions"), 0)

    # What is seen from outside.

    def seen_lpis(self) -> list[dict]:
        """As :meth:`vgic.Vm.lpis`."""
        cached = [its.devices[device].events[event].lpi for its in self.its for device, event in its.cached]
        return [
            {
                "intid": lpi.intid,
                "target_vcpu": lpi.target,
                "pending": lpi.pending,
                "active": lpi.active,
                "enabled": lpi.enabled,
                "priority": lpi.priority,
                "queued_on": lpi.queued,
                "references": lpi.mappings + (lpi.on_list is not None) + cached.count(lpi),
            }
            for _, lpi in sorted(self.lpis.items())
        ]

    def seen_tables(self, its: int) -> dict:
        """As :meth:`vgic.Its.tables`."""
        return {
            "devices": [
                {
                    "device_id": number,
                    "event_bits": device.bits,
                    "itt_address": device.itt,
                    "events": [
                        (number, event.lpi.intid, event.collection and event.collection.number)
                        for number, event in device.events.items()
                    ],
                }
                for number, device in self.its[its].devices.items()
            ],
            "collections": [(c.number, c.target) for c in self.its[its].collections.values()],
        }

    @property
    def pending(self) -> int:
        """LPIs that are pending."""
        return sum(lpi.pending for lpi in self.lpis.values())

    def has_pending(self, vcpu: int) -> bool:
        """As :attr:`vgic.Vcpu.has_pending`."""
        return self.distributor and any(
            lpi.queued == vcpu and lpi.pending and lpi.enabled and not lpi.active for lpi in self.lpis.values()
        )

    # The LPIs.

    def _belongs(self, lpi: Lpi) -> int | None:
        """The vCPU on whose queue an LPI should be."""
        if lpi.active:
            return lpi.target if lpi.queued is None else lpi.queued
        return lpi.target if lpi.enabled and lpi.pending and self.distributor else None

    def _queue(self, lpi: Lpi) -> None:
        if lpi.on_list is None and not lpi.hints:
            lpi.on_list = self._belongs(lpi)

    def _retarget(self, lpi: Lpi, target: int) -> None:
        if lpi.hints and lpi.queued not in (None, target):
            self.counts["migrations"] += 1
        lpi.target = target

    def _unqueue(self, lpi: Lpi) -> None:
        lpi.on_list = None
        self._release(lpi)

    def _release(self, lpi: Lpi) -> None:
        if lpi.mappings == 0 and lpi.on_list is None:
            self._drop_pending(lpi)
            del self.lpis[lpi.intid]

    def _drop_pending(self, lpi: Lpi) -> None:
        self.counts["dropped"] += lpi.pending
        lpi.pending = False

    def _load_pending(self, lpi: Lpi, pending: bool) -> None:
        if not pending:
            if not self.quirks.hardened:
                self._drop_pending(lpi)
        elif not lpi.pending:
            self.counts["pending_loaded"] += 1
            lpi.pending = True

    def _inject(self, lpi: Lpi) -> None:
        self.counts["coalesced"] += lpi.pending
        lpi.pending = True
        self._queue(lpi)

    def _configure(self, lpi: Lpi) -> None:
        byte = self.config.get(lpi.intid, DEFAULT_CONFIG)
        lpi.priority, lpi.enabled = byte & 0xFC, bool(byte & 1)
        self._queue(lpi)

    def _walk(self) -> list[Lpi]:
        return [] if self.quirks.empty_walk else list(self.lpis.values())

    # MSIs.

    def _invalidate(self, its: ItsModel | None) -> None:
        for each in self.its:
            if its is None or its is each or not self.quirks.cache_per_its:
                each.cached.clear()

    def _trigger(self, its: ItsModel, device: int, event: int) -> None:
        if not its.enabled:
            raise OSError(errno.EBUSY, "ITS off")
        found = its.event(device, event, INT_UNMAPPED_INTERRUPT)
        if found.collection is None or found.collection.target is None:
            raise Rejected(INT_UNMAPPED_INTERRUPT)
        if not self.lpis_enabled[found.collection.target]:
            raise OSError(errno.EBUSY, "LPIs off")
        its.cached.add((device, event))
        self._inject(found.lpi)

    def signal(self, index: int | None, device: int, event: int, valid: bool = True) -> int:
        """An MSI to the ITS of that number, or to a doorbell that is none."""
        self.counts["sent"] += 1
        its = None if index is None else self.its[index]
        if its and (device, event) in its.cached:
            self.counts["cache_hits"] += 1
            self._inject(its.devices[device].events[event].lpi)
            return 1
        self.counts["cache_misses"] += 1
        try:
            if its is None or not valid:
                raise OSError(errno.EINVAL, "doorbell or DeviceID")
            self._trigger(its, device, event)
        except Rejected:
            self.counts["dropped"] += 1
            return 0
        except OSError:
            self.counts["dropped"] += 1
            raise
        return 1

    # ITS commands.

    def _free_device(self, its: ItsModel, device: int) -> None:
        events = its.devices.pop(device).events
        self._invalidate(its)
        for event in events.values():
            event.lpi.mappings -= 1
            self._release(event.lpi)

    def mapd(self, index: int, device: int, bits: int, itt: int, valid: bool) -> None:
        its = self.its[index]
        if device >= ID_LIMIT:
            raise Rejected(MAPD_DEVICE_OOR)
        if valid and bits > 16:
            raise Rejected(MAPD_ITTSIZE_OOR)
        if device in its.devices:
            self._free_device(its, device)
        if valid:
            its.devices[device] = Device(bits, itt)

    def mapc(self, index: int, collection: int, vcpu: int, valid: bool) -> None:
        its = self.its[index]
        if vcpu >= self.vcpus and (valid or self.quirks.mapc_checks_unmap):
            raise Rejected(MAPC_PROCNUM_OOR)
        known = its.collections.get(collection)
        if not valid:
            its.collections.pop(collection, None)
            for event in (event for device in its.devices.values() for event in device.events.values()):
                if event.collection is known:
                    event.collection = None
            self._invalidate(its)
        elif known is None:
            if collection >= ID_LIMIT:
                raise Rejected(MAPC_COLLECTION_OOR)
            its.collections[collection] = Collection(collection, vcpu)
        else:
            known.target = vcpu
            for event in (event for device in its.devices.values() for event in device.events.values()):
                if event.collection is known:
                    self._retarget(event.lpi, vcpu)
            if self.quirks.hardened and not self.lpis_enabled[vcpu]:
                self._invalidate(its)

    def mapti(self, index: int, device: int, event: int, intid: int, collection: int) -> None:
        its = self.its[index]
        if device not in its.devices:
            raise Rejected(MAPTI_UNMAPPED_DEVICE)
        if event >= 1 << its.devices[device].bits:
            raise Rejected(MAPTI_ID_OOR)
        if not FIRST_LPI <= intid < LPI_LIMIT:
            raise Rejected(MAPTI_PHYSICALID_OOR)
        if event in its.devices[device].events:
            return
        if collection not in its.collections:
            if collection >= ID_LIMIT:
                raise Rejected(MAPC_COLLECTION_OOR)
            its.collections[collection] = Collection(collection)
        target = its.collections[collection].target
        lpi = self.lpis.get(intid)
        if lpi is None:
            lpi = self.lpis[intid] = Lpi(intid, target, hints=self.quirks.hints)
            self._configure(lpi)
            if target is not None:
                self._load_pending(lpi, (target, intid) in self.pending_table)
                self.pending_table.discard((target, intid))
                self._queue(lpi)
        elif self.quirks.hardened and target is not None:
            self._retarget(lpi, target)
        lpi.mappings += 1
        its.devices[device].events[event] = Event(lpi, its.collections[collection])

    def movi(self, index: int, device: int, event: int, collection: int) -> None:
        its = self.its[index]
        found = its.event(device, event, MOVI_UNMAPPED_INTERRUPT)
        to = its.collections.get(collection)
        if found.collection is None or found.collection.target is None or to is None or to.target is None:
            raise Rejected(MOVI_UNMAPPED_COLLECTION)
        found.collection = to
        self._retarget(found.lpi, to.target)
        if not self.quirks.forgets_stale:
            self._invalidate(its)
        elif not self.lpis_enabled[to.target]:
            its.cached.discard((device, event))

    def movall(self, index: int, old: int, new: int) -> None:
        if old >= self.vcpus or new >= self.vcpus:
            raise Rejected(MOVALL_PROCNUM_OOR)
        if old != new:
            for lpi in self._walk():
                if lpi.target == old or self.quirks.movall_takes_all:
                    self._retarget(lpi, new)
            if not self.quirks.forgets_stale or not self.lpis_enabled[new]:
                self._invalidate(self.its[index])

    def discard(self, index: int, device: int, event: int) -> None:
        its = self.its[index]
        found = its.event(device, event, DISCARD_UNMAPPED_INTERRUPT)
        if found.collection is None or found.collection.target is None:
            raise Rejected(DISCARD_UNMAPPED_INTERRUPT)
        del its.devices[device].events[event]
        if self.quirks.forgets_stale:
            its.cached.discard((device, event))
        else:
            self._invalidate(its)
        found.lpi.mappings -= 1
        self._release(found.lpi)

    def clear(self, index: int, device: int, event: int) -> None:
        self._drop_pending(self.its[index].event(device, event, CLEAR_UNMAPPED_INTERRUPT).lpi)

    def inv(self, index: int, device: int, event: int) -> None:
        self._configure(self.its[index].event(device, event, INV_UNMAPPED_INTERRUPT).lpi)

    def invall(self, index: int, collection: int) -> None:
        known = self.its[index].collections.get(collection)
        if known is None or known.target is None:
            raise Rejected(INVALL_UNMAPPED_COLLECTION)
        for lpi in self._walk():
            if lpi.target == known.target:
                self._configure(lpi)

    # Control registers and tables.

    def set_its_enabled(self, index: int, on: bool) -> None:
        self.its[index].enabled = on
        if not on:
            self._invalidate(self.its[index])

    def set_distributor_enabled(self, on: bool) -> None:
        if on and not self.distributor and self.quirks.hardened:
            self.distributor = on
            for lpi in self.lpis.values():
                self._queue(lpi)
        self.distributor = on

    def set_lpis_enabled(self, vcpu: int, on: bool) -> None:
        if on == self.lpis_enabled[vcpu]:
            return
        self.lpis_enabled[vcpu] = on
        if on:
            for lpi in self._walk():
                if lpi.target == vcpu:
                    self._load_pending(lpi, (vcpu, lpi.intid) in self.pending_table)
                if lpi.target == vcpu or self.quirks.walk_visits_all:
                    self._queue(lpi)
            return
        self._invalidate(None)
        if self.quirks.hardened:
            for lpi in self.lpis.values():
                if lpi.target == vcpu:
                    self._drop_pending(lpi)
            self._exit(vcpu)
            return
        for lpi in self._queued(vcpu):
            if self.quirks.disable_clears_pending:
                self._drop_pending(lpi)
            self._unqueue(lpi)

    def write_pending_table(self, vcpu: int, intid: int, pending: bool) -> None:
        (self.pending_table.add if pending else self.pending_table.discard)((vcpu, intid))

    def save_pending_tables(self) -> None:
        for lpi in self.lpis.values():
            if lpi.target is not None:
                self.write_pending_table(lpi.target, lpi.intid, lpi.pending)

    # The vCPUs.

    def _queued(self, vcpu: int) -> list[Lpi]:
        return [lpi for lpi in self.lpis.values() if lpi.queued == vcpu]

    def active_on(self, vcpu: int) -> list[Lpi]:
        """LPIs that software holds active on a vCPU's queue."""
        return [lpi for lpi in self._queued(vcpu) if lpi.active]

    def _exit(self, vcpu: int) -> None:
        for lpi in self._queued(vcpu):
            belongs = self._belongs(lpi)
            if lpi.hints:
                continue
            if belongs is None:
                self._unqueue(lpi)
            elif belongs != vcpu:
                lpi.on_list = belongs
                self.counts["migrations"] += 1

    def choices(self, vcpu: int) -> set[int]:
        """INTIDs of which an acknowledge takes one; none if nothing can be taken.

        Active LPIs come first into the list registers, then pending ones by priority.
        """
        free = self.list_registers - len(self.active_on(vcpu))
        pending = [lpi for lpi in self._queued(vcpu) if not lpi.active and self._belongs(lpi) == vcpu]
        if not pending or free <= 0:
            return set()
        best = min(lpi.priority for lpi in pending)
        level = 1 << (best >> 3)
        if self.running[vcpu] & (level | level - 1):
            return set()
        return {lpi.intid for lpi in pending if lpi.priority == best}

    def acknowledge(self, vcpu: int, taken: int | None) -> None:
        """The vCPU has entered the guest, taken one of :meth:`choices`, and left."""
        if taken is not None:
            lpi = self.lpis[taken]
            self.running[vcpu] |= 1 << (lpi.priority >> 3)
            self.counts["delivered"] += 1
            lpi.pending = False
            lpi.active = self.quirks.keeps_active
        self._exit(vcpu)

    def eoi(self, vcpu: int, intid: int) -> None:
        """The vCPU has entered the guest, ended an interrupt, and left; all active ones must fit in registers."""
        self.running[vcpu] &= self.running[vcpu] - 1
        lpi = self.lpis.get(intid)
        if lpi and lpi.queued == vcpu:
            lpi.active = False
        self._exit(vcpu)

    # Last, because it hides the built-in of that name in the rest of the class body.
    def int(self, index: int, device: int, event: int) -> None:
        self.counts["sent"] += 1
        try:
            self._trigger(self.its[index], device, event)
        except (Rejected, OSError):
            self.counts["dropped"] += 1
            raise

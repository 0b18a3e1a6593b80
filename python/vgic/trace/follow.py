"""Following a recording: what is mapped where, and which LPIs are pending, event by event.

It goes by the recording alone. Lines that stand the wrong way round, an acknowledge before the MSI that it is of, are
known as the replay knows them (docs/guide/replay.md): that MSI comes within 32 events and a millisecond.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from vgic.trace.recording import Event

__all__ = ["Follower"]

#: How far behind its acknowledge an MSI may stand: events, and microseconds.
_SKEW_EVENTS = 32
_SKEW_US = 1000


@dataclass(slots=True)
class Follower:
    """Where a guest's LPIs go, and which are pending."""

    #: DeviceID -> EventID -> INTID.
    intids: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    #: DeviceID and EventID -> collection; collection -> vCPU.
    collections: dict[tuple[int, int], int] = field(default_factory=dict)
    targets: dict[int, int] = field(default_factory=dict)
    #: INTID -> the MSI, or INT, that made it pending.
    pending: dict[int, Event] = field(default_factory=dict)
    #: INTID -> when it was acknowledged while it was not pending: number of the event, and time.
    _early: dict[int, tuple[int, int]] = field(default_factory=dict)
    #: vCPU and INTID -> the acknowledge whose handler has not ended.
    _begun: dict[tuple[int, int], Event] = field(default_factory=dict)
    _number: int = 0

    def intid(self, device: int, event: int) -> int | None:
        """The LPI of an event, if it is mapped."""
        return self.intids[device].get(event) if device in self.intids else None

    def target(self, device: int, event: int) -> int | None:
        """The vCPU that an event goes to, if it is mapped so far."""
        return self.targets.get(self.collections.get((device, event), -1))

    def take(self, event: Event) -> Event | None:
        """Follow one event.

        Of an MSI or INT that finds its LPI pending, returns the one that made it so; of an acknowledge the one that it
        is of, and of an end the acknowledge, if there is one.
        """
        self._number += 1
        match event.kind, event.operands:
            case "msi" | "int", (device, number):
                return self._send(event, self.intid(device, number))
            case "acknowledge", (vcpu, intid):
                self._begun[vcpu, intid] = event
                sent = self.pending.pop(intid, None)
                if sent is None:
                    self._early[intid] = (self._number, event.time_us)
                return sent
            case "eoi", (vcpu, intid):
                return self._begun.pop((vcpu, intid), None)
            case kind, operands:
                self._control(kind, operands)
        return None

    def _send(self, event: Event, intid: int | None) -> Event | None:
        if intid is None:
            return None
        early = self._early.pop(intid, None)
        if early and self._number - early[0] <= _SKEW_EVENTS and event.time_us - early[1] <= _SKEW_US:
            return None
        before = self.pending.get(intid)
        if before is None:
            self.pending[intid] = event
        return before

    def _control(self, kind: str, operands: tuple[int, ...]) -> None:
        match kind, operands:
            # An event that is mapped keeps its mapping.
            case "mapti", (device, event, intid, collection) if event not in self.intids[device]:
                self._map(device, event, intid, collection)
            case "mapi", (device, event, collection) if event not in self.intids[device]:
                self._map(device, event, event, collection)
            case "movi", (device, event, collection) if event in self.intids[device]:
                self.collections[device, event] = collection
            case "clear", (device, event):
                self.pending.pop(self.intids[device].get(event, 0), None)
            case "discard", (device, event):
                self.pending.pop(self.intids[device].pop(event, 0), None)
                self.collections.pop((device, event), None)
            case "mapd", (device, _, _):
                for event in self.intids.pop(device, {}):
                    self.collections.pop((device, event), None)
            case "mapc", (collection, vcpu, valid):
                self.targets[collection] = vcpu
                if not valid:
                    del self.targets[collection]
            case "its_tables", (devices, collections):
                self._forget(devices=bool(devices), collections=bool(collections))
            case "reset", _:
                self._forget(devices=True, collections=True)
                self.pending.clear()

    def _map(self, device: int, event: int, intid: int, collection: int) -> None:
        self.intids[device][event] = intid
        self.collections[device, event] = collection

    def _forget(self, *, devices: bool, collections: bool) -> None:
        if devices:
            self.intids.clear()
            self.collections.clear()
        if collections:
            self.targets.clear()

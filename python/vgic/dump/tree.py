"""What goes where: devices with their events, collections, pending LPIs, as a tree for people and as data."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.tree import Tree

from vgic.dump.tables import Tables

__all__ = ["Contents"]

_FIRST_LPI = 8192


class Event(NamedTuple):
    """An event, and what becomes of it; None for what is not known."""

    event_id: int
    intid: int
    collection_id: int
    #: Where the collection points.
    vcpu: int | None
    #: Its configuration: bits 7:2 of the byte, a lower value is more urgent.
    priority: int | None
    enabled: bool | None
    #: The vCPUs in whose pending tables it is.
    pending: tuple[int, ...]


class Contents:
    """The tables put together. Collections and pending LPIs are held, which are few; devices are read one by one."""

    def __init__(self, tables: Tables) -> None:
        """Read collections, pending tables and configuration."""
        tables.check_registers()
        self._tables = tables
        #: vCPU of each collection; None if it is not mapped.
        self.collections = {entry.collection_id: entry.vcpu for _, entry in tables.all_collections() if entry.valid}
        #: INTIDs that are pending, of each vCPU whose table is known.
        self.pending = {
            vcpu: [row.number for row in tables.pending(vcpu)] for vcpu in sorted(tables.registers.pendbaser)
        }
        self._pending_on: dict[int, tuple[int, ...]] = {}
        for vcpu, intids in self.pending.items():
            for intid in intids:
                self._pending_on[intid] = (*self._pending_on.get(intid, ()), vcpu)
        self._configuration = tables.configuration()

    def _event(self, event_id: int, intid: int, collection_id: int) -> Event:
        at = intid - _FIRST_LPI
        byte = self._configuration[at] if 0 <= at < len(self._configuration) else None
        return Event(
            event_id,
            intid,
            collection_id,
            self.collections.get(collection_id),
            None if byte is None else byte & 0xFC,
            None if byte is None else bool(byte & 1),
            self._pending_on.get(intid, ()),
        )

    def _devices(self) -> Iterator[tuple[int, int, int, Iterator[Event]]]:
        """DeviceID, ITT address, EventID bits, and the mapped events, which are read as they are asked for."""
        for row, device in self._tables.all_devices():
            if device.valid:
                events = (
                    self._event(found.number, entry.intid, entry.collection_id)
                    for found, entry in self._tables.events_of(row.number, device)
                    if entry.intid
                )
                yield row.number, device.itt_address, device.event_bits, events

    def trees(self) -> Iterator[Tree]:
        """A tree for each device, one for the collections, and one for what is pending."""
        for device_id, itt_address, event_bits, events in self._devices():
            tree = Tree(f"Device {device_id} ({device_id:#x}): ITT at {itt_address:#x}, {event_bits} EventID bits")
            for event in events:
                tree.add(self._text(event))
            if not tree.children:
                tree.add("no event is mapped")
            yield tree
        if self._tables.registers.baser1 is not None:
            tree = Tree("Collections")
            for collection_id, vcpu in sorted(self.collections.items()):
                tree.add(f"{collection_id}: " + ("not mapped" if vcpu is None else f"vCPU {vcpu}"))
            yield tree
        if self.pending:
            tree = Tree("Pending LPIs")
            for vcpu, intids in self.pending.items():
                tree.add(f"vCPU {vcpu}: {ranges(intids)}")
            yield tree

    def _text(self, event: Event) -> str:
        text = f"event {event.event_id}: LPI {event.intid}, collection {event.collection_id}"
        if self._tables.registers.baser1 is not None:
            text += " (not mapped)" if event.vcpu is None else f" on vCPU {event.vcpu}"
        if event.enabled is not None:
            text += f", priority {event.priority:#04x}, " + ("enabled" if event.enabled else "disabled")
        if event.pending:
            where = event.pending == (event.vcpu,)
            text += ", pending" + ("" if where else " on vCPU " + ", ".join(map(str, event.pending)))
        return text

    def json_parts(self) -> Iterator[str]:
        """The same as JSON, piece by piece; remarks last."""
        yield '{"schema": 1,\n "devices": ['
        separator = "\n  "
        for device_id, itt_address, event_bits, events in self._devices():
            head: dict[str, Any] = {"device_id": device_id, "itt_address": itt_address, "event_bits": event_bits}
            yield f"{separator}{json.dumps(head)[:-1]}, "
            yield '"events": ['
            inner = "\n    "
            for event in events:
                yield inner + json.dumps(event._asdict())
                inner = ",\n    "
            yield "]}"
            separator = ",\n  "
        collections = [{"collection_id": number, "vcpu": vcpu} for number, vcpu in sorted(self.collections.items())]
        pending = [{"vcpu": vcpu, "intids": intids} for vcpu, intids in self.pending.items()]
        yield f'],\n "collections": {json.dumps(collections)},\n "pending": {json.dumps(pending)}'
        yield f',\n "remarks": {json.dumps(list(self._tables.dump.remarks))}}}\n'


def ranges(numbers: list[int]) -> str:
    """Numbers that go up, runs of them as ``8192-8195``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs) or "none"

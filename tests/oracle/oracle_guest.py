"""A guest that drives both machines with the same writes, keeps to the rules of `masks.py`, and compares them.

The guest asks for anything (an :data:`Operation`). What both machines do alike is done as it is; where a mask applies,
the operation is left out or prepared. For that the guest remembers what it has mapped, as a driver would. Of pending
LPIs it only remembers which *may* be pending, until it looks at the machines again.

Operations that have been left out leave no trace, so any part of a list of operations is a valid list: that is what
makes a failing one easy to shrink.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import commands
import layout
import masks
from layout import GITS, REGISTERS, Setup
from machines import Machine, State
from masks import Masked
from operations import Command, Operation, SwitchIts

from vgic.conformance.qtest import VCPUS

CTLR, CBASER, CWRITER = GITS, GITS + 0x80, GITS + 0x88
ENABLED = 1


class Difference(AssertionError):
    """The machines do not agree, and no mask says why."""


@dataclass
class Event:
    """A mapped event. ``dead``: its collection was unmapped since."""

    intid: int
    icid: int
    dead: bool = False


@dataclass
class Device:
    """A mapped device."""

    bits: int
    itt: int
    events: dict[int, Event] = field(default_factory=dict)


class Guest:
    """Drives two machines; or only one, for a look at that one."""

    def __init__(self, machines: Sequence[Machine], setup: Setup = Setup()) -> None:  # noqa: B008 (immutable)
        self.machines = machines
        self.setup = setup
        self.old_kernel = any(machine.old_kernel for machine in machines)
        self.movall_takes_all = any(machine.movall_takes_all for machine in machines)
        self.commands = 0
        self.counts: Counter[str] = Counter()
        self.its_on = False
        self.lpis_on = [False] * VCPUS
        self.devices: dict[int, Device] = {}
        self.collections: dict[int, int] = {}
        #: LPIs that may be pending.
        self.maybe: set[int] = set()
        #: Pending bits in tables of vCPUs whose LPIs are off.
        self.frozen: list[set[int]] = [set() for _ in range(VCPUS)]
        #: INTIDs whose last mapping went away, and ITTs that did, since the vCPUs have last been in the guest.
        self.gone: set[int] = set()
        self.gone_itts: set[int] = set()
        #: ITTs that were in use before.
        self.dirty: set[int] = set()
        #: Commands that wait for CWRITER, and the number of those that wait for the ITS.
        self.unsent: list[bytes] = []
        self.waiting = 0
        self.queue, self.pages, self.tail = layout.QUEUES[0], setup.queue_pages, 0
        for machine in machines:
            machine.reset(setup)
        self._boot()

    # Boot.

    def _write(self, address: int, size: int, value: int) -> None:
        for machine in self.machines:
            if size == 8 and self.setup.halves:
                machine.write(address, 4, value & 0xFFFF_FFFF)
                machine.write(address + 4, 4, value >> 32)
            else:
                machine.write(address, size, value)

    def _store(self, address: int, data: bytes) -> None:
        for machine in self.machines:
            machine.store(address, data)

    def _boot(self) -> None:
        # All priorities alike, all enabled.
        self._store(layout.CONFIG, b"\xa1" * ((2 << self.setup.id_bits) - layout.FIRST_LPI))
        for vcpu in range(VCPUS):
            base = layout.GICR + vcpu * layout.GICR_STRIDE
            self._write(base + 0x70, 8, layout.propbaser(self.setup.id_bits))
            self._write(base + 0x78, 8, layout.pendbaser(vcpu, ptz=self.setup.ptz))
            for machine in self.machines:
                machine.switch_lpis(vcpu, True, True)
            self.lpis_on[vcpu] = True
        self._tables()
        self._set_queue()
        self._write(CTLR, 4, ENABLED)
        self.its_on = True

    def _tables(self, valid: bool = True) -> None:
        if self.setup.indirect:
            entries = b"".join((layout.VALID | page).to_bytes(8, "little") for page in layout.SECOND_LEVEL)
            self._store(layout.DEVICES, entries)
        off = 0 if valid else layout.VALID
        if not masks.SANITISED.use():
            off |= layout.PAGES_64K
        self._write(GITS + 0x100, 8, layout.baser(layout.DEVICES, 1, indirect=self.setup.indirect) & ~off)
        self._write(GITS + 0x108, 8, layout.baser(layout.COLLECTIONS, 4) & ~off)

    def _set_queue(self) -> None:
        self._write(CBASER, 8, layout.cbaser(self.queue, self.pages))
        if masks.CWRITER_KEPT.use():
            self._write(CWRITER, 8, 0)
        self.tail = 0

    # The commands: what the guest puts into the queue for one.

    def _event(self, device: int, event: int) -> Event | None:
        known = self.devices.get(device)
        return known.events.get(event) if known else None

    def _target(self, event: Event) -> int | None:
        """The vCPU to which an event goes."""
        return None if event.dead else self.collections.get(event.icid)

    def _clear(self, why: masks.Mask, events: list[tuple[int, int, Event]]) -> None:
        """CLEAR the LPIs of these events that may be pending."""
        if any(event.intid in frozen for _, _, event in events for frozen in self.frozen) and masks.LPIS_OFF.use():
            raise Masked
        for device, number, event in events:
            if event.intid in self.maybe and self._target(event) is not None and why.use():
                self._send(commands.clear(device, number))
                self.maybe.discard(event.intid)

    def _mapped(self, choose: Callable[[Event], bool] = lambda event: True) -> list[tuple[int, int, Event]]:
        return [
            (device, number, event)
            for device, known in self.devices.items()
            for number, event in known.events.items()
            if choose(event)
        ]

    def _unmap(self, device: int, number: int) -> None:
        intid = self.devices[device].events.pop(number).intid
        if not self._mapped(lambda event: event.intid == intid):
            self.gone.add(intid)

    def _itt(self, bits: int) -> int:
        """A free ITT, zeroed. One that this batch takes away is not free yet: it is zeroed before the batch runs."""
        used = self.gone_itts | {device.itt for device in self.devices.values()}
        big = bits > layout.SMALL_BITS
        itt = next(itt for itt in (layout.BIG_ITTS if big else layout.SMALL_ITTS) if itt not in used)
        if itt in self.dirty and masks.ITT_REUSE.use():
            self._store(itt, bytes(layout.BIG_ITT if big else layout.SMALL_ITT))
        self.dirty.add(itt)
        return itt

    def command_mapd(self, device: int, bits: int, valid: int) -> None:
        if not valid and bits > 16 and masks.MAPD_SIZE.use():
            bits = 1
        known = self.devices.get(device)
        accepted = (bits <= 16 or not valid) and self.setup.device_entry(device) is not None
        if accepted and known:
            self._clear(masks.MAPD_PENDING, [(device, number, event) for number, event in known.events.items()])
            for number in list(known.events):
                self._unmap(device, number)
            self.gone_itts.add(known.itt)
            del self.devices[device]
        itt = layout.SMALL_ITTS[-1]
        if accepted and valid:
            try:
                itt = self._itt(bits)
            except StopIteration:
                # All in use, or just taken away: not worth a wait.
                valid, bits = 0, 1
            else:
                self.devices[device] = Device(bits, itt)
        self._send(commands.mapd(device, bits - 1, itt if valid else 0, bool(valid)))

    def command_mapc(self, icid: int, vcpu: int, valid: int) -> None:
        if not valid and vcpu >= VCPUS and self.old_kernel and masks.MAPC_RANGE.use():
            vcpu = 0
        attached = self._mapped(lambda event: event.icid == icid)
        cached = False
        if icid < layout.ENTRIES and (vcpu < VCPUS or not valid):
            if valid:
                if any(event.dead for _, _, event in attached) and masks.MAPC_REVIVES.use():
                    raise Masked
                if self.collections.get(icid, vcpu) != vcpu:
                    self._clear(masks.MAPC_MOVES, attached)
                    cached = not self.lpis_on[vcpu]
                self.collections[icid] = vcpu
            else:
                self._clear(masks.MAPC_UNMAPS, attached)
                self.collections.pop(icid, None)
                for _, _, event in attached:
                    event.dead = True
        self._send(commands.mapc(icid, vcpu, bool(valid)))
        if cached and attached and masks.MAPC_CACHED.use():
            device, number, _ = attached[0]
            self._send(commands.movi(device, number, icid))

    def _map_event(self, device: int, number: int, intid: int, icid: int) -> None:
        known = self.devices.get(device)
        accepted = known is not None and number < 1 << known.bits and icid < layout.ENTRIES
        if not accepted or not layout.FIRST_LPI <= intid < 1 << 16:
            return
        assert known is not None
        if intid >= 2 << self.setup.id_bits and masks.MAPTI_ID_BITS.use():
            raise Masked
        if number in known.events and masks.MAPTI_MAPPED.use():
            raise Masked
        if intid in self.gone and masks.LINGERING_LPI.use():
            raise Masked
        new = Event(intid, icid)
        others = self._mapped(lambda event: event.intid == intid)
        elsewhere = [event for _, _, event in others if event.dead or event.icid != icid]
        if (elsewhere or (others and icid not in self.collections)) and masks.SHARED_LPI.use():
            raise Masked
        known.events[number] = new

    def command_mapti(self, device: int, number: int, intid: int, icid: int) -> None:
        self._map_event(device, number, intid, icid)
        self._send(commands.mapti(device, number, intid, icid))

    def command_mapi(self, device: int, number: int, icid: int) -> None:
        self._map_event(device, number, number, icid)
        self._send(commands.mapi(device, number, icid))

    def command_movi(self, device: int, number: int, icid: int) -> None:
        event = self._event(device, number)
        old = self._target(event) if event else None
        new = self.collections.get(icid)
        if event and old is not None and new is not None:
            shared = len(self._mapped(lambda other: other.intid == event.intid)) > 1
            if shared and icid != event.icid and masks.SHARED_LPI.use():
                raise Masked
            off = not (self.lpis_on[old] and self.lpis_on[new])
            if off and event.intid in self.maybe.union(*self.frozen) and masks.LPIS_OFF.use():
                raise Masked
            event.icid = icid
        self._send(commands.movi(device, number, icid))

    def command_movall(self, old: int, new: int) -> None:
        exist = old < VCPUS and new < VCPUS
        if exist and old != new and self.movall_takes_all and masks.MOVALL_ALL.use():
            raise Masked
        if exist and not (self.lpis_on[old] and self.lpis_on[new]) and masks.LPIS_OFF.use():
            raise Masked
        self._send(commands.movall(old, new))
        moved = [icid for icid, vcpu in self.collections.items() if exist and vcpu == old != new]
        if moved and masks.MOVALL_ALONE.use():
            if self.its_on:
                # What is pending has moved already: MAPC would hide it if it had not.
                self._announce()
                self.compare(targets=False)
            for icid in moved:
                self.collections[icid] = new
                self._send(commands.mapc(icid, new, True))

    def command_discard(self, device: int, number: int) -> None:
        event = self._event(device, number)
        if event and self._target(event) is not None:
            self._clear(masks.DISCARD_PENDING, [(device, number, event)])
            self._unmap(device, number)
        self._send(commands.discard(device, number))

    def command_clear(self, device: int, number: int) -> None:
        event = self._event(device, number)
        if event and (vcpu := self._target(event)) is not None and self.lpis_on[vcpu]:
            self.maybe.discard(event.intid)
        self._send(commands.clear(device, number))

    def command_int(self, device: int, number: int) -> None:
        event = self._event(device, number)
        if event and (vcpu := self._target(event)) is not None and self.lpis_on[vcpu]:
            self.maybe.add(event.intid)
        self._send(commands.int_(device, number))

    def command_inv(self, device: int, number: int) -> None:
        self._send(commands.inv(device, number))

    def command_invall(self, icid: int) -> None:
        self._send(commands.invall(icid))

    def command_sync(self, vcpu: int) -> None:
        self._send(commands.sync(vcpu))

    def command_raw(self, opcode: int, *rest: int) -> None:
        self._send(commands.raw(opcode, *rest))

    # The queue.

    @property
    def _entries(self) -> int:
        return self.pages * 4096 // commands.SIZE

    def _send(self, command: bytes) -> None:
        """Put a command into the queue; if there is no room, first let the ITS take what is there."""
        if self.waiting + len(self.unsent) == self._entries - 1:
            self._announce()
            if not self.its_on:
                self._write(CTLR, 4, ENABLED)
                self.its_on = True
                self.waiting = 0
        self.unsent.append(command)

    def _announce(self) -> None:
        """Copy the commands to the queue, and write CWRITER."""
        data = b"".join(self.unsent)
        size = self.pages * 4096
        first = data[: size - self.tail]
        if first:
            self._store(self.queue + self.tail, first)
        if rest := data[len(first) :]:
            self._store(self.queue, rest)
            self.counts["wraps"] += 1
        self.tail = (self.tail + len(data)) % size
        self._write(CWRITER, 8, self.tail)
        self.commands += len(self.unsent)
        self.waiting = 0 if self.its_on else self.waiting + len(self.unsent)
        self.unsent = []

    # Operations.

    def do(self, operation: Operation) -> None:
        """Do it on both machines, as far as the masks allow, and compare."""
        with suppress(Masked):
            getattr(self, f"_do_{type(operation).__name__.lower()}")(*operation)
        self.compare()

    def _do_msi(self, device: int, number: int) -> None:
        for machine in self.machines:
            machine.msi(device, number)
        self.counts["msis"] += 1

    def _do_config(self, intid: int, byte: int, every: bool) -> None:
        self._store(layout.CONFIG + intid - layout.FIRST_LPI, bytes([byte]))

    def _do_switchits(self, on: bool) -> None:
        self._write(CTLR, 4, ENABLED if on else 0)
        self.its_on = on
        self.waiting = 0 if on else self.waiting

    def _do_batch(self, wanted: tuple[Command, ...]) -> None:
        for command in wanted:
            try:
                getattr(self, f"command_{command.name}")(*command.operands)
                self.counts[command.name] += 1
            except Masked:
                self.counts["masked"] += 1
        if self.unsent:
            self._announce()

    def _do_switchlpis(self, vcpu: int, on: bool, ptz: bool) -> None:
        if self.waiting:
            # What waits was put there for the state as it was.
            self.do(SwitchIts(True))
        if on == self.lpis_on[vcpu]:
            # Written once more, it does nothing.
            self._write(layout.GICR + vcpu * layout.GICR_STRIDE, 4, int(on))
            return
        if on:
            if ptz and self.frozen[vcpu] and masks.PTZ.use():
                ptz = False
            self._write(layout.GICR + vcpu * layout.GICR_STRIDE + 0x78, 8, layout.pendbaser(vcpu, ptz=ptz))
        else:
            pending = self.machines[0].state().pending
            self.frozen[vcpu] = {intid for target, intid in pending if target == vcpu}
            self.maybe -= self.frozen[vcpu]
        save = masks.PENDING_TABLES.use()
        for machine in self.machines:
            machine.switch_lpis(vcpu, on, save)
        self.lpis_on[vcpu] = on
        if on:
            self.maybe |= self.frozen[vcpu]
            self.frozen[vcpu] = set()

    def _do_pendingbit(self, vcpu: int, intid: int) -> None:
        if self.lpis_on[vcpu]:
            return
        here = self._mapped(lambda event: event.intid == intid and self._target(event) == vcpu)
        if (self.waiting or not here) and masks.PENDING_ELSEWHERE.use():
            raise Masked
        for machine in self.machines:
            address = layout.PENDING[vcpu] + intid // 8
            byte = machine.load(address, 1)[0] | 1 << intid % 8
            machine.store(address, bytes([byte]))
        self.frozen[vcpu].add(intid)

    def _do_movequeue(self, slot: int, pages: int) -> None:
        if self.waiting:
            self.do(SwitchIts(True))
        self._write(CTLR, 4, 0)
        self.queue, self.pages = layout.QUEUES[slot], pages
        self._set_queue()
        self.compare()
        if self.its_on:
            self._write(CTLR, 4, ENABLED)

    def _do_renew(self) -> None:
        self.do(SwitchIts(True))
        self._clear(masks.MAPD_PENDING, self._mapped())
        if self.unsent:
            self._announce()
        self._write(CTLR, 4, 0)
        self._tables(valid=False)
        for table in [layout.DEVICES, *layout.SECOND_LEVEL, layout.COLLECTIONS]:
            self._store(table, bytes(layout.PAGE))
        self.gone |= {event.intid for _, _, event in self._mapped()}
        self.devices, self.collections = {}, {}
        self._tables()
        self._write(CTLR, 4, ENABLED)

    def _do_write(self, name: str, value: int) -> None:
        if name == "GITS_CREADR" and masks.CREADR_WRITE.use():
            raise Masked
        if name == "GITS_CWRITER":
            if value < self.pages * 4096:
                # It would be a batch.
                return
            if masks.CWRITER_RANGE.use():
                raise Masked
        if name.endswith(("PROPBASER", "PENDBASER")):
            if not self.lpis_on[int(name[4])]:
                return
            if masks.BASE_WHILE_ENABLED.use():
                raise Masked
        if name in ("GITS_CBASER", "GITS_BASER0", "GITS_BASER1") and not self.its_on:
            if value & layout.VALID:
                return
            if masks.ENABLE_INVALID.use():
                raise Masked
        if name.endswith("_CTLR"):
            # Only what is not Enabled or EnableLPIs.
            on = self.its_on if name == "GITS_CTLR" else self.lpis_on[int(name[4])]
            value = value & 0xFFFF_FFFE | on
        self._write(REGISTERS[name].address, REGISTERS[name].size, value)

    # Comparison.

    def compare(self, targets: bool = True) -> State | None:
        """Status registers, translations and pending LPIs; ``targets``: where LPIs will go, too."""
        for machine in self.machines:
            machine.settle()
        self._compare_registers(layout.STATUS)
        states = [machine.state() for machine in self.machines]
        if not targets:
            states = [state._replace(targets={}) for state in states]
        for machine, state in zip(self.machines, states, strict=True):
            if state != states[0]:
                raise Difference(explain(self.machines[0].name, states[0], machine.name, state))
        state = states[0]
        if not self.waiting:
            self.gone, self.gone_itts = set(), set()
            self._check_memory_of_the_guest(state)
            self.maybe = {intid for vcpu, intid in state.pending if vcpu is None or self.lpis_on[vcpu]}
        return state

    def _check_memory_of_the_guest(self, state: State) -> None:
        """What the guest believes to have mapped is what both machines have: or else its masks are at random."""
        devices = {number: (device.bits, device.itt) for number, device in self.devices.items()}
        events = {
            (device, number): (event.intid, None if self._target(event) is None else event.icid)
            for device, number, event in self._mapped()
        }
        believed = (devices, events, self.collections)
        if believed != (state.devices, state.events, state.collections):
            raise Difference(f"both machines differ from the guest's memory of its commands\n{believed}\n{state}")

    def _compare_registers(self, names: list[str]) -> None:
        read = [machine.registers(names) for machine in self.machines]
        if len(read) < 2:
            return
        for name in names:
            if bits := masks.differing(name, read[0][name], read[1][name]):
                values = ", ".join(f"{m.name} {r[name]:#x}" for m, r in zip(self.machines, read, strict=True))
                raise Difference(f"{name} differs in bits {bits:#x}: {values}")

    def _do_migrate(self) -> None:
        if any(self.frozen) and masks.SAVE_WHILE_OFF.use():
            raise Masked
        # While commands wait, the guest's memory is ahead of the machines.
        events = self.machines[0].state().events.values() if self.waiting else ()
        dead = self._mapped(lambda event: event.dead) or any(icid is None for _, icid in events)
        if dead and masks.SAVE_DEAD.use():
            raise Masked
        for machine in self.machines:
            machine.migrate()
        self.counts["migrations"] += 1

    def _do_inspect(self) -> None:
        self._compare_registers(list(REGISTERS))
        tables = [machine.pending_tables() for machine in self.machines]
        for machine, found in zip(self.machines, tables, strict=True):
            if found != tables[0]:
                raise Difference(f"saved pending tables: {self.machines[0].name} {tables[0]}, {machine.name} {found}")


def explain(name: str, state: State, other_name: str, other: State) -> str:
    """What differs between two states, field by field."""
    lines = ["the states differ"]
    for what in State._fields:
        one, two = (set(getattr(each, what).items() if what != "pending" else each.pending) for each in (state, other))
        if one != two:
            lines += [f"  {what}: only {name} {sorted(one - two, key=repr)}"]
            lines += [f"  {what}: only {other_name} {sorted(two - one, key=repr)}"]
    return "\n".join(lines)

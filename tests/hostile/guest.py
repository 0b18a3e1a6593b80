"""A hostile guest, and a VMM that restores what it was sent: a byte string decides what they do.

Any bytes have a meaning, so the same harness serves seeded runs, Hypothesis and a coverage-guided fuzzer. Bytes choose
among actions and small sets of operands first: pure noise would rarely get past the first check of a command. An ITS
that an action has switched off is mostly booted again before the next one, so most commands meet mapped devices.

What must hold, whatever the bytes are:

- the guest's view raises nothing: the frames' ``read`` and ``write``, ``mmio_read`` and ``mmio_write``, a device's
  write
- the VMM's view raises ``OSError`` or ``ValueError``, with one line
- every send and every reference is accounted for, and the tables can be read
- after a reset the VM is empty and can be used
"""

import errno
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import vgic
from vgic.its.commands import COMMAND_SIZE, COMMANDS, WORDS

RAM, RAM_SIZE = 0x4000_0000, 2 << 20
#: A region behind functions, of which every second 256 bytes cannot be reached.
HOLES, HOLES_SIZE = 0x4800_0000, 0x1_0000
PAGE = 0x1_0000
VALID, INDIRECT = 1 << 63, 1 << 62
VCPUS, ITSES = 3, 2
#: Where the tables of the VM are, and of each ITS, from `RAM` on.
CONFIG, PENDING, ITTS = RAM, RAM + PAGE, RAM + 4 * PAGE
_PER_ITS, _FIRST_ITS = 8 * PAGE, RAM + 8 * PAGE
_QUEUE, _DEVICES, _COLLECTIONS, _LEVEL2 = 0, PAGE, 2 * PAGE, 3 * PAGE
_QUEUE_SIZE = PAGE

OPCODES = {name: opcode for name, (opcode, _) in COMMANDS.items()}
CTLR, IIDR, CBASER, CWRITER, CREADR, BASER0, BASER1, TRANSLATER = 0, 4, 0x80, 0x88, 0x90, 0x100, 0x108, 0x1_0040
PROPBASER, PENDBASER, INVLPIR, INVALLR = 0x70, 0x78, 0xA0, 0xB0

ITS_OFFSETS = (CTLR, CTLR, IIDR, 8, CBASER, CWRITER, CWRITER, CREADR, BASER0, BASER1, 0x110, 0xFFE8, TRANSLATER)
GICR_OFFSETS = (CTLR, CTLR, 4, 8, 0x14, PROPBASER, PENDBASER, INVLPIR, INVALLR, 0xC0, 0xFFE8, 0x1_0080)
EDGES = (0, 1, 0x1F, 0x20, 8191, 8192, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
DEVICES = (0, 1, 2, 3, 8, 9, 8191, 8192)
EVENTS = (0, 1, 2, 3, 4, 5, 31, 8200)
COLLECTIONS = (0, 1, 2, 3, 0, 1, 8191, 8192)
LPIS = (*range(8192, 8206), 65535, 8200)
ADDRESSES = (RAM, CONFIG, PENDING, ITTS, RAM + RAM_SIZE - PAGE, HOLES, 0, 0x9000_0000, (1 << 52) - PAGE)

#: How often each is chosen among plausible commands.
_MIX = Counter(
    MAPTI=6, INT=5, MAPI=1, MOVI=3, CLEAR=1, SYNC=1, MAPD=3, MAPC=3, INV=3, INVALL=1, MOVALL=1, DISCARD=3
)  # fmt: skip
_COMMANDS = tuple(_MIX.elements())

#: INTIDs of a VM.
MOST_LPIS = 65536 - 8192
MOST_EVENTS = 1 << 20
#: What one line may have.
_MOST_TEXT = 300


class Violation(AssertionError):
    """Something that must hold does not."""


def expect(condition: object, what: str) -> None:
    """Raise :class:`Violation` unless it holds. No ``assert``: the fuzzer's own process may run without."""
    if not condition:
        raise Violation(what)


class End(Exception):
    """The bytes are used up."""


class Source:
    """Bytes, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        if self._at >= len(self._data):
            raise End
        self._at += 1
        return self._data[self._at - 1]

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise End
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def pick(self, choices: Sequence):
        return choices[self.byte() % len(choices)]

    def chance(self, of_256: int) -> bool:
        return self.byte() < of_256


def _faulty(base: int) -> tuple[Callable, Callable]:
    """Functions of a region: memory with holes."""
    data = bytearray(HOLES_SIZE)

    def check(address: int) -> int:
        if address & 0x100:
            raise OSError(errno.EFAULT, "a hole")
        return address - base

    def read(address: int, size: int) -> bytes:
        at = check(address)
        return bytes(data[at : at + size])

    def write(address: int, new: bytes) -> None:
        at = check(address)
        data[at : at + len(new)] = new

    return read, write


class Machine:
    """A VM of one design in the hands of a hostile guest."""

    def __init__(
        self,
        design: str,
        *,
        its: int = ITSES,
        list_registers: int = 4,
        indirect: bool = False,
        holes: bool = True,
    ) -> None:
        self.ram = bytearray(RAM_SIZE)
        self.memory = vgic.GuestMemory({RAM: self.ram})
        if holes:
            self.memory.map_callbacks(HOLES, HOLES_SIZE, *_faulty(HOLES))
        self.vm = vgic.Vm(VCPUS, design, its=its, memory=self.memory, list_registers=list_registers)
        self.indirect = indirect
        #: Commands put into queues, actions by name, and answers of the VMM's view by name.
        self.commands = 0
        self.actions: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        #: Whether nobody else uses the VM, so that it can be checked.
        self.checks = True
        self.active: list[list[int]] = [[] for _ in range(VCPUS)]
        for n in range(len(self.vm.its)):
            self.boot(n)

    # A guest that behaves.

    def at(self, its: int, part: int) -> int:
        """Guest physical address of a table of an ITS."""
        return _FIRST_ITS + its * _PER_ITS + part

    def boot(self, its: int) -> None:
        """Program the registers as a guest does, and map some devices."""
        self.ram[:MOST_LPIS] = b"\xa1" * MOST_LPIS
        for n, vcpu in enumerate(self.vm.vcpu):
            if not vcpu.frame.read(CTLR, 4) & 1:
                vcpu.frame.write(PROPBASER, 8, CONFIG | 15)
                vcpu.frame.write(PENDBASER, 8, PENDING + n * PAGE)
                vcpu.frame.write(CTLR, 4, 1)
        frame = self.vm.its[its].frame
        frame.write(CTLR, 4, 0)
        frame.write(CBASER, 8, VALID | self.at(its, _QUEUE) | _QUEUE_SIZE // 4096 - 1)
        frame.write(BASER0, 8, VALID | (INDIRECT if self.indirect else 0) | self.at(its, _DEVICES))
        frame.write(BASER1, 8, VALID | self.at(its, _COLLECTIONS))
        if self.indirect:
            for page in range(2):
                self.memory.write_u64(self.at(its, _DEVICES) + 8 * page, VALID | self.at(its, _LEVEL2))
        frame.write(CTLR, 4, 1)
        expect(frame.read(CTLR, 4) == 0x8000_0001, "a booted ITS is enabled and quiescent")
        commands = [(OPCODES["MAPC"], 0, VALID | n << 16 | n, 0) for n in range(VCPUS)]
        for device in range(4):
            commands.append((OPCODES["MAPD"] | device << 32, 13, VALID | ITTS + 0x1_0000 * device, 0))
            commands += [
                (OPCODES["MAPTI"] | device << 32, event | 8192 + (4 * device + event) % 12 << 32, event % VCPUS, 0)
                for event in range(4)
            ]
        self.run(its, b"".join(WORDS.pack(*words) for words in commands))

    def run(self, its: int, commands: bytes) -> None:
        """Put commands into the queue, where it is now, and start them."""
        frame = self.vm.its[its].frame
        cbaser = frame.read(CBASER, 8)
        base, size = cbaser & 0xF_FFFF_FFFF_F000, ((cbaser & 0xFF) + 1) << 12
        at = frame.read(CWRITER, 8)
        first = min(len(commands), size - at)
        for address, part in ((base + at, commands[:first]), (base, commands[first : first + size - COMMAND_SIZE])):
            if self.memory.contains(address, len(part)):
                with suppress(OSError):  # A hole.
                    self.memory.write(address, part)
        frame.write(CWRITER, 8, (at + len(commands)) % size)
        self.commands += len(commands) // COMMAND_SIZE

    # What a guest and a VMM do to it.

    def play(self, data: bytes, *, check: bool = True) -> None:
        """Do what the bytes say, and check at the end (not while other threads use the VM)."""
        self.checks = check
        source = Source(data)
        try:
            while True:
                self.step(source)
        except End:
            pass
        self.check()
        self.checks = True

    def step(self, source: Source) -> None:
        """One action."""
        its = source.byte() % len(self.vm.its)
        if not self.vm.its[its].enabled and source.chance(230):
            self.boot(its)
        action = _ACTIONS[source.byte()]
        self.actions[action.__name__] += 1
        action(self, source, its)

    def keep_saving(self, data: bytes) -> int:
        """Do what the bytes say as far as it is commands, MSIs and memory, and save all the time; how often it was.

        Registers stay as a guest at work has them: its tables are in memory. Whatever commands it gives, and whatever
        it writes into those tables, a save goes well. Or, in designs before Linux 7.3, it misses a device whose page of
        the device table the guest took away.
        """
        source, saves = Source(data), 0
        try:
            while True:
                its = source.byte() % len(self.vm.its)
                action = source.pick((Machine.batch,) * 6 + (Machine.msis, Machine.vcpu, Machine.scribble))
                action(self, source, its)
                saves += self.saved()
        except End:
            return saves + self.saved()

    def saved(self) -> bool:
        """Save; whether a design that fails for a device without its entry did not."""
        try:
            self.vm.save()
        except vgic.TableError as error:
            expect(self.indirect and not self.vm._core.skips_lost_devices, f"a save goes well, not: {error}")
            expect(error.errno == errno.EINVAL and "no entry for it" in str(error), f"a device is missed, not: {error}")
            return False
        return True

    def batch(self, source: Source, its: int) -> None:
        count = 1 + source.byte() % 32
        self.run(its, b"".join(_command(source) for _ in range(count)))

    def msis(self, source: Source, its: int) -> None:
        frame, way = self.vm.its[its].frame, source.byte() % 4
        device, event = source.pick(DEVICES), source.pick(EVENTS)
        if way == 0:
            device, event = source.number(4), source.number(4)
        if way == 1:
            frame.write(TRANSLATER, source.pick((4, 2, 4, 8)), event, device_id=device)
        elif way == 2:
            self.vmm("signal_msi_at", lambda: self.vm.signal_msi_at(self.vm.its[its].doorbell, device, event))
        else:
            for n in range(8):
                taken = frame.translater.write(0x40, event + n & 0xFFFF_FFFF, device)
                expect(taken in (0, 1), "an MSI is taken or not")

    def vcpu(self, source: Source, its: int) -> None:
        number, most = source.byte() % VCPUS, source.byte() % 16
        vcpu = self.vm.vcpu[number]
        for _ in range(most):
            intid = vcpu.acknowledge(lowest_intid=bool(most & 1))
            if intid is None:
                break
            expect(8192 <= intid < 65536, f"an LPI is acknowledged, not {intid}")
            self.active[number].append(intid)
            if most & 2:
                vcpu.eoi(self.active[number].pop())
        if most & 4:
            while self.active[number]:
                vcpu.eoi(self.active[number].pop())
        if most == 8:
            vcpu.eoi(source.number(4))
        expect(vcpu.has_pending in (True, False), "has_pending")

    def its_register(self, source: Source, its: int) -> None:
        frame = self.vm.its[its].frame
        offset, size, value = _access(source, ITS_OFFSETS)
        if source.byte() & 1:
            frame.write(offset, size, value)
            frame.read(offset, size)
        else:
            self.vm.mmio_write(frame.base + offset, size, value)
            self.vm.mmio_read(frame.base + offset, size)

    def gicr_register(self, source: Source, its: int) -> None:
        frame = self.vm.vcpu[source.byte() % VCPUS].frame
        offset, size, value = _access(source, GICR_OFFSETS)
        frame.write(offset, size, value)
        frame.read(offset, size)

    def lpis_switch(self, source: Source, its: int) -> None:
        frame = self.vm.vcpu[source.byte() % VCPUS].frame
        frame.write(CTLR, 4, 0)
        expect(frame.read(CTLR, 4) & ~6 == 0, "EnableLPIs is off, and no write is pending")
        if source.chance(64):
            frame.write(source.pick((PROPBASER, PENDBASER)), 8, _value(source))
        if source.chance(64):
            return
        frame.write(CTLR, 4, 1)

    def its_switch(self, source: Source, its: int) -> None:
        frame = self.vm.its[its].frame
        frame.write(CTLR, 4, 0)
        if source.chance(64):
            frame.write(source.pick((CBASER, BASER0, BASER1)), 8, _value(source))
        if source.chance(32):
            frame.commands_per_write = source.pick((None, 0, 1, 5))
        frame.write(CTLR, 4, 1)
        frame.process(source.byte())
        frame.commands_per_write = None
        frame.process()

    def scribble(self, source: Source, its: int) -> None:
        """Entries of tables as they could be, or noise, wherever tables are."""
        area = source.pick((_DEVICES, _DEVICES, _COLLECTIONS, _LEVEL2, _QUEUE))
        address = self.at(its, area) + 8 * (source.byte() % 32)
        kind = source.byte() % 8
        for n in range(1 + source.byte() % 8):
            if kind < 5:
                word = _entry(source)
                if kind == 4:
                    address = ITTS + 8 * source.number(2)
            elif kind == 5:
                word = source.number(8)
            else:
                word = 0
            if address + 8 * n + 8 <= RAM + RAM_SIZE:
                self.memory.write_u64(address + 8 * n, word)

    def lpi_tables(self, source: Source, its: int) -> None:
        lpi, byte = source.pick(LPIS), source.byte()
        if byte & 1:
            self.ram[CONFIG - RAM + lpi - 8192] = source.byte()
        else:
            self.ram[PENDING - RAM + PAGE * (byte % VCPUS) + lpi // 8] = source.byte()

    def vmm_register(self, source: Source, its: int) -> None:
        if source.chance(160):
            frame, offsets = self.vm.its[its].frame, ITS_OFFSETS
        else:
            frame, offsets = self.vm.vcpu[source.byte() % VCPUS].frame, GICR_OFFSETS
        offset, _, value = _access(source, offsets)
        if source.chance(128):
            self.vmm("set", lambda: frame.set(offset, value))
        self.vmm("get", lambda: frame.get(offset))

    def vmm_tables(self, source: Source, its: int) -> None:
        frame, way = self.vm.its[its].frame, source.byte() % 4
        if way == 0:
            self.vmm("save_tables", frame.save_tables)
        elif way == 1:
            self.vmm("save_pending_tables", self.vm.save_pending_tables)
        else:
            # Restore what a save or the guest has left there.
            frame.write(CTLR, 4, 0)
            registers = {offset: frame.read(offset, 8) for offset in (CBASER, BASER0, BASER1)}
            frame.reset()
            for offset, value in registers.items():
                frame.set(offset, value)
            self.vmm("restore_tables", frame.restore_tables)
            if way == 2:
                self.vmm("GITS_CTLR", lambda: frame.set(CTLR, 1))

    def vmm_reset(self, source: Source, its: int) -> None:
        self.vm.its[its].frame.reset()
        self.vm.distributor_enabled = source.chance(32)
        self.vm.distributor_enabled = True

    def migrate(self, source: Source, its: int) -> None:
        """Save, perhaps change the state or the memory, and restore."""
        state = self.vmm("save", self.vm.save)
        text = state.to_json() if state else json.dumps({"schema": 1})
        if source.chance(128):
            text = _mutated(text, source)
            state = self.vmm("from_json", lambda: vgic.SavedState.from_json(text))
        if state is None:
            return
        if source.chance(128):
            self.scribble(source, its)
        for each in self.vm.its:
            each.frame.reset()
        for vcpu in self.vm.vcpu:
            vcpu.frame.write(CTLR, 4, 0)
        self.vmm("restore", lambda: self.vm.restore(state))

    def look(self, source: Source, its: int) -> None:
        self.check()
        repr(self.vm), repr(self.vm.its[its]), repr(self.vm.its[its].frame), repr(self.vm.vcpu[0].frame)

    def vmm(self, name: str, call: Callable[[], Any]) -> Any:
        """What a call of the VMM's view returns; None if it is refused, which it must be properly."""
        try:
            answer = call()
        except (OSError, ValueError) as error:
            text = str(error)
            expect(text and len(text.splitlines()) == 1, f"{name}: one line, not {text!r}")
            expect(len(text) <= _MOST_TEXT, f"{name}: {len(text)} characters: {text[:_MOST_TEXT]}")
            expect(not isinstance(error, OSError) or error.errno in errno.errorcode, f"{name}: no errno: {text}")
            self.answers[f"{name}: {type(error).__name__}"] += 1
            return None
        self.answers[f"{name}: done"] += 1
        return answer

    # What must hold.

    def check(self) -> None:
        """Whether everything can be read and adds up."""
        if not self.checks:
            return
        vm = self.vm
        counts = vm.counts()
        ends = counts["delivered"] + counts["coalesced"] + counts["dropped"] + counts["pending"]
        expect(counts["sent"] + counts["pending_loaded"] == ends, f"every send has one end: {counts}")
        lpis = {lpi["intid"]: lpi for lpi in vm.lpis()}
        expect(lpis.keys() <= set(range(8192, 65536)), "INTIDs are those of LPIs")
        expect(sum(lpi["pending"] for lpi in lpis.values()) == counts["pending"], "pending LPIs are those counted")
        mapped: Counter[int] = Counter()
        for its in vm.its:
            tables = its.tables()
            collections = dict(tables["collections"])
            devices = {device["device_id"] for device in tables["devices"]}
            expect(len(collections) == len(tables["collections"]), "each collection once")
            expect(len(devices) == len(tables["devices"]), "each device once")
            expect(max(devices | collections.keys(), default=0) < 1 << 16, "ids have 16 bits")
            expect(all(vcpu is None or vcpu < VCPUS for vcpu in collections.values()), "collections have vCPUs")
            for device in tables["devices"]:
                events = {event for event, _, _ in device["events"]}
                expect(len(events) == len(device["events"]), "each event once")
                expect(max(events, default=0) < 1 << device["event_bits"] <= 1 << 16, "events are in their range")
                expect(all(c is None or c in collections for _, _, c in device["events"]), "no dead collection")
                mapped.update(intid for _, intid, _ in device["events"])
            frame = its.frame
            expect(max(frame.read(CREADR, 8), frame.read(CWRITER, 8)) < 1 << 20, "the queue's offsets are in it")
        expect(mapped.keys() <= lpis.keys() and mapped.total() <= MOST_EVENTS, "what is mapped is there")
        holds = vgic.design(vm.design).axes["queue"] == "ap-list"
        own = {n: lpi["references"] - mapped[n] - (holds and lpi["queued_on"] is not None) for n, lpi in lpis.items()}
        expect(min(own.values(), default=0) >= 0, f"an LPI has its references: {own}")
        expect(sum(own.values()) == vm.cached_translations, f"the other references are the cache's: {own}")

    def finish(self) -> None:
        """Take everything away, check that nothing is left, and use it again."""
        vm = self.vm
        self.check()
        for its in vm.its:
            its.frame.reset()
            its.frame.on_error = its.frame.commands_per_write = None
            expect(its.tables() == {"devices": [], "collections": []}, "after a reset the tables are empty")
        vm.distributor_enabled = True
        # Only a change of EnableLPIs empties a queue, and while it is off LPIs may be moved there: first on, all moves,
        # then off.
        for vcpu in vm.vcpu:
            vcpu.frame.write(CTLR, 4, 1)
        for number, vcpu in enumerate(vm.vcpu):
            # As many as there are priorities, whatever they are of.
            for intid in [*reversed(self.active[number]), *[8192] * 32]:
                vcpu.eoi(intid)
        for vcpu in vm.vcpu:
            vcpu.frame.write(CTLR, 4, 0)
            expect(not vcpu.has_pending, "nothing is pending without LPIs")
        expect(vm.lpis() == [], f"after a reset no LPI is left: {vm.lpis()}")
        expect(vm.cached_translations == 0, "after a reset nothing is cached")
        self.ram[:] = bytes(RAM_SIZE)
        for n, its in enumerate(vm.its):
            self.boot(n)
            its.frame.errors.clear()
            self.run(n, WORDS.pack(OPCODES["INT"] | 1 << 32, 1, 0, 0))
            expect(its.frame.translater.write(0x40, 2, 1) == 1, "an MSI is taken after a reset")
            taken = {number: vcpu.acknowledge() for number, vcpu in enumerate(vm.vcpu)}
            expect(taken == {0: None, 1: 8197, 2: 8198}, f"LPIs are delivered after a reset: {taken}")
            vm.vcpu[1].eoi(8197), vm.vcpu[2].eoi(8198)
            expect(not its.frame.errors, f"commands are executed after a reset: {its.frame.errors}")
        self.check()
        for its in vm.its:
            its.frame.reset()
        for vcpu in vm.vcpu:
            vcpu.frame.write(CTLR, 4, 0)
        expect(vm.lpis() == [], "after the last reset no LPI is left")


def _field(source: Source, choices: Sequence[int], extreme: bool) -> int:
    if extreme and source.byte() & 1:
        return source.pick(EDGES)
    return source.pick(choices)


def _command(source: Source) -> bytes:
    """32 bytes: mostly a command with plausible operands, else extreme ones, flipped bits, or noise."""
    kind = source.byte()
    if kind < 10:
        return source.take(COMMAND_SIZE)
    if kind < 16:
        return bytes([source.pick(tuple(OPCODES.values()))]) + source.take(COMMAND_SIZE - 1)
    name = source.pick(_COMMANDS)
    extreme = kind < 48
    device, event = _field(source, DEVICES, extreme), _field(source, EVENTS, extreme)
    words = [OPCODES[name] | device << 32, event, 0, 0]
    if name in ("MAPTI", "MOVI", "MAPI", "INVALL"):
        words[1] |= _field(source, LPIS, extreme) << 32
        words[2] = _field(source, COLLECTIONS, extreme) & 0xFFFF
        if name == "MAPI" and not extreme:
            words[1] = 8192 + event
    elif name == "MAPD":
        bits = source.byte()
        words[1] = bits & 0x1F if bits < 16 else 13
        address = source.pick(ADDRESSES) if bits & 0x20 else ITTS + (device & 3) * 0x1_0000
        words[2] = (VALID if bits & 0xC0 else 0) | address
    elif name in ("MAPC", "MOVALL"):
        vcpu = _field(source, (0, 1, 2, 0, 1, 2, 3), extreme)
        valid = source.byte() >= 32
        words[2] = (VALID if valid else 0) | vcpu << 16 | _field(source, COLLECTIONS, extreme) & 0xFFFF
        words[3] = _field(source, (0, 1, 2), extreme) << 16
    command = bytearray(WORDS.pack(*words))
    if 48 <= kind < 64:
        for _ in range(1 + source.byte() % 4):
            bit = source.byte()
            command[bit >> 3] ^= 1 << (bit & 7)
    return bytes(command)


def _value(source: Source) -> int:
    """What is written to a register: an address with flags, an edge, a small number, or noise."""
    kind = source.byte() % 8
    if kind < 4:
        flags = source.byte()
        value = source.pick(ADDRESSES) | flags & 0x1F | (flags >> 5 & 3) << 10
        return value | (VALID if kind else 0) | (INDIRECT if flags & 0x80 else 0)
    if kind == 4:
        return source.pick(EDGES)
    if kind == 5:
        return 32 * source.byte()
    if kind == 6:
        return source.byte()
    return source.number(8)


def _access(source: Source, offsets: Sequence[int]) -> tuple[int, int, int]:
    """Offset, size, value."""
    kind = source.byte()
    offset = source.pick(offsets)
    if kind & 0x0F == 0:
        offset += source.pick((-8, -1, 1, 2, 4, 8, 0x1_0000))
    elif kind & 0x0F == 1:
        offset = source.number(3) & 0x1_FFFF
    size = (8, 4, 8, 4, 8, 4, 2, 1)[kind >> 4 & 7]
    if kind & 0x80:
        size = 8 if 8 <= offset < 0xFFD0 else 4
    return offset, size, _value(source)


def _entry(source: Source) -> int:
    """A word as a table has it."""
    kind, small = source.byte() % 4, source.byte()
    if kind == 0:
        return VALID | (small & 7) << 49 | (ITTS + (small & 0x30) * 0x1000) >> 8 << 5 | (source.byte() & 0x0F)
    if kind == 1:
        return VALID | source.pick((0, 1, 2, 3, 0xFFFF_FFFF)) << 16 | source.pick(COLLECTIONS)
    if kind == 2:
        return (small & 3) << 48 | source.pick((*LPIS, 0, 8191, 65536)) << 16 | source.pick(COLLECTIONS)
    return (VALID if small & 1 else 0) | source.pick(ADDRESSES)


def _mutated(text: str, source: Source) -> str:
    """A saved state that is not quite one."""
    kind = source.byte() % 8
    if kind == 0:
        return source.take(source.byte()).decode("utf-8", "replace")
    if kind == 1:
        at = source.number(2) % (len(text) + 1)
        return text[:at] + source.take(2).decode("latin-1") + text[at + 1 :]
    data = json.loads(text)
    frames = data.get(source.pick(("its", "its", "redistributors"))) or [{}]
    frame = source.pick(frames)
    if kind == 2:
        data[source.pick(tuple(data))] = source.pick((None, 7, [], {}, "x", [[]], [1.5], True, 1 << 70))
    elif kind == 3:
        frames.append(dict(frame))
    else:
        for _ in range(1 + source.byte() % 3):
            name = source.pick(tuple(frame) or ("GITS_CTLR",))
            frame[name] = f"{_value(source):#x}"
        if kind == 4:
            frame[name] = source.pick((5, None, "", "-0x1", "0x1" + "0" * 16, "a\nb", {}, "0x" + "f" * 5000))
    return json.dumps(data)


#: Actions, each as often as it is to be chosen.
_ACTIONS = (
    *[Machine.batch] * 110,
    *[Machine.msis] * 30,
    *[Machine.vcpu] * 30,
    *[Machine.its_register] * 14,
    *[Machine.gicr_register] * 10,
    *[Machine.lpis_switch] * 8,
    *[Machine.its_switch] * 8,
    *[Machine.scribble] * 12,
    *[Machine.lpi_tables] * 8,
    *[Machine.vmm_register] * 8,
    *[Machine.vmm_tables] * 8,
    *[Machine.vmm_reset] * 2,
    *[Machine.migrate] * 6,
    *[Machine.look] * 2,
)
if len(_ACTIONS) != 256:
    raise AssertionError(f"a byte chooses among 256 actions, not {len(_ACTIONS)}")


def play(design: str, data: bytes) -> Machine:
    """A whole life of a VM: the first byte decides its shape, the others what happens to it."""
    shape = data[0] if data else 0
    machine = Machine(
        design, its=1 + (shape & 1), list_registers=(1, 4, 4, 16)[shape >> 1 & 3], indirect=shape & 0x18 == 0
    )
    machine.play(data[1:])
    machine.finish()
    return machine

"""Threads of the guest, run through the kernel one at a time.

Each thread has a CPU for itself. All are picked up before their first command; from then on one runs, up to an address
in the kernel or to the end of its command, while the others stay where they are: in the middle of the kernel, if that
is where they were left. CPUs that hold no thread run along, so that interrupts and grace periods go on for whoever
needs no more than that; but while a CPU is held in the kernel no grace period ends.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

from vgic.confirm.btf import Btf
from vgic.confirm.code import Code
from vgic.confirm.gdb import LR, PC
from vgic.confirm.machine import Machine
from vgic.confirm.members import Watch

__all__ = ["Stage", "Stuck", "Trap", "kernel_address"]

#: Seconds of QEMU's CPU time until a thread that gets nowhere is called stuck. Where the machine does nothing at all,
#: or this one has no time for it, so many times as long.
LIMIT = 60.0
_IDLE = 10
#: Instructions from an exclusive load to behind the store that belongs to it.
_EXCLUSIVE = 12
#: x29 points to the caller's x29 and return address (Procedure Call Standard for the Arm 64-bit Architecture).
_FRAME = 29
_KERNEL = 1 << 63


#: Is told which CPU has come by, and its registers.
Trap = Callable[[int, list[int]], None]


class Stuck(Exception):
    """A thread gets nowhere: it waits for one that is held, or the kernel is lost."""


class Stage:
    """The threads of a machine's VM. Between :meth:`begin` and :meth:`finish` the machine stands."""

    def __init__(self, machine: Machine) -> None:
        """The machine may have a VM already; it runs on."""
        self.machine = machine
        self.symbols = machine.symbols()
        self.code = Code(self.symbols, lambda address, size: machine.gdb.read(address, size))
        #: The CPU of each thread, once it is picked up.
        self._cpu: dict[int, int] = {}
        self._commands: dict[int, int] = {}
        self._held: set[int] = set()
        self._breakpoints: set[int] = set()
        #: Where a CPU has been told to stand at a breakpoint: two may stop at once, and QEMU tells of one.
        self._told: dict[int, int] = {}

    @cached_property
    def btf(self) -> Btf:
        """The kernel's structures. Raises :class:`~vgic.confirm.btf.NoBtf` if it does not tell them."""
        return Btf.of_image(self.machine.kernel.image)

    def begin(self, threads: Mapping[int, Sequence[str]]) -> None:
        """Starts threads 1 to 3 with their commands, and holds each before its first one."""
        for thread, commands in threads.items():
            for command in commands:
                self.machine.done(f"thread {thread} {command}")
        self._commands = {thread: len(commands) for thread, commands in threads.items()}
        self._cpu = {}
        self._held = set()
        self.stop()
        for mark in (self.machine.marks.begin, self.machine.marks.end):
            self._break(mark)
        self.machine.send("go")
        while len(self._held) < len(threads):
            cpu = self._run([cpu for cpu in self.machine.gdb.cpus if cpu not in self._held], LIMIT)
            if cpu is None:
                raise Stuck("the guest's threads do not start")
            registers = self.machine.gdb.registers(cpu)
            if registers[PC] == self.machine.marks.begin:
                self._cpu[registers[0]] = cpu
                self._held.add(cpu)

    def seen(self, command: str, function: str) -> list[int] | None:
        """Does a command, and tells x0 to x30, sp and pc of who first comes to a function meanwhile.

        The command must come there. None, with nothing done, if the kernel has no such function.
        """
        if function not in self.symbols:
            return None
        self.stop()
        address, gdb = self.symbols.address(function), self.machine.gdb
        gdb.add_breakpoint(address)
        try:
            self.machine.send(command)
            gdb.go(gdb.cpus)
            cpu = gdb.wait(LIMIT)
            if cpu is None:
                gdb.interrupt()
                raise Stuck(f"{command!r} does not come to {function}")
            registers = gdb.registers(cpu)
        finally:
            gdb.remove_breakpoint(address)
        self.machine.answer(command)
        return registers

    def stop(self) -> None:
        """Stops the machine."""
        if self.machine.gdb.running:
            self.machine.gdb.interrupt()

    def run(
        self, thread: int, until: int | None = None, *, traps: Mapping[int, Trap] | None = None, limit: float = LIMIT
    ) -> bool:
        """Runs one thread to an address, or to the end of its command.

        True: it stands there. False: the command has ended. Raises :class:`Stuck` if neither comes. ``traps``: what is
        done when the thread comes to an address on its way, after which it goes on.
        """
        cpu, traps = self._cpu[thread], traps or {}
        with self._breaking({*traps, *(() if until is None else (until,))}):
            while True:
                if self._next(thread, limit) != cpu:
                    continue  # Another CPU passes by.
                registers = self.machine.gdb.registers(cpu)
                if registers[PC] in traps:
                    traps[registers[PC]](cpu, registers)
                    continue
                if registers[PC] == until:
                    return True
                if registers[PC] == self.machine.marks.end:
                    self._ends(thread, registers)
                    return False

    def run_behind(
        self, thread: int, watch: Watch, times: int, *, traps: Mapping[int, Trap] | None = None, limit: float = LIMIT
    ) -> bool:
        """Runs one thread until a member has changed so many times as :class:`~vgic.confirm.members.Watch` counts.

        0 times: until it is looked at. True: it stands behind the instruction. False: the command has ended. Raises
        :class:`Stuck` if neither comes. ``traps`` as those of :meth:`run`.
        """
        gdb, cpu, traps = self.machine.gdb, self._cpu[thread], traps or {}

        def value() -> int:
            return watch.value(gdb.read(watch.address, watch.size))

        with self._breaking(traps), self._watching(watch):
            last, seen = value(), 0
            while True:
                stopped = self._next(thread, limit)
                looks, registers = gdb.watched, gdb.registers(stopped)
                if stopped == cpu and registers[PC] in traps:
                    traps[registers[PC]](cpu, registers)
                elif stopped == cpu and registers[PC] == self.machine.marks.end:
                    self._ends(thread, registers)
                    return False
                now = value()
                if looks:
                    # It stands before the instruction, where the watchpoint would stop it for ever.
                    steps = _EXCLUSIVE if self.code.loads_exclusively(registers[PC]) else 1
                    gdb.remove_watchpoint(watch.address, watch.size)
                    while steps and now == last:
                        gdb.step(stopped)
                        steps, now = steps - 1, value()
                    gdb.add_watchpoint(watch.address, watch.size)
                if stopped == cpu:
                    seen += now != last and watch.counts(last, now)
                    if (seen == times) if times else looks:
                        return True
                last = now

    def finish(self) -> dict[int, list[int | None]]:
        """Lets everything go; what each command of each thread came to, None for one that did not end."""
        self.let_go()
        found: dict[int, list[int | None]] = {thread: [None] * count for thread, count in self._commands.items()}
        for thread, command, value in self.machine.thread_answers():
            found[thread][command] = value
        return found

    def let_go(self) -> None:
        """Lets everything go, and does not wait for the threads, which may never end."""
        self.stop()
        for address in sorted(self._breakpoints):
            self._unbreak(address)
        self._held = set()
        self.machine.gdb.go(self.machine.gdb.cpus)

    def registers(self, thread: int) -> list[int]:
        """x0 to x30, sp and pc of a thread that is held."""
        return self.machine.gdb.registers(self._cpu[thread])

    def stack(self, thread: int) -> str:
        """Where a thread stands, and who called it, as far as frame pointers tell."""
        gdb, cpu = self.machine.gdb, self._cpu[thread]
        registers = gdb.registers(cpu)
        found = [self.symbols.where(registers[PC])]
        if registers[PC] & _KERNEL:
            found.append(self.symbols.where(kernel_address(registers[LR])))
        frame = registers[_FRAME]
        while frame & _KERNEL and len(found) < 12:
            data = gdb.read(frame, 16, cpu)
            frame = int.from_bytes(data[:8], "little")
            found.append(self.symbols.where(kernel_address(int.from_bytes(data[8:], "little"))))
        return " < ".join(found)

    @contextmanager
    def _breaking(self, addresses: Iterable[int]) -> Iterator[None]:
        """Stops CPUs at these addresses as well. A machine that still runs in the end is lost, and left alone."""
        ours = set(addresses) - self._breakpoints
        for address in ours:
            self._break(address)
        try:
            yield
        finally:
            if not self.machine.gdb.running:
                for address in ours:
                    self._unbreak(address)

    @contextmanager
    def _watching(self, watch: Watch) -> Iterator[None]:
        """Stops CPUs before they look at a member, as :meth:`_breaking` does."""
        gdb = self.machine.gdb
        gdb.add_watchpoint(watch.address, watch.size)
        try:
            yield
        finally:
            if not gdb.running:
                gdb.remove_watchpoint(watch.address, watch.size)

    def _next(self, thread: int, limit: float) -> int:
        """Lets a thread run, and the CPUs that hold none, until one of them stops: which one. Raises :class:`Stuck`."""
        free = [one for one in self.machine.gdb.cpus if one not in self._held]
        stopped = self._run([self._cpu[thread], *free], limit)
        if stopped is None:
            raise Stuck(f"thread {thread} gets nowhere: {self.stack(thread)}")
        return stopped

    def _ends(self, thread: int, registers: Sequence[int]) -> None:
        """A command of a thread has ended. If it is the last one, so has the thread, and its CPU is free."""
        if registers[1] == self._commands[thread] - 1:
            self._held.discard(self._cpu[thread])

    def _break(self, address: int) -> None:
        if address not in self._breakpoints:
            self.machine.gdb.add_breakpoint(address)
            self._breakpoints.add(address)

    def _unbreak(self, address: int) -> None:
        self.machine.gdb.remove_breakpoint(address)
        self._breakpoints.discard(address)

    def _run(self, cpus: Sequence[int], limit: float) -> int | None:
        """Lets these CPUs run until one stands at a breakpoint, or behind what is watched: which one.

        None: none does within the time.
        """
        gdb = self.machine.gdb
        if (cpu := self._arrived(cpus)) is not None:
            return cpu
        for cpu in cpus:  # From a breakpoint it would not get away.
            if gdb.pc(cpu) in self._breakpoints:
                gdb.step(cpu)
            self._told.pop(cpu, None)
        gdb.go(cpus)
        end, worked = time.monotonic() + _IDLE * limit, self.machine.worked()
        while (stopped := gdb.wait(limit / 4)) is None:
            if time.monotonic() > end or self.machine.worked() - worked > limit:
                stopped = gdb.interrupt()
                break
        arrived = self._arrived(cpus)
        return stopped if arrived is None and gdb.watched else arrived

    def _arrived(self, cpus: Sequence[int]) -> int | None:
        """One of these CPUs that stands at a breakpoint and was not told of."""
        for cpu in cpus:
            pc = self.machine.gdb.pc(cpu)
            if pc in self._breakpoints and self._told.get(cpu) != pc:
                self._told[cpu] = pc
                return cpu
        return None


def kernel_address(value: int) -> int:
    """A kernel address without the bits of pointer authentication."""
    return value | 0xFFFF << 48 if value >> 47 & 1 else value

"""A guest whose vCPUs also take their LPIs: order and priorities. QEMU's run the agent for that."""

from typing import TypeVar

import commands
import layout
import masks
from chance import Chance
from machines import State
from masks import Masked
from operations import Config, Operation, SwitchIts, Take
from oracle_guest import Difference, Guest

from vgic.conformance.qtest import VCPUS

T = TypeVar("T")


#: A configuration byte's priority has 5 bits that count.
LEVELS = [level << 3 for level in range(32)]


class TakingGuest(Guest):
    """All LPIs have different priorities: those in front of the list are taken first."""

    def _boot(self) -> None:
        super()._boot()
        self.bytes = {intid: LEVELS[n] | 1 for n, intid in enumerate(layout.LPIS)}
        for intid, byte in self.bytes.items():
            self._store(layout.CONFIG + intid - layout.FIRST_LPI, bytes([byte]))

    def _do_config(self, intid: int, byte: int, every: bool) -> None:
        others = {other & 0xF8 for each, other in self.bytes.items() if each != intid}
        if byte & 0xF8 in others and masks.TIES.use():
            raise Masked
        if byte & 0xF8 == LEVELS[-1] and masks.LOWEST_PRIORITY.use():
            raise Masked
        self.bytes[intid] = byte
        super()._do_config(intid, byte, every)
        mapped = self._mapped(lambda event: event.intid == intid)
        if mapped and masks.CONFIG_CACHED.use():
            device, number, event = mapped[0]
            # INVALL is for the LPIs of a vCPU: of an event whose collection is not mapped it knows nothing.
            every = every and self._target(event) is not None
            self._send(commands.invall(event.icid) if every else commands.inv(device, number))
            self._announce()
            if not self.its_on:
                self.do(SwitchIts(True))

    def _do_take(self, vcpu: int, steps: tuple[str | tuple[int, int], ...]) -> None:
        """Acknowledge, end the last one, let devices send in between; at last end all that is active."""
        active: list[int] = []
        for step in steps:
            if isinstance(step, tuple):
                self._do_msi(*step)
            elif step == "eoi":
                if active:
                    self._end(vcpu, active.pop())
            else:
                taken = self._both("acknowledge", [machine.acknowledge(vcpu) for machine in self.machines])
                self.counts["taken" if taken is not None else "spurious"] += 1
                if taken is not None:
                    active.append(taken)
                    self.counts["nested"] += len(active) > 1
        while active:
            self._end(vcpu, active.pop())

    def _end(self, vcpu: int, intid: int) -> None:
        for machine in self.machines:
            machine.eoi(vcpu, intid)

    def _both(self, what: str, results: list[T]) -> T:
        if any(result != results[0] for result in results):
            seen = ", ".join(f"{machine.name} {result}" for machine, result in zip(self.machines, results, strict=True))
            raise Difference(f"{what}: {seen}")
        return results[0]

    def compare(self, targets: bool = True) -> State | None:
        state = super().compare(targets)
        self._both("has a pending LPI", [machine.has_pending() for machine in self.machines])
        return state


class TakingChance(Chance):
    """Operations at random, many of them taking LPIs."""

    def _take(self) -> Take:
        """First devices send a few MSIs to that vCPU, then it takes some, and more arrive meanwhile."""
        rng = self.rng
        guest = self.guest
        senders = [
            (guest._target(event), (device, number))
            for device, number, event in guest._mapped()
            if device in layout.SENDERS
        ]
        targets = [vcpu for vcpu, _ in senders if vcpu is not None and guest.lpis_on[vcpu]]
        vcpu = rng.choice(targets or range(VCPUS))
        here = [sender for target, sender in senders if target == vcpu]
        steps: list[str | tuple[int, int]] = []
        if here:
            steps += [rng.choice(here) for _ in range(rng.randrange(1, 5))]
        for _ in range(rng.randrange(1, 7)):
            steps.append("acknowledge")
            steps.append(rng.choice(here) if here and rng.random() < 0.5 else "eoi")
        return Take(vcpu, tuple(steps))

    def operation(self) -> Operation:
        if self.rng.random() < 0.3:
            return self._take()
        if self.rng.random() < 0.1:
            byte = self.rng.choice(LEVELS) | self.rng.choice([0, 1, 1])
            return Config(self.rng.choice(layout.LPIS[:14]), byte, self.rng.random() < 0.3)
        return super().operation()

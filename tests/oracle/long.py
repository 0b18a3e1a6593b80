"""Random commands to QEMU's ITS and to vgic's, until there were enough of them: python tests/oracle/long.py

The sequence depends on the seed only. It is cut into episodes, each from power-on; a difference is reported with the
shortest sequence that still shows it, as Python that can be run again.
"""

import argparse
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import masks
from chance import Chance, setup, start
from layout import Setup
from machines import DESIGN, Machine, QemuMachine, VgicMachine
from operations import Batch, Operation
from oracle_guest import Difference, Guest
from taking import TakingChance, TakingGuest

import vgic
from vgic.conformance.qemu import AgentTarget, QemuTarget, start_with_agent
from vgic.conformance.qtest import MISSING, Qemu, QemuError

#: Operations from one power-on to the next.
EPISODE = 200

#: Told how many commands and episodes have been run.
Progress = Callable[[int, int], None]


class Found(Exception):
    """A difference, with what led to it from power-on."""

    def __init__(self, seed: int, episode: int, setup: Setup, operations: list[Operation], difference: Difference):
        super().__init__(str(difference))
        self.seed = seed
        self.episode = episode
        self.setup = setup
        self.operations = operations


def run(
    machines: Sequence[Machine],
    seed: int,
    commands: int,
    progress: Progress = lambda commands, episodes: None,
    kind: type[Guest] = Guest,
    chance_kind: type[Chance] = Chance,
) -> Counter[str]:
    """Drive the machines with at least that many commands; what was done, by name."""
    total: Counter[str] = Counter()
    episode = 0
    while total["commands"] < commands:
        rng = random.Random(f"{seed}/{episode}")
        chosen = setup(rng)
        guest = kind(machines, chosen)
        chance = chance_kind(rng, guest)
        done: list[Operation] = [start()]
        try:
            guest.do(done[0])
            for _ in range(EPISODE):
                done.append(chance.operation())
                guest.do(done[-1])
        except Difference as difference:
            raise Found(seed, episode, chosen, done, difference) from difference
        total += guest.counts
        total["commands"] += guest.commands
        total["operations"] += len(done)
        episode += 1
        progress(total["commands"], episode)
    return total


def replay(
    machines: Sequence[Machine], chosen: Setup, operations: Sequence[Operation], kind: type[Guest] = Guest
) -> Difference | None:
    """Run a sequence from power-on; the difference that it shows, if it does."""
    try:
        guest = kind(machines, chosen)
        for operation in operations:
            guest.do(operation)
    except Difference as difference:
        return difference
    return None


def shrink(
    machines: Sequence[Machine], chosen: Setup, operations: list[Operation], kind: type[Guest] = Guest
) -> list[Operation]:
    """Leave out operations, and then commands, as long as there is a difference."""

    def fails(some: list[Any]) -> bool:
        return replay(machines, chosen, some, kind) is not None

    def reduced(items: list[Any], fails: Callable[[list[Any]], bool]) -> list[Any]:
        size = len(items) // 2
        while size:
            position = 0
            while position < len(items):
                rest = items[:position] + items[position + size :]
                if fails(rest):
                    items = rest
                else:
                    position += size
            size //= 2
        return items

    operations = reduced(operations, fails)
    for number, operation in enumerate(operations):
        if isinstance(operation, Batch):
            before, after = operations[:number], operations[number + 1 :]
            kept = reduced(
                list(operation.commands),
                lambda some: fails([*before, Batch(tuple(some)), *after]),  # noqa: B023
            )
            operations = [*before, Batch(tuple(kept)), *after]
    return operations


def report(found: Found, machines: Sequence[Machine], log: str, kind: type[Guest] = Guest) -> str:
    """What a person needs to look into it."""
    shortest = shrink(machines, found.setup, found.operations, kind)
    difference = replay(machines, found.setup, shortest, kind)
    states = [f"{machine.name}: {machine.state()}" for machine in machines]
    return "\n".join(
        [
            f"seed {found.seed}, episode {found.episode}, operation {len(found.operations)}: {found}",
            "",
            "last operations:",
            *[f"  {operation}" for operation in found.operations[-5:]],
            "",
            "shortest sequence:",
            f"  {found.setup}",
            *[f"  {operation}" for operation in shortest],
            "",
            f"it shows: {difference}",
            *states,
            "",
            "QEMU's log of the whole run ends with:",
            log,
        ]
    )


def compare(seed: int, commands: int, design: str, take: bool, progress: Progress) -> Counter[str] | None:
    """Run, and report a difference (and return nothing) if there is one."""
    guest, chance = (TakingGuest, TakingChance) if take else (Guest, Chance)
    with start_with_agent() if take else Qemu() as qemu:
        machines = [QemuMachine(qemu, AgentTarget if take else QemuTarget), VgicMachine(design)]
        try:
            return run(machines, seed, commands, progress, guest, chance)
        except Found as found:
            print("\noracle: a difference; looking for the shortest sequence", file=sys.stderr)
            print(report(found, machines, qemu.log(), guest))
            return None


def main(arguments: Sequence[str] | None = None) -> int:
    designs = [design.name for design in vgic.designs() if not design.unsound]
    parser = argparse.ArgumentParser(description="Compare vgic's ITS with QEMU's, at random.")
    parser.add_argument("--commands", type=int, default=100_000, help="at least so many ITS commands (%(default)s)")
    parser.add_argument("--seed", type=int, help="repeat a run (default: another one each time)")
    parser.add_argument("--design", choices=designs, default=DESIGN, help="a design of vgic (%(default)s)")
    parser.add_argument("--take", action="store_true", help="vCPUs take their LPIs, too (slower)")
    options = parser.parse_args(arguments)
    if MISSING:
        print(f"oracle: {MISSING}", file=sys.stderr)
        return 2
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"oracle: seed {seed}", flush=True)
    terminal = sys.stderr.isatty()
    started = time.monotonic()

    def progress(commands: int, episodes: int) -> None:
        if terminal:
            rate = commands / (time.monotonic() - started)
            print(f"\r  {commands} commands, {episodes} episodes, {rate:.0f} per second ", end="", file=sys.stderr)

    try:
        total = compare(seed, options.commands, options.design, options.take, progress)
    except KeyboardInterrupt:
        print(f"\noracle: interrupted (seed {seed})", file=sys.stderr)
        return 130
    except QemuError as error:
        print(f"\noracle: {error} (seed {seed})", file=sys.stderr)
        return 2
    if total is None:
        return 1
    if terminal:
        print(file=sys.stderr)
    commands, operations, msis = total.pop("commands"), total.pop("operations"), total.pop("msis")
    print(f"oracle: {commands} commands, {msis} MSIs, {operations} comparisons, no difference")
    print("  " + ", ".join(f"{name} {count}" for name, count in sorted(total.items())))
    print("masks: " + ", ".join(f"{name} {masks.USED[name]}" for name in masks.MASKS if masks.USED[name]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

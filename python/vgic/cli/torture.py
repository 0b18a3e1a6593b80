"""``vgic torture``: random work on real threads, with every check there is."""

import os
import random
from typing import Annotated

import typer

from vgic import __version__, _core
from vgic.cli.common import check_json, console, write_json
from vgic.cli.options import JsonOption, UnsoundOption, completed, design_names, listed, names_option, scenario_names
from vgic.designs import DEFAULT_DESIGN
from vgic.prove.proof import check_scenarios
from vgic.prove.torture import TorturePeriod, TorturePlan, TortureResult, run_torture, scenarios_without_defect
from vgic.text import rate_text


def torture(
    design: Annotated[
        str,
        typer.Option(metavar="NAME", help="The design, see 'vgic designs'.", autocompletion=completed(design_names)),
    ] = DEFAULT_DESIGN,
    minutes: Annotated[float, typer.Option(metavar="M", help="How long the threads run.")] = 1.0,
    seed: Annotated[
        int | None, typer.Option(metavar="S", help="What all random numbers come from; by default a new one.")
    ] = None,
    vcpus: Annotated[int, typer.Option(metavar="N", help="vCPUs, 2 to 64; a thread each.")] = 3,
    its: Annotated[int, typer.Option(metavar="N", help="ITSes, 1 to 8; a thread each that gives commands.")] = 2,
    senders: Annotated[int, typer.Option(metavar="N", help="Threads that send, 1 to 256.")] = 2,
    devices: Annotated[
        int, typer.Option(metavar="N", help="Devices of each ITS whose events stay mapped, 1 to 256.")
    ] = 2,
    events: Annotated[int, typer.Option(metavar="N", help="Events of each of these devices, 1 to 1024.")] = 8,
    list_registers: Annotated[int, typer.Option(metavar="N", help="List registers of each vCPU, 1 to 16.")] = 4,
    period: Annotated[float, typer.Option(metavar="S", help="Seconds between two audits.")] = 1.0,
    watchdog: Annotated[
        float, typer.Option(metavar="S", help="Seconds without progress of a thread that are a deadlock.")
    ] = 30.0,
    poison: Annotated[
        bool, typer.Option("--poison/--no-poison", help="Poison freed memory and keep it back for a while.")
    ] = True,
    scenario: Annotated[
        list[str] | None,
        names_option(
            "scenario",
            "Execute a scenario of 'vgic prove' over and over instead; 'all' are those in which the design has no "
            "known defect.",
            lambda: ["all", *scenario_names()],
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A defect that the design is known for fails the run as well.")
    ] = False,
    allow_unsound: UnsoundOption = False,
    json: JsonOption = None,
) -> int:
    """Do everything at random on real threads, and check every rule that can be checked.

    Threads map, move, discard, enable, disable, send, take, save and
    restore; freed memory is poisoned. After each period all of them rest,
    and references, queues, caches, counts and deliveries are audited. All
    that is random comes from the seed; the threads are real, so a second
    run repeats what each of them does, not how they interleave.

    Exit status: 0 if no rule was broken, 1 if one was, 130 after Ctrl-C.
    """
    plan = TorturePlan(
        design=design,
        minutes=minutes,
        seed=random.SystemRandom().randrange(1 << 32) if seed is None else seed,
        vcpus=vcpus,
        its=its,
        senders=senders,
        devices=devices,
        events=events,
        list_registers=list_registers,
        period=period,
        watchdog=watchdog,
        poison=poison,
        scenarios=scenarios_without_defect(design) if listed(scenario) == ["all"] else _scenarios(listed(scenario)),
        allow_unsound=allow_unsound,
        strict=strict,
    )
    check_json(json)
    out = console(json)

    def line(text: str) -> None:
        out.print(text, soft_wrap=True, markup=False)

    rcu = _core.rcu_stats()["strategy"]
    line(f"Torture: {plan} vgic={__version__} rcu={rcu} cpus={len(os.sched_getaffinity(0))}")
    # Not for users: a test has a rule broken on purpose.
    result = run_torture(
        plan,
        on_period=lambda done: line(_period(done, bool(plan.scenarios))),
        break_rule=os.environ.get("VGIC_TORTURE_BREAK"),
    )
    for text in _summary(result):
        line(text)
    if json is not None:
        write_json(json, result.to_json())
    return 1 if result.failures else 130 if result.interrupted else 0


def _scenarios(names: list[str]) -> tuple[str, ...]:
    return tuple(check_scenarios(names)) if names else ()


def _period(period: TorturePeriod, scenarios: bool) -> str:
    def rate(count: int) -> str:
        return f"{rate_text(count / period.seconds)}/s"

    callbacks = (
        f"RCU: {rate(period.callbacks)} callbacks, {period.backlog} waiting, oldest "
        f"{1000 * period.oldest_callback_seconds:.1f} ms"
    )
    if scenarios:  # On a slow machine a period may see the end of none.
        return f"{period.elapsed_seconds:7.1f} s: executions {rate(period.executions)}; {callbacks}"
    counts = period.counts
    looked_up = counts["cache_hits"] + counts["cache_misses"]
    hits = f"{100 * counts['cache_hits'] / looked_up:.0f} % hits" if looked_up else "none looked up"
    parts = [
        f"{period.elapsed_seconds:7.1f} s: sent {rate(counts['sent'])} ({hits})",
        f"delivered {rate(counts['delivered'])}",
        f"commands {rate(period.commands)}",
        f"controls {rate(period.controls)}",
        callbacks,
        f"audited {period.lpis} LPIs, {period.cached} cached" + (", migrated" if period.migrated else ""),
    ]
    if period.stalls:
        parts.append(f"{period.stalls} stalled readers")
    return "; ".join(parts)


def _summary(result: TortureResult) -> list[str]:
    total = {
        name: sum(period.counts[name] for period in result.periods) for name in ("sent", "delivered", "migrations")
    }
    commands = sum(period.commands for period in result.periods)
    executions = sum(period.executions for period in result.periods)
    done = (
        f"sent {total['sent']}, delivered {total['delivered']}, {commands} commands, {total['migrations']} LPIs moved "
    )
    done += f"from queue to queue, {sum(period.migrated for period in result.periods)} migrations of the VM"
    if result.plan.scenarios:
        done = f"{executions} executions of {len(result.plan.scenarios)} scenarios"
    many = len(result.periods)
    lines = [f"{many} period{'s' * (many != 1)}: {done}"]
    lines += [f"known for it, {times} times: {what}" for what, times in result.known.items()]
    lines += [f"also: {text}" for text in result.failures[1:]]
    if result.failures:
        lines.append(f"End of torture: FAILURE: {result.failures[0]}; again: {result.plan.command}")
    elif result.interrupted:
        lines.append(f"End of torture: INTERRUPTED, nothing found until then; again: {result.plan.command}")
    else:
        lines.append("End of torture: SUCCESS")
    return lines

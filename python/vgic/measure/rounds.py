"""Measuring so that ratios hold: on a machine that others share, with designs that differ by a few per cent.

Only ratios of samples that were taken next to each other are trusted:

- every sample is a run of some milliseconds, by time, on an engine built for it, in the CPU time of its thread;
- a *round* takes one sample of every design in turn; the next round starts with another design, so that none always
  follows the same one;
- a ratio is made within a round; what is reported is the median over all rounds of all processes, with the quartiles;
- several *processes*, one after the other, pinned to the CPUs in turn: one process is one memory layout.

A machine that is shared has moods: while another tenant uses the other half of a core, locked instructions and plain
ones slow down by different factors, so that even ratios change. The *floor* (one array index, one atomic OR, one
branch) is therefore measured before and after each pinned sample. A sample with a floor more than 8 % below the run's
best is flagged as disturbed and set aside. While a design has too few others, more processes run for that workload, up
to as many again as were planned. If that is not enough, all samples count, which is said first: the machine is too busy
to tell.

A warm-up of a few milliseconds a design and workload starts each process and is not counted. Doubtful samples carry a
flag; all samples are in the result file.
"""

import base64
import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vgic.arguments import real, whole
from vgic.errors import Interrupted, MeasurementError
from vgic.measure.results import DISTURBED, DISTURBED_COUNTS, Result, Sample, make_result, make_sample
from vgic.measure.stats import spread_of
from vgic.measure.workload import StressWorkload, Workload

__all__ = ["Effort", "Progress", "measure"]

#: Called with the share done (0 to 1) and what is being measured. May raise to stop.
Progress = Callable[[float, str], None]

#: A worker that says nothing for so long is taken for dead.
_SILENCE_SECONDS = 180.0
_WARM_UP_SECONDS = 0.004
_PROBE_SECONDS = 0.002
#: A floor below this share of the run's best is another machine.
_UNDISTURBED = 0.92
#: Undisturbed samples that a median needs.
_ENOUGH = 4
#: How many more processes run while a design has fewer, relative to those that were planned.
_LONGER = 1
#: Fields that the core takes as they are.
_STRESS = ("vcpus", "devices", "events", "mode", "guest", "list_registers", "mapped", "window", "churn")
_REPLAY = ("vcpus", "mode", "list_registers")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure: ``processes`` x ``rounds`` samples of ``seconds`` for each design and workload.

    ``processes``, ``rounds``: 1 to 1000. ``seconds``: above 0 to 3600.
    """

    processes: int = 6
    rounds: int = 8
    seconds: float = 0.012

    def __post_init__(self) -> None:
        """Check the ranges."""
        whole("processes", self.processes, 1, 1000)
        whole("rounds", self.rounds, 1, 1000)
        real("seconds", self.seconds, 0, 3600, above=True)

    @classmethod
    def quick(cls) -> "Effort":
        """Some seconds in all: shows that it works, and ratios to some ten per cent."""
        return cls(processes=2, rounds=2, seconds=0.02)

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file."""
        return {
            "processes": self.processes,
            "rounds": self.rounds,
            "sample_seconds": self.seconds,
            "warm_up_seconds": _WARM_UP_SECONDS,
            "set_aside": f"samples with a floor below {_UNDISTURBED:.0%} of the run's best are set aside (flag "
            f"{DISTURBED!r}); while a design has fewer than {_ENOUGH} others, up to {_LONGER * self.processes} more "
            f"processes run for that workload, and if it then still has, all count (flag {DISTURBED_COUNTS!r})",
            "time": "CPU time of the thread (live: wall time)",
            "rate": "median over the samples; rate_low and rate_high are the quartiles, spread is half their distance",
            "ratio": "within a round, then the median over all rounds; ratio_low and ratio_high are the quartiles",
        }


def measure(
    workloads: Sequence[Workload],
    designs: Sequence[str],
    effort: Effort | None = None,
    *,
    allow_unsound: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Result], dict[str, float]]:
    """Measure every design under every workload; the first design is the baseline of the ratios.

    Workloads run for ``effort.seconds`` a sample, whatever length they name. Returns the results, workload by workload,
    and the rate of the floor (empty if no workload runs on one pinned thread).

    Ctrl-C comes out as :class:`vgic.Interrupted` with the results of the samples until then, or with none if a design
    had not had its turn.

    Raises :class:`vgic.MeasurementError` if a worker dies, :class:`vgic.ConservationError` if a run does not add up.
    """
    effort = effort or Effort()
    pinned = [workload for workload in workloads if workload.threads == 1]
    groups = [
        (group, pin) for group, pin in ((pinned, True), ([w for w in workloads if w.threads != 1], False)) if group
    ]
    cpus = sorted(os.sched_getaffinity(0))
    samples: dict[tuple[int, str], list[Sample]] = defaultdict(list)
    floors: list[float] = []
    total = effort.processes * effort.rounds * len(workloads) * len(designs)
    done = 0

    def take(group: Sequence[Workload], process: int, pin: bool, why: str = "") -> None:
        nonlocal done
        cpu = cpus[process % len(cpus)] if pin else None
        for message in _worker(_plan(group, designs, effort, process, cpu, allow_unsound)):
            done += 1
            workload = group[message["workload"]]
            sample = make_sample(
                message["raw"], masked=workload.masked, process=process, round=message["round"], cpu=cpu
            )
            if pin:
                sample = replace(sample, floor=min(message["floors"]))
                floors.extend(message["floors"])
            samples[id(workload), message["design"]].append(sample)
            if progress is not None:
                progress(min(1.0, done / total), f"{why}{workload.name}, {message['design']}")

    def by_design(workload: Workload) -> list[list[Sample]]:
        return [samples[id(workload), design] for design in designs]

    def results() -> list[Result]:
        for workload in pinned:
            _flag_disturbed(by_design(workload), floors, enough)
        return [
            make_result(
                design,
                workload.name,
                workload.mode,
                samples[id(workload), design],
                masked=workload.masked,
                baseline=designs[0],
                baseline_samples=samples[id(workload), designs[0]],
            )
            for workload in workloads
            for design in designs
        ]

    enough = min(_ENOUGH, effort.processes * effort.rounds)
    try:
        for process in range(effort.processes):
            for group, pin in groups:
                take(group, process, pin)
        for process in range(effort.processes, (1 + _LONGER) * effort.processes):
            short = [workload for workload in pinned if _too_few(by_design(workload), floors, enough)]
            if not short:
                break
            take(short, process, True, "longer, as the machine is busy: ")
    except KeyboardInterrupt:
        had_turns = all(samples[id(workload), design] for workload in workloads for design in designs)
        raise Interrupted(results() if had_turns else []) from None
    if not floors:
        return results(), {}
    floor = spread_of([floor for floor in floors if floor >= _UNDISTURBED * _best(floors)])
    return results(), {"rate": floor.median, "rate_low": floor.low, "rate_high": floor.high}


def _best(floors: Sequence[float]) -> float:
    """The machine at its best: the upper decile, as a single probe may be a fluke."""
    return sorted(floors)[(len(floors) - 1) * 9 // 10]


def _too_few(designs: Sequence[list[Sample]], floors: Sequence[float], enough: int) -> bool:
    """Whether a design has fewer undisturbed samples of a workload than a median needs."""
    limit = _UNDISTURBED * _best(floors)
    return any(sum((sample.floor or 0.0) >= limit for sample in samples) < enough for samples in designs)


def _flag_disturbed(designs: Sequence[list[Sample]], floors: Sequence[float], enough: int) -> None:
    """Flag the disturbed samples of one workload: they are set aside, unless a design has too few others."""
    limit = _UNDISTURBED * _best(floors)
    flag = DISTURBED_COUNTS if _too_few(designs, floors, enough) else DISTURBED
    for samples in designs:
        samples[:] = [
            sample if (sample.floor or 0.0) >= limit else replace(sample, flags=(*sample.flags, flag))
            for sample in samples
        ]


def _plan(
    workloads: Sequence[Workload],
    designs: Sequence[str],
    effort: Effort,
    process: int,
    cpu: int | None,
    allow_unsound: bool,
) -> dict[str, Any]:
    described: list[dict[str, Any]] = []
    for workload in workloads:
        if isinstance(workload, StressWorkload):
            described.append({"kind": "stress", "arguments": {name: getattr(workload, name) for name in _STRESS}})
        else:
            described.append(
                {
                    "kind": "replay",
                    "arguments": {name: getattr(workload, name) for name in _REPLAY},
                    "program": base64.b64encode(zlib.compress(workload.recording.program().tobytes(), 1)).decode(),
                }
            )
    tasks: list[dict[str, Any]] = []
    for turn in range(effort.rounds):
        first = (process * effort.rounds + turn) % len(designs)
        for number in range(len(workloads)):
            for design in (*designs[first:], *designs[:first]):
                tasks.append({"workload": number, "design": design, "round": turn})
    return {
        "cpu": cpu,
        "allow_unsound": allow_unsound,
        "designs": list(designs),
        "seconds": effort.seconds,
        "warm_up": _WARM_UP_SECONDS,
        "probe": None if cpu is None else _PROBE_SECONDS,
        "workloads": described,
        "tasks": tasks,
    }


def _worker(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run one worker process; its messages. The process is dead when this ends, however it ends."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "vgic.measure.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C comes to this process alone, which then ends the worker.
        )
        try:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(json.dumps(plan).encode() + b"\n")
            received = 0
            for line in _lines(process):
                message: dict[str, Any] = json.loads(line)
                if "error" in message:
                    raise (ValueError if message["value_error"] else MeasurementError)(message["error"])
                received += 1
                yield message
            status = process.wait()
            if status or received != len(plan["tasks"]):
                stderr.seek(0)
                last = stderr.read().decode(errors="replace").strip().splitlines()[-1:]
                how = f"signal {-status}" if status < 0 else f"status {status}"
                raise MeasurementError(
                    f"a measuring process ended with {how} after {received} of {len(plan['tasks'])} samples"
                    + "".join(f": {text}" for text in last)
                )
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """Lines that the process writes; an error if it falls silent."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        heard = time.monotonic()
        while True:
            if selector.select(timeout=1.0):
                data = os.read(descriptor, 1 << 16)
                if not data:
                    return
                heard = time.monotonic()
                *lines, rest = (rest + data).split(b"\n")
                yield from lines
            elif time.monotonic() - heard > _SILENCE_SECONDS:
                raise MeasurementError(f"a measuring process said nothing for {_SILENCE_SECONDS:.0f} s")

"""Running workloads: :func:`run` one design here and now, :func:`compare` several so that their ratios hold."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vgic import _core
from vgic.arguments import whole
from vgic.designs import DEFAULT_DESIGN, check_names
from vgic.errors import Interrupted
from vgic.measure.results import Result, ResultFile, Sample, make_result, make_sample, too_busy
from vgic.measure.rounds import Effort, Progress, measure
from vgic.measure.workload import ReplayWorkload, StressWorkload, Workload
from vgic.trace import MAIN_RECORDING, Check, Recording, check, read_recording

__all__ = ["COMPARED_DESIGNS", "compare", "default_workloads", "recorded_row", "replay_recorded", "run", "run_in_turn"]

#: What :func:`compare` compares unless told otherwise: the baseline, three steps of the series, and the final form.
COMPARED_DESIGNS = ("v6.8-rc1", "patch-05", "patch-10", "patch-15", "v6.10")

#: Called about every 50 ms with the share done, 0 to 1. May raise to stop.
Poll = Callable[[float], None]


def _raw(workload: Workload, design: str, allow_unsound: bool, poll: Poll | None) -> Any:
    if isinstance(workload, StressWorkload):
        return _core.stress(
            design,
            vcpus=workload.vcpus,
            devices=workload.devices,
            events=workload.events,
            iterations=workload.iterations,
            seconds=workload.seconds,
            mode=workload.mode,
            guest=workload.guest,
            list_registers=workload.list_registers,
            mapped=workload.mapped,
            window=workload.window,
            churn=workload.churn,
            allow_unsound=allow_unsound,
            poll=poll,
        )
    return _core.replay(
        design,
        workload.recording.program(),
        vcpus=workload.vcpus,
        mode=workload.mode,
        loops=workload.loops,
        seconds=workload.seconds,
        list_registers=workload.list_registers,
        allow_unsound=allow_unsound,
        poll=poll,
    )


def run_in_turn(
    workload: Workload,
    designs: Sequence[str],
    samples: int = 1,
    *,
    allow_unsound: bool = False,
    poll: Poll | None = None,
) -> list[Result]:
    """Run ``workload`` ``samples`` times through each design, in turn (A B A B ...), in this process.

    The first design is the baseline of the ratios. Ctrl-C stops it within a second, and comes out as
    :class:`vgic.Interrupted` with the results of the samples that were finished. Raises
    :class:`vgic.ConservationError` if a run does not add up.
    """
    names = check_names(designs, allow_unsound=allow_unsound)
    if not names:
        raise ValueError("designs: none given")
    whole("samples", samples, 1, 1_000_000)
    taken: dict[str, list[Sample]] = {name: [] for name in names}
    total = samples * len(names)
    for turn in range(samples):
        first = turn % len(names)
        for place, name in enumerate((*names[first:], *names[:first])):
            before = turn * len(names) + place

            def share(part: float, before: int = before) -> None:
                if poll is not None:
                    poll((before + part) / total)

            try:
                raw = _raw(workload, name, allow_unsound, share)
            except KeyboardInterrupt:
                raise Interrupted(_results(workload, taken)) from None
            taken[name].append(make_sample(raw, masked=workload.masked, round=turn))
    return _results(workload, taken)


def _results(workload: Workload, taken: dict[str, list[Sample]]) -> list[Result]:
    """What the samples come to, for each design that has any; the first is the baseline."""
    baseline = next(iter(taken))
    return [
        make_result(
            name,
            workload.name,
            workload.mode,
            taken[name],
            masked=workload.masked,
            baseline=baseline if len(taken) > 1 else None,
            baseline_samples=taken[baseline] if len(taken) > 1 else (),
        )
        for name in taken
        if taken[name]
    ]


def run(
    workload: Workload,
    design: str = DEFAULT_DESIGN,
    *,
    samples: int = 1,
    allow_unsound: bool = False,
    poll: Poll | None = None,
) -> Result:
    """Run ``workload`` through one design, ``samples`` times, each on an engine built for it, in this process.

    ``poll`` is called about every 50 ms with the share done and may raise to stop; Ctrl-C does. Rates of different
    calls must not be compared on a machine that others share: see :func:`compare`.
    """
    return run_in_turn(workload, [design], samples, allow_unsound=allow_unsound, poll=poll)[0]


def replay_recorded(recording: Recording, design: str = DEFAULT_DESIGN, *, allow_unsound: bool = False) -> Check:
    """Replay a guest as it was recorded, one event after the other, and compare every acknowledge.

    Raises :class:`vgic.ConservationError` if what was sent and what became of it do not add up.
    """
    (name,) = check_names([design], allow_unsound=allow_unsound)
    raw = _core.replay(name, recording.program(), vcpus=recording.vcpus, mode="recorded", allow_unsound=allow_unsound)
    make_sample(raw)
    answer = check(recording, raw["acknowledges"], raw["left"])
    return replace(answer, rejected=len(raw["command_errors"]))


def recorded_row(recording: Recording, design: str, answer: Check) -> dict[str, Any]:
    """A row of :attr:`vgic.ResultFile.recorded`."""
    resets = [{"line": line, "sign": sign} for line, sign in recording.resets]
    return {"design": design, "recording": recording.name, "resets": resets, **answer.to_dict()}


def default_workloads(recording: str | Path | Recording = MAIN_RECORDING) -> list[Workload]:
    """The workloads of the main job: a recorded guest and three stress tests, each of which shows one thing.

    *Single stream*: one translation, always cached: the bare cost of the hit path. *Cache full*: one translation more
    than the caches of fixed size hold, sent in turn: all misses. *Many LPIs*: 64 events are sent and taken in a VM that
    has 4096 further LPIs mapped: what a lookup by INTID costs.
    """
    if not isinstance(recording, Recording):
        recording = read_recording(recording)
    return [
        ReplayWorkload(recording=recording, mode="lockstep"),
        StressWorkload(vcpus=1, devices=1, events=1, mode="senders", label="single stream"),
        StressWorkload(vcpus=1, devices=1, events=17, mode="senders", label="cache full"),
        StressWorkload(vcpus=4, devices=4, events=16, mode="lockstep", mapped=4096, label="many LPIs"),
    ]


def _extra(results: Sequence[Result], effort: Effort) -> int:
    """Processes beyond those that were planned."""
    return max(0, 1 + max((s.process for r in results for s in r.samples), default=0) - effort.processes)


def compare(
    designs: Sequence[str] = COMPARED_DESIGNS,
    workloads: Sequence[Workload] | None = None,
    effort: Effort | None = None,
    *,
    allow_unsound: bool = False,
    progress: Progress | None = None,
    command: str = "vgic.compare()",
) -> ResultFile:
    """Measure designs against each other (see :mod:`vgic.measure.rounds`); the first one is the baseline.

    ``workloads``: by default those of the main job. Each recording among them is also replayed as recorded through
    each design. ``progress`` is called with the share done and a text. Ctrl-C comes out as :class:`vgic.Interrupted`
    with the results until then, or with none if a design had not had its turn.
    """
    names = check_names(designs, allow_unsound=allow_unsound, measured=True)
    if not names:
        raise ValueError("designs: none given")
    chosen = list(default_workloads() if workloads is None else workloads)
    if not chosen:
        raise ValueError("workloads: none given")
    if len({workload.name for workload in chosen}) != len(chosen):
        chosen = [replace(workload, label=f"{number}: {workload.name}") for number, workload in enumerate(chosen, 1)]
    effort = effort or Effort()
    recorded = []
    for workload in chosen:
        if isinstance(workload, ReplayWorkload):
            for name in names:
                answer = replay_recorded(workload.recording, name, allow_unsound=allow_unsound)
                recorded.append(recorded_row(workload.recording, name, answer))

    def file(results: list[Result], floor: dict[str, float]) -> ResultFile:
        return ResultFile(
            command=command,
            workloads=[workload.to_dict() for workload in chosen],
            results=results,
            method={**effort.to_dict(), "extra_processes": _extra(results, effort), "too_busy": too_busy(results)},
            floor=floor,
            recorded=recorded,
        )

    try:
        return file(*measure(chosen, names, effort, allow_unsound=allow_unsound, progress=progress))
    except Interrupted as stopped:
        raise Interrupted(file(stopped.finished, {}) if stopped.finished else None) from None

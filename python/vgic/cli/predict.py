"""``vgic predict``: designs on a machine that is not at hand, in virtual time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from vgic.cli.common import (
    Update,
    about_recording,
    check_outputs,
    command_line,
    console,
    counts_text,
    notes,
    only,
    progress,
    read_stretch,
    recording_notes,
    warn,
    write_json,
    write_whole,
)
from vgic.cli.options import (
    GUEST_HELP,
    EntryOption,
    FromOption,
    JsonOption,
    PhaseOption,
    ToOption,
    UnsoundOption,
    completed,
    design_names,
    listed_designs,
    machine_names,
    names_option,
)
from vgic.cli.predict_limit import predict_limits
from vgic.cli.predict_tables import (
    comparison,
    explanation,
    recorded_comparison,
    reliance_table,
    what_if_table,
)
from vgic.errors import Interrupted, WorkloadError
from vgic.machines import Machine, machine
from vgic.measure.results import Result
from vgic.predict.batching import Batching, batched_as
from vgic.predict.limit import KEEPS_UP
from vgic.predict.prediction import (
    GICV4,
    PREDICTED_DESIGNS,
    AnyPredicted,
    ClosedWorkload,
    PredictedWorkload,
    Prediction,
    RecordedWorkload,
    check_free,
    check_predicted,
    free_names,
    predict,
    prediction_file,
    prediction_result,
)
from vgic.predict.workload import CLOSED_LOOPS, takes_reference
from vgic.text import rate_text, ratio_text, time_text
from vgic.trace import Recording

#: Cores of the default machine, if that is enough.
_USUAL_CORES = 64
#: Seeds of a run with one sender.
_SEEDS_OF_ONE = 5
#: A cost (see :attr:`vgic.Point.cost`) from which processes are worth their start; some seconds.
_MUCH = 2e6
#: A flood that delivers less than this share of what it accepts starves the guest.
_STARVED = 0.1


def predict_designs(
    vcpus: Annotated[
        int | None, typer.Option("-v", "--vcpus", metavar="N", help="Virtual CPUs, a core each (default 16).")
    ] = None,
    devices: Annotated[
        int | None, typer.Option("-d", "--devices", metavar="N", help="Devices, a sender and a core each (16).")
    ] = None,
    events: Annotated[
        int | None, typer.Option("-e", "--events", metavar="N", help="Events of each device (16).")
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option("-i", "--iterations", metavar="N", help="Times each device sends all its events."),
    ] = None,
    design: Annotated[
        list[str] | None,
        names_option(
            "design", f"A design or {GICV4} ({', '.join(PREDICTED_DESIGNS)}).", lambda: [*design_names(), GICV4]
        ),
    ] = None,
    machine_name: Annotated[
        str | None,
        typer.Option(
            "--machine",
            metavar="NAME|FILE",
            help="A machine profile (generic-arm64-64, or more cores).",
            autocompletion=completed(machine_names),
        ),
    ] = None,
    guest: Annotated[
        str | None,
        typer.Option(metavar="GUEST", help=f"{GUEST_HELP} (fixed)"),
    ] = None,
    entry: EntryOption = None,
    gap: Annotated[
        float | None,
        typer.Option(metavar="US", help="Each sender sends once every so often; 0: as fast as it goes (5)."),
    ] = None,
    f_count: Annotated[
        str | None,
        typer.Option("--f-count", metavar="HOW", help="An ioctl's reference on the file: cas, add or none (cas)."),
    ] = None,
    mapped: Annotated[
        int | None, typer.Option(metavar="N", help="Further LPIs that are mapped and never sent (0).")
    ] = None,
    list_registers: Annotated[
        int | None, typer.Option(metavar="N", help="List registers of each vCPU, 1 to 16 (4).")
    ] = None,
    closed: Annotated[
        str | None,
        typer.Option(
            "--closed",
            metavar="LOOP",
            help="A closed loop instead: requests over a NIC that is assigned to the VM. each: an interrupt for each "
            "packet; napi: the guest polls; redis-memtier: that with memtier's 200 connections and gVNIC's moderation.",
            autocompletion=completed(lambda: list(CLOSED_LOOPS)),
        ),
    ] = None,
    queues: Annotated[int | None, typer.Option(metavar="N", help="Closed: queue pairs, a core each (16).")] = None,
    in_flight: Annotated[int | None, typer.Option(metavar="N", help="Closed: requests in flight (256).")] = None,
    service: Annotated[float | None, typer.Option(metavar="US", help="Closed: the guest's work (10).")] = None,
    network: Annotated[float | None, typer.Option(metavar="US", help="Closed: answer to next request (50).")] = None,
    packet: Annotated[
        float | None, typer.Option(metavar="US", help="Closed: a packet's cost on its way in, and out (1).")
    ] = None,
    rx_usecs: Annotated[
        float | None,
        typer.Option(metavar="US", help="Closed: from an RX interrupt of a queue to the next, at least (0)."),
    ] = None,
    tx_usecs: Annotated[float | None, typer.Option(metavar="US", help="Closed: the same of TX (0).")] = None,
    client: Annotated[
        float | None, typer.Option(metavar="US", help="Closed: a client's time between two requests of a queue (0).")
    ] = None,
    servers: Annotated[
        int | None, typer.Option(metavar="N", help="Closed: processes that serve (one on each vCPU).")
    ] = None,
    pipeline: Annotated[int | None, typer.Option(metavar="N", help="Closed: requests in a packet (1).")] = None,
    movi: Annotated[
        float | None, typer.Option(metavar="US", help="Closed: an RX interrupt moves every so often (0: none does).")
    ] = None,
    requests: Annotated[int | None, typer.Option(metavar="N", help="Closed: requests measured (20000).")] = None,
    from_recording: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Closed: with as many MSIs a request as that recording had, which answered --requests.",
        ),
    ] = None,
    recording: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="A recorded guest instead: a bundled one, a QEMU trace log, or -."),
    ] = None,
    begin: FromOption = None,
    end: ToOption = None,
    phase: PhaseOption = None,
    scale_time: Annotated[
        float | None,
        typer.Option(metavar="X", help="Recording: every time of it X times as long; 0.5 is twice as fast (1)."),
    ] = None,
    speed_up: Annotated[
        bool,
        typer.Option(
            "--speed-up-until-saturated", help="Recording: bisect its speed: how fast it may get in each design."
        ),
    ] = False,
    queues_times: Annotated[
        int | None, typer.Option(metavar="N", help="Recording: N times its vectors, on N times its vCPUs (1).")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the jitter; same seed, same result.")] = 1,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="So many seeds from --seed on (1; with one sender 5).")
    ] = None,
    find_limit: Annotated[
        bool,
        typer.Option("--find-limit", help="Bisect the load: up to which rate each design keeps up. Without --gap."),
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show where the time went.")] = False,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Show what each of the ten worst lines is worth (ten further runs).")
    ] = False,
    free: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A field, lock or line that costs nothing to fetch; repeat it for several."),
    ] = None,
    trace: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a picture of a short run for ui.perfetto.dev.")
    ] = None,
    report: Annotated[str | None, typer.Option(metavar="FILE", help="Write an HTML page.")] = None,
    json: JsonOption = None,
    allow_unsound: UnsoundOption = False,
) -> None:
    """Predict what designs do on a machine that is not at hand.

    The engine runs unchanged on simulated cores, and each shared access costs what the machine's profile says. It is
    deterministic. Rates are a second of virtual time.
    """
    only(
        "with --recording or --from-recording",
        recording is not None or from_recording is not None,
        **{"from": begin},
        to=end,
        phase=phase,
    )
    only("with --closed", closed is not None, from_recording=from_recording)
    only(
        "with --recording",
        recording is not None,
        scale_time=scale_time,
        speed_up_until_saturated=speed_up,
        queues_times=queues_times,
    )
    only("without --recording", recording is None, vcpus=vcpus, closed=closed, find_limit=find_limit, trace=trace)
    only(
        f"without --{'speed-up-until-saturated' if speed_up else 'find-limit'}",
        not (find_limit or speed_up),
        gap=gap,
        scale_time=scale_time,
        closed=closed,
        explain=explain,
        what_if=what_if,
        free=free,
        trace=trace,
        report=report,
    )
    names = check_predicted(listed_designs(design) or PREDICTED_DESIGNS, allow_unsound=allow_unsound)
    check_outputs(json, trace=trace, report=report)
    if from_recording is not None:
        only("without --from-recording", False, vcpus=vcpus, rx_usecs=rx_usecs, tx_usecs=tx_usecs)
        _check_given({"requests": requests, "in-flight": in_flight, "service": service, "network": network})
    workload = _workload(
        "recording" if recording is not None else "closed" if closed is not None else "predicted",
        {
            "predicted": {"iterations": iterations, "devices": devices, "events": events, "guest": guest}
            | {"gap_us": gap, "f_count": f_count, "mapped": mapped},
            "closed": {"queues": queues, "in_flight": in_flight, "service_us": service, "network_us": network}
            | {"requests": requests, "packet_us": packet, "rx_usecs": rx_usecs, "tx_usecs": tx_usecs}
            | {"client_us": client, "servers": servers, "pipeline": pipeline, "movi_us": movi},
            "recording": {"scale_time": scale_time, "queues_times": queues_times},
        },
        {"vcpus": vcpus, "entry": entry, "list_registers": list_registers},
        closed or "",
        lambda: read_stretch(recording or "", begin, end, phase),
    )
    if trace is not None and closed is not None:
        raise WorkloadError("trace: not with --closed")
    if f_count is not None and not takes_reference(workload.entry):
        raise WorkloadError(f"f-count: only with entry ioctl or ioctl-many, not {workload.entry}")
    only(
        f"with a design, not with {GICV4} alone",
        names != [GICV4],
        entry=entry,
        f_count=f_count,
        mapped=mapped,
        list_registers=list_registers,
    )
    target = _machine(machine_name, workload)
    freed = _free(free or [], names, workload)
    single = isinstance(workload, PredictedWorkload) and workload.devices == 1
    many = (_SEEDS_OF_ONE if single else 1) if seeds is None else seeds
    if not 1 <= many <= 1000:
        raise ValueError(f"seeds: {many} is out of range 1 to 1000")
    batching = None
    if from_recording is not None and isinstance(workload, ClosedWorkload):
        batching = _batching(read_stretch(from_recording, begin, end, phase), workload, queues, target)
        workload = batching.workload

    if isinstance(workload, RecordedWorkload):
        for line in recording_notes(workload.recording):
            warn(f"vgic: note: {line}")
        if workload.left_out:
            warn(f"vgic: note: {workload.left_out} MSIs have no LPI or no vCPU, and are left out")
    if find_limit or speed_up:
        assert not isinstance(workload, ClosedWorkload)
        predict_limits(
            names,
            target,
            workload,
            seeds=range(seed, seed + many),
            json=json,
            allow_unsound=allow_unsound,
            command=command_line(),
            about=_about(target, target.trust),
        )
        return
    plain = None
    if isinstance(workload, PredictedWorkload) and takes_reference(workload.entry) and f_count is None:
        plain = replace(workload, f_count="add")
    pairs: list[tuple[AnyPredicted, str]] = [(workload, name) for name in names]
    # Direct injection has no ioctl.
    pairs += [(plain, name) for name in names if plain is not None and name != GICV4]
    runs = [(load, name, number) for load, name in pairs for number in range(seed, seed + many)]
    out = console(json)
    try:
        with progress("predicting") as update:
            done = _run_all(runs, target, freed, allow_unsound, update)
    except Interrupted as stopped:
        for name in names:
            group = [found for point, found in stopped.finished if (point.workload, point.design) == (workload, name)]
            if group:
                _show(out, workload, prediction_result(group, free=freed.get(name, ())), None)
        raise
    groups = {
        (load.name, name): [done[load.name, name, number] for number in range(seed, seed + many)]
        for load, name in pairs
    }
    results = {
        (load, name): prediction_result(
            group, groups.get((load, names[0]), ()) if len(names) > 1 else (), free=freed.get(name, ())
        )
        for (load, name), group in groups.items()
    }
    shown = [results[workload.name, name] for name in names]
    remarks = _notes(workload, shown)
    if single and seeds is None:
        remarks.insert(
            0,
            "one sender and a vCPU may fall into step, and then a small change of a time moves the rate a lot: "
            f"median of {many} seeds",
        )
    for line in (*notes(shown), *remarks):
        warn(f"vgic: note: {line}")
    file = prediction_file(shown, workload, target, command_line(), remarks)
    out.print(_about(target, file.machine["trust"]), soft_wrap=True, markup=False)
    if isinstance(workload, RecordedWorkload):
        out.print(about_recording(workload.recording), soft_wrap=True, markup=False)
        out.print(_speed_text(workload), soft_wrap=True, markup=False)
    if batching is not None:
        out.print(_batching_text(from_recording or "", batching), soft_wrap=True, markup=False)
    for result in shown:
        _show(out, workload, result, None if plain is None else results.get((plain.name, result.design)))
    if isinstance(workload, RecordedWorkload):
        out.print()
        out.print(recorded_comparison(shown, workload))
    elif len(names) > 1:
        out.print()
        delivers = any((result.prediction or {})["window"]["delivered"] for result in shown)
        out.print(comparison(shown, closed=closed is not None, latency=delivers and not workload.masked))
    if many > 1 and (explain or what_if or trace is not None):
        out.print(f"\nWhat follows is of the first seed, {seed}.", markup=False)
    if explain:
        for name in names:
            out.print()
            out.print(explanation(groups[workload.name, name][0]))
        out.print()
        out.print(reliance_table(target, [(result.prediction or {})["charged"] for result in shown]))
    if what_if:
        _what_if(out, workload, names, target, seed, freed, allow_unsound)
    if trace is not None:
        _trace(out, Path(trace), workload, names, target, seed, freed, allow_unsound)
    if report is not None:
        from vgic.report import render  # loads a template engine: only when needed

        write_whole(Path(report), render(file))
        out.print(f"Wrote {report}.", soft_wrap=True, markup=False)
    write_json(json, file.to_json())


def _workload(
    kind: str,
    own: dict[str, dict[str, Any]],
    both: dict[str, Any],
    loop: str,
    read: Callable[[], Recording],
) -> AnyPredicted:
    """The workload of a kind, of the options that were given: those of each kind, and those that all have."""
    for other, options in own.items():
        for name, value in options.items():
            if value is not None and other != kind:
                option = name.removesuffix("_us").replace("_", "-")
                where = f"only with --{other}" if kind == "predicted" else f"not with --{kind}"
                raise WorkloadError(f"{option}: {where}")
    given = {name: value for name, value in (both | own[kind]).items() if value is not None}
    match kind:
        case "recording":
            return RecordedWorkload(recording=read(), **given)
        case "closed":
            if loop not in CLOSED_LOOPS:
                raise WorkloadError(f"closed: {loop!r} is none of {', '.join(CLOSED_LOOPS)}")
            workload = ClosedWorkload(**(CLOSED_LOOPS[loop] | given))
            polls = workload.interrupts == "napi"
            only("with a --closed loop that polls", polls, packet=given.get("packet_us"), servers=given.get("servers"))
            return workload
        case _:
            return PredictedWorkload(**given)


def _check_given(needed: dict[str, float | None]) -> None:
    """Raise ``WorkloadError`` if something is missing that a recording does not say."""
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise WorkloadError(f"{', '.join(missing)}: not in a recording, so it has to be given")


def _batching(recording: Recording, workload: ClosedWorkload, queues: int | None, target: Machine) -> Batching:
    """The loop with the batching of a recording, in which as many requests were answered as the loop is long."""
    loop = replace(workload, requests=None)
    with progress("finding the moderation") as update:
        return batched_as(recording, workload.rounds, loop, queues=queues, machine=target, poll=update)


def _batching_text(name: str, batching: Batching) -> str:
    loop = batching.workload
    return (
        f"{name}: {batching.msis} MSIs of {batching.vectors} vectors for {batching.requests} requests, "
        f"{batching.per_request:.3g} a request; {batching.predicted:.3g} here, with an interrupt of a queue every "
        f"{loop.rx_usecs:g} us at most"
    )


def _speed_text(workload: RecordedWorkload) -> str:
    """How fast a recorded guest is played."""
    scale = workload.scale_time
    how = "as fast as it goes" if not scale else "at the recorded speed" if scale == 1 else f"in {scale:g} of its time"
    rate = "" if workload.offered is None else f", {rate_text(workload.offered)} MSIs/s"
    return f"{how}: {workload.vectors} vectors, {workload.vcpus} vCPUs, {workload.rounds} MSIs{rate}"


def _machine(name: str | None, workload: AnyPredicted) -> Machine:
    return machine(f"generic-arm64-{max(_USUAL_CORES, workload.threads)}" if name is None else name)


def _about(target: Machine, trust: str) -> str:
    return f"{target.name}, {target.cores} cores. {trust} All times are virtual."


def _free(free: Sequence[str], names: Sequence[str], workload: AnyPredicted) -> dict[str, tuple[str, ...]]:
    """What is free in each design: what it has of the names. A name that none of them has is refused."""
    known = {name: free_names(name, workload.entry) for name in names}
    for one in free:
        having = [name for name in names if one in known[name]]
        if not having:
            check_free([one], names[0], workload.entry)  # Says what is known.
        for name in names:
            if having and name not in having:
                warn(f"vgic: note: {name} has no {one}, so nothing is free there")
    return {name: tuple(one for one in free if one in known[name]) for name in names}


def _run_all(
    runs: Sequence[tuple[AnyPredicted, str, int]],
    target: Machine,
    freed: dict[str, tuple[str, ...]],
    allow_unsound: bool,
    update: Update,
) -> dict[tuple[str, str, int], Prediction]:
    """All runs, in this process or, if they are long, on all CPUs."""
    from vgic.predict.sweep import Point, predict_in_turn, predict_many

    points = [Point(variant, name, target, seed, freed[name], allow_unsound) for variant, name, seed in runs]
    much = sum(point.cost for point in points) >= _MUCH
    done = predict_many(points, progress=update) if much else predict_in_turn(points, update)
    return {(variant.name, name, seed): one for (variant, name, seed), one in zip(runs, done, strict=True)}


def _notes(workload: AnyPredicted, results: Sequence[Result]) -> list[str]:
    """What a reader of the rates has to know besides."""
    lines: list[str] = []
    if not isinstance(workload, PredictedWorkload):
        return lines
    offered = workload.offered
    if offered is None:
        starved = [
            result.design
            for result in results
            if result.design != GICV4 and (result.prediction or {})["delivered_rate"] < _STARVED * result.rate
        ]
        if starved and not workload.masked:
            lines.append(
                f"{', '.join(starved)}: less than a tenth of what is accepted is delivered: a flood keeps vCPUs from "
                "entering the guest, so the rate counts sends that find their LPI pending; see --gap"
            )
    else:
        keeping = [result.design for result in results if result.rate >= KEEPS_UP * offered]
        if keeping:
            lines.append(
                f"{', '.join(keeping)} {'keeps' if len(keeping) == 1 else 'keep'} up with {rate_text(offered)} LPIs/s, "
                "the pace of the senders: compare latencies, or send more (a shorter --gap, 0 for a flood)"
            )
    return lines


def _show(out: Console, workload: AnyPredicted, result: Result, plain: Result | None) -> None:
    """The counts of a design, what they are a second, and the rate."""
    more = result.prediction or {}
    runs = f" ({len(result.samples)} runs)" if len(result.samples) > 1 else ""
    out.print(f"{result.design}{runs}: {counts_text(result)}", soft_wrap=True, markup=False)
    if workload.kind == "closed":
        did, rate, times, what = "sent", more["window"]["sent"] / more["seconds"], more["response"], "response"
    else:
        did, rate, times, what = "accepted", more["accepted_rate"], more["latency"], "latency"
    text = f"  {did} {rate_text(rate)}/s, delivered {rate_text(more['delivered_rate'])}/s"
    if workload.kind == "closed" and more["window"]["requests"]:
        text += f", {more['window']['sent'] / more['window']['requests']:.2f} LPIs a request"
    if times["median_seconds"]:
        text += f", {what} median {time_text(times['median_seconds'])}, p99 {time_text(times['p99_seconds'])}"
    text += f", in {time_text(more['seconds'])}"
    if len(result.samples) > 1:
        text += f"; rate {rate_text(more['lowest_rate'])} to {rate_text(more['highest_rate'])}"
    out.print(text, soft_wrap=True, markup=False)
    if plain is not None:
        factor = plain.rate / result.rate if result.rate else 0.0
        out.print(
            f"  with f_count as plain atomic adds: {rate_text(plain.rate)}/s ({ratio_text(factor)})",
            soft_wrap=True,
            markup=False,
        )
    what = "requests" if workload.kind == "closed" else "LPIs"
    out.print(f"Rate: {result.rate:.2f} {what}/sec", soft_wrap=True, markup=False)


def _what_if(
    out: Console,
    workload: AnyPredicted,
    names: Sequence[str],
    target: Machine,
    seed: int,
    freed: dict[str, tuple[str, ...]],
    allow_unsound: bool,
) -> None:
    from vgic.predict.explain import what_if

    for name in names:
        with progress(f"{name}: each line in turn") as update:
            base, rows = what_if(
                workload, name, target, seed=seed, free=freed[name], allow_unsound=allow_unsound, progress=update
            )
        out.print()
        out.print(what_if_table(base, rows))


def _trace(
    out: Console,
    path: Path,
    workload: AnyPredicted,
    names: Sequence[str],
    target: Machine,
    seed: int,
    freed: dict[str, tuple[str, ...]],
    allow_unsound: bool,
) -> None:
    from vgic.predict.chrome_trace import MOST_EVENTS, short_workload, trace_json

    assert isinstance(workload, PredictedWorkload)
    short = short_workload(workload)
    most = MOST_EVENTS // len(names)
    traced = [
        predict(short, name, target, seed=seed, free=freed[name], trace=most, allow_unsound=allow_unsound)
        for name in names
    ]
    write_whole(path, trace_json(traced))
    events = sum(len(one.trace) for one in traced)
    cut = ", cut there" if any(len(one.trace) >= most for one in traced) else ""
    rounds = f"{short.warmup_rounds + short.rounds} rounds, the first a warm-up"
    out.print(
        f"Wrote {path}: {events} events of {rounds}{cut}. Open it at ui.perfetto.dev.", soft_wrap=True, markup=False
    )

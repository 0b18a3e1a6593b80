"""``vgic stress``: the kernel's ``vgic_lpi_stress``, with its flags and its last line."""

import os
from typing import Annotated

import typer

from vgic.cli.common import check_json, command_line, console, progress, show_results, warn, write_json
from vgic.cli.options import DesignsOption, JsonOption, UnsoundOption, listed_designs
from vgic.designs import DEFAULT_DESIGN, check_names
from vgic.errors import Interrupted
from vgic.measure.results import ResultFile
from vgic.measure.run import run_in_turn
from vgic.measure.workload import StressWorkload


def stress(
    vcpus: Annotated[int, typer.Option("-v", "--vcpus", metavar="N", help="Virtual CPUs, 1 to 512.")] = 1,
    devices: Annotated[int, typer.Option("-d", "--devices", metavar="N", help="Devices; live, a thread each.")] = 1,
    events: Annotated[int, typer.Option("-e", "--events", metavar="N", help="Events of each device.")] = 16,
    iterations: Annotated[
        int | None,
        typer.Option("-i", "--iterations", metavar="N", help="Times each device sends all its events (default 1000)."),
    ] = None,
    design: DesignsOption = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE",
            help="live: senders and vCPUs are threads. lockstep: one thread sends a burst, then drains the vCPUs. "
            "senders: one thread sends, no vCPU runs.",
        ),
    ] = "live",
    guest: Annotated[
        str,
        typer.Option(
            metavar="GUEST",
            help="fixed: LPIs are spread over the vCPUs and taken. as-published: all go to vCPU 0 and stay pending, "
            "as in the kernel's test before v6.18.",
        ),
    ] = "fixed",
    entry: Annotated[str, typer.Option(metavar="ENTRY", help="How a send enters; direct: a call.")] = "direct",
    list_registers: Annotated[int, typer.Option(metavar="N", help="List registers of each vCPU, 1 to 16.")] = 4,
    repeat: Annotated[int, typer.Option(metavar="N", help="Samples of each design, taken in turn.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Run each sample for so long instead of -i times.")
    ] = None,
    mapped: Annotated[int, typer.Option(metavar="N", help="Further LPIs that are mapped and never sent.")] = 0,
    window: Annotated[int, typer.Option(metavar="N", help="Live: sends in flight at most; 0 is no limit.")] = 0,
    churn: Annotated[bool, typer.Option("--churn", help="Live: another thread maps, moves and discards.")] = False,
    allow_unsound: UnsoundOption = False,
    json: JsonOption = None,
) -> None:
    """Send LPIs as fast as they go, as the kernel's vgic_lpi_stress does; -v -d -e -i are its options.

    The rate is LPIs accepted a second of wall time (live), delivered a CPU second (lockstep) or accepted a CPU second
    (senders, and in lockstep with a guest that takes none). Ratios to trust come from 'vgic compare'.
    """
    workload = StressWorkload(
        vcpus=vcpus,
        devices=devices,
        events=events,
        iterations=iterations,
        seconds=seconds,
        mode=mode,
        guest=guest,
        entry=entry,
        list_registers=list_registers,
        mapped=mapped,
        window=window,
        churn=churn,
    )
    names = check_names(listed_designs(design) or [DEFAULT_DESIGN], allow_unsound=allow_unsound, measured=True)
    if not 1 <= repeat <= 1_000_000:
        raise ValueError(f"repeat: {repeat} is out of range 1 to 1000000")
    check_json(json)
    cpus = len(os.sched_getaffinity(0))
    if mode == "live" and vcpus + devices > cpus:
        warn(
            f"WARNING: {vcpus} vCPU and {devices} device threads on {cpus} CPUs: they take turns, so the rate says "
            "little about the design"
        )
    out = console(json)
    try:
        with progress("sending") as update:
            results = run_in_turn(workload, names, repeat, allow_unsound=allow_unsound, poll=update)
    except Interrupted as stopped:
        show_results(out, stopped.finished, exits=mode != "senders")
        raise
    show_results(out, results, exits=mode != "senders")
    if json is not None:
        file = ResultFile(
            command=command_line(),
            workloads=[workload.to_dict()],
            results=results,
            method={"processes": 1, "samples": repeat, "pinned": False},
        )
        write_json(json, file.to_json())

"""``vgic replay``: a recorded guest, first as it was, then as fast as it goes."""

import os
from typing import Annotated

import typer

from vgic.cli.common import (
    about_recording,
    check_json,
    command_line,
    console,
    progress,
    read_stretch,
    recording_notes,
    show_results,
    warn,
    write_json,
)
from vgic.cli.options import (
    DesignsOption,
    FromOption,
    JsonOption,
    PhaseOption,
    ToOption,
    UnsoundOption,
    listed_designs,
)
from vgic.designs import DEFAULT_DESIGN, check_names
from vgic.designs import design as find
from vgic.errors import Interrupted
from vgic.measure.results import ResultFile
from vgic.measure.run import recorded_row, replay_recorded, run_in_turn
from vgic.measure.workload import ReplayWorkload


def replay(
    recording: Annotated[str, typer.Argument(metavar="RECORDING", help="A bundled name, a QEMU trace log, or -.")],
    design: DesignsOption = None,
    begin: FromOption = None,
    end: ToOption = None,
    phase: PhaseOption = None,
    loop: Annotated[int, typer.Option(metavar="N", help="Times to run it flat out; 0 skips that.")] = 1,
    mode: Annotated[
        str,
        typer.Option(metavar="MODE", help="Flat out: live (a thread a device and a vCPU), lockstep or senders."),
    ] = "live",
    list_registers: Annotated[int, typer.Option(metavar="N", help="List registers of each vCPU, 1 to 16.")] = 4,
    details: Annotated[bool, typer.Option("--details", help="List each acknowledge that differs.")] = False,
    allow_unsound: UnsoundOption = False,
    json: JsonOption = None,
) -> None:
    """Replay a recorded guest through designs.

    First as recorded: ITS commands, MSIs and acknowledges one after the other, each acknowledge answered by the engine
    and compared with the recording. Then flat out: commands keep their place, and between two of them every device
    sends at full speed. RECORDING is a log of QEMU with -trace 'gicv3_*', plain or compressed (xz, gzip, bzip2, zstd),
    - for standard input, or a name: redis-memtier, virtio-4cpu. --from, --to, --phase pick a stretch (see recording).

    Exit status 1: a design does not do what the guest saw, for another reason than a tie or the log's order, or the
    recording has nothing to check.
    """
    names = check_names(listed_designs(design) or [DEFAULT_DESIGN], allow_unsound=allow_unsound)
    check_json(json)
    read = read_stretch(recording, begin, end, phase)
    workload = ReplayWorkload(recording=read, mode=mode, loops=max(loop, 1), list_registers=list_registers)
    if loop < 0:
        raise ValueError(f"loop: {loop} is out of range 0 to 1000000")
    out = console(json)
    out.print(about_recording(read), soft_wrap=True, markup=False)
    for line in recording_notes(read):
        warn(f"vgic: note: {line}")
    recorded = []
    for name in names:
        answer = replay_recorded(read, name, allow_unsound=allow_unsound)
        out.print(f"{name}: {answer}", soft_wrap=True, markup=False)
        if details:
            for mismatch in answer.mismatches:
                out.print(f"  {mismatch}", soft_wrap=True, markup=False)
        recorded.append(recorded_row(read, name, answer))
    results = []
    if loop:
        for name in names:
            if find(name).is_composed:
                warn(f"vgic: note: {name} is composed: its engine looks up what it is to do, so its rate says little")
        cpus = len(os.sched_getaffinity(0))
        if mode == "live" and workload.threads > cpus:
            warn(f"WARNING: {workload.threads} threads on {cpus} CPUs: they take turns, so the rate says little")
        try:
            with progress("replaying") as update:
                results = run_in_turn(workload, names, allow_unsound=allow_unsound, poll=update)
        except Interrupted as stopped:
            show_results(out, stopped.finished)
            raise
        show_results(out, results)
    if json is not None:
        file = ResultFile(
            command=command_line(),
            workloads=[workload.to_dict()],
            results=results,
            method={"processes": 1, "samples": 1, "pinned": False},
            recorded=recorded,
        )
        write_json(json, file.to_json())
    if not all(row["holds"] for row in recorded):
        raise typer.Exit(1)

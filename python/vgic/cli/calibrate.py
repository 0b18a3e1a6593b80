"""``vgic calibrate``: a machine profile from measurements, and how far predictions with it are off."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from vgic.calibrate import (
    CONTENDED_MACHINE,
    GRACE_PERIODS_MS,
    Effort,
    Fit,
    PredictedRow,
    RatesError,
    RateTable,
    Residual,
    contended_curves,
    fit_rates,
    free_parameters,
    measure_here,
    measured_parameters,
    predict_curve,
    predict_rows,
    published_tables,
    read_micro_bench,
    read_rates,
    residuals,
    with_here,
    with_micro_bench,
)
from vgic.calibrate.here import check_seconds
from vgic.cli.common import (
    check_outputs,
    command_line,
    console,
    only,
    progress,
    warn,
    write_json,
    write_whole,
)
from vgic.cli.options import JsonOption
from vgic.errors import Interrupted
from vgic.host import host_text, profile_text
from vgic.machines import PARAMETERS, Check, Machine, machine, read_matrix
from vgic.measure.results import machine as this_machine
from vgic.predict.prediction import DEFAULT_MACHINE, check_predicted
from vgic.predict.workload import takes_reference
from vgic.text import rate_text

#: Sends of a row that waits for grace periods, unless --full is given.
_CAP = 50_000
#: More columns than any table has.
_WIDEST = 1000
#: How far off a prediction may be that nothing was fitted to: rows with one sender, and others.
_SINGLE_BAR, _BAR = 0.35, 0.25
_USUAL_MEANS = ",".join(f"{mean:g}" for mean in GRACE_PERIODS_MS)


def calibrate(
    machine_name: Annotated[
        str | None,
        typer.Option(
            "--machine",
            metavar="NAME|FILE",
            help=f"The profile to start from ({DEFAULT_MACHINE}, or as many cores as the rates need).",
        ),
    ] = None,
    c2c: Annotated[
        str | None, typer.Option("--c2c", metavar="FILE", help="Distances: CSV of a core-to-core tool, in ns.")
    ] = None,
    micro_bench: Annotated[
        str | None,
        typer.Option(
            "--micro-bench", metavar="FILE", help="Exits and IPIs: output of kvm-unit-tests' arm/micro-bench."
        ),
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="Measure on this machine for some seconds.")] = False,
    seconds: Annotated[float | None, typer.Option(metavar="S", help="With --here: for so long (2).")] = None,
    rates: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME",
            help="Fit to measured rates: a TOML file, or "
            f"{' or '.join(table.name for table in published_tables())} for published ones.",
        ),
    ] = None,
    fit: Annotated[
        list[str] | None,
        typer.Option(
            "--fit", metavar="NAME", help="What may change (distance, entry, world-switch, step); repeat it, up to 4."
        ),
    ] = None,
    no_fit: Annotated[bool, typer.Option("--no-fit", help="Only compare the profile with the rates.")] = False,
    without: Annotated[
        list[str] | None, typer.Option(metavar="V/D/E", help="Leave out a row of the rates; repeat it for several.")
    ] = None,
    f_count: Annotated[
        str | None,
        typer.Option("--f-count", metavar="HOW", help="An ioctl's reference on the file: cas, add or none (cas)."),
    ] = None,
    starts: Annotated[
        int | None, typer.Option(metavar="N", help=f"Searches of a fit, from different starts ({Effort().starts}).")
    ] = None,
    sends: Annotated[
        int | None, typer.Option(metavar="N", help=f"Sends of a row while fitting, at most ({Effort().sends}).")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="With --rates: of starts and simulations; same seed, same result (1)."),
    ] = None,
    design: Annotated[
        list[str] | None,
        typer.Option("--predict", metavar="DESIGN", help="Then predict the rows with another design; repeatable."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="With --predict: seeds of each row (5).")] = None,
    grace_period_ms: Annotated[
        str | None,
        typer.Option(
            metavar="MS,...",
            help=f"With --predict: mean grace periods that rows which wait for them are run with ({_USUAL_MEANS}).",
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help=f"With --predict: waiting rows with all their sends, not at most {_CAP:,} (slow)."),
    ] = False,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What to call the profile.")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the profile.")] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Predict measured curves of contention and both published tables, on the machine that was fitted to "
            "each, or on --machine.",
        ),
    ] = False,
    json: JsonOption = None,
) -> None:
    """Make a machine profile from measurements, and show how far predictions with it are off.

    Measurements can be combined; rates are fitted last, and a fit changes only what was not measured. Without any
    measurement the profile stays as it is ('vgic machines NAME' shows it).
    """
    if check:
        only("without --check", False, c2c=c2c, micro_bench=micro_bench, here=here, rates=rates, name=name)
        only("without --check", False, output=output)
    only("with --rates", rates is not None, fit=fit, no_fit=no_fit, without=without, f_count=f_count, predict=design)
    only("with --rates or --check", check or rates is not None, seed=seed)
    only("with a fit (--rates, without --no-fit)", rates is not None and not no_fit, starts=starts, sends=sends)
    only("with --predict or --check", check or bool(design), seeds=seeds, grace_period_ms=grace_period_ms, full=full)
    only("with --here", here, seconds=seconds)
    here_seconds = check_seconds(2.0 if seconds is None else seconds)
    if no_fit and fit:
        raise ValueError("fit and no-fit: give one of them, not both")
    table = None if rates is None else _rates(rates, without or [], f_count)
    how = _How(
        None if grace_period_ms is None else _means(grace_period_ms),
        1 if seed is None else seed,
        5 if seeds is None else seeds,
        None if full else _CAP,
    )
    given = {name: value for name, value in (("starts", starts), ("sends", sends)) if value is not None}
    effort = Effort(seed=how.seed, **given)
    designs = check_predicted(design or [])
    if output is not None and not output.endswith(".toml"):
        raise ValueError(f"output: {output!r}: the name of a profile ends in .toml")
    check_outputs(json, output=output)
    out = console(json)
    if check:
        data: dict[str, Any] = {"tool": "vgic", "command": command_line()}
        targets = [machine(machine_name or table.machine) for table in published_tables()]
        for target, table in zip(targets, published_tables(), strict=True):
            _check_cores(target, table)
        data["curves"] = _check_curves(out, machine(machine_name or CONTENDED_MACHINE))
        data["tables"] = _check_published(out, targets, effort, how)
        _write(json, data)
        return
    target = machine(machine_name or (f"generic-arm64-{max(64, table.cores)}" if table else DEFAULT_MACHINE))
    if table is not None:
        if not no_fit:
            # Checks the names before anything takes long.
            free_parameters(_with_files(target, c2c, micro_bench), table, fit or ())
        if c2c is None and not here:
            _check_cores(target, table)
    data = {"tool": "vgic", "command": command_line(), "base": target.name}
    target = _measured(out, target, c2c, micro_bench, here, here_seconds, data)
    if table is not None:
        target, others, checks = _fitted(out, target, table, fit or [], no_fit, effort, data)
        data["predicted"] = []
        for one in designs:
            rows = how.predict(out, table, target, one, others)
            data["predicted"] += [_predicted_dict(row) for row in rows]
            checks += [
                Check(f"{one}, {row.row.name}", row.published, row.result.predicted.median, table.title)
                for row in rows
                if row.published is not None and row.grace_period_ms is None
            ]
        target = target.with_checks(checks)
    if name is not None:
        target = target.renamed(name, target.title)
    out.print(f"{target.name}. {target.trust}", markup=False, soft_wrap=True)
    if output is not None:
        write_whole(Path(output), target.to_toml())
        out.print(f"Wrote {output}.", soft_wrap=True, markup=False)
    data["profile"] = target.to_toml()
    _write(json, data)


def _write(path: str | None, data: Mapping[str, Any]) -> None:
    if path is not None:
        import json

        write_json(path, json.dumps(data, indent=1) + "\n")


@dataclass(frozen=True)
class _How:
    """How rows are predicted with another design."""

    #: Mean grace periods in ms; None for the usual ones.
    means: list[float] | None
    seed: int
    seeds: int
    cap: int | None

    def predict(
        self, out: Console, table: RateTable, target: Machine, design: str, others: Sequence[Machine] = ()
    ) -> list[PredictedRow]:
        """Predict the rows of a table, and show them."""
        with progress("predicting") as update:
            rows = predict_rows(
                table,
                target,
                design,
                seeds=self.seeds,
                seed=self.seed,
                grace_periods_ms=GRACE_PERIODS_MS if self.means is None else self.means,
                cap=self.cap,
                others=others,
                progress=update,
            )
        _show_predicted(out, design, rows, self.seeds, len(others))
        return rows


def _check_curves(out: Console, target: Machine) -> list[dict[str, Any]]:
    """Predict the measured curves of contention."""
    curves = contended_curves()
    title = f"Threads that increment one counter on {target.name}: ns of the whole for an increment"
    grid = _grid("threads", "", *map(str, curves[0].threads), title=title)
    results = []
    for curve in curves:
        predicted = predict_curve(target, curve)
        fitted = target.name == CONTENDED_MACHINE and curve.fitted
        grid.add_row(curve.title, "measured", *(f"{ns:.1f}" for ns in curve.ns))
        grid.add_row("", "fitted" if fitted else "predicted", *(f"{ns:.1f}" for ns in predicted))
        ratios = [ours / theirs for ours, theirs in zip(predicted, curve.ns, strict=True)]
        grid.add_row("", "ratio", *(f"{ratio:.2f}" for ratio in ratios))
        results.append(
            {
                "how": curve.how,
                "threads": list(curve.threads),
                "measured_ns": list(curve.ns),
                "predicted_ns": list(predicted),
                "fitted": list(curve.fitted) if fitted else [],
            }
        )
    _print_grid(out, grid)
    return results


def _check_published(out: Console, targets: Sequence[Machine], effort: Effort, how: _How) -> list[dict[str, Any]]:
    """Predict both columns of every published table, each on its machine."""
    results, judged = [], []
    for target, table in zip(targets, published_tables(), strict=True):
        data: dict[str, Any] = {"rates": table.name, "machine": target.name}
        out.print(f"{target.name}: {target.title}", soft_wrap=True, markup=False)
        _fitted(out, target, table, (), True, effort, data)
        own = (target.number("grace_period_min") + target.number("grace_period_max")) / 2
        data["predicted"] = []
        for design in table.beside:
            rows = (how if how.means else replace(how, means=[own])).predict(out, table, target, design)
            data["predicted"] += [_predicted_dict(row) for row in rows]
            judged += rows
        results.append(data)
    for single, bar in ((True, _SINGLE_BAR), (False, _BAR)):
        # A row that waits says how long a grace period takes, which is given.
        rows = [row for row in judged if row.row.single == single and row.grace_period_ms is None]
        missed = [f"{row.design} {row.row.name} {row.ratio:.2f}" for row in rows if not _within(row, bar)]
        out.print(
            f"Never fitted, {'one sender' if single else 'several senders'}: {len(rows) - len(missed)} of {len(rows)} "
            f"within {bar:.0%}{'; missed: ' if missed else ''}{', '.join(missed)}.",
            soft_wrap=True,
            markup=False,
        )
    return results


def _within(row: PredictedRow, bar: float) -> bool:
    return row.ratio is not None and abs(row.ratio - 1) <= bar


def _rates(rates: str, without: Sequence[str], f_count: str | None) -> RateTable:
    table = read_rates(rates).without(without)
    if f_count is None:
        return table
    if not takes_reference(table.entry):
        raise RatesError(f"f-count: only with rates of entry ioctl or ioctl-many, not {table.entry}")
    table = replace(table, f_count=f_count)
    table.workload(table.rows[0], 1)  # Checks it.
    return table


def _with_files(target: Machine, c2c: str | None, bench: str | None) -> Machine:
    """The profile with what files say."""
    if bench is not None:
        target, _ = with_micro_bench(target, read_micro_bench(bench))
    return target if c2c is None else _with_matrix(target, c2c)


def _with_matrix(target: Machine, c2c: str) -> Machine:
    return target.with_matrix(read_matrix(c2c), source=f"core-to-core matrix {Path(c2c).name}")


def _check_cores(target: Machine, table: RateTable) -> None:
    if table.cores > target.cores:
        raise RatesError(f"{target.name}: has {target.cores} cores, and the largest row needs {table.cores}")


def _means(text: str) -> list[float]:
    try:
        means = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"grace-period-ms: {text[:40]!r} is not a list of numbers, as 6.7,13,20") from None
    for mean in means:
        if not (math.isfinite(mean) and 0 < mean <= 1000):
            raise ValueError(f"grace-period-ms: {mean:g} is out of range, above 0 to 1000")
    if not means:
        raise ValueError("grace-period-ms: none given")
    return means


def _measured(
    out: Console, target: Machine, c2c: str | None, bench: str | None, here: bool, seconds: float, data: dict[str, Any]
) -> Machine:
    """The profile with what was measured directly."""
    if here:
        data["machine"] = this_machine()
        out.print(f"This machine: {host_text(data['machine'])}.", soft_wrap=True, markup=False)
        if looks := profile_text(data["machine"]):
            out.print(looks, soft_wrap=True, markup=False)
        try:
            with progress("measuring") as update:
                found = measure_here(seconds, progress=update)
        except Interrupted as stopped:
            if stopped.finished:
                out.print("Measured here, before it was interrupted:", markup=False)
            for key, value in stopped.finished.items():
                out.print(f"  {key.removesuffix('_ns')}: {value:.3g} ns", markup=False)
            raise
        data["here"] = found
        target = with_here(target, found, distances=c2c is None)
        out.print(f"Measured here for {seconds:g} s, on CPUs {', '.join(map(str, found['cpus']))}:", markup=False)
        for key in ("hit_load", "hit_store", "hit_rmw", "fence", "syscall"):
            out.print(f"  {key}: {target.values[key]}", markup=False)
        if len(found["matrix_ns"]) < 2:
            warn("vgic: note: one CPU can be used here, so there are no distances: they stay as they are")
        elif c2c is None:
            _show_distances(out, target)
        else:
            out.print(f"  distances: not those between these CPUs, but those of {c2c}", markup=False)
    if bench is not None:
        read = read_micro_bench(bench)
        before = target
        target, complaints = with_micro_bench(target, read)
        out.print(f"{read.path}:", markup=False)
        for test, use in read.uses().items():
            out.print(f"  {test}: {read.means[test]:g} ns ({use})", soft_wrap=True, markup=False)
        for key in PARAMETERS:
            if target.values[key] is not before.values[key]:
                out.print(f"  {key}: {before.values[key]} -> {target.number(key):.4g} ns", markup=False)
        for complaint in complaints:
            warn(f"vgic: note: {read.path}: {complaint}")
        data["micro_bench"] = dict(read.means)
        target = target.renamed(f"{target.name}-calibrated", target.title)
    if c2c is not None:
        target = _with_matrix(target, c2c)
        target = target.renamed(f"{target.name}-c2c", f"{target.title}; distances of {Path(c2c).name}")
        _show_distances(out, target)
    return target


def _show_distances(out: Console, target: Machine) -> None:
    if target.cores < 2:
        out.print(f"{target.cores} core: no distances.", markup=False)
        return
    found = target.pair_statistics()
    out.print(
        f"{target.cores} cores, {found.pairs} pairs: min {found.low:.3g} ns, p25 {found.p25:.3g}, "
        f"median {found.median:.3g}, p95 {found.p95:.3g}, max {found.high:.3g}",
        soft_wrap=True,
        markup=False,
    )


def _fitted(
    out: Console,
    target: Machine,
    table: RateTable,
    free: Sequence[str],
    no_fit: bool,
    effort: Effort,
    data: dict[str, Any],
) -> tuple[Machine, tuple[Machine, ...], list[Check]]:
    """The profile after the fit, those that the rates do not tell from it, and which rates it was checked against.

    Prints what came of it.
    """
    _check_cores(target, table)
    out.print(
        f"Rates: {table.title}, {table.design}, entry {table.entry}, guest {table.guest}.", soft_wrap=True, markup=False
    )
    if no_fit:
        with progress("predicting") as update:
            rows = residuals(table, target, effort, progress=update)
        _show_residuals(out, table, rows)
        data["residuals"] = [_residual_dict(row) for row in rows]
        # What it was fitted to before is no check, and these may be the rates.
        checks = [] if "fitted" in target.statuses else rows
        return target, (), [_check(table, row) for row in checks]
    with progress("fitting") as update:
        found = fit_rates(table, target, free, effort=effort, progress=update)
    _show_fit(out, found)
    _show_residuals(out, table, found.residuals)
    data["fit"] = _fit_dict(found)
    data["residuals"] = [_residual_dict(row) for row in found.residuals]
    return found.machine, found.others, []


def _check(table: RateTable, row: Residual) -> Check:
    return Check(f"{table.design}, {row.row.name}", row.row.rate, row.predicted.median, table.title)


def _grid(*columns: str, title: str) -> Table:
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        grid.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    return grid


def _print_grid(out: Console, grid: Table) -> None:
    """Print it as wide as it is: a number or a header that is cut off is worse than a long line."""
    wide = Measurement.get(out, out.options.update_width(_WIDEST), grid).maximum
    if wide > out.width:
        out = Console(file=out.file, width=wide, highlight=False, emoji=False)
    out.print(grid)


def _show_fit(out: Console, found: Fit) -> None:
    title = f"Fitted, from {found.base.name}: {len(found.found)} searches, {found.evaluations} evaluations"
    grid = _grid("parameter", "before", "fitted", "factor", "searches", "fixed", title=title)
    for one in found.values:
        grid.add_row(
            one.free.name,
            one.free.amount(found.base),
            one.free.amount(found.base, one.factor),
            f"{one.factor:.3g}",
            f"{one.low:.3g} to {one.high:.3g}",
            "yes" if one.identified else "no",
        )
    _print_grid(out, grid)
    for name, source in measured_parameters(found.base, found.table).items():
        out.print(f"{name} stays as it was measured: {source}.", soft_wrap=True, markup=False)
    loose = [one for one in found.values if not one.identified]
    for one in loose:
        text = f"The rates do not fix {one.free.name} ({one.free.text}): with a factor of 1.5 either way the misfit of "
        text += (
            f"rows with several senders rises by as little as {max(0.0, one.rise):.3f}, or the searches do not agree."
        )
        out.print(text, soft_wrap=True, markup=False)


def _show_residuals(out: Console, table: RateTable, rows: Sequence[Residual]) -> None:
    grid = _grid("row", "measured", "predicted", "over seeds", "ratio", title=f"{table.design}, LPIs accepted a second")
    for row in rows:
        grid.add_row(
            row.row.name,
            rate_text(row.row.rate),
            rate_text(row.predicted.median),
            f"{rate_text(row.low)} to {rate_text(row.high)}",
            f"{row.ratio:.2f}",
        )
    _print_grid(out, grid)


def _show_predicted(out: Console, design: str, rows: Sequence[PredictedRow], seeds: int, others: int) -> None:
    title = f"{design}, never fitted: median of {seeds} seeds"
    grid = _grid("row", "grace period", "waits", "published", "predicted", "range", "ratio", title=title)
    for row in rows:
        grid.add_row(
            row.row.name + ("*" if row.capped else ""),
            "-" if row.grace_period_ms is None else f"{row.grace_period_ms:g} ms",
            f"{row.grace_periods:,.0f}" if row.grace_period_ms is not None else "-",
            "-" if row.published is None else rate_text(row.published),
            rate_text(row.result.predicted.median),
            f"{rate_text(row.result.low)} to {rate_text(row.result.high)}",
            "-" if row.ratio is None or row.capped else f"{row.ratio:.2f}",
        )
    _print_grid(out, grid)
    if others:
        text = (
            f"The range is over the seeds, and where a row does not wait over {others} machines that the rates do not "
        )
        out.print(text + "tell from this one, too.", soft_wrap=True, markup=False)
    if any(row.capped for row in rows):
        text = "* Fewer sends than the row had, so what it waits for at its beginning weighs more: see --full."
        out.print(text, soft_wrap=True, markup=False)


def _residual_dict(row: Residual) -> dict[str, Any]:
    return {
        "row": row.row.name,
        "measured": row.row.rate,
        "predicted": row.predicted.median,
        "lowest": row.low,
        "highest": row.high,
        "ratio": row.ratio,
    }


def _predicted_dict(row: PredictedRow) -> dict[str, Any]:
    return {
        **_residual_dict(row.result),
        "design": row.design,
        "measured": row.published,
        "ratio": row.ratio,
        "grace_period_ms": row.grace_period_ms,
        "grace_periods": row.grace_periods,
        "capped": row.capped,
    }


def _fit_dict(found: Fit) -> dict[str, Any]:
    return {
        "design": found.table.design,
        "rows": [row.name for row in found.table.rows],
        "misfit": found.misfit,
        "evaluations": found.evaluations,
        "values": [
            {
                "parameter": one.free.name,
                "factor": one.factor,
                "lowest": one.low,
                "highest": one.high,
                "rise": one.rise if math.isfinite(one.rise) else None,
                "identified": one.identified,
            }
            for one in found.values
        ],
    }

"""Results: what was measured, and all that is needed to measure it again. One versioned schema for every command.

The rate is a median with its quartiles. What it counts depends on the mode, and a result says which (``unit``). Beside
it stand the counts, which add up: sent = delivered + coalesced + dropped + pending - pending_loaded.
"""

import html
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vgic import _core
from vgic.errors import ConservationError, ResultError
from vgic.host import this_host
from vgic.measure.stats import spread_of

__all__ = ["SCHEMA", "Result", "ResultFile", "Sample", "machine", "make_result", "make_sample"]

#: Version of the JSON. It grows when a field changes its meaning or goes away, not when one is added.
SCHEMA = 1

_TIMES = ("seconds", "cpu_seconds", "grace_period_seconds")
_COUNTS = (
    *("sent", "accepted", "delivered", "coalesced", "dropped", "pending", "pending_loaded"),
    *("cache_hits", "cache_misses", "cache_evictions", "guest_entries", "guest_exits", "entries_cancelled"),
    *("kicks", "wakes", "migrations", "grace_periods"),
)


#: Rounds with an undisturbed sample of both designs that a ratio needs.
_ENOUGH_ROUNDS = 6
#: Flag of a sample that was taken while the machine was slower than at its best, and is set aside.
DISTURBED = "disturbed"
#: Flag of one that counts all the same, as too few undisturbed ones are left.
DISTURBED_COUNTS = "disturbed, but counts"


@dataclass(frozen=True, slots=True)
class Sample:
    """One run on an engine built for it."""

    #: As the unit of the mode says.
    rate: float
    #: Number of the worker process and of the round in it.
    process: int
    round: int
    #: CPU that the process was pinned to; None if it was not.
    cpu: int | None
    #: ``sent``, ``delivered``, ... and the times in seconds.
    counts: dict[str, float]
    #: What makes this sample doubtful; empty if nothing does.
    flags: tuple[str, ...] = ()
    #: The lower of the floor's rates just before and after, in sends a CPU second; None if it was not measured.
    floor: float | None = None

    @property
    def counts_for_medians(self) -> bool:
        """Whether medians are made of it: disturbed samples are set aside."""
        return DISTURBED not in self.flags

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file."""
        return {
            "rate": self.rate,
            "process": self.process,
            "round": self.round,
            "cpu": self.cpu,
            "flags": list(self.flags),
            "floor": self.floor,
            **self.counts,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Sample":
        """Back from :meth:`to_dict`."""
        counts = {name: data[name] for name in (*_COUNTS, *_TIMES)}
        return cls(
            data["rate"], data["process"], data["round"], data["cpu"], counts, tuple(data["flags"]), data["floor"]
        )


def _rate_of(mode: str, masked: bool) -> tuple[str, str]:
    """What a rate counts, and in which time."""
    if mode == "closed":
        return "requests", "seconds"
    amount = "delivered" if mode in ("lockstep", "recorded") and not masked else "accepted"
    return amount, "cpu_seconds" if mode in ("lockstep", "senders") else "seconds"


def make_sample(
    raw: Mapping[str, Any],
    *,
    masked: bool = False,
    process: int = 0,
    round: int = 0,  # noqa: A002
    cpu: int | None = None,
) -> Sample:
    """Turn what the core returned into a sample, if it adds up.

    ``masked``: the guest takes nothing (``as-published``): what counts is sends, in every mode.
    Raises :class:`vgic.ConservationError` if LPIs were lost or invented.
    """
    counts = {name: raw[name] for name in (*_COUNTS, *_TIMES)}
    accounted = counts["delivered"] + counts["coalesced"] + counts["dropped"] + counts["pending"]
    if counts["sent"] != accounted - counts["pending_loaded"]:
        raise ConservationError(
            f"{raw['design']}: sent {counts['sent']} LPIs, but delivered {counts['delivered']} + coalesced "
            f"{counts['coalesced']} + dropped {counts['dropped']} + pending {counts['pending']} - pending at load "
            f"{counts['pending_loaded']} = {accounted - counts['pending_loaded']}"
        )
    mode = raw["mode"]
    what, clock = _rate_of(mode, masked)
    # Requests are counted in the window only, as what was accepted is.
    amount, time = raw["window"][what] if mode == "closed" else counts[what], counts[clock]
    flags = []
    if time <= 0:
        flags.append("no time passed")
    if mode == "live" and not counts["guest_exits"]:
        flags.append("no vCPU exit")
    if mode == "live" and not masked and not counts["delivered"]:
        flags.append("no delivery")
    return Sample(amount / time if time > 0 else 0.0, process, round, cpu, counts, tuple(flags))


@dataclass(frozen=True, slots=True)
class Result:
    """One design under one workload."""

    design: str
    #: Name of the workload; :attr:`ResultFile.workloads` has the rest.
    workload: str
    #: ``live``, ``lockstep`` or ``senders``; ``predicted`` or ``closed`` if nothing was measured.
    mode: str
    #: Median over the samples, with the quartiles; what it counts, says ``unit``.
    rate: float
    rate_low: float
    rate_high: float
    unit: str
    #: Design that the ratio is relative to; None if there is no ratio.
    baseline: str | None
    #: Median over the rounds of this design's rate over the baseline's in the same round, with the quartiles.
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    #: Sums over the samples.
    counts: dict[str, float] = field(repr=False)
    samples: tuple[Sample, ...] = field(repr=False)
    #: Whether the ratio is that of the medians, as too few rounds have an undisturbed sample of both designs.
    ratio_of_medians: bool = False
    #: Of a prediction: machine, seeds, latency, where the time went (see
    #: :func:`vgic.predict.prediction.prediction_result`).
    prediction: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def spread(self) -> float:
        """Half the interquartile range of the rate."""
        return (self.rate_high - self.rate_low) / 2

    @property
    def grace_period_text(self) -> str:
        """How many grace periods the senders waited for, and how long. Waiting asleep takes no CPU time."""
        # In a prediction times are measured without the warm-up.
        counts = self.prediction["window"] if self.prediction else self.counts
        count, waited = counts["grace_periods"], self.counts["grace_period_seconds"] / self._runs
        each = 1e6 * waited / count if count else 0.0
        text = f"waited for {count:,.0f} grace periods of {each:.1f} us on average, one every "
        text += f"{counts['sent'] / count if count else 0:,.0f} sends"
        if self.mode in ("lockstep", "senders") and self.counts["seconds"]:
            text += f"; {self.grace_period_share:.0%} of the wall time"
        return text

    @property
    def grace_period_share(self) -> float:
        """The share of the wall time in which the senders waited for grace periods, 0 to 1."""
        waited = self.counts["grace_period_seconds"] / self._runs
        return waited / self.counts["seconds"] if self.counts["seconds"] else 0.0

    @property
    def _runs(self) -> int:
        """Runs that :attr:`counts` are the sums of, where the other counts are those of one."""
        return len(self.samples) if self.prediction else 1

    @property
    def waited_for_grace_periods(self) -> bool:
        """Whether grace periods are part of what a send costs here: at least one in a thousand sends waited."""
        return self.counts["grace_periods"] >= max(1.0, self.counts["sent"] / 1000)

    @property
    def flags(self) -> dict[str, int]:
        """Doubts: how many samples have each."""
        tally: dict[str, int] = {}
        for sample in self.samples:
            for flag in sample.flags:
                tally[flag] = tally.get(flag, 0) + 1
        return tally

    @property
    def doubts(self) -> dict[str, int]:
        """:attr:`flags` without what a busy machine has done."""
        return {flag: count for flag, count in self.flags.items() if flag not in (DISTURBED, DISTURBED_COUNTS)}

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file."""
        return {
            "design": self.design,
            "workload": self.workload,
            "mode": self.mode,
            "rate": self.rate,
            "rate_low": self.rate_low,
            "rate_high": self.rate_high,
            "spread": self.spread,
            "unit": self.unit,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "ratio_low": self.ratio_low,
            "ratio_high": self.ratio_high,
            "ratio_of_medians": self.ratio_of_medians,
            **self.counts,
            "flags": self.flags,
            "samples": [sample.to_dict() for sample in self.samples],
            **({"prediction": self.prediction} if self.prediction is not None else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Result":
        """Back from :meth:`to_dict`."""
        names = ("design", "workload", "mode", "rate", "rate_low", "rate_high", "unit", "baseline")
        values: dict[str, Any] = {name: data[name] for name in (*names, "ratio", "ratio_low", "ratio_high")}
        values["counts"] = {name: data[name] for name in (*_COUNTS, *_TIMES)}
        values["samples"] = tuple(Sample.from_dict(sample) for sample in data["samples"])
        values["ratio_of_medians"] = data.get("ratio_of_medians", False)
        values["prediction"] = data.get("prediction")
        return cls(**values)


def make_result(
    design: str,
    workload: str,
    mode: str,
    samples: Sequence[Sample],
    *,
    masked: bool = False,
    baseline: str | None = None,
    baseline_samples: Sequence[Sample] = (),
    prediction: dict[str, Any] | None = None,
) -> Result:
    """Sum up samples. A ratio is made round by round: samples that were taken next to each other are compared."""
    used = [sample for sample in samples if sample.counts_for_medians]
    rate = spread_of([sample.rate for sample in used])
    what, clock = _rate_of(mode, masked)
    reference = {(s.process, s.round): s.rate for s in baseline_samples if s.counts_for_medians}
    ratios = [
        sample.rate / reference[sample.process, sample.round]
        for sample in used
        if reference.get((sample.process, sample.round))
    ]
    # Where few rounds have both undisturbed, the medians are compared.
    of_medians = bool(len(used) < len(samples) and len(ratios) < _ENOUGH_ROUNDS and reference and rate.median)
    if of_medians:
        ratios = [rate.median / spread_of(list(reference.values())).median]
    ratio = spread_of(ratios) if ratios else None
    return Result(
        design,
        workload,
        mode,
        rate=rate.median,
        rate_low=rate.low,
        rate_high=rate.high,
        unit=_unit(mode, what, clock),
        baseline=baseline if ratio else None,
        ratio=ratio.median if ratio else None,
        ratio_low=ratio.low if ratio else None,
        ratio_high=ratio.high if ratio else None,
        counts={name: sum(sample.counts[name] for sample in samples) for name in (*_COUNTS, *_TIMES)},
        samples=tuple(samples),
        ratio_of_medians=of_medians,
        prediction=prediction,
    )


def _unit(mode: str, what: str, clock: str) -> str:
    if mode == "closed":
        return "requests answered a second of virtual time"
    if mode in ("predicted", "recording"):
        return f"LPIs {what} a second of virtual time"
    return f"LPIs {what} a {'CPU second' if clock == 'cpu_seconds' else 'second'}"


def too_busy(results: Sequence[Result]) -> list[str]:
    """Workloads of which too few undisturbed samples are left, so that disturbed ones count: no verdict is in them."""
    busy = (result.workload for result in results for sample in result.samples if DISTURBED_COUNTS in sample.flags)
    return list(dict.fromkeys(busy))


def busy_text(results: Sequence[Result]) -> str:
    """That the machine is too busy to tell, and for which workloads, in one line; empty if it is not."""
    busy = too_busy(results)
    if not busy:
        return ""
    processes = 1 + max(sample.process for result in results if result.workload in busy for sample in result.samples)
    return (
        f"This machine is too busy to tell, for {', '.join(busy)}: after {processes} processes a design has too few "
        "undisturbed samples, so all of them count, and the ratios may be those of other tenants"
    )


def noise(results: Sequence[Result]) -> list[str]:
    """What a busy machine has done to samples and ratios, a line each, without what :func:`busy_text` says."""
    lines = []
    probed = [sample for result in results for sample in result.samples if sample.floor is not None]
    aside = sum(not sample.counts_for_medians for sample in probed)
    if aside:
        lines.append(
            f"{aside} of {len(probed)} samples were taken while the machine was slower than at its best (another "
            "tenant) and are set aside"
        )
    of_medians: dict[tuple[str, str | None], list[str]] = {}
    for result in results:
        if result.ratio_of_medians and result.design != result.baseline:
            of_medians.setdefault((result.workload, result.baseline), []).append(result.design)
    for (workload, baseline), designs in of_medians.items():
        them, ratio = ("it", "the ratio is that") if len(designs) == 1 else ("each", "the ratios are those")
        lines.append(
            f"{workload}, {', '.join(designs)}: fewer than {_ENOUGH_ROUNDS} rounds are undisturbed for {them} and for "
            f"{baseline}, so {ratio} of their medians"
        )
    return lines


def machine() -> dict[str, Any]:
    """The machine: what :class:`vgic.host.Host` has, usable CPUs (``cpus``), architecture, kernel and Python.

    ``atomics_in_place``: whether a read-modify-write of the core is an instruction; on arm64 it may be a call.

    Files of earlier versions have ``cpu``, ``cpus``, ``architecture``, ``kernel`` and ``python`` alone.
    """
    return {
        **this_host().to_dict(),
        "atomics_in_place": _core.ATOMICS_IN_PLACE,
        "cpus": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


@dataclass(frozen=True, slots=True)
class ResultFile:
    """Results that were measured together, with what repeats them."""

    #: The command line, or the call.
    command: str
    #: As :meth:`Workload.to_dict` gives them.
    workloads: list[dict[str, Any]]
    results: list[Result]
    #: How it was measured: processes, rounds, seconds a sample.
    method: dict[str, Any] = field(default_factory=dict)
    #: Sends a CPU second of "one array index, one atomic OR, one branch" in the same run: ``rate``, ``rate_low``,
    #: ``rate_high``. Empty if not measured.
    floor: dict[str, float] = field(default_factory=dict)
    #: Replays as recorded, compared with the recording: a row a design.
    recorded: list[dict[str, Any]] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=machine)
    version: str = _core.VERSION
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def designs(self) -> list[str]:
        """Names of the designs, in order."""
        return list(dict.fromkeys(result.design for result in self.results))

    def result(self, design: str, workload: str) -> Result:
        """The result of one design under one workload, by their names. Raises ``KeyError``."""
        for result in self.results:
            if result.design == design and result.workload == workload:
                return result
        raise KeyError((design, workload))

    def floor_multiple(self, result: Result) -> float | None:
        """Cost of one LPI as a multiple of the floor; None where there is none (live rates are not CPU time)."""
        if not self.floor or result.mode == "live" or not result.rate:
            return None
        return self.floor["rate"] / result.rate

    def to_dict(self) -> dict[str, Any]:
        """As written into a file."""
        return {
            "schema": SCHEMA,
            "tool": "vgic",
            "version": self.version,
            "command": self.command,
            "created": self.created,
            "machine": self.machine,
            "method": self.method,
            "workloads": self.workloads,
            "floor": self.floor,
            "recorded": self.recorded,
            "results": [{**result.to_dict(), "floor_multiple": self.floor_multiple(result)} for result in self.results],
        }

    def to_json(self) -> str:
        """One JSON document (schema 1)."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "ResultFile":
        """Back from :meth:`to_json`. Raises :class:`vgic.ResultError` if it is something else."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ResultError(f"not a result file: not JSON ({error})") from None
        if not isinstance(data, dict) or "schema" not in data:
            raise ResultError("not a result file: no schema")
        if data["schema"] != SCHEMA:
            raise ResultError(f"result file of schema {data['schema']!r}: this version reads schema {SCHEMA}")
        try:
            if not isinstance(data.get("machine", {}), dict):
                raise TypeError
            return cls(
                **{
                    name: data[name]
                    for name in ("command", "workloads", "method", "floor", "recorded", "machine", "version", "created")
                },
                results=[Result.from_dict(result) for result in data["results"]],
            )
        except KeyError as error:
            raise ResultError(f"not a result file: no {error.args[0]}") from None
        except (TypeError, AttributeError):
            raise ResultError("not a result file: a field has the wrong type") from None

    def _repr_html_(self) -> str:
        """A table for Jupyter: designs by workloads."""
        names = [workload["name"] for workload in self.workloads]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        rows = ""
        for design in self.designs:
            rows += f"<tr><th style='text-align:left'>{html.escape(design)}</th>"
            for name in names:
                try:
                    result = self.result(design, name)
                except KeyError:
                    rows += "<td></td>"
                    continue
                ratio = "" if result.ratio is None else f"<b>{result.ratio:.2f}\N{MULTIPLICATION SIGN}</b> "
                rows += f"<td>{ratio}{result.rate:,.0f} \N{PLUS-MINUS SIGN} {result.spread:,.0f}</td>"
            rows += "</tr>"
        return f"<table><thead><tr><th>design</th>{head}</tr></thead><tbody>{rows}</tbody></table>"

"""Predictions: the engine on a machine that is not at hand, in virtual time.

The engine itself runs, on as many simulated cores as there are threads, and each shared access costs what the machine's
profile says. A run is deterministic: same workload, design, machine and seed, same result, in any process.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from vgic import _core
from vgic.arguments import whole
from vgic.designs import DEFAULT_DESIGN, check_names
from vgic.errors import MeasurementError, WorkloadError
from vgic.machines import Machine, parameter_rows
from vgic.machines import machine as find_machine
from vgic.machines.values import hint
from vgic.measure.results import Result, ResultFile, Sample, make_result, make_sample
from vgic.measure.stats import spread_of
from vgic.predict.recorded import RecordedWorkload
from vgic.predict.reliance import trust_text
from vgic.predict.workload import ClosedWorkload, PredictedWorkload, takes_reference

__all__ = [
    "DEFAULT_MACHINE",
    "GICV4",
    "GICV4_TEXT",
    "PREDICTED_DESIGNS",
    "AnyPredicted",
    "ClosedWorkload",
    "PredictedWorkload",
    "Prediction",
    "RecordedWorkload",
    "check_free",
    "check_predicted",
    "free_names",
    "predict",
    "prediction_file",
    "prediction_result",
]

#: Any workload in virtual time.
AnyPredicted = PredictedWorkload | ClosedWorkload | RecordedWorkload
#: Direct injection, accepted where :func:`predict` takes a design.
GICV4 = "gicv4"
#: What that is, in one line.
GICV4_TEXT = (
    "Direct injection, no design of the engine: the ITS translates one LPI after the other and delivers it to a vCPU "
    "that runs, without the host: the bound for delivering. (What software merely accepts, as sends of one pending "
    "LPI, may be more.)"
)
#: What ``vgic predict`` compares unless told otherwise.
PREDICTED_DESIGNS = ("v6.8-rc1", "v6.10", "v7.3", GICV4)
#: The machine that is predicted unless another is named.
DEFAULT_MACHINE = "generic-arm64-64"

#: Contended lines that go into a result file, the worst first.
_KEPT_LINES = 20

#: Called about every 50 ms of real time with the share done, 0 to 1. May raise to stop.
Poll = Callable[[float], None]


def _picoseconds(microseconds: float) -> int:
    return round(microseconds * 1e6)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One deterministic run. It adds up: :class:`vgic.ConservationError` is raised where one is made that does not."""

    design: str
    workload: AnyPredicted
    #: Name of the machine.
    machine: str
    seed: int
    #: What the core returned: everything below is from it.
    raw: "_core.Prediction"

    def __post_init__(self) -> None:
        """Check that it adds up."""
        self.sample()

    def sample(self, round: int = 0) -> Sample:  # noqa: A002
        """As a sample of a result; rounds with the same number had the same seed."""
        raw = cast("Mapping[str, Any]", self.raw)
        return make_sample({**raw, "mode": self.workload.kind}, masked=self.workload.masked, round=round)

    @property
    def seconds(self) -> float:
        """How long the window is in which everything is counted, in virtual time (docs/explain/simulation.md)."""
        return self.raw["seconds"]

    def _a_second(self, count: int) -> float:
        return count / self.seconds if self.seconds > 0 else 0.0

    @property
    def rate(self) -> float:
        """LPIs accepted a second of virtual time; in a closed loop requests answered."""
        closed = isinstance(self.workload, ClosedWorkload)
        return self._a_second(self.window["requests" if closed else "accepted"])

    @property
    def accepted_rate(self) -> float:
        """LPIs accepted a second of virtual time."""
        return self._a_second(self.window["accepted"])

    @property
    def delivered_rate(self) -> float:
        """LPIs that the guest took a second of virtual time."""
        return self._a_second(self.window["delivered"])

    @property
    def interrupts_per_request(self) -> float:
        """LPIs sent for a request that was answered, in a closed loop."""
        return self.window["sent"] / self.window["requests"] if self.window["requests"] else 0.0

    @property
    def coalesced_share(self) -> float:
        """Share of the sends that found their LPI pending already, 0 to 1."""
        return self.window["coalesced"] / self.window["sent"] if self.window["sent"] else 0.0

    @property
    def window(self) -> "_core.Window":
        """The counts of the window: of the sends that began in it. Never more accepted than sent, or delivered."""
        return self.raw["window"]

    @property
    def latency(self) -> "_core.Latency":
        """From the send that made an LPI pending until the guest took it, of what was delivered in the window."""
        return self.raw["latency"]

    @property
    def response(self) -> "_core.Latency":
        """From a request to its answer, of what began and ended in the window, in a closed loop."""
        return self.raw["response"]

    @property
    def threads(self) -> "list[_core.ThreadTimes]":
        """Where the time of the window went, by kind of thread and category, summed over the threads of the kind."""
        return self.raw["threads"]

    @property
    def lines(self) -> "list[_core.ContendedLine]":
        """Lines that cores had to wait for, the worst first."""
        return self.raw["lines"]

    @property
    def locks(self) -> "list[_core.LockTimes]":
        """Locks, the one most waited for first."""
        return self.raw["locks"]

    @property
    def charged(self) -> dict[str, float]:
        """Seconds of all threads that hang on a value of the machine, by its name (:mod:`vgic.predict.reliance`)."""
        return self.raw["charged"]

    @property
    def fields(self) -> list[str]:
        """Every name that ``free`` accepts, for this design."""
        return self.raw["fields"]

    @property
    def accesses(self) -> int:
        """Shared accesses that were simulated."""
        return self.raw["accesses"]

    @property
    def trace(self) -> list[tuple[str, int, str, int, int, int]]:
        """Events of the picture, if any were asked for: kind, core, name, begin and end in ps, number of the LPI."""
        return self.raw.get("trace", [])


def check_predicted(names: Iterable[str], *, allow_unsound: bool = False) -> list[str]:
    """As :func:`vgic.designs.check_names`, with ``gicv4`` among the names."""
    return check_names(names, allow_unsound=allow_unsound, also=(GICV4,))


@cache
def free_names(design: str, entry: str = "irqfd") -> tuple[str, ...]:
    """Every name that ``free`` accepts for a design: fields, locks and whole lines. None for ``gicv4``."""
    small = PredictedWorkload(vcpus=1, devices=1, events=1, iterations=2, warmup=0, entry=entry, gap_us=0)
    return tuple(predict(small, design, allow_unsound=True).fields)


def check_free(free: Sequence[str], design: str, entry: str) -> None:
    """Raise ``ValueError`` if a design has no field, line or lock of one of these names."""
    known = free_names(design, entry)
    for name in free:
        if name in known:
            continue
        if not known:
            raise ValueError(f"free: {design} has no field, lock or line")
        text = str(name)[:60]
        raise ValueError(f"free: {design} has no field, lock or line {text!r}: {hint(text, known)}")


def predict(
    workload: AnyPredicted,
    design: str = DEFAULT_DESIGN,
    machine: str | Path | Machine = DEFAULT_MACHINE,
    *,
    seed: int = 1,
    free: Iterable[str] = (),
    trace: int = 0,
    allow_unsound: bool = False,
    poll: Poll | None = None,
) -> Prediction:
    """Run a workload once in virtual time, through a design or ``gicv4``, on a machine: its name, profile or value.

    ``seed``: 0 to 2**64 - 1; what varies with it is the jitter, and where senders begin. ``free``: fields, locks and
    lines (:attr:`Prediction.fields`) that cost nothing to fetch, to see what they are worth. ``trace``: keep so many
    events of a picture (0 to 10000000; of a :class:`PredictedWorkload` only). ``poll`` may raise to stop; Ctrl-C does.

    Raises :class:`vgic.MeasurementError` if the simulated threads are stuck.
    """
    (name,) = check_predicted([design], allow_unsound=allow_unsound)
    target = machine if isinstance(machine, Machine) else find_machine(machine)
    whole("seed", seed, 0, 2**64 - 1, error=WorkloadError)
    whole("trace", trace, 0, 10**7, error=WorkloadError)
    names = [free] if isinstance(free, str) else list(free)
    check_cores(workload, target)
    if names:
        check_free(names, name, workload.entry)
    if trace and not isinstance(workload, PredictedWorkload):
        raise WorkloadError(f"trace: not {'in a closed loop' if workload.kind == 'closed' else 'of a recording'}")
    try:
        raw = _raw(workload, name, target.to_core(), seed, names, trace, allow_unsound, poll)
    except RuntimeError as error:
        raise MeasurementError(f"{name}: {error}") from None
    return Prediction(name, workload, target.name, seed, raw)


def check_cores(workload: AnyPredicted, machine: Machine) -> None:
    """Raise :class:`vgic.WorkloadError` if a machine has not a core for each thread."""
    if workload.threads > machine.cores:
        senders = {"closed": "queues", "recording": "vectors + commands"}.get(workload.kind, "devices")
        raise WorkloadError(
            f"vcpus + {senders}: {workload.threads} threads, a core each, but {machine.name} has {machine.cores} cores"
        )


def _entry(entry: str, f_count: str) -> dict[str, Any]:
    """What the core is told: a call on a registered file is an ioctl that counts no reference."""
    name, _, msis = entry.partition(":")
    how = f_count if takes_reference(entry) else "none"
    return {"entry": name.split("-")[0], "f_count": how, "msis_per_call": int(msis or 1)}


def _raw(
    workload: AnyPredicted,
    design: str,
    machine: dict[str, Any],
    seed: int,
    free: list[str],
    trace: int,
    allow_unsound: bool,
    poll: Poll | None,
) -> "_core.Prediction":
    common: dict[str, Any] = {"list_registers": workload.list_registers, "seed": seed, "free": free}
    common |= {"allow_unsound": allow_unsound, "poll": poll}
    if isinstance(workload, ClosedWorkload):
        return _core.predict_closed(
            design,
            machine,
            vcpus=workload.vcpus,
            queues=workload.queues,
            in_flight=workload.in_flight,
            service_ps=_picoseconds(workload.service_us),
            network_ps=_picoseconds(workload.network_us),
            polls=workload.interrupts == "napi",
            packet_ps=_picoseconds(workload.packet_us),
            rx_moderation_ps=_picoseconds(workload.rx_usecs),
            tx_moderation_ps=_picoseconds(workload.tx_usecs),
            client_ps=_picoseconds(workload.client_us),
            servers=workload.servers or 0,
            pipeline=workload.pipeline,
            movi_ps=_picoseconds(workload.movi_us),
            requests=workload.rounds,
            warmup=workload.warmup_rounds,
            **_entry(workload.entry, "cas"),
            **common,
        )
    if isinstance(workload, RecordedWorkload):
        return _core.predict_recorded(
            design,
            machine,
            vcpus=workload.vcpus,
            **workload.to_core(),
            **_entry(workload.entry, "cas"),
            **common,
        )
    return _core.predict(
        design,
        machine,
        vcpus=workload.vcpus,
        devices=workload.devices,
        events=workload.events,
        iterations=workload.rounds,
        warmup=workload.warmup_rounds,
        guest=workload.guest,
        **_entry(workload.entry, workload.f_count),
        gap_ps=_picoseconds(workload.gap_us),
        mapped=workload.mapped,
        trace=trace,
        **common,
    )


def prediction_result(
    predictions: Sequence[Prediction],
    baseline: Sequence[Prediction] = (),
    *,
    free: Sequence[str] = (),
) -> Result:
    """Sum up the predictions of one design under one workload, one a seed; ``baseline`` has the same seeds.

    What goes beyond a measured result is in :attr:`vgic.Result.prediction`: rates and latencies as medians over the
    seeds; where the time went, for the first seed.
    """
    first = predictions[0]
    rates = [one.rate for one in predictions]
    latency = {
        name: spread_of([one.latency[name] for one in predictions]).median
        for name in ("mean_seconds", "median_seconds", "p99_seconds")
    }
    return make_result(
        first.design,
        first.workload.name,
        first.workload.kind,
        [one.sample(number) for number, one in enumerate(predictions)],
        masked=first.workload.masked,
        baseline=baseline[0].design if baseline else None,
        baseline_samples=[one.sample(number) for number, one in enumerate(baseline)],
        prediction={
            "machine": first.machine,
            "seeds": [one.seed for one in predictions],
            "free": list(free),
            "lowest_rate": min(rates),
            "highest_rate": max(rates),
            "accepted_rate": spread_of([one.accepted_rate for one in predictions]).median,
            "delivered_rate": spread_of([one.delivered_rate for one in predictions]).median,
            "coalesced_share": spread_of([one.coalesced_share for one in predictions]).median,
            "latency": latency,
            "response": dict(first.response),
            "seconds": first.seconds,
            "accesses": sum(one.accesses for one in predictions),
            "window": dict(first.window),
            "threads": [dict(kind) for kind in first.threads],
            "locks": [dict(lock) for lock in first.locks],
            "lines": [dict(line) for line in first.lines[:_KEPT_LINES]],
            "charged": dict(first.charged),
        },
    )


def prediction_file(
    results: Sequence[Result],
    workload: AnyPredicted,
    machine: Machine,
    command: str = "vgic.predict()",
    notes: Sequence[str] = (),
) -> ResultFile:
    """Results of one workload on one machine, for JSON and the report; the machine in it is the predicted one.

    ``notes``: what a reader of the rates has to know besides, a line each.
    """
    return ResultFile(
        command=command,
        workloads=[workload.to_dict()],
        results=list(results),
        method={
            "kind": "predicted",
            "clock": "virtual time",
            "seeds": results[0].prediction["seeds"] if results and results[0].prediction else [],
            "notes": list(notes),
        },
        machine={
            "predicted": True,
            "name": machine.name,
            "cpu": machine.title,
            "cpus": machine.cores,
            "trust": trust_text(machine, [result.prediction["charged"] for result in results if result.prediction]),
            "statuses": machine.statuses,
            "checks": [check.to_dict() for check in machine.checks],
            "parameters": parameter_rows(machine),
        },
    )

"""Torture: real threads do everything at random to a VM, and every rule that can be checked is checked.

The run is a process of its own, so that a design which crashes it is a finding like any other.
"""

import contextlib
import json
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import IO, Any

from vgic import __version__
from vgic.arguments import real, whole
from vgic.designs import DEFAULT_DESIGN, check_names, designs
from vgic.designs import design as find_design
from vgic.errors import MeasurementError
from vgic.prove.defects import defects
from vgic.prove.proof import check_scenarios

__all__ = [
    "OnPeriod",
    "TorturePeriod",
    "TorturePlan",
    "TortureResult",
    "run_torture",
    "scenarios_without_defect",
    "torture",
]

#: How long a run may take to end after it was told to, beyond its watchdog.
_PATIENCE_SECONDS = 30.0
_MOST_LPIS = 65536 - 8192


def scenarios_without_defect(design: str) -> tuple[str, ...]:
    """Scenarios of the model checker in which the catalogue knows of no defect of a design.

    Some of the others never end on real threads. ``mix`` shows whatever a design has.
    """
    failing = {defect.scenario for defect in defects() if design in defect.found_in}
    return tuple(name for name in check_scenarios(None) if name not in failing and not (failing and name == "mix"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TorturePlan:
    """What to do to which design.

    All that is random comes from ``seed``. Threads are real, so a second run repeats what each thread does, not how the
    threads interleave.
    """

    design: str = DEFAULT_DESIGN
    #: How long threads run in all; audits come on top.
    minutes: float = 1.0
    seed: int = 1
    #: vCPUs; the LPIs of the last one are switched off and on.
    vcpus: int = 3
    #: ITSes, each with a thread that gives commands.
    its: int = 2
    #: Threads that send.
    senders: int = 2
    #: Devices of each ITS whose events stay mapped.
    devices: int = 2
    #: Events of each of them.
    events: int = 8
    list_registers: int = 4
    #: Seconds between two audits.
    period: float = 1.0
    #: Seconds without progress of a thread that are a deadlock.
    watchdog: float = 30.0
    #: Poison freed memory and keep it back for a while.
    poison: bool = True
    #: Execute these scenarios of the model checker on real threads, over and over, instead; see :func:`vgic.scenarios`.
    scenarios: tuple[str, ...] = ()
    allow_unsound: bool = False
    #: A defect that the design is known for fails the run as well.
    strict: bool = False

    def __post_init__(self) -> None:
        """Check the design and the ranges that the core does not check."""
        check_names([self.design], allow_unsound=self.allow_unsound)
        if self.scenarios:
            check_scenarios(self.scenarios)
            if find_design(self.design).control_races:
                sound = ", ".join(row.name for row in designs() if not (row.control_races or row.unsound))
                raise ValueError(
                    f"scenarios would use freed memory in {self.design}, whose defects 'vgic prove --history' shows; "
                    f"on real threads they run in {sound}"
                )
        for name, value, least, most in (
            ("seed", self.seed, 0, 2**64 - 1),
            ("vcpus", self.vcpus, 2, 64),
            ("its", self.its, 1, 8),
            ("senders", self.senders, 1, 256),
            ("devices", self.devices, 1, 256),
            ("events", self.events, 1, 1024),
            ("list-registers", self.list_registers, 1, 16),
        ):
            whole(name, value, least, most)
        real("minutes", self.minutes, 0.001, 100_000)
        real("period", self.period, 0.01, 3600)
        real("watchdog", self.watchdog, 0.1, 86_400)
        lpis = self.its * (-(-self.devices * self.events // 8) * 8 + 8) + 24
        if lpis > _MOST_LPIS:
            raise ValueError(f"{lpis} LPIs, but INTIDs 8192 to 65535 hold only {_MOST_LPIS}")

    def __str__(self) -> str:
        """All parameters in one line."""
        values = {field.name: _text(getattr(self, field.name)) for field in fields(self)}
        if self.scenarios and self.scenarios == scenarios_without_defect(self.design):
            values["scenarios"] = "all"
        return " ".join(f"{name}={value}" for name, value in values.items())

    @property
    def command(self) -> str:
        """The command line that does it again."""
        words = ["vgic", "torture"]
        plain = TorturePlan.__dataclass_fields__
        for field in fields(self):
            value, flag = getattr(self, field.name), "--" + field.name.replace("_", "-")
            if field.name not in ("design", "minutes", "seed") and value == plain[field.name].default:
                continue
            if field.name == "scenarios":
                names = ("all",) if value == scenarios_without_defect(self.design) else value
                words += [word for name in names for word in ("--scenario", name)]
                continue
            words += ([flag] if value else [f"--no-{flag[2:]}"]) if isinstance(value, bool) else [flag, f"{value}"]
        return shlex.join(words)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class TorturePeriod:
    """What happened between two audits."""

    number: int
    #: Since the start of the run.
    elapsed_seconds: float
    #: How long the threads ran.
    seconds: float
    #: Events by kind, as in :attr:`vgic.Vm.counts`.
    counts: dict[str, int]
    #: Executions of scenarios.
    executions: int
    #: ITS commands.
    commands: int
    #: Registers written, and looks at the VM.
    controls: int
    #: LPIs that the audit found.
    lpis: int
    #: Cached translations that it found.
    cached: int
    #: Whether the VM was saved, reset and restored.
    migrated: bool
    #: RCU callbacks queued.
    callbacks: int
    #: The greatest age of a waiting callback that was seen.
    oldest_callback_seconds: float
    #: The most waiting callbacks that were seen.
    backlog: int
    #: Reports of RCU readers that did not leave their section.
    stalls: int


@dataclass(frozen=True, slots=True)
class TortureResult:
    """What a run has found."""

    plan: TorturePlan
    #: Rules that were broken, the first one first.
    failures: list[str]
    #: Defects that the design is known for, and how often they showed.
    known: dict[str, int]
    periods: list[TorturePeriod]
    #: It was told to stop before its time.
    interrupted: bool

    @property
    def success(self) -> bool:
        """Whether no rule was broken."""
        return not self.failures

    def to_json(self) -> str:
        """The result as JSON."""
        data = {"schema": 1, "kind": "torture", "vgic": __version__, "command": self.plan.command, **asdict(self)}
        return json.dumps({**data, "success": self.success}, indent=1) + "\n"


#: Told of each period.
OnPeriod = Callable[[TorturePeriod], None]


def torture(design: str = DEFAULT_DESIGN, *, on_period: OnPeriod | None = None, **parameters: Any) -> TortureResult:
    """Torture a design: a :class:`TorturePlan` with these parameters, carried out.

    >>> import vgic
    >>> vgic.torture("v7.3", minutes=0.01, seed=7).success
    True

    Raises ``ValueError`` if a parameter is out of range. Ctrl-C ends the run; the result is then ``interrupted``.
    """
    return run_torture(TorturePlan(design=design, **parameters), on_period=on_period)


def run_torture(
    plan: TorturePlan, *, on_period: OnPeriod | None = None, break_rule: str | None = None
) -> TortureResult:
    """Carry out a plan in a process of its own. ``break_rule`` is for tests: a rule to break on purpose."""
    arguments = asdict(plan)
    arguments["seconds"] = arguments.pop("minutes") * 60
    periods: list[TorturePeriod] = []
    verdict: dict[str, Any] | None = None
    interrupted = False
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "vgic.prove.torture_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C comes to this process alone, which then tells the run to end.
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _write(process.stdin, {**arguments, "break_rule": break_rule})
            lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
            threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
            silence = plan.period + 2 * plan.watchdog + _PATIENCE_SECONDS
            while True:
                try:
                    line = lines.get(timeout=silence)
                    if not line:
                        break
                    message = json.loads(line)
                    if "error" in message:
                        raise (ValueError if message["value_error"] else MeasurementError)(message["error"])
                    if "verdict" in message:
                        verdict = message["verdict"]
                        break
                    periods.append(TorturePeriod(**message["period"]))
                    if on_period is not None:
                        on_period(periods[-1])
                except queue.Empty:
                    verdict = {"broken": [f"the process said nothing for {silence:.0f} s"], "known": {}}
                    break
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
                    _close(process.stdin)
            if verdict is None:
                verdict = {"broken": [_end(process.wait(_PATIENCE_SECONDS), stderr)], "known": {}}
        finally:
            process.kill()
            process.wait()
            _close(process.stdin)
            process.stdout.close()
        if verdict["broken"]:
            stderr.seek(0)
            sys.stderr.write(stderr.read().decode(errors="replace"))
    return TortureResult(plan, verdict["broken"], verdict["known"], periods, interrupted)


def _write(stdin: IO[bytes], plan: dict[str, Any]) -> None:
    """Send the plan. Standard input stays open: its end tells the run to stop."""
    with contextlib.suppress(BrokenPipeError):
        stdin.write(json.dumps(plan).encode() + b"\n")
        stdin.flush()


def _close(stdin: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        stdin.close()


def _read(stdout: IO[bytes], lines: "queue.SimpleQueue[bytes]") -> None:
    with contextlib.suppress(ValueError, OSError):  # Closed when the run is over.
        for line in stdout:
            lines.put(line)
    lines.put(b"")


def _end(status: int, stderr: IO[bytes]) -> str:
    """How a process ended that has given no verdict."""
    stderr.seek(0)
    last = "".join(f": {line}" for line in stderr.read().decode(errors="replace").strip().splitlines()[-1:])
    if status >= 0:
        return f"the process ended with status {status}{last}"
    try:
        name = f" ({signal.Signals(-status).name})"
    except ValueError:
        name = ""
    return f"killed by signal {-status}{name}{last}"

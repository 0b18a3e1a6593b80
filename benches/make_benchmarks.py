"""Measure everything that BENCHMARKS.md states, and write it. Run by ``make bench``.

``--quick`` shows in about two minutes that everything works; its figures are rough, and the document says so.
``--only SECTION`` (repeatable) measures some sections and prints them, unless ``--output`` names a file.
"""

import argparse
import json
import os
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figures import calls, engine, frames, instructions, rcu, simulator
from figures.document import Plan, Section, Update, table
from figures.tools import ROOT, Failed, architecture, run

import vgic
from vgic import _core
from vgic.cli.common import check_writable, progress, write_json, write_whole
from vgic.host import host_text
from vgic.measure.results import machine

#: Section -> what measures it, and about how many seconds that takes in full (for the progress bar alone).
SECTIONS: dict[str, tuple[Callable[[Plan, Update], Section], float]] = {
    "senders": (engine.senders, 85),
    "lockstep": (engine.lockstep, 45),
    "overcommitted": (engine.overcommitted, 22),
    "mapped": (engine.mapped, 50),
    "live": (engine.live, 32),
    "python": (calls.calls, 12),
    "instructions": (instructions.instructions, 110),
    "rcu": (rcu.rcu, 110),
    "frames": (frames.frames, 30),
    "simulator": (simulator.simulator, 60),
}


def main() -> int:
    """Measure, write, and say what was missed on standard error."""
    options = _parser().parse_args()
    names = list(dict.fromkeys(options.only)) or list(SECTIONS)
    output: Path | None = options.output or (None if options.only else ROOT / "BENCHMARKS.md")
    try:
        for path in (output, Path(options.json) if options.json not in (None, "-") else None):
            if path is not None:
                check_writable(path)
    except OSError as error:
        print(f"make_benchmarks: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    plan = Plan.brief() if options.quick else Plan.full()
    start, load, steal = time.monotonic(), os.getloadavg()[0], _steal()
    if load > 0.5:
        print(f"make_benchmarks: this machine is busy (load {load:.1f}): figures will be disturbed", file=sys.stderr)
    sections = _measure(names, plan)
    about = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - start),
        "quick": plan.quick,
        "command": "benches/make_benchmarks.py " + " ".join(sys.argv[1:]),
        "machine": machine(),
        "versions": _versions(),
        "rcu_strategy": _core.rcu_stats()["strategy"],
        "load_before": load,
        "stolen": _share_stolen(steal, _steal()),
        "pinned": plan.pinned.to_dict(),
        "live": plan.live.to_dict(),
    }
    text = _document(about, sections)
    if output is None:
        print(text)
    else:
        for section in sections:
            for name, content in section.files.items():
                path = output.parent / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
        write_whole(output, text)
    data = {section.key: {"bars": [bar.to_dict() for bar in section.bars], **section.data} for section in sections}
    if options.json is not None:
        write_json(options.json, json.dumps({"schema": 1, "tool": "vgic benchmarks", **about, "sections": data}) + "\n")
    for section in sections:
        if "skipped" in section.data:
            print(f"  skipped  {section.key}: {section.data['skipped']}", file=sys.stderr)
        for bar in section.bars:
            if bar.depends:
                print(f"  {bar.text}: {bar.dependence(about['machine']['cpu'])}", file=sys.stderr)
            elif not bar.met:
                print(f"  missed   {bar.text}: {bar.limit}, measured {bar.value}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure, and write BENCHMARKS.md.")
    parser.add_argument("--quick", action="store_true", help="rough figures, in about two minutes")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the document (default: BENCHMARKS.md)")
    parser.add_argument("--json", metavar="FILE", help="also write all samples as JSON; - is standard output")
    parser.add_argument(
        "--only", action="append", choices=tuple(SECTIONS), default=[], help="measure this section; may be repeated"
    )
    return parser


def _measure(names: list[str], plan: Plan) -> list[Section]:
    total = sum(SECTIONS[name][1] for name in names)
    sections, before = [], 0.0
    with _progress() as tell:
        for name in names:
            run_section, weight = SECTIONS[name]

            def update(done: float, text: str, before: float = before, weight: float = weight) -> None:
                tell((before + done * weight) / total, text)

            update(0.0, name)
            sections.append(run_section(plan, update))
            before += weight
    return sections


@contextmanager
def _progress() -> Iterator[Callable[[float, str], None]]:
    """A bar on a terminal; else a line for each tenth."""
    if sys.stderr.isatty():
        with progress("measuring") as bar:
            yield bar
        return
    said = -1

    def tell(done: float, text: str) -> None:
        nonlocal said
        if int(done * 10) > said:
            said = int(done * 10)
            print(f"  {said * 10:3d} %  {text}", file=sys.stderr, flush=True)

    yield tell


def _versions() -> dict[str, str]:
    versions = {"vgic": vgic.__version__}
    for name, command in (("rustc", ("rustc", "--version")), ("valgrind", ("valgrind", "--version"))):
        try:
            versions[name] = run(command, 20).split("\n")[0].removeprefix(name).lstrip(" -").split(" ")[0]
        except Failed:
            versions[name] = "none"
    try:
        versions["commit"] = run(("git", "describe", "--always", "--dirty", "--abbrev=12"), 20).strip()
    except Failed:
        versions["commit"] = "unknown"
    return versions


def _steal() -> tuple[int, int]:
    """Jiffies that the hypervisor gave to others, and all."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return (fields[7] if len(fields) > 7 else 0), sum(fields)


def _share_stolen(before: tuple[int, int], after: tuple[int, int]) -> float:
    passed = after[1] - before[1]
    return (after[0] - before[0]) / passed if passed > 0 else 0.0


def _document(about: dict[str, Any], sections: list[Section]) -> str:
    computer, versions, pinned = about["machine"], about["versions"], about["pinned"]
    cpus = computer["cpus"]
    facts = [
        ("CPU", f"{host_text(computer)}, {architecture()}{_shared(computer)}"),
        ("kernel", computer["kernel"]),
        ("date", about["created"]),
        (
            "versions",
            f"vgic {versions['vgic']} (commit {versions['commit']}), rustc {versions['rustc']}, {computer['python']}, "
            f"valgrind {versions['valgrind']}; RCU by {about['rcu_strategy']}",
        ),
        (
            "the machine meanwhile",
            f"load {about['load_before']:.2f} at the start; {about['stolen']:.1%} of its CPU stolen",
        ),
        ("took", f"{about['seconds']} s"),
    ]
    bars = [bar for section in sections for bar in section.bars]
    depend = [bar for bar in bars if bar.depends]
    met = sum(bar.met for bar in bars if not bar.depends)
    parts = [
        "# Benchmarks",
        "",
        "Made by `make bench`; its figures are what that measured.",
        "",
    ]
    if about["quick"]:
        parts += ["> **A quick run** (`--quick`): it shows that everything works. Its figures are rough.", ""]
    parts += [
        table(("", ""), facts, left=2),
        "",
        f"## {met} of {len(bars)} bars met{_depend(len(depend))}",
        "",
        "Each bar was set before the measurement. Ratios are of rates: more is faster. In brackets the quartiles.",
        "",
        table(
            ("section", "bar", "asked for", "measured", ""),
            [
                (section.title.split(".")[0], bar.text, bar.limit, bar.value, bar.verdict)
                for section in sections
                for bar in section.bars
            ],
            left=5,
        )
        if bars
        else "None in these sections.",
        "",
        *_listed(
            "What depends on the machine",
            [f"{bar.text} {bar.dependence(computer['cpu'])}." for bar in depend]
            + _remarks([bar.key for bar in depend]),
        ),
        *_listed("Why bars were missed", _remarks([bar.key for bar in bars if not bar.met and not bar.depends])),
        f"""## What {cpus} {"" if computer["virtual"] is False else "shared "}CPUs cannot show

- **Scaling.** With {cpus} CPUs at most {cpus} threads contend. How a lock or a reference count behaves under 4, 16
  or 64 senders does not follow from any figure here. What is shown is what one stream costs (sections 1 to 4, 6, 7),
  and that threads run at once at all (section 5).
- **Absolute rates.** CPUs that others share change their speed within seconds. Ratios within a round hold;
  nanoseconds of one run must not be compared with those of another.
- **Other architectures.** The engine is built for {architecture()} here; where atomics and barriers cost
  differently, so do the designs.
- **The kernel.** There is no ioctl, no world switch and no interrupt controller behind it: floors and ratios are of
  the routing code alone, of which a real guest sees a part.

## How it was measured

Sections 1 to 4, by `vgic.measure`: {pinned["processes"]} processes, started afresh one after the other and pinned to
the CPUs in turn (one process is one memory layout), {pinned["rounds"]} rounds in each; a round takes one sample of
{1000 * pinned["sample_seconds"]:g} ms of every design in turn, on an engine built for it, in the CPU time of the
thread. A ratio is made within a round; stated are the median over all rounds and the quartiles. The floor is measured
before and after each sample; samples beside a floor that is more than 8 % below the best are set aside (see
docs/explain/measuring.md). Section 5 is in wall time and not pinned; sections 6 to 8 say how.
""",
        *(section.markdown() for section in sections),
        f"""## Repeat it

`make bench` takes about ten minutes at most; `{"benches/make_benchmarks.py"} --only SECTION` measures one of
{", ".join(f"`{name}`" for name in SECTIONS)}; `--json FILE` keeps every sample.
""",
    ]
    return "\n".join(parts).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _depend(count: int) -> str:
    return f", {count} depend{'s' if count == 1 else ''} on the machine" if count else ""


def _remarks(keys: list[str]) -> list[str]:
    """What is said of bars, by their keys."""
    known: dict[str, str] = tomllib.loads((ROOT / "benches" / "remarks.toml").read_text(encoding="utf-8"))
    return list(dict.fromkeys(known[key].strip() for key in keys if key in known))


def _listed(title: str, texts: list[str]) -> list[str]:
    return [f"### {title}", "", *(f"- {text}" for text in texts), ""] if texts else []


def _shared(computer: dict[str, Any]) -> str:
    """Whose the CPUs are."""
    if computer["virtual"] is None:
        return "; whether it is a virtual machine, which shares its CPUs with others, cannot be told"
    return "; others share its CPUs" if computer["virtual"] else ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

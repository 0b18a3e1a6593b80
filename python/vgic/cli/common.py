"""What the sub-commands share: progress, output files, numbers."""

import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from vgic.measure.results import Result, noise
from vgic.text import many, ratio_text
from vgic.trace import Recording, cut, read_recording


def console(json_path: str | None = None) -> Console:
    """Where people read: standard output, or standard error if that carries JSON."""
    return Console(stderr=json_path == "-", highlight=False, emoji=False)


def text_width(out: Console, otherwise: int) -> int:
    """How wide a text may be: as the terminal is, or as ``COLUMNS`` says; ``otherwise`` where nobody says."""
    return out.width if out.is_terminal or "COLUMNS" in os.environ else otherwise


def indented(text: RenderableType, by: int) -> Padding:
    """A text that keeps its indentation when it is wrapped."""
    return Padding(text, (0, 0, 0, by), expand=False)


def warn(message: str) -> None:
    """One line on standard error."""
    print(message, file=sys.stderr, flush=True)


class Update(Protocol):
    """Tells a progress bar the share done, and optionally what is being done."""

    def __call__(self, done: float, text: str = "", /) -> None: ...  # noqa: D102


@contextmanager
def progress(title: str) -> Iterator[Update]:
    """A progress bar on standard error if that is a terminal; otherwise nothing."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(title, total=1.0)

        def update(done: float, text: str = "", /) -> None:
            bar.update(task, completed=done, description=text or title)

        yield update


def check_writable(path: Path) -> None:
    """Raise ``OSError`` if a file cannot be written at ``path``; nothing is left behind."""
    if path.is_dir():
        raise IsADirectoryError(21, "cannot be written: is a directory", str(path))
    try:
        if _is_special(path):
            with path.open("ab"):
                return
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied", str(path))
        with tempfile.TemporaryFile(dir=path.parent, prefix=".vgic-"):
            pass
    except OSError as error:
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(path)) from None


def write_whole(path: Path, text: str | Iterable[str]) -> None:
    """Write a file, in one piece or in several, so that it is there whole or not at all."""
    parts = [text] if isinstance(text, str) else text
    if _is_special(path):
        with path.open("w", encoding="utf-8") as special:
            special.writelines(parts)
        return
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=".vgic-", suffix=path.suffix, delete=False, encoding="utf-8"
        ) as file:
            try:
                file.writelines(parts)
                file.flush()
                mask = os.umask(0)
                os.umask(mask)
                os.fchmod(file.fileno(), 0o666 & ~mask)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(path)) from None


def check_folder(option: str, path: Path, **files: str | Path | None) -> None:
    """Raise an error if a new folder cannot be written at ``path``: something is there that is no empty folder.

    ``files``, by name of their option, are written besides, and must not be in it (``ValueError``).
    """
    for other, name in files.items():
        if name is not None and name != "-" and Path(name).resolve().is_relative_to(path.resolve()):
            raise ValueError(f"{other} and {option}: {name} is in {path}")
    try:
        if path.exists() and any(path.iterdir()):
            raise FileExistsError(17, "is there, and not empty", str(path))
        with tempfile.TemporaryDirectory(dir=path.resolve().parent, prefix=".vgic-"):
            pass
    except OSError as error:
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(path)) from None


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder so that it is there whole or not at all.

    ``files``: what is in them, by paths in the folder. Programs and scripts can be executed.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.resolve().parent, prefix=".vgic-") as name:
            part = Path(name) / path.resolve().name
            part.mkdir()
            for inside, data in files.items():
                file = part / inside
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                if data.startswith((b"#!", b"\x7fELF")):
                    # For those who may read it.
                    file.chmod(file.stat().st_mode | (file.stat().st_mode & 0o444) >> 2)
            part.replace(path.resolve())
    except OSError as error:
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(path)) from None


def _is_special(path: Path) -> bool:
    """Whether ``path`` is a device, pipe or socket, which must not be replaced."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def check_json(json_path: str | None) -> None:
    """Raise ``OSError`` if ``--json`` names something that cannot be written."""
    if json_path is not None and json_path != "-":
        check_writable(Path(json_path))


def only(where: str, allowed: bool, **options: object) -> None:
    """Raise ``ValueError`` if an option was given that has no effect here: it is ``only`` for somewhere else."""
    for name, value in options.items():
        if not allowed and value is not None and value is not False and value != []:
            raise ValueError(f"{name.replace('_', '-')}: only {where}")


def check_outputs(json: str | None, **others: str | Path | None) -> None:
    """Raise an error if one of the files that a command will write cannot be written, or if two are the same.

    ``others`` are by name of their option.
    """
    check_json(json)
    files = {"json": json if json != "-" else None, **others}
    taken: dict[Path, str] = {}
    for option, name in files.items():
        if name is None:
            continue
        path = Path(name)
        check_writable(path)
        other = taken.setdefault(path.resolve(), option)
        if other != option and not _is_special(path):
            raise ValueError(f"{other} and {option}: both are {path}")


def write_json(json_path: str | None, text: str | Iterable[str]) -> None:
    """Write JSON where ``--json`` says."""
    if json_path == "-":
        sys.stdout.writelines([text] if isinstance(text, str) else text)
    elif json_path is not None:
        write_whole(Path(json_path), text)


def read_stretch(source: str, begin: float | None, end: float | None, phase: int | None) -> Recording:
    """Read a recording with a progress bar; a stretch of it, if ``--from``, ``--to`` or ``--phase`` say so."""
    with progress(f"reading {source}") as update:
        return cut(read_recording(source, progress=update), begin, end, phase, progress=update)


def about_recording(recording: Recording) -> str:
    """A recording in one line."""
    return (
        f"{recording.name}: {many(recording.vcpus, 'vCPU')}, {many(len(recording.devices), 'device')}, "
        f"{many(recording.commands, 'ITS command')}, {many(recording.msis, 'MSI')}, "
        f"{recording.acknowledges} LPIs acknowledged in {recording.seconds:.1f} s"
    )


def recording_notes(recording: Recording) -> list[str]:
    """What a reader of a replay has to know of its recording: resets, and what the log lacks."""
    resets = recording.resets
    lines = [f"line {line}: {sign}: the machine was reset, the replay starts anew" for line, sign in resets[:8]]
    if len(resets) > 8:
        lines.append(f"and {len(resets) - 8} more resets")
    lines += [f"{count} commands were ignored: {kind}" for kind, count in sorted(recording.ignored.items())]
    return lines + recording.notes


def command_line() -> str:
    """The command as it was typed, for the result file."""
    import shlex

    return shlex.join(["vgic", *sys.argv[1:]])


def percent_text(result: Result) -> str:
    """The spread of a rate (half the interquartile range) in per cent of it."""
    return f"\N{PLUS-MINUS SIGN}{100 * result.spread / result.rate:.0f} %" if result.rate else ""


def counts_text(result: Result) -> str:
    """The counts of a result in one line."""
    names = ("sent", "delivered", "coalesced", "dropped", "pending")
    text = ", ".join(f"{name} {result.counts[name]:.0f}" for name in names)
    if result.counts["pending_loaded"]:
        text += f" (of these {result.counts['pending_loaded']:.0f} loaded)"
    return text


def notes(results: Sequence[Result], *, brief: bool = False) -> list[str]:
    """What a reader of the rates has to know besides: grace periods waited for, doubtful samples.

    ``brief``: one line for all workloads of a design, without those in which it waited less than 1 % of the time.
    """
    lines = noise(results)
    if brief:
        lines += _waits(results)
    for result in results:
        if result.waited_for_grace_periods and not brief:
            lines.append(f"{result.workload}, {result.design}: {result.grace_period_text}")
        for flag, number in result.doubts.items():
            lines.append(f"{result.workload}, {result.design}: {flag} in {number} of {len(result.samples)} samples")
    return lines


def show_results(out: Console, results: Sequence[Result], *, exits: bool = False) -> None:
    """Print what is notable, then counts and rate of each design as the kernel's test does, with the vCPUs' exits."""
    for line in notes(results):
        warn(f"vgic: note: {line}")
    for result in results:
        ratio = f", {ratio_text(result.ratio)} {result.baseline}" if len(results) > 1 else ""
        more = f", {result.counts['guest_exits']:.0f} vCPU exits" if exits else ""
        out.print(f"{result.design} ({result.unit}{ratio}): {counts_text(result)}{more}", soft_wrap=True, markup=False)
        out.print(f"Rate: {result.rate:.2f} LPIs/sec", soft_wrap=True, markup=False)


def _waits(results: Sequence[Result]) -> list[str]:
    """How much of its time each design waited for grace periods."""
    shares: dict[str, list[str]] = {}
    for result in results:
        if result.waited_for_grace_periods and result.grace_period_share >= 0.01:
            shares.setdefault(result.design, []).append(f"{result.workload} {result.grace_period_share:.0%}")
    return [f"{name} waits for grace periods (of the wall time): {', '.join(all_)}" for name, all_ in shares.items()]

"""Transcripts of real kernels, read: the commands of each case, with what came of them."""

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).parent.parent / "data" / "kvm"


class Step(NamedTuple):
    """One command."""

    command: str
    #: Lines of the result, without the spaces in front.
    results: list[str]
    #: The lines of the whole state after it.
    state: frozenset[str]


class Case(NamedTuple):
    """What was done with a fresh VM."""

    name: str
    steps: list[Step]


def read(name: str, kernel: str = "") -> list[Case]:
    """The cases of a file, or of a kernel's part of it."""
    path = DATA / name
    text = (lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()).decode()
    if kernel:
        (text,) = (part for part in text.split("=kernel ")[1:] if part.startswith(f"{kernel}\n"))
        text = text.partition("\n")[2]
    return list(_cases(text))


def _cases(text: str) -> Iterator[Case]:
    case = Case(name="", steps=[])
    for line in text.splitlines():
        if line.startswith("="):
            if case.steps:
                yield case
            case = Case(line[1:].removeprefix("case "), [])
        elif line.startswith("> "):
            # The command `state` tells the whole; after the others only what has changed is told.
            before = case.steps[-1].state if case.steps and line != "> state" else frozenset()
            case.steps.append(Step(line[2:], [], before))
        elif case.steps:
            case.steps[-1] = _with(case.steps[-1], line)
    yield case


def _with(step: Step, line: str) -> Step:
    """The step with one more line of what came of it."""
    kind, text = line[:4].strip(), line[4:]
    if kind in ("+", ":"):
        return step._replace(state=step.state | {text})
    if kind == "-":
        return step._replace(state=step.state - {text})
    step.results.append(line.strip())
    return step

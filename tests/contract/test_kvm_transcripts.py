"""Real kernels as referees: their transcripts through the register frames, line by line."""

import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest
from kvm_machine import KvmMachine

DATA = Path(__file__).parent.parent / "data" / "kvm"
#: The transcript that a design answers to: 6.1 has the linked list and the global cache, 6.12 the cache of an ITS.
REFEREES = {"v6.8-rc1": "6.1", "v6.10": "6.12"}
DESIGNS = list(REFEREES)

#: Where a kernel differs from the design as its stable tree has a later fix: command -> (fix, what the design does).
#: Other fixes of those trees are about the tables in memory (a device or collection that they have no room for, entries
#: that DISCARD and MAPD clear, a changed GITS_BASER<n>): the frames have these above every design.
_FLUSH = (
    "CVE-2026-72288, in 7.1.8: LPIs that are taken off an ap_list because EnableLPIs is cleared lose their pending "
    "state. Before, they kept it until EnableLPIs was set again, which reads the pending table."
)
BACKPORTS: dict[str, tuple[str, list[str]]] = {
    "rd_w 0 0 0": (
        _FLUSH,
        [
            "  = set_attr 0",
            "  + irq lpi=8192 target=0 pending=1 enabled=1 prio=0xa0 queued_on=-1",
            "  - irq lpi=8192 target=0 pending=1 enabled=1 prio=0xa0 queued_on=0",
            "  + irq lpi=8194 target=0 pending=1 enabled=1 prio=0xa0 queued_on=-1",
            "  - irq lpi=8194 target=0 pending=1 enabled=1 prio=0xa0 queued_on=0",
        ],
    ),
    "rd_w 0 0 1": (
        _FLUSH,
        [
            "  = set_attr 0",
            "  + irq lpi=8192 target=0 pending=0 enabled=1 prio=0xa0 queued_on=-1",
            "  - irq lpi=8192 target=0 pending=1 enabled=1 prio=0xa0 queued_on=-1",
            "  + irq lpi=8194 target=0 pending=0 enabled=1 prio=0xa0 queued_on=-1",
            "  - irq lpi=8194 target=0 pending=1 enabled=1 prio=0xa0 queued_on=-1",
            "  - pend rd=0 lpi=8192",
            "  - pend rd=0 lpi=8194",
        ],
    ),
}


def cases(text: str) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """The cases of a transcript: name, and commands with the lines under them."""
    for part in text.split("=case ")[1:]:
        name, _, body = part.partition("\n")
        (run,) = runs(body)
        yield name, run


def runs(text: str) -> Iterator[list[tuple[str, list[str]]]]:
    """The runs of a transcript: commands with the lines under them."""
    run: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("> "):
            if line == "> init 1" and run:
                yield run
                run = []
            run.append((line[2:], []))
        elif line and not line.startswith(("=", "# vcpus")) and run:
            if line.startswith("#"):
                line = f"  {line}"
            run[-1][1].append(line)
    yield run


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", ["every-command", "random"])
def test_same_as_the_kernel(design: str, name: str) -> None:
    path = next(DATA.glob(f"{name}.{REFEREES[design]}.txt*"))
    text = (lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()).decode()
    commands = 0
    for number, run in enumerate(runs(text)):
        machine = KvmMachine(design)
        for step, (command, expected) in enumerate(run):
            _, wanted = BACKPORTS.get(command, ("", expected))
            assert machine.run(command) == wanted, f"run {number}, step {step}: {command}"
            commands += 1
    assert commands > (100 if name == "every-command" else 2800)


@pytest.mark.parametrize("design", DESIGNS)
def test_same_cache_as_the_kernel(design: str) -> None:
    machine = KvmMachine(design)
    lines = (DATA / f"cache.{REFEREES[design]}.txt").read_text().splitlines()
    assert len(lines) > 50
    for line in lines:
        command, _, expected = line.removeprefix("> ").partition("     ")
        result = machine.run(command, observe=False)
        if not command.startswith("init"):
            assert result == [f"  {expected}"], line


@pytest.mark.parametrize("design", [*DESIGNS, "v7.3"])
@pytest.mark.parametrize("name", ["memory", "memory-newer"])
def test_same_where_no_memory_is(design: str, name: str) -> None:
    """Tables that point into nowhere: what three kernels refuse to map, and that they save in spite of it."""
    commands = 0
    for case, run in cases((DATA / f"{name}.txt").read_text()):
        machine = KvmMachine(design, 4, indirect=case.endswith(" indirect"))
        for step, (command, expected) in enumerate(run):
            assert machine.run(command) == expected, f"{case}, step {step}: {command}"
            commands += 1
    assert commands > (100 if name == "memory" else 50)

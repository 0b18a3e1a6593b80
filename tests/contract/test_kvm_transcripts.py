"""Real kernels as referees: their transcripts through the register frames, line by line."""

import re
from dataclasses import dataclass

import pytest
import transcripts
from kvm_machine import KvmMachine
from transcripts import DATA, Case, Step


@dataclass(frozen=True)
class Kernel:
    """A kernel that has answered, and the design that has to answer the same."""

    version: str
    design: str
    #: What this kernel has from later: an axis with its way, and the commit.
    later: dict[str, str]

    @property
    def referee(self) -> str:
        """The design with what this kernel has from later."""
        return "+".join([self.design, *self.later])


#: 7258770e5814 is the fix of CVE-2026-72288; the others have no CVE.
_CLEARS = {"lpis-off=unqueue-and-clear": "7258770e5814"}
_TABLES = {"baser-change=frees-tables": "8cd92f77ae4f", "lost-device=skipped": "cc5d96036e01"}
_MOVALL = {"movall=of-source": "751f4641560b"}
#: Fixes that these kernels have, and their designs are too old for. Others are above every design: docs/explain/its.md.
KERNELS = [
    Kernel("6.1", "v6.8-rc1", _CLEARS),
    Kernel("6.12", "v6.10", _CLEARS | _TABLES | _MOVALL),
    Kernel("7.2", "v7.3", {}),
]
kernels = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.version)

#: Where the frames do otherwise than the kernel on purpose, or the kernel's own view is cut.
MASKS = {
    "restore-over": "devices or collections are there already: KVM fails with EEXIST and loses the collections, or has "
    "each device twice; here EBUSY, and nothing is lost. The case ends there",
    "save-fails": "KVM has written a part of the tables before it fails, here nothing is written: what memory holds "
    "then is not compared, and a case that restores it ends there",
    "debugfs": "debugfs of 6.12 and 7.2 shows no LPI from 65536 on",
}


class Play:
    """A case that is carried out beside a kernel's answers."""

    def __init__(self, kernel: Kernel, case: Case, vcpus: int) -> None:
        self.kernel = kernel
        self.case = case
        self.machine = KvmMachine(kernel.referee, vcpus, indirect=case.name.endswith(" indirect"))
        #: Which of MASKS were needed.
        self.masks: set[str] = set()
        #: Whether the last save has failed.
        self.half_saved = False

    def run(self) -> int:
        """Carry out the commands; how many were compared."""
        for number, step in enumerate(self.case.steps):
            where = f"{self.kernel.version}, {self.case.name}, step {number}: {step.command}"
            if step.command == "restore":
                if any(self.machine.vm.its[0].tables().values()):
                    self.restore_over(where)
                    return number
                if self.half_saved:
                    self.masks.add("save-fails")
                    return number
            results = self.machine.run(step.command)
            if self.half_saved and step.command.startswith("mem_r") and results != step.results:
                self.masks.add("save-fails")
            else:
                assert results == step.results, where
            if step.command == "save":
                self.half_saved = results != ["= 0"]
            if self.machine.observing or step.command == "state":
                self.compare(step, where)
        return len(self.case.steps)

    def compare(self, step: Step, where: str) -> None:
        """The whole state must be the kernel's."""
        ours, theirs = self.machine.state(), set(step.state)
        if any(line.startswith("save_tables") for line in ours & theirs):
            tables = {line for line in theirs if line.startswith(("coll ", "dev ", "ite "))}
            self.masks |= {"save-fails"} if tables else set()
            theirs -= tables
        if self.kernel.version != "6.1":
            hidden = {line for line in ours if (lpi := re.match(r"irq lpi=(\d+)", line)) and int(lpi[1]) >= 1 << 16}
            self.masks |= {"debugfs"} if hidden else set()
            ours -= hidden
        assert ours == theirs, where

    def restore_over(self, where: str) -> None:
        """What stands is still there."""
        self.masks.add("restore-over")
        before = self.machine.state()
        assert self.machine.run("restore") == ["= -16"], where
        assert self.machine.state() == before, where


@kernels
@pytest.mark.parametrize(
    ("name", "vcpus", "steps"),
    [("every-command.txt", 2, 102), ("random.txt.xz", 2, 2849), ("four-vcpus-random.txt.xz", 4, 10_840)],
)
def test_same_as_every_kernel(kernel: Kernel, name: str, vcpus: int, steps: int) -> None:
    plays = [Play(kernel, case, vcpus) for case in transcripts.read(name)]
    assert sum(play.run() for play in plays) == steps
    assert not any(play.masks for play in plays)


@kernels
def test_same_with_four_vcpus(kernel: Kernel) -> None:
    plays = [Play(kernel, case, 4) for case in transcripts.read("four-vcpus.txt.xz", kernel.version)]
    assert len(plays) == 154
    assert sum(play.run() for play in plays) == (3742 if kernel.version == "6.1" else 3753)
    masked = {mask: {play.case.name for play in plays if mask in play.masks} for mask in MASKS}
    assert masked["restore-over"] == {
        "restore-twice",
        "restore-over",
        "min-restore-over",
        "min-restore-over-device",
        "min-restore-over-device-event",
    }
    lost = {"indirect-level1-cleared-two indirect", "indirect-level1-middle indirect"}
    assert masked["save-fails"] == {"collection-table-outside"} | (lost if kernel.version == "6.1" else set())
    assert masked["debugfs"] == (set() if kernel.version == "6.1" else {"restore-ite-lpi-65536"})


@kernels
def test_same_cache_as_the_kernel(kernel: Kernel) -> None:
    machine = KvmMachine(kernel.referee, 2)
    lines = (DATA / "cache.txt").read_text().splitlines()
    assert len(lines) > 50
    for line in lines:
        command, _, expected = line.removeprefix("> ").partition("     ")
        result = machine.run(command)
        if not command.startswith("init"):
            assert result == [expected], line

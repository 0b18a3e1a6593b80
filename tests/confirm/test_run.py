"""Stories on a kernel, one after the other; the machine is made up, and each play ends as it is told to."""

from types import SimpleNamespace

import pytest

from vgic.confirm import run
from vgic.confirm.image import Kernel
from vgic.confirm.play import Outcome
from vgic.confirm.run import Case, confirm
from vgic.errors import ReplayError
from vgic.prove.proof import ProofPlan, prove

KERNEL = Kernel("k", b"Linux version 7.2.13-x ")
CONFIRMED = Outcome("confirmed", "the story ends as the defect does, and the control as it should")
NEITHER = Outcome("not possible here", "the story ends neither as the defect does nor as it should")
NO_CONTROL = Outcome("not possible here", "the control does not end as it should")
NO_PLACE = Outcome("not possible here", "this kernel has no call of f in g")
DIFFERS = Outcome("refuted", "at step 9: a", differs="step 9: a")


@pytest.fixture
def answers(monkeypatch):
    found = []
    machine = SimpleNamespace(marks=None, trouble=lambda: ["BUG: soft lockup"])

    class Booted:
        is_up = True

        def __init__(self, kernel, cpu):
            self.lost = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def stage(self):
            return SimpleNamespace(machine=machine, symbols=None)

        def lose(self):
            found.append("lost")

    def play(stage, story, claim, *, uncompared):
        answer = found.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(run, "Booted", Booted)
    monkeypatch.setattr(run, "play", play)
    return found


STORY = prove("lpis_disable_vs_resolver", "v7.3", ProofPlan(preemptions=1)).stories[0]


@pytest.mark.parametrize(
    ("played", "verdict", "tries"),
    [
        ([CONFIRMED], "confirmed", 1),
        ([NO_PLACE], "not possible here", 1),
        ([NEITHER, CONFIRMED], "confirmed", 2),
        ([NO_CONTROL, NEITHER, CONFIRMED], "confirmed", 3),
        ([NEITHER, NEITHER, NEITHER], "not possible here", 3),
        ([DIFFERS, CONFIRMED], "confirmed", 2),
        ([DIFFERS, DIFFERS, DIFFERS], "refuted", 3),
    ],
)
def test_what_an_interrupt_can_have_done_must_come_again(answers, played, verdict, tries):
    answers += played
    (one,) = confirm(KERNEL, [Case("open-window", STORY)])
    assert (one.outcome.verdict, one.outcome.tries) == (verdict, tries)
    assert not answers


def test_a_machine_that_is_lost_is_said_to_be(answers):
    answers.append(ReplayError("QEMU has gone"))
    (one,) = confirm(KERNEL, [Case("open-window", STORY)])
    assert one.outcome.why == "the machine was lost: QEMU has gone"
    assert one.outcome.trouble == ("BUG: soft lockup",)
    assert answers == ["lost"]

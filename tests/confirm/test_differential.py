"""Guests drawn at random; the kernel is made up, and says what it is told to."""

import json
import re
from contextlib import nullcontext

import pytest

from vgic.confirm import differential
from vgic.confirm.align import begin_of, point_of
from vgic.confirm.differential import compare, draw
from vgic.confirm.image import Kernel
from vgic.confirm.members import is_watched
from vgic.confirm.places import place_of
from vgic.confirm.play import Outcome
from vgic.confirm.script import Unknown, script_of
from vgic.errors import KernelError, ReplayError
from vgic.prove.proof import trace

KERNEL = Kernel("k", b"Linux version 7.2.13-x (y) #1 SMP")
SAME = Outcome("confirmed", "the states are the same", compared=3)
DIFFERS = Outcome("refuted", "at step 9: a", compared=1, differs="step 9: a")
STUCK = Outcome("not possible here", "thread 1 gets nowhere")


def threads(story):
    """Without what the first thread looks at in the end, which it does in the order of addresses."""
    return [line for line in story.lines if line.thread]


def can_be_held(script, number):
    try:
        return place_of(script.turns[number].hold).why
    except Unknown:
        engine = script.story.state_at(begin_of(script, number))
        return point_of(script, number, lambda access: is_watched(access, engine))


@pytest.mark.parametrize("design", ["v6.8-rc1", "v6.10+drain=put-erased", "v7.3"])
@pytest.mark.parametrize("seed", range(6))
def test_a_guest_is_held_where_a_kernel_can_be_held(design, seed):
    guest = draw(seed, design)
    again = draw(seed, design)
    assert (guest.text, guest.story.schedule) == (again.text, again.story.schedule)
    assert threads(guest.story) == threads(again.story), "a seed tells the guest and its preemptions"
    assert not guest.story.what, "it breaks no rule"
    script = script_of(guest.story, 2, dict(guest.collections))
    holds = [turn.hold for turn in script.turns if turn.hold]
    assert 1 <= len(holds) == guest.story.preemptions <= 2
    assert all(can_be_held(script, number) for number, turn in enumerate(script.turns) if turn.hold)
    assert all(turn.line is not None for turn in script.turns), "each turn has a state to compare"
    ran = [{word for word in words if word.startswith("runs")} for words in script.words.values()]
    assert not set.intersection(*ran), "two threads that run one vCPU would wait for each other"


def test_a_guest_is_the_same_scenario_for_prove():
    """``vgic prove --scenario-file FILE --replay SCHEDULE`` plays it again."""
    guest = draw(1, "v7.3")
    assert threads(trace("random", "v7.3", guest.text, guest.story.schedule)) == threads(guest.story)


def test_an_execution_is_told_whether_or_not_it_breaks_a_rule():
    text = "mapti 0 0 0\nthread one\n  send 0\nthread two\n  lpis off 0\n"
    story = trace("mine", "v7.3", text)
    assert (story.scenario, story.what, story.schedule, story.preemptions) == ("mine", "", "-", 0)
    assert [line.text for line in story.lines if line.kind == "operation" and line.thread] == [
        "sends event 0",
        "GICR_CTLR.EnableLPIs = 0 of vCPU 0",
    ]
    for schedule, said in (("9999:2", "there is no choice"), ("x", "not one that vgic has printed")):
        with pytest.raises(ValueError, match=said):
            trace("mine", "v7.3", text, schedule)
    with pytest.raises(ValueError, match="mine: line 1: "):
        trace("mine", "v7.3", "dance\n")


@pytest.fixture
def played(monkeypatch):
    """Answers for each play, and how many machines were booted."""
    answers, booted = [], []
    monkeypatch.setattr("vgic.confirm.booted.Machine", lambda kernel, cpu: booted.append(cpu) or nullcontext("machine"))
    monkeypatch.setattr("vgic.confirm.booted.Stage", lambda machine: machine)

    def follow(stage, story, claim):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(differential, "follow", follow)
    return answers, booted


def test_what_is_the_same_is_counted(played):
    answers, booted = played
    answers += [SAME] * 3
    told = []
    found = list(compare(KERNEL, 3, 7, tell=lambda done, line: told.append((done, line))))
    assert [(one.seed, one.result, one.compared, one.tries) for one in found] == [
        (seed, "same", 3, 1) for seed in (7, 8, 9)
    ]
    assert (len(booted), told[0][1], told[1]) == (1, "booting 7.2.13-x", (1, "guest 8"))


@pytest.mark.parametrize("first", [DIFFERS, STUCK], ids=["differs", "stuck"])
def test_a_difference_must_come_again(played, first):
    answers, _ = played
    answers += [first, first, first, SAME, DIFFERS, DIFFERS, DIFFERS, DIFFERS]
    found = list(compare(KERNEL, 2, 1))
    assert [(one.result, one.tries) for one in found] == [("same", 4), ("differs", 4)]
    assert found[1].why == "at step 9: a"


def test_a_machine_that_is_lost_is_replaced(played):
    answers, booted = played
    answers += [ReplayError("gone"), SAME, SAME]
    found = list(compare(KERNEL, 2, 1))
    assert [one.result for one in found] == ["same", "same"]
    assert len(booted) == 2


def test_a_kernel_of_no_known_release(played):
    with pytest.raises(KernelError, match="does not tell its release"):
        list(compare(Kernel("k", b""), 1, 1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--random", "2"), "--kernel is needed"),
        (("--random", "0", "--kernel", "k"), "should be greater than or equal to 1"),
        (("--random", "2", "--all", "--kernel", "k"), "--random: it plays guests of its own"),
        (("--random", "2", "open-window", "--kernel", "k"), "--random: it plays guests of its own"),
        (("--random", "2", "--kernel", "no-such-file"), "no-such-file"),
    ],
)
def test_bad_input_is_one_line(vgic_command, arguments, said):
    refused = vgic_command("confirm", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in re.sub(r"\s*[│╭╮╰╯─]\s*", " ", refused.stderr)


def test_what_the_command_says(played, monkeypatch, capsys, tmp_path):
    from vgic.cli import confirm_random

    answers, _ = played
    answers += [SAME, *[DIFFERS] * 4, STUCK, SAME, *[STUCK] * 4]
    monkeypatch.setattr(confirm_random, "find_kernel", lambda name, tell: KERNEL)
    path = tmp_path / "a.json"
    assert confirm_random.confirm_random("k", 4, 5, "cortex-a57", str(path)) == 1
    shown = capsys.readouterr().out
    assert "k: 7.2.13-x, whose design is v7.3" in shown
    assert "6: differs   at step 9: a" in shown
    last = shown.splitlines()[-1]
    assert last == (
        "4 guests, seeds 5 to 8: 2 the same at 6 points (1 of them not the first time), 1 differ, 1 not possible here"
    )
    document = json.loads(path.read_text())
    assert (document["design"], [one["result"] for one in document["guests"]]) == (
        "v7.3",
        ["same", "differs", "same", "not possible here"],
    )
    assert document["guests"][1]["text"].startswith("vcpus 2\n")


def test_ctrl_c_loses_nothing(played, monkeypatch, capsys, tmp_path):
    from vgic.cli import confirm_random

    answers, _ = played
    answers += [SAME, SAME, KeyboardInterrupt()]
    monkeypatch.setattr(differential, "follow", lambda *_: _next(answers))
    monkeypatch.setattr(confirm_random, "find_kernel", lambda name, tell: KERNEL)
    path = tmp_path / "a.json"
    assert confirm_random.confirm_random("k", 9, 5, "cortex-a57", str(path)) == 130
    assert capsys.readouterr().out.splitlines()[-1].startswith("interrupted: 2 guests, seeds 5 to 6: 2 the same at 6 ")
    document = json.loads(path.read_text())
    assert (document["interrupted"], len(document["guests"])) == (True, 2)


def _next(answers):
    answer = answers.pop(0)
    if isinstance(answer, BaseException):
        raise answer
    return answer

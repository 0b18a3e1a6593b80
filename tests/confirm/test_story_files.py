"""Stories from a file, and what is written of them."""

import json
from dataclasses import asdict
from functools import cache

import pytest
from test_script import HELD

from vgic.confirm.image import Kernel
from vgic.confirm.play import Outcome, claims
from vgic.confirm.report import commands_text, report_text
from vgic.confirm.run import Case, Confirmation, cases_of, confirm, confirmations_json, story_of
from vgic.confirm.stories import read_stories
from vgic.prove.defects import defect

KERNEL = Kernel("k", b"Linux version 6.12.1-x (y)")
STORY = story_of(defect("open-window"))


def written(path, *stories):
    path.write_text(json.dumps({"schema": 1, "proofs": [{"stories": [asdict(story) for story in stories]}]}))
    return path


def test_a_story_is_read_as_it_was_written(tmp_path):
    assert read_stories(written(tmp_path / "a.json", STORY, HELD)) == [STORY, HELD]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"proofs": 1}',
        '{"proofs": [{"stories": [{}]}]}',
        "[" * 5000,
        b"\xff".decode("latin1"),
        '{"proofs": []}',
    ],
)
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=str(path)) as refused:
        read_stories(path)
    assert len(str(refused.value)) < 400 + len(str(path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lines", [[1, 9, "step", "a", True, "f"]]),
        ("lines", [[1, 0, "dance", "a", True, "f"]]),
        ("lines", [["1", 0, "step", "a", True, "f"]]),
        ("lines", [[1]]),
        ("lines", [[1, 0, "step", "a", True, "f", "read"]]),
        ("lines", [[1, 0, "step", "a", True, "f", ["dance", "irq#0", "vcpu", True]]]),
        ("lines", [[1, 0, "step", "a", True, "f", ["read", "irq#0", 1, True]]]),
        ("lines", [[1, 0, "step", "a", True, "f", ["read", "irq#0", "vcpu"]]]),
        ("before", [1]),
        ("preemptions", "1"),
        ("scenario", None),
        ("states", [[99999, [], []]]),
        ("states", [[0, [[8192]], []]]),
        ("states", [[0, [[8192, "irq#0", "1", None, 0, False, True, False, True, 1, 0]], []]]),
        ("states", [[0, [], [[0, 8192, 1.5, False]]]]),
    ],
)
def test_a_story_with_something_else_in_it_is_refused(tmp_path, name, value):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"proofs": [{"stories": [asdict(STORY) | {name: value}]}]}))
    with pytest.raises(ValueError, match="no file of 'vgic prove --json'"):
        read_stories(path)


def test_a_story_is_tried_as_the_defect_that_it_shows_or_not_at_all():
    assert cases_of([STORY, HELD]) == [Case("open-window", STORY), Case("", HELD)]
    (one,) = confirm(KERNEL, [Case("", HELD)])
    assert (one.defect, one.outcome.verdict) == ("", "not possible here")
    assert "is not written down" in one.outcome.why
    (row,) = json.loads(confirmations_json(KERNEL, [one]))["confirmations"]
    assert "story" not in row
    assert "lost" not in row
    assert "What happens" not in report_text(KERNEL, [one])


@cache
def found_story(name):
    """Searched for once."""
    return story_of(defect(name))


def confirmation(name, **outcome):
    story = found_story(name)
    return Confirmation(
        name, story.scenario, story.design, claims()[name].ask, Outcome("confirmed", "it does", **outcome), story
    )


def test_a_report_says_what_was_done_and_what_came_of_it():
    held = ("step 191, f: x; held at vgic_its_resolve_lpi+0x1b4",)
    text = report_text(KERNEL, [confirmation("open-window", answers=(1,), control=(-16,), held=held)])
    assert text.startswith("Subject: KVM: arm64: vgic: open-window\nKernel: 6.12.1-x, unmodified")
    assert "1. thread 1 sends event 0 ... held at vgic_its_resolve_lpi+0x1b4\n" in text
    assert "3. thread 1 goes on: sends event 0\n" in text
    assert "story      1   control    -16" in text
    assert "in turn, none beside another" in text
    assert all(len(line) < 120 for line in text.splitlines())


def test_what_the_kernel_shows_stands_in_the_report_instead_of_answers():
    text = report_text(
        KERNEL, [confirmation("release-under-lock", shown="thread 1 gets nowhere: queued < vgic_add_lpi")]
    )
    assert "Then the kernel shows: thread 1 gets nowhere: queued < vgic_add_lpi\n" in text
    assert "no memory for nodes of xarrays" in text
    assert "a VMM asks" not in text


@pytest.mark.parametrize("name", claims())
def test_the_commands_are_those_that_the_guest_program_knows(name):
    """Each line is a command, as main.c has them, or a remark."""
    known = {"vm", "its_w", "rd_w", "dist_w", "mem_w", "mem_r", "fill", "store", "enter", "ack", "queue", "cmd", "msi"}
    known |= {"save_pending", "thread", "go", "#"}
    lines = commands_text(confirmation(name)).splitlines()
    assert {line.split()[0] for line in lines} <= known
    assert not [line for line in lines if line.startswith("thread") and line.split()[2] not in known]

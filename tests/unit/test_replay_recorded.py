"""Reasons that a replay gives: how far a line may be out of order, what is a tie, and what DISCARD takes away."""

import pytest

import vgic
from vgic.trace import Recording

FIRST, LAST = 8192, 8195


class Told:
    """A recording of two vCPUs and one device, whose events 0 to 3 are LPIs 8192 to 8195 on vCPU 0."""

    def __init__(self):
        self.recording = Recording("told")
        self.time = 0
        self.log("its_enabled", 1)
        for vcpu in range(2):
            self.log("lpis_enabled", vcpu, 1)
            self.log("mapc", vcpu, vcpu, 1)
        self.log("mapd", 8, 4, 1)
        for event in range(4):
            self.log("mapti", 8, event, FIRST + event, 0)

    def log(self, kind, *operands):
        self.recording.append(len(self.recording) + 1, self.time, kind, *operands)

    def take(self, intid, vcpu=0):
        self.log("acknowledge", vcpu, intid)
        self.log("eoi", vcpu, intid)

    def answer(self, design=vgic.DEFAULT_DESIGN):
        return vgic.replay_recorded(self.recording, design)


@pytest.mark.parametrize(
    ("between", "reason"), [(0, "log order"), (31, "log order"), (32, "missing"), (100, "missing")]
)
def test_the_msi_of_an_acknowledge_may_stand_32_events_further_down(between, reason):
    told = Told()
    told.log("acknowledge", 0, FIRST)
    for _ in range(between):
        told.log("sync")
    told.log("msi", 8, 0)
    answer = told.answer()
    assert answer.reasons == {reason: 1}
    assert answer.holds == (reason == "log order")


@pytest.mark.parametrize(
    ("later", "reason"), [(0, "log order"), (1000, "log order"), (1001, "missing"), (10**9, "missing")]
)
def test_the_msi_of_an_acknowledge_may_come_a_millisecond_later(later, reason):
    told = Told()
    told.time = 5
    told.log("acknowledge", 0, FIRST)
    told.time += later
    told.log("msi", 8, 0)
    assert told.answer().reasons == {reason: 1}


def test_int_makes_pending_what_was_acknowledged_further_up_as_an_msi_does():
    told = Told()
    told.take(FIRST)
    told.log("int", 8, 0)
    assert told.answer().reasons == {"log order": 1}


def test_an_acknowledge_that_came_too_early_takes_the_lpi_once():
    told = Told()
    told.take(FIRST)
    told.log("msi", 8, 0)
    told.log("msi", 8, 0)
    answer = told.answer()
    assert (answer.reasons, answer.left) == ({"log order": 1}, 1)


def test_a_tie_is_of_what_is_pending_on_the_same_vcpu_at_that_moment():
    told = Told()
    told.log("msi", 8, 0)
    told.log("msi", 8, 3)
    told.take(LAST)
    told.take(FIRST)
    answer = told.answer()
    assert (answer.reasons, answer.in_order, answer.left) == ({"tie": 1}, 1, 0)
    # One that comes right behind is log order, although another is pending at its priority.
    told = Told()
    told.log("msi", 8, 0)
    told.take(LAST)
    told.log("msi", 8, 3)
    told.take(FIRST)
    assert told.answer().reasons == {"log order": 1}
    # And one that is pending on another vCPU is none at all; there it is still pending at the end.
    told = Told()
    told.log("msi", 8, 0)
    told.log("movi", 8, 3, 1)
    told.log("msi", 8, 3)
    told.take(LAST)
    told.take(FIRST)
    answer = told.answer()
    assert answer.reasons == {"unexplained": 1, "invented": 1}
    assert not answer.holds


@pytest.mark.parametrize("design", [vgic.BASELINE_DESIGN, vgic.DEFAULT_DESIGN, "v7.1.8", "hardened"])
def test_discard_takes_away_what_is_pending(design):
    told = Told()
    told.log("msi", 8, 0)
    told.log("discard", 8, 0)
    told.log("msi", 8, 3)
    told.take(LAST)
    answer = told.answer(design)
    assert (answer.reasons, answer.in_order, answer.left, answer.rejected) == ({}, 1, 0, 0)
    # Who takes it all the same takes nothing.
    told.take(FIRST)
    assert told.answer(design).reasons == {"missing": 1}


@pytest.mark.parametrize("design", [vgic.BASELINE_DESIGN, vgic.DEFAULT_DESIGN, "v7.1.8", "hardened"])
def test_a_second_mapti_of_an_event_does_nothing(design):
    told = Told()
    told.log("mapti", 8, 0, 8200, 1)
    told.log("msi", 8, 0)
    told.take(FIRST)
    answer = told.answer(design)
    assert (answer.in_order, answer.mismatches, answer.left, answer.rejected) == (1, [], 0, 0)
    told.log("discard", 8, 0)
    told.log("mapti", 8, 0, 8200, 1)
    told.log("msi", 8, 0)
    told.take(8200, vcpu=1)
    answer = told.answer(design)
    assert (answer.in_order, answer.mismatches) == (2, [])

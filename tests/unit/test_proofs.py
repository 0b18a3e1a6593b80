"""Model checking from Python: what a search says of itself, and the catalogue of defects."""

import dataclasses
import threading

import pytest

import vgic
from vgic.prove import DefectResult, prove_history
from vgic.prove.defects import Sign, defects
from vgic.prove.proof import Proof, ProofPlan, Story, check_scenarios, prove_all

#: To its end; the seconds only guard against a search without one.
ONE = ProofPlan(preemptions=1, seconds=1200)


def test_a_complete_search_is_called_proved_with_its_bound():
    proof = vgic.prove("send_vs_discard", "v6.8-rc1", ONE)
    assert (proof.passed, proof.complete, proof.exhausted) == (True, True, 1)
    assert proof.verdict == "proved to 1 preemption"
    assert proof.explored == f"{proof.executions:,} interleavings, all to 1 preemption"


@pytest.mark.parametrize(
    "plan",
    [
        ProofPlan(preemptions=2, executions=20),
        ProofPlan("random", executions=20),
        ProofPlan("pct", executions=20),
        ProofPlan("pct", executions=20, depth=1, seed=2**64 - 1),
    ],
)
def test_what_was_cut_short_is_never_called_proved(plan):
    proof = vgic.prove("send_vs_discard", "v6.8-rc1", plan)
    assert proof.passed
    assert not proof.complete
    assert proof.executions == 20
    assert "proved" not in proof.verdict + proof.explored
    assert proof.verdict == "nothing found"
    assert proof.ended == "executions"
    assert ("cut short" in proof.explored) == (plan.search == "bounded")


def test_a_search_that_is_stopped_is_not_complete():
    proof = vgic.prove("send_vs_discard", "v6.8-rc1", ONE, stop=lambda: True)
    assert (proof.executions, proof.complete, proof.exhausted) == (0, False, None)
    assert proof.ended == "stopped"


def test_what_stop_raises_comes_out():
    def stop():
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        vgic.prove("send_vs_discard", "v6.8-rc1", stop=stop)


def test_a_violation_is_a_story_that_can_be_replayed():
    proof = vgic.prove("send_vs_discard", "v6.7", ONE)
    (story,) = proof.stories
    assert not proof.passed
    assert proof.verdict == f"VIOLATION: {story.what}"
    assert story.what.startswith("use after free")
    assert story.preemptions == 1
    assert {line.kind for line in story.lines} >= {"operation", "step", "preempted", "broken"}
    assert str(story) == story.text
    assert set(story.text.splitlines()) - set(story.full_text.splitlines()) != set(story.text.splitlines())
    again = vgic.prove("send_vs_discard", "v6.7", schedule=story.schedule)
    assert again.executions == 1
    assert again.stories[0].text == story.text
    assert not again.complete


def test_a_search_is_the_same_every_time():
    plan = ProofPlan("pct", executions=3000, seconds=1200, seed=5)
    first, second = (vgic.prove("concurrent_invalidation", "v6.10", plan) for _ in range(2))
    assert first.stories[0].text == second.stories[0].text
    assert first.executions == second.executions


@pytest.mark.parametrize(
    "wrong",
    [
        {"search": "deep"},
        {"preemptions": 9},
        {"preemptions": -1},
        {"depth": 0},
        {"seed": -1},
        {"seed": 2**64},
        {"executions": 0},
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
    ],
)
def test_a_plan_out_of_range_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        ProofPlan(**wrong)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="unknown scenario 'send_vs_discart'; did you mean send_vs_discard"):
        vgic.prove("send_vs_discart")
    with pytest.raises(vgic.UnknownDesign):
        vgic.prove("send_vs_discard", "v6.11")
    with pytest.raises(ValueError, match="schedule"):
        vgic.prove("send_vs_discard", schedule="here and there")


def test_every_scenario_says_what_it_is():
    entries = vgic.scenarios()
    names = [entry.name for entry in entries]
    assert len(names) == len(set(names)) >= 25
    assert check_scenarios(None) == names
    assert check_scenarios(["mix", "mix"]) == ["mix"]
    for entry in entries:
        assert entry.about
        assert entry.bound


def test_many_searches_at_once_come_back_in_order():
    triples = [(name, "v7.1.8", ProofPlan(executions=5)) for name in check_scenarios(None)[:6]]
    seen = []
    proofs = prove_all(triples, done=lambda *told: seen.append(told), jobs=3)
    assert [proof.scenario for proof in proofs] == [triple[0] for triple in triples]
    assert [(finished, of) for finished, of, _ in seen] == [(n, 6) for n in range(1, 7)]
    assert sorted(proof.scenario for _, _, proof in seen) == sorted(triple[0] for triple in triples)


def test_an_exception_ends_the_searches_that_run():
    def done(*_):
        raise KeyboardInterrupt

    quick = ("send_vs_discard", "v6.8-rc1", ProofPlan(executions=1))
    slow = ("mix", "v7.1.8", ProofPlan("random", seconds=86400))
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        prove_all([quick, slow], done=done, jobs=2)
    assert threading.active_count() == threads


def proof_of(*stories):
    return Proof("mix", "v6.17", ProofPlan(), stories, 1, None, False, "found", 1, 0.1)


USE = Story(
    scenario="mix",
    design="v6.17",
    rule="no use",
    what="use after free: vcpu0 reads x",
    operation="runs vCPU 0",
    execution=1,
    found_seconds=0.1,
    times=1,
    threads=("a",),
    before=(),
    lines=(),
    objects=(),
    preemptions=1,
    schedule="-",
)


def test_a_search_that_was_cut_short_shows_nothing():
    signs = (Sign(what="use after free*"),)
    defect = dataclasses.replace(defects()[0], scenario="mix", found_in=("a",), absent_in=("b",), signs=signs)
    shown = proof_of(USE)
    other = proof_of(dataclasses.replace(USE, what="deadlock"))
    cut = proof_of()
    whole = dataclasses.replace(cut, complete=True, exhausted=2)
    for found, absent, verdict in (
        (shown, whole, "ok"),
        (shown, cut, "CUT SHORT"),
        (cut, whole, "CUT SHORT"),
        (cut, cut, "CUT SHORT"),
        (whole, whole, "WRONG"),
        (whole, cut, "WRONG"),
        (other, whole, "WRONG"),
        (shown, shown, "WRONG"),
        (cut, other, "WRONG"),
    ):
        result = DefectResult(defect, (found,), (absent,))
        assert (result.verdict, result.as_expected) == (verdict, verdict == "ok")
        assert result.unfinished == tuple(proof for proof in (found, absent) if proof is cut)


def test_a_schedule_that_does_not_fit_is_refused():
    (story,) = vgic.prove("send_vs_discard", "v6.7", ONE).stories
    step, thread = story.schedule.split(":")
    for schedule, why in (
        (f"1:{thread}", "there is no choice of a thread at step 1"),
        (f"{step}:9", f"thread 9 cannot go on at step {step}"),
        (f"7/{story.schedule}", "does not draw the operations"),
    ):
        with pytest.raises(ValueError, match=f"not one of send_vs_discard in v6.7 with seed 1: .*{why}"):
            vgic.prove("send_vs_discard", "v6.7", schedule=schedule)


def test_signs_tell_one_defect_from_another():
    assert Sign(what="use after free: *").matches(USE)
    assert Sign(rule="no use", operation="runs vCPU ?").matches(USE)
    assert not Sign(what="*deadlock*").matches(USE)
    defect = dataclasses.replace(
        defects()[0], scenario="mix", signs=(Sign(what="double free*"), Sign(operation="runs *"))
    )
    assert defect.story_in(proof_of(USE)) == USE
    # In another scenario it may be a sign of another defect.
    assert dataclasses.replace(defect, scenario="xarray").story_in(proof_of(USE)) is None
    assert defect.story_in(proof_of()) is None


def test_the_catalogue_names_what_exists():
    names = {scenario.name for scenario in vgic.scenarios()}
    designs = {design.name for design in vgic.designs()}
    ids = [defect.id for defect in defects()]
    assert len(ids) == len(set(ids))
    for defect in defects():
        if defect.of_kernels_alone:
            continue
        assert defect.scenario in names, defect.id
        assert {*defect.found_in, *defect.absent_in} <= designs, defect.id
        assert defect.found_in, defect.id
        assert defect.signs, defect.id
        assert all((sign.rule, sign.what, sign.operation) != ("", "", "") for sign in defect.signs), defect.id
        assert all(set(sign.scenarios) <= names for sign in defect.signs), defect.id


def test_a_defect_is_found_where_it_is_and_nowhere_else():
    (result,) = prove_history(defects()[:1])
    assert result.as_expected
    # The same the other way round is not as expected.
    wrong = dataclasses.replace(result.defect, found_in=("v6.8-rc1",), absent_in=())
    assert not prove_history([wrong])[0].as_expected
    wrong = dataclasses.replace(result.defect, found_in=(), absent_in=("v6.7",))
    assert not prove_history([wrong])[0].as_expected

"""Designs that are composed: by name or by ``with_``, where they are taken, and what makes no sense."""

from pathlib import Path

import pytest

import vgic
from vgic.designs import changed_axes
from vgic.difference import difference
from vgic.prove import ProofPlan

TWO = ProofPlan(preemptions=2, seconds=1200)


def test_every_shipped_design_is_a_way_on_every_axis():
    axes = {axis.name: axis for axis in vgic.axes()}
    assert len(axes) >= 30
    for row in vgic.designs():
        assert row.axes.keys() <= axes.keys()
        assert all(way in axes[axis].ways for axis, way in row.axes.items())
        assert not row.is_composed
        assert row.shipped == row.name
    # Each axis tells designs apart, or at least composed ones can.
    for axis in axes.values():
        assert axis.about
        assert all(axis.ways.values())
        assert axis.name == "queue" or len(axis.ways) > 1


def test_designs_differ_by_their_axes_and_by_nothing_else():
    """A design with all the ways of another is that one, step by step."""
    for first, second in (("v6.8-rc1", "v6.10"), ("v6.10", "v7.1.8"), ("v7.1.8", "patch-15")):
        a, b = vgic.design(first), vgic.design(second)
        ways = {axis: way for axis, (_, way) in changed_axes(a, b).items() if way}
        composed = a.with_(**ways)
        assert composed.axes == b.axes
        assert composed.hit_path() == b.hit_path()
        assert composed.path_counts() == b.path_counts()
        assert composed.lock_order == b.lock_order
        assert composed.unsound == b.unsound


def test_a_composed_design_has_a_name_that_says_what_it_is():
    composed = vgic.design("v6.10").with_(drain="put-erased", cache_store_error="puts")
    assert composed.name == "v6.10+drain=put-erased+cache-store-error=puts"
    assert vgic.design(composed.name) == composed
    assert (composed.is_composed, composed.shipped, composed.based_on) == (True, "v6.10", "v6.10")
    assert composed.with_(drain="put-met").axes["drain"] == "put-met"
    assert difference("v6.10", composed.name).axes == {
        "drain": ("put-met", "put-erased"),
        "cache-store-error": ("puts-error", "puts"),
    }


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("v6.10+", "AXIS=VALUE"),
        ("v6.10+drain", "is not AXIS=VALUE"),
        ("v6.10+drian=put-erased", "there is no axis"),
        ("v6.10+drain=none", "is none of put-met, put-erased"),
        ("v6.10+drain=put-met+drain=put-erased", "set twice"),
        ("v6.8-rc1+drain=put-erased", "no such cache"),
        ("v6.8-rc1+put=erase", "needs index=xarray"),
        ("v6.10+index=list", "needs"),
    ],
)
def test_what_makes_no_sense_is_one_clear_error(name, why):
    with pytest.raises(ValueError, match=why) as raised:
        vgic.design(name)
    assert len(str(raised.value).splitlines()) == 1
    assert not isinstance(raised.value, vgic.UnknownDesign)


def test_an_unknown_base_is_an_unknown_design():
    with pytest.raises(vgic.UnknownDesign, match=r"did you mean v6\.17 or v6\.10"):
        vgic.design("v6.11+drain=put-erased")


def test_prove_predict_and_replay_take_one_and_what_is_measured_does_not():
    name = "v6.10+drain=put-erased"
    proof = vgic.prove("concurrent_invalidation", name, TWO)
    assert (proof.passed, proof.complete) == (True, True)
    load = vgic.PredictedWorkload(vcpus=2, devices=2, iterations=10)
    same = [vgic.predict(load, design, "generic-arm64-16") for design in ("v6.10", "v6.10+drain=put-met")]
    assert same[0].accepted_rate == same[1].accepted_rate
    recording = vgic.read_recording("virtio-4cpu")
    assert vgic.replay_recorded(recording, name).holds
    vm = vgic.Vm(design=name)
    assert vm.design == name
    for call in (
        lambda: vgic.run(vgic.StressWorkload(iterations=1), name),
        lambda: vgic.compare([name]),
    ):
        with pytest.raises(ValueError, match="compiled"):
            call()


def test_what_a_composed_design_lacks_makes_it_unsound():
    with pytest.raises(vgic.UnsoundDesign):
        vgic.Vm(design="v6.10+cache-hit=unreferenced")


def test_bisect_names_the_axis_that_mends():
    found = vgic.bisect("concurrent_invalidation", "v6.10", "v7.1.8", TWO)
    assert [one.ways for one in found.mends] == [{"drain": "put-erased"}]
    assert {one.verdict for one in found.alone} == {"mended", "violation"}
    assert found.together is None


def test_bisect_finds_axes_that_mend_only_together():
    found = vgic.bisect("reserve_vs_release", "v6.10", "v7.1.8", ProofPlan(preemptions=1, seconds=1200))
    assert {one.verdict for one in found.alone} == {"violation"}
    (together,) = found.mends
    assert together is found.together
    assert together.ways == {"put": "dec-and-lock", "displaced": "freed"}


def test_what_makes_no_sense_alone_is_said():
    found = vgic.bisect("send_vs_discard", "v6.7", "v6.10", ProofPlan(preemptions=1, seconds=1200))
    impossible = {axis: one.why for one in found.alone if one.verdict == "impossible" for axis in one.ways}
    assert "needs index=xarray" in impossible["put"]
    assert [one.ways for one in found.mends] == [{"cache-hit": "try-get"}]


def test_bisect_refuses_what_has_nothing_to_mend():
    with pytest.raises(ValueError, match=r"finds nothing in v6\.8-rc1"):
        vgic.bisect("send_vs_discard", "v6.8-rc1", "v6.10", ProofPlan(preemptions=1))
    with pytest.raises(ValueError, match=r"finds a violation in v6\.7"):
        vgic.bisect("send_vs_discard", "v6.7", "v6.7", ProofPlan(preemptions=1))
    with pytest.raises(ValueError, match="only a bounded search"):
        vgic.bisect("send_vs_discard", "v6.7", "v6.10", ProofPlan("random"))


SCRIPT = """
vcpus 1
mapti 0 0 0
send 0
drain
thread sender
  send 0
thread guest on 0
  discard 0
"""


def test_a_scenario_of_ones_own_is_searched_as_a_shipped_one(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(SCRIPT)
    scenario = vgic.read_scenario(path)
    assert (scenario.name, scenario.path) == ("mine", str(path))
    proof = vgic.prove(scenario, "v6.7", TWO)
    (story,) = proof.stories
    assert story.what.startswith("use after free")
    assert vgic.defects_of("v6.7")[0][0].shows_in(story)
    assert f"--scenario-file {path}" in proof.command(story)
    assert vgic.prove(scenario, "v6.7", schedule=story.schedule).stories[0].text == story.text
    assert vgic.prove(scenario, "v6.8-rc1", ProofPlan(preemptions=1)).complete


def test_a_scenario_that_cannot_be_read_is_one_line(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("thread a\n  send x\n")
    with pytest.raises(ValueError, match=r"^mine: line 2: EVENT must be a number below 32"):
        vgic.prove(vgic.read_scenario(path))
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="UTF-8"):
        vgic.read_scenario(path)
    path.write_bytes(b" " * 70_000)
    with pytest.raises(ValueError, match="at most 65536 bytes"):
        vgic.read_scenario(path)
    with pytest.raises(FileNotFoundError):
        vgic.read_scenario(tmp_path / "none.txt")


def test_the_guides_scenario_is_the_example_and_its_story_is_the_one_shown():
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "guide" / "prove.md").read_text()
    assert (root / "examples" / "moved.txt").read_text() in page
    proof = vgic.prove(vgic.read_scenario(root / "examples" / "moved.txt"), "v6.10", TWO)
    story = proof.stories[0].laid_out(80)
    shown = "\n".join(line.rstrip() for line in story.splitlines())
    assert shown in page
    assert vgic.prove(vgic.read_scenario(root / "examples" / "moved.txt"), "v7.1.8", TWO).complete

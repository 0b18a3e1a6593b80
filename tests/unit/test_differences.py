"""Two designs beside each other."""

import pytest

import vgic
from vgic.difference import difference


def test_a_design_does_not_differ_from_itself():
    same = difference("v6.10", "v6.10")
    assert (same.axes, same.defects_of_first, same.defects_of_second) == ({}, (), ())
    assert {step.of for step in same.hit_path} == {"both"}
    assert all(a == b for tally in same.counts.values() for a, b in tally.values())


@pytest.mark.parametrize(("first", "second"), [("v6.7", "v6.8-rc1"), ("v6.10", "v7.1.8"), ("patch-15", "hardened")])
def test_the_steps_of_both_paths_are_all_there_in_order(first, second):
    found = difference(first, second)
    for name, of in ((first, "first"), (second, "second")):
        assert [step.step for step in found.hit_path if step.of in (of, "both")] == vgic.design(name).hit_path()
    a, b = vgic.design(first).axes, vgic.design(second).axes
    ways = {axis: (a.get(axis, ""), b.get(axis, "")) for axis in {**a, **b}}
    assert found.axes == {axis: pair for axis, pair in ways.items() if pair[0] != pair[1]}
    assert found.axes


def test_what_was_mended_is_a_defect_of_the_first_only():
    found = difference("v6.7", "v6.8-rc1")
    assert "CVE-2024-26598" in {one.id for one in found.defects_of_first}
    assert "CVE-2024-26598" not in {one.id for one in found.defects_of_second}


def test_an_unknown_design_is_refused():
    with pytest.raises(vgic.UnknownDesign):
        difference("v6.10", "v6.11")

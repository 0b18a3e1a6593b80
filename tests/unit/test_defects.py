"""The catalogue of defects: which design has which, since when, and how a story is known."""

import dataclasses

import pytest

import vgic
from vgic.prove import ProofPlan
from vgic.prove.defects import defect, defects, defects_of, defects_row, known

#: To its end; the seconds only guard against a search without one.
ONE = ProofPlan(preemptions=1, seconds=1200)


def test_v6_10_has_the_cves_that_are_found_in_it():
    own, inherited = defects_of("v6.10")
    assert {one.cve for one in [*own, *inherited]} - {""} == {
        "CVE-2026-46316",
        "CVE-2026-72288",
        "CVE-2026-72289",
        "CVE-2026-74568",
        "CVE-2026-89913",
    }


def test_the_fixed_design_has_none_of_them():
    own, inherited = defects_of("v7.1.8")
    assert not {one.cve for one in [*own, *inherited]} & {"CVE-2026-72288", "CVE-2026-72289", "CVE-2026-74568"}
    assert [one.id for kind in defects_of("hardened") for one in kind] == []


@pytest.mark.parametrize("one", defects(), ids=lambda one: one.id)
def test_what_is_searched_for_is_there_and_what_must_not_be_found_is_not(one):
    """Where the catalogue says that a design has a defect, and where it searches for it, agree."""
    assert all(one.is_of(name) for name in one.found_in)
    assert not any(one.is_of(name) for name in one.absent_in)
    assert set(one.designs) == {row.name for row in vgic.designs() if one.is_of(row.name)}


@pytest.mark.parametrize("row", vgic.designs(), ids=lambda row: row.name)
def test_each_defect_of_a_design_is_its_own_or_inherited_since_a_design_before_it(row):
    own, inherited = defects_of(row.name)
    order = [one.name for one in vgic.designs()]
    assert all(row.name in one.introduced_in for one in own)
    for one in inherited:
        assert order.index(one.brought_by(row.name)) < order.index(row.name)
        assert row.name not in one.fixed_in
    data = defects_row(row.name)
    assert [entry["id"] for entry in data["own"]] == [one.id for one in own]
    assert [entry["id"] for entry in data["inherited"]] == [one.id for one in inherited]


def test_what_is_found_is_known_where_the_design_has_it_and_new_elsewhere():
    proof = vgic.prove("send_vs_discard", "v6.7", ONE)
    (story,) = proof.stories
    assert known(story) is defect("CVE-2024-26598")
    # The same story of a design in which it has been mended is news, and so is another rule.
    assert known(dataclasses.replace(story, design="v6.10")) is None
    assert known(dataclasses.replace(story, what="something else")) is None


def test_an_unknown_defect_is_refused():
    with pytest.raises(ValueError, match="unknown defect 'CVE-1'"):
        defect("CVE-1")
    with pytest.raises(vgic.UnknownDesign):
        defects_of("v6.11")

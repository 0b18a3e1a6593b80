import pytest

import vgic
from vgic.designs import check_names

NAMES = {
    "v6.7",
    "v6.8-rc1",
    "v2",
    "rwlock",
    "call-rcu",
    "v6.9",
    "v6.10",
    "v6.17",
    "v7.1.8",
    "v7.3",
    "halt",
    "hardened",
} | {f"patch-{n:02}" for n in range(1, 16)}


def test_every_design_is_there():
    assert {d.name for d in vgic.designs()} >= NAMES
    assert vgic.BASELINE_DESIGN == "v6.8-rc1"
    assert all(d.based_on == "" or vgic.design(d.based_on) for d in vgic.designs())


def test_a_defect_of_memory_safety_is_named():
    assert all(d.defect for d in vgic.designs() if d.unsound)


def test_close_names_are_suggested():
    with pytest.raises(vgic.UnknownDesign, match="unknown design 'patch15': did you mean patch-15"):
        vgic.design("patch15")
    with pytest.raises(vgic.UnknownDesign, match="'vgic designs' lists all"):
        vgic.design("zzz")


def test_an_unsound_design_needs_the_callers_word():
    unsound = next(d.name for d in vgic.designs() if d.unsound)
    with pytest.raises(vgic.UnsoundDesign, match=f"design {unsound} is unsound"):
        check_names([unsound])
    assert check_names([unsound, "v6.10", unsound], allow_unsound=True) == [unsound, "v6.10"]
    with pytest.raises(vgic.UnsoundDesign):
        vgic.Vm(design=unsound)

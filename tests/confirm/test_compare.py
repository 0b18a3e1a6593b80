"""Where the engine's state and a kernel's differ."""

import pytest

from vgic.confirm.compare import difference
from vgic.prove.story import LpiAt, RegisterAt, State

LPI = LpiAt(8192, "irq#0", 3, 0, 1, True, True, False, True, 1, 1)
OTHER = LPI._replace(intid=8193, name="irq#1")


def state(*lpis, registers=()):
    return State(0, lpis, tuple(registers))


def test_the_same_is_the_same():
    registers = [RegisterAt(0, 8192, True, False), RegisterAt(0, 8193, False, True)]
    engine = state(LPI, OTHER, registers=registers)
    kernel = state(LPI._replace(name="0xffff"), OTHER._replace(name="0xfffe"), registers=registers[::-1])
    assert difference(engine, kernel, {0}) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"references": 2}, "reference count: the engine says 3, the kernel 2"),
        ({"vcpu": None}, "on the queue of vCPU: the engine says 0, the kernel none"),
        ({"vcpu": 1}, "on the queue of vCPU: the engine says 0, the kernel 1"),
        ({"target": -1}, "target vCPU: the engine says 1, the kernel none"),
        ({"pending": False}, "pending_latch: the engine says yes, the kernel no"),
        ({"enabled": False}, "enabled: the engine says yes, the kernel no"),
        ({"active": True}, "active: the engine says no, the kernel yes"),
        ({"indexed": False}, "in the index of LPIs: the engine says yes, the kernel no"),
        ({"mapped": 2}, "events mapped to it: the engine says 1, the kernel 2"),
        ({"cached": 0}, "cached translations: the engine says 1, the kernel 0"),
    ],
)
def test_every_member_is_compared(change, said):
    assert difference(state(LPI, OTHER), state(LPI._replace(**change), OTHER), set()) == f"LPI 8192: {said}"
    assert difference(state(OTHER, LPI), state(OTHER, LPI._replace(**change)), set()) == f"LPI 8192: {said}"


@pytest.mark.parametrize("member", ["references", "target", "pending", "enabled", "active"])
def test_what_the_story_does_not_know_is_not_compared(member):
    unknown, other = LPI._replace(**{member: None}), LPI._replace(**{member: 7})
    assert difference(state(unknown), state(other), set()) is None


def test_a_vcpus_queue_is_always_known():
    assert difference(state(LPI._replace(vcpu=None)), state(LPI), set()) is not None


def test_an_lpi_that_one_of_them_has_alone():
    assert difference(state(LPI), state(), set()) == (
        "LPI 8192: the engine has 1 (3 references: index, mapping, cache, queue of vCPU 0), the kernel none"
    )
    assert difference(state(), state(LPI), set()) == (
        "LPI 8192: the engine has none, the kernel 1 (3 references: index, mapping, cache, queue of vCPU 0)"
    )
    assert "the kernel 2 (3 references: " in difference(state(LPI), state(LPI, LPI), set())


def test_two_lpis_of_one_intid_have_no_order():
    gone = LPI._replace(indexed=False, references=1)
    assert difference(state(LPI, gone), state(gone, LPI), set()) is None
    assert difference(state(LPI, gone), state(LPI, LPI), set()) is not None
    assert difference(state(gone, gone), state(LPI, gone), set()) is not None


def test_a_reference_that_the_kernel_is_still_to_take():
    assert difference(state(LPI), state(LPI._replace(references=2)), set(), {8192: 1}) is None
    assert difference(state(LPI), state(LPI), set(), {8192: 1}) is not None
    assert difference(state(LPI), state(LPI), set(), {8193: 1}) is None


def test_list_registers_count_where_they_are_in_memory():
    engine = state(registers=[RegisterAt(0, 8192, True, False)])
    assert difference(engine, state(), set()) is None
    assert difference(engine, state(), {1}) is None
    said = "list registers of vCPU 0: the engine says LPI 8192 pending, the kernel none"
    assert difference(engine, state(), {0, 1}) == said
    active = state(registers=[RegisterAt(0, 8192, False, True)])
    assert difference(engine, active, {0}) is not None

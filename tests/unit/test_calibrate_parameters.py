"""What a fit may change of a machine, and how far."""

from dataclasses import replace

import pytest

from made_rates import row, table
from vgic.calibrate import Free, RatesError, free_parameters, measured_parameters
from vgic.calibrate.parameters import changed, scaled_distance
from vgic.machines import Check, Value, machine

BASE = machine("generic-arm64-16")
MADE = table(row(2))


def test_what_is_fitted_unless_something_is_named():
    switch = ("world_switch_in", "world_switch_out")
    assert free_parameters(BASE, MADE) == (
        Free("distance", "fetch of a line that another core has written", (), 0.25, 4.0),
        Free("entry", "the ioctl of a send, beside the engine", ("syscall",), 30 / 120, 3000 / 120),
        Free("world-switch", "world switch, in and out", switch, 200 / 1300, 10_000 / 1300),
        Free("step", "the engine's instructions between two accesses", ("step",), 0.1 / 0.8, 10 / 0.8),
    )
    _, entry, *_ = free_parameters(BASE, table(row(2), entry="irqfd"))
    assert entry == Free("entry", "the irqfd of a send, beside the engine", ("irqfd",), 30 / 60, 3000 / 60)
    direct = free_parameters(BASE, table(row(2), entry="direct"))
    assert [one.name for one in direct] == ["distance", "world-switch", "step"]


def test_whichever_ioctl_it_is_its_entry_is_the_system_call():
    [many] = free_parameters(BASE, table(row(2), entry="ioctl-many:4"), ["entry"])
    assert many == Free("entry", "the ioctl-many:4 of a send, beside the engine", ("syscall",), 30 / 120, 3000 / 120)
    with pytest.raises(RatesError, match="unknown parameter 'entry'"):
        free_parameters(BASE, table(row(2), entry="direct"), ["entry"])


def test_any_other_time_of_a_machine_can_be_named():
    kfree, step = free_parameters(BASE, MADE, ["kfree", "step", "kfree"])
    assert kfree == Free("kfree", "to free an object", ("kfree",), 0.1, 10.0)
    assert step.name == "step"
    assert len(free_parameters(BASE, MADE, ["kfree", "step", "distance", "kmalloc", "step"])) == 4
    with pytest.raises(RatesError, match=r"^5 parameters are more than 4: that many rates fix$"):
        free_parameters(BASE, MADE, ["kfree", "step", "distance", "kmalloc", "memory"])
    for name in ("jitter", "grace_period_min", "store_buffer", "atomics"):  # No nanoseconds.
        with pytest.raises(RatesError, match=rf"^unknown parameter '{name}': "):
            free_parameters(BASE, MADE, [name])
    with pytest.raises(RatesError, match=r"^unknown parameter 'kmallok': did you mean kmalloc.*\(known: distance, "):
        free_parameters(BASE, MADE, ["kmallok"])
    with pytest.raises(RatesError, match=rf"^unknown parameter '{'x' * 40}': "):
        free_parameters(BASE, MADE, ["x" * 41])


def test_what_is_zero_has_no_factor():
    for name, value in (("kmalloc", "kmalloc"), ("entry", "syscall")):
        with pytest.raises(RatesError, match=rf"^{name}: is 0 on generic-arm64-16, and no factor makes it larger$"):
            free_parameters(BASE.with_values(**{value: 0}), MADE, [name])
        [one] = free_parameters(BASE.with_values(**{value: 0.5}), MADE, [name])
        assert one.values == (value,)


def test_what_was_measured_stays():
    ours = BASE.with_values(world_switch_out=500, kfree=7, source="by us", status="measured")
    assert [one.name for one in free_parameters(ours, MADE)] == ["distance", "entry", "step"]
    assert measured_parameters(ours, MADE) == {"world-switch": "by us"}
    assert [one.measured(BASE) for one in free_parameters(BASE, MADE)] == [""] * 4
    assert measured_parameters(BASE, MADE) == {}
    sent = BASE.with_values(irqfd=50, source="by us", status="measured")
    assert measured_parameters(sent, table(row(2), entry="irqfd")) == {"entry": "by us"}
    assert measured_parameters(sent, MADE) == {}
    for name in ("world-switch", "kfree"):
        with pytest.raises(RatesError, match=rf"^{name}: is measured \(by us\), and a fit changes only what is not$"):
            free_parameters(ours, MADE, ["step", name])
    far = BASE.with_matrix([[0, 50], [50, 0]], source="by tool", status="published")
    assert measured_parameters(far, MADE) == {"distance": "by tool"}
    everything = far.with_values(syscall=1, world_switch_in=1, step=1, source="by us", status="measured")
    with pytest.raises(
        RatesError,
        match=r"^distance, entry, world-switch, step: all measured, so nothing is left to fit; name what may change$",
    ):
        free_parameters(everything, MADE)


def test_a_parameter_in_words():
    distance, entry, switch, _ = free_parameters(BASE, MADE)
    assert (distance.amount(BASE), distance.amount(BASE, 2)) == ("47 ns", "94 ns")
    assert distance.amount(machine("generic-arm64-2")) == "35 ns"
    assert distance.amount(machine("generic-arm64-1")) == "nan ns"
    assert (entry.amount(BASE), entry.amount(BASE, 1.2345)) == ("120 ns", "148 ns")
    assert (switch.amount(BASE), switch.amount(BASE, 0.5)) == ("1.3e+03 ns", "650 ns")


def test_a_changed_machine_says_how():
    distance, _, switch, step = free_parameters(BASE, MADE)
    checked = replace(BASE, checks=(Check("x", 1.0, 1.0, "y"),))
    found = changed(checked, {switch: 2.0, step: 0.5}, {"step": "found"})
    assert {name: value for name, value in found.values.items() if value != BASE.values[name]} == {
        "world_switch_in": Value(1300.0, "ns", "being fitted", "fitted"),
        "world_switch_out": Value(1300.0, "ns", "being fitted", "fitted"),
        "step": Value(0.4, "ns", "found", "fitted"),
    }
    assert (found.distance, found.checks, found.name) == (BASE.distance, (), BASE.name)
    found = changed(BASE, {distance: 2.0}, {"distance": "found"})
    assert found.distance == scaled_distance(BASE.distance, 2.0, "found")
    assert changed(BASE, {distance: 2.0}).distance.source == "being fitted"
    assert found.values == BASE.values


DISTANCES = {
    "classes": machine("generic-arm64-8").with_values(cluster=2, socket=4),
    "matrix": machine("generic-arm64-4").with_matrix([[0, 20], [30, 0]]),
    "mesh of sockets": machine("kunpeng920"),
    "mesh of threads": machine("epyc-7r13"),
    "mesh": machine("altra-128").with_cores(4),
}


@pytest.mark.parametrize("kind", DISTANCES)
def test_distances_of_each_kind_can_be_scaled(kind):
    base = DISTANCES[kind]
    scaled = scaled_distance(base.distance, 1.5, "found")
    for found, before in zip(scaled.matrix(base.cores), base.matrix(), strict=True):
        assert found == pytest.approx([1.5 * cell for cell in before])
    assert (scaled.source, scaled.status, scaled.verified) == ("found", "fitted", False)


def test_a_machine_beyond_a_range_may_stay_where_it_is():
    slow, fast = BASE.with_values(syscall=6000), BASE.with_values(syscall=10)
    [one] = free_parameters(slow, MADE, ["entry"])
    assert (one.low, one.high) == pytest.approx((0.005, 1.0))
    [one] = free_parameters(fast, MADE, ["entry"])
    assert (one.low, one.high) == pytest.approx((1.0, 300.0))

"""Measured curves of contention beside what the simulator makes of them."""

import pytest

from vgic import _core
from vgic.calibrate import CONTENDED_MACHINE, RatesError, contended_curves, misfit, predict_curve
from vgic.machines import machine

CURVES = {curve.how: curve for curve in contended_curves()}
MACHINE = machine(CONTENDED_MACHINE)


def test_the_curves_that_come_along():
    assert list(CURVES) == ["add", "ticket", "spin", "cas"]
    for curve in CURVES.values():
        assert len(curve.ns) == len(curve.threads) == 10
        assert (curve.threads[0], curve.threads[-1]) == (1, 16)
    assert (CURVES["add"].ns[0], CURVES["cas"].ns[-1]) == (5.3, 39.9)


@pytest.mark.parametrize("how", CURVES)
def test_what_was_fitted_to_a_curve_says_so(how):
    for name in CURVES[how].fitted:
        assert MACHINE.values[name].status == "fitted"
        assert "curve of" in MACHINE.values[name].source


@pytest.mark.parametrize(
    ("how", "low", "high"), [("add", 0.9, 1.1), ("ticket", 0.9, 1.15), ("spin", 0.9, 1.2), ("cas", 0.7, 1.05)]
)
def test_how_near_a_prediction_is(how, low, high):
    curve = CURVES[how]
    ratios = [ours / theirs for ours, theirs in zip(predict_curve(MACHINE, curve), curve.ns, strict=True)]
    assert all(low <= ratio <= high for ratio in ratios[1:]), ratios


@pytest.mark.parametrize(
    ("how", "other"),
    [
        ("add", {"visit": 0}),
        ("add", {"visit": 20}),
        ("ticket", {"invalidate": 1.5}),
        ("ticket", {"invalidate": 2.1}),
        ("ticket", {"read_occupancy": 20}),
        ("ticket", {"read_occupancy": 28}),
    ],
)
def test_other_values_do_not_come_as_near(how, other):
    assert misfit(MACHINE, CURVES[how]) < misfit(MACHINE.with_values(**other), CURVES[how])


def test_bad_numbers_are_named():
    with pytest.raises(RatesError, match="each: 0 is out of range 1 to 10000"):
        predict_curve(MACHINE, CURVES["add"], each=0)
    with pytest.raises(RatesError, match=r"^generic-arm64-8: has 8 cores, and atomic add has 16 threads$"):
        predict_curve(machine("generic-arm64-8"), CURVES["add"])
    core = machine("generic-arm64-2").to_core()
    with pytest.raises(ValueError, match="threads"):
        _core.contended(core, "add", 3, 1)
    with pytest.raises(ValueError, match='how must be add, cas, spin or ticket, not "x"'):
        _core.contended(core, "x", 1, 1)
    assert _core.contended(core, "cas", 2, 10_000) > 0

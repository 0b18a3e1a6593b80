import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.predict import Usl, fit_usl

SIZES = [1, 2, 4, 8, 16, 32, 64]


def law(size, rate, sigma, kappa):
    return rate * size / (1 + sigma * (size - 1) + kappa * size * (size - 1))


@given(
    rate=st.floats(1e-3, 1e9),
    sigma=st.one_of(st.just(0.0), st.floats(1e-5, 3)),
    kappa=st.one_of(st.just(0.0), st.floats(1e-6, 1)),
)
def test_parameters_are_recovered(rate, sigma, kappa):
    rates = [law(size, rate, sigma, kappa) for size in SIZES]
    fit = fit_usl(SIZES, rates)
    if fit is None:  # sigma 1, kappa 0: always the same rate
        assert max(rates) / min(rates) < 1 + 1e-6
        return
    for size, expected in zip(SIZES, rates, strict=True):
        assert fit.at(size) == pytest.approx(expected, rel=1e-4)
    assert fit.rate == pytest.approx(rate, rel=1e-4)
    assert fit.sigma == pytest.approx(sigma, rel=1e-3, abs=1e-5)
    assert fit.kappa == pytest.approx(kappa, rel=1e-3, abs=1e-7)
    assert fit.r2 == pytest.approx(1, abs=1e-6)


@given(seed=st.integers(0, 2**32), sigma=st.floats(0.01, 0.5), kappa=st.floats(1e-4, 0.01))
def test_noise_of_a_per_cent_is_borne(seed, sigma, kappa):
    noise = random.Random(seed)
    rates = [law(size, 1e6, sigma, kappa) * noise.uniform(0.99, 1.01) for size in SIZES]
    fit = fit_usl(SIZES, rates)
    assert fit is not None
    assert fit.sigma >= 0
    assert fit.kappa >= 0
    assert fit.r2 > 0.9
    for size, rate in zip(SIZES, rates, strict=True):
        assert fit.at(size) == pytest.approx(rate, rel=0.1, abs=0.02 * max(rates))


@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(-1, 1e12)), max_size=12))
def test_whatever_comes_there_is_an_answer_within_the_bounds(pairs):
    fit = fit_usl([size for size, _ in pairs], [rate for _, rate in pairs])
    if fit is not None:
        assert fit.rate > 0
        assert fit.sigma >= 0
        assert fit.kappa >= 0
        assert math.isfinite(fit.at(100))
        assert fit.r2 <= 1


@pytest.mark.parametrize(
    ("sizes", "rates"),
    [
        ([], []),
        ([1], [5.0]),
        ([1, 2], [5.0, 6.0]),
        ([4, 4, 4], [5.0, 6.0, 7.0]),
        (SIZES, [3.5] * 7),
        (SIZES, [0.0] * 7),
        (SIZES, [1.0] * 6 + [0.0]),
        (SIZES, [1.0] * 6 + [math.nan]),
        (SIZES, [1.0] * 6 + [math.inf]),
        ([0, 1, 2], [1.0, 2.0, 3.0]),
    ],
)
def test_what_has_no_answer_has_none(sizes, rates):
    assert fit_usl(sizes, rates) is None


def test_the_peak():
    assert Usl(1, 0.1, 0.001, 1).peak == pytest.approx(30)
    assert Usl(1, 0.1, 0, 1).peak is None
    assert Usl(1, 1.5, 0, 1).peak == 1
    assert Usl(1, 2, 0.5, 1).peak == 1
    assert Usl(2, 0, 0, 1).to_dict() == {"lambda": 2, "sigma": 0, "kappa": 0, "r2": 1, "peak": None}

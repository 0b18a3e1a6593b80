"""The search for the lowest point of a function."""

import math

import pytest

from vgic.calibrate.minimise import Found, minimise, simplex_search


def test_the_search_finds_a_valley_from_several_starts():
    def valley(places):
        return [(x - 0.3) ** 2 + 4 * (y + 0.7) ** 2 for x, y in places]

    found = minimise(valley, [(0.0, 0.0), (1.5, 1.5), (-2.0, 1.0)], [(-2, 2), (-2, 2)], tolerance=0.001, most=200)
    for one in found:
        assert one.place == pytest.approx((0.3, -0.7), abs=0.01)


def test_the_search_stays_within_its_bounds():
    asked = []

    def slope(places):
        asked.extend(places)
        return [-x + y for x, y in places]

    [found] = minimise(slope, [(0.0, 0.0)], [(-1.0, 0.5), (-0.25, 3.0)], most=100)
    assert found.place == pytest.approx((0.5, -0.25), abs=0.02)
    assert all(-1.0 <= x <= 0.5 and -0.25 <= y <= 3.0 for x, y in asked)


def test_the_search_ends_after_so_many_evaluations():
    [found] = minimise(lambda places: [math.sin(50 * x) for (x,) in places], [(0.0,)], [(-9, 9)], most=12, tolerance=0)
    assert found.evaluations <= 14


def test_searches_side_by_side_do_not_change_each_other():
    def valley(places):
        return [abs(x) + abs(y - 1) for x, y in places]

    starts, bounds = [(2.0, 2.0), (-1.0, 0.0)], [(-3, 3), (-3, 3)]
    assert minimise(valley, starts, bounds) == [minimise(valley, [start], bounds)[0] for start in starts]


def played(search, *answers):
    """What a search asks for, given these answers: a list of places each time, the last one not answered."""
    asked = [next(search)]
    for values in answers:
        asked.append(search.send(values))
    return asked


def ended(search, *answers):
    """What it has found after the last of these answers."""
    played(search, *answers[:-1])
    with pytest.raises(StopIteration) as stop:
        search.send(answers[-1])
    return stop.value.value


def search(start=(0.0, 0.0), bounds=((-100.0, 100.0), (-100.0, 100.0)), *, step=1.0, most=100, tolerance=0.1):
    return simplex_search(start, bounds, step=step, most=most, tolerance=tolerance)


def test_a_search_begins_at_its_start_and_a_step_along_each_axis():
    assert next(search((3.0, 4.0), step=0.5)) == [(3.0, 4.0), (3.5, 4.0), (3.0, 4.5)]
    # To the bound itself, or the other way where that is beyond it.
    assert next(search((3.0, 4.0), ((0, 4.0), (0, 4.5)))) == [(3.0, 4.0), (4.0, 4.0), (3.0, 3.0)]
    # A start that is outside is moved, and a step both of whose ways are outside is cut.
    assert next(search((5.0, -5.0), ((0.0, 4.0), (0.0, 4.0)))) == [(4.0, 0.0), (3.0, 0.0), (4.0, 1.0)]
    assert next(search((0.25, 0.0), ((0.0, 1.0), (0.0, 4.0)))) == [(0.25, 0.0), (0.0, 0.0), (0.25, 1.0)]


#: The corners (1, 0), (0, 0) and (0, 1), from the best to the worst.
CORNERS = [2.0, 1.0, 3.0]
#: The worst one, mirrored at the middle of the others.
MIRRORED = [(1.0, -1.0)]


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        # Better than the best: twice as far is tried, and the better of the two is kept. It is the best one now.
        pytest.param([[0.5]], [(1.5, -2.0)], id="expand"),
        pytest.param([[0.5], [0.25]], [(2.5, -2.0)], id="expanded"),
        pytest.param([[0.5], [0.75]], [(2.0, -1.0)], id="expanded in vain"),
        # As good as the best, or between the two best: kept, and the second best is the worst now.
        pytest.param([[1.0]], [(2.0, -1.0)], id="as good as the best"),
        pytest.param([[1.5]], [(2.0, -1.0)], id="between"),
        # Not better than the second: nearer, outside if it is better than the worst, or else inside.
        pytest.param([[2.0]], [(0.75, -0.5)], id="as good as the second"),
        pytest.param([[2.5]], [(0.75, -0.5)], id="contract outside"),
        pytest.param([[3.0]], [(0.25, 0.5)], id="as bad as the worst"),
        pytest.param([[4.0]], [(0.25, 0.5)], id="contract inside"),
        # Better than both: kept. Here it is the second, so (0, 0) is mirrored at (0.875, -0.25) or (0.625, 0.25).
        pytest.param([[2.5], [1.5]], [(1.75, -0.5)], id="contracted outside"),
        pytest.param([[4.0], [1.5]], [(1.25, 0.5)], id="contracted inside"),
        # Or everything moves half-way to the best.
        pytest.param([[2.5], [2.5]], [(0.5, 0.0), (0.5, 0.5)], id="shrink, outside in vain"),
        pytest.param([[4.0], [3.0]], [(0.5, 0.0), (0.5, 0.5)], id="shrink, inside in vain"),
        # The best stays, (0.5, 0.5) is the worst.
        pytest.param([[4.0], [3.0], [2.0, 3.0]], [(1.0, -0.5)], id="shrunk"),
        pytest.param([[4.0], [3.0], [3.0, 2.0]], [(1.0, 0.5)], id="shrunk, in another order"),
    ],
)
def test_a_step_of_a_search(answers, asked):
    found = played(search(), CORNERS, *answers)
    assert found[1] == MIRRORED
    assert found[-1] == asked


def test_a_step_of_a_search_ends_at_a_bound():
    assert played(search(bounds=((-5.0, 5.0), (-0.5, 5.0))), CORNERS)[-1] == [(1.0, -0.5)]
    assert played(search(bounds=((-5.0, 1.25), (-5.0, 5.0))), CORNERS, [0.5])[-1] == [(1.25, -2.0)]


@pytest.mark.parametrize(
    ("answers", "count"),
    [
        pytest.param([[1.5]], 4, id="mirrored"),
        pytest.param([[0.5], [0.25]], 5, id="expanded"),
        pytest.param([[2.5], [1.5]], 5, id="contracted"),
        pytest.param([[4.0], [3.0], [2.0, 3.0]], 7, id="shrunk"),
    ],
)
def test_every_place_that_was_asked_for_is_counted(answers, count):
    """So a search that may ask for as many ends with that step, and one that may ask for another goes on."""
    for most in (4, count):
        assert ended(search(most=most), CORNERS, *answers).evaluations == count
    played(search(most=count + 1), CORNERS, *answers)


def test_a_search_may_end_with_its_first_corners():
    assert ended(search(most=3), CORNERS) == Found((1.0, 0.0), 1.0, 3)


def test_what_was_found_is_the_lowest_of_all():
    assert ended(search(most=5), CORNERS, [0.5], [0.25]) == Found((1.5, -2.0), 0.25, 5)
    assert ended(search(most=5), CORNERS, [0.5], [0.75]) == Found((1.0, -1.0), 0.5, 5)
    assert ended(search(most=7), CORNERS, [4.0], [3.0], [2.0, 0.5]) == Found((0.5, 0.5), 0.5, 7)


def test_a_search_ends_when_the_farthest_corner_is_within_the_tolerance_of_the_best():
    # (0, 1) is the farthest from (1, 0), by the root of 2.
    assert ended(search(tolerance=math.sqrt(2)), CORNERS).evaluations == 3
    assert played(search(tolerance=1.4), CORNERS)[-1] == MIRRORED


def test_a_search_has_its_usual_step_length_and_tolerance():
    asked = []

    def slope(places):
        asked.append(places)
        return [x for (x,) in places]

    [found] = minimise(slope, [(1.0,)], [(-1e30, 1e30)])
    assert asked[0] == [(1.0,), (1.5,)]
    assert found.evaluations == 80
    # The corners are apart by 1/2, and by half of that after each shrinking, around a best one that stays.
    [found] = minimise(lambda places: [0.0 if x == 1 else 1.0 for (x,) in places], [(1.0,)], [(-9, 9)])
    assert found == Found((1.0,), 0.0, 2 + 3 * 5)

from itertools import groupby

import pytest

from vgic.measure import Effort, _flag_disturbed, _plan
from vgic.results import Sample
from vgic.workload import StressWorkload

DESIGNS = ("a", "b", "c")


def plan(process=0, cpu=0):
    workloads = [StressWorkload(mode="senders"), StressWorkload(mode="lockstep", events=1)]
    return _plan(workloads, DESIGNS, Effort(processes=2, rounds=4, seconds=0.01), process, cpu, False)


def test_a_round_takes_one_sample_of_every_design_in_turn():
    tasks = plan()["tasks"]
    rounds = [list(group) for _, group in groupby(tasks, key=lambda task: (task["round"], task["workload"]))]
    assert len(rounds) == 8
    assert all(sorted(task["design"] for task in group) == list(DESIGNS) for group in rounds)


def test_every_design_comes_first_in_some_round():
    firsts = {task["round"]: task["design"] for task in reversed(plan()["tasks"]) if task["workload"] == 0}
    assert set(firsts.values()) == set(DESIGNS)
    assert plan(process=1)["tasks"][0]["design"] != plan(process=0)["tasks"][0]["design"]


def test_the_floor_is_probed_only_where_a_process_is_pinned():
    assert plan()["probe"] > 0
    assert plan(cpu=None)["probe"] is None


def samples(*floors):
    return [Sample(rate=1.0, process=0, round=n, cpu=0, counts={}, floor=floor) for n, floor in enumerate(floors)]


def test_samples_with_a_low_floor_are_set_aside():
    taken = samples(100.0, 99.0, 95.0, 93.0, 90.0, 50.0)
    _flag_disturbed([taken], [sample.floor for sample in taken])
    assert [sample.counts_for_medians for sample in taken] == [True, True, True, True, False, False]


def test_nothing_is_set_aside_where_too_little_would_be_left():
    taken = samples(100.0, 99.0, 95.0, 80.0, 79.0, 78.0)
    _flag_disturbed([taken], [sample.floor for sample in taken])
    assert all(sample.counts_for_medians for sample in taken)


@pytest.mark.parametrize("fields", [{"processes": 0}, {"rounds": 0}, {"seconds": 0}, {"seconds": float("nan")}])
def test_effort_is_checked(fields):
    (name,) = fields
    with pytest.raises(ValueError, match=f"^{name}: "):
        Effort(**fields)

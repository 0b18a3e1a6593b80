from itertools import groupby

import pytest

from vgic.measure import Effort, _plan
from vgic.workload import StressWorkload

DESIGNS = ("a", "b", "c")


def plan(process=0, cpu=0):
    workloads = [StressWorkload(mode="senders"), StressWorkload(mode="lockstep", events=1)]
    return _plan(workloads, DESIGNS, Effort(processes=2, rounds=4, seconds=0.01), process, cpu, False)


def test_a_round_takes_one_sample_of_every_design_in_turn():
    tasks = [task for task in plan()["tasks"] if task["design"] is not None]
    rounds = [list(group) for _, group in groupby(tasks, key=lambda task: (task["round"], task["workload"]))]
    assert len(rounds) == 8
    assert all(sorted(task["design"] for task in group) == list(DESIGNS) for group in rounds)


def test_every_design_comes_first_in_some_round():
    firsts = {task["round"]: task["design"] for task in reversed(plan()["tasks"]) if task["workload"] == 0}
    assert set(firsts.values()) == set(DESIGNS)
    assert plan(process=1)["tasks"][0]["design"] != plan(process=0)["tasks"][0]["design"]


def test_the_floor_is_measured_once_a_round_and_only_pinned():
    assert sum(task["design"] is None for task in plan()["tasks"]) == 4
    assert all(task["design"] is not None for task in plan(cpu=None)["tasks"])


@pytest.mark.parametrize("fields", [{"processes": 0}, {"rounds": 0}, {"seconds": 0}, {"seconds": float("nan")}])
def test_effort_is_checked(fields):
    with pytest.raises(ValueError, match="processes and rounds are 1 to 1000"):
        Effort(**fields)

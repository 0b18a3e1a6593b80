from dataclasses import replace
from itertools import groupby

import pytest

from vgic.cli import main
from vgic.measure import StressWorkload
from vgic.measure import rounds as measuring
from vgic.measure.results import ResultFile, Sample, busy_text, noise, too_busy
from vgic.measure.rounds import Effort, _flag_disturbed, _plan, measure
from vgic.report import render

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
    _flag_disturbed([taken], [sample.floor for sample in taken], 4)
    assert [sample.counts_for_medians for sample in taken] == [True, True, True, True, False, False]


def test_nothing_is_set_aside_where_too_little_would_be_left_and_that_is_flagged():
    taken = samples(100.0, 99.0, 95.0, 80.0, 79.0, 78.0)
    _flag_disturbed([taken], [sample.floor for sample in taken], 4)
    assert all(sample.counts_for_medians for sample in taken)
    assert [sample.flags for sample in taken] == [(), (), ()] + 3 * [("disturbed, but counts",)]


@pytest.fixture
def busy(monkeypatch, raw_sample):
    """Measures two designs with workers that find the machine as busy as they are told: a floor a process."""

    def run(floors, effort, mode="senders"):
        ran = []

        def worker(plan):
            floor = floors[len(ran)]
            ran.append([workload["arguments"]["events"] for workload in plan["workloads"]])
            for task in plan["tasks"]:
                raw = {**raw_sample, "design": task["design"], "mode": mode}
                # The second workload is never disturbed.
                yield {**task, "raw": raw, "floors": [100.0 if task["workload"] else floor, 100.0]}

        monkeypatch.setattr(measuring, "_worker", worker)
        workloads = [StressWorkload(events=events, mode=mode, label=f"e{events}") for events in (1, 2)]
        told = []
        results, floor = measure(workloads, ["a", "b"], effort, progress=lambda done, text: told.append((done, text)))
        assert floor["rate"] == 100.0
        assert all(0 < done <= 1 for done, _ in told)
        loads = [workload.to_dict() for workload in workloads]
        method = {**effort.to_dict(), "extra_processes": len(ran) - effort.processes, "too_busy": too_busy(results)}
        return ran, ResultFile("vgic compare", loads, results, method, {"rate": 1e8})

    return run


def test_a_quiet_machine_is_measured_as_planned(busy):
    ran, file = busy([100.0, 100.0], Effort(processes=2, rounds=3))
    assert ran == [[1, 2], [1, 2]]
    assert (too_busy(file.results), busy_text(file.results), noise(file.results)) == ([], "", [])


def test_a_busy_machine_is_measured_longer_until_there_is_enough(busy):
    ran, file = busy([50.0, 100.0, 50.0, 100.0, 100.0, 100.0], Effort(processes=3, rounds=3))
    # One of three processes was quiet, 3 samples; the fourth is, too, and is for the workload alone that lacks some.
    assert ran == [[1, 2], [1, 2], [1, 2], [1]]
    assert too_busy(file.results) == []
    assert noise(file.results)[0].startswith("12 of 42 samples were taken while the machine was slower")
    one = file.result("a", "e1")
    assert (len(one.samples), one.flags, one.doubts, one.ratio_of_medians) == (12, {"disturbed": 6}, {}, False)


def test_a_machine_that_stays_busy_is_said_to_be_too_busy_to_tell(busy, monkeypatch, tmp_path, capsys):
    effort = Effort(processes=2, rounds=3)
    ran, file = busy([50.0, 50.0, 50.0, 50.0, 100.0], effort)
    # Twice as long, and no longer.
    assert ran == [[1, 2], [1, 2], [1], [1]]
    one = file.result("a", "e1")
    assert one.flags == {"disturbed, but counts": 12}
    assert all(sample.counts_for_medians for sample in one.samples)
    assert too_busy(file.results) == ["e1"]
    text = busy_text(file.results)
    assert text.startswith("This machine is too busy to tell, for e1: after 4 processes ")
    assert noise(file.results) == []
    page = render(file)
    assert f"<b>{text}.</b>" in page
    assert page.index(text) < page.index("<h2>Results</h2>")
    assert "set aside" not in page[: page.index("<h2>How it was measured")]
    again = ResultFile.from_json(file.to_json())
    assert (too_busy(again.results), again.method["too_busy"]) == (["e1"], ["e1"])

    monkeypatch.setattr("vgic.cli.compare.measure_all", lambda *_, **__: file)
    assert main(["compare", "--output", str(tmp_path)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith(f"{text}. ")
    assert "As the machine was busy, 2 more processes ran than the 2 planned" in told


def test_where_few_rounds_are_undisturbed_for_both_the_ratio_is_one_of_medians(raw_sample):
    from vgic.measure.results import make_result

    def taken(disturbed):
        flags = [("disturbed",) if number in disturbed else () for number in range(8)]
        return [Sample(2.0 + number, 0, number, 0, raw_sample, flags[number], 1.0) for number in range(8)]

    base, mine = taken({0, 1}), taken({2, 3})
    made = make_result("b", "w", "senders", mine, baseline="a", baseline_samples=base)
    assert made.ratio_of_medians
    assert noise([made])[1] == (
        "w, b: fewer than 6 rounds are undisturbed for it and for a, so the ratio is that of their medians"
    )
    others = [replace(made, design="c"), replace(made, design="a"), replace(made, workload="x")]
    assert noise([made, *others])[1:] == [
        "w, b, c: fewer than 6 rounds are undisturbed for each and for a, so the ratios are those of their medians",
        "x, b: fewer than 6 rounds are undisturbed for it and for a, so the ratio is that of their medians",
    ]
    made = make_result("b", "w", "senders", taken({2, 3}), baseline="a", baseline_samples=taken({2}))
    assert not made.ratio_of_medians


@pytest.mark.parametrize("fields", [{"processes": 0}, {"rounds": 0}, {"seconds": 0}, {"seconds": float("nan")}])
def test_effort_is_checked(fields):
    (name,) = fields
    with pytest.raises(ValueError, match=f"^{name}: "):
        Effort(**fields)

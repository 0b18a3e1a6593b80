import json

import pytest

from vgic import ConservationError, ResultError, ResultFile, Sample
from vgic.measure import StressWorkload
from vgic.measure.results import make_result, make_sample
from vgic.measure.stats import spread_of


def sample(rate, process=0, round_=0, raw=None):
    made = make_sample(raw, process=process, round=round_)
    return Sample(rate, made.process, made.round, made.cpu, made.counts)


def test_quartiles_are_those_of_the_samples():
    assert spread_of([1.0, 2.0, 3.0, 4.0, 5.0]) == (3.0, 2.0, 4.0)
    assert spread_of([7.0]) == (7.0, 7.0, 7.0)
    assert spread_of([2.0, 1.0]).median == 1.5
    assert spread_of([1.0, 2.0, 3.0, 4.0, 5.0]).half_width == 1.0
    with pytest.raises(ValueError, match="no samples"):
        spread_of([])


@pytest.mark.parametrize(("mode", "rate"), [("live", 95 / 2.0), ("lockstep", 60 / 0.5), ("senders", 95 / 0.5)])
def test_what_the_rate_counts_depends_on_the_mode(raw_sample, mode, rate):
    assert make_sample({**raw_sample, "mode": mode}).rate == rate


@pytest.mark.parametrize("name", ["sent", "delivered", "coalesced", "dropped", "pending", "pending_loaded"])
def test_a_sample_that_does_not_add_up_is_an_error(raw_sample, name):
    raw_sample[name] += 1
    with pytest.raises(ConservationError, match=r"^v6.10: sent .* \+ dropped ") as caught:
        make_sample(raw_sample)
    assert "\n" not in str(caught.value)


def test_doubtful_samples_are_flagged(raw_sample):
    raw = {**raw_sample, "mode": "live", "guest_exits": 0, "delivered": 0, "pending": 67}
    assert make_sample(raw).flags == ("no vCPU exit", "no delivery")
    assert make_sample(raw, masked=True).flags == ("no vCPU exit",)
    assert make_sample({**raw, "mode": "senders"}).flags == ()
    assert make_sample({**raw_sample, "cpu_seconds": 0.0}).flags == ("no time passed",)


def test_a_ratio_is_made_within_a_round(raw_sample):
    # The machine is twice as slow in the second round: the ratio does not see it.
    base = [sample(100.0, 0, 0, raw_sample), sample(50.0, 0, 1, raw_sample), sample(80.0, 1, 0, raw_sample)]
    mine = [sample(75.0, 0, 1, raw_sample), sample(150.0, 0, 0, raw_sample), sample(120.0, 1, 0, raw_sample)]
    result = make_result("b", "w", "lockstep", mine, baseline="a", baseline_samples=base)
    assert (result.ratio, result.ratio_low, result.ratio_high) == (1.5, 1.5, 1.5)
    assert result.rate == 120.0
    assert result.counts["sent"] == 300


def test_a_guest_that_takes_nothing_is_rated_by_sends(raw_sample):
    taken = make_sample(raw_sample, masked=True)
    assert taken.rate == 95 / 0.5
    assert make_result("a", "w", "lockstep", [taken], masked=True).unit == "LPIs accepted a CPU second"
    assert make_result("a", "w", "lockstep", [taken]).unit == "LPIs delivered a CPU second"
    assert make_result("a", "w", "live", [taken]).unit == "LPIs accepted a second"


def test_grace_periods_are_told_if_sends_waited_for_them(raw_sample):
    result = make_result("a", "w", "senders", [sample(1.0, raw=raw_sample)])
    assert result.waited_for_grace_periods
    assert result.grace_period_text == (
        "waited for 10 grace periods of 25000.0 us on average, one every 10 sends; 12% of the wall time"
    )
    rare = make_result("a", "w", "senders", [sample(1.0, raw={**raw_sample, "grace_periods": 0})])
    assert not rare.waited_for_grace_periods


def test_no_baseline_no_ratio(raw_sample):
    result = make_result("b", "w", "lockstep", [sample(1.0, raw=raw_sample)])
    assert (result.baseline, result.ratio) == (None, None)


@pytest.fixture
def file(raw_sample):
    one = make_result("v6.10", "busy", "senders", [sample(2e6, raw=raw_sample)])
    workload = StressWorkload(label="busy", mode="senders")
    return ResultFile("vgic stress", [workload.to_dict()], [one], {"samples": 1}, {"rate": 3e8})


def test_a_file_survives_json(file):
    assert ResultFile.from_json(file.to_json()) == file


def test_the_schema_has_what_scripts_read(file):
    data = json.loads(file.to_json())
    assert data["schema"] == 1
    row = data["results"][0]
    assert row.keys() >= {"design", "rate", "samples", "delivered", "coalesced", "dropped", "pending", "sent"}
    assert row["floor_multiple"] == 150
    assert row["sent"] == row["delivered"] + row["coalesced"] + row["dropped"] + row["pending"] - row["pending_loaded"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[]", "no schema"),
        ("{}", "no schema"),
        ('{"schema": 2}', "schema 2: this version reads schema 1"),
        ('{"schema": 1}', "no command"),
    ],
)
def test_another_file_is_refused(text, message):
    with pytest.raises(ResultError, match=message):
        ResultFile.from_json(text)


def test_the_machine_is_described_and_a_file_that_says_less_is_read(file):
    data = json.loads(file.to_json())
    known = {"cpu", "cores", "place", "numa_nodes", "page_size", "lse", "atomics_in_place", "virtual", "profile"}
    old = {"cpus", "architecture", "kernel", "python"}
    assert data["machine"].keys() == known | old
    data["machine"] = {name: data["machine"][name] for name in ("cpu", *old)}
    assert ResultFile.from_json(json.dumps(data)).machine == data["machine"]
    data["machine"] = "AMD EPYC"
    with pytest.raises(ResultError, match="a field has the wrong type"):
        ResultFile.from_json(json.dumps(data))


def test_notebook_view_is_escaped(file):
    file.workloads[0]["name"] = "<script>"
    assert "<script>" not in file._repr_html_()
    assert "v6.10" in file._repr_html_()

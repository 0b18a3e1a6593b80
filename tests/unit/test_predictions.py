import json
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest

import vgic
from vgic import (
    ClosedWorkload,
    ConservationError,
    PredictedWorkload,
    Prediction,
    ResultFile,
    WorkloadError,
    _core,
    predict,
)
from vgic.predict.chrome_trace import chrome_trace, short_workload, trace_json
from vgic.predict.explain import lines, locks, spent, what_if
from vgic.predict.prediction import PREDICTED_DESIGNS, check_predicted, free_names, prediction_file, prediction_result
from vgic.predict.workload import CLOSED_LOOPS
from vgic.report import render

SMALL = PredictedWorkload(vcpus=2, devices=2, events=3, iterations=8, warmup=2)
LOOP = ClosedWorkload(vcpus=2, queues=2, in_flight=8, requests=100)


def test_the_same_seed_gives_the_same_result():
    first = predict(SMALL, "v6.8-rc1", seed=7)
    assert predict(SMALL, "v6.8-rc1", seed=7) == first
    assert predict(SMALL, "v6.8-rc1", seed=8).raw != first.raw


def test_another_process_gives_the_same_result():
    code = (
        "import json, vgic\n"
        "w = vgic.PredictedWorkload(vcpus=2, devices=2, events=3, iterations=8, warmup=2)\n"
        "print(json.dumps([vgic.predict(w, d, seed=3).raw for d in ('v6.8-rc1', 'gicv4')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [predict(SMALL, design, seed=3).raw for design in ("v6.8-rc1", "gicv4")]
    assert json.loads(done.stdout) == json.loads(json.dumps(here))


SOUND = [design.name for design in vgic.designs() if not design.unsound]


@pytest.mark.parametrize("entry", ["direct", "ioctl", "ioctl-many:4", "ioctl-registered", "irqfd"])
@pytest.mark.parametrize("guest", ["fixed", "as-published"])
def test_every_run_adds_up(entry, guest):
    for design in [*SOUND, "gicv4"]:
        for gap in (0, 2.5):
            workload = PredictedWorkload(
                vcpus=2, devices=3, events=2, iterations=6, warmup=1, guest=guest, entry=entry, gap_us=gap
            )
            done = predict(workload, design)
            assert done.raw["sent"] == 42
            window = done.window
            # A flood's window ends with the last sender; with a pace it ends with the first.
            assert (window["sent"], window["accepted"]) == (36, 36) or (gap and window["sent"] <= 36)
            assert window["delivered"] <= window["accepted"] <= window["sent"]
            assert done.rate == done.accepted_rate == window["accepted"] / done.seconds
            assert done.latency["samples"] == window["delivered"]
            assert done.accesses > 0 or design == "gicv4"
            assert (done.raw["delivered"] > 0) == (guest == "fixed")
            for kind in done.threads:
                # A sender that has finished before the last has no more time to spend; what somebody had under way when
                # the clock started or stopped is counted whole or not at all, and this run is short.
                spent_seconds = sum(kind["seconds"].values())
                exact = kind["kind"] == "sender" and not gap
                most = done.seconds if exact else 1.1 * done.seconds + 1e-6
                assert 0 < spent_seconds <= kind["count"] * most


@pytest.mark.parametrize("design", PREDICTED_DESIGNS)
def test_a_closed_loop_answers_what_it_is_asked(design):
    done = predict(LOOP, design)
    # Two vCPUs: one may answer just when the other has given the last answer.
    assert done.window["requests"] in (100, 101)
    assert done.rate == pytest.approx(done.window["requests"] / done.seconds)
    assert done.response["samples"] > 0
    assert done.response["median_seconds"] >= 10e-6
    # No more than the vCPUs can serve, with some jitter.
    assert done.rate < 1.2 * 2 / 10e-6


def test_rates_of_one_window_do_not_contradict_each_other():
    for iterations in (1, 5, 40):
        workload = PredictedWorkload(vcpus=8, devices=8, events=8, iterations=iterations)
        for design in PREDICTED_DESIGNS:
            done = predict(workload, design, "graviton3")
            assert done.delivered_rate <= done.accepted_rate <= 1.05 * workload.offered


def test_a_cold_start_is_no_latency():
    short, long = (
        predict(PredictedWorkload(iterations=iterations), "v6.10").latency["median_seconds"] for iterations in (5, 86)
    )
    assert short == pytest.approx(long, rel=0.05)


def test_a_run_that_does_not_add_up_is_no_prediction():
    done = predict(SMALL, "v6.10")
    with pytest.raises(ConservationError, match=r"^v6.10: sent 61 LPIs, but"):
        Prediction("v6.10", SMALL, done.machine, 1, {**done.raw, "sent": done.raw["sent"] + 1})


def test_a_prediction_can_be_pickled():
    done = predict(SMALL, "v6.10", trace=100)
    assert pickle.loads(pickle.dumps(done)) == done


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("vcpus", 0, "vcpus"),
        ("vcpus", 513, "vcpus"),
        ("vcpus", 1.5, "vcpus"),
        ("devices", 0, "devices"),
        ("devices", 1025, "devices"),
        ("events", 0, "events"),
        ("events", 65537, "events"),
        ("mapped", -1, "mapped"),
        ("mapped", 57300, "devices x events"),
        ("iterations", 0, "iterations"),
        ("iterations", True, "iterations"),
        ("warmup", -1, "warmup"),
        ("guest", "none", "guest"),
        ("entry", "vhost", "entry"),
        ("entry", 5, "entry: 5 is unknown"),
        ("entry", "ioctl-", "entry: 'ioctl-' is unknown .*ioctl, ioctl-many, ioctl-registered"),
        ("entry", "ioctl-many:", "entry: 'ioctl-many:' is unknown"),
        ("entry", "ioctl-many:-1", "entry: 'ioctl-many:-1' is unknown"),
        ("entry", "ioctl-many:\N{ARABIC-INDIC DIGIT FOUR}", "entry"),
        ("entry", "ioctl-many:16\n", "entry"),
        ("entry", "irqfd:16", "entry: 'irqfd:16' is unknown"),
        ("entry", "ioctl-many:0", "entry ioctl-many: 0 is out of range 1 to 1024"),
        ("entry", "ioctl-many:1025", "entry ioctl-many: 1025 is out of range 1 to 1024"),
        ("gap_us", -1, "gap"),
        ("gap_us", 2e6, "gap"),
        ("gap_us", float("nan"), "gap"),
        ("gap_us", "5", "gap"),
        ("f_count", "sub", "f-count"),
        ("list_registers", 17, "list-registers"),
    ],
)
def test_bad_fields_are_named(field, value, name):
    with pytest.raises((WorkloadError, TypeError), match=f"^{name}") as caught:
        PredictedWorkload(**{field: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("vcpus", 0, "vcpus"),
        ("queues", 513, "queues"),
        ("in_flight", 0, "in-flight"),
        ("service_us", 0, "service"),
        ("network_us", float("inf"), "network"),
        ("interrupts", "some", "interrupts"),
        ("packet_us", -1, "packet"),
        ("rx_usecs", -1, "rx-usecs"),
        ("tx_usecs", 1e7, "tx-usecs"),
        ("client_us", float("nan"), "client"),
        ("servers", 17, "servers"),
        ("pipeline", 0, "pipeline"),
        ("movi_us", -0.5, "movi"),
        ("requests", 0, "requests"),
        ("warmup", -1, "warmup"),
        ("entry", "", "entry"),
        ("entry", "ioctl-many:0", "entry ioctl-many"),
        ("list_registers", 0, "list-registers"),
    ],
)
def test_bad_fields_of_a_closed_loop_are_named(field, value, name):
    with pytest.raises(WorkloadError, match=f"^{name}"):
        ClosedWorkload(**{field: value})


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"design": "v6.99"}, "unknown design 'v6.99': did you mean"),
        ({"design": "gicv3"}, "did you mean gicv4"),
        ({"design": "zzzz"}, "gicv4 is known here besides"),
        ({"design": "v6.7"}, "unsound"),
        ({"machine": "cray"}, "unknown machine 'cray'"),
        ({"machine": "generic-arm64-3"}, r"vcpus \+ devices: 4 threads, a core each, but generic-arm64-3 has 3 cores"),
        ({"seed": -1}, "seed: -1 is out of range"),
        ({"trace": -1}, "trace: -1 is out of range"),
        ({"free": ["vgic_irq.refcnt"]}, r"free: v7.3 has .* did you mean vgic_irq.refcount.*known: .*irq_lock"),
        ({"free": ["refcount"], "design": "gicv4"}, "free: gicv4 has no field, lock or line"),
    ],
)
def test_bad_arguments_are_named(arguments, text):
    with pytest.raises(ValueError, match=text) as caught:
        predict(SMALL, **arguments)
    assert "\n" not in str(caught.value)


def test_only_predictions_take_gicv4():
    assert check_predicted(["gicv4", "v6.10", "gicv4"]) == ["gicv4", "v6.10"]
    with pytest.raises(vgic.UnknownDesign):
        vgic.design("gicv4")


def test_a_closed_loop_has_no_trace():
    with pytest.raises(WorkloadError, match="trace"):
        predict(LOOP, "v6.10", trace=10)


def test_the_length_follows_the_devices_unless_it_is_given():
    assert PredictedWorkload(devices=1, events=1).rounds == 20_000
    assert PredictedWorkload(devices=1, events=1).warmup_rounds == 2_000
    assert PredictedWorkload(devices=64, events=64).rounds == 10
    assert PredictedWorkload(iterations=3).warmup_rounds == 2
    assert PredictedWorkload(iterations=3, warmup=0).warmup_rounds == 0


@pytest.mark.parametrize(
    "workload",
    [
        SMALL,
        PredictedWorkload(entry="ioctl", gap_us=0, f_count="add", mapped=3, label="x"),
        PredictedWorkload(entry="ioctl-many", f_count="none"),
        ClosedWorkload(entry="ioctl-many:3"),
        LOOP,
    ],
    ids=lambda workload: workload.name,
)
def test_a_workload_comes_back_from_its_dictionary(workload):
    data = json.loads(json.dumps(workload.to_dict()))
    assert type(workload).from_dict(data) == workload


def test_flags_name_what_differs():
    workload = PredictedWorkload(entry="ioctl", gap_us=0)
    assert workload.flags == "-v 16 -d 16 -e 16 --entry ioctl --gap 0"


def test_as_published_is_a_flood_of_ioctls_unless_told_otherwise():
    workload = PredictedWorkload(guest="as-published")
    assert (workload.entry, workload.gap_us, workload.offered) == ("ioctl", 0.0, None)
    assert workload.flags == "-v 16 -d 16 -e 16 --guest as-published"
    assert (PredictedWorkload().entry, PredictedWorkload().gap_us) == ("irqfd", 5.0)
    other = PredictedWorkload(guest="as-published", entry="irqfd", gap_us=5)
    assert other.flags == "-v 16 -d 16 -e 16 --guest as-published --entry irqfd --gap 5"
    assert type(other).from_dict(json.loads(json.dumps(other.to_dict()))) == other


def test_a_count_of_references_needs_an_ioctl():
    for entry in ("irqfd", "direct", "ioctl-registered"):
        with pytest.raises(WorkloadError, match=f"f-count: only with entry ioctl or ioctl-many, not {entry}"):
            PredictedWorkload(entry=entry, f_count="add")
    assert PredictedWorkload(entry="ioctl-many:4", f_count="add").f_count == "add"


def test_a_call_of_many_msis_says_how_many():
    for workload in (PredictedWorkload(entry="ioctl-many"), ClosedWorkload(entry="ioctl-many")):
        assert workload.entry == workload.to_dict()["entry"] == "ioctl-many:16"
        assert " --entry ioctl-many:16" in workload.flags
    assert PredictedWorkload(entry="ioctl-many:016").entry == "ioctl-many:16"
    assert PredictedWorkload(entry="ioctl-many:1024").entry == "ioctl-many:1024"


#: All senders want the VM's file at the same time.
IOCTLS = PredictedWorkload(vcpus=16, devices=16, events=4, iterations=20, gap_us=0, entry="ioctl")


def by(entry, workload=IOCTLS, design="v6.10", **more):
    return predict(replace(workload, entry=entry, **more), design, "graviton3").raw


def fetches(entry):
    """How often the line of the VM's file goes from core to core."""
    return sum(line["transfers"] for line in by(entry)["lines"] if line["object"] == "file")


def test_a_call_of_one_msi_is_the_ioctl():
    assert by("ioctl-many:1") == by("ioctl")
    assert by("ioctl-many:1", LOOP) == by("ioctl", LOOP)


def test_a_registered_file_is_an_ioctl_without_a_reference():
    assert by("ioctl-registered") == by("ioctl", f_count="none") == by("ioctl-many:1", f_count="none")
    assert fetches("ioctl") > 0
    assert fetches("ioctl-registered") == fetches("irqfd") == 0


def test_a_call_takes_what_is_due_and_waits_for_nothing():
    # Each sends long before its next MSI is due.
    kept_up = {"gap_us": 50.0, "iterations": 10}
    assert by("ioctl-many:16", **kept_up) == by("ioctl", **kept_up)
    one_client = ClosedWorkload(vcpus=1, queues=1, in_flight=1, requests=50)
    assert by("ioctl-many:16", one_client) == by("ioctl", one_client)
    # In a flood all are due at once.
    one, two, four, many = (fetches(f"ioctl-many:{msis}") for msis in (1, 2, 4, 16))
    assert one > two > four > many > 0
    assert one > 8 * many


def test_a_latency_begins_with_the_call():
    def mean_from_each_turn(done):
        """From when a call came to an MSI until the guest took it, in seconds."""
        begun, taken = {}, {}
        for kind, _, _, begin, _, number in done.trace:
            {"send": begun, "deliver": taken}.get(kind, {}).setdefault(number, begin)
        # What was taken while its next send was under way has a number that no send has.
        both = begun.keys() & taken.keys()
        assert len(both) > 0.9 * len(taken)
        return sum(taken[number] - begun[number] for number in both) / len(both) * 1e-12

    one, many = (
        predict(replace(IOCTLS, entry=entry, warmup=0), "v6.10", "graviton3", trace=10**5)
        for entry in ("ioctl", "ioctl-many")
    )
    assert one.latency["mean_seconds"] == pytest.approx(mean_from_each_turn(one), rel=0.03)
    assert many.latency["mean_seconds"] > 1.05 * mean_from_each_turn(many)


def test_a_call_of_many_keeps_up_with_more():
    one, many = (
        predict(replace(IOCTLS, entry=entry, gap_us=1.0), "v6.10", "graviton3") for entry in ("ioctl", "ioctl-many")
    )
    assert one.rate < 0.75 * one.workload.offered < 0.9 * many.workload.offered < many.rate
    assert many.delivered_rate > 1.1 * one.delivered_rate


def test_the_core_refuses_a_number_of_msis_that_no_entry_has():
    loads = (
        (_core.predict, {"devices": 1, "events": 1, "iterations": 1}),
        (_core.predict_closed, {"queues": 1, "in_flight": 1, "service_ps": 1, "network_ps": 1, "requests": 1}),
    )
    for function, load in loads:
        load |= {"design": "v6.10", "machine": vgic.machine("generic-arm64-2").to_core(), "vcpus": 1}
        for msis in (0, 1025):
            with pytest.raises(ValueError, match=f"msis_per_call.*{msis}"):
                function(entry="ioctl", msis_per_call=msis, **load)
        for entry in ("direct", "irqfd"):
            with pytest.raises(ValueError, match=f"msis_per_call must be 1 with entry {entry}, not 2"):
                function(entry=entry, msis_per_call=2, **load)


def test_what_is_saved_of_the_reference_makes_a_flood_faster():
    rates = [
        predict(replace(IOCTLS, entry=entry), design, "graviton3").rate / predict(IOCTLS, design, "graviton3").rate
        for design in ("v6.10", "hardened")
        for entry in ("ioctl", "ioctl-many:2", "ioctl-many:4", "ioctl-registered", "direct")
    ]
    for of_a_design in (rates[:5], rates[5:]):
        one, two, four, registered, direct = of_a_design
        assert one == 1 < two < four < direct
        assert four > 2
        assert 2 < registered < direct


def test_direct_injection_has_no_entry():
    for workload in (IOCTLS, replace(IOCTLS, gap_us=2.5), LOOP):
        assert by("ioctl-many", workload, "gicv4") == by("irqfd", workload, "gicv4")


FLOOD = PredictedWorkload(vcpus=8, devices=8, events=4, iterations=15, gap_us=0)


def test_what_is_free_costs_nothing():
    busy = predict(FLOOD, "v6.8-rc1")
    free = predict(FLOOD, "v6.8-rc1", free=["vgic_irq[0]"])
    stalled = {f"{line['object']}[{line['line']}]": line["stall_seconds"] for line in free.lines}
    assert stalled.get("vgic_irq[0]", 0) == 0
    assert free.rate > busy.rate
    assert set(free_names("v6.8-rc1")) >= {"vgic_irq[0]", "lpi_list_lock", "vgic_irq.refcount"}
    assert not any(name.startswith("absent") for name in free_names("v6.10"))


def test_what_if_finds_the_line_that_the_baseline_hangs_on():
    base, rows = what_if(FLOOD, "v6.8-rc1")
    assert base == predict(FLOOD, "v6.8-rc1")
    assert 1 <= len(rows) <= 10
    assert rows == sorted(rows, key=lambda row: -row.ratio)
    assert rows[0].ratio > 1
    assert rows[0].line.name in {"vgic_translation_cache_entry[0]", "vgic_dist[1]", "vgic_irq[0]"}
    gains = {row.line.name: row.ratio for row in rows}
    assert gains["vgic_translation_cache_entry[0]"] > 1
    assert gains["vgic_dist[1]"] > 1


def test_shares_add_up():
    done = predict(FLOOD, "v6.8-rc1")
    for kind in spent(done.raw, smallest=-1):
        assert sum(kind.shares.values()) == pytest.approx(1, abs=0.02)
    senders = spent(done.raw)[0]
    assert next(iter(senders.shares)) == "waiting for lpi_list_lock"
    assert all(share >= 0.005 for share in senders.shares.values())
    assert locks(done.raw)[0].name == "lpi_list_lock"
    assert [line.a_send_ns for line in lines(done.raw)] == sorted((x.a_send_ns for x in lines(done.raw)), reverse=True)
    assert spent(predict(SMALL, "gicv4").raw)
    assert lines(predict(SMALL, "gicv4").raw) == []


def results(workload, designs, seeds=(1, 2, 3), machine="generic-arm64-64"):
    groups = [[predict(workload, design, machine, seed=seed) for seed in seeds] for design in designs]
    made = [prediction_result(group, groups[0] if len(groups) > 1 else ()) for group in groups]
    return prediction_file(made, workload, vgic.machine(machine), notes=["a <note>"])


@pytest.mark.parametrize("workload", [SMALL, LOOP], ids=["open", "closed"])
def test_a_result_file_comes_back_from_json(workload):
    file = results(workload, ["v6.8-rc1", "v6.10", "gicv4"])
    again = ResultFile.from_json(file.to_json())
    assert again == file
    assert again.method["kind"] == "predicted"
    assert again.machine["name"] == "generic-arm64-64"
    assert again.results[0].ratio == 1
    for result in again.results:
        assert result.mode == workload.kind
        assert result.unit.endswith("a second of virtual time")
        assert len(result.samples) == 3
        assert result.rate == sorted(sample.rate for sample in result.samples)[1]
        assert result.prediction["seeds"] == [1, 2, 3]


def test_measured_results_have_no_prediction():
    measured = vgic.run(vgic.StressWorkload(mode="lockstep", iterations=5))
    assert measured.prediction is None
    assert "prediction" not in measured.to_dict()


@pytest.mark.parametrize("designs", [["v6.10"], ["v6.8-rc1", "v6.10", "gicv4"]], ids=len)
@pytest.mark.parametrize("workload", [SMALL, LOOP], ids=["open", "closed"])
def test_the_report_says_that_it_is_a_prediction(workload, designs):
    file = results(workload, designs, seeds=(1,), machine="graviton3")
    html = render(ResultFile.from_json(file.to_json()))
    assert "a prediction" in html
    assert "Nothing here was measured" in html
    assert "graviton3" in html
    assert "a &lt;note&gt;" in html
    for parameter in ("distance", "grace_period_min", "world_switch_in"):
        assert f"<code>{parameter}</code>" in html
    assert f"vgic predict {workload.flags}" in html
    assert "each pinned to one CPU" not in html


def nested(slices):
    """Whether slices of one track contain each other or are apart."""
    open_ends = []
    for begin, end in sorted(slices, key=lambda one: (one[0], -one[1])):
        while open_ends and open_ends[-1] <= begin:
            open_ends.pop()
        if open_ends and end > open_ends[-1]:
            return False
        open_ends.append(end)
    return True


DRAWN = PredictedWorkload(vcpus=3, devices=2, entry="ioctl", iterations=5)


@pytest.mark.parametrize("workload", [SMALL, FLOOD, DRAWN, replace(DRAWN, entry="ioctl-many", gap_us=0)])
def test_a_trace_can_be_drawn(workload):
    traced = [predict(workload, design, trace=100_000) for design in ("v6.8-rc1", "patch-15", "v7.1.8", "gicv4")]
    trace = json.loads("".join(trace_json(traced)))
    assert trace == json.loads(json.dumps(chrome_trace(traced)))
    events = trace["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert len(slices) == sum(len(one.trace) for one in traced)
    tracks = {}
    ps = {(event["pid"], event["tid"]): [] for event in slices}
    for event in slices:
        begin = round(event["ts"] * 1e6)
        tracks.setdefault((event["pid"], event["tid"]), []).append((begin, begin + round(event["dur"] * 1e6)))
        ps[event["pid"], event["tid"]].append(event)
    assert all(nested(one) for one in tracks.values())
    names = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    assert names == set(tracks)
    assert {event["pid"] for event in events if event["name"] == "process_name"} == {1, 2, 3, 4}
    begun = {event["id"]: event for event in events if event["ph"] == "s"}
    ended = [event for event in events if event["ph"] == "f"]
    assert len(ended) > 4
    assert len(begun) == len(ended) == len({event["id"] for event in ended})
    for event in ended:
        start = begun[event["id"]]
        assert event["bp"] == "e"
        assert start["ts"] <= event["ts"]
        assert any(one["cat"] == "send" and one["ts"] == start["ts"] for one in ps[start["pid"], start["tid"]])
        assert any(one["cat"] == "deliver" and one["ts"] == event["ts"] for one in ps[event["pid"], event["tid"]])


def test_a_trace_is_of_a_short_run():
    short = short_workload(PredictedWorkload(vcpus=4, devices=4, events=4))
    assert short.rounds == 62
    assert short.warmup_rounds == 1
    assert short_workload(SMALL).rounds == 8
    assert len(predict(SMALL, "v6.10", trace=10).trace) == 10
    assert predict(SMALL, "v6.10").trace == []


def test_a_named_loop_says_what_is_not_usual():
    loop = ClosedWorkload(**CLOSED_LOOPS["redis-memtier"])
    assert loop.flags == (
        "--closed napi -v 16 --queues 16 --in-flight 200 --service 10 --network 50 --rx-usecs 20 --tx-usecs 50"
    )
    assert ClosedWorkload(servers=2, client_us=3, pipeline=4, movi_us=5, packet_us=0).flags.endswith(
        "--packet 0 --client 3 --servers 2 --pipeline 4 --movi 5"
    )


@pytest.mark.parametrize("design", ["v6.10", "gicv4"])
def test_a_server_for_all_queues_answers_what_other_vcpus_polled(design):
    loop = ClosedWorkload(
        vcpus=3, queues=3, in_flight=24, requests=300, interrupts="napi", servers=1, client_us=2, movi_us=40
    )
    predicted = predict(loop, design)
    assert predicted.window["requests"] >= 300
    assert 0 < predicted.interrupts_per_request <= 2
    spread = predict(replace(loop, servers=None), design)
    assert spread.rate > 1.5 * predicted.rate  # Three servers instead of one.


def test_moves_are_commands_under_load():
    loop = ClosedWorkload(vcpus=2, queues=2, in_flight=16, requests=400, interrupts="napi")

    def taken(gap):
        locks = predict(replace(loop, movi_us=gap), "v7.3").locks
        return next((lock["taken"] for lock in locks if lock["name"] == "its_lock"), 0)

    assert taken(0) == 0
    assert taken(50) > 20

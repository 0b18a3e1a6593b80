"""A recorded guest in virtual time: what is taken of the recording, and what becomes of it."""

import pickle
from array import array
from importlib import import_module

import pytest

import vgic
from vgic import _core
from vgic.machines import machine
from vgic.predict import find_limits
from vgic.trace import Recording, cut

DESIGNS = ("v6.8-rc1", "patch-15", "v6.10", "v7.3", "hardened", "next-04", "gicv4")


class Told(Recording):
    """A guest of two vCPUs with one device; event n is mapped to vCPU n, modulo 2.

    What it does is put in the order of time when it is played.
    """

    def __init__(self, events=2):
        super().__init__("guest")
        self.later = []
        self.append(1, 0, "mapd", 8, 4, 1)
        for vcpu in (0, 1):
            self.append(1, 0, "mapc", 7 + vcpu, vcpu, 1)
        for event in range(events):
            self.append(1, 0, "mapti", 8, event, 8192 + event, 7 + event % 2)

    def add(self, time_us, kind, *operands):
        self.later.append((time_us, kind, operands))

    def msi(self, time_us, event):
        self.add(time_us, "msi", 8, event)

    def take(self, time_us, event, vcpu=None, lasts=5):
        vcpu = event % 2 if vcpu is None else vcpu
        self.add(time_us, "acknowledge", vcpu, 8192 + event)
        self.add(time_us + lasts, "eoi", vcpu, 8192 + event)

    def played(self):
        for time_us, kind, operands in sorted(self.later, key=lambda event: event[0]):
            self.append(2, time_us, kind, *operands)
        self.later.clear()
        self.vcpus = 2
        return self


def steady(rounds=50, gap=100):
    """Each of two vectors, once in 200 us, taken at once."""
    told = Told()
    for number in range(rounds):
        told.msi(1000 + number * gap, number % 2)
        told.take(1010 + number * gap, number % 2)
    return told


def workload(recording, **values):
    return vgic.RecordedWorkload(recording=recording.played() if hasattr(recording, "later") else recording, **values)


def rows(workload, name, width):
    flat = list(workload.to_core()[name])
    return [tuple(flat[at : at + width]) for at in range(0, len(flat), width)]


def test_what_is_taken_of_a_recording():
    told = Told(events=3)
    told.msi(1000, 0)
    told.msi(1010, 1)
    told.take(1020, 0, lasts=7)
    told.msi(1030, 0)
    told.msi(1040, 0)  # Merged.
    told.msi(1050, 99)  # Of no LPI.
    told.take(1060, 0, lasts=9)
    told.add(1070, "movi", 8, 1, 7)
    told.add(1075, "movi", 8, 1, 7)
    told.msi(1080, 1)
    load = workload(told)
    assert (load.vcpus, load.vectors, load.rounds, load.left_out, load.threads) == (2, 2, 5, 1, 5)
    assert load.offered == pytest.approx(5 / 80e-6)
    assert load.expected == pytest.approx(3 / 80e-6), "what was merged was not taken"
    assert rows(load, "vectors", 3) == [(0, 0, 0), (0, 1, 1)]
    us = 10**6
    assert rows(load, "sends", 3) == [(0, 0, 1), (1, 10 * us, 1), (0, 30 * us, 1), (0, 40 * us, 0), (1, 80 * us, 0)]
    assert rows(load, "handlers", 2) == [(0, 7 * us), (0, 9 * us)]
    assert rows(load, "moves", 3) == [(70 * us, 1, 0)]


def test_every_time_is_scaled():
    load = workload(steady(), scale_time=0.5)
    assert rows(load, "sends", 3)[1] == (1, 50_000_000, 1)
    assert rows(load, "handlers", 2)[0] == (0, 2_500_000)
    assert load.offered == pytest.approx(2 * workload(steady()).offered)
    assert workload(steady(), scale_time=0.0).offered is None
    assert {time for _, time, _ in rows(workload(steady(), scale_time=0.0), "sends", 3)} == {0}


def test_a_collection_that_is_mapped_anew_moves_its_vectors():
    told = steady()
    told.add(2000, "mapc", 7, 1, 1)
    told.msi(7000, 0)
    assert rows(workload(told), "moves", 3) == [(1_000_000_000, 0, 1)]
    assert workload(steady()).to_core()["moves"] == array("Q")


def test_several_devices_are_numbered():
    told = Told()
    told.append(1, 0, "mapd", 0x10, 4, 1)
    told.append(1, 0, "mapti", 0x10, 9, 9000, 8)
    told.msi(10, 1)
    told.add(20, "msi", 0x10, 9)
    assert rows(workload(told), "vectors", 3) == [(0, 0, 1), (1, 0, 1)]


def test_more_queues_are_the_guest_again_from_another_place():
    told = Told(events=1)
    for time in (0, 100, 200, 300, 400):
        told.msi(time, 0)
    told.add(150, "movi", 8, 0, 8)
    load = workload(told, queues_times=2)
    assert (load.vcpus, load.vectors, load.rounds, load.threads) == (4, 2, 10, 7)
    assert load.offered == pytest.approx(2 * workload(told).offered)
    assert rows(load, "vectors", 3) == [(0, 0, 0), (1, 0, 3)]
    us = 10**6
    assert [time // us for vector, time, _ in rows(load, "sends", 3) if vector == 1] == [0, 100, 200, 200, 300]
    assert rows(load, "moves", 3) == [(150 * us, 0, 1), (200 * us, 1, 2), (350 * us, 1, 3)]
    for design in DESIGNS:
        done = vgic.predict(load, design)
        assert done.window["delivered"] + done.window["coalesced"] >= 9, design


@pytest.mark.parametrize("design", DESIGNS)
def test_at_its_own_speed_every_design_keeps_all_of_it(design):
    load = workload(steady())
    done = vgic.predict(load, design)
    assert done.window["sent"] == load.rounds
    assert done.window["coalesced"] == 0
    assert done.seconds == pytest.approx(49 * 100e-6, rel=0.02)
    assert done.delivered_rate == pytest.approx(load.expected, rel=0.05)
    assert vgic.predict(load, design).raw == done.raw


def test_handlers_last_as_recorded_and_keep_others_waiting():
    short, long = Told(events=3), Told(events=3)
    for number in range(30):
        for told, lasts in ((short, 1), (long, 60)):
            told.msi(1000 + 100 * number, 0)
            told.take(1005 + 100 * number, 0, lasts=lasts)
            told.msi(1020 + 100 * number, 2)  # To the same vCPU.
            told.take(1070 + 100 * number, 2, lasts=1)
    fast, slow = (vgic.predict(workload(told), "v6.10").latency["p99_seconds"] for told in (short, long))
    assert fast < 20e-6
    assert 35e-6 < slow < 60e-6


def test_what_was_sent_when_its_handler_had_ended_waits_for_that():
    after, before = Told(events=1), Told(events=1)
    for number in range(100):
        after.msi(1000 + 100 * number, 0)
        after.take(1005 + 100 * number, 0, vcpu=0, lasts=50)
        before.msi(1000 + 100 * number, 0)
        if number % 10 == 0:
            before.take(1005 + 100 * number, 0, vcpu=0, lasts=50)
    waits, merges = (vgic.predict(workload(told, scale_time=0.001), "v6.10") for told in (after, before))
    assert waits.window["coalesced"] == 0
    assert waits.rate < workload(after, scale_time=0.001).offered / 2
    assert merges.window["coalesced"] > 10


@pytest.mark.parametrize("design", DESIGNS)
def test_a_guest_that_moves_its_interrupts_all_the_time_is_predicted(design):
    told = Told()
    for number in range(400):
        told.msi(1000 + 20 * number, number % 2)
        told.take(1005 + 20 * number, number % 2, vcpu=number // 7 % 2)
        if number % 7 == 6:
            told.add(1010 + 20 * number, "movi", 8, number % 2, 7 + (number // 7 + 1) % 2)
    load = workload(told, scale_time=0.02)
    done = vgic.predict(load, design)
    assert rows(load, "moves", 3)
    assert done.window["sent"] == 400
    assert done.window["delivered"] + done.window["coalesced"] >= 398


def test_the_knee_of_a_recorded_guest():
    load = workload(steady(400))
    old, new = find_limits(["v6.8-rc1", "v6.10"], workload=load, precision=0.2)
    assert old.rate is not None
    assert new.rate is not None
    assert old.rate < new.rate < new.beyond
    assert isinstance(new.workload, vgic.RecordedWorkload)
    assert new.workload.offered == pytest.approx(new.rate)
    assert new.to_dict()["scale_time"] == new.workload.scale_time
    assert "gap_us" not in new.to_dict()
    again = vgic.predict(new.workload, "v6.10")
    assert again.delivered_rate >= 0.97 * new.workload.expected


def test_the_bundled_guest_as_points_for_other_processes():
    piece = cut(vgic.read_recording("redis-memtier"), 20, 21)
    point = vgic.Point(workload(piece, scale_time=0.01), "v6.10")
    other = pickle.loads(pickle.dumps(point))
    assert other.predict().raw == point.predict().raw
    assert point.cost > 0
    data = point.workload.to_dict()
    assert (data["recording"], data["msis"], data["mode"]) == (piece.name, piece.msis, "recording")
    assert point.workload.flags == f"--recording {piece.name} --scale-time 0.01"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale_time": -1.0}, r"scale-time: -1 is out of range 0 to 1e\+06"),
        ({"scale_time": float("inf")}, "scale-time: inf is not a number"),
        ({"queues_times": 0}, "queues-times: 0 is out of range 1 to 512"),
        ({"queues_times": 300}, r"vCPUs: 600 is out of range 1 to 512 \(queues-times 300\)"),
        ({"entry": "door"}, "entry: 'door' is unknown"),
        ({"list_registers": 17}, "list-registers: 17 is out of range 1 to 16"),
        ({"recording": "redis-memtier"}, "recording: 'redis-memtier' is not a Recording"),
    ],
)
def test_what_is_wrong_is_one_line(values, message):
    with pytest.raises(vgic.WorkloadError, match=message):
        vgic.RecordedWorkload(**{"recording": steady().played()} | values)


def test_a_recording_without_times_or_msis_is_refused():
    told = Told()
    with pytest.raises(vgic.WorkloadError, match=r"^guest: no MSI in it has an LPI and a vCPU"):
        workload(told)
    told.msi(5, 1)
    told.msi(5, 0)
    with pytest.raises(vgic.WorkloadError, match=r"^guest: its MSIs have no times"):
        workload(told)


def test_a_recording_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(import_module("vgic.predict.recorded"), "_MAX_MSIS", 99)
    assert workload(steady(99)).rounds == 99
    message = r"^guest: 102 MSIs are more than 99: take a stretch of it$"
    with pytest.raises(vgic.WorkloadError, match=message):
        workload(steady(51), queues_times=2)


def test_a_recording_that_lasts_for_years_is_refused():
    message = r"^guest: it would last more than 1,000,000 s: take a stretch of it$"
    told = Told()
    told.msi(0, 0)
    told.msi(10**12, 0)
    assert workload(told).offered == pytest.approx(2e-6)
    told.msi(10**17, 0)
    with pytest.raises(vgic.WorkloadError, match=message):
        workload(told)
    assert workload(told, scale_time=0.0).offered is None
    slow = Told()
    slow.msi(0, 0)
    slow.take(5, 0, lasts=2 * 10**12)
    slow.msi(10, 1)
    with pytest.raises(vgic.WorkloadError, match=message):
        workload(slow)


def test_a_machine_without_enough_cores_is_refused():
    load = workload(steady(), queues_times=20)
    with pytest.raises(vgic.WorkloadError, match="80 threads, a core each, but generic-arm64-64 has 64 cores"):
        vgic.predict(load, "v6.10", "generic-arm64-64")


def core(**values):
    numbers = {"vectors": [0, 0, 0], "sends": [0, 5, 1], "handlers": [], "moves": []} | values
    tables = {name: array("Q", row) for name, row in numbers.items()}
    return _core.predict_recorded("v6.10", machine("generic-arm64-4").to_core(), vcpus=1, **tables)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vectors": []}, "vectors must be 1 to 1024, not 0"),
        ({"vectors": [0, 0, 1]}, "vCPU of a vector must be 0 to 0, not 1"),
        ({"vectors": [2000, 0, 0]}, "device of a vector must be 0 to 1023, not 2000"),
        ({"vectors": [0, 70000, 0]}, "event of a vector must be 0 to 65535, not 70000"),
        ({"vectors": [1023, 65535, 0]}, "devices x events"),
        ({"vectors": [0, 0]}, "vectors: 2 numbers are no whole rows of 3"),
        ({"sends": [1, 5, 1]}, "vector of a send must be 0 to 0, not 1"),
        ({"sends": [0, 2**63, 1]}, "time of a send"),
        ({"handlers": [7, 5]}, "vector of a handler must be 0 to 0, not 7"),
        ({"handlers": [0, 2**63]}, "time of a handler"),
        ({"moves": [5, 0, 1]}, "vCPU of a move must be 0 to 0, not 1"),
        ({"moves": [5, 1, 0]}, "vector of a move must be 0 to 0, not 1"),
        ({"moves": [2**63, 0, 0]}, "time of a move"),
    ],
)
def test_the_core_refuses_what_is_out_of_range(values, message):
    assert core()["window"]["sent"] == 1
    with pytest.raises(ValueError, match=message):
        core(**values)


def test_the_core_takes_whole_numbers_only():
    with pytest.raises(ValueError, match="sends must be a buffer of unsigned 64-bit integers"):
        _core.predict_recorded(
            "v6.10",
            machine("generic-arm64-4").to_core(),
            vcpus=1,
            vectors=array("Q", [0, 0, 0]),
            sends=array("d", [1.0]),
            handlers=array("Q"),
            moves=array("Q"),
        )

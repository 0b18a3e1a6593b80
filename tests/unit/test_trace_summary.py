"""What is in a recording: counts, gaps, merges, moves, by vector and by vCPU."""

import json

import pytest

import vgic
from vgic.trace import Recording, summarize
from vgic.trace.summary import PICTURE, Quantiles


@pytest.fixture
def guest():
    """Two vectors; the first is merged once, the second moves while it is pending."""
    recording = Recording("guest", sha256="ab")
    recording.append(1, 0, "mapc", 0, 0, 1)
    recording.append(2, 0, "mapc", 1, 1, 1)
    recording.append(3, 0, "mapd", 8, 4, 1)
    recording.append(4, 0, "mapti", 8, 0, 8192, 0)
    recording.append(5, 0, "mapti", 8, 1, 8193, 0)
    recording.append(6, 100, "msi", 8, 0, writer=7)
    recording.append(7, 150, "msi", 8, 0, writer=9)
    recording.append(8, 200, "acknowledge", 0, 8192)
    recording.append(9, 230, "eoi", 0, 8192)
    recording.append(10, 400, "msi", 8, 1, writer=7)
    recording.append(11, 450, "movi", 8, 1, 1)
    recording.append(12, 500, "acknowledge", 1, 8193)
    recording.append(13, 600, "eoi", 1, 8193)
    recording.append(14, 700, "msi", 9, 5)
    recording.append(15, 900, "movi", 8, 1, 0)
    recording.append(16, 1000, "sync")
    recording.number_vcpus([0, 1])
    return recording


def test_what_is_counted(guest):
    summary = summarize(guest)
    assert (summary.name, summary.sha256, summary.begin, summary.seconds) == ("guest", "ab", 0.0, 0.001)
    assert (summary.devices, summary.commands, summary.msis, summary.taken) == (2, 8, 4, 2)
    assert (summary.merged, summary.unmapped, summary.movis, summary.movis_pending) == (1, 1, 2, 1)
    assert summary.rate(summary.msis) == pytest.approx(4000)
    assert summary.gaps == Quantiles(3, 50, 250, 300, 300, 300)
    assert summary.latency == Quantiles(2, 100, 100, 100, 100, 100)


def test_each_vector(guest):
    first, second, other = summarize(guest).vectors
    assert [vector.name for vector in (first, second, other)] == ["8:0", "8:1", "9:5"]
    assert (first.intid, first.msis, first.merged, first.movis, first.writers) == (8192, 2, 1, 0, {7, 9})
    assert (first.taken, first.gaps.median, first.latency.median, first.handler.median) == ({0: 1}, 50, 100, 30)
    assert (second.taken, second.movis, second.handler.longest, second.gaps.number) == ({1: 1}, 2, 100, 0)
    assert (other.intid, other.msis, other.merged, other.taken) == (0, 1, 0, {})


def test_each_vcpu_and_the_picture(guest):
    summary = summarize(guest)
    assert [(vcpu.number, vcpu.taken, round(vcpu.handling, 6)) for vcpu in summary.vcpus] == [(0, 1, 0.03), (1, 1, 0.1)]
    assert summary.msis_over_time == [{4: 1, 7: 1, 19: 1, 33: 1}.get(part, 0) for part in range(PICTURE)]
    assert [counts.index(1) for counts in summary.taken_over_time.values()] == [9, 24]
    assert sum(summary.movis_over_time) == 2


def test_an_acknowledge_that_stands_before_its_msi_makes_the_next_no_merge():
    recording = Recording("guest")
    recording.append(1, 0, "mapd", 8, 4, 1)
    recording.append(2, 0, "mapti", 8, 0, 8192, 0)
    recording.append(3, 100, "acknowledge", 0, 8192)
    recording.append(4, 101, "msi", 8, 0)
    recording.append(5, 102, "msi", 8, 0)
    recording.append(6, 5000, "acknowledge", 0, 8192)
    recording.append(7, 9000, "acknowledge", 0, 8192)
    recording.append(8, 10_001, "msi", 8, 0)  # Too late to be that of the line before.
    recording.append(9, 10_002, "msi", 8, 0)
    assert summarize(recording).merged == 1


def test_what_is_unmapped_or_cleared_is_not_pending():
    for kind, operands in (("clear", (8, 0)), ("discard", (8, 0)), ("reset", ())):
        recording = Recording("guest")
        for line in (1, 4):
            recording.append(line, 0, "mapd", 8, 4, 1)
            recording.append(line + 1, 0, "mapti", 8, 0, 8192, 0)
            recording.append(line + 2, 0, "msi", 8, 0)
            recording.append(line + 3, 0, kind, *operands)
        assert summarize(recording).merged == 0, kind


def test_an_event_that_is_mapped_keeps_its_lpi():
    recording = Recording("guest")
    for intid in (8192, 8193):
        recording.append(1, 0, "mapti", 8, 0, intid, 0)
    recording.append(2, 0, "msi", 8, 0)
    recording.append(2, 0, "mapi", 8, 9000, 0)
    recording.append(2, 0, "msi", 8, 9000)
    assert [vector.intid for vector in summarize(recording).vectors] == [8192, 9000]


def test_a_recording_without_times_has_no_rates():
    recording = Recording("guest")
    recording.append(1, 0, "msi", 8, 0)
    summary = summarize(recording)
    assert (summary.seconds, summary.rate(1), summary.vcpus) == (0.0, 0.0, [])


def test_quantiles_are_times_that_there_were():
    assert Quantiles.of([]) == Quantiles(0, 0, 0, 0, 0, 0)
    assert Quantiles.of([5]) == Quantiles(1, 5, 5, 5, 5, 5)
    assert Quantiles.of(range(100)) == Quantiles(100, 10, 50, 90, 99, 99)


def test_json_has_all_of_it(guest):
    data = json.loads(json.dumps(summarize(guest).to_dict()))
    assert (data["schema"], data["recording"], data["msis"], data["merged"]) == (1, "guest", 4, 1)
    assert data["vectors"][0]["writers"] == [7, 9]
    assert data["vectors"][1]["taken"] == {"1": 1}
    assert data["over_time"]["taken"]["0"][9] == 1
    assert sum(phase["msis"] for phase in data["phases"]) == 4


def test_the_bundled_guest_merged_nothing():
    summary = summarize(vgic.read_recording("virtio-4cpu"))
    assert (summary.msis, summary.taken, summary.merged, summary.unmapped) == (5296, 5296, 0, 0)
    assert sum(vcpu.taken for vcpu in summary.vcpus) == 5296
    assert sum(sum(vector.taken.values()) for vector in summary.vectors) == 5296

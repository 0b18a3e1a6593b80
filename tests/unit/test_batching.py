"""A closed loop with the batching of a recording."""

import pytest

import vgic
from vgic.predict.batching import batched_as
from vgic.trace import Recording, read_recording


def _of_vectors(vectors):
    """A recording in which so many vectors of a NIC send four times each, and another device once."""
    recording = Recording("guest", sha256="ab")
    for number in range(4 * vectors):
        recording.append(number + 1, 10 * number, "msi", 8, number % vectors)
    if vectors:
        recording.append(100, 1000, "msi", 9, 0)
    recording.number_vcpus([0])
    return recording


LOOP = vgic.ClosedWorkload(interrupts="napi", in_flight=64)


@pytest.fixture(scope="module")
def redis():
    return read_recording("redis-memtier")


@pytest.mark.parametrize("wanted", [0.2, 0.4])
def test_the_loop_has_the_recorded_number_of_msis_a_request(redis, wanted):
    msis = batched_as(redis, 1, LOOP).msis
    found = batched_as(redis, round(msis / wanted), LOOP)
    assert found.per_request == pytest.approx(wanted, rel=0.001)
    assert found.predicted == pytest.approx(wanted, rel=0.05)
    assert (found.vectors, found.workload.queues, found.workload.vcpus) == (8, 4, redis.vcpus)
    assert found.workload.rx_usecs == found.workload.tx_usecs > 0
    assert found.workload.requests is None


def test_more_msis_than_without_moderation_is_no_moderation(redis):
    found = batched_as(redis, 1, LOOP)
    assert found.per_request > found.predicted
    assert found.workload.rx_usecs == 0


def test_what_it_cannot_do_it_says(redis):
    with pytest.raises(vgic.WorkloadError, match=r"^interrupts: only a loop with napi"):
        batched_as(redis, 1000, vgic.ClosedWorkload())
    with pytest.raises(vgic.WorkloadError, match=r"^requests: 0"):
        batched_as(redis, 0, LOOP)
    with pytest.raises(vgic.WorkloadError, match=r"^queues: .* 3 busy vectors, which are no pairs"):
        batched_as(_of_vectors(3), 10, LOOP)
    assert batched_as(_of_vectors(3), 10, LOOP, queues=2).workload.queues == 2
    with pytest.raises(vgic.WorkloadError, match=r"it has no MSIs$"):
        batched_as(_of_vectors(0), 10, LOOP)

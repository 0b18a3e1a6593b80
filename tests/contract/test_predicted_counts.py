"""Native and predicted runs of one thread agree on what happened, design by design: hits, misses, evictions."""

import pytest

from vgic import PredictedWorkload, StressWorkload, designs, predict, run

SENDERS = [row.name for row in designs() if not row.unsound]


@pytest.mark.parametrize("design", SENDERS)
@pytest.mark.parametrize("events", [1, 16, 17, 40])
def test_sends_hit_miss_and_evict_as_often_as_on_a_real_thread(design, events):
    rounds = 12
    native = run(StressWorkload(events=events, iterations=rounds, mode="senders"), design).counts
    # Nobody takes LPIs in either: the vCPU of the prediction has them masked, so a send finds its LPI queued.
    workload = PredictedWorkload(
        vcpus=1, devices=1, events=events, iterations=rounds, warmup=0, gap_us=0, entry="direct", guest="as-published"
    )
    predicted = predict(workload, design, "generic-arm64-2").raw
    for name in ("sent", "cache_hits", "cache_misses", "cache_evictions", "grace_periods"):
        assert predicted[name] == native[name], name
    accounted = predicted["coalesced"] + predicted["pending"]
    assert accounted == native["coalesced"] + native["pending"] == rounds * events

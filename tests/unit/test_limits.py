"""Up to which load a design keeps up: the bisection, on small machines."""

import pytest

import vgic
from vgic.errors import Interrupted, WorkloadError
from vgic.predict.limit import KEEPS_UP, keeps_up

SMALL = vgic.PredictedWorkload(vcpus=4, devices=4, events=4, iterations=30)
MACHINE = "generic-arm64-8"


def test_a_limit_is_between_a_load_that_is_kept_up_with_and_one_that_is_not():
    (found,) = vgic.find_limits(["v6.8-rc1"], MACHINE, SMALL)
    assert found.rate < found.beyond <= found.rate * 1.05
    assert found.workload.offered == found.rate
    assert found.workload.events == SMALL.events
    assert keeps_up(found.result, found.workload)
    # A user who tries the loads on both sides sees the same.
    again = vgic.predict(found.workload, "v6.8-rc1", MACHINE)
    assert again.delivered_rate >= KEEPS_UP * found.rate
    gap = 4e6 / found.beyond
    beyond = vgic.PredictedWorkload(vcpus=4, devices=4, events=4, iterations=30, gap_us=float(f"{gap:.4g}"))
    assert vgic.predict(beyond, "v6.8-rc1", MACHINE).delivered_rate < KEEPS_UP * found.beyond


def test_the_same_arguments_find_the_same_wherever_they_are_computed():
    names = ["v6.8-rc1", "v6.10"]
    here = vgic.find_limits(names, MACHINE, SMALL)
    with vgic.local_executor(2) as pool:
        there = vgic.find_limits(names, MACHINE, SMALL, executor=pool)
    assert [one.to_dict() for one in here] == [one.to_dict() for one in there]
    # One alone finds what it finds among others; a gap that the workload has plays no part.
    paced = vgic.PredictedWorkload(vcpus=4, devices=4, events=4, iterations=30, gap_us=77)
    assert vgic.find_limits(names[1:], MACHINE, paced)[0].to_dict() == here[1].to_dict()


def test_a_design_matters_where_it_keeps_up_and_the_other_does_not():
    old, new, bound = vgic.find_limits(["v6.8-rc1", "v6.10", vgic.GICV4], MACHINE, SMALL)
    assert new.matters_from(old) == old.beyond < new.rate
    assert old.matters_from(new) is None
    assert old.matters_from(old) is None
    assert bound.rate > new.rate


def test_a_coarse_search_tries_less():
    (fine,) = vgic.find_limits(["v6.10"], MACHINE, SMALL)
    (coarse,) = vgic.find_limits(["v6.10"], MACHINE, SMALL, precision=0.5)
    assert coarse.tried < fine.tried
    assert coarse.beyond <= coarse.rate * 1.5


def test_medians_of_several_seeds_decide():
    (found,) = vgic.find_limits(["v6.10"], MACHINE, SMALL, seeds=(1, 2, 3))
    assert len(found.result.samples) == 3


def test_a_guest_that_takes_nothing_has_a_limit_too():
    masked = vgic.PredictedWorkload(vcpus=4, devices=4, events=4, iterations=30, guest="as-published")
    (found,) = vgic.find_limits(["v6.10"], MACHINE, masked)
    assert found.rate > 0
    assert found.latency is None


def test_progress_rises_to_the_end():
    shares = []
    vgic.find_limits(["v6.8-rc1", "v6.10"], MACHINE, SMALL, progress=lambda share, _: shares.append(share))
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.3
    assert 0.8 < shares[-1] < 1


def test_a_search_that_is_stopped_gives_what_it_found():
    limits = {name: vgic.find_limits([name], MACHINE, SMALL)[0] for name in ("v6.8-rc1", "v6.10")}
    short, long = sorted(limits, key=lambda name: limits[name].tried)
    assert limits[short].tried < limits[long].tried
    tried = set()

    def stop(_share, text):
        if text.startswith(long):
            tried.add(text)
        if len(tried) > limits[short].tried:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        vgic.find_limits([long, short], MACHINE, SMALL, progress=stop)
    assert [one.to_dict() for one in stopped.value.finished] == [limits[short].to_dict()]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"precision": 0}, "precision"),
        ({"precision": float("nan")}, "precision"),
        ({"seeds": ()}, "seeds: none given"),
        ({"seeds": (-1,)}, "seeds"),
    ],
)
def test_bad_arguments_are_refused(arguments, why):
    with pytest.raises(WorkloadError, match=why):
        vgic.find_limits(["v6.10"], MACHINE, SMALL, **arguments)


def test_a_machine_that_is_too_small_is_refused():
    with pytest.raises(WorkloadError, match="8 threads, a core each"):
        vgic.find_limits(["v6.10"], "generic-arm64-4", SMALL)

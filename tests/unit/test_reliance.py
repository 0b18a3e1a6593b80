"""Which values of a machine an answer hangs on."""

import pytest

from vgic.machines import PARAMETERS, machine
from vgic.predict import PredictedWorkload, predict
from vgic.predict.reliance import LEAST_SHARE, Reliance, reliance, trust_text

MACHINE = machine("graviton2")


def test_shares_are_of_times_and_means_over_the_runs():
    runs = [
        {"distance": 6e-6, "syscall": 2e-6, "hit_rmw": 2e-6, "invalidate": 3e-6, "wake": 1e-9},
        {"syscall": 1e-6, "spin_locks": 5e-6},
    ]
    found = reliance(MACHINE, runs)
    assert [(one.name, one.status) for one in found] == [
        ("syscall", "guessed"),
        ("spin_locks", "published"),
        ("distance", "measured"),
        ("invalidate", "fitted"),
        ("hit_rmw", "published"),
    ]
    assert [one.share for one in found] == pytest.approx([0.6, 0.5, 0.3, 0.15, 0.1], rel=1e-3)
    text = trust_text(MACHINE, runs)
    assert text == (
        f"Of its {len(PARAMETERS) + 1} values the answer hangs on 5: 1 measured (30% of the time), 2 published (10% of "
        "the time), 1 fitted to rates, 1 guessed (60% of the time). Checked against no measured rate."
    )
    assert reliance(MACHINE, [{}]) == reliance(MACHINE, []) == []


def test_an_answer_hangs_on_what_it_was_charged_for():
    workload = PredictedWorkload(vcpus=2, devices=2, events=4, iterations=20, gap_us=0, entry="ioctl")
    run = predict(workload, "v6.10", MACHINE)
    names = {one.name for one in reliance(MACHINE, [run.charged])}
    assert {"distance", "syscall", "hit_rmw", "world_switch_in"} <= names
    # Nothing is sent by irqfd, waits for a grace period or is directly injected.
    assert not {"irqfd", "grace_period_min", "gicv4_translate"} & set(run.charged)
    assert set(run.charged) <= {"distance", *PARAMETERS}
    # What it hangs on moves it, and what it does not, does not.
    for name in ("irqfd", "workqueue_hop", "gicv4_translate", "gicv4_deliver", "gicv4_doorbell"):
        other = MACHINE.with_values(**{name: MACHINE.number(name) * 3})
        assert predict(workload, "v6.10", other).rate == run.rate, name
    assert predict(workload, "v6.10", MACHINE.with_values(syscall=360)).rate < 0.95 * run.rate
    assert all(isinstance(one, Reliance) and one.share >= LEAST_SHARE for one in reliance(MACHINE, [run.charged]))

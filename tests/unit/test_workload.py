import json
import math

import pytest

import vgic
from vgic import ReplayWorkload, StressWorkload, WorkloadError


def test_defaults_are_those_of_the_kernels_test():
    w = StressWorkload()
    assert (w.vcpus, w.devices, w.events, w.iterations, w.mode) == (1, 1, 16, 1000, "live")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vcpus": 0}, "vcpus: 0 is out of range 1 to 512"),
        ({"vcpus": 513}, "vcpus: 513 is out of range 1 to 512"),
        ({"devices": 0}, "devices: 0 is out of range"),
        ({"devices": 2000}, "devices: 2000 is out of range 1 to 1024 in live mode"),
        ({"devices": 57345, "events": 1, "mode": "lockstep"}, "devices: 57345 is out of range 1 to 57344"),
        ({"mode": "lockstep", "churn": True}, "churn: only in live mode, not in lockstep"),
        ({"mode": "senders", "window": 4}, "window: only in live mode, not in senders"),
        ({"events": 0}, "events: 0 is out of range 1 to 65536"),
        ({"events": 65537}, "events: 65537 is out of range"),
        ({"events": 57345}, "57345 LPIs, but INTIDs 8192 to 65535 hold only 57344"),
        ({"events": 1, "mapped": 57344}, "57345 LPIs"),
        ({"mapped": -1}, "mapped: -1 is out of range"),
        ({"iterations": 0}, "iterations: 0 is out of range"),
        ({"iterations": 1, "seconds": 1.0}, "iterations and seconds: give one of them"),
        ({"seconds": 0}, "seconds: 0 is out of range"),
        ({"seconds": math.inf}, "seconds: inf is not a number"),
        ({"seconds": math.nan}, "seconds: nan is not a number"),
        ({"seconds": 1e9}, "seconds: 1e\\+09 is out of range"),
        ({"mode": "fast"}, "mode: 'fast' is unknown"),
        ({"guest": "real"}, "guest: 'real' is unknown"),
        ({"entry": "ioctl"}, "entry: 'ioctl' is unknown"),
        ({"list_registers": 0}, "list-registers: 0 is out of range 1 to 16"),
        ({"list_registers": 17}, "list-registers: 17 is out of range 1 to 16"),
        ({"window": -1}, "window: -1 is out of range"),
        ({"window": 4, "guest": "as-published"}, "window: the as-published guest takes nothing"),
        ({"mode": "senders", "list_registers": 2}, "list-registers: not in senders mode, where no vCPU runs"),
    ],
)
def test_each_field_is_checked_in_one_line(fields, message):
    with pytest.raises(WorkloadError, match=message) as caught:
        StressWorkload(**fields)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [1.5, True, "1", None])
def test_what_is_no_whole_number_is_a_type_error(value):
    with pytest.raises(TypeError, match=f"vcpus: {value!r} is not a whole number"):
        StressWorkload(vcpus=value)


def test_the_whole_intid_space_fits():
    assert StressWorkload(devices=7, events=8192).devices == 7


def test_stress_survives_json():
    w = StressWorkload(vcpus=4, devices=4, seconds=0.5, window=4, mapped=4096, churn=True, label="big")
    assert StressWorkload.from_dict(json.loads(json.dumps(w.to_dict()))) == w
    assert w.flags == "-v 4 -d 4 -e 16 --mode live --mapped 4096 --window 4 --churn"


def test_threads_are_counted_as_they_run():
    assert StressWorkload(vcpus=2, devices=3).threads == 5
    assert StressWorkload(vcpus=2, devices=3, mode="senders").threads == 1
    assert StressWorkload(vcpus=2, devices=3, mode="lockstep").threads == 1


def test_replay_is_checked_too():
    recording = vgic.read_recording("virtio-4cpu")
    assert ReplayWorkload(recording=recording).loops == 1
    with pytest.raises(WorkloadError, match="loops: 0 is out of range"):
        ReplayWorkload(recording=recording, loops=0)
    with pytest.raises(WorkloadError, match="loops and seconds"):
        ReplayWorkload(recording=recording, loops=1, seconds=1)
    with pytest.raises(WorkloadError, match="is not a Recording"):
        ReplayWorkload(recording="virtio-4cpu")
    assert ReplayWorkload(recording=recording).to_dict()["sha256"] == recording.sha256

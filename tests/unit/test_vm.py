from array import array

import numpy as np
import pytest

import vgic


def test_signal_msi_is_the_cores_method_itself():
    vm = vgic.Vm(vcpus=1)
    assert vm.signal_msi.__self__ is vm._core


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        iter,
        lambda n: array("I", n),
        lambda n: array("q", n),
        lambda n: np.array(n, dtype=np.uint32),
        lambda n: np.array(n, dtype=np.int64),
        lambda n: np.repeat(np.array(n, dtype=np.uint32), 2)[::2],
    ],
    ids=["list", "tuple", "iterator", "array-I", "array-q", "uint32", "int64", "strided"],
)
def test_signal_msis_takes_any_integers(make):
    vm = vgic.Vm(vcpus=1)
    vm.enable()
    its = vm.its[0]
    its.mapc(0, 0)
    its.mapd(8, 4)
    for event in range(3):
        its.mapti(8, event, 8192 + event, 0)
    assert vm.signal_msis(make([8, 8, 8]), make([0, 1, 2])) == 3


@pytest.mark.parametrize("bad", [[-1], [2**32], ["x"], 5, b"abcd", np.zeros((1, 1), np.uint32), [1.5]])
def test_signal_msis_names_what_it_cannot_take(bad):
    with pytest.raises(ValueError, match="device_ids: "):
        vgic.Vm(vcpus=1).signal_msis(bad, [0])


def test_its_and_vcpus_say_what_they_are():
    with vgic.Vm(vcpus=2, its=2) as vm:
        vm.enable()
        assert [its.index for its in vm.its] == [0, 1]
        assert vm.its[0].doorbell != vm.its[1].doorbell
        assert all(its.enabled for its in vm.its)
        assert all(vcpu.lpis_enabled for vcpu in vm.vcpu)
        assert repr(vm.vcpu[1]) == "<Vcpu 1: LPIs enabled>"
        vm.its[1].enabled = False
        assert "disabled" in repr(vm.its[1])


def test_a_reset_without_frames():
    vm = vgic.Vm(2, max_vcpus=3)
    vm.plug(2)
    for _ in range(2):
        vm.enable()
        its = vm.its[0]
        its.mapc(0, vcpu=2)
        its.mapd(1)
        its.mapti(1, 0, 8192, 0)
        assert vm.signal_msi(1, 0) == 1
        assert vm.vcpu[2].acknowledge() == 8192  # also the second time
        vm.reset()
        assert vm.lpis() == []
        assert not its.enabled
        assert [vcpu.lpis_enabled for vcpu in vm.vcpu] == [False] * 3
        assert [vcpu.present for vcpu in vm.vcpu] == [True] * 3
        with pytest.raises(OSError, match="ITS"):
            vm.signal_msi(1, 0)

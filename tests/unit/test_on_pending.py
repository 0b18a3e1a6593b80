"""Who is told that a vCPU may have something: each way in which it may, nobody oversleeps, few are told in vain."""

import contextlib
import gc
import os
import select
import sys
import threading
import weakref
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vgic
from vgic.vm import Told, Vcpu

ENABLED, DISABLED = 0xA1, 0xA0


def guest(design: str = "hardened", **arguments: object) -> tuple[vgic.Vm, list[int]]:
    """Two vCPUs with a collection each, device 8 with events 0 and 1 for vCPU 0; what is told."""
    told: list[int] = []
    vm = vgic.Vm(vcpus=2, design=design, on_pending=lambda vcpu: told.append(vcpu.index), **arguments)  # type: ignore[arg-type]
    vm.enable()
    its = vm.its[0]
    for vcpu in range(2):
        its.mapc(vcpu, vcpu)
    its.mapd(8, event_bits=4)
    for event in range(2):
        vm.write_config(8192 + event, ENABLED)
        its.mapti(8, event, 8192 + event, 0)
    for vcpu in vm.vcpu:
        assert vcpu.acknowledge() is None
    told.clear()
    return vm, told


def take(vcpu: Vcpu) -> list[int]:
    """Looks until nothing is found."""
    taken = []
    while (intid := vcpu.acknowledge()) is not None:
        taken.append(intid)
        vcpu.eoi(intid)
    return taken


def reconfigure(vm: vgic.Vm, byte: int) -> None:
    vm.write_config(8192, byte)
    vm.its[0].inv(8, 0)


def send(vm: vgic.Vm) -> None:
    vm.signal_msi(8, 0)


def movall(vm: vgic.Vm) -> None:
    vm.its[0].movall(0, 1)
    take(vm.vcpu[0])


def movi(vm: vgic.Vm) -> None:
    vm.its[0].movi(8, 0, 1)
    take(vm.vcpu[0])


def mapc(vm: vgic.Vm) -> None:
    vm.its[0].mapc(0, 1)
    take(vm.vcpu[0])


def unmask(vm: vgic.Vm) -> None:
    reconfigure(vm, ENABLED)


def distributor_on(vm: vgic.Vm) -> None:
    vm.distributor_enabled = True


def lpis_on(vm: vgic.Vm) -> None:
    vm.vcpu[0].lpis_enabled = True


def remap(vm: vgic.Vm) -> None:
    vm.write_pending_table(0, 8193, True)
    vm.its[0].discard(8, 1)
    vm.its[0].mapti(8, 1, 8193, 0)


def masked(vm: vgic.Vm) -> None:
    reconfigure(vm, DISABLED)
    send(vm)


def distributor_off(vm: vgic.Vm) -> None:
    vm.distributor_enabled = False
    send(vm)


def lpis_off(vm: vgic.Vm) -> None:
    vm.vcpu[0].lpis_enabled = False
    vm.write_pending_table(0, 8192, True)


def nothing(vm: vgic.Vm) -> None:
    pass


def invall(vm: vgic.Vm) -> None:
    vm.write_config(8192, ENABLED)
    vm.its[0].invall(0)


#: What is before, what makes a vCPU have something, and which one.
WAYS: dict[str, tuple[Callable[[vgic.Vm], None], Callable[[vgic.Vm], object], int]] = {
    "send": (nothing, send, 0),
    "many sends": (nothing, lambda vm: vm.signal_msis([8, 8], [0, 1]), 0),
    "doorbell": (nothing, lambda vm: vm.signal_msi_at(vm.its[0].doorbell, 8, 0), 0),
    "INT": (nothing, lambda vm: vm.its[0].int(8, 0), 0),
    "INV": (masked, unmask, 0),
    "INVALL": (masked, invall, 0),
    "MOVI": (send, movi, 1),
    "MOVALL": (send, movall, 1),
    "MAPC": (send, mapc, 1),
    "MAPTI with a bit of the pending table": (nothing, remap, 0),
    "distributor on": (distributor_off, distributor_on, 0),
    "EnableLPIs": (lpis_off, lpis_on, 0),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("design", ["v6.8-rc1", "v6.10", "v7.3", "hardened"])
def test_each_way_in_which_a_vcpu_may_have_something(design: str, way: str) -> None:
    before, now, vcpu = WAYS[way]
    vm, told = guest(design)
    before(vm)
    told.clear()
    now(vm)
    assert vcpu in told
    if way == "distributor on" and design != "hardened":
        # The kernel kicks every vCPU, but what was sent meanwhile is in no queue until it is sent again.
        send(vm)
    assert take(vm.vcpu[vcpu])
    assert not take(vm.vcpu[1 - vcpu])


def test_it_is_told_once_for_each_look() -> None:
    vm, told = guest()
    for _ in range(3):
        send(vm)
        vm.signal_msi(8, 1)
    assert told == [0]
    assert vm.vcpu[0].highest_pending() is not None
    send(vm)
    assert told == [0, 0], "it has looked meanwhile"
    assert take(vm.vcpu[0]) == [8192, 8193]
    assert vm.vcpu[0].has_pending is False
    assert (told, vm.vcpu[0].told.in_vain) == ([0, 0], 0)


def test_what_is_told_in_vain_is_counted() -> None:
    vm, _ = guest()
    before = vm.vcpu[0].told
    send(vm)
    reconfigure(vm, DISABLED)
    assert not vm.vcpu[0].has_pending
    after = vm.vcpu[0].told
    assert (after.times - before.times, after.in_vain - before.in_vain) == (1, 1)
    assert vgic.Vm(vcpus=1).vcpu[0].told == Told(0, 0), "nobody is told"


def test_the_function_may_use_the_vm() -> None:
    taken: list[int] = []
    vm, _ = guest()
    vm.vcpu[0].on_pending = lambda vcpu: taken.extend(take(vcpu))
    send(vm)
    send(vm)
    vm.its[0].int(8, 1)
    assert taken == [8192, 8192, 8193]


def test_a_vcpu_may_have_a_function_of_its_own() -> None:
    vm, told = guest()
    mine: list[Vcpu] = []
    send(vm)
    vm.vcpu[0].on_pending = mine.append
    assert mine == [vm.vcpu[0]], "what it has now is told at once"
    assert vm.vcpu[0].on_pending == mine.append
    take(vm.vcpu[0])
    send(vm)
    assert len(mine) == 2
    vm.vcpu[0].on_pending = None
    take(vm.vcpu[0])
    told.clear()
    send(vm)
    assert (len(mine), told) == (2, [0])
    with pytest.raises(TypeError, match="on_pending must be a function that takes a Vcpu, or None, not 3"):
        vm.vcpu[0].on_pending = 3  # type: ignore[assignment]


def test_what_the_function_raises_does_not_undo_the_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: raised.append(what.exc_value))
    vm, _ = guest()
    error = RuntimeError("no thread")

    def fail(_: Vcpu) -> None:
        raise error

    vm.vcpu[0].on_pending = fail
    assert vm.signal_msi(8, 0) == 1
    assert raised == [error]
    assert take(vm.vcpu[0]) == [8192]


def test_ctrl_c_in_the_function_is_the_callers() -> None:
    vm, told = guest()

    def interrupted(_: Vcpu) -> None:
        raise KeyboardInterrupt

    vm.vcpu[0].on_pending = interrupted
    vm.its[0].movi(8, 1, 1)
    with pytest.raises(KeyboardInterrupt):
        vm.signal_msis([8, 8], [0, 1])
    assert told == [1], "the other one is told all the same"


def test_an_eventfd_wakes_a_thread() -> None:
    vm, _ = guest()
    fd = vm.vcpu[0].eventfd()
    again = vm.vcpu[0].eventfd()
    assert not os.get_inheritable(fd)
    taken: list[int] = []

    def run() -> None:
        while len(taken) < 3:
            select.select([fd], [], [])
            os.eventfd_read(fd)
            taken.extend(take(vm.vcpu[0]))

    thread = threading.Thread(target=run)
    thread.start()
    for event in (0, 1, 0):
        count = len(taken)
        vm.signal_msi(8, event)
        while len(taken) == count:
            pass
    thread.join()
    assert sorted(taken) == [8192, 8192, 8193]
    os.close(fd)
    vm.signal_msi(8, 0)
    assert os.eventfd_read(again) >= 1, "each is closed for itself"
    os.close(again)


def test_an_eventfd_that_comes_late_is_readable_at_once() -> None:
    vm, _ = guest()
    send(vm)
    fd = vm.vcpu[0].eventfd()
    assert os.eventfd_read(fd) == 1
    os.close(fd)


def test_a_vm_that_tells_goes_with_its_last_user() -> None:
    def tells_itself() -> "weakref.ref[object]":
        vm, _ = guest()
        vm.vcpu[0].on_pending = lambda vcpu: vm.its[0].enabled
        return weakref.ref(vm._on_pending)

    gone = tells_itself()
    gc.collect()
    assert gone() is None


def test_threads_that_sleep_until_they_are_told_take_everything() -> None:
    """Two vCPU threads, a device, and a guest that moves the LPIs to and fro: at the end nothing is left behind."""
    wake = [threading.Event(), threading.Event()]
    vm = vgic.Vm(vcpus=2, design="v6.10", on_pending=lambda vcpu: wake[vcpu.index].set())
    vm.enable()
    for vcpu in range(2):
        vm.its[0].mapc(vcpu, vcpu)
    vm.its[0].mapd(8, event_bits=4)
    for event in range(4):
        vm.write_config(8192 + event, ENABLED)
        vm.its[0].mapti(8, event, 8192 + event, 0)
    done = threading.Event()

    def run(index: int) -> None:
        while True:
            wake[index].wait()
            wake[index].clear()
            take(vm.vcpu[index])
            if done.is_set():
                return

    threads = [threading.Thread(target=run, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for round_ in range(2000):
        vm.signal_msi(8, round_ % 4)
        if round_ % 3 == 0:
            vm.its[0].movi(8, round_ % 4, round_ // 3 % 2)
    while vm.counts()["pending"]:
        pass
    done.set()
    for event in wake:
        event.set()
    for thread in threads:
        thread.join()


OPERATIONS: list[Callable[[vgic.Vm, int], object]] = [
    lambda vm, n: vm.signal_msi(8, n & 1),
    lambda vm, n: vm.its[0].int(8, n & 1),
    lambda vm, n: vm.its[0].movi(8, n & 1, n >> 1 & 1),
    lambda vm, n: vm.its[0].movall(n & 1, 1 - (n & 1)),
    lambda vm, n: vm.its[0].mapc(n & 1, n >> 1 & 1),
    lambda vm, n: (vm.write_config(8192 + (n & 1), ENABLED), vm.its[0].inv(8, n & 1)),
    lambda vm, n: (vm.write_config(8192 + (n & 1), DISABLED), vm.its[0].inv(8, n & 1)),
    lambda vm, n: (vm.write_config(8192 + (n & 1), ENABLED), vm.its[0].invall(n >> 1 & 1)),
    lambda vm, n: vm.its[0].clear(8, n & 1),
    lambda vm, n: setattr(vm, "distributor_enabled", bool(n & 1)),
    lambda vm, n: setattr(vm.vcpu[n & 1], "lpis_enabled", bool(n & 2)),
    lambda vm, n: setattr(vm.its[0], "enabled", bool(n & 1)),
    lambda vm, n: (vm.its[0].discard(8, n & 1), vm.its[0].mapti(8, n & 1, 8192 + (n & 1), n >> 1 & 1)),
]


@settings(max_examples=150)
@given(
    design=st.sampled_from(["v6.8-rc1", "v6.10", "v7.1.8", "v7.3", "hardened"]),
    steps=st.lists(st.tuples(st.integers(0, len(OPERATIONS) + 1), st.integers(0, 3)), max_size=40),
)
def test_who_sleeps_until_told_misses_nothing(design: str, steps: list[tuple[int, int]]) -> None:
    vm, told = guest(design)
    for number, n in steps:
        if number >= len(OPERATIONS):
            # One that was told gets to run, or none.
            if (n & 1) in told:
                told[:] = [vcpu for vcpu in told if vcpu != n & 1]
                take(vm.vcpu[n & 1])
            continue
        with contextlib.suppress(OSError, vgic.CommandError):
            OPERATIONS[number](vm, n)
    while told:
        take(vm.vcpu[told.pop()])
    queued = {lpi["queued_on"] for lpi in vm.lpis() if lpi["pending"] and lpi["enabled"]}
    on = vm.distributor_enabled
    assert not (on and queued - {None}), "nobody was told of what is queued"

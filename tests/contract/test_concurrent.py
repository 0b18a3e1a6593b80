"""Threads on one VM: nothing is lost, nothing is delivered twice, nothing is left behind, in every design."""

import random
import threading
from contextlib import suppress

import pytest
from quirks import quirks

import vgic

ITERATIONS = 500


def adds_up(counts) -> bool:
    """Whether every send has exactly one end."""
    ends = counts["delivered"] + counts["coalesced"] + counts["dropped"] + counts["pending"]
    return counts["sent"] + counts["pending_loaded"] == ends


SHAPES = {
    "one vCPU, one device": {"vcpus": 1, "devices": 1, "events": 4},
    "four vCPUs, four devices": {"vcpus": 4, "devices": 4, "events": 4},
    "overcommitted cache": {"vcpus": 1, "devices": 2, "events": 17},
    "a window of eight": {"vcpus": 2, "devices": 2, "events": 8, "window": 8},
    "one list register": {"vcpus": 2, "devices": 2, "events": 16, "list_registers": 1},
}


@pytest.mark.usefixtures("returns_memory")
@pytest.mark.parametrize("shape", SHAPES)
def test_live_traffic_with_churn_adds_up(design, shape):
    # On a busy machine the vCPUs may come late: then the run has not shown much.
    for _ in range(50):
        sample = vgic._core.stress(design, iterations=ITERATIONS, mode="live", churn=True, **SHAPES[shape])
        assert adds_up(sample)
        if sample["delivered"] and sample["guest_exits"]:
            return
    pytest.fail("no vCPU made progress")


@pytest.mark.usefixtures("returns_memory")
def test_live_replay_of_a_recorded_guest_adds_up(design):
    guest = vgic.read_recording("virtio-4cpu")
    sample = vgic._core.replay(design, guest.program(), vcpus=guest.vcpus, mode="live", loops=1)
    assert adds_up(sample)
    assert sample["accepted"] == sample["sent"] == guest.msis


DEVICES, EVENTS, VCPUS = 2, 8, 2


class Threads:
    """Senders, a thread a vCPU, and one that changes mappings, on one VM; their errors fail the test."""

    def __init__(self, design: str, change) -> None:
        self.vm = vgic.Vm(VCPUS, design, its=2)
        self.vm.enable()
        for its in self.vm.its:
            for number in range(VCPUS):
                its.mapc(number, number)
            for device in range(DEVICES):
                its.mapd(device, 5)
                for event in range(EVENTS):
                    self.map(its, device, event, event % VCPUS)
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        self.taken = 0
        self.change = change

    @staticmethod
    def map(its: vgic.Its, device: int, event: int, collection: int) -> None:
        # The second half of the events is shared between the ITSes.
        own = 0 if event >= EVENTS // 2 else its.index * DEVICES * EVENTS
        its.mapti(device, event, 8192 + own + device * EVENTS + event, collection)

    def _guard(self, work) -> None:
        try:
            work()
        except BaseException as error:
            self.errors.append(error)
            self.stop.set()

    def _send(self, its: int) -> None:
        pairs = [(device, event) for device in range(DEVICES) for event in range(EVENTS)] * 4
        devices, events = zip(*pairs, strict=True)
        while not self.stop.is_set():
            self.vm.signal_msis(devices, events, its=its)

    def _serve(self, number: int) -> None:
        vcpu = self.vm.vcpu[number]
        while not self.stop.is_set():
            intid = vcpu.acknowledge()
            if intid is not None:
                vcpu.eoi(intid)

    def _change(self) -> None:
        rng = random.Random(1)
        for _ in range(600):
            if self.stop.is_set():
                return
            with suppress(vgic.CommandError):
                self.change(self, rng, rng.choice(self.vm.its))
        self.stop.set()

    def run(self) -> None:
        works = [self._change, *(lambda n=n: self._send(n) for n in range(2))]
        works += [lambda n=n: self._serve(n) for n in range(VCPUS)]
        threads = [threading.Thread(target=self._guard, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def drain(self) -> None:
        """Switch everything on and take what is left; a send of every event queues what an overtaken one left."""
        self.vm.distributor_enabled = True
        for vcpu in self.vm.vcpu:
            vcpu.lpis_enabled = True
        for its in self.vm.its:
            its.enabled = True
            for device in range(DEVICES):
                for event in range(EVENTS):
                    with suppress(OSError):
                        self.vm.signal_msi_at(its.doorbell, device, event)
        for _ in range(VCPUS + 1):
            for vcpu in self.vm.vcpu:
                while (intid := vcpu.acknowledge()) is not None:
                    vcpu.eoi(intid)
            # Up to v6.18 an LPI that was active when the LPIs of its vCPU were switched off has missed its end.
            for lpi in self.vm.lpis():
                if lpi["active"] and lpi["queued_on"] is not None:
                    self.vm.vcpu[lpi["queued_on"]].eoi(lpi["intid"])


def change_mappings(threads: Threads, rng: random.Random, its: vgic.Its) -> None:
    device, event, collection = rng.randrange(DEVICES), rng.randrange(EVENTS), rng.randrange(VCPUS)
    match rng.randrange(9):
        case 0 | 1:
            its.discard(device, event)
        case 2 | 3 | 4:
            threads.map(its, device, event, collection)
        case 5:
            its.movi(device, event, collection)
        case 6:
            its.mapc(collection, rng.randrange(VCPUS))
        case 7:
            its.movall(rng.randrange(VCPUS), rng.randrange(VCPUS))
        case 8 if quirks(threads.vm.design).clear_undoes:
            its.inv(device, event)
        case 8:
            its.clear(device, event)


def change_devices(threads: Threads, rng: random.Random, its: vgic.Its) -> None:
    device = rng.randrange(DEVICES)
    its.mapd(device, valid=False)
    its.mapd(device, 5)
    if rng.randrange(4) == 0:
        its.mapc(1, valid=False)
        its.mapc(1, 1)
    for event in range(EVENTS):
        threads.map(its, device, event, rng.randrange(VCPUS))


def change_switches(threads: Threads, rng: random.Random, its: vgic.Its) -> None:
    vm, on = threads.vm, rng.random() < 0.7
    match rng.randrange(4):
        case 0:
            vm.vcpu[rng.randrange(VCPUS)].lpis_enabled = on
        case 1:
            its.enabled = on
        case 2:
            vm.distributor_enabled = on
        case 3:
            change_mappings(threads, rng, its)


CHANGES = {"mappings": change_mappings, "devices": change_devices, "switches": change_switches}


@pytest.mark.usefixtures("returns_memory")
@pytest.mark.parametrize("change", CHANGES)
def test_python_threads_add_up_while_another_changes(design, change):
    threads = Threads(design, CHANGES[change])
    threads.run()
    assert adds_up(threads.vm.counts())
    threads.drain()
    counts = threads.vm.counts()
    assert adds_up(counts)
    assert counts["pending"] == 0
    assert counts["delivered"] > 0
    assert not any(lpi["pending"] or lpi["active"] or lpi["queued_on"] is not None for lpi in threads.vm.lpis())

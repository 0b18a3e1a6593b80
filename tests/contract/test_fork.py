"""A child of ``fork`` never hangs, whenever the fork came, and what it makes works; what it inherited says so."""

import multiprocessing
import os
import random
import threading
import warnings

import pytest

import vgic

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    # Python warns of threads in a process that forks: they are what is tested.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

FORKS = int(os.environ.get("VGIC_FORKS", "100"))
TOLD = "this VM was made before a fork"


def new_life(design: str) -> bool:
    """Whether a new VM delivers, on two threads."""
    vm = vgic.Vm(2, design)
    vm.enable()
    its = vm.its[0]
    its.mapd(8, 4)
    taken = []

    def life(number: int) -> None:
        its.mapc(number, number)
        its.mapti(8, number, 8192 + number, number)
        vm.signal_msi(8, number)
        taken.append(vm.vcpu[number].acknowledge())

    threads = [threading.Thread(target=life, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(taken) == [8192, 8193]


def in_child(function, *arguments) -> int:
    """Run ``function`` in a child of ``os.fork``; its exit status: 0 if it returned something true."""
    child = os.fork()
    if child == 0:
        status = 3
        try:
            status = 0 if function(*arguments) else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Traffic:
    """A VM in use: threads that send, take, change mappings, and write registers."""

    def __init__(self, design: str) -> None:
        self.vm = vgic.Vm(2, design)
        self.framed = vgic.Vm(1, design, memory=vgic.GuestMemory({0x4000_0000: bytearray(1 << 22)}))
        self.vm.enable()
        self.stop = threading.Event()
        its = self.vm.its[0]
        its.mapd(8, 4)
        for number in range(2):
            its.mapc(number, number)
        self.remap()
        self.threads = [
            threading.Thread(target=self.loop, args=(do,)) for do in (self.send, self.take, self.remap, self.write)
        ]

    def remap(self) -> None:
        its = self.vm.its[0]
        for event in range(8):
            its.mapti(8, event, 8192 + event, event % 2)
        its.mapd(8, 4)

    def send(self) -> None:
        self.vm.signal_msis([8] * 200, [event % 8 for event in range(200)])

    def take(self) -> None:
        for vcpu in self.vm.vcpu:
            if (intid := vcpu.acknowledge()) is not None:
                vcpu.eoi(intid)

    def write(self) -> None:
        self.framed.its[0].frame.write(vgic.GITS.CBASER, 8, 0x4000_0000)
        self.framed.vcpu[0].frame.write(vgic.GICR.CTLR, 4, 0)

    def loop(self, do) -> None:
        while not self.stop.is_set():
            do()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def refused(function) -> bool:
    try:
        function()
    except RuntimeError as error:
        return str(error).startswith(TOLD)
    return False


@pytest.mark.parametrize("design", ["v6.8-rc1", "patch-15", "rwlock", "v7.1.8"])
def test_a_child_makes_its_own_whenever_the_fork_came(design):
    chance = random.Random(design)
    with Traffic(design) as traffic:
        for number in range(FORKS // 4):
            for _ in range(chance.randrange(50)):
                traffic.vm.counts()
            assert in_child(new_life, design) == 0, number


def test_what_was_inherited_is_refused_in_one_line():
    with Traffic("v7.1.8") as traffic:
        vm, its, framed = traffic.vm, traffic.vm.its[0], traffic.framed
        for use in (
            lambda: vm.signal_msi(8, 0),
            lambda: vm.signal_msis([8], [0]),
            lambda: its.mapti(8, 0, 8192, 0),
            lambda: framed.its[0].frame.translater.write(0x40, 0, 8),
            lambda: framed.its[0].frame.read(vgic.GITS.CTLR, 4),
            lambda: framed.its[0].frame.write(vgic.GITS.CTLR, 4, 1),
            lambda: framed.vcpu[0].frame.write(vgic.GICR.CTLR, 4, 1),
            lambda: framed.save(),
            lambda: vm.vcpu[0].acknowledge(),
            lambda: vm.counts(),
            lambda: vm.write_config(8192, 1),
            lambda: vm.read_pending_table(0, 8192),
            lambda: vm.lpis(),
        ):
            assert in_child(refused, use) == 0
        # It goes without a word.
        assert in_child(lambda: traffic.__dict__.pop("vm") is vm) == 0


def _square(number: int) -> tuple[int, bool]:
    return number * number, new_life("v7.1.8")


def test_multiprocessing_may_fork():
    with Traffic("v7.1.8"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(_square, range(4)) == [(number * number, True) for number in range(4)]


def test_guest_memory_is_of_use_in_a_child():
    memory = vgic.GuestMemory({0x4000_0000: bytearray(1 << 21)})

    def life() -> bool:
        memory.map(0x8000_0000, bytearray(1 << 12))
        vm = vgic.Vm(1, memory=memory)
        return memory.contains(0x8000_0000, 8) and len(vm.its) > 0

    assert in_child(life) == 0


def test_a_run_in_a_child():
    with Traffic("v7.1.8"):
        assert in_child(lambda: vgic.run(vgic.StressWorkload(iterations=20), "v6.10").rate > 0) == 0

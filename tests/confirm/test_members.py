"""Where the members are that a story's accesses are to; the kernel is made up."""

from itertools import pairwise

import pytest

from vgic.confirm.btf import Field
from vgic.confirm.members import Watched, is_watched
from vgic.prove.story import Access, LpiAt, State

IRQ, OTHER, KVM, VCPUS, ITS = 0x1000, 0x2000, 0x3000, {0: 0x4000, 1: 0x5000}, 0x6000
FIELDS = {
    ("vgic_irq", "irq_lock"): Field(8, 4, 0, 32),
    ("vgic_irq", "refcount.refs.counter"): Field(16, 4, 0, 32),
    ("vgic_irq", "pending_latch"): Field(20, 1, 1, 1),
    ("vgic_irq", "enabled"): Field(20, 1, 3, 1),
    ("vgic_irq", "active"): Field(21, 1, 0, 1),
    ("vgic_irq", "on_lr"): Field(21, 1, 7, 1),
    ("kvm_vcpu", "arch.vgic_cpu.ap_list_lock"): Field(4, 4, 0, 32),
    ("vgic_its", "its_lock.owner"): Field(32, 8, 0, 64),
    ("kvm", "arch.vgic.lpi_xa.xa_lock"): Field(64, 4, 0, 32),
}


class Btf:
    def field(self, structure, path):
        return FIELDS[structure, path]


class Kernel:
    kvm = KVM

    def __init__(self, itses=1, lpis=((IRQ, 8192, True), (OTHER, 8193, True))):
        self.count = itses
        self.lpis = lpis

    def read(self):
        return State(0, tuple(lpi(f"{at:#x}", intid, indexed) for at, intid, indexed in self.lpis), ()), set()

    def vcpus(self):
        return VCPUS

    def itses(self):
        return [ITS] * self.count


def lpi(name, intid, indexed=True):
    return LpiAt(intid, name, 1, None, 0, False, True, False, indexed, 1, 0)


ENGINE = State(0, (lpi("irq#3", 8192), lpi("irq#4", 8193)), ())


def watch(kind, name, member, kernel=None, engine=ENGINE):
    return Watched(Btf(), kernel or Kernel(), engine).watch(Access(kind, name, member, True))


@pytest.mark.parametrize(
    ("name", "member", "address", "size"),
    [
        ("irq#3", "irq_lock", IRQ + 8, 4),
        ("irq#4", "irq_lock", OTHER + 8, 4),
        ("irq#3", "refcount", IRQ + 16, 4),
        ("irq#3", "pending_latch", IRQ + 20, 1),
        ("irq#3", "bits", IRQ + 20, 2),
        ("vCPU 1", "ap_list_lock", VCPUS[1] + 4, 4),
        ("its#0", "its_lock", ITS + 32, 8),
        ("vgic_dist", "lpi_xa.xa_lock", KVM + 64, 4),
    ],
)
def test_a_member_is_found(name, member, address, size):
    found = watch("write", name, member)
    assert (found.address, found.size) == (address, size)
    assert is_watched(Access("write", name, member, True), ENGINE)


@pytest.mark.parametrize(
    ("name", "member", "kernel"),
    [
        ("irq#3", "ap_list.next", Kernel()),
        ("irq#5", "irq_lock", Kernel()),
        ("irq#3", "irq_lock", Kernel(lpis=((IRQ, 8192, False),))),
        ("irq#3", "irq_lock", Kernel(lpis=((IRQ, 8192, True), (OTHER, 8192, True)))),
        ("vCPU 2", "ap_list_lock", Kernel()),
        ("its#0", "its_lock", Kernel(itses=2)),
        ("ite#0", "irq", Kernel()),
        ("irq#3", "priority", Kernel()),
    ],
    ids=["member", "unknown", "not in the index", "two", "no such vCPU", "which ITS", "kind", "not in this kernel"],
)
def test_what_cannot_be_told_is_not_watched(name, member, kernel):
    assert watch("write", name, member, kernel) is None


def test_a_member_of_a_bit_field_has_its_own_value():
    pending = watch("write", "irq#3", "pending_latch")
    assert (pending.value(b"\x08"), pending.value(b"\x0a")) == (0, 1)
    assert pending.counts(0, 1)
    assert not pending.counts(1, 1)
    bits = watch("write", "irq#3", "bits")
    # What lies between the four bits is somebody else's.
    assert bits.value(b"\x00\x00") == bits.value(b"\xf5\x7e") == 0
    assert [bits.value(raw) for raw in (b"\x02\x00", b"\x08\x00", b"\x00\x01", b"\x00\x80")] == [8, 4, 2, 1]


@pytest.mark.parametrize(
    ("name", "member", "values", "taken", "let_go"),
    [
        # A spin lock whose waiter has come meanwhile is as locked as it was.
        ("irq#3", "irq_lock", [0, 1, 0x0004_0001, 0x0004_0000, 0], [(0, 1)], [(0x0004_0001, 0x0004_0000)]),
        # A mutex has flags in its owner's lowest bits.
        ("its#0", "its_lock", [0, 0xFF00, 0xFF01, 1, 0], [(0, 0xFF00)], [(0xFF01, 1)]),
    ],
)
def test_taking_a_lock_and_letting_go_are_two_kinds_of_change(name, member, values, taken, let_go):
    pairs = list(pairwise(values))
    assert [pair for pair in pairs if watch("lock", name, member).counts(*pair)] == taken
    assert [pair for pair in pairs if watch("unlock", name, member).counts(*pair)] == let_go

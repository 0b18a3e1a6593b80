import errno
import gc
import mmap
import sys
import threading
import weakref
from array import array
from itertools import count

import numpy as np
import pytest

import vgic
from vgic import _core

RAM = 0x4000_0000
#: Of device 0, behind the collections of :func:`machine`.
ITT = RAM + 0x21_8000


@pytest.fixture
def memory() -> vgic.GuestMemory:
    return vgic.GuestMemory()


@pytest.fixture
def unraisable(monkeypatch) -> list:
    found = []
    monkeypatch.setattr(sys, "unraisablehook", found.append)
    return found


class Ram:
    """Memory behind functions."""

    def __init__(self, address: int = RAM, size: int = 0x10000) -> None:
        self.address, self.bytes = address, bytearray(size)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.bytes[address - self.address :][:size])

    def write(self, address: int, data: bytes) -> None:
        self.bytes[address - self.address : address - self.address + len(data)] = data

    def map(self, memory: vgic.GuestMemory) -> None:
        memory.map_callbacks(self.address, len(self.bytes), self.read, self.write)


@pytest.mark.parametrize(
    "make",
    [
        lambda: bytearray(64),
        lambda: mmap.mmap(-1, 64),
        lambda: array("Q", [0] * 8),
        lambda: memoryview(bytearray(80))[8:72],
        lambda: np.zeros(64, np.uint8),
        lambda: np.zeros((4, 2), np.float64),
        lambda: np.zeros(16, [("a", "<u2"), ("b", ">i2")]),
    ],
    ids=["bytearray", "mmap", "array", "memoryview", "uint8", "float64", "records"],
)
def test_every_kind_of_buffer_is_guest_memory(memory, make):
    buffer = make()
    memory.map(RAM, buffer)
    assert memory.regions() == [(RAM, 64)]
    memory.write(RAM + 8, b"\x01\x02\x03")
    assert bytes(memoryview(buffer).cast("B"))[8:12] == b"\x01\x02\x03\x00"
    memoryview(buffer).cast("B")[9] = 0xAA
    assert memory.read(RAM + 8, 3) == b"\x01\xaa\x03"
    memory.write_u64(RAM + 16, 0x0102_0304_0506_0708)
    assert memory.read(RAM + 16, 8) == bytes(range(8, 0, -1))
    assert memory.read_u64(RAM + 16) == 0x0102_0304_0506_0708
    memory.unmap(RAM)
    assert memory.regions() == []


def test_accesses_of_all_sizes_at_all_offsets(memory):
    ram, model = bytearray(40), bytearray(40)
    memory.map(RAM + 1, ram)
    numbers = count(1)
    for offset in range(17):
        for size in range(24):
            data = bytes(next(numbers) & 0xFF for _ in range(size))
            memory.write(RAM + 1 + offset, data)
            model[offset : offset + size] = data
            assert ram == model
            assert memory.read(RAM + 1 + offset, size) == data


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (b"abc", "buffer is read-only"),
        (memoryview(bytearray(8))[::2], "buffer is not contiguous"),
        (np.zeros((4, 4)).T[1:], "buffer is not contiguous"),
        (bytearray(), "needs at least one byte"),
    ],
)
def test_a_buffer_that_cannot_be_memory_is_refused_with_one_line(memory, bad, text):
    with pytest.raises(ValueError, match=text) as caught:
        memory.map(RAM, bad)
    assert "\n" not in str(caught.value)
    assert memory.regions() == []


def test_what_is_no_buffer_is_a_type_error(memory):
    with pytest.raises(TypeError):
        memory.map(RAM, 5)
    memory.map(RAM, bytearray(8))
    with pytest.raises(TypeError):
        memory.write(RAM, "text")


def test_regions_do_not_overlap_and_end_below_the_limit(memory):
    memory.map(RAM, bytearray(16))
    for address, size in [(RAM, 1), (RAM + 15, 1), (RAM - 8, 9), (RAM - 8, 100)]:
        with pytest.raises(ValueError, match="mapped there already: 0x10 bytes at 0x40000000"):
            memory.map(address, bytearray(size))
    for address, size in [(2**52, 1), (2**52 - 1, 2), (2**64 - 1, 1), (0, 2**52 + 1)]:
        with pytest.raises(ValueError, match="guest memory ends at 0x10000000000000"):
            memory.map_callbacks(address, size, print, print)
    with pytest.raises(ValueError, match="no region of guest memory starts at address 0x40000001"):
        memory.unmap(RAM + 1)
    memory.map(2**52 - 8, bytearray(8))
    assert memory.regions() == [(RAM, 16), (2**52 - 8, 8)]


def test_an_access_outside_is_a_fault_and_writes_nothing(memory):
    first, second = bytearray(8), bytearray(8)
    memory.map(RAM, first)
    memory.map(RAM + 8, second)
    memory.write(RAM + 4, bytes(range(1, 9)))
    assert (first, second) == (b"\0\0\0\0\1\2\3\4", b"\5\6\7\x08\0\0\0\0")
    assert memory.read_u64(RAM + 4) == 0x0807_0605_0403_0201
    assert memory.contains(RAM, 16)
    assert not memory.contains(RAM, 17)
    for call in [
        lambda: memory.write(RAM + 8, bytes(9)),
        lambda: memory.write_u64(RAM + 9, 0),
        lambda: memory.read_u64(RAM - 1),
        lambda: memory.read(RAM + 16, 1),
        lambda: memory.read(RAM, 2**50),
        lambda: memory.read(2**64 - 1, 2),
    ]:
        with pytest.raises(OSError, match="guest memory could not be reached: 0x") as caught:
            call()
        assert caught.value.errno == errno.EFAULT
    assert second == b"\5\6\7\x08\0\0\0\0"


def test_a_mapped_buffer_is_held_and_an_unmapped_one_let_go():
    memory, ram = vgic.GuestMemory(), bytearray(8)
    memory.map(RAM, ram)
    with pytest.raises(BufferError):
        ram.append(1)
    memory.unmap(RAM)
    ram.append(1)
    memory.map(RAM, ram)
    del memory
    gc.collect()
    ram.append(1)


def test_a_refused_buffer_is_let_go(memory):
    memory.map(RAM, bytearray(8))
    ram = bytearray(8)
    with pytest.raises(ValueError, match="mapped there already"):
        memory.map(RAM, ram)
    ram.append(1)


def test_callbacks_see_guest_addresses_and_sizes(memory):
    seen = []
    memory.map_callbacks(
        RAM,
        16,
        lambda address, size: seen.append(("read", address, size)) or memoryview(bytes(range(size))),
        lambda address, data: seen.append(("write", address, data)),
    )
    ram = bytearray(8)
    memory.map(RAM + 16, ram)
    memory.write(RAM + 12, bytes(range(1, 9)))
    assert ram == b"\5\6\7\x08\0\0\0\0"
    assert memory.read(RAM + 12, 6) == b"\0\1\2\3\5\6"
    assert seen == [("write", RAM + 12, b"\1\2\3\4"), ("read", RAM + 12, 4)]


@pytest.mark.parametrize("kind", [OSError, PermissionError, LookupError, KeyError])
def test_a_callback_may_say_that_there_is_nothing(memory, unraisable, kind):
    def refuse(*_):
        raise kind("not here")

    memory.map_callbacks(RAM, 16, refuse, refuse)
    for call in (lambda: memory.read(RAM, 1), lambda: memory.write_u64(RAM, 1)):
        with pytest.raises(OSError, match="guest memory could not be reached: 0x40000000"):
            call()
    assert unraisable == []


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda a, n: 1 // 0, ZeroDivisionError),
        (lambda a, n: bytes(n + 1), ValueError),
        (lambda a, n: bytes(n - 1), ValueError),
        (lambda a, n: None, TypeError),
        (lambda a: b"", TypeError),
    ],
    ids=["raises", "too long", "too short", "None", "signature"],
)
def test_an_accident_in_a_callback_is_a_fault_and_is_told(memory, unraisable, read, kind):
    memory.map_callbacks(RAM, 16, read, print)
    with pytest.raises(OSError, match="could not be reached"):
        memory.read_u64(RAM)
    assert [(event.exc_type, event.object) for event in unraisable] == [(kind, read)]


def test_a_fault_of_a_callback_is_a_fault_of_the_command(memory):
    vm = machine(memory, Ram())
    vm._core.set_propbaser(RAM + 0x10_0000 | 15)
    with pytest.raises(OSError, match="guest memory could not be reached") as caught:
        vm.its[0].inv(0, 0)
    assert caught.value.errno == errno.EFAULT
    vm._core.reload_lpi_config(8192)
    vm._core.reload_lpi_configs(0)
    assert vm.lpi(8192)["enabled"]


def machine(memory: vgic.GuestMemory, ram: Ram, events: int = 4) -> vgic.Vm:
    """A VM whose LPI tables are behind functions; its ITS tables are in a buffer. Device 0 is mapped to vCPU 0."""
    ram.map(memory)
    memory.map(RAM + 0x20_0000, bytearray(0x2_0000))
    vm = vgic.Vm(1, memory=memory)
    assert vm.memory is memory
    vm._core.set_propbaser(RAM | 15)
    vm._core.set_pendbaser(0, RAM)
    vm._core.set_baser(0, 0, RAM + 0x20_0000)
    vm._core.set_baser(0, 1, RAM + 0x21_0000)
    vm.enable()
    vm.its[0].mapc(0)
    vm.its[0].mapd(0, itt_address=ITT)
    for event in range(events):
        ram.bytes[0x4000 + event // 8] = 0
        vm.write_config(8192 + event, 0xA1)
        vm.its[0].mapti(0, event, 8192 + event, 0)
    return vm


def test_lpi_tables_are_where_the_registers_say(memory):
    vm = machine(memory, ram := Ram())
    vm.write_config(8193, 0x40)
    vm.its[0].inv(0, 1)
    assert (ram.bytes[1], vm.read_config(8193)) == (0x40, 0x40)
    assert (vm.lpi(8193)["priority"], vm.lpi(8193)["enabled"]) == (0x40, False)
    vm.write_pending_table(0, 8195, True)
    assert ram.bytes[8195 // 8] == 1 << 3
    assert vm.read_pending_table(0, 8195)
    vm.write_pending_table(0, 8195, False)
    assert not vm.read_pending_table(0, 8195)
    assert vm.signal_msi(0, 2) == 1
    vm.save_pending_tables()
    assert ram.bytes[8194 // 8] & 1 << 2


def test_registers_are_those_of_a_vm_with_memory(memory):
    vm = vgic.Vm(1)
    assert vm.memory is None
    for call in [
        lambda: vm._core.set_propbaser(0),
        lambda: vm._core.set_pendbaser(0, 0),
        lambda: vm._core.set_baser(0, 0, 0),
        lambda: vm._core.table_entry(0, 0, 0),
    ]:
        with pytest.raises(ValueError, match="the VM has no guest memory"):
            call()
    with pytest.raises(ValueError, match="index must be 0 to 1, not 2"):
        vgic.Vm(1, memory=memory)._core.set_baser(0, 2, 0)


def test_a_table_entry_is_in_memory_or_not_there(memory):
    vm = machine(memory, Ram())
    assert vm._core.table_entry(0, 0, 8191) == RAM + 0x20_0000 + 8191 * 8
    assert vm._core.table_entry(0, 0, 8192) is None
    memory.unmap(RAM + 0x20_0000)
    assert vm._core.table_entry(0, 0, 0) is None
    with pytest.raises(vgic.CommandError, match="MAPD_DEVICE_OOR"):
        vm.its[0].mapd(1)


def test_tables_are_restored_as_they_were(memory):
    vm = machine(memory, Ram())
    tables = vm.its[0].tables()
    collections = tables["collections"]
    devices = [tuple(device.values()) for device in tables["devices"]]
    with pytest.raises(ValueError, match="collection 9 is not known"):
        vm._core.restore(0, [], [(7, 4, ITT, [(0, 8192, 9)])])
    assert vm.its[0].tables() == tables
    assert vm.signal_msi(0, 1) == 1
    vm._core.free_tables(0, True, True)
    assert vm.its[0].tables() == {"devices": [], "collections": []}
    assert vm.cached_translations == 0
    assert vm._core.restore(0, [*collections, (7, None)], devices) is None
    assert vm.its[0].tables() == {"devices": tables["devices"], "collections": [*collections, (7, None)]}


def test_a_restore_that_fails_says_which_event_and_frees_the_its(memory):
    vm = machine(memory, Ram())
    before = _core.live_objects()["its_ite"]
    vm._core.free_tables(0, True, True)
    memory.unmap(RAM)
    devices = [(3, 5, ITT, [(4, 8200, 7), (6, 8201, 0)])]
    assert vm._core.restore(0, [(0, 0), (7, None)], devices) == (3, 4, errno.EFAULT)
    # The ITT ends with the memory, before the second event's entry.
    short = [(3, 5, RAM + 0x22_0000 - 0x100, [(30, 8200, 7), (31, 8201, 7), (32, 8202, 7)])]
    with pytest.raises(ValueError, match="event_id must be 0 to 31, not 32"):
        vm._core.restore(0, [(7, None)], short)
    ram = Ram()
    ram.map(memory)
    short = [(3, 6, RAM + 0x22_0000 - 0x100, [(31, 8201, 7), (32, 8202, 7)])]
    assert vm._core.restore(0, [(7, None)], short) == (3, 32, errno.EINVAL)
    assert vm.its[0].tables() == {"devices": [], "collections": []}
    _core.rcu_barrier()
    assert _core.live_objects().get("its_ite", 0) == before - 4


def test_a_translater_is_what_a_device_sees(memory):
    vm = machine(memory, Ram())
    translater = vm._core.translater(0)
    assert translater.address == vm._core.its_base(0) + 0x10000 == vm.its[0].doorbell - 0x40
    assert translater.write(0x40, 1, 0) == 1
    assert vm.vcpu[0].acknowledge() == 8193
    assert translater.write(0x40, 1 << 32 | 2, 0) == 1
    assert [translater.write(offset, 1, 0) for offset in (0, 0x3C, 0x44, 0x1_0040)] == [0] * 4
    assert translater.write(0x40, 99, 0) == 0
    assert translater.write(0x40, 0, 99) == 0
    vm.its[0].enabled = False
    assert translater.write(0x40, 0, 0) == 0
    del vm
    assert translater.write(0x40, 0, 0) == 0
    with pytest.raises(ValueError, match="its must be 0 to 0, not 1"):
        vgic.Vm(1)._core.translater(1)


def test_a_translater_counts_as_a_send_does():
    vm = vgic.Vm(1)
    vm.enable()
    vm.its[0].mapc(0)
    vm.its[0].mapd(0)
    vm.its[0].mapti(0, 0, 8192, 0)
    write = vm._core.translater(0).write
    assert [write(0x40, 0, 0), vm.signal_msi(0, 0), write(0x40, 1, 0), vm.signal_msi(0, 1)] == [1, 1, 0, 0]
    counts = vm.counts()
    assert (counts["sent"], counts["cache_hits"], counts["cache_misses"], counts["dropped"]) == (4, 1, 3, 2)


def test_frames_are_where_a_vmm_puts_them():
    vm = vgic.Vm(2, its=[0x100_0000, 0], distributor=0x10_0000, redistributors=0x20_0000)
    assert [its.doorbell for its in vm.its] == [0x101_0040, 0x1_0040]
    vm.enable()
    with pytest.raises(OSError, match="no ITS at this doorbell"):
        vm.signal_msi_at(0x0809_0040, 0, 0)
    usual = vgic.Vm(2, its=3)
    assert [usual._core.its_base(n) for n in range(3)] == [0x0808_0000, 0x080E_0000, 0x0810_0000]
    assert vgic.Vm(1, its=()).its == vgic.Vm(1, its=0).its == ()


def test_frames_keep_clear_of_memory_and_of_other_devices(memory):
    """At the usual place there is room for 123 redistributors and further ITSes; what is more goes to 256 GiB."""
    for arguments, at in (
        ({"vcpus": 124}, 0x40_0000_0000),
        ({"vcpus": 123, "its": 2}, 0x40_0000_0000),
        ({"vcpus": 61, "its": 64}, 0x40_0000_0000),
        ({"vcpus": 512, "its": 64}, 0x40_0000_0000 + (512 - 123 + 62) * 0x2_0000),
    ):
        vm = vgic.Vm(memory=memory, **arguments)
        assert max(vm.vcpu[-1].frame.base, vm.its[-1].frame.base) == at
        assert vm.mmio_read(0x0900_0008, 4) == 0
    for arguments in ({"vcpus": 123}, {"vcpus": 122, "its": 2}, {"vcpus": 60, "its": 64}, {"vcpus": 123, "its": 0}):
        vm = vgic.Vm(memory=memory, **arguments)
        last = max(vm.vcpu[-1].frame.base, *(its.frame.base for its in vm.its), 0)
        assert last + 0x2_0000 == 0x0900_0000
        assert vm.mmio_read(0x0900_0008, 4) == 0
    # Elsewhere, or where the caller insists, and without frames.
    large = vgic.Vm(512, its=3, memory=memory, redistributors=0x40_0000_0000)
    assert large.vcpu[511].frame.base == 0x40_0000_0000 + 511 * 0x2_0000
    assert [its.frame.base for its in large.its] == [0x0808_0000, 0x40_0400_0000, 0x40_0402_0000]
    assert len(vgic.Vm(200, memory=memory, redistributors=0x080A_0000).vcpu) == 200
    assert len(vgic.Vm(512, its=64).vcpu) == 512
    memory.map(RAM, bytearray(0x10_0000))
    vgic.Vm(1, memory=memory, its=[RAM - 0x2_0000, RAM + 0x10_0000])
    for arguments, text in (
        ({"its": [RAM]}, "guest memory at 0x40000000 and its at 0x40000000 overlap|its at .* and guest memory"),
        ({"its": [RAM + 0xF_0000]}, "guest memory at 0x40000000 and its at 0x400f0000 overlap"),
        ({"distributor": RAM + 0x1_0000}, "guest memory at 0x40000000 and distributor at 0x40010000 overlap"),
        ({"redistributors": RAM - 0x1_0000}, "redistributors at 0x3fff0000 and guest memory at 0x40000000 overlap"),
    ):
        with pytest.raises(ValueError, match=text):
            vgic.Vm(1, memory=memory, **arguments)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"its": [0x1800]}, "its: 0x1800 is not a multiple of 4 KiB"),
        ({"its": [0x0800_0000]}, "distributor at 0x8000000 and its at 0x8000000 overlap"),
        ({"its": [0x080B_0000]}, "redistributors at 0x80a0000 and its at 0x80b0000 overlap"),
        ({"its": [2**52 - 0x1_0000]}, "its: no room at 0xfffffffff0000"),
        ({"its": [n << 20 for n in range(65)]}, "its must be 0 to 64, not 65"),
        ({"its": 65}, "its must be 0 to 64, not 65"),
        ({"its": -1}, "its must be 0 to 64, not -1"),
        ({"distributor": 0x0800_8000}, "distributor: 0x8008000 is not a multiple of 64 KiB"),
        ({"redistributors": 0x0807_0000}, "redistributors at 0x8070000 and its at 0x8080000 overlap"),
    ],
)
def test_frames_that_cannot_be_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        vgic.Vm(1, **arguments)


def test_memory_that_leads_back_to_its_vm_is_collected():
    class Board(Ram):
        def __init__(self) -> None:
            super().__init__()
            self.vm = machine(vgic.GuestMemory(), self)
            self.translater = self.vm._core.translater(0)

    board = weakref.ref(Board())
    gc.collect()
    assert board() is None


def test_memory_outlives_its_name_in_a_vm(memory):
    vm = machine(memory, Ram())
    vm.memory = memory = None
    gc.collect()
    vm.its[0].inv(0, 0)


def test_misses_do_not_wait_for_the_lock_of_a_command_with_the_gil(memory):
    """A command waits in a callback for the GIL, with its_lock; a sender that misses waits for its_lock."""
    ram = Ram()
    stop = threading.Event()
    vm = machine(memory, ram)
    write = vm._core.translater(0).write
    taken = [0, 0]

    def send(n: int) -> None:
        calls = [lambda event: vm.signal_msi(0, event), lambda event: write(0x40, event, 0)]
        while not stop.is_set():
            for event in range(4):
                taken[n] += calls[n](event)

    senders = [threading.Thread(target=send, args=(n,)) for n in range(2)]
    # A thread asks for the GIL more often than usual.
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for sender in senders:
            sender.start()
        for n in range(400):
            event = n % 4
            vm.its[0].discard(0, event)
            vm.its[0].mapti(0, event, 8192 + event, 0)
            vm.its[0].invall(0)
            vm._core.free_tables(0, False, True)
            vm.its[0].mapc(0)
            vm._core.free_tables(0, True, False)
            devices = [(0, 5, ITT, [(event, 8192 + event, 0) for event in range(4)])]
            assert vm._core.restore(0, [], devices) is None
    finally:
        stop.set()
        for sender in senders:
            sender.join()
        sys.setswitchinterval(before)
    counts = vm.counts()
    ends = ("delivered", "coalesced", "dropped", "pending")
    assert counts["sent"] == sum(counts[end] for end in ends) - counts["pending_loaded"]
    assert counts["cache_misses"] > 0


def test_regions_come_and_go_while_commands_read_them(memory):
    vm = machine(memory, ram := Ram())
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            memory.unmap(RAM)
            memory.map(RAM, bytearray(ram.bytes))
            memory.unmap(RAM)
            ram.map(memory)

    changer = threading.Thread(target=change)
    changer.start()
    results = set()
    try:
        for _ in range(300):
            try:
                vm.its[0].inv(0, 0)
                vm.its[0].invall(0)
                results.add("read")
            except OSError as error:
                results.add(error.errno)
    finally:
        stop.set()
        changer.join()
    assert results <= {"read", errno.EFAULT}
    assert vm.lpi(8192)["enabled"]

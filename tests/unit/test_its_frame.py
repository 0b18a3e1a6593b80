"""Registers of an ITS: access sizes, what can be written, the queue."""

import errno

import pytest
from test_its_tables import COLLECTIONS, DEVICES, INDIRECT, PAGE, RAM, VALID, machine, run

import vgic
from vgic.its import ItsCommand, encode

CTLR, IIDR, TYPER, CBASER, CWRITER, CREADR, BASER0, BASER1, TRANSLATER = (
    0x0,
    0x4,
    0x8,
    0x80,
    0x88,
    0x90,
    0x100,
    0x108,
    0x1_0040,
)
ALL = (1 << 64) - 1


@pytest.fixture
def vm() -> vgic.Vm:
    return machine()


@pytest.fixture
def off() -> vgic.Vm:
    """A VM whose ITS nobody has touched."""
    return vgic.Vm(2, memory=vgic.GuestMemory({RAM: bytearray(2 << 20)}))


def test_reset_values(off):
    frame = off.its[0].frame
    assert frame.read(CTLR, 4) == 0x8000_0000  # quiescent
    assert frame.read(IIDR, 4) == 0x4B00_043B
    assert frame.read(TYPER, 8) == 0x1_EF71
    assert [frame.read(offset, 8) for offset in (CBASER, CWRITER, CREADR)] == [0, 0, 0]
    # Device table: type 1, collection table: type 4, entries of 8 bytes, pages of 64 KiB.
    assert frame.read(BASER0, 8) >> 48 & 0x71F == 0x107
    assert frame.read(BASER1, 8) >> 48 & 0x71F == 0x407
    assert [frame.read(BASER0 + 8 * n, 8) for n in range(2, 8)] == [0] * 6
    ids = [frame.read(0xFFD0 + 4 * n, 4) for n in range(12)]
    assert ids == [0x40, 0, 0, 0, 0x92, 0xB4, 0x3B, 0, 0x0D, 0xF0, 0x05, 0xB1]


def test_halves_of_a_64_bit_register(off):
    frame = off.its[0].frame
    assert [frame.read(TYPER, 4), frame.read(TYPER + 4, 4)] == [0x1_EF71, 0]
    frame.write(CBASER, 4, RAM | 0x40F)
    frame.write(CBASER + 4, 4, 0xB800_0000)
    assert frame.read(CBASER, 8) == 0xB800_0000_0000_0000 | RAM | 0x40F
    frame.write(BASER0 + 4, 4, 0xB800_0000)
    frame.write(BASER0, 4, DEVICES | 0x400)
    assert frame.read(BASER0, 8) == 0xB907_0000_0000_0600 | DEVICES


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        *((CTLR, size) for size in (1, 2, 8)),
        *((IIDR, 8), (TYPER, 2), (TYPER + 4, 8), (TYPER + 1, 4), (0xFFE8, 8)),
        *((0x10, 4), (0x98, 8), (0x140, 8), (0xFFCC, 4)),
        *((TRANSLATER, 4), (0x1_FFFC, 4), (0x2_0000, 8), (-8, 8), (1 << 40, 4)),
    ],
)
def test_other_accesses_read_zero_and_write_nothing(vm, offset, size):
    frame = vm.its[0].frame
    before = [frame.read(n, 8) for n in range(8, 0x140, 8)]
    assert frame.read(offset, size) == 0
    frame.write(offset, size, 0)
    frame.write(offset, size, ALL)
    assert [frame.read(n, 8) for n in range(8, 0x140, 8)] == before
    assert frame.read(CTLR, 4) == 0x8000_0001


def test_read_only_registers(vm):
    frame = vm.its[0].frame
    for offset, size in ((IIDR, 4), (TYPER, 8), (CREADR, 8), (0xFFE8, 4)):
        before = frame.read(offset, size)
        frame.write(offset, size, ~before & ALL)
        assert frame.read(offset, size) == before


def test_tables_and_queue_stay_while_enabled(vm):
    frame = vm.its[0].frame
    before = [frame.read(offset, 8) for offset in (CBASER, BASER0, BASER1)]
    for offset in (CBASER, BASER0, BASER1):
        frame.write(offset, 8, 0)
        frame.set(offset, 0)
    assert [frame.read(offset, 8) for offset in (CBASER, BASER0, BASER1)] == before


def test_sanitised_as_kvm_does(off):
    frame = off.its[0].frame
    frame.write(BASER0, 8, ALL)
    # Valid, indirect, inner attributes as given, type 1, outer as inner, entry size 7, shareability 3, 64 KiB pages.
    assert frame.read(BASER0, 8) == 0xF907_FFFF_FFFF_FEFF & ~0x00E0_0000_0000_0000
    frame.write(BASER1, 8, ALL & ~(3 << 10) | 2 << 10)
    assert not frame.read(BASER1, 8) & INDIRECT  # the collection table is flat
    assert frame.read(BASER1, 8) >> 10 & 3 == 1  # outer shareable becomes inner
    frame.write(BASER0, 8, VALID)  # device memory becomes read-allocate write-back
    assert frame.read(BASER0, 8) >> 59 & 7 == 3
    frame.write(CBASER, 8, VALID | 0x4000_F000)
    assert frame.read(CBASER, 8) & 0xF_FFFF_FFFF_F000 == 0x4000_0000  # a multiple of 64 KiB


@pytest.mark.parametrize("missing", [CBASER, BASER0, BASER1])
def test_enabling_needs_all_tables(off, missing):
    frame = off.its[0].frame
    registers = {CBASER: RAM, BASER0: DEVICES, BASER1: COLLECTIONS}
    for offset, address in registers.items():
        if offset != missing:
            frame.write(offset, 8, VALID | address)
    frame.write(CTLR, 4, 1)
    assert not frame.read(CTLR, 4) & 1
    frame.write(missing, 8, VALID | registers[missing])
    frame.write(CTLR, 4, ALL)
    assert frame.read(CTLR, 4) == 0x8000_0001


def test_queue_base_resets_the_queue(vm):
    frame = vm.its[0].frame
    run(vm, encode("SYNC", vcpu=0))
    assert frame.read(CREADR, 8) == frame.read(CWRITER, 8) == 32
    frame.write(CTLR, 4, 0)
    frame.write(CBASER, 8, VALID | RAM)
    assert frame.read(CREADR, 8) == frame.read(CWRITER, 8) == 0


def test_commands_wait_for_the_enable_bit(vm):
    frame = vm.its[0].frame
    frame.write(CTLR, 4, 0)
    vm.memory.write(RAM, encode("MAPC", collection_id=1, vcpu=1, valid=True))
    frame.write(CWRITER, 8, 32)
    assert frame.read(CREADR, 8) == 0
    assert not frame.read(CTLR, 4) >> 31  # not quiescent
    frame.write(CTLR, 4, 1)
    assert frame.read(CREADR, 8) == 32
    assert vm.its[0].tables()["collections"] == [(1, 1)]


def test_writer_wraps_and_stays_in_bounds(off):
    frame = off.its[0].frame
    vm = off
    frame.write(CBASER, 8, VALID | RAM)  # one page of 4 KiB: 128 commands
    frame.write(BASER0, 8, VALID | DEVICES)
    frame.write(BASER1, 8, VALID | COLLECTIONS)
    frame.write(CTLR, 4, 1)
    for n in range(128):
        vm.memory.write(RAM + 32 * n, encode("MAPC", collection_id=n, vcpu=0, valid=True))
    frame.write(CWRITER, 8, 4096 - 32)
    assert frame.read(CREADR, 8) == 4096 - 32
    for beyond in (4096, 0xF_FFE0):
        frame.write(CWRITER, 8, beyond)
        assert frame.read(CWRITER, 8) == 4096 - 32
    frame.write(CWRITER, 8, 64 | 0x1F | ALL & ~0xF_FFFF)  # other bits are ignored
    assert frame.read(CWRITER, 8) == frame.read(CREADR, 8) == 64
    assert len(vm.its[0].tables()["collections"]) == 128


def test_queue_outside_memory_is_skipped(off):
    frame = off.its[0].frame
    frame.write(CBASER, 8, VALID | 0x9000_0000)
    frame.write(BASER0, 8, VALID | DEVICES)
    frame.write(BASER1, 8, VALID | COLLECTIONS)
    frame.write(CTLR, 4, 1)
    frame.write(CWRITER, 8, 96)
    assert frame.read(CREADR, 8) == 96
    assert frame.errors == {"EFAULT": 3}


def test_errors_are_counted_and_told(vm):
    frame = vm.its[0].frame
    faults = []
    frame.on_error = faults.append
    commands = [
        encode("MAPC", collection_id=0, vcpu=9, valid=True),
        encode("INV", device_id=1, event_id=2),
        bytes([0x77]) + bytes(31),
        bytes([0x29]) + bytes(31),
        encode("MAPC", collection_id=0, vcpu=0, valid=True),
    ]
    for n, command in enumerate(commands):
        vm.memory.write(RAM + 32 * n, command)
    frame.write(CWRITER, 8, 32 * len(commands))
    assert frame.read(CREADR, 8) == 32 * len(commands)
    assert [(f.offset, f.code, f.name) for f in faults] == [
        (0, 0x01_0902, "E_ITS_MAPC_PROCNUM_OOR"),
        (32, 0x01_0C07, "E_ITS_INV_UNMAPPED_INTERRUPT"),
        (64, 0, "UNKNOWN_COMMAND"),
        (96, 0, "UNKNOWN_COMMAND"),
    ]
    assert [str(f.command) for f in faults] == [
        "MAPC collection_id=0 vcpu=9 valid=1",
        "INV device_id=1 event_id=2",
        "opcode 0x77",
        "VMAPP (GICv4)",
    ]
    assert str(faults[1]) == "command at 0x20: INV device_id=1 event_id=2: E_ITS_INV_UNMAPPED_INTERRUPT"
    assert frame.errors == {"E_ITS_MAPC_PROCNUM_OOR": 1, "E_ITS_INV_UNMAPPED_INTERRUPT": 1, "UNKNOWN_COMMAND": 2}


def test_a_hook_that_raises_leaves_the_queue_consistent(vm):
    frame = vm.its[0].frame

    def stop(fault):
        raise RuntimeError(fault.name)

    frame.on_error = stop
    vm.memory.write(RAM, bytes([0x77]) + bytes(31) + encode("MAPC", collection_id=0, vcpu=0, valid=True))
    with pytest.raises(RuntimeError, match="UNKNOWN_COMMAND"):
        frame.write(CWRITER, 8, 64)
    assert frame.read(CREADR, 8) == 32
    frame.process()
    assert frame.read(CREADR, 8) == 64
    assert vm.its[0].tables()["collections"] == [(0, 0)]


def test_commands_per_write(vm):
    frame = vm.its[0].frame
    frame.commands_per_write = 2
    for n in range(5):
        vm.memory.write(RAM + 32 * n, encode("MAPC", collection_id=n, vcpu=0, valid=True))
    frame.write(CWRITER, 8, 160)
    assert (frame.read(CREADR, 8), frame.read(CTLR, 4)) == (64, 1)
    assert frame.process(1) == 1
    assert frame.process() == 2
    assert (frame.read(CREADR, 8), frame.read(CTLR, 4)) == (160, 0x8000_0001)


def test_translation_page(vm):
    frame = vm.its[0].frame
    run(
        vm,
        encode("MAPC", collection_id=0, vcpu=1, valid=True),
        encode("MAPD", device_id=5, event_bits=4, itt_address=0x4010_0000, valid=True),
        encode("MAPTI", device_id=5, event_id=3, intid=8195, collection_id=0),
    )
    assert frame.translater.address == frame.base + PAGE == vm.its[0].doorbell - 0x40
    # A CPU's own write does nothing: only the bus knows a DeviceID.
    frame.write(TRANSLATER, 4, 3)
    assert not vm.vcpu[1].has_pending
    assert frame.translater.write(0x40, 4, 5) == 0  # no such event
    assert frame.translater.write(0x44, 3, 5) == 0  # not the register
    assert frame.translater.write(0x40, 3, 6) == 0  # no such device
    assert not vm.vcpu[1].has_pending
    frame.write(TRANSLATER, 4, 3, device_id=5)
    assert vm.vcpu[1].acknowledge() == 8195
    vm.vcpu[1].eoi(8195)
    frame.write(TRANSLATER, 2, 3 | 0xFF_0000, device_id=5)  # 16 bits
    assert vm.vcpu[1].acknowledge() == 8195
    vm.vcpu[1].eoi(8195)
    for size in (1, 8):
        frame.write(TRANSLATER, size, 3, device_id=5)
    assert not vm.vcpu[1].has_pending
    frame.write(CTLR, 4, 0)
    assert frame.translater.write(0x40, 3, 5) == 0  # disabled: a device gets no answer


def test_vmm_view(vm):
    frame = vm.its[0].frame
    for offset, number in ((2, errno.EINVAL), (0x84, errno.EINVAL), (0x98, errno.ENXIO), (TRANSLATER, errno.ENXIO)):
        for access in (lambda offset=offset: frame.get(offset), lambda offset=offset: frame.set(offset, 0)):
            with pytest.raises(OSError, match=f"{offset:#x}") as error:
                access()
            assert error.value.errno == number
    with pytest.raises(OSError, match="GITS_CTLR last") as error:
        frame.set(CREADR, 0)
    assert error.value.errno == errno.EBUSY
    frame.set(CTLR, 0)
    frame.set(CREADR, 64)
    assert frame.read(CREADR, 8) == 64
    with pytest.raises(OSError, match="beyond the queue") as error:
        frame.set(CREADR, 0x1_0000)
    assert error.value.errno == errno.EINVAL
    frame.set(IIDR, 0x4B00_043B)
    with pytest.raises(OSError, match="format 1") as error:
        frame.set(IIDR, 0x1000)
    assert error.value.errno == errno.EINVAL


def test_indirect_device_table():
    vm = machine(indirect=True)
    frame = vm.its[0].frame
    mapd = [encode("MAPD", device_id=n, event_bits=1, itt_address=0, valid=True) for n in (0, 8192, 65535, 65536)]

    def try_all() -> list[int]:
        vm.its[0].frame.errors.clear()
        for n, command in enumerate(mapd):
            vm.memory.write(RAM + frame.get(CWRITER) + 32 * n, command)
        frame.write(CWRITER, 8, frame.get(CWRITER) + 32 * len(mapd))
        return [device["device_id"] for device in vm.its[0].tables()["devices"]]

    assert try_all() == []
    vm.memory.write_u64(DEVICES, VALID | 0x4018_0000)
    vm.memory.write_u64(DEVICES + 8, 0x4018_0000)  # not valid
    vm.memory.write_u64(DEVICES + 8 * 7, VALID | 0x9000_0000)  # not in memory
    assert try_all() == [0]
    assert frame.errors == {"E_ITS_MAPD_DEVICE_OOR": 3}
    vm.memory.write_u64(DEVICES + 8, VALID | 0x4018_0000)
    vm.memory.write_u64(DEVICES + 8 * 7, VALID | 0x4019_0000)
    assert try_all() == [0, 8192, 65535]


@pytest.mark.parametrize("design", ["v6.10", "v6.10+baser-change=frees-tables", "hardened"])
def test_a_changed_table_forgets_what_was_in_it(design):
    vm = machine(design)
    frame = vm.its[0].frame
    run(
        vm,
        encode("MAPC", collection_id=0, vcpu=0, valid=True),
        encode("MAPD", device_id=1, event_bits=4, itt_address=0x4010_0000, valid=True),
        encode("MAPTI", device_id=1, event_id=0, intid=8192, collection_id=0),
    )
    frame.write(CTLR, 4, 0)
    frame.write(BASER0, 8, VALID | DEVICES)  # unchanged but for attributes that KVM does not take
    assert vm.its[0].tables()["devices"]
    frame.write(BASER1, 8, VALID | COLLECTIONS | 1)
    if vgic.design(design).axes["baser-change"] == "keeps-tables":
        assert vm.its[0].tables()["collections"] == [(0, 0)]
        frame.write(BASER1, 8, COLLECTIONS | 1)
    assert vm.its[0].tables()["collections"] == []
    assert vm.its[0].tables()["devices"][0]["events"] == [(0, 8192, None)]
    frame.write(BASER0, 8, 0)
    assert vm.its[0].tables() == {"devices": [], "collections": []}
    assert vm.lpis() == []


def test_reset(vm):
    frame = vm.its[0].frame
    run(vm, encode("MAPC", collection_id=0, vcpu=0, valid=True))
    attributes = frame.read(BASER0, 8) & ~VALID
    frame.reset()
    assert frame.read(CTLR, 4) == 0x8000_0000
    assert [frame.read(offset, 8) for offset in (CBASER, CWRITER, CREADR)] == [0, 0, 0]
    assert frame.read(BASER0, 8) == attributes
    assert vm.its[0].tables() == {"devices": [], "collections": []}


def test_mmio_by_address(vm):
    its, redistributor = vm.its[0].frame, vm.vcpu[1].frame
    assert vm.mmio_read(its.base + TYPER, 8) == 0x1_EF71
    assert vm.mmio_read(redistributor.base + 0x8, 8) == redistributor.read(0x8, 8)
    vm.mmio_write(its.base + CTLR, 4, 0)
    assert its.read(CTLR, 4) == 0x8000_0000
    assert vm.mmio_read(0x10, 4) == 0
    vm.mmio_write(0x10, 4, 1)


def test_a_vm_without_memory_has_no_frames():
    vm = vgic.Vm(1)
    for owner in (vm.its[0], vm.vcpu[0]):
        with pytest.raises(ValueError, match="memory="):
            owner.frame  # noqa: B018


def test_encode_refuses_what_does_not_fit():
    for name, operands, text in (
        ("MAPX", {}, "unknown ITS command"),
        ("SYNC", {}, "takes vcpu"),
        ("SYNC", {"vcpu": 0, "event_id": 1}, "takes vcpu"),
        ("SYNC", {"vcpu": 1 << 32}, "vcpu must be 0 to 4294967295, not 4294967296"),
        ("MAPD", {"device_id": 0, "event_bits": 0, "itt_address": 0, "valid": True}, "event_bits must be 1 to 32"),
        ("MAPD", {"device_id": 0, "event_bits": 33, "itt_address": 0, "valid": True}, "bits must be 1 to 32, not 33"),
        ("MAPD", {"device_id": 0, "event_bits": 1, "itt_address": 128, "valid": True}, "multiple of 256"),
        ("INV", {"device_id": -1, "event_id": 0}, "device_id must be 0 to 4294967295, not -1"),
    ):
        with pytest.raises(ValueError, match=text):
            encode(name, **operands)


def test_decode_names_operands():
    command = vgic.its.decode(encode("MOVALL", vcpu=3, to_vcpu=511))
    assert command == ItsCommand("MOVALL", {"vcpu": 3, "to_vcpu": 511}, command.raw)
    with pytest.raises(ValueError, match="32 bytes"):
        vgic.its.decode(b"")

"""Registers of a redistributor, LPI part."""

import errno
import threading

import pytest
from test_its_tables import COLLECTIONS, CONFIG, DEVICES, PAGE, PENDING, RAM, machine, run

import vgic
from vgic.its import encode

CTLR, IIDR, TYPER, WAKER, PROPBASER, PENDBASER, INVLPIR, INVALLR, SYNCR = 0, 4, 8, 0x14, 0x70, 0x78, 0xA0, 0xB0, 0xC0
PTZ = 1 << 62
ALL = (1 << 64) - 1


@pytest.fixture
def vm() -> vgic.Vm:
    """LPIs 8192 to 8195 of device 1, events 0 to 3, on vCPU 0."""
    vm = machine()
    run(
        vm,
        encode("MAPC", collection_id=0, vcpu=0, valid=True),
        encode("MAPD", device_id=1, event_bits=4, itt_address=0x4010_0000, valid=True),
        *(encode("MAPTI", device_id=1, event_id=n, intid=8192 + n, collection_id=0) for n in range(4)),
    )
    return vm


def test_identification():
    vm = vgic.Vm(20, memory=vgic.GuestMemory({RAM: bytearray(4096)}))
    frame = vm.vcpu[17].frame
    assert frame.read(TYPER, 8) == 0x101 << 32 | 17 << 8 | 1  # affinity 0.1.1: 16 a cluster
    assert frame.read(TYPER + 4, 4) == 0x101
    assert vm.vcpu[19].frame.read(TYPER, 4) & 1 << 4  # the last one
    assert frame.read(IIDR, 4) == 0x4B00_043B
    assert frame.read(0xFFE8, 4) == 0x3B
    assert frame.read(CTLR, 4) == 6  # INVLPIR and the like exist, EnableLPIs may be cleared
    assert [frame.read(offset, 4) for offset in (WAKER, SYNCR, 0x1_0100, 0x2_0000)] == [0] * 4
    assert frame.base == vm.vcpu[0].frame.base + 17 * 0x2_0000
    assert vgic.Vm(1, its=0, memory=vgic.GuestMemory()).vcpu[0].frame.read(TYPER, 8) & 1 == 0  # no LPIs without ITS


def test_table_registers():
    vm = vgic.Vm(2, memory=vgic.GuestMemory({RAM: bytearray(4096)}))
    one, other = (vcpu.frame for vcpu in vm.vcpu)
    one.write(PROPBASER, 8, ALL)
    # Outer "as inner", reserved bits zero, shareability 3 stays.
    assert one.read(PROPBASER, 8) == 0x000F_FFFF_FFFF_FF9F
    assert other.read(PROPBASER, 8) == one.read(PROPBASER, 8)  # one register for all
    one.write(PENDBASER, 8, ALL)
    assert one.read(PENDBASER, 8) == 0x000F_FFFF_FFFF_0F80  # PTZ reads as zero
    assert other.read(PENDBASER, 8) == 0x580
    one.write(PENDBASER + 4, 4, 0)
    one.write(PENDBASER, 4, 0x4005_0000 | 2 << 10)
    assert one.read(PENDBASER, 8) == 0x4005_0000 | 1 << 10 | 3 << 7


def test_table_registers_stay_while_lpis_are_enabled(vm):
    frame = vm.vcpu[0].frame
    before = [frame.read(offset, 8) for offset in (PROPBASER, PENDBASER)]
    frame.write(PROPBASER, 8, 0)
    frame.write(PENDBASER, 8, 0)
    assert [frame.read(offset, 8) for offset in (PROPBASER, PENDBASER)] == before


def test_number_of_intid_bits_limits_mapti():
    vm = machine()
    for vcpu in vm.vcpu:
        vcpu.frame.write(CTLR, 4, 0)
    vm.vcpu[0].frame.write(PROPBASER, 8, CONFIG | 13)  # INTIDs below 2 ** 14
    frame = vm.its[0].frame
    run(
        vm,
        encode("MAPD", device_id=1, event_bits=4, itt_address=0x4010_0000, valid=True),
        encode("MAPTI", device_id=1, event_id=0, intid=(1 << 14) - 1, collection_id=0),
    )
    vm.memory.write(RAM + frame.get(0x88), encode("MAPTI", device_id=1, event_id=1, intid=1 << 14, collection_id=0))
    frame.write(0x88, 8, frame.get(0x88) + 32)
    assert frame.errors == {"E_ITS_MAPTI_PHYSICALID_OOR": 1}


def test_enabling_reads_the_pending_table(vm):
    frame = vm.vcpu[0].frame
    frame.write(CTLR, 4, 0)
    assert frame.read(CTLR, 4) == 6
    vm.memory.write(PENDING + 8192 // 8, b"\x05")
    frame.write(CTLR, 4, 1)
    assert frame.read(CTLR, 4) == 7
    assert [lpi["intid"] for lpi in vm.lpis() if lpi["pending"]] == [8192, 8194]


def test_not_with_ptz(vm):
    frame = vm.vcpu[0].frame
    frame.write(CTLR, 4, 0)
    vm.memory.write(PENDING + 8192 // 8, b"\x05")
    frame.write(PENDBASER, 8, PENDING | PTZ)
    frame.write(CTLR, 4, 1)
    assert not any(lpi["pending"] for lpi in vm.lpis())


def test_pending_table_outside_memory_is_no_exception(vm):
    frame = vm.vcpu[0].frame
    frame.write(CTLR, 4, 0)
    frame.write(PENDBASER, 8, 0x9000_0000)
    frame.write(CTLR, 4, 1)
    assert frame.read(CTLR, 4) == 7
    assert vm.signal_msi(1, 0) == 1


def test_mapping_takes_the_pending_bit_out_of_the_table(vm):
    vm.memory.write(PENDING + 8200 // 8, b"\x03")
    run(vm, encode("MAPTI", device_id=1, event_id=8, intid=8200, collection_id=0))
    assert vm.lpi(8200)["pending"]
    assert vm.memory.read(PENDING + 8200 // 8, 1) == b"\x02"


def test_configuration_is_read_when_it_is_said_to_be(vm):
    def state(intid: int) -> tuple[bool, int]:
        lpi = vm.lpi(intid)
        return lpi["enabled"], lpi["priority"]

    vm.memory.write(CONFIG, b"\x40\x41\x43\x00")
    assert state(8192) == (True, 0xA0)
    vm.vcpu[1].frame.write(INVLPIR, 8, 8192)
    assert state(8192) == (False, 0x40)
    assert state(8193) == (True, 0xA0)
    vm.vcpu[1].frame.write(INVALLR, 8, 0)  # no LPI is on vCPU 1
    assert state(8193) == (True, 0xA0)
    vm.vcpu[0].frame.write(INVALLR + 4, 4, 0)  # the upper half is for virtual LPIs
    assert state(8193) == (True, 0xA0)
    vm.vcpu[0].frame.write(INVALLR, 4, 0)
    assert [state(8193), state(8194), state(8195)] == [(True, 0x40), (True, 0x40), (False, 0)]
    assert vm.vcpu[0].frame.read(SYNCR, 4) == 0
    vm.vcpu[0].frame.write(CTLR, 4, 0)
    vm.memory.write(CONFIG, b"\xa1\xa1")
    vm.vcpu[0].frame.write(INVLPIR, 8, 8192)  # ignored: LPIs are off
    vm.vcpu[0].frame.write(INVALLR, 8, 0)
    assert [state(8192), state(8193)] == [(False, 0x40), (True, 0x40)]


def test_sync_is_busy_while_lpis_are_read_again():
    """The configuration table is in memory of callbacks, so another thread can look meanwhile."""
    seen = []
    inside, go = threading.Event(), threading.Event()

    def read(address: int, size: int) -> bytes:
        if threading.current_thread().name == "invalidates":
            inside.set()
            assert go.wait(20)
        return b"\xa1" * size

    memory = vgic.GuestMemory({RAM: bytearray(2 << 20)})
    memory.map_callbacks(0x8000_0000, PAGE, read, lambda address, data: None)
    vm = vgic.Vm(2, memory=memory)
    frame = vm.vcpu[0].frame
    frame.set(PROPBASER, 0x8000_0000 | 15)
    frame.set(PENDBASER, PENDING)
    frame.set(CTLR, 1)
    vm.its[0].frame.set(0x100, 1 << 63 | DEVICES)
    vm.its[0].frame.set(0x108, 1 << 63 | COLLECTIONS)
    vm.its[0].mapc(0, 0)
    vm.its[0].mapd(1, 4, itt_address=0x4010_0000)
    vm.its[0].mapti(1, 0, 8192, 0)
    worker = threading.Thread(target=lambda: frame.write(INVALLR, 8, 0), name="invalidates")
    worker.start()
    assert inside.wait(20)
    seen.append(frame.read(SYNCR, 4))
    go.set()
    worker.join(20)
    seen.append(frame.read(SYNCR, 4))
    assert seen == [1, 0]


def test_vmm_view(vm):
    frame = vm.vcpu[0].frame
    assert frame.get(CTLR) == 7
    assert frame.get(PROPBASER) & 0xF_FFFF_FFFF_F000 == CONFIG
    for offset, number in ((0x74, errno.EINVAL), (0x60, errno.ENXIO), (0x1_0080, errno.ENXIO)):
        with pytest.raises(OSError, match=f"{offset:#x}") as error:
            frame.get(offset)
        assert error.value.errno == number

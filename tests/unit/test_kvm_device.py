"""The state of a VM by KVM's groups and attributes, and snapshots of three VMMs by them."""

import errno

import pytest
from test_its_tables import PENDING, RAM, machine, run

import vgic
from vgic import KvmAddress, KvmControl, KvmGroup
from vgic.its import encode
from vmms import AP1R0, VMMS, Board, Key, Vmm, words

OTHER = "v6.8-rc1"
CTLR, TYPER, PROPBASER, PENDBASER = 0x0, 0x8, 0x70, 0x78
#: Affinities of the two vCPUs of :func:`machine`.
AFFINITIES = [0, 1]


def mapped(design: str = vgic.DEFAULT_DESIGN) -> vgic.Vm:
    """Device 1 with events 0 to 5: LPIs 8192 to 8197, the odd ones on vCPU 1."""
    vm = machine(design)
    run(
        vm,
        *(encode("MAPC", collection_id=n, vcpu=n, valid=True) for n in range(2)),
        encode("MAPD", device_id=1, event_bits=4, itt_address=RAM + 0x10_0000, valid=True),
        *(encode("MAPTI", device_id=1, event_id=n, intid=8192 + n, collection_id=n % 2) for n in range(6)),
    )
    return vm


def copied(vm: vgic.Vm, design: str = OTHER) -> vgic.Vm:
    """A VM that has not run, with the memory as it is now."""
    ram = bytearray(vm.memory.read(RAM, 2 << 20))
    return vgic.Vm(len(vm.vcpu), design, memory=vgic.GuestMemory({RAM: ram}))


def lpis(vm: vgic.Vm) -> list[tuple]:
    return [(lpi["intid"], lpi["target_vcpu"], lpi["pending"], lpi["enabled"], lpi["priority"]) for lpi in vm.lpis()]


@pytest.mark.parametrize("vmm", VMMS, ids=lambda vmm: vmm.name)
def test_a_snapshot_of_a_vmm_is_made_and_loaded(vmm: Vmm):
    source = Board(mapped())
    vm = source.vm
    for event in (0, 1, 4):
        assert vm.signal_msi(1, event) == 1
    assert vm.vcpu[0].acknowledge() == 8192  # and not ended
    vm.signal_msi(1, 0)
    # What is the emulator's own goes the same way: SGIs that are enabled, the priority mask.
    source.own[Key(None, KvmGroup.REDIST_REGS, 1 << 32 | 0x1_0100)] = 0xFFFF
    source.own[Key(None, KvmGroup.CPU_SYSREGS, 1 << 32 | 0xC230)] = 0xF0
    snapshot = vmm.save(source, AFFINITIES)

    target = Board(copied(vm))
    vmm.restore(target, AFFINITIES, snapshot)
    assert target.own == {key: value for key, value in snapshot.items() if not target.device(key).has(*key[1:])}
    assert target.own[Key(None, KvmGroup.REDIST_REGS, 1 << 32 | 0x1_0100)] == 0xFFFF
    assert target.vm.its[0].tables() == vm.its[0].tables()
    assert lpis(target.vm) == lpis(vm)
    assert vmm.save(target, AFFINITIES) == snapshot
    # The LPI that was acknowledged holds up others of its priority until it is ended.
    for board in (source, target):
        cpu = board.vm.vcpu[0]
        assert cpu.highest_pending() is cpu.acknowledge() is None
        cpu.eoi(8192)
        taken = []
        while (intid := cpu.acknowledge()) is not None:
            taken.append(intid)
            cpu.eoi(intid)
        assert sorted(taken) == [8192, 8196]
        assert board.vm.vcpu[1].acknowledge() == 8193


@pytest.mark.parametrize("vmm", VMMS, ids=lambda vmm: vmm.name)
def test_commands_that_wait_are_saved_and_not_executed(vmm: Vmm):
    source = Board(mapped())
    frame = source.vm.its[0].frame
    frame.write(0x0, 4, 0)  # A guest that is about to switch its ITS off and on again.
    first = frame.get(0x88)
    commands = [encode("DISCARD", device_id=1, event_id=n) for n in range(3)]
    source.vm.memory.write(RAM + first, b"".join(commands))
    frame.write(0x88, 8, first + 96)
    snapshot = vmm.save(source, AFFINITIES)
    assert [snapshot[Key(0, KvmGroup.ITS_REGS, offset)] for offset in (0x90, 0x88, 0x0)] == [first, first + 96, 0]

    target = Board(copied(source.vm))
    vmm.restore(target, AFFINITIES, snapshot)
    assert [target.vm.its[0].frame.get(offset) for offset in (0x90, 0x88)] == [first, first + 96]
    for board in (source, target):
        assert len(board.vm.lpis()) == 6
        board.vm.its[0].frame.write(0x0, 4, 1)
        assert [lpi["intid"] for lpi in board.vm.lpis()] == [8195, 8196, 8197]


def test_commands_that_a_slow_its_has_not_reached_are_executed_where_it_is_restored():
    vm = mapped()
    frame = vm.its[0].frame
    frame.commands_per_write = 1
    first = frame.get(0x88)
    commands = [encode("DISCARD", device_id=1, event_id=n) for n in range(3)]
    vm.memory.write(RAM + first, b"".join(commands))
    frame.write(0x88, 8, first + 96)
    state = vm.save()
    assert (frame.get(0x90), len(vm.lpis())) == (first + 32, 5)
    slow, fast = copied(vm), copied(vm)
    slow.its[0].frame.commands_per_write = 0
    for other, creadr, left in ((slow, first + 32, 5), (fast, first + 96, 3)):
        other.restore(state)
        assert (other.its[0].frame.get(0x90), len(other.lpis())) == (creadr, left)


def test_words_of_a_redistributor():
    vm = machine()
    device = vm.kvm_device

    def word(vcpu: int, offset: int) -> int:
        return device.get(KvmGroup.REDIST_REGS, vcpu << 32 | offset)

    assert [word(1, offset) for offset in words((TYPER, 8))] == [1 << 8 | 1 << 4 | 1, 1]
    assert word(0, CTLR) == 7
    assert [word(0, offset) for offset in (0x10, 0x14, 0x4, 0xFFE8)] == [0, 0, 0x4B00_043B, 0x3B]
    device.set(KvmGroup.REDIST_REGS, TYPER, 0)  # read-only
    assert word(0, TYPER) == 1
    device.set(KvmGroup.REDIST_REGS, CTLR, 0)
    device.set(KvmGroup.REDIST_REGS, PENDBASER, 0x5000_0000)
    device.set(KvmGroup.REDIST_REGS, PENDBASER + 4, 0x3)
    assert vm.vcpu[0].frame.get(PENDBASER) == 0x3_5000_0180  # and the attributes that KVM settles for
    assert word(1, PENDBASER) & ~0xFFFF == PENDING + 0x1_0000
    # By the affinity, not by the number.
    named = vgic.Vm([0x100, 0x12_0034_5678], memory=vgic.GuestMemory()).kvm_device
    assert named.get(KvmGroup.REDIST_REGS, 0x1234_5678 << 32 | TYPER) >> 8 & 0xFFFF == 1


def test_the_distributor_and_the_cpu_interface():
    vm = mapped()
    device = vm.kvm_device
    assert device.get(KvmGroup.DIST_REGS, 0) == 0x52
    device.set(KvmGroup.DIST_REGS, 1 << 32, 0x50)  # The affinity is ignored.
    assert not vm.distributor_enabled
    assert device.get(KvmGroup.DIST_REGS, 0) == 0x50
    device.set(KvmGroup.DIST_REGS, 0, 0x2)
    assert device.get(KvmGroup.CPU_SYSREGS, AP1R0) == 0
    vm.signal_msi(1, 0)
    vm.vcpu[0].acknowledge()
    assert device.get(KvmGroup.CPU_SYSREGS, AP1R0) == 1 << (0xA0 >> 3)
    assert device.get(KvmGroup.CPU_SYSREGS, 1 << 32 | AP1R0) == 0
    device.set(KvmGroup.CPU_SYSREGS, AP1R0, 0xFFFF_FFFF_0000_0000)
    assert device.get(KvmGroup.CPU_SYSREGS, AP1R0) == 0


def test_controls_and_places():
    vm = mapped()
    its = vm.its[0].kvm_device
    vm.kvm_device.set(KvmGroup.CTRL, KvmControl.INIT)
    its.set(KvmGroup.CTRL, KvmControl.INIT)
    vm.signal_msi(1, 3)
    vm.kvm_device.set(KvmGroup.CTRL, KvmControl.SAVE_PENDING_TABLES)
    assert vm.read_pending_table(1, 8195)
    its.set(KvmGroup.CTRL, KvmControl.ITS_SAVE_TABLES)
    its.set(KvmGroup.CTRL, KvmControl.ITS_RESET)
    assert vm.its[0].tables() == {"devices": [], "collections": []}
    assert its.get(KvmGroup.ITS_REGS, 0x80) == 0
    for device, attr, address in (
        (vm.kvm_device, KvmAddress.DIST, 0x0800_0000),
        (vm.kvm_device, KvmAddress.REDIST, 0x080A_0000),
        (its, KvmAddress.ITS, 0x0808_0000),
    ):
        assert device.get(KvmGroup.ADDR, attr) == address
        device.set(KvmGroup.ADDR, attr, address)
        with pytest.raises(OSError, match=f"the frame is at {address:#x}, not at 0x0") as refused:
            device.set(KvmGroup.ADDR, attr, 0)
        assert refused.value.errno == errno.EEXIST


def test_regions_of_redistributors():
    device = vgic.Vm(200, memory=vgic.GuestMemory()).kvm_device
    found = [device.get(KvmGroup.ADDR, KvmAddress.REDIST_REGION, index) for index in range(2)]
    assert found == [123 << 52 | 0x080A_0000, 77 << 52 | 0x40_0000_0000 | 1]
    for region in found:
        device.set(KvmGroup.ADDR, KvmAddress.REDIST_REGION, region)
    with pytest.raises(OSError, match="there are 2 regions of redistributors, none of index 2") as refused:
        device.get(KvmGroup.ADDR, KvmAddress.REDIST_REGION, 2)
    assert refused.value.errno == errno.ENOENT
    with pytest.raises(OSError, match="is at"):
        device.set(KvmGroup.ADDR, KvmAddress.REDIST_REGION, found[0] + 0x1_0000)
    assert not device.has(KvmGroup.ADDR, KvmAddress.REDIST)  # They are not mixed.


@pytest.mark.parametrize(
    ("its", "group", "attr", "number"),
    [
        (False, KvmGroup.REDIST_REGS, 9 << 32, errno.EINVAL),  # no such vCPU
        (False, KvmGroup.REDIST_REGS, 0x1_0080, errno.ENXIO),  # GICR_IGROUPR0, which is the emulator's
        (False, KvmGroup.REDIST_REGS, 0x72, errno.ENXIO),
        (False, KvmGroup.CPU_SYSREGS, 9 << 32 | AP1R0, errno.EINVAL),
        (False, KvmGroup.CPU_SYSREGS, 0xC664, errno.ENXIO),  # ICC_CTLR_EL1
        (False, KvmGroup.DIST_REGS, 0x4, errno.ENXIO),
        (False, KvmGroup.CTRL, KvmControl.ITS_SAVE_TABLES, errno.ENXIO),
        (False, KvmGroup.ADDR, KvmAddress.ITS, errno.ENXIO),
        (False, KvmGroup.LEVEL_INFO, 0, errno.ENXIO),
        (False, KvmGroup.ITS_REGS, 0, errno.ENXIO),
        (False, 1 << 31, 0, errno.ENXIO),
        (True, KvmGroup.ITS_REGS, 0x84, errno.EINVAL),  # a half
        (True, KvmGroup.ITS_REGS, 0x20, errno.ENXIO),
        (True, KvmGroup.CTRL, KvmControl.SAVE_PENDING_TABLES, errno.ENXIO),
        (True, KvmGroup.ADDR, KvmAddress.DIST, errno.ENXIO),
        (True, KvmGroup.REDIST_REGS, 0, errno.ENXIO),
    ],
)
def test_what_is_not_there(its, group, attr, number):
    vm = machine()
    device = vm.its[0].kvm_device if its else vm.kvm_device
    assert not device.has(group, attr)
    for access in (device.get, device.set):
        with pytest.raises(OSError, match=r"^\[Errno ") as refused:
            access(group, attr)
        assert refused.value.errno == number
        assert "\n" not in str(refused.value)


def test_what_can_only_be_set():
    device = machine().kvm_device
    assert device.has(KvmGroup.CTRL, KvmControl.INIT)
    with pytest.raises(OSError, match="attribute 0x0 of group 4 can only be set") as refused:
        device.get(KvmGroup.CTRL, KvmControl.INIT)
    assert refused.value.errno == errno.ENXIO
    with pytest.raises(OSError, match="no vCPU has the affinity 0x12345678"):
        device.get(KvmGroup.REDIST_REGS, 0x1234_5678 << 32)
    with pytest.raises(OSError, match="attribute 0x4 of group 1 is not of the LPI part of a GICv3"):
        device.get(KvmGroup.DIST_REGS, 4)
    with pytest.raises(ValueError, match="value must be 0 to 4294967295, not 4294967296"):
        device.set(KvmGroup.REDIST_REGS, PROPBASER, 1 << 32)
    with pytest.raises(ValueError, match="the VM has no guest memory"):
        _ = vgic.Vm(1).kvm_device


def test_the_order_of_a_restore_matters():
    source = Board(mapped())
    snapshot = VMMS[0].save(source, AFFINITIES)
    target = copied(source.vm)
    its = target.its[0].kvm_device
    with pytest.raises(OSError, match="restore GITS_CBASER before"):
        its.set(KvmGroup.ITS_REGS, 0x90, 0x1000)
    for offset in (0x80, 0x100, 0x108):
        its.set(KvmGroup.ITS_REGS, offset, snapshot[Key(0, KvmGroup.ITS_REGS, offset)])
    with pytest.raises(vgic.TableError, match="are GICR_PROPBASER and GICR_PENDBASER restored"):
        its.set(KvmGroup.CTRL, KvmControl.ITS_RESTORE_TABLES)
    its.set(KvmGroup.ITS_REGS, 0x0, 1)
    with pytest.raises(OSError, match="restore GITS_CTLR last") as refused:
        its.set(KvmGroup.ITS_REGS, 0x90, 0)
    assert refused.value.errno == errno.EBUSY

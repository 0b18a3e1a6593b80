"""vCPUs by MPIDR and with gaps, vCPUs that come later, regions of redistributors, layouts."""

import errno
import re

import pytest

import vgic
from workers import working

RAM = 0x4000_0000
TYPER, PROPBASER = vgic.GICR.TYPER, vgic.GICR.PROPBASER
OUT_OF_RANGE = "E_ITS_MAPC_PROCNUM_OOR"


def memory() -> vgic.GuestMemory:
    """No memory yet, so that it is in nobody's way."""
    return vgic.GuestMemory()


def typer(vm: vgic.Vm, number: int) -> tuple[int, int, bool]:
    """Affinity_Value, Processor_Number and Last of a vCPU."""
    value = vm.vcpu[number].frame.read(TYPER, 8)
    return value >> 32, value >> 8 & 0xFFFF, bool(value >> 4 & 1)


def last(vm: vgic.Vm) -> list[int]:
    """Whose redistributor has GICR_TYPER.Last."""
    return [number for number in vm.topology.order if typer(vm, number)[2]]


def test_vcpus_are_named_by_their_mpidr():
    # RES1, U and MT of an MPIDR_EL1 name nobody.
    vm = vgic.Vm([0x8000_0000, 0x8100_0100, 0x12_C034_5678], memory=memory())
    assert [typer(vm, n) for n in range(3)] == [(0, 0, False), (0x100, 1, False), (0x1234_5678, 2, True)]
    assert [vcpu.mpidr for vcpu in vm.vcpu] == [0, 0x100, 0x12_0034_5678]
    assert vm.vcpu_of(0x8000_0100) is vm.vcpu[1]
    assert vm.vcpu_of(0x12_0034_5678).index == 2
    with pytest.raises(ValueError, match=r"^mpidr: no vCPU has 0x200$"):
        vm.vcpu_of(0x200)


def test_the_usual_affinity_is_that_of_kvm():
    vm = vgic.Vm(512, memory=memory())
    assert [typer(vm, n)[0] for n in (0, 15, 16, 17, 511)] == [0, 0xF, 0x100, 0x101, 0x1F0F]
    sbsa = vgic.Vm(20, memory=memory(), layout="qemu-sbsa-ref")
    assert [typer(sbsa, n)[0] for n in (7, 8, 19)] == [7, 0x100, 0x203]


def test_numbers_may_have_gaps():
    vcpus = {0: None, 7: 0x200, 3: None}
    vm = vgic.Vm(vcpus, memory=memory())
    assert [vcpu.index for vcpu in vm.vcpu if vcpu.present] == [0, 3, 7]
    # Redistributors are in the order of their vCPUs, without a hole.
    assert [vm.vcpu[n].frame.base for n in (0, 7, 3)] == [0x080A_0000 + n * 0x2_0000 for n in range(3)]
    assert [typer(vm, n) for n in (0, 7, 3)] == [(0, 0, False), (0x200, 7, False), (3, 3, True)]
    assert vm.mmio_read(0x0810_0000 + TYPER, 8) == 0
    with pytest.raises(ValueError, match=r"^vCPU 1 is not there, so it has no register frame: plug\(1\)$"):
        _ = vm.vcpu[1].frame
    with pytest.raises(ValueError, match=r"^vCPU 1 is not there, so it has no LPIs to enable: plug\(1\)$"):
        vm.vcpu[1].lpis_enabled = True
    assert repr(vm.vcpu[1]) == "<Vcpu 1: not there>"
    assert repr(vm) == "<Vm v7.3: 3 vCPUs, 1 ITSes>"


def test_to_the_its_a_vcpu_that_is_not_there_has_no_number():
    vm = vgic.Vm({0: None, 7: None})
    vm.enable()
    assert [vcpu.lpis_enabled for vcpu in vm.vcpu] == [True, *[False] * 6, True]
    its = vm.its[0]
    its.mapc(1, vcpu=7)
    for absent in (1, 6, 8):
        with pytest.raises(vgic.CommandError) as refused:
            its.mapc(0, vcpu=absent)
        assert refused.value.name == OUT_OF_RANGE
    for vcpus in ((0, 1), (1, 0)):
        with pytest.raises(vgic.CommandError) as refused:
            its.movall(*vcpus)
        assert refused.value.name == "E_ITS_MOVALL_PROCNUM_OOR"
    assert its.tables()["collections"] == [(1, 7)]


def test_vcpus_come_later():
    vm = vgic.Vm(2, max_vcpus=4, memory=memory())
    redistributors = 0x080A_0000
    vm.vcpu[0].frame.write(PROPBASER, 8, 0x5000_000F)
    assert (len(vm.vcpu), last(vm)) == (4, [1])
    assert vm.mmio_read(redistributors + 2 * 0x2_0000 + TYPER, 8) == 0
    came = vm.plug(3, mpidr=0x8000_0300)
    assert came is vm.vcpu[3]
    assert (came.present, came.lpis_enabled) == (True, False)
    assert typer(vm, 3) == (0x300, 3, True)
    assert last(vm) == [3]
    assert vm.mmio_read(redistributors + 2 * 0x2_0000 + TYPER, 8) >> 8 & 0xFFFF == 3
    # It shares GICR_PROPBASER with the others, which its coming leaves as it is.
    assert vm.vcpu[3].frame.read(PROPBASER, 8) & 0xFFFF_FFFF_FFFF_F000 == 0x5000_0000
    vm.plug(2)
    assert vm.vcpu[2].frame.base == redistributors + 3 * 0x2_0000
    assert last(vm) == [2]
    with pytest.raises(ValueError, match="number: vCPU 3 is there already"):
        vm.plug(3)
    with pytest.raises(ValueError, match="number must be 0 to 3, not 4"):
        vm.plug(4)


def test_vcpus_come_beside_accesses():
    """Other vCPUs' threads look meanwhile: each address has no redistributor, or the one that will stay there."""
    vm = vgic.Vm(1, max_vcpus=64, memory=memory())
    found: dict[int, set[int]] = {place: set() for place in range(64)}

    def look() -> None:
        for place, numbers in found.items():
            at = 0x080A_0000 + place * 0x2_0000
            if vm.mmio_read(at + vgic.GICR.PIDR2, 4):
                numbers.add(vm.mmio_read(at + TYPER, 4) >> 8 & 0xFFFF)

    with working(look, look):
        for number in reversed(range(1, 64)):
            vm.plug(number)
    look()
    assert [*found.values()] == [{0}, *({number} for number in reversed(range(1, 64)))]
    assert last(vm) == [1]


def test_a_vcpu_that_comes_later_takes_lpis():
    vm = vgic.Vm(1, max_vcpus=2)
    vm.enable()
    its = vm.its[0]
    with pytest.raises(vgic.CommandError):
        its.mapc(0, vcpu=1)
    vm.plug(1).lpis_enabled = True
    its.mapc(0, vcpu=1)
    its.mapd(1)
    its.mapti(1, 0, 8192, 0)
    assert vm.signal_msi(1, 0) == 1
    assert (vm.vcpu[0].acknowledge(), vm.vcpu[1].acknowledge()) == (None, 8192)


def test_a_restore_needs_the_vcpus_of_its_collections():
    ram = bytearray(0x10_0000)
    vm = vgic.Vm({0: None, 2: None}, memory=vgic.GuestMemory({RAM: ram}))
    frame = vm.its[0].frame
    frame.set(vgic.GITS.BASER1, 1 << 63 | RAM)
    vm.memory.write_u64(RAM, 1 << 63 | 1 << 16)  # collection 0 of vCPU 1
    with pytest.raises(vgic.TableError, match=r"CTE collection_id=0 vcpu=1.*: the VM has no such vCPU") as refused:
        frame.restore_tables()
    assert refused.value.errno == errno.EINVAL


def test_a_state_of_another_topology_is_refused():
    """The same vCPUs in the same order: GICR_TYPER is compared."""

    def vm(vcpus: list[int] | dict[int, int | None], **places: object) -> vgic.Vm:
        return vgic.Vm(vcpus, memory=vgic.GuestMemory({RAM: bytearray(0x10_0000)}), **places)

    state = vm([0, 1]).save()
    vm([0, 1]).restore(state)
    for other in (vm([1, 0]), vm([0, 0x100]), vm({0: 0, 2: 1}), vm([0, 1], redistributors=[(0, 1), (0x10_0000, 1)])):
        with pytest.raises(ValueError, match=r"^the state is of another topology: vCPU . has GICR_TYPER 0x"):
            other.restore(state)
    text = state.to_json().replace('"ICC_AP1R0_EL1": "0x0"', '"ICC_AP1R0_EL1": "0x100000000"', 1)
    with pytest.raises(ValueError, match="ICC_AP1R0_EL1 0x100000000 of vCPU 0 is out of range"):
        vm([0, 1]).restore(vgic.SavedState.from_json(text))


def test_regions_of_redistributors():
    """As KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION: filled one after the other, Last at the end of each."""
    regions = [(0x1000_0000, 2), (0x2000_0000, 1), (0x3000_0000, 4)]
    vm = vgic.Vm(5, memory=memory(), redistributors=regions)
    bases = [0x1000_0000, 0x1002_0000, 0x2000_0000, 0x3000_0000, 0x3002_0000]
    assert [vcpu.frame.base for vcpu in vm.vcpu] == bases
    assert last(vm) == [1, 2, 4]
    assert [(region.base, region.count) for region in vm.topology.regions] == [*regions[:2], (0x3000_0000, 2)]
    for number, base in enumerate(bases):
        assert vm.mmio_read(base + TYPER, 8) >> 8 & 0xFFFF == number


@pytest.mark.parametrize(
    ("regions", "vcpus", "expected"),
    [
        # A guest walks on where the next region begins right behind, but only once that one has a redistributor.
        ([(0x1000_0000, 2), (0x1004_0000, 2)], 3, [2]),
        ([(0x1000_0000, 2), (0x1004_0000, 2)], 2, [1]),
        ([(0x1004_0000, 2), (0x1000_0000, 2)], 3, [1, 2]),
        ([(0x1004_0000, 2), (0x1000_0000, 2)], 4, [1]),
        ([(0x1000_0000, 1), (0x3000_0000, 1), (0x1002_0000, 1)], 3, [1, 2]),
    ],
)
def test_last_of_regions_side_by_side(regions, vcpus, expected):
    assert last(vgic.Vm(vcpus, memory=memory(), redistributors=regions)) == expected


def test_each_of_512_vcpus_is_reached_by_its_address():
    vm = vgic.Vm(512, memory=memory())
    for vcpu in vm.vcpu:
        vm.mmio_write(vcpu.frame.base + vgic.GICR.PENDBASER, 8, 0x5000_0000 + (vcpu.index << 16))
    for number, vcpu in enumerate(vm.vcpu):
        assert vm.mmio_read(vcpu.frame.base + TYPER, 8) >> 8 & 0xFFFF == number
        assert vcpu.frame.read(vgic.GICR.PENDBASER, 8) & ~0xFFFF == 0x5000_0000 + (number << 16)
    assert [vm.vcpu[n].frame.base for n in (122, 123, 511)] == [0x08FE_0000, 0x40_0000_0000, 0x40_0308_0000]
    assert last(vm) == [122, 511]


#: Layout -> distributor, ITS, the first and the last of four redistributors.
PLACES = {
    "qemu-virt": (0x0800_0000, 0x0808_0000, 0x080A_0000, 0x0810_0000),
    "qemu-sbsa-ref": (0x4006_0000, 0x4408_1000, 0x4008_0000, 0x400E_0000),
    "crosvm": (0x3FFF_0000, 0x4000_0000, 0x3FF7_0000, 0x3FFD_0000),
    "firecracker": (0x3FFF_0000, 0x3FF5_0000, 0x3FF7_0000, 0x3FFD_0000),
    "cloud-hypervisor": (0x08FF_0000, 0x08F5_0000, 0x08F7_0000, 0x08FD_0000),
    "kvmtool": (0x3FFF_0000, 0x3FF5_0000, 0x3FF7_0000, 0x3FFD_0000),
}


@pytest.mark.parametrize("layout", vgic.layouts(), ids=lambda layout: layout.name)
def test_layouts(layout):
    vm = vgic.Vm(4, memory=memory(), layout=layout.name)
    frames = vm.its[0].frame.base, vm.vcpu[0].frame.base, vm.vcpu[3].frame.base
    assert (vm.topology.distributor, *frames) == PLACES[layout.name]
    assert vm.mmio_read(vm.its[0].frame.base + vgic.GITS.TYPER, 8) == 0x1_EF71
    assert vm.its[0].doorbell == vm.its[0].frame.base + 0x1_0040
    without_frames = vgic.Vm(4, layout=layout.name)
    without_frames.enable()
    assert without_frames.signal_msi_at(vm.its[0].doorbell, 1, 0) == 0
    # The most that a VM may have; further ITSes keep clear of everything.
    most = vgic.Vm(512, memory=memory(), its=64, layout=layout.name)
    assert len({its.frame.base for its in most.its} | {vcpu.frame.base for vcpu in most.vcpu}) == 512 + 64


def test_places_of_ones_own_in_a_layout():
    vm = vgic.Vm(2, memory=memory(), layout="kvmtool", distributor=0x2000_0000)
    assert (vm.vcpu[0].frame.base, vm.its[0].frame.base) == (0x1FFC_0000, 0x1FFA_0000)
    vm = vgic.Vm(2, memory=memory(), layout="kvmtool", redistributors=0x2000_0000, its=2)
    assert [its.frame.base for its in vm.its] == [0x2004_0000, 0x2006_0000]
    # A place for those that may still come is kept free.
    vm = vgic.Vm(1, max_vcpus=4, memory=memory(), layout="firecracker")
    assert (vm.vcpu[0].frame.base, vm.its[0].frame.base) == (PLACES["firecracker"][2], PLACES["firecracker"][1])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"vcpus": []}, "vcpus: expected 1 to 512 of them"),
        ({"vcpus": [0] * 513}, "vcpus: expected 1 to 512 of them"),
        ({"vcpus": {}}, "vcpus: expected 1 to 512 of them"),
        ({"vcpus": {512: 0}}, "vcpus must be 0 to 511, not 512"),
        ({"vcpus": [-1]}, "mpidr must be 0 to 18446744073709551615, not -1"),
        ({"vcpus": [0, 0x8000_0000]}, "mpidr: vCPUs 0 and 1 would have the same affinity, 0x0"),
        ({"vcpus": {0: 5, 5: None}}, "mpidr: vCPUs 0 and 5 would have the same affinity, 0x5"),
        ({"vcpus": 4, "max_vcpus": 3}, "max_vcpus must be 4 to 512, not 3"),
        ({"layout": "virt"}, "layout: 'virt' is unknown; there are qemu-virt, qemu-sbsa-ref, crosvm, firecracker, "),
        ({"redistributors": -0x1_0000}, "redistributors must be 0 to 4503599627370495, not -65536"),
        ({"redistributors": 1 << 52}, "redistributors must be 0 to 4503599627370495, not 4503599627370496"),
        ({"its": [-1]}, "its must be 0 to 4503599627370495, not -1"),
        ({"its": [1 << 52]}, "its must be 0 to 4503599627370495, not 4503599627370496"),
        ({"distributor": 1 << 52}, "distributor must be 0 to 4503599627370495, not 4503599627370496"),
        ({"redistributors": [(0, 1)]}, "redistributors: the regions have room for 1, the VM for 4 vCPUs"),
        ({"redistributors": []}, "redistributors: the regions have room for 0, the VM for 4 vCPUs"),
        ({"redistributors": [(0, 0)]}, "redistributors: count must be 1 to 512, not 0"),
        ({"redistributors": [(1 << 52, 9)]}, "redistributors: base must be 0 to 4503599627370495"),
        ({"redistributors": [7]}, "redistributors: expected an address, or regions as pairs of an address and a count"),
        ({"redistributors": [(0x1000, 9)]}, "redistributors: 0x1000 is not a multiple of 64 KiB"),
        ({"redistributors": [(0, 2), (0x2_0000, 9)]}, "redistributors at 0x0 and redistributors at 0x20000 overlap"),
        ({"layout": "kvmtool", "distributor": 0x1_0000}, "distributor: no room below 0x10000 for the other frames"),
    ],
)
def test_what_cannot_be_is_refused(arguments, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}") as refused:
        vgic.Vm(**arguments)
    assert "\n" not in str(refused.value)

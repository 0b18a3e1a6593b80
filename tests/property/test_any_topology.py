"""In any topology an access by address reaches the vCPU whose redistributor is there, and a walking guest finds all."""

from hypothesis import given
from hypothesis import strategies as st

import vgic

FRAME = 0x2_0000
#: Places for regions, of which some are side by side.
PLACES = [0x1000_0000, 0x1000_0000 + 4 * FRAME, 0x3000_0000, 0x40_0000_0000]
TYPER, PENDBASER, PIDR2 = vgic.GICR.TYPER, vgic.GICR.PENDBASER, vgic.GICR.PIDR2


@st.composite
def machines(draw: st.DrawFn) -> tuple[vgic.Vm, dict[int, int]]:
    """A VM, some of whose vCPUs came later, and the affinity of each that is there."""
    numbers = draw(st.lists(st.integers(0, 11), min_size=1, max_size=12, unique=True))
    affinities = draw(st.lists(st.integers(0, 0xFFFF_FFFF), min_size=12, max_size=12, unique=True))
    named = dict(zip(numbers, affinities, strict=False))
    mpidrs = {number: affinity >> 24 << 32 | affinity & 0xFF_FFFF for number, affinity in named.items()}
    first = draw(st.integers(1, len(numbers)))
    # Of four redistributors each, so that the regions side by side touch; twelve have room in three of them.
    regions = [(base, 4) for base in draw(st.permutations(PLACES))]
    vm = vgic.Vm(
        {number: mpidrs[number] for number in numbers[:first]},
        max_vcpus=12,
        memory=vgic.GuestMemory(),
        redistributors=regions,
    )
    for number in numbers[first:]:
        vm.plug(number, mpidrs[number])
    return vm, named


def walked(vm: vgic.Vm, base: int) -> list[int]:
    """The numbers of the vCPUs that a guest finds from a region's base on: to the one that is the last."""
    found = []
    for place in range(12):
        at = base + place * FRAME
        if vm.mmio_read(at + PIDR2, 4) == 0:
            break
        typer = vm.mmio_read(at + TYPER, 8)
        found.append(typer >> 8 & 0xFFFF)
        if typer >> 4 & 1:
            break
    return found


@given(machines())
def test_mmio_reaches_the_vcpu_of_the_frame(machine):
    vm, affinities = machine
    for number in affinities:
        vm.mmio_write(vm.vcpu[number].frame.base + PENDBASER, 8, (number + 1) << 16)
    for number, affinity in affinities.items():
        frame = vm.vcpu[number].frame
        assert vm.mmio_read(frame.base + TYPER + 4, 4) == affinity
        assert vm.mmio_read(frame.base + TYPER, 4) >> 8 & 0xFFFF == number
        assert vm._core.pendbaser(number) & ~0xFFFF == (number + 1) << 16
        assert vm.vcpu_of(vm.vcpu[number].mpidr).index == number
    assert {vcpu.index for vcpu in vm.vcpu if vcpu.present} == affinities.keys()


@given(machines())
def test_a_guest_that_walks_the_regions_finds_each_vcpu(machine):
    vm, affinities = machine
    begun = vm.topology.regions[: -(-len(affinities) // 4)]
    walks = [walked(vm, region.base) for region in begun]
    assert set().union(*walks) == affinities.keys()
    # Each walk ends at a redistributor with Last: none runs into a hole, or on for ever.
    assert all(0 < len(walk) <= len(affinities) for walk in walks)
    assert all(vm.vcpu[walk[-1]].frame.read(TYPER, 8) >> 4 & 1 for walk in walks)

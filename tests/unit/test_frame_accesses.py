"""Every access to the frames, of every size at every offset; and every command by the queue."""

import pytest
from test_its_tables import CONFIG, machine, run

import vgic
from vgic.its import encode

#: First byte, length and sizes of accesses; whether a write changes it.
ITS = [
    (0x0, 4, (4,), True),  # GITS_CTLR
    (0x4, 4, (4,), False),  # GITS_IIDR
    (0x8, 8, (4, 8), False),  # GITS_TYPER
    (0x80, 8, (4, 8), True),  # GITS_CBASER
    (0x88, 8, (4, 8), True),  # GITS_CWRITER
    (0x90, 8, (4, 8), False),  # GITS_CREADR
    (0x100, 64, (4, 8), True),  # GITS_BASER<n>
    (0xFFD0, 48, (4,), False),  # ID registers
]
REDISTRIBUTOR = [
    (0x0, 4, (4,), True),  # GICR_CTLR
    (0x4, 4, (4,), False),  # GICR_IIDR
    (0x8, 8, (4, 8), False),  # GICR_TYPER
    (0x14, 4, (4,), False),  # GICR_WAKER
    (0x70, 8, (4, 8), True),  # GICR_PROPBASER
    (0x78, 8, (4, 8), True),  # GICR_PENDBASER
    (0xA0, 8, (4, 8), False),  # GICR_INVLPIR
    (0xB0, 8, (4, 8), False),  # GICR_INVALLR
    (0xC0, 4, (4,), False),  # GICR_SYNCR
    (0xFFD0, 48, (4,), False),  # ID registers
]
SIZES = (1, 2, 4, 8)
OFFSETS = [*range(0x160), *range(0xFFC0, 0x1_0000)]


def frames() -> list[tuple[vgic.ItsFrame | vgic.RedistributorFrame, list[tuple[int, int, tuple[int, ...], bool]]]]:
    """Frames that are off, with something in each register that can be written."""
    vm = machine()
    its, redistributor = vm.its[0].frame, vm.vcpu[1].frame
    its.write(0x88, 8, 0x60)
    its.write(0x0, 4, 0)
    redistributor.write(0x0, 4, 0)
    return [(its, ITS), (redistributor, REDISTRIBUTOR)]


@pytest.mark.parametrize("which", [0, 1], ids=["its", "redistributor"])
def test_a_register_is_read_by_its_sizes_and_nothing_else_is_there(which):
    frame, registers = frames()[which]
    bytes_of: dict[int, int] = {}
    for first, length, sizes, _ in registers:
        for at in range(first, first + length, min(sizes)):
            word = frame.read(at, min(sizes))
            bytes_of |= {at + n: word >> 8 * n & 0xFF for n in range(min(sizes))}
    assert sum(bytes_of.values()) > 0
    for offset in OFFSETS:
        for size in SIZES:
            there = any(
                first <= offset and offset + size <= first + length and size in sizes and offset % size == 0
                for first, length, sizes, _ in registers
            )
            wanted = sum(bytes_of[offset + n] << 8 * n for n in range(size)) if there else 0
            assert frame.read(offset, size) == wanted, f"{offset:#x}, {size}"


@pytest.mark.parametrize("which", [0, 1], ids=["its", "redistributor"])
def test_what_is_no_register_or_is_read_only_is_not_written(which):
    frame, registers = frames()[which]
    writable = {at for first, length, _, changes in registers if changes for at in range(first, first + length)}

    def state() -> list[int]:
        return [frame.read(at, 4) for at in range(0, 0x160, 4)] + [
            frame.read(at, 4) for at in range(0xFFC0, 0x1_0000, 4)
        ]

    before = state()
    for offset in OFFSETS:
        for size in SIZES:
            wide = any(
                first <= offset and offset + size <= first + length and size in sizes and offset % size == 0
                for first, length, sizes, _ in registers
            )
            if not (wide and offset in writable):
                frame.write(offset, size, (1 << 8 * size) - 1)
                assert state() == before, f"{offset:#x}, {size}"


def test_identification_and_what_a_redistributor_says_of_itself():
    vm = machine()
    redistributors = [vcpu.frame for vcpu in vm.vcpu]
    for frame in (vm.its[0].frame, redistributors[0]):
        assert [frame.read(0xFFE8 + 4 * n, 4) for n in range(2)] == [0x3B, 0], "PIDR2: GICv3"
    assert [frame.read(0x14, 4) for frame in redistributors] == [0, 0], "awake"
    assert [frame.read(0xC0, 4) for frame in redistributors] == [0, 0], "not busy"
    assert [frame.read(0x8, 8) >> 8 & 0xFFFF for frame in redistributors] == [0, 1]
    assert redistributors[0].read(0xFFD0, 4) == 0


def test_every_command_by_the_queue():
    vm = machine()

    def taken(vcpu: int) -> int | None:
        return vm.vcpu[vcpu].acknowledge()

    run(vm, *(encode("MAPC", collection_id=n, vcpu=n, valid=True) for n in range(2)))
    run(vm, encode("MAPD", device_id=1, event_bits=14, itt_address=0x4010_0000, valid=True))
    run(vm, encode("MAPTI", device_id=1, event_id=0, intid=8192, collection_id=0))
    run(vm, encode("MAPI", device_id=1, event_id=8200, collection_id=0))

    run(vm, encode("INT", device_id=1, event_id=8200))
    assert taken(0) == 8200
    vm.vcpu[0].eoi(8200)
    run(vm, encode("INT", device_id=1, event_id=0), encode("CLEAR", device_id=1, event_id=0))
    assert taken(0) is None
    run(vm, encode("MOVI", device_id=1, event_id=0, collection_id=1), encode("INT", device_id=1, event_id=0))
    assert (taken(0), taken(1)) == (None, 8192)
    vm.vcpu[1].eoi(8192)
    run(vm, encode("MOVALL", vcpu=1, to_vcpu=0), encode("SYNC", vcpu=0), encode("INT", device_id=1, event_id=0))
    assert taken(0) == 8192
    vm.vcpu[0].eoi(8192)

    for command in (encode("INV", device_id=1, event_id=8200), encode("INVALL", collection_id=0)):
        vm.memory.write(CONFIG + 8200 - 8192, b"\xa0")
        run(vm, command, encode("INT", device_id=1, event_id=8200))
        assert taken(0) is None, "disabled"
        vm.memory.write(CONFIG + 8200 - 8192, b"\xa1")
        run(vm, command)
        assert taken(0) == 8200
        vm.vcpu[0].eoi(8200)

    run(
        vm,
        encode("DISCARD", device_id=1, event_id=0),
        encode("MAPD", device_id=1, event_bits=1, itt_address=0, valid=False),
    )
    assert vm.its[0].tables()["devices"] == []
    run(vm, encode("MAPC", collection_id=1, vcpu=0, valid=False))
    assert vm.its[0].tables()["collections"] == [(0, 0)]

"""Each mask hides a difference, that one and no other; and without any sequence that needs it, it would be an error."""

from typing import NamedTuple

import layout
import masks
import pytest
from chance import start
from layout import Setup
from machines import DESIGN, QemuMachine, VgicMachine
from operations import (
    Batch,
    Command,
    Config,
    Inspect,
    Migrate,
    MoveQueue,
    Msi,
    Operation,
    PendingBit,
    SwitchIts,
    SwitchLpis,
    Take,
    Write,
)
from oracle_guest import Difference, Guest
from taking import TakingGuest

from vgic.conformance import check
from vgic.conformance.cases import CASES as CONFORMANCE_CASES
from vgic.conformance.choices import CHOICES
from vgic.conformance.ours import OurTarget
from vgic.conformance.qemu import AgentTarget
from vgic.conformance.qtest import VCPUS


class Case(NamedTuple):
    """A sequence that needs a mask, and what shows when that is lifted."""

    #: After `start()`: device 0 has events 0 to 3 with LPIs 8192 to 8195 in collections 0 to 3, each of that vCPU;
    #: device 0x18 likewise, with LPIs 8196 to 8199.
    operations: tuple[Operation, ...]
    #: Each of these is in the report.
    shows: tuple[str, ...]
    setup: Setup = Setup()
    design: str = DESIGN


def do(*commands: tuple[str | int, ...]) -> Batch:
    return Batch(tuple(Command(str(name), tuple(map(int, operands))) for name, *operands in commands))


INT = do(("int", 0, 0))
CASES = {
    masks.MAPTI_MAPPED: Case(
        (do(("mapti", 0, 0, 8200, 1)),),
        ("events: only QEMU [((0, 0), (8200, 1))]", "events: only vgic [((0, 0), (8192, 0))]"),
    ),
    masks.MAPTI_ID_BITS: Case(
        (do(("mapti", 0, 31, 16384, 0)),),
        ("events: only QEMU [((0, 31), (16384, 0))]", "events: only vgic []"),
    ),
    masks.SHARED_LPI: Case(
        # Two events of one LPI: the last one that is mapped is not the one that is sent.
        (do(("mapd", 7, 2, 1), ("mapti", 7, 2, 8200, 1), ("mapti", 7, 1, 8200, 0)), do(("int", 7, 1))),
        ("pending: only QEMU [(0, 8200)]", "pending: only vgic [(1, 8200)]"),
    ),
    masks.LINGERING_LPI: Case(
        (INT, do(("discard", 0, 0), ("mapti", 0, 0, 8192, 1))),
        ("targets: only QEMU [(8192, 1)]", "targets: only vgic [(8192, 0)]"),
    ),
    masks.DISCARD_PENDING: Case(
        (INT, do(("discard", 0, 0))),
        ("pending: only QEMU []", "pending: only vgic [(0, 8192)]"),
    ),
    masks.MAPD_PENDING: Case(
        # An LPI that is not enabled is on no queue.
        (Config(8200, 0xA0), do(("mapti", 0, 31, 8200, 0), ("int", 0, 31)), do(("mapd", 0, 5, 0))),
        ("pending: only QEMU [(0, 8200)]", "pending: only vgic []"),
    ),
    masks.ITT_REUSE: Case(
        (do(("mapd", 0, 5, 0)), do(("mapd", 0, 5, 1))),
        ("events: only QEMU [((0, 0), (8192, 0)), ", "events: only vgic []"),
    ),
    masks.MAPD_SIZE: Case(
        (do(("mapd", 0, 32, 0)),),
        ("devices: only QEMU [(0, ", "devices: only vgic []"),
    ),
    masks.MAPC_MOVES: Case(
        (INT, do(("mapc", 0, 1, 1))),
        ("pending: only QEMU [(0, 8192)]", "pending: only vgic [(1, 8192)]"),
    ),
    masks.MAPC_UNMAPS: Case(
        (INT, do(("mapc", 0, 0, 0)), do(("clear", 0, 0))),
        ("pending: only QEMU [(0, 8192)]", "pending: only vgic []"),
    ),
    masks.MAPC_REVIVES: Case(
        (do(("mapc", 0, 0, 0)), do(("mapc", 0, 0, 1))),
        ("events: only QEMU [((0, 0), (8192, 0)), ", "events: only vgic [((0, 0), (8192, None)), "),
    ),
    masks.MAPC_RANGE: Case(
        (do(("mapd", 0, 5, 0), ("mapd", 0x18, 5, 0), ("mapc", 0, VCPUS, 0)),),
        ("collections: only QEMU []", "collections: only vgic [(0, 0)]"),
        design="v6.8-rc1",
    ),
    masks.MAPC_CACHED: Case(
        # The first MSI puts the translation into the cache; CLEAR and MAPC leave it there.
        (SwitchLpis(3, False), Msi(0, 0), do(("mapc", 0, 3, 1)), Msi(0, 0), do(("mapc", 0, 2, 1))),
        ("pending: only QEMU []", "pending: only vgic [(2, 8192)]"),
    ),
    masks.MOVALL_ALONE: Case(
        (do(("movall", 0, 1)),),
        ("targets: only QEMU [(8192, 0), (8196, 0)]", "targets: only vgic [(8192, 1), (8196, 1)]"),
    ),
    masks.MOVALL_ALL: Case(
        (do(("int", 0, 2), ("movall", 0, 1)),),
        ("pending: only QEMU [(2, 8194)]", "pending: only vgic [(1, 8194)]"),
        design="v7.1.8",
    ),
    masks.LPIS_OFF: Case(
        (INT, SwitchLpis(0, False), do(("movi", 0, 0, 1)), SwitchLpis(0, True)),
        ("pending: only QEMU [(0, 8192)]", "pending: only vgic []"),
    ),
    masks.PENDING_TABLES: Case(
        (INT, SwitchLpis(0, False)),
        ("pending: only QEMU [(0, 8192)]", "pending: only vgic []"),
    ),
    masks.PENDING_ELSEWHERE: Case(
        (SwitchLpis(0, False), PendingBit(0, 8200), do(("mapti", 0, 31, 8200, 0)), SwitchLpis(0, True)),
        ("pending: only QEMU [(0, 8200)]", "pending: only vgic []"),
    ),
    masks.SAVE_DEAD: Case(
        (do(("mapc", 0, 0, 0)), Migrate()),
        ("events: only QEMU [((0, 0), (8192, None)), ((24, 0), (8196, None))]", "events: only vgic []"),
    ),
    masks.SAVE_WHILE_OFF: Case(
        (SwitchLpis(0, False), PendingBit(0, 8192), Migrate()),
        ("pending: only QEMU [(0, 8192)]", "pending: only vgic []"),
    ),
    masks.PTZ: Case(
        (INT, SwitchLpis(0, False), SwitchLpis(0, True, ptz=True)),
        ("pending: only QEMU [(0, 8192)]", "pending: only vgic []"),
    ),
    masks.PTZ_READS: Case(
        (Inspect(),),
        ("GICR0_PENDBASER differs in bits 0x4000000000000000: QEMU 0x4000000040210780, vgic 0x40210780",),
    ),
    masks.BASE_WHILE_ENABLED: Case(
        (Write("GICR0_PROPBASER", 0), Inspect()),
        ("GICR0_PROPBASER differs in bits 0x4020078d: QEMU 0x0, vgic 0x4020078d",),
    ),
    masks.ENABLE_INVALID: Case(
        # Without collections, as KVM would free them here.
        (do(*(("mapd", device, 5, 0) for device in (0, 0x18)), *(("mapc", n, n, 0) for n in range(4))),
        SwitchIts(False), Write("GITS_BASER1", 0), SwitchIts(True)),
        ("GITS_CTLR differs in bits 0x1: QEMU 0x80000001, vgic 0x80000000",),
    ),
    masks.SANITISED: Case(
        (Inspect(),),
        ("GITS_BASER0 differs in bits 0x200: QEMU 0xb907000040260400, vgic 0xb907000040260600",),
    ),
    masks.CWRITER_KEPT: Case(
        (MoveQueue(1, 1),),
        ("GITS_CWRITER differs in bits 0x1c0: QEMU 0x1c0, vgic 0x0",),
    ),
    masks.CWRITER_RANGE: Case(
        (Write("GITS_CWRITER", 0x1000),),
        ("GITS_CWRITER differs in bits 0x11c0: QEMU 0x1000, vgic 0x1c0",),
    ),
    masks.CREADR_WRITE: Case(
        (Write("GITS_CREADR", 0),),
        ("GITS_CREADR differs in bits 0x1c0: QEMU 0x0, vgic 0x1c0",),
    ),
    masks.QUIESCENT: Case(
        (SwitchIts(False), INT),
        ("GITS_CTLR differs in bits 0x80000000: QEMU 0x80000000, vgic 0x0",),
    ),
    masks.CONFIG_CACHED: Case(
        (Config(8192, 0x00), INT),
        ("has a pending LPI: QEMU [False, False, False, False], vgic [True, False, False, False]",),
    ),
    masks.LOWEST_PRIORITY: Case(
        (Config(8192, 0xF9), INT, Take(0, ("acknowledge",))),
        ("acknowledge: QEMU None, vgic 8192",),
    ),
    masks.TIES: Case(
        # The one with the higher INTID is first.
        (Config(8196, 0x01), do(("int", 0x18, 0), ("int", 0, 0)), Take(0, ("acknowledge",))),
        ("acknowledge: QEMU 8192, vgic 8196",),
    ),
    masks.ITS_TYPER: Case((Inspect(),), ("GITS_TYPER differs in bits 0x1f000000c0: QEMU 0x1f0001efb1, vgic 0x1ef71",)),
    masks.PRODUCT: Case((Inspect(),), ("GITS_IIDR differs in bits 0x4b000000: QEMU 0x43b, vgic 0x4b00043b",)),
    masks.PARTS: Case((Inspect(),), ("GITS_PIDR4 differs in bits 0x4: QEMU 0x44, vgic 0x40",)),
    masks.COMMON_AFFINITY: Case((Inspect(),), ("GICR0_TYPER differs in bits 0x1000000: QEMU 0x1000001, vgic 0x1",)),
    masks.DIRECT_INV: Case((Inspect(),), ("GICR0_CTLR differs in bits 0x4: QEMU 0x3, vgic 0x7",)),
    masks.WAKER: Case((Inspect(),), ("GICR0_WAKER differs in bits 0x6: QEMU 0x6, vgic 0x0",)),
}  # fmt: skip
TAKING = {masks.CONFIG_CACHED, masks.LOWEST_PRIORITY, masks.TIES}
EVERY = [pytest.param(mask, CASES.get(mask), id=name) for name, mask in masks.MASKS.items()]


def drive(mask: masks.Mask, case: Case, request: pytest.FixtureRequest) -> None:
    """Run a mask's case; what needs vCPUs that take LPIs, on such machines."""
    if mask in TAKING:
        guest: Guest = TakingGuest(request.getfixturevalue("taking_machines"), case.setup)
    else:
        reference = QemuMachine(request.getfixturevalue("qemu"))
        guest = Guest([reference, VgicMachine(case.design)], case.setup)
    for operation in (start(), *case.operations):
        guest.do(operation)


def test_every_mask_has_a_case():
    assert set(CASES) == set(masks.MASKS.values())


@pytest.mark.parametrize(("mask", "case"), EVERY)
def test_a_mask_is_needed_and_enough(mask, case, request):
    before = masks.USED[mask.name]
    drive(mask, case, request)
    assert masks.USED[mask.name] > before


@pytest.mark.parametrize(("mask", "case"), EVERY)
def test_without_the_mask_the_machines_differ_as_it_says(mask, case, request, qemu):
    if qemu.version != (7, 2):
        pytest.skip("the masks are about QEMU 7.2, this is {}.{}".format(*qemu.version))
    with mask.lifted(), pytest.raises(Difference) as raised:
        drive(mask, case, request)
    for part in case.shows:
        assert part in str(raised.value)


@pytest.mark.parametrize("mask", [mask for mask in masks.MASKS.values() if mask.how is masks.How.BITS], ids=str)
def test_masked_registers_exist(mask):
    known = {name if name.startswith("GITS") else "GICR_" + name.partition("_")[2] for name in layout.REGISTERS}
    assert mask.registers
    assert set(mask.registers) <= known


RULED = [pytest.param(mask, id=mask.name) for mask in masks.MASKS.values() if mask.kit]


@pytest.mark.parametrize("mask", RULED)
def test_the_conformance_kit_shows_whose_it_is(mask, running_qemu):
    if running_qemu.version != (7, 2):
        pytest.skip("the masks are about QEMU 7.2, this is {}.{}".format(*running_qemu.version))
    designs = {case.design for found, case in CASES.items() if found is mask}
    qemu, ours = (check(each, [mask.kit]) for each in (AgentTarget(running_qemu), OurTarget(*designs)))
    running_qemu.stop()
    differ = {who for who, report in (("QEMU", qemu), ("KVM", ours)) for one in report.outcomes if one.difference}
    if mask.ruling is masks.Ruling.OPEN:
        (theirs,), (our,) = qemu.answers, ours.answers
        assert theirs.text != our.text
    else:
        assert differ == {mask.ruling.name}


def test_rulings_name_cases_and_choices():
    for mask in masks.MASKS.values():
        if mask.kit:
            assert mask.kit in (CHOICES if mask.ruling is masks.Ruling.OPEN else CONFORMANCE_CASES)

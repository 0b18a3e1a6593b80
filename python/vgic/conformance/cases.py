"""What the architecture demands of an ITS (Arm IHI 0069, GICv3 and GICv4), one rule a case.

A case drives the target only as software may: nothing here is UNPREDICTABLE. What is left open is in
:mod:`~vgic.conformance.choices`. Rules are in our words; the section says where the architecture has them.
"""

from collections.abc import Callable
from typing import NamedTuple

from vgic.conformance.bench import (
    CONFIGURATION,
    DEVICE_TABLE,
    ENABLED,
    FIRST_LPI,
    ID_BITS,
    PAGE,
    Bench,
)
from vgic.registers import GICR, GITS, VALID

__all__ = ["CASES", "Case"]

LPI = FIRST_LPI
_ALL = (1 << 64) - 1


class Case(NamedTuple):
    """A rule, and how it is looked at."""

    name: str
    #: Where the architecture says so.
    section: str
    #: What it says, in our words.
    rule: str
    #: Raises :class:`~vgic.conformance.bench.Difference`.
    run: Callable[[Bench], None]


CASES: dict[str, Case] = {}


def _case(section: str, rule: str) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    def add(run: Callable[[Bench], None]) -> Callable[[Bench], None]:
        name = run.__name__.lstrip("_").replace("_", "-")
        CASES[name] = Case(name, section, rule, run)
        return run

    return add


# What the registers say after reset.


@_case("GITS_CTLR", "After reset the ITS is disabled and quiescent.")
def _reset_leaves_the_its_off(bench: Bench) -> None:
    bench.expect("GITS_CTLR", hex(1 << 31), hex(bench.its(GITS.CTLR) & (1 << 31 | ENABLED)))


@_case("GITS_CBASER, GITS_BASER<n>", "After reset there is no command queue and no table: Valid is 0.")
def _reset_leaves_no_table(bench: Bench) -> None:
    for register in (GITS.CBASER, *range(GITS.BASER0, GITS.BASER0 + 64, 8)):
        bench.expect(f"Valid of the register at {register:#x}", 0, bench.its(register) >> 63)


@_case("GICR_CTLR", "After reset LPIs are disabled.")
def _reset_leaves_lpis_off(bench: Bench) -> None:
    for vcpu in range(bench.target.vcpus):
        bench.expect(f"GICR_CTLR.EnableLPIs of vCPU {vcpu}", 0, bench.redistributor(vcpu, GICR.CTLR) & 1)


# Introspection.


@_case("GITS_TYPER", "An ITS translates physical LPIs: Physical is 1.")
def _its_has_physical_lpis(bench: Bench) -> None:
    bench.expect("GITS_TYPER.Physical", 1, bench.its(GITS.TYPER) & 1)


@_case("GITS_TYPER", "GITS_TYPER is read-only.")
def _its_typer_is_read_only(bench: Bench) -> None:
    before = bench.its(GITS.TYPER)
    bench.set_its(GITS.TYPER, before ^ _ALL)
    bench.expect("GITS_TYPER", hex(before), hex(bench.its(GITS.TYPER)))


@_case("GITS_PIDR2", "ArchRev is 3 for GICv3, 4 for GICv4, alike in the ITS and in the redistributors.")
def _architecture_revision(bench: Bench) -> None:
    revision = bench.its(GITS.PIDR2) >> 4 & 0xF
    bench.expect("GITS_PIDR2.ArchRev is 3 or 4", True, revision in (3, 4))
    bench.expect("GICR_PIDR2.ArchRev", revision, bench.redistributor(0, GICR.PIDR2) >> 4 & 0xF)


@_case("GITS_BASER<n>", "One register is for the device table, and no type is there twice.")
def _baser_types(bench: Bench) -> None:
    kinds = [bench.its(GITS.BASER0 + 8 * n) >> 56 & 7 for n in range(8)]
    found = [kind for kind in kinds if kind]
    bench.expect("GITS_BASER<n>.Type 1 (devices) is there", True, DEVICE_TABLE in found)
    bench.expect("types that are there once", sorted(set(found)), sorted(found))


@_case("GITS_BASER<n>", "Type and Entry_Size are read-only.")
def _baser_says_what_it_is_for(bench: Bench) -> None:
    fixed = 7 << 56 | 0x1F << 48
    for n in range(8):
        register = GITS.BASER0 + 8 * n
        before = bench.its(register)
        bench.set_its(register, (before ^ fixed) & ~VALID)
        bench.expect(f"GITS_BASER{n} bits 58:56 and 52:48", hex(before & fixed), hex(bench.its(register) & fixed))


@_case("GITS_BASER<n>", "A register without a table (Type 0) is RES0.")
def _baser_that_is_not_there(bench: Bench) -> None:
    for n in range(8):
        register = GITS.BASER0 + 8 * n
        if not bench.its(register) >> 56 & 7:
            bench.set_its(register, _ALL)
            bench.expect(f"GITS_BASER{n}", "0x0", hex(bench.its(register)))


@_case("GITS_BASER<n>", "The address, and that there is a table, read as written.")
def _baser_keeps_the_table(bench: Bench) -> None:
    bench.boot()
    for register in bench.tables.values():
        value = bench.its(register)
        bench.expect(f"Valid of the register at {register:#x}", 1, value >> 63)
        address = value & 0xFFFF_FFFF_0000
        bench.expect("its address is in the kit's memory", True, 0 <= address - bench.target.places.ram < 64 * PAGE)


@_case("GICR_TYPER", "Redistributors have physical LPIs; only the last one is Last; processor numbers are unique.")
def _redistributors_tell_who_they_are(bench: Bench) -> None:
    values = [bench.redistributor(vcpu, GICR.TYPER) for vcpu in range(bench.target.vcpus)]
    bench.expect("GICR_TYPER.PLPIS", [1] * len(values), [value & 1 for value in values])
    bench.expect("GICR_TYPER.Last", [0] * (len(values) - 1) + [1], [value >> 4 & 1 for value in values])
    numbers = {value >> 8 & 0xFFFF for value in values}
    bench.expect("different values of GICR_TYPER.Processor_Number", len(values), len(numbers))


@_case("GICR_PENDBASER", "PTZ is write-only, and reads as 0.")
def _pending_table_zero_reads_as_zero(bench: Bench) -> None:
    bench.set_pendbaser(0, zero=True)
    bench.expect("GICR_PENDBASER.PTZ", 0, bench.redistributor(0, GICR.PENDBASER) >> 62 & 1)


@_case("12.1.3 GIC memory-mapped register access", "GITS_CBASER can be written in halves, and read so.")
def _registers_in_halves(bench: Bench) -> None:
    at = bench.target.places.gits + GITS.CBASER
    value = VALID | 7 << 59 | 1 << 10 | bench.queue
    bench.write(at, 4, value & 0xFFFF_FFFF)
    bench.write(at + 4, 4, value >> 32)
    bench.expect("GITS_CBASER", hex(value), hex(bench.its(GITS.CBASER)))
    halves = bench.read(at, 4) | bench.read(at + 4, 4) << 32
    bench.expect("GITS_CBASER in halves", hex(value), hex(halves))


# The command queue.


@_case("The ITS command interface", "The ITS takes commands until GITS_CREADR is GITS_CWRITER.")
def _commands_are_taken(bench: Bench) -> None:
    bench.boot()
    bench.command("SYNC", vcpu=0)
    bench.expect("GITS_CREADR", "0x20", hex(bench.its(GITS.CREADR)))
    bench.expect("GITS_CWRITER", "0x20", hex(bench.its(GITS.CWRITER)))


@_case("The ITS command interface", "The queue is a ring: behind its last entry comes the first.")
def _the_queue_is_a_ring(bench: Bench) -> None:
    bench.ready()
    for _ in range(2):
        bench.write_commands(*[bench.entry("SYNC", vcpu=0)] * 100)
        bench.wait()
    bench.command("INT", device_id=0, event_id=1)
    bench.expect_taken("an INT behind 200 commands in a queue of 128", [[LPI + 1]])


@_case("GITS_CREADR", "GITS_CREADR is read-only.")
def _creadr_is_read_only(bench: Bench) -> None:
    bench.ready()
    before = bench.its(GITS.CREADR)
    bench.set_its(GITS.CREADR, 0)
    bench.expect("GITS_CREADR", hex(before), hex(bench.its(GITS.CREADR)))


@_case("GITS_CREADR", "GITS_CREADR becomes 0 when GITS_CBASER is written.")
def _cbaser_clears_creadr(bench: Bench) -> None:
    bench.ready()
    bench.set_its(GITS.CTLR, 0)
    bench.set_its(GITS.CBASER, bench.its(GITS.CBASER))
    bench.expect("GITS_CREADR", "0x0", hex(bench.its(GITS.CREADR)))


@_case("GITS_CTLR", "While the ITS is disabled, no command is taken; when it is enabled, those that wait are.")
def _a_disabled_its_takes_no_command(bench: Bench) -> None:
    bench.ready()
    bench.set_its(GITS.CTLR, 0)
    before = bench.its(GITS.CREADR)
    bench.write_commands(bench.entry("INT", device_id=0, event_id=0))
    bench.settle()
    bench.expect("GITS_CREADR", hex(before), hex(bench.its(GITS.CREADR)))
    bench.expect_taken("disabled", [])
    bench.set_its(GITS.CTLR, ENABLED)
    bench.wait()
    bench.expect_taken("enabled again", [[LPI]])


@_case("GITS_CTLR", "While the ITS is disabled, writes to GITS_TRANSLATER are ignored.")
def _a_disabled_its_translates_nothing(bench: Bench) -> None:
    bench.ready()
    bench.set_its(GITS.CTLR, 0)
    bench.msi(0, 0)
    bench.expect_taken("disabled", [])
    bench.set_its(GITS.CTLR, ENABLED)
    bench.expect_taken("enabled again", [])


@_case("GITS_CTLR", "A disabled ITS without commands becomes quiescent.")
def _a_disabled_its_becomes_quiescent(bench: Bench) -> None:
    bench.ready()
    bench.set_its(GITS.CTLR, 0)
    bench.settle()
    bench.expect("GITS_CTLR.Quiescent", 1, bench.its(GITS.CTLR) >> 31)


@_case("GITS_CTLR", "What is mapped survives that the ITS is disabled and enabled.")
def _mappings_survive_a_disable(bench: Bench) -> None:
    bench.ready()
    bench.set_its(GITS.CTLR, 0)
    bench.settle()
    bench.set_its(GITS.CTLR, ENABLED)
    bench.msi(0, 2)
    bench.expect_taken("an MSI", [[LPI + 2]])


# Translation.


@_case("GITS_TRANSLATER", "An MSI of a mapped event makes its LPI pending on the vCPU of its collection.")
def _an_msi_is_delivered(bench: Bench) -> None:
    bench.ready()
    bench.map_event(9, LPI + 9, 2)
    bench.sync()
    bench.msi(0, 1)
    bench.msi(0, 9)
    bench.expect("vCPU 0 has pending", LPI + 1, bench.pending(0))
    bench.expect("vCPU 1 has pending", None, bench.pending(1))
    bench.expect_taken("two MSIs", [[LPI + 1], [], [LPI + 9]])


@_case("GITS_TRANSLATER", "An EventID that is not mapped is ignored.")
def _an_unmapped_event_is_ignored(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 7)
    bench.expect_taken("event 7", [])


@_case("GITS_TRANSLATER", "A DeviceID that is not mapped is ignored.")
def _an_unmapped_device_is_ignored(bench: Bench) -> None:
    bench.ready()
    bench.msi(1, 0)
    bench.expect_taken("the other device", [])


@_case("ITS commands: MAPD", "An EventID that the device's table is too small for is ignored.")
def _an_event_beyond_the_itt_is_ignored(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 32)
    bench.msi(0, 0xFFFF)
    bench.expect_taken("events 32 and 65535 of 5 bits", [])


@_case("ITS commands: MAPTI", "The same EventID of two devices is two events.")
def _devices_have_events_of_their_own(bench: Bench) -> None:
    bench.ready()
    bench.map_device(1)
    bench.map_event(0, LPI + 40, 1, device=1)
    bench.sync()
    bench.msi(1, 0)
    bench.expect_taken("event 0 of the other device", [[], [LPI + 40]])
    bench.msi(0, 0)
    bench.expect_taken("event 0 of the first", [[LPI]])


@_case("ITS commands: MAPI", "MAPI maps an EventID to the INTID of the same number.")
def _mapi_maps_the_same_number(bench: Bench) -> None:
    bench.ready()
    bench.map_device(1, event_bits=14)
    bench.command("MAPI", device_id=1, event_id=LPI + 77, collection_id=1)
    bench.sync()
    bench.msi(1, LPI + 77)
    bench.expect_taken("an MSI", [[], [LPI + 77]])


@_case("GITS_TRANSLATER", "An event of a collection that is not mapped is not delivered.")
def _an_unmapped_collection_gets_nothing(bench: Bench) -> None:
    bench.ready()
    bench.map_event(8, LPI + 8, 30)
    bench.sync()
    bench.msi(0, 8)
    bench.expect_taken("an MSI", [])


@_case("LPI configuration tables", "An LPI beyond the INTID bits of GICR_PROPBASER is not delivered.")
def _an_lpi_beyond_the_id_bits_is_ignored(bench: Bench) -> None:
    bench.ready()
    bench.write_commands(bench.entry("MAPTI", device_id=0, event_id=9, intid=1 << ID_BITS, collection_id=0))
    bench.settle()
    bench.msi(0, 9)
    bench.expect_taken("an MSI", [])


# What becomes of an LPI.


@_case("LPIs", "LPIs are edge-triggered: two MSIs before the LPI is taken are one interrupt.")
def _msis_coalesce(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 0)
    bench.msi(0, 0)
    bench.expect_taken("two MSIs", [[LPI]])


@_case("LPIs", "An LPI has no active state: an MSI after its acknowledge makes it pending again.")
def _an_msi_after_the_acknowledge_counts(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 0)
    bench.settle()
    bench.expect("vCPU 0 acknowledges", LPI, bench.acknowledge(0))
    bench.msi(0, 0)
    bench.settle()
    bench.end(0, LPI)
    bench.expect_taken("after the end", [[LPI]])


@_case("LPI configuration tables", "A disabled LPI becomes pending, and is delivered when it is enabled (INV).")
def _a_disabled_lpi_waits(bench: Bench) -> None:
    bench.ready()
    bench.configure(LPI, 0xA0)
    bench.command("INV", device_id=0, event_id=0)
    bench.sync()
    bench.msi(0, 0)
    bench.expect_taken("disabled", [])
    bench.configure(LPI, CONFIGURATION)
    bench.command("INV", device_id=0, event_id=0)
    bench.sync()
    bench.expect_taken("enabled", [[LPI]])


@_case("LPI configuration tables", "The more urgent LPI (the lower value) is taken first.")
def _priorities_count(bench: Bench) -> None:
    bench.ready()
    for event_id, priority in enumerate((0x80, 0x20, 0xC0, 0x40)):
        bench.configure(LPI + event_id, priority | 1)
        bench.command("INV", device_id=0, event_id=event_id)
    bench.sync()
    for event_id in range(4):
        bench.msi(0, event_id)
    bench.expect_taken("four MSIs", [[LPI + 1, LPI + 3, LPI, LPI + 2]])


@_case(
    "Interrupt prioritization: preemption", "While one is active, a more urgent LPI is taken, a less urgent one is not."
)
def _urgent_lpis_preempt(bench: Bench) -> None:
    bench.ready()
    for event_id, priority in enumerate((0x80, 0x20, 0xC0)):
        bench.configure(LPI + event_id, priority | 1)
        bench.command("INV", device_id=0, event_id=event_id)
    bench.sync()
    bench.msi(0, 0)
    bench.settle()
    bench.expect("vCPU 0 acknowledges", LPI, bench.acknowledge(0))
    bench.msi(0, 2)
    bench.settle()
    bench.expect("a less urgent one", None, bench.acknowledge(0))
    bench.msi(0, 1)
    bench.settle()
    bench.expect("a more urgent one", LPI + 1, bench.acknowledge(0))
    bench.end(0, LPI + 1)
    bench.end(0, LPI)
    bench.expect_taken("after both have ended", [[LPI + 2]])


@_case("GICD_CTLR", "While group 1 is disabled no LPI is delivered; those that are pending are, when it is enabled.")
def _a_disabled_group_holds_lpis_back(bench: Bench) -> None:
    bench.ready()
    bench.write(bench.target.places.gicd, 4, 1 << 4)
    bench.msi(0, 0)
    bench.expect_taken("disabled", [])
    bench.write(bench.target.places.gicd, 4, 1 << 4 | 1 << 1)
    bench.expect_taken("enabled", [[LPI]])


# Commands.


@_case("ITS commands: INT", "INT is as the event's MSI.")
def _int_is_as_an_msi(bench: Bench) -> None:
    bench.ready()
    bench.command("INT", device_id=0, event_id=3)
    bench.expect_taken("INT", [[LPI + 3]])


@_case("ITS commands: CLEAR", "CLEAR takes the pending state away, and nothing else.")
def _clear_takes_the_pending_state_away(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 0)
    bench.msi(0, 1)
    bench.command("CLEAR", device_id=0, event_id=0)
    bench.sync()
    bench.expect_taken("after CLEAR", [[LPI + 1]])
    bench.msi(0, 0)
    bench.expect_taken("the next MSI", [[LPI]])


@_case("ITS commands: DISCARD", "After DISCARD the event is not mapped.")
def _discard_unmaps(bench: Bench) -> None:
    bench.ready()
    bench.command("DISCARD", device_id=0, event_id=0)
    bench.sync()
    bench.msi(0, 0)
    bench.msi(0, 1)
    bench.expect_taken("events 0 and 1", [[LPI + 1]])
    bench.map_event(0, LPI + 50, 1)
    bench.sync()
    bench.msi(0, 0)
    bench.expect_taken("event 0, mapped again", [[], [LPI + 50]])


@_case("ITS commands: DISCARD", "DISCARD takes the pending state of the event's LPI away.")
def _discard_takes_the_pending_state_away(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 0)
    bench.expect("vCPU 0 has pending", LPI, bench.pending(0))
    bench.command("DISCARD", device_id=0, event_id=0)
    bench.sync()
    bench.expect_taken("after DISCARD", [])


@_case("ITS commands: MOVI", "After MOVI the event's MSIs go to its new collection.")
def _movi_moves_the_event(bench: Bench) -> None:
    bench.ready()
    bench.command("MOVI", device_id=0, event_id=0, collection_id=2)
    bench.sync()
    bench.msi(0, 0)
    bench.msi(0, 1)
    bench.expect_taken("events 0 and 1", [[LPI + 1], [], [LPI]])


@_case("ITS commands: MOVI", "MOVI moves the pending state, too.")
def _movi_moves_the_pending_state(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 0)
    bench.msi(0, 1)
    bench.settle()
    bench.command("MOVI", device_id=0, event_id=0, collection_id=1)
    bench.sync()
    bench.expect_taken("after MOVI", [[LPI + 1], [LPI]])


@_case("ITS commands: MOVALL", "MOVALL makes the LPIs that are pending on a vCPU pending on the other one.")
def _movall_moves_what_is_pending(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 0)
    bench.msi(0, 1)
    bench.settle()
    bench.command("MOVALL", vcpu=0, to_vcpu=1)
    bench.sync()
    bench.expect("vCPU 0 has pending", None, bench.pending(0))
    bench.expect("vCPU 1 takes", [LPI, LPI + 1], sorted(bench.take(1)))


@_case("ITS commands: MOVALL", "MAPC to another vCPU, SYNC and MOVALL: what was pending goes along, and later MSIs.")
def _mapc_and_movall_move_a_collection(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 0)
    bench.msi(0, 1)
    bench.settle()
    bench.map_collection(0, 1)
    bench.command("SYNC", vcpu=0)
    bench.command("MOVALL", vcpu=0, to_vcpu=1)
    bench.sync()
    bench.expect("vCPU 0 has pending", None, bench.pending(0))
    bench.expect("vCPU 1 takes", [LPI, LPI + 1], sorted(bench.take(1)))
    bench.msi(0, 2)
    bench.expect_taken("the next MSI", [[], [LPI + 2]])


@_case("ITS commands: MOVALL", "MOVALL moves the LPIs of the vCPU that it names; those of others stay.")
def _movall_leaves_others_alone(bench: Bench) -> None:
    bench.ready()
    bench.map_event(8, LPI + 8, 2)
    bench.sync()
    bench.msi(0, 8)
    bench.settle()
    bench.map_collection(0, 1)
    bench.command("SYNC", vcpu=0)
    bench.command("MOVALL", vcpu=0, to_vcpu=1)
    bench.sync()
    bench.expect_taken("after MOVALL 0 to 1", [[], [], [LPI + 8]])


@_case("ITS commands: MOVALL", "MOVALL from a vCPU to the same one changes nothing.")
def _movall_to_the_same_one(bench: Bench) -> None:
    bench.ready()
    bench.msi(0, 0)
    bench.settle()
    bench.command("MOVALL", vcpu=0, to_vcpu=0)
    bench.sync()
    bench.expect_taken("after MOVALL", [[LPI]])


@_case("ITS commands: INVALL", "INVALL makes the configuration of a collection's LPIs known.")
def _invall_reads_the_configuration(bench: Bench) -> None:
    bench.ready()
    for event_id in range(2):
        bench.configure(LPI + event_id, 0xA0)
    bench.command("INVALL", collection_id=0)
    bench.sync()
    bench.msi(0, 0)
    bench.msi(0, 1)
    bench.msi(0, 2)
    bench.expect_taken("two disabled", [[LPI + 2]])
    for event_id in range(2):
        bench.configure(LPI + event_id, CONFIGURATION)
    bench.command("INVALL", collection_id=0)
    bench.sync()
    bench.expect("vCPU 0 takes", [LPI, LPI + 1], sorted(bench.take(0)))


@_case("ITS commands: MAPD", "After MAPD with V=0 none of the device's events is mapped.")
def _mapd_unmaps_a_device(bench: Bench) -> None:
    bench.ready()
    for event_id in range(4):
        bench.command("DISCARD", device_id=0, event_id=event_id)
    bench.command("MAPD", device_id=0, event_bits=1, itt_address=0, valid=0)
    bench.sync()
    bench.msi(0, 0)
    bench.expect_taken("an MSI", [])
    bench.map_device()
    bench.map_event(0, LPI + 60, 1)
    bench.sync()
    bench.msi(0, 0)
    bench.msi(0, 1)
    bench.expect_taken("mapped again, one event of it", [[], [LPI + 60]])


# Redistributors.


@_case("GICR_CTLR", "While EnableLPIs is 0, translation requests for that vCPU are ignored.")
def _a_redistributor_without_lpis_ignores_msis(bench: Bench) -> None:
    bench.ready(lpis=(0, 1))
    bench.map_event(8, LPI + 8, 2)
    bench.sync()
    bench.msi(0, 8)
    bench.expect_taken("disabled", [])
    bench.enable_lpis(2)
    bench.expect_taken("enabled", [])
    bench.msi(0, 8)
    bench.expect_taken("the next MSI", [[], [], [LPI + 8]])


@_case("GICR_CTLR", "That is so, too, for an event that was sent before its collection went to that vCPU.")
def _a_redistributor_without_lpis_ignores_known_events(bench: Bench) -> None:
    bench.ready(lpis=(0, 1))
    bench.msi(0, 0)
    bench.expect_taken("an MSI", [[LPI]])
    bench.map_collection(0, 2)
    bench.sync()
    bench.msi(0, 0)
    bench.expect_taken("the next one", [])
    bench.map_collection(0, 1)
    bench.sync()
    bench.expect_taken("with the collection on vCPU 1", [])


@_case(
    "LPI pending tables", "With PTZ clear, bits that are set in the pending table are pending when LPIs are enabled."
)
def _the_pending_table_is_read(bench: Bench) -> None:
    bench.ready(lpis=(0, 1))
    bench.map_event(8, LPI + 8, 2)
    bench.sync()
    bench.store(bench.pending_tables[2] + (LPI + 8) // 8, bytes([1 << (LPI + 8) % 8]))
    bench.set_pendbaser(2, zero=False)
    bench.enable_lpis(2)
    bench.expect_taken("enabled", [[], [], [LPI + 8]])


@_case("GITS_TRANSLATER", "Sixty events of several vCPUs: each arrives, once.")
def _many_events(bench: Bench) -> None:
    bench.ready()
    vcpus = min(4, bench.target.vcpus)
    bench.map_device(1, event_bits=6)
    for event_id in range(60):
        bench.map_event(event_id, LPI + 100 + event_id, event_id % vcpus, device=1)
    bench.sync()
    for event_id in range(60):
        bench.msi(1, event_id)
    for vcpu in range(vcpus):
        wanted = [LPI + 100 + event_id for event_id in range(vcpu, 60, vcpus)]
        bench.expect(f"vCPU {vcpu} takes", wanted, sorted(bench.take(vcpu)))

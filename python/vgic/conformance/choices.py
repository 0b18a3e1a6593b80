"""What the architecture leaves to the implementation, and where implementations are known to differ.

Nothing here is right or wrong: software must not rely on it. It is asked because guests do, and because it is where one
ITS behaves unlike another.
"""

from collections.abc import Callable
from typing import NamedTuple

from vgic.conformance.bench import CONFIGURATION, ENABLED, FIRST_LPI, Bench
from vgic.registers import GICR, GITS, VALID

__all__ = ["CHOICES", "Choice"]

LPI = FIRST_LPI


class Choice(NamedTuple):
    """A question."""

    name: str
    #: Where the architecture leaves it open.
    section: str
    question: str
    #: What the target does, in words.
    run: Callable[[Bench], str]


CHOICES: dict[str, Choice] = {}


def _choice(section: str, question: str) -> Callable[[Callable[[Bench], str]], Callable[[Bench], str]]:
    def add(run: Callable[[Bench], str]) -> Callable[[Bench], str]:
        name = run.__name__.lstrip("_").replace("_", "-")
        CHOICES[name] = Choice(name, section, question, run)
        return run

    return add


def _taken(bench: Bench) -> str:
    """What each vCPU takes, in words."""
    taken = {vcpu: bench.take(vcpu) for vcpu in range(bench.target.vcpus)}
    return (
        "; ".join(f"vCPU {vcpu} takes {', '.join(map(str, lpis))}" for vcpu, lpis in taken.items() if lpis) or "nothing"
    )


def _by_what_is_taken(bench: Bench, answers: dict[str, str]) -> str:
    """The answer that goes with what is taken, or what is taken."""
    taken = _taken(bench)
    return answers.get(taken, taken)


@_choice("ITS commands: MAPTI", "MAPTI of an event that is mapped: which LPI does it have then?")
def _mapti_of_a_mapped_event(bench: Bench) -> str:
    bench.ready()
    bench.map_event(0, LPI + 50, 1)
    bench.sync()
    bench.msi(0, 0)
    return _by_what_is_taken(bench, {f"vCPU 0 takes {LPI}": "the old one", f"vCPU 1 takes {LPI + 50}": "the new one"})


@_choice("ITS commands: MAPC", "MAPC of a collection to another vCPU, no MOVALL: where are its pending LPIs?")
def _mapc_moves_a_collection(bench: Bench) -> str:
    bench.ready()
    bench.msi(0, 0)
    bench.settle()
    bench.map_collection(0, 1)
    bench.sync()
    return _by_what_is_taken(
        bench, {f"vCPU 0 takes {LPI}": "where they were", f"vCPU 1 takes {LPI}": "on the new vCPU"}
    )


@_choice("ITS commands: MOVALL", "MOVALL without MAPC: where does the next MSI go?")
def _movall_without_mapc(bench: Bench) -> str:
    bench.ready()
    bench.command("MOVALL", vcpu=0, to_vcpu=1)
    bench.sync()
    bench.msi(0, 0)
    return _by_what_is_taken(
        bench, {f"vCPU 0 takes {LPI}": "where the collection is", f"vCPU 1 takes {LPI}": "to the new vCPU"}
    )


@_choice("ITS commands: MAPC", "MAPC with V=0 and then V=1, with events mapped: do these work?")
def _mapc_again_after_unmapping(bench: Bench) -> str:
    bench.ready()
    bench.command("MAPC", collection_id=0, vcpu=0, valid=0)
    bench.map_collection(0, 0)
    bench.sync()
    bench.msi(0, 0)
    return _by_what_is_taken(bench, {f"vCPU 0 takes {LPI}": "yes", "nothing": "no"})


@_choice("ITS commands: MAPD", "MAPD over a table that holds events of an earlier MAPD: are they mapped?")
def _itt_memory_is_not_zero(bench: Bench) -> str:
    bench.boot()
    bench.map_collection(0, 0)
    itt = bench.itt(5)
    operands = {"device_id": 0, "event_bits": 5, "itt_address": itt}
    bench.command("MAPD", **operands, valid=1)
    bench.map_event(0, LPI, 0)
    bench.command("MAPD", **operands, valid=0)
    bench.command("MAPD", **operands, valid=1)
    bench.sync()
    bench.msi(0, 0)
    return _by_what_is_taken(bench, {f"vCPU 0 takes {LPI}": "yes", "nothing": "no"})


@_choice("ITS commands: MAPD", "MAPD with V=0 while a disabled LPI of the device is pending: is it taken when enabled?")
def _mapd_over_pending_lpis(bench: Bench) -> str:
    bench.ready()
    bench.configure(LPI, CONFIGURATION & ~1)
    bench.command("INV", device_id=0, event_id=0)
    bench.sync()
    bench.msi(0, 0)
    bench.settle()
    bench.command("MAPD", device_id=0, event_bits=1, itt_address=0, valid=0)
    bench.configure(LPI, CONFIGURATION)
    bench.command("INVALL", collection_id=0)
    bench.sync()
    return _by_what_is_taken(bench, {f"vCPU 0 takes {LPI}": "yes", "nothing": "no"})


@_choice("ITS commands: MAPD", "MAPD with V=0 and a size that is too large: is the device unmapped?")
def _mapd_invalid_with_a_size(bench: Bench) -> str:
    bench.ready()
    bench.write_commands(bench.entry("MAPD", device_id=0, event_bits=32, itt_address=0, valid=0))
    bench.settle()
    bench.msi(0, 0)
    return _by_what_is_taken(bench, {f"vCPU 0 takes {LPI}": "no", "nothing": "yes"})


@_choice("ITS command errors", "A command that does not exist: does the queue go on?")
def _unknown_command(bench: Bench) -> str:
    bench.ready()
    bench.write_commands(bytes([0x7F]) + bytes(31), bench.entry("INT", device_id=0, event_id=0))
    for _ in range(10):
        bench.settle()
    found = _taken(bench)
    stalled = bench.its(GITS.CREADR) & 1
    return "the queue stalls" if stalled else {f"vCPU 0 takes {LPI}": "yes", "nothing": "no"}.get(found, found)


@_choice("GITS_CWRITER", "GITS_CWRITER beyond the queue: what does it read as?")
def _cwriter_beyond_the_queue(bench: Bench) -> str:
    bench.ready()
    bench.set_its(GITS.CWRITER, bench.queue_size)
    value = bench.its(GITS.CWRITER)
    return {bench.queue_size: "as written", bench.tail: "as before"}.get(value, hex(value))


@_choice("GITS_CBASER", "GITS_CBASER is written: what does GITS_CWRITER read as?")
def _cbaser_resets_cwriter(bench: Bench) -> str:
    bench.ready()
    bench.set_its(GITS.CTLR, 0)
    bench.set_its(GITS.CBASER, bench.its(GITS.CBASER))
    value = bench.its(GITS.CWRITER)
    return {0: "0", bench.tail: "as before"}.get(value, hex(value))


@_choice("GITS_CTLR", "An ITS without tables is enabled: what does GITS_CTLR.Enabled read as?")
def _enabling_without_tables(bench: Bench) -> str:
    bench.set_its(GITS.CTLR, ENABLED)
    return str(bench.its(GITS.CTLR) & ENABLED)


@_choice("GITS_CTLR", "Disabled, with commands that wait: does Quiescent become 1?")
def _quiescent(bench: Bench) -> str:
    bench.ready()
    bench.set_its(GITS.CTLR, 0)
    bench.write_commands(bench.entry("SYNC", vcpu=0))
    bench.settle()
    return "yes" if bench.its(GITS.CTLR) >> 31 else "no"


@_choice("GITS_BASER<n>", "Which pages of the device table does GITS_BASER<n> take?")
def _page_sizes(bench: Bench) -> str:
    taken = []
    for number in range(8):
        register = GITS.BASER0 + 8 * number
        if bench.its(register) >> 56 & 7 == 1:
            for size, text in enumerate(("4 KiB", "16 KiB", "64 KiB")):
                bench.set_its(register, VALID | bench.queue | size << 8)
                if bench.its(register) >> 8 & 3 == size:
                    taken.append(text)
    return ", ".join(taken)


@_choice("GICR_PROPBASER", "GICR_PROPBASER is written while LPIs are enabled: is the write taken?")
def _propbaser_while_enabled(bench: Bench) -> str:
    bench.ready()
    before = bench.redistributor(0, GICR.PROPBASER)
    bench.set_redistributor(0, GICR.PROPBASER, 0)
    return "no" if bench.redistributor(0, GICR.PROPBASER) == before else "yes"


@_choice("GICR_CTLR", "Can EnableLPIs be cleared, and what becomes of what is pending?")
def _pending_tables_are_live(bench: Bench) -> str:
    bench.ready()
    bench.msi(0, 0)
    bench.settle()
    bench.enable_lpis(0, False)
    bench.settle()
    if bench.redistributor(0, GICR.CTLR) & 1:
        return "it cannot"
    bench.set_pendbaser(0, zero=False)
    bench.enable_lpis(0)
    return _by_what_is_taken(
        bench, {f"vCPU 0 takes {LPI}": "it is pending again with EnableLPIs", "nothing": "it is gone"}
    )


@_choice("GICR_PENDBASER", "PTZ is set over a table with bits: are these pending?")
def _pending_table_zero(bench: Bench) -> str:
    bench.ready(lpis=(0, 1))
    bench.map_event(8, LPI + 8, 2)
    bench.sync()
    bench.store(bench.pending_tables[2] + (LPI + 8) // 8, bytes([1 << (LPI + 8) % 8]))
    bench.set_pendbaser(2, zero=True)
    bench.enable_lpis(2)
    return _by_what_is_taken(bench, {f"vCPU 2 takes {LPI + 8}": "yes", "nothing": "no"})


@_choice("LPI configuration tables", "A configuration byte is changed without INV: does the ITS see it?")
def _configuration_is_cached(bench: Bench) -> str:
    bench.ready()
    bench.configure(LPI, 0xA0)
    bench.msi(0, 0)
    return _by_what_is_taken(bench, {f"vCPU 0 takes {LPI}": "not yet", "nothing": "yes"})


@_choice("Interrupt prioritization", "Of LPIs of equal priority, which one is taken first?")
def _equal_priorities(bench: Bench) -> str:
    bench.ready()
    for event_id in (2, 0, 1):
        bench.msi(0, event_id)
    found = bench.take(0)
    if found == sorted(found):
        return "the lowest INTID"
    return "the one that was sent first" if found == [LPI + 2, LPI, LPI + 1] else str(found)


@_choice("GICR_CTLR", "Are there GICR_INVLPIR and GICR_INVALLR (GICR_CTLR.IR)?")
def _direct_invalidation(bench: Bench) -> str:
    return "yes" if bench.redistributor(0, GICR.CTLR) >> 2 & 1 else "no"

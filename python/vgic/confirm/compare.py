"""Where the engine's state and a kernel's differ at the same point of a story."""

from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

from vgic.prove.story import LpiAt, RegisterAt, State

__all__ = ["difference"]

#: What is compared of an LPI, and how it is said.
_SAID = {
    "indexed": "in the index of LPIs",
    "mapped": "events mapped to it",
    "cached": "cached translations",
    "vcpu": "on the queue of vCPU",
    "target": "target vCPU",
    "pending": "pending_latch",
    "enabled": "enabled",
    "active": "active",
    "references": "reference count",
}


def difference(
    engine: State, kernel: State, outside: Collection[int], ahead: Mapping[int, int] | None = None
) -> str | None:
    """The first difference in a sentence; None if there is none in what is known.

    ``outside``: the vCPUs whose list registers the kernel has in memory. ``ahead``: by INTID, how many references the
    engine has at this point that the kernel is still to take.
    """
    ours, theirs = _by_intid(engine.lpis), _by_intid(kernel.lpis)
    for intid in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(intid, []), theirs.get(intid, [])
        if len(here) != len(there):
            return f"LPI {intid}: the engine has {_objects(here)}, the kernel {_objects(there)}"
        found = _nearest(intid, here, there, (ahead or {}).get(intid, 0))
        if found is not None:
            return found
    for vcpu in sorted(outside):
        here_lr, there_lr = (sorted(lr for lr in state.registers if lr.vcpu == vcpu) for state in (engine, kernel))
        if here_lr != there_lr:
            said = f"the engine says {_registers(here_lr)}, the kernel {_registers(there_lr)}"
            return f"list registers of vCPU {vcpu}: {said}"
    return None


def _by_intid(lpis: Iterable[LpiAt]) -> dict[int, list[LpiAt]]:
    return {intid: list(group) for intid, group in groupby(lpis, key=lambda lpi: lpi.intid)}


def _nearest(intid: int, ours: list[LpiAt], theirs: list[LpiAt], ahead: int) -> str | None:
    """The first difference of LPIs of one INTID: in the order in which they agree best, as a kernel has no names."""
    left = list(theirs)
    for lpi in ours:
        found = [_differs(intid, lpi, other, ahead) for other in left]
        if None in found:
            del left[found.index(None)]
        elif found:
            return found[0]
    return None


def _differs(intid: int, engine: LpiAt, kernel: LpiAt, ahead: int) -> str | None:
    for name, said in _SAID.items():
        here, there = getattr(engine, name), getattr(kernel, name)
        if name == "references" and here is not None:
            here -= ahead
        if here != there and (here is not None or name == "vcpu"):
            return f"LPI {intid}: {said}: the engine says {_value(here)}, the kernel {_value(there)}"
    return None


def _objects(lpis: list[LpiAt]) -> str:
    if not lpis:
        return "none"
    told = []
    for lpi in lpis:
        where = [name for name, has in (("index", lpi.indexed), ("mapping", lpi.mapped), ("cache", lpi.cached)) if has]
        where += [f"queue of vCPU {lpi.vcpu}"] if lpi.vcpu is not None else []
        told.append(f"{_value(lpi.references)} references: {', '.join(where)}")
    return f"{len(lpis)} ({'; '.join(told)})"


def _value(value: bool | int | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == -1 else str(value)


def _registers(registers: Iterable[RegisterAt]) -> str:
    words = {(True, False): "pending", (False, True): "active", (True, True): "pending and active"}
    told = [f"LPI {lr.intid} {words.get((lr.pending, lr.active), 'idle')}" for lr in registers]
    return ", ".join(told) or "none"

"""What designs do differently in the eyes of a guest, written down independently of the engine's own table.

Locks are no concern here: these are the differences that one thread can see.
"""

from dataclasses import dataclass

import vgic

#: Every design that real threads may run without further ado.
SOUND = [design.name for design in vgic.designs() if not design.unsound]
#: The others.
UNSOUND = [design.name for design in vgic.designs() if design.unsound]

#: Each quirk: the design that has brought it, and the one that has ended it. A design has those that the design has
#: on which it is based.
_XARRAY_CACHE = ("v6.10", None)
#: INVALL, MOVALL and the enable of LPIs copy the INTIDs from 8192 to 16: none.
_EMPTY_WALK = ("v2", None)
#: The cache's count never goes up, so its limit is inactive.
_NO_LIMIT = ("patch-11", "patch-14")
#: The active state of an LPI is dropped when list registers are folded; LPIs that are switched off lose their state.
_SUMMARY = ("v7.1.8", None)
#: CLEAR may undo what others store beside it, so that sums are wrong.
_CLEAR = ("v7.1.8", "hardened")
#: MOVALL gives the LPIs of every vCPU to the new one.
_MOVALL = ("v6.10", "v7.3")
#: A put-off release of an LPI that a map of the same INTID overwrites is forgotten (CVE-2026-74568).
_LEAKS = ("v6.17", "v7.1.8")
#: What is sent is not lost to switches, and goes where it is mapped (docs/explain/hardened.md).
_HARDENED = ("hardened", None)
#: A vCPU has hints at which LPIs to look and no queue: they hold no LPI, and lead to its target at once.
_HINTS = ("next-01", None)
#: A command throws the translations that it makes stale out of a cache, and no others.
_FORGETS = ("next-04", None)


@dataclass(frozen=True)
class Quirks:
    """The visible differences of one design."""

    #: A walk of all LPIs finds none.
    empty_walk: bool
    #: Enabling a vCPU's LPIs queues every LPI of the VM that should be queued, not only its own.
    walk_visits_all: bool
    #: MOVALL moves every LPI of the VM, not only those of the old vCPU.
    movall_takes_all: bool
    #: CLEAR may undo what others store beside it, so that sums are wrong.
    clear_undoes: bool
    #: MAPC checks its vCPU also when it unmaps.
    mapc_checks_unmap: bool
    #: Disabling a vCPU's LPIs clears the pending state of those queued there.
    disable_clears_pending: bool
    #: An acknowledged LPI stays active in software until it is ended.
    keeps_active: bool
    #: Each ITS has a cache of its own, without limit; otherwise one of the VM.
    cache_per_its: bool
    #: Translations that the cache holds at most per vCPU, None for no limit.
    cache_limit: int | None
    #: What is sent is not lost to switches, and goes where it is mapped (docs/explain/hardened.md).
    hardened: bool
    #: A vCPU has hints at which LPIs to look and no queue: they hold no LPI, and lead to its target at once.
    hints: bool
    #: A command throws the translations that it makes stale out of a cache, and no others.
    forgets_stale: bool
    #: Why memory may be lost while mappings come and go beside running vCPUs; empty if it may not.
    leak: str


def _has(design: str, quirk: tuple[str, str | None]) -> bool:
    while design and design not in quirk:
        design = vgic.design(design).based_on
    return design == quirk[0]


def quirks(design: str) -> Quirks:
    """Look up a design."""
    per_its = _has(design, _XARRAY_CACHE)
    summary = _has(design, _SUMMARY)
    return Quirks(
        empty_walk=_has(design, _EMPTY_WALK),
        walk_visits_all=per_its,
        movall_takes_all=_has(design, _MOVALL),
        clear_undoes=_has(design, _CLEAR),
        mapc_checks_unmap=not per_its,
        disable_clears_pending=summary,
        keeps_active=not summary,
        cache_per_its=per_its,
        cache_limit=None if per_its or _has(design, _NO_LIMIT) else 16,
        hardened=_has(design, _HARDENED),
        hints=_has(design, _HINTS),
        forgets_stale=_has(design, _FORGETS),
        leak="CVE-2026-74568: an LPI whose release is put off and which a map overwrites"
        if _has(design, _LEAKS)
        else "",
    )

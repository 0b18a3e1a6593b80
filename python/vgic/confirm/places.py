"""Where a story's step is in a kernel: behind or before a call of one function in another, or before a store.

The table is ``places.toml``. A place by name holds across versions whose addresses differ; the compiler may have
inlined a function, or made others of it, and then its name is another one of the list, or ``name.part.0``.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from vgic.confirm.script import Hold, Unknown, matters
from vgic.confirm.stage import Stage

__all__ = ["LPI", "Place", "place_of", "places"]

_INSTRUCTION = 4
#: The name of an LPI in a story.
LPI = re.compile(r"irq#\d+")


@dataclass(frozen=True, slots=True)
class Place:
    """A row of the table."""

    #: The story's function, and what it did last there: patterns.
    function: tuple[str, ...]
    last: tuple[str, ...]
    #: The kernel's function, and what it calls, by the names that they have had.
    within: tuple[str, ...]
    call: tuple[str, ...]
    #: Whether the call is done.
    behind: bool
    #: Why it is as good as the story's step.
    why: str
    #: Only calls behind one of these count.
    after: tuple[str, ...]
    #: Instead of a call: a structure and its member that is stored to.
    store: str
    #: Instead of all that: it is in the guest.
    guest: bool
    #: Steps of the story that the kernel is still to make there, as patterns: they take references.
    ahead: tuple[str, ...] = ()
    #: Steps behind which the story is still to take a reference that the kernel has there.
    late: tuple[str, ...] = ()

    def fits(self, hold: Hold) -> bool:
        """Whether the story's step is this one."""
        step = hold.last
        return step.function in self.function and _is_one(step.text, self.last)

    def ahead_of(self, hold: Hold) -> Counter[str]:
        """How many references the story has taken that the kernel has not yet, by the story's names of LPIs.

        Fewer than none if it is the other way round.
        """
        found: Counter[str] = Counter()
        if _is_one(hold.last.text, self.late):
            found.subtract(LPI.findall(hold.last.text)[:1])
        for step in reversed([line for line in hold.lines if line.kind == "step" and matters(line)]):
            if step.function not in self.function or not _is_one(step.text, self.last):
                break
            if _is_one(step.text, self.ahead):
                found.update(LPI.findall(step.text)[:1])
        return found

    def address(self, stage: Stage) -> int:
        """Where a kernel has it. Raises :class:`Unknown` if it has no such call or store."""
        if self.guest:
            return stage.machine.marks.leaves
        functions = [part for name in self.within for part in stage.symbols.parts(name)]
        found = (at for function in functions for at in self._in(stage, function))
        for address in found:
            return address
        what = f"store to {self.store}" if self.store else f"call of {' or '.join(self.call)}"
        raise Unknown(f"this kernel has no {what} in {' or '.join(self.within)}")

    def _in(self, stage: Stage, function: str) -> Iterator[int]:
        """Where one function has it, the best first."""
        if self.store:
            try:
                offset = stage.btf.field(*self.store.split(".", 1)).offset
            except KeyError:
                raise Unknown(f"this kernel has no {self.store}") from None
            yield from stage.code.stores(function, offset)
            return
        calls = stage.code.calls(function)
        begins = [call.at for call in calls if any(map(call.calls, self.after))]
        if self.after and not begins:
            return
        for callee in self.call:
            for call in calls:
                if call.calls(callee) and call.returns >= self.behind and call.at >= min(begins, default=0):
                    yield call.at + _INSTRUCTION * self.behind


@cache
def places() -> tuple[Place, ...]:
    """The table."""
    raw = tomllib.loads(files("vgic.confirm").joinpath("places.toml").read_text(encoding="utf-8"))
    return tuple(
        Place(
            tuple(row["function"]),
            tuple(row["last"]),
            tuple(row.get("in", ())),
            tuple(row.get("call", ())),
            {"behind": True, "before": False}[row.get("side", "before")],
            row["why"],
            tuple(row.get("after", ())),
            row.get("store", ""),
            row.get("guest", False),
            tuple(row.get("ahead", ())),
            tuple(row.get("late", ())),
        )
        for row in raw["place"]
    )


def place_of(hold: Hold) -> Place:
    """The place of a story's step. Raises :class:`Unknown`, which says which step, if the table has none."""
    for place in places():
        if place.fits(hold):
            return place
    raise Unknown(f"no place is known for {hold}")


def _is_one(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text is as one of the patterns says, in which brackets stand for themselves."""
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)

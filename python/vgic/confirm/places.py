"""Where a story's step is in a kernel: behind or before a call of one function in another.

The table is ``places.toml``. A place by name holds across versions whose addresses differ; the compiler may have
inlined a function, or made others of it, and then its name is another one of the list, or ``name.part.0``.
"""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from vgic.confirm.code import Code
from vgic.confirm.script import Hold, Unknown

__all__ = ["Place", "place_of", "places"]

_INSTRUCTION = 4


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

    def fits(self, hold: Hold) -> bool:
        """Whether the story's step is this one."""
        step = hold.last
        return step.function in self.function and any(fnmatchcase(step.text, _literal(one)) for one in self.last)

    def address(self, code: Code) -> int:
        """Where a kernel has it. Raises :class:`Unknown` if it has no such call."""
        for name in self.within:
            for function in code.symbols.parts(name):
                for callee in self.call:
                    for call in code.calls(function):
                        if call.calls(callee) and call.returns >= self.behind:
                            return call.at + _INSTRUCTION * self.behind
        raise Unknown(f"this kernel has no call of {' or '.join(self.call)} in {' or '.join(self.within)}")


@cache
def places() -> tuple[Place, ...]:
    """The table."""
    raw = tomllib.loads(files("vgic.confirm").joinpath("places.toml").read_text(encoding="utf-8"))
    return tuple(
        Place(
            tuple(row["function"]),
            tuple(row["last"]),
            tuple(row["in"]),
            tuple(row["call"]),
            {"behind": True, "before": False}[row["side"]],
            row["why"],
        )
        for row in raw["place"]
    )


def place_of(hold: Hold) -> Place:
    """The place of a story's step. Raises :class:`Unknown`, which says which step, if the table has none."""
    for place in places():
        if place.fits(hold):
            return place
    raise Unknown(f"no place is known for {hold}")


def _literal(pattern: str) -> str:
    """A pattern in which brackets stand for themselves."""
    return pattern.replace("[", "[[]")

"""Running a thread up to where its story has it held: a place by name, or else behind what it changes in memory.

A command is followed by what it changes from its beginning on if any of its holds has no place by name in this kernel:
such a place is not where the story has it, but where that is as good.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from vgic.confirm.align import Point, begin_of, point_of
from vgic.confirm.gdb import PC
from vgic.confirm.kernel_state import KernelState, Unreadable
from vgic.confirm.members import Watched
from vgic.confirm.places import Place, place_of
from vgic.confirm.script import Script, Turn, Unknown
from vgic.confirm.stage import Stage, Trap

__all__ = ["BY_CHANGE", "Held", "Holds"]

#: Between an address and the change behind which it is.
BY_CHANGE = ", behind "


@dataclass(frozen=True, slots=True)
class Held:
    """Where a thread is held."""

    address: int
    #: In words.
    where: str
    #: How many references of which LPIs the story has at this point that the kernel is still to take.
    ahead: Counter[str] = field(default_factory=Counter)


class Holds:
    """The holds of one script on one kernel."""

    def __init__(self, stage: Stage, script: Script, memory: KernelState | None) -> None:
        """The machine stands. ``memory``: reads the state of the VM; None if that cannot be."""
        self._stage = stage
        self._script = script
        self._memory = memory
        #: By number of a turn, its place and where that is.
        self._places: dict[int, tuple[Place, int]] = {}
        #: By thread and number of a command, which a hold of has no place by name: why.
        self._unplaced: dict[tuple[int, int], str] = {}
        for number, turn in enumerate(script.turns):
            if turn.hold is not None:
                try:
                    place = place_of(turn.hold)
                    self._places[number] = place, place.address(stage)
                except Unknown as error:
                    self._unplaced.setdefault((turn.thread, turn.command), str(error))

    def run(self, number: int, *, traps: Mapping[int, Trap], limit: float) -> Held:
        """Runs the thread of a turn that ends in a hold. Raises :class:`Unknown` if it does not come to be held."""
        turn = self._script.turns[number]
        why = self._unplaced.get((turn.thread, turn.command))
        if why is None:
            return self._named(turn, *self._places[number], traps, limit)
        try:
            return self._behind(number, turn, traps, limit)
        except Unknown as error:
            raise Unknown(f"{why}; {error}") from None

    def _named(self, turn: Turn, place: Place, address: int, traps: Mapping[int, Trap], limit: float) -> Held:
        assert turn.hold is not None
        where = "in the guest" if place.guest else f"at {self._stage.symbols.where(address)}"
        if not self._stage.run(turn.thread, address, traps=traps, limit=limit):
            raise Unknown(f"thread {turn.thread} does not come to be held {where} ({turn.hold})")
        return Held(address, where, place.ahead_of(turn.hold))

    def _behind(self, number: int, turn: Turn, traps: Mapping[int, Trap], limit: float) -> Held:
        watched, point = self._point(number)
        steps = [(point.access, point.times)] + ([(point.read, 0)] if point.read else [])
        for access, times in steps:
            watch = watched.watch(access)
            assert watch is not None
            if not self._stage.run_behind(turn.thread, watch, times, traps=traps, limit=limit):
                raise Unknown(f"thread {turn.thread} does not come to be held behind {point} ({turn.hold})")
        address = self._stage.registers(turn.thread)[PC]
        return Held(address, f"at {self._stage.symbols.where(address)}{BY_CHANGE}{point}")

    def _point(self, number: int) -> tuple[Watched, Point]:
        """Where a turn ends, and what tells where that is in memory."""
        story = self._script.story
        engine = story.state_at(begin_of(self._script, number)) if story else None
        if self._memory is None or engine is None:
            raise Unknown("the state is not known, which tells where what it changes is")
        self._stage.stop()
        try:
            watched = Watched(self._stage.btf, self._memory, engine)
            return watched, point_of(self._script, number, watched.knows)
        except Unreadable as error:
            raise Unknown(str(error)) from None

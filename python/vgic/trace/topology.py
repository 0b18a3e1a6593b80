"""Which vCPU has which affinity.

Redistributors and CPU interfaces are named by affinity (Aff3.Aff2.Aff1.Aff0, a byte each), ITS commands name vCPUs by
processor number. The log itself may say which is which: a read of ``GICR_TYPER`` has both. Otherwise it is inferred. A
board numbers its CPUs by affinity, in clusters of some size, and an LPI is acknowledged by the vCPU that its collection
is mapped to: of the numberings that are possible, the one which agrees with most of what was acknowledged is taken.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from vgic.errors import RecordingError
from vgic.trace.recording import MAX_VCPUS

__all__ = ["Topology"]

#: Sizes of clusters that boards have: QEMU's virt 16; sbsa-ref and most others 8.
_CLUSTERS = (16, 8, 4, 2, 1)


class Topology:
    """Collects what a recording tells about its vCPUs."""

    def __init__(self, source: str) -> None:
        """``source``: the file, for errors."""
        self.source = source
        #: Affinity -> number in the order in which they were seen.
        self.seen: dict[int, int] = {}
        self._typer: dict[int, int] = {}
        self._votes: dict[int, Counter[int]] = defaultdict(Counter)
        #: DeviceID -> EventID -> INTID; INTID -> collection; collection -> processor number.
        self._events: dict[int, dict[int, int]] = defaultdict(dict)
        self._collection_of: dict[int, int] = {}
        self._target: dict[int, int] = {}

    def place(self, affinity: int) -> int:
        """Number that stands for the vCPU until all are known."""
        place = self.seen.setdefault(affinity, len(self.seen))
        if place >= MAX_VCPUS:
            raise RecordingError(f"{self.source}: more than {MAX_VCPUS} vCPUs")
        return place

    def typer(self, affinity: int, number: int) -> None:
        """A redistributor's GICR_TYPER was read: its processor number."""
        self.place(affinity)
        self._typer[affinity] = number

    def command(self, kind: str, operands: tuple[int, ...]) -> None:
        """An ITS command."""
        match kind, operands:
            case "mapti", (device, event, intid, collection):
                self._events[device][event] = intid
                self._collection_of[intid] = collection
            case "mapi", (device, event, collection):
                self._events[device][event] = event
                self._collection_of[event] = collection
            case "movi", (device, event, collection):
                if (moved := self._events[device].get(event)) is not None:
                    self._collection_of[moved] = collection
            case "discard", (device, event):
                self._events[device].pop(event, None)
            case "mapd", (device, _, _):
                self._events.pop(device, None)
            case "mapc", (collection, number, valid):
                self._target[collection] = number
                if not valid:
                    del self._target[collection]

    def acknowledge(self, affinity: int, intid: int) -> bool:
        """An LPI was acknowledged; whether a command has mapped it and its collection."""
        number = self._target.get(self._collection_of.get(intid, -1))
        if number is None:
            return False
        self._votes[affinity][number] += 1
        return True

    def numbers(self) -> list[int]:
        """The processor number of each place."""
        by_rank = {affinity: rank for rank, affinity in enumerate(sorted(self.seen))}
        candidates: list[Callable[[int], int]] = [_in_clusters(size) for size in _CLUSTERS]
        candidates.insert(0 if _is_whole(self.seen) else len(candidates), by_rank.__getitem__)
        voted = {affinity: votes.most_common(1)[0][0] for affinity, votes in self._votes.items()}
        candidates.append(_filled(voted, sorted(self.seen)).__getitem__)

        def agreement(candidate: Callable[[int], int]) -> tuple[int, int]:
            told = sum(candidate(affinity) == number for affinity, number in self._typer.items())
            return told, sum(votes[candidate(affinity)] for affinity, votes in self._votes.items())

        best = max(filter(self._possible, candidates), key=agreement)
        if any(best(affinity) != number for affinity, number in self._typer.items()):
            best = _filled(self._typer, sorted(self.seen)).__getitem__
        return [best(affinity) for affinity in self.seen]

    def _possible(self, candidate: Callable[[int], int]) -> bool:
        numbers = [candidate(affinity) for affinity in self.seen]
        return len(set(numbers)) == len(numbers) and all(number < MAX_VCPUS for number in numbers)


def _is_whole(affinities: Iterable[int]) -> bool:
    """Whether these are all CPUs of a board: clusters of one size, of which only the last may be smaller."""
    clusters: dict[int, list[int]] = defaultdict(list)
    for affinity in sorted(affinities):
        clusters[affinity >> 8].append(affinity & 0xFF)
    sizes = [len(within) for within in clusters.values()]
    regular = all(within == list(range(len(within))) for within in clusters.values())
    return regular and len(set(sizes[:-1])) <= 1 and sizes[-1:] <= sizes[:1]


def _in_clusters(size: int) -> Callable[[int], int]:
    def number(affinity: int) -> int:
        within = affinity & 0xFF
        return (affinity >> 8) * size + within if within < size else MAX_VCPUS

    return number


def _filled(known: dict[int, int], affinities: list[int]) -> dict[int, int]:
    """The known numbers, and for the others the lowest that are free, by affinity."""
    taken = set(known.values())
    free = (number for number in range(2 * MAX_VCPUS + len(taken)) if number not in taken)
    return {affinity: known[affinity] if affinity in known else next(free) for affinity in affinities}

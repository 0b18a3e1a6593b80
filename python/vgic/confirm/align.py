"""Where a story's thread loses its turn, by what it has done to memory, whatever the compiler made of the functions.

A place by name (``places.toml``) needs a call. Between two plain accesses there is none; but both sides change the same
members of the same objects in the same order, locks included. So a thread is held behind the change that the story's
thread has made last, counted from where it began: the third time that somebody lets go of ``irq_lock`` of this LPI.
Reads change nothing. Those that the story has behind that change are told apart only if somebody writes what they read
while the thread is held; then the thread goes on to the kernel's load of that member.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vgic.confirm.script import Script, Turn, Unknown
from vgic.prove.story import Access, Story, StoryLine

__all__ = ["Point", "begin_of", "point_of"]

_ENTERS = "enters the guest"


@dataclass(frozen=True, slots=True)
class Point:
    """Behind a change of a member, the ``times``-th of its kind from where the thread began."""

    access: Access
    times: int
    #: And then behind the first load of this member.
    read: Access | None = None

    def __str__(self) -> str:
        what = {"lock": "taking", "unlock": "letting go of", "write": "changing"}.get(self.access.kind, "")
        counted = f", time {self.times}" if self.times > 1 else ""
        reads = f", and reading {_named(self.read)}" if self.read else ""
        return f"{what} {_named(self.access)}{counted}{reads}"


def begin_of(script: Script, number: int) -> int:
    """The line of the story from which the thread of a turn goes on: where it was held, or its operation's first."""
    turn, story = script.turns[number], _story(script)
    lines = [at for at in range(_held(turn)) if story.lines[at].thread == turn.thread]
    begin = max(at for at in lines if story.lines[at].kind == "operation")
    for other in script.turns[:number]:
        if (other.thread, other.command) == (turn.thread, turn.command) and other.line is not None:
            begin = next((at for at in lines if at > max(begin, other.line)), begin)
    return begin


def point_of(script: Script, number: int, is_known: Callable[[Access], bool]) -> Point:
    """The point of a turn that ends in a hold.

    ``is_known``: whether a kernel tells where that member of that object is. Raises :class:`Unknown` if there is no
    such point.
    """
    turn, story = script.turns[number], _story(script)
    begin, held = begin_of(script, number), _held(turn)
    thread = story.lines[held].thread
    ours = [line for line in story.lines[begin:held] if line.thread == thread]
    if any(line.text == _ENTERS for line in ours):
        # The guest program's vCPU leaves the guest several times, and the story's once.
        raise Unknown(f"behind the guest nothing can be counted ({turn.hold})")
    last = max((at for at, line in enumerate(ours) if _changes(line) and is_known(_of(line))), default=None)
    if last is None:
        raise Unknown(f"no place is known for {turn.hold}, and nothing that a kernel tells was changed before")
    behind = [line for line in ours[last + 1 :] if line.access is not None]
    if unknown := next((line for line in behind if _changes(line)), None):
        raise Unknown(f"a kernel does not tell where it is: step {unknown.step}: {unknown.text}")
    access = _of(ours[last])
    times = sum(line.access == access for line in ours[: last + 1])
    return Point(access, times, _read_apart(story, held, behind, is_known))


def _read_apart(
    story: Story, held: int, behind: Sequence[StoryLine], is_known: Callable[[Access], bool]
) -> Access | None:
    """What has to be read before the thread is held, since others write it meanwhile."""
    thread = story.lines[held].thread
    goes_on = next((at for at in range(held + 1, len(story.lines)) if story.lines[at].thread == thread), None)
    others = story.lines[held + 1 : goes_on]
    written = {_place(_of(line)) for line in others if _changes(line)}
    reads = [line for line in behind if _place(_of(line)) in written]
    if not reads:
        return None
    read = _of(reads[-1])
    if not is_known(read) or sum(_place(_of(line)) == _place(read) for line in behind) > 1:
        raise Unknown(f"a kernel's loads do not tell it: step {reads[-1].step}: {reads[-1].text}")
    return read


def _story(script: Script) -> Story:
    if script.story is None:
        raise Unknown("the story does not tell its lines")
    return script.story


def _held(turn: Turn) -> int:
    assert turn.line is not None
    return turn.line


def _changes(line: StoryLine) -> bool:
    return line.access is not None and line.access.changes


def _of(line: StoryLine) -> Access:
    assert line.access is not None
    return line.access


def _place(access: Access) -> tuple[str, str]:
    return access.object, access.member


def _named(access: Access) -> str:
    return f"{access.member} of {access.object}"

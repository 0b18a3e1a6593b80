"""A violation as a story: who did what, step by step, in a column for each thread.

A story fits the width that it is asked for: 60 to 120 columns. Where the threads' columns would become too narrow to
read, the threads stand below each other in one column.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from vgic.arguments import integer

__all__ = ["Access", "LpiAt", "RegisterAt", "State", "Story", "StoryLine"]

#: Least and largest width of a story in columns.
NARROWEST, WIDEST = 60, 120
#: What it has unless asked.
WIDTH = 118
#: What stands before the columns: ``"  401 "``.
_MARGIN = 6
#: Columns below this width are not worth reading.
_COLUMN = 22


class Access(NamedTuple):
    """What a step does to a member of an object."""

    kind: Literal["read", "write", "lock", "unlock"]
    #: What the story calls the object; of what is there once, its kind.
    object: str
    #: By the kernel's name.
    member: str
    #: Whether it has another value afterwards.
    changes: bool


class StoryLine(NamedTuple):
    """One line of a story."""

    #: Steps of the execution before.
    step: int
    #: Index in :attr:`Story.threads`.
    thread: int
    #: A thread begins an operation; makes a step of it; has to wait; loses its turn; breaks the rule.
    kind: Literal["operation", "step", "waits", "preempted", "broken"]
    text: str
    #: Whether it is in the short story.
    told: bool
    #: The kernel's function that it is in, by the name of 6.12; empty if the steps do not tell.
    function: str
    #: Of a step that touches memory, what it does there.
    access: Access | None = None


class LpiAt(NamedTuple):
    """An LPI to which the index of LPIs, a mapping, a queue or a cache leads. None: not known."""

    intid: int
    #: What the story calls the object.
    name: str
    references: int | None
    #: The vCPU on whose queue it is; None if it is on none.
    vcpu: int | None
    #: The vCPU that it should go to; -1 is none.
    target: int | None
    #: Outside of list registers.
    pending: bool | None
    enabled: bool | None
    active: bool | None
    #: The index of LPIs has it.
    indexed: bool
    #: How many events are mapped to it, and how many cached translations lead to it.
    mapped: int
    cached: int


class RegisterAt(NamedTuple):
    """A list register in use."""

    vcpu: int
    intid: int
    pending: bool
    active: bool


class State(NamedTuple):
    """What the LPIs and list registers are, from one line of a story to the next state."""

    #: Index in :attr:`Story.lines` of the line that it is behind.
    line: int
    lpis: tuple[LpiAt, ...]
    registers: tuple[RegisterAt, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """A violation: how it comes about, step by step. ``print`` shows it as a table with a column for each thread."""

    scenario: str
    design: str
    #: What must hold, and does not.
    rule: str
    #: How it was broken, in a sentence.
    what: str
    #: What the thread that broke it was about to do.
    operation: str
    #: In which execution of the search, after how long, and how often this violation was met.
    execution: int
    found_seconds: float
    times: int
    #: The first one sets up and cleans up.
    threads: tuple[str, ...]
    #: What the first thread did before the others began.
    before: tuple[str, ...] = field(repr=False)
    lines: tuple[StoryLine, ...] = field(repr=False)
    #: What became of the objects that it is about, a sentence for each.
    objects: tuple[str, ...] = field(repr=False)
    #: How often a thread lost its turn although it could go on.
    preemptions: int
    #: Replays exactly this: ``prove(..., schedule=...)``.
    schedule: str
    #: Each state behind a line that changed it; ascending.
    states: tuple[State, ...] = field(default=(), repr=False)

    def state_at(self, line: int) -> State | None:
        """The state behind a line, by its index in :attr:`lines`; None if the story does not tell any.

        ``ValueError`` for a number that no line has.
        """
        line = integer("line", line, 0, len(self.lines) - 1)
        at = bisect_right(self.states, line, key=lambda state: state.line)
        return self.states[at - 1] if at else None

    @property
    def text(self) -> str:
        """The short story, 118 columns wide."""
        return self.laid_out()

    @property
    def full_text(self) -> str:
        """The story with every step."""
        return self.laid_out(full=True)

    def __str__(self) -> str:
        return self.text

    def laid_out(self, width: int = WIDTH, *, full: bool = False) -> str:
        """The story as text of at most ``width`` columns, 60 to 120, with every step if ``full``.

        ``ValueError`` for a width out of range.
        """
        width = integer("width", width, NARROWEST, WIDEST)
        shown = [line for line in self.lines if full or line.told]
        head = [*_wrap(self.what, width), "", *_wrap(f"{self.scenario} in design {self.design}", width)]
        if self.before:
            head += _wrap(f"Before: {'; '.join(self.before)}.", width)
        left_out = len(self.lines) - len(shown)
        ended = f"{self.preemptions} preemption{'s' * (self.preemptions != 1)}; {left_out} more steps are not shown"
        tail = [*self.objects, f"broken: {self.rule}", ended]
        tail = [line for text in tail for line in _wrap("  " + text, width, 4)]
        return "\n".join([*head, "", *_Table(self, shown, width).rows(), "", *tail]) + "\n"


class _Table:
    """The lines of a story in columns. A function is named where a thread comes into it."""

    def __init__(self, story: Story, shown: list[StoryLine], width: int) -> None:
        self._threads = story.threads
        self._shown = shown
        self._width = width
        columns = sorted({line.thread for line in shown if not self._is_aside(line.thread)})
        each = (width - _MARGIN) // max(len(columns), 1) - 3
        self._columns = columns if each >= _COLUMN else []
        self._each = min(each, 54)

    def _is_aside(self, thread: int) -> bool:
        """Whether its lines stand across the columns: of who sets up and cleans up, and of RCU, which are few."""
        return thread == 0 or self._threads[thread] == "rcu"

    def rows(self) -> list[str]:
        rows = []
        if self._columns:
            rows = [self._row(" step", [self._threads[thread] for thread in self._columns])]
            rows.append("-" * _MARGIN + f"+{'-' * (self._each + 2)}" * len(self._columns))
        inside: dict[int, str] = {}
        for line in self._shown:
            if line.kind in ("step", "waits") and line.function and inside.get(line.thread) != line.function:
                rows += self._cells("", line.thread, f"  {line.function}():")
            inside[line.thread] = line.function
            rows += self._cells(str(line.step), line.thread, _told(line))
        return rows

    def _cells(self, step: str, thread: int, text: str) -> list[str]:
        """What one thread does, in its column."""
        if thread in self._columns:
            pieces = _wrap(text, self._each)
            rows = [[piece if at == thread else "" for at in self._columns] for piece in pieces]
            return [self._row(step if number == 0 else "", row) for number, row in enumerate(rows)]
        name = f"{self._threads[thread]}: "
        pieces = _wrap(name + (text.strip() if self._is_aside(thread) else text), self._width - _MARGIN - 2)
        return [self._row(step if number == 0 else "", [piece]) for number, piece in enumerate(pieces)]

    def _row(self, step: str, cells: list[str]) -> str:
        return f"{step:>5} {''.join(f'| {cell:<{self._each}} ' for cell in cells)}".rstrip()


def _told(line: StoryLine) -> str:
    if line.kind == "operation":
        return f"{line.text}: {line.function}()" if line.function else line.text
    return {"broken": "==> ", "preempted": "--- "}.get(line.kind, "    ") + line.text


def _wrap(text: str, width: int, more: int | None = None) -> list[str]:
    """Lines of at most ``width``; those after the first one are indented by ``more``, in a column by more than it is.

    A word that fits no line is broken, behind a bracket, a dot or an underscore if there is one.
    """
    indent = len(text) - len(text.lstrip())
    if more is None:
        more = indent if width >= NARROWEST - _MARGIN - 3 else indent + 4 if width > 40 else indent + 2
    lines = []
    line = " " * indent
    for word in text.split():
        rest = word
        while True:
            space = " " if line.strip() else ""
            room = width - len(line) - len(space)
            if len(rest) <= room:
                line += space + rest
                break
            if len(rest) > width - more and room > width // 2:
                at = max(rest.rfind(mark, 0, room) for mark in "(._,") + 1 or room
                line += space + rest[:at]
                rest = rest[at:]
            lines.append(line)
            line = " " * more
    return [*lines, line]

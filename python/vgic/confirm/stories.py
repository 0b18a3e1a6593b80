"""Stories out of a file, as ``vgic prove --json`` writes them."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from vgic.prove.story import Access, LpiAt, RegisterAt, State, Story, StoryLine

__all__ = ["read_stories"]

#: More than any file of stories has, in bytes.
_LARGEST = 1 << 28
_Record = TypeVar("_Record", LpiAt, RegisterAt)
_KINDS = get_args(get_type_hints(StoryLine)["kind"])
_DOES = get_args(get_type_hints(Access)["kind"])
#: Of a story's own fields, those that are lists: of what.
_LISTS = {"threads": str, "before": str, "objects": str}
_PLAIN: dict[str, type | tuple[type, ...]] = {
    "execution": int,
    "found_seconds": (int, float),
    "times": int,
    "preemptions": int,
}


def read_stories(path: Path) -> list[Story]:
    """The stories in a file, which need not be friendly.

    Raises ``ValueError`` if it is no such file or has no story, ``OSError`` if it cannot be read.
    """
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path}: this file is too large for one of 'vgic prove --json'")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = [_story(row) for proof in document["proofs"] for row in proof["stories"]]
    except (KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise ValueError(f"{path}: this is no file of 'vgic prove --json': {error!r}"[:300]) from None
    if not found:
        raise ValueError(f"{path}: there is no story in it: the searches found nothing")
    return found


def _story(row: dict[str, Any]) -> Story:
    # Older files tell no states.
    given = {one.name: row[one.name] for one in fields(Story) if one.name != "states" or "states" in row}
    for name, value in given.items():
        if name == "lines":
            given[name] = tuple(_line(line, len(row["threads"])) for line in value)
        elif name == "states":
            given[name] = tuple(_state(state, len(row["lines"])) for state in value)
        elif name in _LISTS:
            given[name] = tuple(_of(name, one, _LISTS[name]) for one in value)
        else:
            _of(name, value, _PLAIN.get(name, str))
    return Story(**given)


def _line(row: list[Any], threads: int) -> StoryLine:
    line = StoryLine(*row)
    hints: tuple[type | tuple[type, ...], ...] = (int, int, str, str, bool, str, (list, type(None)))
    for name, value, kind in zip(StoryLine._fields, line, hints, strict=True):
        _of(name, value, kind)
    if line.access is not None:
        line = line._replace(access=_access(list(line.access)))
    if line.kind not in _KINDS or not 0 <= line.thread < threads:
        raise ValueError(f"no line of a story: {row}")
    return line


def _access(row: list[Any]) -> Access:
    kind, name, member, changes = row
    if kind not in _DOES:
        raise ValueError(f"an access of the kind {kind!r}")
    return Access(kind, _of("object", name, str), _of("member", member, str), _of("changes", changes, bool))


def _state(row: list[Any], lines: int) -> State:
    line, lpis, registers = row
    _of("line", line, int)
    if not 0 <= line < lines:
        raise ValueError(f"a state behind line {line}")
    return State(line, tuple(_record(LpiAt, one) for one in lpis), tuple(_record(RegisterAt, one) for one in registers))


def _record(kind: type[_Record], row: list[Any]) -> _Record:
    """A named tuple out of a list, each value of the kind that it is declared to be."""
    hints = get_type_hints(kind)
    for name, value in zip(kind._fields, row, strict=True):
        _of(name, value, hints[name])
    return kind(*row)


def _of(name: str, value: Any, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r}")
    return value

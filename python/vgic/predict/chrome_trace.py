"""The picture of a short prediction, in the trace event format of Chrome and Perfetto.

A process a design, a track a core. Slices of one track must contain each other or be apart. Locks that are handed on (B
is taken, A is dropped) are neither, so a slice that does not fit goes to a further track of its core. An arrow leads
from the send that made an LPI pending to its delivery.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from vgic.predict.prediction import PredictedWorkload, Prediction

__all__ = ["MOST_EVENTS", "chrome_trace", "short_workload", "trace_json"]

#: Events that are kept of a run.
MOST_EVENTS = 200_000
#: Sends that a picture shows, about.
_SENDS = 1_000
#: Arrows that one run has at most; picoseconds of a microsecond.
_RUN = 10**7
_US = 1e6

_NAMES = {"lock": "{}", "wait": "wait for {}", "send": "send {}", "deliver": "take {}", "grace": "grace period"}
#: Colours that Chrome has names for.
_COLOURS = {"lock": "rail_idle", "wait": "terrible", "send": "good", "deliver": "rail_response", "grace": "bad"}


def short_workload(workload: PredictedWorkload) -> PredictedWorkload:
    """So few rounds that a picture stays readable: about 1,000 sends. The warm-up, a round, is in it."""
    rounds = max(2, _SENDS // (workload.devices * workload.events))
    return replace(workload, iterations=min(workload.rounds, rounds), warmup=1)


def chrome_trace(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """A trace of predictions that were made with ``trace``."""
    events: list[dict[str, Any]] = []
    for process, prediction in enumerate(predictions, 1):
        events.extend(_process(process, prediction))
    return {
        "displayTimeUnit": "ns",
        "otherData": {
            "tool": "vgic",
            "machine": ", ".join(dict.fromkeys(prediction.machine for prediction in predictions)),
            "time": "virtual",
        },
        "traceEvents": events,
    }


def trace_json(predictions: Sequence[Prediction]) -> Iterator[str]:
    """:func:`chrome_trace` as JSON, an event a line."""
    trace = chrome_trace(predictions)
    events = trace.pop("traceEvents")
    head = json.dumps(trace)
    yield head[:-1] + ', "traceEvents": [\n'
    for number, event in enumerate(events):
        yield (",\n" if number else "") + json.dumps(event, separators=(",", ":"))
    yield "\n]}\n"


def _meta(process: int, track: int | None, what: str, **arguments: Any) -> dict[str, Any]:
    event: dict[str, Any] = {"ph": "M", "pid": process, "name": what, "args": arguments}
    return event if track is None else event | {"tid": track}


def _process(process: int, prediction: Prediction) -> Iterator[dict[str, Any]]:
    yield _meta(process, None, "process_name", name=f"{prediction.design} on {prediction.machine}")
    yield _meta(process, None, "process_sort_index", sort_index=process)
    by_core: dict[int, list[tuple[str, int, str, int, int, int]]] = {}
    for event in prediction.trace:
        by_core.setdefault(event[1], []).append(event)
    sends: dict[int, list[tuple[int, int]]] = {}
    taken: list[tuple[int, int, int]] = []
    tracks = 0
    for core in sorted(by_core):
        lanes: list[list[int]] = []
        first = tracks
        for event in sorted(by_core[core], key=lambda event: (event[3], -event[4])):
            kind, _, name, begin, end, flow = event
            lane = _lane(lanes, begin, end)
            track = first + lane
            yield {
                "ph": "X",
                "pid": process,
                "tid": track,
                "cat": kind,
                "name": _NAMES.get(kind, "{}").format(name),
                "ts": begin / _US,
                "dur": (end - begin) / _US,
                **({"cname": _COLOURS[kind]} if kind in _COLOURS else {}),
            }
            if flow >= 0 and kind == "send":
                sends.setdefault(flow, []).append((begin, track))
            elif flow >= 0 and kind == "deliver":
                taken.append((begin, track, flow))
        name = prediction.raw["cores"][core]
        for lane in range(len(lanes)):
            text = name if lane == 0 else f"{name} ({lane + 1})"
            yield _meta(process, first + lane, "thread_name", name=text)
            yield _meta(process, first + lane, "thread_sort_index", sort_index=first + lane)
        tracks += len(lanes)
    for number, (begin, track, flow) in enumerate(sorted(taken)):
        # Sends that find the LPI pending have the number of the first, which is the one that is delivered; what comes
        # too late for that makes it pending again.
        before = sorted(send for send in sends.get(flow, ()) if send[0] <= begin)
        if not before:
            continue
        sent, origin = before[0]
        sends[flow].remove(before[0])
        arrow = {"cat": "LPI", "name": "LPI", "id": process * _RUN + number, "pid": process}
        yield {"ph": "s", "tid": origin, "ts": sent / _US, **arrow}
        yield {"ph": "f", "bp": "e", "tid": track, "ts": begin / _US, **arrow}


def _lane(lanes: list[list[int]], begin: int, end: int) -> int:
    """The first track on which a slice fits; each has the ends of the slices that are open, the innermost last."""
    for number, open_ends in enumerate(lanes):
        while open_ends and open_ends[-1] <= begin:
            open_ends.pop()
        if not open_ends or end <= open_ends[-1]:
            open_ends.append(end)
            return number
    lanes.append([end])
    return len(lanes) - 1

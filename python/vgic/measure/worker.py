"""A measuring process: ``python -m vgic.measure.worker``, started by :mod:`vgic.measure.rounds`.

It reads one line of JSON, the plan, and writes one line a sample. It is started afresh (never forked), so that each one
has a memory layout of its own; where code and data lie is worth several per cent, and one process is one draw.
"""

import base64
import json
import sys
import zlib
from array import array
from collections.abc import Callable
from typing import Any

from vgic import _core

__all__ = ["main", "say", "serve"]


def say(message: dict[str, Any]) -> None:
    """Write one line of JSON."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _sample(workload: dict[str, Any], design: str, seconds: float, allow_unsound: bool) -> dict[str, Any]:
    arguments = workload["arguments"]
    if workload["kind"] == "stress":
        return dict(_core.stress(design, seconds=seconds, allow_unsound=allow_unsound, **arguments))
    raw = dict(
        _core.replay(design, workload["program"], loops=None, seconds=seconds, allow_unsound=allow_unsound, **arguments)
    )
    del raw["acknowledges"], raw["command_errors"]
    return raw


def _probe(seconds: float | None) -> float | None:
    """Rate of the floor now, in sends a CPU second: how fast the machine is just here, whatever the design."""
    if seconds is None:
        return None
    sends, cpu_seconds = _core.floor(seconds)
    return sends / cpu_seconds if cpu_seconds > 0 else 0.0


def _run(plan: dict[str, Any]) -> None:
    if plan["cpu"] is not None:
        _core.pin_to_cpu(plan["cpu"])
    workloads = plan["workloads"]
    for workload in workloads:
        if "program" in workload:
            workload["program"] = array("Q", zlib.decompress(base64.b64decode(workload["program"])))
    unsound = plan["allow_unsound"]
    for workload in workloads:
        for design in plan["designs"]:
            _sample(workload, design, plan["warm_up"], unsound)
    probe = _probe(plan["probe"])
    for task in plan["tasks"]:
        before = probe
        raw = _sample(workloads[task["workload"]], task["design"], plan["seconds"], unsound)
        probe = _probe(plan["probe"])
        say({**task, "raw": raw, "floors": [before, probe]})


def serve(run: Callable[[dict[str, Any]], None]) -> int:
    """Carry out the plan on standard input; an error is one line of JSON too. Returns the exit status."""
    try:
        run(json.loads(sys.stdin.readline()))
    except BrokenPipeError:  # The command that started this process is gone.
        return 1
    except Exception as error:
        say({"error": str(error), "value_error": isinstance(error, ValueError)})
        return 1
    return 0


def main() -> int:
    """Carry out the plan on standard input."""
    return serve(_run)


if __name__ == "__main__":
    sys.exit(main())

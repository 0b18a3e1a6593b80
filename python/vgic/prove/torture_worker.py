"""The process that is tortured: ``python -m vgic.prove.torture_worker``, started by :mod:`vgic.prove.torture`.

It reads one line of JSON, the plan, and writes one line a period and one with the verdict. It ends early when its
standard input does.
"""

import sys
import threading
from typing import Any

from vgic import _core
from vgic.measure.worker import say, serve

__all__ = ["main"]


def _run(plan: dict[str, Any]) -> None:
    stop = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stop.set()

    def report(period: Any) -> bool:
        if period is not None:
            say({"period": period})
        return not stop.is_set()

    threading.Thread(target=watch, daemon=True).start()
    say({"verdict": _core.torture(report=report, **plan)})


def main() -> int:
    """Carry out the plan on standard input; an error is one line of JSON too."""
    return serve(_run)


if __name__ == "__main__":
    sys.exit(main())

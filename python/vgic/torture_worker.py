"""The process that is tortured: ``python -m vgic.torture_worker``, started by :mod:`vgic.torture`.

It reads one line of JSON, the plan, and writes one line a period and one with the verdict. It ends early when its
standard input does.
"""

import json
import sys
import threading
from typing import Any

from vgic import _core

__all__ = ["main"]


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Carry out the plan on standard input; an error is one line of JSON too."""
    stop = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stop.set()

    def report(period: Any) -> bool:
        if period is not None:
            _say({"period": period})
        return not stop.is_set()

    try:
        plan = json.loads(sys.stdin.readline())
        threading.Thread(target=watch, daemon=True).start()
        _say({"verdict": _core.torture(report=report, **plan)})
    except BrokenPipeError:  # The command is gone.
        return 1
    except Exception as error:
        _say({"error": str(error), "value_error": isinstance(error, ValueError)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

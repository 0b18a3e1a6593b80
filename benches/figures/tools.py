"""Running cargo and other programs."""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "Failed", "architecture", "run", "target"]

#: The project.
ROOT = Path(__file__).resolve().parents[2]


class Failed(RuntimeError):
    """A program could not be run, or failed; the text says why in one line."""


def architecture() -> str:
    """What the engine is built for, as texts write it."""
    return {"x86_64": "x86-64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def target() -> Path:
    """Where cargo builds."""
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def run(command: Sequence[str | Path], seconds: float, **environment: str) -> str:
    """Run a program in the project; what it printed. Raises :class:`Failed`."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except FileNotFoundError:
        raise Failed(f"{name} is not installed") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"{name} took more than {seconds:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Failed(f"{name} failed with status {done.returncode}" + "".join(f": {line}" for line in last))
    return done.stdout

"""The lock of a VM's register frames."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vgic import _core

__all__ = ["FrameLock"]


class FrameLock:
    """A reentrant lock which a child of ``fork`` is refused: a thread that it does not have may hold it."""

    def __init__(self, vm: "_core.Vm") -> None:
        """Make the lock of frames of ``vm``."""
        self._vm = vm
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        """Take it. Raises ``RuntimeError`` in a child of ``fork``."""
        self._vm.check_process()
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self._lock.release()

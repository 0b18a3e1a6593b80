"""A kernel that is up when somebody needs it: booted at the first need, and anew after its machine was lost."""

from contextlib import ExitStack

from vgic.confirm.image import Kernel
from vgic.confirm.machine import Machine
from vgic.confirm.stage import Stage

__all__ = ["Booted"]


class Booted:
    """One machine at a time, for a ``with`` block."""

    def __init__(self, kernel: Kernel, cpu: str) -> None:
        """``cpu`` is a model of QEMU's."""
        self.kernel = kernel
        self._cpu = cpu
        self._stack = ExitStack()
        self._stage: Stage | None = None

    def __enter__(self) -> "Booted":
        return self

    def __exit__(self, *_: object) -> None:
        self.lose()

    @property
    def is_up(self) -> bool:
        """Whether :meth:`stage` need not boot."""
        return self._stage is not None

    def stage(self) -> Stage:
        """The machine's stage. Raises what :class:`~vgic.confirm.machine.Machine` raises."""
        if self._stage is None:
            self._stage = Stage(self._stack.enter_context(Machine(self.kernel, cpu=self._cpu)))
        return self._stage

    def lose(self) -> None:
        """Ends the machine, if there is one."""
        self._stack.close()
        self._stage = None

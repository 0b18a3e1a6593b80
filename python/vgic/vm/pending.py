"""Whom a VM tells that a vCPU may have something: a function, or an eventfd.

A vCPU is told once, and again when its thread has looked meanwhile (:meth:`~vgic.vm.vm.Vcpu.acknowledge`,
:meth:`~vgic.vm.vm.Vcpu.highest_pending`, :attr:`~vgic.vm.vm.Vcpu.has_pending`). So a thread that looks until it finds
nothing, and then sleeps until it is told, misses no LPI.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vgic.vm.vm import Vcpu, Vm

__all__ = ["OnPending", "Told"]

_Function = Callable[["Vcpu"], object]


class Told(NamedTuple):
    """How often a vCPU was told that it may have something."""

    #: So often.
    times: int
    #: So often its next look found nothing: another look had it already, or the guest had changed its mind.
    in_vain: int


class OnPending:
    """The functions of a VM: one for all vCPUs, and those that single vCPUs have instead."""

    def __init__(self, vm: "Vm") -> None:
        """Calls nothing yet."""
        self._vm = vm
        self._of_all: _Function | None = None
        self._of_one: dict[int, _Function] = {}

    def __call__(self, vcpu: int) -> None:
        """The core's call, by the number of a vCPU."""
        if function := self.of(vcpu):
            function(self._vm.vcpu[vcpu])

    def of(self, vcpu: int) -> "_Function | None":
        """What is called for a vCPU."""
        return self._of_one.get(vcpu, self._of_all)

    def set(self, function: "_Function | None", vcpu: int | None = None) -> None:
        """Sets the function of a vCPU, or that of all; who has something now is told at once."""
        if function is not None and not callable(function):
            raise TypeError(f"on_pending must be a function that takes a Vcpu, or None, not {function!r}")
        if vcpu is None:
            self._of_all = function
        elif function is None:
            self._of_one.pop(vcpu, None)
        else:
            self._of_one[vcpu] = function
        core = self._vm._core
        core.set_on_pending(self)
        for number in range(core.vcpus) if vcpu is None else (vcpu,):
            if self.of(number) and core.has_pending(number):
                self(number)

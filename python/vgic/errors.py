"""Errors of the package. Each message is one line that names the thing that is wrong.

``ValueError`` subclasses mean that a caller asked for something that cannot be; :class:`MeasurementError` and its
subclass mean that a run went wrong. :class:`CommandError` is the ITS refusing a command, as the architecture says.
:class:`Interrupted` is Ctrl-C, which does not lose what was finished.
"""

from typing import Any

from vgic._core import CommandError

__all__ = [
    "CommandError",
    "ConservationError",
    "Interrupted",
    "KernelError",
    "MachineError",
    "MeasurementError",
    "RecordingError",
    "ReplayError",
    "ResultError",
    "TableError",
    "UnknownDesign",
    "UnsoundDesign",
    "WorkloadError",
]


class UnknownDesign(ValueError):
    """No design has this name. The message lists close matches."""


class UnsoundDesign(ValueError):
    """The design has a known memory-safety defect, and the caller did not insist (``allow_unsound=True``)."""


class WorkloadError(ValueError):
    """A parameter of a workload is out of range, or two of them exclude each other."""


class RecordingError(ValueError):
    """A file is not a recording that can be read: empty, cut short, binary, too large, or of another kind."""


class MachineError(ValueError):
    """No machine has this name, or its profile cannot be read: a value is missing, out of range or not known."""


class KernelError(ValueError):
    """No kernel can be had by this name, or it lacks what a replay needs; the message says what."""


class ResultError(ValueError):
    """A result file is not what this version writes (another schema, a missing field)."""


class TableError(OSError):
    """ITS tables cannot be saved or restored; the message names the entry, ``errno`` is what KVM answers."""


class MeasurementError(RuntimeError):
    """A worker process died, or said nothing for too long."""


class ReplayError(MeasurementError):
    """The virtual machine that a story is played in did not start, died, or said nothing for too long."""


class ConservationError(MeasurementError):
    """LPIs were lost or invented: sent is not delivered + coalesced + dropped + pending."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a piece of work of many parts."""

    def __init__(self, finished: Any) -> None:
        """``finished``: what the work would have returned, as far as it had come; empty if nothing was finished."""
        super().__init__()
        self.finished = finished

"""A conformance kit for ITSes: what the architecture says, and whether a target does it.

- :mod:`~vgic.conformance.target`: what an ITS has to offer for that
- :mod:`~vgic.conformance.ours`, :mod:`~vgic.conformance.qemu`: this package's frames; QEMU, by :mod:`~.qtest`
- :mod:`~vgic.conformance.lines`: a program that reads verbs
- :mod:`~vgic.conformance.bench`: a guest that sets the ITS up and drives it
- :mod:`~vgic.conformance.cases`: what the architecture demands · :mod:`~vgic.conformance.choices`: what it leaves open
- :mod:`~vgic.conformance.report`: run them, and tell what differs
"""

from vgic.conformance.bench import Bench, Difference
from vgic.conformance.report import Outcome, Report, check
from vgic.conformance.target import VIRT, Places, Target, TargetError, open_target

__all__ = [
    "VIRT",
    "Bench",
    "Difference",
    "Outcome",
    "Places",
    "Report",
    "Target",
    "TargetError",
    "check",
    "open_target",
]

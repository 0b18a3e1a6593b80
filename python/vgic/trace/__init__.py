"""Recordings of real guests: reading them, and checking that a replay does what the guest saw."""

from vgic.trace.check import Check, check
from vgic.trace.qemu import read_qemu
from vgic.trace.recording import Event, Recording
from vgic.trace.store import MAIN_RECORDING, read_recording, recordings
from vgic.trace.stretch import Phase, cut, phases
from vgic.trace.summary import Summary, summarize

__all__ = [
    "MAIN_RECORDING",
    "Check",
    "Event",
    "Phase",
    "Recording",
    "Summary",
    "check",
    "cut",
    "phases",
    "read_qemu",
    "read_recording",
    "recordings",
    "summarize",
]

"""Recordings of real guests: reading them, and checking that a replay does what the guest saw."""

from vgic.trace.check import Check, check
from vgic.trace.qemu import read_qemu
from vgic.trace.recording import Event, Recording
from vgic.trace.store import read_recording, recordings

__all__ = ["Check", "Event", "Recording", "check", "read_qemu", "read_recording", "recordings"]

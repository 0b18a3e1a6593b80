"""QEMU's emulated GIC: registers and memory by qtest, MSIs by its ``edu`` devices.

Its CPU interfaces are reached by way of the program in ``agent.S``, which its vCPUs run.
"""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from vgic.conformance.qtest import EDU_IDS, MISSING, PATIENCE, VCPUS, Batch, Qemu, QemuConnection, QemuError
from vgic.conformance.target import VIRT, Target, TargetError

__all__ = ["AgentTarget", "QemuTarget", "open_qemu", "start_with_agent"]

_TRANSLATER = VIRT.gits + 0x1_0040
#: Where PCIe configuration space and memory space are with highmem=off.
_ECAM, _MMIO = 0x3F00_0000, 0x1000_0000
#: RAM between the device tree and the kit's.
CODE = VIRT.ram - (1 << 19)
MAILBOXES = CODE + 4096
BYTES = Path(__file__).with_name("agent.bin")

_IAR, _EOIR, _HPPIR = 1, 2, 3
_SPURIOUS = 1023


class QemuTarget(Target):
    """QEMU whose vCPUs do not run. Writes wait until something is read: a round trip is what costs time."""

    name = "QEMU"
    vcpus = VCPUS
    devices = EDU_IDS

    def __init__(self, qemu: QemuConnection) -> None:
        """``qemu``: has four vCPUs, and the ``edu`` devices of :data:`~vgic.conformance.qtest.EDU_IDS`."""
        self.qemu = qemu
        self._writes = Batch()

    @property
    def version(self) -> str:
        """QEMU's own."""
        return "QEMU {}.{}".format(*self.qemu.version)

    def reset(self) -> None:
        """Reset every device, zero RAM, and set up the devices that send MSIs."""
        self._writes = Batch()
        self.qemu.reset()
        self._writes.fill(VIRT.ram, VIRT.ram_size)
        for number, requester in enumerate(EDU_IDS):
            config = _ECAM + (requester << 12)
            bar = _MMIO + (number << 20)
            self._writes.write(config + 0x10, 4, bar)
            # The MSI capability is the only one, at 0x40: address, data (64 bit variant), enable.
            self._writes.write(config + 0x44, 4, _TRANSLATER).write(config + 0x48, 4, 0)
            self._writes.write(config + 0x42, 2, 1)
            # Memory space and bus master.
            self._writes.write(config + 0x04, 2, 6)

    def run(self, batch: Batch) -> list[Any]:
        """Run reads, behind the writes that wait."""
        writes, self._writes = self._writes, Batch()
        writes.lines += batch.lines
        writes.decoders += batch.decoders
        return self.qemu.run(writes)

    def read(self, address: int, size: int) -> int:
        """Read a register."""
        (value,) = self.run(Batch().read(address, size))
        return int(value)

    def write(self, address: int, size: int, value: int) -> None:
        """Write a register."""
        self._writes.write(address, size, value)

    def load(self, address: int, size: int) -> bytes:
        """Read RAM."""
        (data,) = self.run(Batch().load(address, size))
        return bytes(data)

    def store(self, address: int, data: bytes) -> None:
        """Write RAM."""
        if any(data):
            self._writes.store(address, data)
        else:
            self._writes.fill(address, len(data))

    def msi(self, device_id: int, event_id: int) -> None:
        """An ``edu`` device sends; device 0 is the qtest client itself, whose writes have no requester id."""
        if device_id == 0:
            # GITS_TRANSLATER takes 16 and 32 bits: both are used.
            self.write(_TRANSLATER, 2 if event_id & 1 else 4, event_id)
            return
        number = EDU_IDS.index(device_id)
        self.write(_ECAM + (device_id << 12) + 0x4C, 2, event_id)
        # A write to its interrupt raise register makes the device send its MSI.
        self.write(_MMIO + (number << 20) + 0x60, 4, 1)

    def pending(self, vcpu: int) -> int | None:
        """Not without vCPUs that run."""
        raise QemuError("the vCPUs do not run")

    acknowledge = pending

    def end(self, vcpu: int, intid: int) -> None:
        """Not without vCPUs that run."""
        self.pending(vcpu)

    def close(self) -> None:
        """End QEMU, if it was started for this."""
        self.qemu.close()


class AgentTarget(QemuTarget):
    """QEMU whose vCPUs run the agent."""

    def reset(self) -> None:
        """Reset, and start the agent."""
        self.qemu.stop()
        super().reset()
        self.store(CODE, BYTES.read_bytes())
        self.store(MAILBOXES, bytes(64 * VCPUS))
        # Group 1.
        self.write(VIRT.gicd, 4, 2)
        self.run(Batch())
        self.qemu.cont()
        self._wait(24, 1)

    def _wait(self, offset: int, value: int, vcpus: range = range(VCPUS)) -> None:
        """Poll a word of mailboxes."""
        batch = Batch()
        for vcpu in vcpus:
            batch.read(MAILBOXES + 64 * vcpu + offset, 8)
        end = time.monotonic() + PATIENCE
        while set(self.run(batch)) != {value}:
            if time.monotonic() > end:
                raise QemuError(f"a vCPU does not run the agent\n{self.qemu.log()}")

    def ask(self, request: int, operand: int = 0, vcpus: range = range(VCPUS)) -> list[int]:
        """Each of the vCPUs does it; what it read."""
        for vcpu in vcpus:
            mailbox = MAILBOXES + 64 * vcpu
            self.write(mailbox + 8, 8, operand)
            self.write(mailbox, 8, request)
        self._wait(0, 0, vcpus)
        batch = Batch()
        for vcpu in vcpus:
            batch.read(MAILBOXES + 64 * vcpu + 16, 8)
        return self.run(batch)

    def _one(self, vcpu: int, request: int) -> int | None:
        (intid,) = self.ask(request, vcpus=range(vcpu, vcpu + 1))
        return None if intid == _SPURIOUS else intid

    def pending(self, vcpu: int) -> int | None:
        """Read ICC_HPPIR1_EL1."""
        return self._one(vcpu, _HPPIR)

    def all_pending(self) -> list[int | None]:
        """:meth:`pending` of each vCPU, at once."""
        return [None if intid == _SPURIOUS else intid for intid in self.ask(_HPPIR)]

    def acknowledge(self, vcpu: int) -> int | None:
        """Read ICC_IAR1_EL1."""
        return self._one(vcpu, _IAR)

    def end(self, vcpu: int, intid: int) -> None:
        """Write ICC_EOIR1_EL1."""
        self.ask(_EOIR, intid, range(vcpu, vcpu + 1))

    def close(self) -> None:
        """End QEMU; one that goes on is not left polling."""
        with suppress(TargetError):
            self.qemu.stop()
        super().close()


#: What QEMU's command line has for the agent.
AGENT_ARGUMENTS = ("-device", f"loader,addr={CODE:#x},cpu-num=0")


def start_with_agent() -> Qemu:
    """A QEMU whose vCPU 0 starts at the agent (it starts the others)."""
    return Qemu(*AGENT_ARGUMENTS)


def open_qemu(sockets: str) -> Target:
    """The target ``qtest``, or ``qtest:SOCKET,MONITOR``."""
    if not sockets:
        if MISSING:
            raise TargetError(MISSING)
        return AgentTarget(start_with_agent())
    requests, comma, monitor = sockets.partition(",")
    if not comma:
        raise ValueError(f"target 'qtest:{sockets}': two sockets with a comma: that of qtest, and that of QMP")
    return AgentTarget(QemuConnection.to(requests, monitor))

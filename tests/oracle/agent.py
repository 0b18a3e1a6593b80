"""QEMU's GIC CPU interfaces, by way of the program in `agent.S` that its vCPUs run."""

import time
from pathlib import Path

from layout import GICD, RAM
from machines import QemuMachine
from qtest import PATIENCE, VCPUS, Batch, Qemu, QemuError

CODE = RAM + (3 << 19)
MAILBOXES = CODE + 4096
BYTES = Path(__file__).with_suffix(".bin")

IAR, EOIR, HPPIR, RPR = 1, 2, 3, 4
SPURIOUS = 1023


def start() -> Qemu:
    """A QEMU whose vCPU 0 starts at the program (it starts the others)."""
    return Qemu("-device", f"loader,addr={CODE:#x},cpu-num=0")


class AgentMachine(QemuMachine):
    """QEMU with vCPUs that run; only for tests of what they take, as it is slower."""

    def _reset(self) -> None:
        self.qemu.stop()
        super()._reset()
        self.store(CODE, BYTES.read_bytes())
        self.store(MAILBOXES, bytes(64 * VCPUS))
        # Group 1.
        self.write(GICD, 4, 2)
        self._run(Batch())
        self.qemu.cont()
        self._wait(24, 1)

    def _wait(self, offset: int, value: int, vcpus: range = range(VCPUS)) -> None:
        """Poll a word of mailboxes."""
        batch = Batch()
        for vcpu in vcpus:
            batch.read(MAILBOXES + 64 * vcpu + offset, 8)
        end = time.monotonic() + PATIENCE
        while set(self._run(batch)) != {value}:
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
        return self._run(batch)

    def has_pending(self) -> list[bool]:
        return [intid != SPURIOUS for intid in self.ask(HPPIR)]

    def acknowledge(self, vcpu: int) -> int | None:
        (intid,) = self.ask(IAR, vcpus=range(vcpu, vcpu + 1))
        return None if intid == SPURIOUS else intid

    def eoi(self, vcpu: int, intid: int) -> None:
        self.ask(EOIR, intid, range(vcpu, vcpu + 1))

"""A machine of two CPUs under Unicorn with vgic as its GIC: as examples/unicorn_its.py, whose CPU each of them is."""

import mmap
import sys
from pathlib import Path

import unicorn
from unicorn import arm64_const as arm64

import vgic

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
from unicorn_its import GICD, GICR, GITS, ICC, SLICE, UART, WFI, Machine

RAM, RAM_SIZE = 0x4020_0000, 1 << 20
FRAMES = {GICD: 0x1_0000, GITS: 0x2_0000, GICR: 0x4_0000, UART: 0x1000}
PSCI_CPU_ON = 0xC400_0003
#: Turns of both CPUs after which the guest must have powered off: it needs some hundred.
MOST_TURNS = 20_000


class Cpu(Machine):
    """One of the CPUs. RAM, the VM and the UART are the board's."""

    def __init__(self, board: "Board", number: int) -> None:
        self.board, self.verbose, self.off = board, False, False
        self.ram, self.vm, self.vcpu = board.ram, board.vm, board.vm.vcpu[number]
        self.pc: int | None = None
        self.icc = dict.fromkeys(ICC.values(), 0)
        self.uc = self.make_cpu(RAM, FRAMES)

    def print_byte(self, byte: int) -> None:
        self.board.printed += chr(byte)

    def exception(self, uc: unicorn.Uc, number: int, _: object) -> None:
        if uc.reg_read(arm64.UC_ARM64_REG_W0) == PSCI_CPU_ON & 0xFFFF_FFFF:
            target = self.board.cpus[uc.reg_read(arm64.UC_ARM64_REG_X1)]
            target.pc = uc.reg_read(arm64.UC_ARM64_REG_X2)
            uc.reg_write(arm64.UC_ARM64_REG_X0, 0)
        else:
            super().exception(uc, number, _)

    def turn(self) -> bool:
        """Run for a while; whether there was anything to do."""
        if self.pc is None:
            return False
        # The vCPU has left the guest and enters it again: an LPI that was moved is folded and finds its new place.
        self.vcpu.eoi(1023)
        if self.ram[self.pc - RAM - 4 : self.pc - RAM] == WFI and not self.vcpu.has_pending:
            return False
        pc = self.take_interrupt(self.pc)
        self.uc.emu_start(pc, RAM + RAM_SIZE, count=1 if self.vcpu.has_pending else SLICE)
        self.pc = self.uc.reg_read(arm64.UC_ARM64_REG_PC)
        return True


class Board:
    """The machine."""

    def __init__(self, image: bytes, design: str) -> None:
        self.ram = mmap.mmap(-1, RAM_SIZE)
        self.ram[: len(image)] = image
        memory = vgic.GuestMemory({RAM: self.ram})
        self.vm = vgic.Vm(2, design, its=[GITS], distributor=GICD, redistributors=GICR, memory=memory)
        self.vm.distributor_enabled = False
        self.printed = ""
        self.cpus = [Cpu(self, number) for number in range(2)]
        self.cpus[0].pc = RAM

    def run(self) -> str:
        """Until the guest powers off; what it has printed."""
        for _ in range(MOST_TURNS):
            busy = [cpu.turn() for cpu in self.cpus]
            if any(cpu.off for cpu in self.cpus):
                return self.printed
            if not any(busy):
                raise TimeoutError(f"every CPU waits for an interrupt\n{self.printed}")
        raise TimeoutError(f"the guest does not come to its end\n{self.printed}")

"""An AArch64 guest takes LPIs: Unicorn is the CPU, vgic is the GIC.

The guest (unicorn_guest/guest.S) has no operating system. It sets up the ITS by its registers and commands, rings a
device's doorbell, sleeps, and takes the device's MSIs as interrupts. Run it with
``python examples/unicorn_its.py [--verbose]``; it needs ``pip install unicorn``.

What an emulator has to do: share the guest's RAM with vgic (``Machine.__init__``), pass accesses to the frames of the
ITS and the redistributor on (``mmio_read``, ``mmio_write``), be the CPU interface (``mrs``, ``msr``,
``take_interrupt``), send the MSIs of its devices, from any thread (``Device``), and be woken by ``on_pending``.
"""

import argparse
import ctypes
import mmap
import queue
import threading
import time
from pathlib import Path

import vgic

try:
    import unicorn
    from unicorn import arm64_const as arm64
except ImportError:
    unicorn = None

GUEST = Path(__file__).parent / "unicorn_guest" / "guest.bin"

# Where the machine has what, as on QEMU's "virt" board; guest.S has the same numbers.
GICD, GITS, GICR, UART, DEVICE, RAM = 0x0800_0000, 0x0808_0000, 0x080A_0000, 0x0900_0000, 0x0A00_0000, 0x4000_0000
FRAMES = {GICD: 0x1_0000, GITS: 0x2_0000, GICR: 0x2_0000, UART: 0x1000, DEVICE: 0x1000}
RAM_SIZE = 1 << 20
DEVICE_ID = 8

#: Registers by address, for --verbose.
REGISTERS = {
    GICD: "GICD_CTLR",
    **{GITS + register: f"GITS_{register.name}" for register in vgic.GITS},
    **{GICR + register: f"GICR_{register.name}" for register in vgic.GICR},
    DEVICE: "DOORBELL",
}

#: The CPU interface's registers, by (CRn, CRm, op0, op1, op2): the order of Unicorn's hooks.
ICC = {
    (4, 6, 3, 0, 0): "ICC_PMR_EL1",
    (12, 12, 3, 0, 0): "ICC_IAR1_EL1",
    (12, 12, 3, 0, 1): "ICC_EOIR1_EL1",
    (12, 12, 3, 0, 5): "ICC_SRE_EL1",
    (12, 12, 3, 0, 7): "ICC_IGRPEN1_EL1",
}

# Other registers, by (op0, op1, CRn, CRm, op2): the order of cpr_read and cpr_write.
SPSR_EL1, ELR_EL1, VBAR_EL1 = (3, 0, 4, 0, 0), (3, 0, 4, 0, 1), (3, 0, 12, 0, 0)
HCR_EL2, SCR_EL3 = (3, 4, 1, 1, 0), (3, 6, 1, 1, 0)

EL1H_ALL_MASKED, PSTATE_I = 0x3C5, 1 << 7
WFI = 0xD503207F.to_bytes(4, "little")
EXCEPTION_HVC, PSCI_SYSTEM_OFF = 11, 0x8400_0008
NOTHING_PENDING = 1023
SLICE = 1000  # instructions


class Device(threading.Thread):
    """A device with a thread of its own, as an emulator's disk or network card has: each request ends with an MSI."""

    def __init__(self, its: vgic.ItsFrame) -> None:
        """``its``: where the device's MSIs go."""
        super().__init__(daemon=True)
        self.translater = its.translater
        self.requests: queue.SimpleQueue[int] = queue.SimpleQueue()

    def run(self) -> None:
        """Work; the CPU runs on meanwhile."""
        while True:
            event_id = self.requests.get()
            time.sleep(0.002)
            # The MSI is a write to GITS_TRANSLATER, at 0x40 in its page. It needs no lock, whatever the CPU does now.
            self.translater.write(0x40, event_id, DEVICE_ID)


class Machine:
    """One CPU, its RAM, and what it reaches by MMIO."""

    def __init__(self, image: bytes, verbose: bool) -> None:
        """``image``: what is in RAM at first, from its beginning; it is run from there."""
        self.verbose = verbose
        self.off = False
        self.line = ""
        self.icc = dict.fromkeys(ICC.values(), 0)

        # RAM belongs to Python. Unicorn maps this very memory, and vgic reads the guest's tables in it: no copies, and
        # a device's thread may have the ITS read a table while the CPU runs. (The other way, map_callbacks with
        # uc.mem_read, would call Unicorn from that thread, but a Uc is for one thread.) An mmap is page-aligned.
        self.ram = mmap.mmap(-1, RAM_SIZE)
        self.ram[: len(image)] = image
        memory = vgic.GuestMemory({RAM: self.ram})
        self.uc = self.make_cpu(RAM, FRAMES)

        self.vm = vgic.Vm(vcpus=1, its=[GITS], distributor=GICD, redistributors=GICR, memory=memory)
        self.vm.distributor_enabled = False  # the guest enables it
        self.vcpu = self.vm.vcpu[0]
        its = self.vm.its[0].frame
        its.on_error = lambda fault: print(f"its: {fault}")  # a guest is not told which of its commands were wrong
        self.wake = threading.Event()
        self.vcpu.on_pending = lambda _: self.wake.set()
        self.device = Device(its)

    def make_cpu(self, ram: int, frames: dict[int, int]) -> "unicorn.Uc":
        """A CPU whose RAM begins at ``ram``; ``frames``: size of what it reaches by MMIO, by address."""
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        memory = ctypes.addressof(ctypes.c_char.from_buffer(self.ram))
        uc.mem_map_ptr(ram, len(self.ram), unicorn.UC_PROT_ALL, memory)
        for base, size in frames.items():
            uc.mmio_map(base, size, self.mmio_read, base, self.mmio_write, base)
        uc.hook_add(unicorn.UC_HOOK_INSN, self.mrs, aux1=arm64.UC_ARM64_INS_MRS)
        uc.hook_add(unicorn.UC_HOOK_INSN, self.msr, aux1=arm64.UC_ARM64_INS_MSR)
        uc.hook_add(unicorn.UC_HOOK_INTR, self.exception)
        # Unicorn starts at EL1 as if after firmware, but with the registers of EL2 and EL3 zero: EL1 would be AArch32
        # by them, and hvc undefined. So SCR_EL3.{RW, HCE, NS} and HCR_EL2.RW.
        uc.cpr_write(*SCR_EL3, 1 << 10 | 1 << 8 | 1)
        uc.cpr_write(*HCR_EL2, 1 << 31)
        return uc

    def log(self, name: str, arrow: str, value: int) -> None:
        """One access, for --verbose."""
        if self.verbose:
            print(f"    {name:16} {arrow} {value:#x}")

    # The bus. Unicorn makes two accesses of 32 bits of one of 64; the frames take registers in halves, too.

    def mmio_read(self, uc: "unicorn.Uc", offset: int, size: int, base: int) -> int:
        """The guest loads from a device."""
        value = self.vm.mmio_read(base + offset, size) if base in (GITS, GICR) else 0
        self.log(register_name(base + offset), "->", value)
        return value

    def mmio_write(self, uc: "unicorn.Uc", offset: int, size: int, value: int, base: int) -> None:
        """The guest stores to a device."""
        if base == UART:
            self.print_byte(value)
            return
        self.log(register_name(base + offset), "<-", value)
        if base in (GITS, GICR):
            self.vm.mmio_write(base + offset, size, value)
        elif base == DEVICE:
            self.device.requests.put(value)
        elif base + offset == GICD:
            self.vm.distributor_enabled = bool(value & 1 << 1)  # GICD_CTLR.EnableGrp1

    def print_byte(self, byte: int) -> None:
        """The UART: by lines, so that those of --verbose are not mixed with the guest's."""
        if byte == ord("\n"):
            print(self.line, flush=True)
            self.line = ""
        else:
            self.line += chr(byte)

    # The CPU interface. A hook that returns True has done the instruction itself; then it has to move PC on, too.

    def mrs(self, uc: "unicorn.Uc", register: int, system: tuple[int, ...], _: object) -> bool:
        """The guest reads a system register."""
        name = ICC.get(system[:5])
        if name is None:
            return False  # one of Unicorn's own
        if name == "ICC_IAR1_EL1":
            intid = self.vcpu.acknowledge()
            self.icc[name] = NOTHING_PENDING if intid is None else intid
        self.log(name, "->", self.icc[name])
        uc.reg_write(register, self.icc[name])
        uc.reg_write(arm64.UC_ARM64_REG_PC, uc.reg_read(arm64.UC_ARM64_REG_PC) + 4)
        return True

    def msr(self, uc: "unicorn.Uc", register: int, system: tuple[int, ...], _: object) -> bool:
        """The guest writes a system register."""
        name = ICC.get(system[:5])
        if name is None:
            return False
        self.icc[name] = value = system[5]
        self.log(name, "<-", value)
        if name == "ICC_EOIR1_EL1":
            self.vcpu.eoi(value)
        uc.reg_write(arm64.UC_ARM64_REG_PC, uc.reg_read(arm64.UC_ARM64_REG_PC) + 4)
        return True

    def take_interrupt(self, pc: int) -> int:
        """Between two slices: enter the guest's handler if there is an interrupt and it may be taken; the PC then.

        vgic knows the running priority. A full CPU interface also has SGIs, PPIs and SPIs to compare with.
        """
        highest = self.vcpu.highest_pending()
        if highest is None or highest[1] >= self.icc["ICC_PMR_EL1"]:
            return pc
        pstate = self.uc.reg_read(arm64.UC_ARM64_REG_PSTATE)
        if pstate & PSTATE_I or not self.icc["ICC_IGRPEN1_EL1"] & 1:
            return pc
        self.uc.cpr_write(*ELR_EL1, pc)
        self.uc.cpr_write(*SPSR_EL1, pstate)
        self.uc.reg_write(arm64.UC_ARM64_REG_PSTATE, EL1H_ALL_MASKED)
        return self.uc.cpr_read(*VBAR_EL1) + 0x280  # IRQ, from the same EL with its own stack

    def exception(self, uc: "unicorn.Uc", number: int, _: object) -> None:
        """The guest takes an exception that is no interrupt: power off by PSCI, or a bug."""
        if number != EXCEPTION_HVC or uc.reg_read(arm64.UC_ARM64_REG_W0) != PSCI_SYSTEM_OFF:
            raise RuntimeError(f"exception {number} at {uc.reg_read(arm64.UC_ARM64_REG_PC):#x}")
        self.off = True
        uc.emu_stop()

    def run(self) -> None:
        """Run the guest until it powers off."""
        self.device.start()
        pc = RAM
        while True:
            # A slice is one instruction while an interrupt waits for the guest to unmask it, so as not to miss that.
            self.uc.emu_start(pc, RAM + RAM_SIZE, count=1 if self.vcpu.has_pending else SLICE)
            if self.off:
                return
            pc = self.uc.reg_read(arm64.UC_ARM64_REG_PC)
            # A wfi ends a slice. Unicorn does not say so; the instruction before does, well enough for this guest.
            if self.ram[pc - RAM - 4 : pc - RAM] == WFI:
                while not self.vcpu.has_pending:
                    if not self.wake.wait(timeout=10):
                        raise TimeoutError("the guest waits for an interrupt that does not come")
                    self.wake.clear()
            pc = self.take_interrupt(pc)


def register_name(address: int) -> str:
    """Name of a register, or of its upper half, or the address."""
    upper_half = f"{REGISTERS[address - 4]}+4" if address - 4 in REGISTERS else f"{address:#x}"
    return REGISTERS.get(address, upper_half)


def main() -> None:
    """Run the guest; then what vgic counted."""
    parser = argparse.ArgumentParser(description="A bare-metal guest takes LPIs: Unicorn is the CPU, vgic is the GIC.")
    parser.add_argument("-v", "--verbose", action="store_true", help="print each access to the GIC and the device")
    arguments = parser.parse_args()
    if unicorn is None:
        parser.exit(2, f"{parser.prog}: Unicorn is not installed: pip install unicorn\n")
    machine = Machine(GUEST.read_bytes(), arguments.verbose)
    try:
        machine.run()
    except (RuntimeError, TimeoutError, unicorn.UcError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    counts = machine.vm.counts()
    print(f"vgic: {counts['sent']} MSIs sent, {counts['delivered']} LPIs delivered, {counts['pending']} pending")


if __name__ == "__main__":
    main()

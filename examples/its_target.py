"""An ITS as a target of the conformance kit: ``vgic its check --target python:its_target``, from this folder.

The ITS here is a VM of this package behind its frames, driven as an emulator's author would drive their own: replace
the lines that name ``self.vm`` and ``self.its``.
"""

import vgic
from vgic.conformance import Target


class MyTarget(Target):
    """Four vCPUs and two devices; frames and RAM where QEMU's board has them (``Target.places``)."""

    name = "my ITS"
    vcpus = 4
    devices = (0x18, 0x19)
    #: Rules that it is known not to keep, and why: these are told, but are no failure.
    known = {"discard-takes-the-pending-state-away": "a queued LPI is not taken back"}  # noqa: RUF012

    def reset(self) -> None:
        """Power on."""
        self.ram = bytearray(self.places.ram_size)
        memory = vgic.GuestMemory({self.places.ram: self.ram})
        self.vm = vgic.Vm(self.vcpus, "hardened", memory=memory)
        self.its = self.vm.its[0].frame

    def read(self, address: int, size: int) -> int:
        """Your bus."""
        return self.vm.mmio_read(address, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Your bus; of the distributor only GICD_CTLR.EnableGrp1 is looked at."""
        if address == self.places.gicd:
            self.vm.distributor_enabled = bool(value & 2)
        else:
            self.vm.mmio_write(address, size, value)

    def load(self, address: int, size: int) -> bytes:
        """Your memory."""
        return bytes(self.ram[address - self.places.ram :][:size])

    def store(self, address: int, data: bytes) -> None:
        """Your memory."""
        at = address - self.places.ram
        self.ram[at : at + len(data)] = data

    def msi(self, device_id: int, event_id: int) -> None:
        """A device's write to GITS_TRANSLATER."""
        self.its.translater.write(0x40, event_id, device_id)

    def pending(self, vcpu: int) -> int | None:
        """ICC_HPPIR1_EL1."""
        highest = self.vm.vcpu[vcpu].highest_pending()
        return highest[0] if highest else None

    def acknowledge(self, vcpu: int) -> int | None:
        """ICC_IAR1_EL1."""
        return self.vm.vcpu[vcpu].acknowledge()

    def end(self, vcpu: int, intid: int) -> None:
        """ICC_EOIR1_EL1."""
        self.vm.vcpu[vcpu].eoi(intid)


target = MyTarget

if __name__ == "__main__":
    from vgic.conformance import check

    report = check(target())
    print(f"{report.target}: {len(report.outcomes)} rules, {len(report.differences)} differences")
    for outcome in report.known:
        print(f"known: {outcome.case.name}")

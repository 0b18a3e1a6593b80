"""One interface to QEMU's emulated GIC and to a vgic VM: registers, guest memory, MSIs, and what can be seen."""

import struct
from abc import ABC, abstractmethod
from typing import NamedTuple

from commands import SIZE
from layout import (
    COLLECTION_IDS,
    COLLECTIONS,
    DEVICE_IDS,
    ENTRIES,
    EVENT_IDS,
    FIRST_LPI,
    GICR,
    GICR_STRIDE,
    GITS,
    ITT_ENTRY,
    PAGE,
    PENDING,
    QUEUES,
    REGISTERS,
    TRANSLATER,
    Setup,
)

import vgic
from vgic.conformance.ours import OurTarget
from vgic.conformance.qemu import QemuTarget
from vgic.conformance.qtest import VCPUS, Batch, Qemu
from vgic.conformance.target import Target

#: The design that follows the newest kernel.
DESIGN = "v7.3"
#: Designs of 6.10 and later.
NEW = ("v6.10", "v6.17", "v7.1.8", "v7.3", "halt", "hardened")
#: Designs whose MOVALL moves the LPIs of every vCPU.
MOVALL_TAKES_ALL = ("v6.10", "v6.17", "v7.1.8")
#: These two have a defect that no kernel had: a walk of all LPIs finds none, so MOVALL and INVALL do nothing.
WITHOUT_WALK = ("v2", "call-rcu")


class State(NamedTuple):
    """What both machines show of their translations and pending LPIs, each from its own tables."""

    #: (vCPU, INTID) of each pending LPI: of a vCPU whose LPIs are off, what its table in memory holds.
    pending: set[tuple[int | None, int]]
    #: Event bits and ITT address of each device.
    devices: dict[int, tuple[int, int]]
    #: INTID and collection of each (device, event); None for a collection that is not mapped.
    events: dict[tuple[int, int], tuple[int, int | None]]
    #: The vCPU of each mapped collection.
    collections: dict[int, int]
    #: Where an LPI goes.
    targets: dict[int, int | None]


def pending_bits(table: bytes) -> set[int]:
    """INTIDs whose bits are set in a pending table, from the first LPI's byte on."""
    found = set()
    bits = int.from_bytes(table, "little")
    while bits:
        lowest = bits & -bits
        found.add(FIRST_LPI + lowest.bit_length() - 1)
        bits ^= lowest
    return found


def doorbell_size(event: int) -> int:
    """GITS_TRANSLATER takes 16 and 32 bits: device 0 uses both."""
    return 2 if event & 1 else 4


class Machine(ABC):
    """A GIC with an ITS, four vCPUs that do not run, and RAM."""

    name: str
    target: Target
    setup: Setup
    #: Whether it follows a kernel before 6.10.
    old_kernel = False
    #: Whether MOVALL moves the LPIs of every vCPU.
    movall_takes_all = False
    #: Whose LPIs are on.
    on: list[bool]

    def reset(self, setup: Setup) -> None:
        """All registers as after power-on, RAM empty."""
        self.setup = setup
        self.on = [False] * VCPUS
        self.target.reset()

    def write(self, address: int, size: int, value: int) -> None:
        """Write a register."""
        self.target.write(address, size, value)

    def registers(self, names: list[str]) -> dict[str, int]:
        """Read registers."""
        return {name: self.target.read(REGISTERS[name].address, REGISTERS[name].size) for name in names}

    def read(self, name: str) -> int:
        """Read one register."""
        return self.registers([name])[name]

    def store(self, address: int, data: bytes) -> None:
        """Write RAM."""
        self.target.store(address, data)

    def load(self, address: int, size: int) -> bytes:
        """Read RAM."""
        return self.target.load(address, size)

    def msi(self, device: int, event: int) -> None:
        """A device writes to GITS_TRANSLATER."""
        self.target.msi(device, event)

    @abstractmethod
    def state(self) -> State:
        """Translations and pending LPIs."""

    def settle(self) -> None:
        """Every vCPU enters the guest and leaves it; nothing is taken."""
        self.target.settle()

    def switch_lpis(self, vcpu: int, on: bool, save: bool) -> None:
        """Write GICR_CTLR.EnableLPIs; ``save``: the VMM cares about the pending table in memory."""
        self.write(GICR + vcpu * GICR_STRIDE, 4, int(on))
        self.on[vcpu] = on

    @abstractmethod
    def migrate(self) -> None:
        """Go on in another VM."""

    # What vCPUs take.

    def has_pending(self) -> list[bool]:
        """Of each vCPU, whether there is an LPI that it could take."""
        return [self.target.pending(vcpu) is not None for vcpu in range(VCPUS)]

    def acknowledge(self, vcpu: int) -> int | None:
        """Read ICC_IAR1_EL1."""
        return self.target.acknowledge(vcpu)

    def eoi(self, vcpu: int, intid: int) -> None:
        """Write ICC_EOIR1_EL1."""
        self.target.end(vcpu, intid)

    def pending_tables(self) -> list[set[int]]:
        """What the pending tables in memory hold after the VMM had them saved."""
        lpis = FIRST_LPI // 8
        return [pending_bits(self.load(table + lpis, self.setup.pending_bytes - lpis)) for table in PENDING]


class QemuMachine(Machine):
    """QEMU: it keeps its state in guest memory, in formats of its own."""

    name = "QEMU"

    def __init__(self, qemu: Qemu, kind: type[QemuTarget] = QemuTarget) -> None:
        """``kind``: :class:`AgentTarget` for tests of what vCPUs take, as it is slower."""
        self.qemu = qemu
        self.target = kind(qemu)

    def registers(self, names: list[str]) -> dict[str, int]:
        batch = Batch()
        for name in names:
            batch.read(REGISTERS[name].address, REGISTERS[name].size)
        return dict(zip(names, self.target.run(batch), strict=True))

    def has_pending(self) -> list[bool]:
        return [intid is not None for intid in self.target.all_pending()]

    def migrate(self) -> None:
        # It is the reference: what a guest cannot notice has not happened.
        pass

    def state(self) -> State:
        # DTE: valid, event bits - 1, ITT address / 256. CTE: valid, vCPU. Eight bytes each.
        entries = {device: self.setup.device_entry(device) for device in DEVICE_IDS}
        batch = Batch()
        for address in entries.values():
            if address is not None:
                batch.load(address, 8)
        small = [icid for icid in COLLECTION_IDS if icid < ENTRIES]
        for icid in small:
            batch.load(COLLECTIONS + 8 * icid, 8)
        lpis = FIRST_LPI // 8
        for table in PENDING:
            batch.load(table + lpis, self.setup.pending_bytes - lpis)
        found = iter(self.target.run(batch))

        devices = {}
        for device, address in entries.items():
            if address is None:
                continue
            (entry,) = struct.unpack("<Q", next(found))
            if entry & 1:
                devices[device] = ((entry >> 1 & 0x1F) + 1, (entry >> 6 & (1 << 44) - 1) << 8)
        collections = {}
        for icid in small:
            (entry,) = struct.unpack("<Q", next(found))
            if entry & 1:
                collections[icid] = entry >> 1 & 0xFFFF
        pending: set[tuple[int | None, int]] = set()
        for vcpu in range(VCPUS):
            pending |= {(vcpu, intid) for intid in pending_bits(next(found))}
        events = self._events(devices, collections)
        targets = {intid: collections[icid] for intid, icid in events.values() if icid is not None}
        return State(pending, devices, events, collections, targets)

    def _events(
        self, devices: dict[int, tuple[int, int]], collections: dict[int, int]
    ) -> dict[tuple[int, int], tuple[int, int | None]]:
        """ITE: valid, physical, INTID from bit 2, collection from bit 32, and a word for the doorbell of GICv4."""
        slots = [
            (device, event, itt + ITT_ENTRY * event)
            for device, (bits, itt) in devices.items()
            for event in EVENT_IDS
            if event < 1 << bits
        ]
        if not slots:
            return {}
        batch = Batch()
        for _, _, address in slots:
            batch.load(address, 8)
        events = {}
        for (device, event, _), data in zip(slots, self.target.run(batch), strict=True):
            (entry,) = struct.unpack("<Q", data)
            if entry & 1:
                icid = entry >> 32 & 0xFFFF
                events[device, event] = (entry >> 2 & 0xFF_FFFF, icid if icid in collections else None)
        return events


class VgicMachine(Machine):
    """A vgic VM behind its register frames."""

    name = "vgic"

    def __init__(self, design: str = DESIGN) -> None:
        self.design = design
        self.old_kernel = design not in NEW
        self.movall_takes_all = design in MOVALL_TAKES_ALL
        self.target = OurTarget(design)

    @property
    def vm(self) -> vgic.Vm:
        return self.target.vm

    def migrate(self) -> None:
        saved = self.vm.save().to_json()
        self.target.start()
        self.vm.restore(vgic.SavedState.from_json(saved))

    def msi(self, device: int, event: int) -> None:
        if device == 0:
            # The way of an emulator whose bus says who writes.
            self.vm.its[0].frame.write(TRANSLATER - GITS, doorbell_size(event), event, device_id=device)
        else:
            super().msi(device, event)

    def state(self) -> State:
        tables = self.vm.its[0].tables()
        collections = {icid: vcpu for icid, vcpu in tables["collections"] if vcpu is not None}
        devices = {}
        events: dict[tuple[int, int], tuple[int, int | None]] = {}
        for device in tables["devices"]:
            devices[device["device_id"]] = (device["event_bits"], device["itt_address"])
            for event, intid, icid in device["events"]:
                events[device["device_id"], event] = (intid, icid if icid in collections else None)
        alive = {intid for intid, icid in events.values() if icid is not None}
        targets: dict[int, int | None] = {}
        pending: set[tuple[int | None, int]] = set()
        for lpi in self.vm.lpis():
            vcpu = lpi["target_vcpu"]
            if lpi["intid"] in alive:
                targets[lpi["intid"]] = vcpu
            if lpi["pending"] and (vcpu is None or self.on[vcpu]):
                pending.add((vcpu, lpi["intid"]))
        for vcpu, on in enumerate(self.on):
            if not on:
                lpis = FIRST_LPI // 8
                table = self.load(PENDING[vcpu] + lpis, self.setup.pending_bytes - lpis)
                pending |= {(vcpu, intid) for intid in pending_bits(table)}
        return State(pending, devices, events, collections, targets)

    # QEMU's pending tables are alive: a bit changes in memory as the LPI does. KVM only writes them when the VMM asks
    # for it. So here the VMM asks whenever a difference would show, and wipes what would be stale afterwards.

    def _saved(self) -> list[bytes]:
        """The pending tables as KVM saves them; memory stays as it was."""
        before = [self.load(table, self.setup.pending_bytes) for table in PENDING]
        self.vm.save_pending_tables()
        saved = [self.load(table, self.setup.pending_bytes) for table in PENDING]
        for table, content in zip(PENDING, before, strict=True):
            self.store(table, content)
        return saved

    def switch_lpis(self, vcpu: int, on: bool, save: bool) -> None:
        if save and not on and self.on[vcpu]:
            self.store(PENDING[vcpu], self._saved()[vcpu])
        super().switch_lpis(vcpu, on, save)
        if save and on:
            self.store(PENDING[vcpu], bytes(self.setup.pending_bytes))

    def pending_tables(self) -> list[set[int]]:
        saved = self._saved()
        lpis = FIRST_LPI // 8
        in_memory = super().pending_tables()
        return [pending_bits(saved[n][lpis:]) if on else in_memory[n] for n, on in enumerate(self.on)]


class DeafMachine(VgicMachine):
    """One that never hears of a certain command: to see whether the tests would."""

    def __init__(self, opcode: int) -> None:
        super().__init__()
        self.opcode = opcode

    def store(self, address: int, data: bytes) -> None:
        if QUEUES[0] <= address < QUEUES[-1] + PAGE:
            entries = [data[n : n + SIZE] for n in range(0, len(data), SIZE)]
            data = b"".join(bytes(SIZE) if entry[0] == self.opcode else entry for entry in entries)
        super().store(address, data)

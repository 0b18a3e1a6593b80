"""A virtual machine's LPIs: its ITSes, its redistributors and its vCPUs, in one design.

The engine is the Rust core's; these classes give it the shape of the hardware. Every method may be called from any
thread: the engine is concurrent, that is its point. Numbers out of range raise ``ValueError``.
"""

import os
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from vgic import _core
from vgic.arguments import integer
from vgic.designs import DEFAULT_DESIGN, check_names
from vgic.errors import TableError
from vgic.its.frame import ItsFrame
from vgic.redist.frame import RedistributorFrame
from vgic.vm.frames import Frames
from vgic.vm.kvm_device import ItsDevice, KvmDevice, VgicDevice
from vgic.vm.memory import GuestMemory
from vgic.vm.pending import OnPending, Told
from vgic.vm.state import SavedState, restore_frames, save_frames
from vgic.vm.topology import DEFAULT_LAYOUT, Topology, affinity_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from vgic._core import Counts, LpiState, Tables

__all__ = ["Its", "Vcpu", "Vm"]

_ITEM = array("I").itemsize
#: What a 64-bit register holds.
_REGISTER = (1 << 64) - 1


def _needed(frames: Frames | None) -> Frames:
    if frames is None:
        raise ValueError("the VM has no guest memory, so no register frames: Vm(memory=GuestMemory(...))")
    return frames


class _SignalMsi(Protocol):
    def __call__(self, device_id: int, event_id: int) -> int: ...


def _uint32(name: str, values: "Buffer | Iterable[int]") -> "Buffer":
    """``values`` as a contiguous buffer of native unsigned 32-bit integers, copied only if it is not one already."""
    if isinstance(values, Iterable) and not isinstance(values, (bytes, bytearray)):
        try:
            view = memoryview(values)  # type: ignore[arg-type]
        except TypeError:
            items: Iterable[int] = values
        else:
            if view.ndim != 1:
                raise ValueError(f"{name}: {view.ndim} dimensions, expected 1")
            if view.itemsize == _ITEM and view.format.lstrip("@=") in ("I", "L") and view.c_contiguous:
                return view
            items = view.tolist()
        try:
            return array("I", items)
        except (OverflowError, TypeError):
            pass
    raise ValueError(f"{name}: expected integers from 0 to 4294967295")


class Its:
    """One Interrupt Translation Service of a :class:`Vm`: its commands and its control register.

    A command that the architecture rejects raises :class:`vgic.CommandError` with the ITS error code (Arm GICv3
    specification, IHI 0069, 5.3 "ITS commands"; the codes are those of KVM's ``vgic-its.c``). Rejected commands change
    nothing.
    """

    __slots__ = ("_frames", "_vm", "doorbell", "index")

    def __init__(self, vm: "Vm", index: int) -> None:
        """Made by :class:`Vm`; take them from ``vm.its``."""
        self._vm = vm._core
        self._frames = vm._frames
        #: Number of this ITS in its VM, from 0.
        self.index = index
        #: Guest physical address of GITS_TRANSLATER: where a device writes its EventID.
        self.doorbell = self._vm.doorbell(index)

    def __repr__(self) -> str:
        state = "enabled" if self.enabled else "disabled"
        return f"<Its {self.index}: doorbell {self.doorbell:#x}, {state}>"

    @property
    def frame(self) -> ItsFrame:
        """The registers as a guest drives them, for a VM with guest memory (``Vm(memory=...)``)."""
        return _needed(self._frames).its[self.index]

    @property
    def kvm_device(self) -> KvmDevice:
        """The same by KVM's groups and attributes (``KVM_DEV_TYPE_ARM_VGIC_ITS``), for a VM with guest memory."""
        return ItsDevice(_needed(self._frames), self.index)

    @property
    def enabled(self) -> bool:
        """GITS_CTLR.Enabled. Disabling drops the cached translations; the mappings stay."""
        return self._vm.its_enabled(self.index)

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self._vm.set_its_enabled(self.index, on)

    def mapd(self, device_id: int, event_bits: int = 5, *, itt_address: int = 0, valid: bool = True) -> None:
        """MAPD: give a device an interrupt translation table, or (``valid=False``) take it away with all its events.

        ``device_id``: 0 to 65535. ``event_bits``: EventID width, 1 to 16 (the command's Size field is one less).
        ``itt_address``: guest physical address of the table, a multiple of 256 below 2**52. With guest memory, it must
        be there where an event is mapped; without, it means nothing.
        A device that is mapped already is freed first.
        """
        self._vm.mapd(self.index, device_id, event_bits, itt_address, valid)

    def mapc(self, collection_id: int, vcpu: int = 0, *, valid: bool = True) -> None:
        """MAPC: point a collection (0 to 65535) at a vCPU, or (``valid=False``) unmap it."""
        self._vm.mapc(self.index, collection_id, vcpu, valid)

    def mapti(self, device_id: int, event_id: int, intid: int, collection_id: int) -> None:
        """MAPTI: translate an event to an LPI (INTID 8192 to 65535) in a collection.

        An event that is mapped already stays as it was (as in KVM). Reads the LPI's configuration byte. An event whose
        entry in the device's table would not be in guest memory, so that it could not be saved, is out of range (KVM:
        ``vgic_its_check_event_id``).
        """
        self._vm.mapti(self.index, device_id, event_id, intid, collection_id)

    def mapi(self, device_id: int, event_id: int, collection_id: int) -> None:
        """MAPI: MAPTI with the EventID as the INTID."""
        self._vm.mapi(self.index, device_id, event_id, collection_id)

    def movi(self, device_id: int, event_id: int, collection_id: int) -> None:
        """MOVI: move one event to another collection. If pending, it migrates when its old vCPU leaves the guest."""
        self._vm.movi(self.index, device_id, event_id, collection_id)

    def movall(self, from_vcpu: int, to_vcpu: int) -> None:
        """MOVALL: retarget every LPI of one vCPU to another."""
        self._vm.movall(self.index, from_vcpu, to_vcpu)

    def discard(self, device_id: int, event_id: int) -> None:
        """DISCARD: unmap one event. Its LPI lives on while it is queued, and may still be delivered once."""
        self._vm.discard(self.index, device_id, event_id)

    def clear(self, device_id: int, event_id: int) -> None:
        """CLEAR: drop the pending state of one event's LPI."""
        self._vm.clear(self.index, device_id, event_id)

    def inv(self, device_id: int, event_id: int) -> None:
        """INV: read the configuration byte of one event's LPI again (see :meth:`Vm.write_config`)."""
        self._vm.inv(self.index, device_id, event_id)

    def invall(self, collection_id: int) -> None:
        """INVALL: read the configuration of every LPI of a collection's vCPU again."""
        self._vm.invall(self.index, collection_id)

    def sync(self, vcpu: int = 0) -> None:
        """SYNC: wait until the commands before it are done; they are, so it does nothing (as in KVM)."""
        self._vm.sync(self.index, vcpu)

    def tables(self) -> "Tables":
        """Devices with their events, and collections with their vCPUs, each in the order of mapping."""
        return self._vm.tables(self.index)

    # Last, because it hides the built-in of that name in the rest of the class body.
    def int(self, device_id: int, event_id: int) -> None:
        """INT: make one event's LPI pending, as its device would, by the full translation."""
        self._vm.int(self.index, device_id, event_id)


class Vcpu:
    """One virtual CPU of a :class:`Vm`: its redistributor's LPI enable bit and its CPU interface."""

    __slots__ = ("_frames", "_owner", "_vm", "index")

    def __init__(self, vm: "Vm", index: int) -> None:
        """Made by :class:`Vm`; take them from ``vm.vcpu``."""
        self._owner = vm
        self._vm = vm._core
        self._frames = vm._frames
        #: Number of this vCPU, from 0; also its RDbase (GITS_TYPER.PTA = 0).
        self.index = index

    def __repr__(self) -> str:
        state = "enabled" if self.lpis_enabled else "disabled"
        return f"<Vcpu {self.index}: LPIs {state}>" if self.present else f"<Vcpu {self.index}: not there>"

    @property
    def present(self) -> bool:
        """Whether it is there: from the start, or since :meth:`Vm.plug`."""
        return self._vm.is_present(self.index)

    @property
    def mpidr(self) -> int:
        """The affinity fields of its MPIDR_EL1: Aff3 in bits 39:32, Aff2 to Aff0 in bits 23:0."""
        affinity = self._owner.topology.affinity(self.index)
        return affinity >> 24 << 32 | affinity & 0xFF_FFFF

    def acknowledge(self, *, lowest_intid: bool = False) -> int | None:
        """Enter the guest, read ICC_IAR1_EL1, leave: the INTID taken, or None if nothing is pending (1023).

        Of several LPIs with the highest priority the architecture leaves the choice open (Arm GICv3, 4.8): the one in
        the lowest list register, as the virtual CPU interface of hardware does, or with ``lowest_intid`` the one with
        the lowest INTID.
        """
        return self._vm.acknowledge(self.index, lowest_intid)

    @property
    def frame(self) -> RedistributorFrame:
        """The registers of its redistributor, for a VM with guest memory (``Vm(memory=...)``).

        Raises ``ValueError`` while the vCPU is not there.
        """
        frame = _needed(self._frames).redistributors.get(self.index)
        if frame is None:
            raise ValueError(f"vCPU {self.index} is not there, so it has no register frame: plug({self.index})")
        return frame

    def highest_pending(self, *, lowest_intid: bool = False) -> tuple[int, int] | None:
        """INTID and priority of the LPI that :meth:`acknowledge` would take now, or None: the CPU's IRQ line.

        It counts what is active: an LPI that cannot preempt the running priority is not signalled. An emulator compares
        the priority with its PMR and with its own SGIs, PPIs and SPIs.
        """
        return self._vm.highest_pending(self.index, lowest_intid)

    def eoi(self, intid: int) -> None:
        """Write ICC_EOIR1_EL1: end the interrupt that :meth:`acknowledge` returned.

        ``intid``: what the guest wrote; bits 63:24 are reserved and ignored, as are the special INTIDs 1020 to 1023.
        Another INTID than that of the running priority drops the priority all the same (the architecture leaves it
        open), so pass on only what the guest acknowledged here.
        """
        self._vm.eoi(self.index, integer("intid", intid, 0, _REGISTER) & 0xFF_FFFF)

    @property
    def has_pending(self) -> bool:
        """Whether an LPI is deliverable here: what decides if a blocked vCPU wakes (``kvm_vgic_vcpu_pending_irq``).

        It does not count the running priority: see :meth:`highest_pending` for the IRQ line.
        """
        return self._vm.has_pending(self.index)

    @property
    def on_pending(self) -> "Callable[[Vcpu], object] | None":
        """What is called when an LPI may have become deliverable here: its own function, or the VM's.

        Set it to have another one for this vCPU, or None for the VM's again. See :class:`Vm`.
        """
        return self._owner._on_pending.of(self.index)

    @on_pending.setter
    def on_pending(self, function: "Callable[[Vcpu], object] | None") -> None:
        self._owner._on_pending.set(function, self.index)

    def eventfd(self) -> int:
        """A file descriptor that becomes readable when an LPI may have become deliverable here, without the GIL.

        Read its 8 bytes before you look. Each call gives a duplicate of the same eventfd (non-blocking, close-on-exec),
        which is yours to close. It is readable at once if something is deliverable now.
        """
        fd = self._vm.eventfd(self.index)
        if self._vm.has_pending(self.index):
            os.eventfd_write(fd, 1)
        return fd

    @property
    def told(self) -> Told:
        """How often this vCPU was told that it may have something, and how often in vain."""
        return Told(*self._vm.told(self.index))

    @property
    def lpis_enabled(self) -> bool:
        """GICR_CTLR.EnableLPIs. Enabling reads the pending table; disabling drops what is queued here."""
        return self._vm.lpis_enabled(self.index)

    @lpis_enabled.setter
    def lpis_enabled(self, on: bool) -> None:
        if not self.present:
            raise ValueError(f"vCPU {self.index} is not there, so it has no LPIs to enable: plug({self.index})")
        self._vm.set_lpis_enabled(self.index, on)


class Vm:
    """A virtual machine's interrupt routing, in one design.

    ``vcpus``: how many, 1 to 512; or the MPIDR_EL1 of each; or, by number (0 to 511, GICR_TYPER.Processor_Number), the
    MPIDR_EL1 of each (None: that of its number), so that numbers may have gaps. ``max_vcpus``: numbers 0 to one less
    than this may come later, by :meth:`plug`. ``design``: a name of :func:`vgic.designs`. ``its``: number of ITSes (0
    to 64), or the guest physical base address of each. ``memory``: the guest's; without it, LPI tables are the VM's
    own.

    ``layout``: the machine whose places the frames have, a name of :func:`vgic.layouts`. ``distributor``,
    ``redistributors``: other places for these, below 2**52; of redistributors where the first one is, or regions, each
    an address and a count (KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION). Further ITSes lie behind the redistributors, or below
    them in a layout whose redistributors end at the distributor. Frames are 64 KiB aligned, an ITS 4 KiB; they are
    apart from each other and from the regions that ``memory`` has now.
    ``list_registers``: 1 to 16 (Arm GICv3: at most 16; commonly 4). ``allow_unsound``: run a design that is known to
    break memory safety, which may crash the process.
    ``on_pending``: called with a :class:`Vcpu` that had nothing deliverable and may have something now, on the thread
    that made it so, when its operation is done: it may use the VM. It is called once for each look of the vCPU. What it
    raises goes to ``sys.unraisablehook``.

    A new VM is switched off as hardware is: enable the LPIs of its vCPUs and its ITSes, then map.

    >>> vm = Vm(vcpus=1)
    >>> vm.enable()
    >>> its = vm.its[0]
    >>> its.mapc(0, vcpu=0); its.mapd(8, event_bits=4); its.mapti(8, 0, 8192, 0)
    >>> vm.write_config(8192, 0xa1); its.inv(8, 0)
    >>> vm.signal_msi(8, 0)
    1
    >>> vm.vcpu[0].acknowledge()
    8192
    """

    #: The slots whose values are documented here.
    __slots__ = {  # noqa: RUF023
        "_core": "",
        "_frames": "",
        "_on_pending": "",
        "its": "The ITSes, by number.",
        "memory": "The guest memory that the LPI tables are in, or None.",
        "topology": "Which vCPUs there are, and where the frames are.",
        "vcpu": "The vCPUs, by number, with those that are not there (:attr:`Vcpu.present`).",
        "signal_msi": (
            "signal_msi(device_id, event_id): a device writes to the first ITS's doorbell. Returns 1 if the LPI was "
            "taken, 0 if nothing is mapped there (as KVM_SIGNAL_MSI does). Raises OSError: EBUSY (ITS or the target's "
            "LPIs switched off), EINVAL, ENODEV (no ITS). Bound to the core's method: a call costs no Python frame."
        ),
    }

    _frames: Frames | None
    _on_pending: OnPending
    its: "tuple[Its, ...]"
    memory: GuestMemory | None
    topology: Topology
    vcpu: tuple[Vcpu, ...]
    signal_msi: _SignalMsi

    def __init__(
        self,
        vcpus: int | Sequence[int] | Mapping[int, int | None] = 4,
        design: str = DEFAULT_DESIGN,
        *,
        max_vcpus: int | None = None,
        its: "int | Sequence[int]" = 1,
        memory: GuestMemory | None = None,
        layout: str = DEFAULT_LAYOUT,
        distributor: int | None = None,
        redistributors: int | Sequence[tuple[int, int]] | None = None,
        list_registers: int = 4,
        on_pending: "Callable[[Vcpu], object] | None" = None,
        allow_unsound: bool = False,
    ) -> None:
        """Build the VM; see the class for the parameters."""
        check_names([design], allow_unsound=allow_unsound)
        topology = Topology(
            vcpus, max_vcpus=max_vcpus, its=its, layout=layout, distributor=distributor, redistributors=redistributors
        )
        self.topology = topology
        self._core = _core.Vm(
            topology.room,
            design,
            list_registers=list_registers,
            its=topology.its,
            distributor=topology.distributor,
            redistributors=[(region.base, region.count) for region in topology.regions],
            memory=memory,
            allow_unsound=allow_unsound,
        )
        for number in set(range(topology.room)).difference(topology.order):
            self._core.set_present(number, False)
        self.memory = memory
        self._frames = None if memory is None else Frames(self._core, memory, topology)
        self.its = tuple(Its(self, n) for n in range(len(topology.its)))
        self.vcpu = tuple(Vcpu(self, n) for n in range(topology.room))
        self.signal_msi = self._core.signal_msi
        self._on_pending = OnPending(self)
        if on_pending is not None:
            self._on_pending.set(on_pending)

    def __repr__(self) -> str:
        return f"<Vm {self.design}: {len(self.topology.order)} vCPUs, {len(self.its)} ITSes>"

    def __enter__(self) -> Self:
        """Return the VM itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until what the VM freed behind grace periods is free."""
        _core.rcu_barrier()

    @property
    def design(self) -> str:
        """Name of the design."""
        return self._core.design

    def enable(self) -> None:
        """Switch on what a guest's boot switches on: the distributor, the LPIs of every vCPU, every ITS."""
        self._core.set_distributor_enabled(True)
        for number in self.topology.order:
            self.vcpu[number].lpis_enabled = True
        for its in self.its:
            its.enabled = True

    def plug(self, number: int, mpidr: int | None = None) -> Vcpu:
        """Add a vCPU whose number there is room for (``max_vcpus``, or a gap), switched off as after reset.

        ``mpidr``: its MPIDR_EL1, by default that of its number. Its redistributor takes the next place in the regions,
        where the guest finds it from now on. It does not go again: KVM has no unplugging either. Raises ``ValueError``
        if the vCPU is there, or another one with the same affinity.
        """
        self._core.check_process()
        self.topology._plug(number, mpidr)
        # First for the ITS, since a guest that finds the redistributor may send MAPC.
        self._core.set_present(number, True)
        if self._frames is not None:
            self._frames.plug(number)
        return self.vcpu[number]

    def vcpu_of(self, mpidr: int) -> Vcpu:
        """Return the vCPU of an MPIDR_EL1, whose affinity fields count. Raises ``ValueError`` if there is none."""
        number = self.topology.number(affinity_of("mpidr", mpidr))
        if number is None:
            raise ValueError(f"mpidr: no vCPU has {mpidr:#x}")
        return self.vcpu[number]

    def reset(self) -> None:
        """Reset the interrupt controller as a whole: what a VMM does when its guest resets the machine.

        ITSes and LPIs are switched off; devices, events, collections and what was pending or active are gone; the
        registers are those of a new VM, with the distributor on. Places and vCPUs stay, and so does memory with its
        tables. vCPUs and senders must be stopped.
        """
        if self._frames is None:
            for its in self.its:
                its.enabled = False
                self._core.free_tables(its.index, True, True)
            for number in self.topology.order:
                self._core.set_lpis_enabled(number, False)
                self._core.set_active_priorities(number, 0)
        else:
            self._frames.reset()
        self._core.set_distributor_enabled(True)

    @property
    def distributor_enabled(self) -> bool:
        """GICD_CTLR.EnableGrp1. While it is off, pending LPIs are not queued."""
        return self._core.distributor_enabled()

    @distributor_enabled.setter
    def distributor_enabled(self, on: bool) -> None:
        self._core.set_distributor_enabled(on)

    def signal_msi_at(self, doorbell: int, device_id: int, event_id: int, *, valid_device_id: bool = True) -> int:
        """Send one MSI to a doorbell, as KVM_SIGNAL_MSI does: the ITS is found by its address.

        ``valid_device_id``: the flag KVM_MSI_VALID_DEVID. Without it a translation that is not cached raises
        ``OSError(EINVAL)``; one that is cached is taken (the cached path does not look).
        """
        return self._core.signal_msi_at(doorbell, device_id, event_id, valid_device_id)

    def signal_msis(
        self, device_ids: "Buffer | Iterable[int]", event_ids: "Buffer | Iterable[int]", *, its: int = 0
    ) -> int:
        """Send many MSIs in one call, in order, with the GIL released; returns how many were taken.

        Both of the same length, shape ``(n,)``: a NumPy array or any buffer of unsigned 32-bit integers is used as it
        is; anything else is converted.
        """
        return self._core.signal_msis(_uint32("device_ids", device_ids), _uint32("event_ids", event_ids), its)

    def write_config(self, intid: int, byte: int) -> None:
        """Write an LPI's byte of the configuration table: priority in bits 7:2, enable in bit 0.

        It takes effect at MAPTI, INV or INVALL (Arm GICv3, "LPI Configuration tables").
        """
        self._core.write_config(intid, byte)

    def read_config(self, intid: int) -> int:
        """Read an LPI's byte of the configuration table."""
        return self._core.read_config(intid)

    def write_pending_table(self, vcpu: int, intid: int, pending: bool) -> None:
        """Set an LPI's bit in a vCPU's pending table: read when the LPIs are enabled and when the LPI is mapped."""
        self._core.write_pending_table(vcpu, intid, pending)

    def read_pending_table(self, vcpu: int, intid: int) -> bool:
        """Read an LPI's bit in a vCPU's pending table; current only after :meth:`save_pending_tables`."""
        return self._core.read_pending_table(vcpu, intid)

    def save_pending_tables(self) -> None:
        """Write the pending state to the tables (KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES). vCPUs should be stopped."""
        self._core.save_pending_tables()

    def mmio_read(self, address: int, size: int) -> int:
        """What a CPU reads from the frames of the ITSes and redistributors, ``size`` bytes (1, 2, 4, 8).

        Zero where none of them is. Needs guest memory.
        """
        return _needed(self._frames).read(address, size)

    def mmio_write(self, address: int, size: int, value: int) -> None:
        """What a CPU writes to the frames of the ITSes and redistributors; ignored where none of them is.

        Needs guest memory. A device's MSI is no CPU's write: ``vm.its[n].frame.translater`` takes it.
        """
        _needed(self._frames).write(address, size, value)

    @property
    def kvm_device(self) -> KvmDevice:
        """Its state by KVM's groups and attributes (``KVM_DEV_TYPE_ARM_VGIC_V3``), for a VM with guest memory."""
        return VgicDevice(self, _needed(self._frames))

    def save(self) -> SavedState:
        """Save the interrupt controller for a migration: tables and pending LPIs to guest memory, registers returned.

        vCPUs and senders must be stopped. Needs guest memory. Raises :class:`vgic.TableError` if a table's place is
        not in guest memory, and then writes none of that ITS's tables.
        """
        frames = _needed(self._frames)
        for frame in frames.its:
            frame.save_tables()
        try:
            self.save_pending_tables()
        except OSError as error:
            raise TableError(error.errno, "a pending table is not in guest memory (GICR_PENDBASER)") from None
        return save_frames(self.distributor_enabled, frames)

    def restore(self, state: SavedState) -> None:
        """Restore what :meth:`save` saved, here or in another VM, of this design or another: registers and tables.

        The guest memory must be the saved one, the VM as built: as many vCPUs and ITSes, nothing enabled. Raises
        ``ValueError`` for another shape, and :class:`vgic.TableError` for wrong content or a wrong order; then the
        ITSes are as after reset, no LPIs are enabled, and the redistributors' registers and the pending tables are as
        before.
        """
        restore_frames(state, _needed(self._frames))
        self.distributor_enabled = state.distributor_enabled

    def lpi(self, intid: int) -> "LpiState | None":
        """State of one mapped LPI, or None."""
        return self._core.lpi(intid)

    def lpis(self) -> "list[LpiState]":
        """State of every LPI that is mapped or still queued, by INTID."""
        return self._core.lpis()

    @property
    def cached_translations(self) -> int:
        """Translations that the cache holds now."""
        return self._core.cached_translations()

    def counts(self) -> "Counts":
        """Counters since the VM was built.

        At rest, ``sent == delivered + coalesced + dropped + pending - pending_loaded``.
        """
        return self._core.counts()

"""The register frame of an ITS: what a guest writes and reads, and what a VMM saves.

Rules: Arm IHI 0069, 12.19 "The ITS register descriptions", and KVM's choices where that leaves one (``vgic-its.c``).

An ITS has two pages of 64 KiB. The *control page* holds the registers below, the *translation page* only
GITS_TRANSLATER, which devices write. There are two views of the control page: the guest's (:meth:`ItsFrame.read`,
:meth:`ItsFrame.write`), in which nothing raises, and the VMM's (:meth:`ItsFrame.get`, :meth:`ItsFrame.set`: KVM's
device attributes), in which GITS_CREADR and GITS_IIDR can be written and errors are told.

Commands are executed within the write of GITS_CWRITER (or GITS_CTLR) that makes them visible, as in KVM. A frame's
registers have one lock; sends do not take it.
"""

import errno
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vgic._core import CommandError
from vgic.arguments import integer
from vgic.frame_lock import FrameLock
from vgic.its.commands import COMMAND_SIZE, ItsCommand, decode, operands_of
from vgic.its.saving import restore_tables, save_tables
from vgic.registers import GITS, INDIRECT, VALID, Register, access, find, mask, merge, part, read_only, sanitise

if TYPE_CHECKING:
    from vgic import _core
    from vgic._core import GuestMemory

__all__ = ["CommandFault", "ItsFrame"]

_ENABLED = 1
_QUIESCENT = 1 << 31
_LOW = (1 << 32) - 1
_WHOLE = (1 << 64) - 1
_OFFSET = mask(19, 5)

#: Product 'K', implementer Arm; bits 15:12 are the revision of the table format.
_IIDR = 0x4B << 24 | 0x43B
#: PLPIs; ITT entries of 8 bytes; 16 EventID and DeviceID bits; collections in memory; RDbase is a number (PTA = 0).
_TYPER = 0x1_EF71
#: GITS_PIDR and GITS_CIDR: a GICv3 of Arm.
_ID_REGISTERS = {
    0xFFD0: 0x40,
    0xFFE0: 0x92,
    0xFFE4: 0xB4,
    0xFFE8: 0x3B,
    0xFFF0: 0x0D,
    0xFFF4: 0xF0,
    0xFFF8: 0x05,
    0xFFFC: 0xB1,
}
#: Of GITS_BASER0 (devices, type 1) and GITS_BASER1 (collections, type 4): read-only fields, entries of 8 bytes.
_TABLES = (1 << 56 | 7 << 48, 4 << 56 | 7 << 48)
_BASER_READ_ONLY = mask(58, 56) | mask(52, 48)
_BASER_RESET = 3 << 59 | 1 << 10 | 2 << 8

_TRANSLATION_PAGE = 0x1_0000


class CommandFault(NamedTuple):
    """A command that had no effect, or not all of it. The guest is not told: GITS_CREADR moves on, as in KVM."""

    #: Where it was in the command queue, in bytes.
    offset: int
    #: Its 32 bytes; None if the queue could not be read there.
    entry: bytes | None
    #: The architecture's error code (Arm IHI 0069, 5.3); 0 if it has none for this.
    code: int
    #: The code's name (``E_ITS_MAPD_DEVICE_OOR``), or ``UNKNOWN_COMMAND``, ``EFAULT``, ``EBUSY``, ``ENOMEM``.
    name: str

    @property
    def command(self) -> ItsCommand | None:
        """The command, decoded; None if the queue could not be read there."""
        return None if self.entry is None else decode(self.entry)

    def __str__(self) -> str:
        return f"command at {self.offset:#x}: {self.command or 'unreadable'}: {self.name}"


class ItsFrame:
    """The registers of one ITS; take it from ``vm.its[n].frame``.

    >>> import vgic
    >>> ram = bytearray(1 << 20)
    >>> vm = vgic.Vm(vcpus=1, memory=vgic.GuestMemory({0x4000_0000: ram}))
    >>> frame = vm.its[0].frame
    >>> hex(frame.read(vgic.GITS.TYPER, 8))
    '0x1ef71'
    """

    #: Bytes of the frame: the control page and the translation page.
    SIZE = 0x2_0000

    def __init__(self, vm: "_core.Vm", index: int, memory: "GuestMemory") -> None:
        """Made by :class:`vgic.Vm`."""
        self._vm = vm
        self._index = index
        self._memory = memory
        self._lock = FrameLock(vm)
        self._cbaser = 0
        self._cwriter = 0
        self._creadr = 0
        for table, baser in enumerate(_TABLES):
            vm.set_baser(index, table, baser | _BASER_RESET)
        #: Guest physical address of the frame.
        self.base = vm.its_base(index)
        #: The translation page as a device sees it: ``translater.write(0x40, event_id, device_id)``.
        self.translater = vm.translater(index)
        #: Called with a :class:`CommandFault` for each command that fails, after GITS_CREADR has moved on.
        self.on_error: Callable[[CommandFault], object] | None = None
        #: Commands that failed, by the name of the error.
        self.errors: Counter[str] = Counter()
        self._commands_per_write: int | None = None
        self._registers = (
            Register(GITS.CTLR, 4, (4,), self._read_ctlr, self._write_ctlr),
            Register(GITS.IIDR, 4, (4,), self._read_iidr, read_only),
            Register(GITS.TYPER, 8, (4, 8), lambda offset, size: part(_TYPER, offset, size), read_only),
            Register(GITS.CBASER, 8, (4, 8), lambda offset, size: part(self._cbaser, offset, size), self._write_cbaser),
            Register(
                GITS.CWRITER, 8, (4, 8), lambda offset, size: part(self._cwriter, offset, size), self._write_cwriter
            ),
            Register(GITS.CREADR, 8, (4, 8), lambda offset, size: part(self._creadr, offset, size), read_only),
            Register(GITS.BASER0, 64, (4, 8), self._read_baser, self._write_baser),
            Register(0xFFD0, 48, (4,), lambda offset, size: _ID_REGISTERS.get(0xFFD0 + offset, 0), read_only),
        )
        self._vmm_writes: dict[int, Callable[[int], None]] = {GITS.IIDR: self._set_iidr, GITS.CREADR: self._set_creadr}
        self._handlers: dict[str, Callable[..., None]] = {
            "MOVI": partial(vm.movi, index),
            "INT": partial(vm.int, index),
            "CLEAR": partial(vm.clear, index),
            "SYNC": partial(vm.sync, index),
            "MAPD": self._mapd,
            "MAPC": self._mapc,
            "MAPTI": partial(vm.mapti, index),
            "MAPI": partial(vm.mapi, index),
            "INV": partial(vm.inv, index),
            "INVALL": partial(vm.invall, index),
            "MOVALL": partial(vm.movall, index),
            "DISCARD": partial(vm.discard, index, guest=True),
        }

    def __repr__(self) -> str:
        state = "enabled" if self._vm.its_enabled(self._index) else "disabled"
        return (
            f"<ItsFrame {self._index} at {self.base:#x}: {state}, creadr {self._creadr:#x}, cwriter {self._cwriter:#x}>"
        )

    @property
    def commands_per_write(self) -> int | None:
        """Most commands that one register write executes (0 or more), or None: all.

        The others wait for the next write that starts the queue, or for :meth:`process`; a guest sees an ITS that takes
        its time.
        """
        return self._commands_per_write

    @commands_per_write.setter
    def commands_per_write(self, most: int | None) -> None:
        self._commands_per_write = None if most is None else integer("commands_per_write", most, 0, _WHOLE)

    # The guest's view.

    def read(self, offset: int, size: int) -> int:
        """What the guest reads: ``size`` bytes (1, 2, 4, 8) at ``offset``; zero where no register allows it."""
        register = access(self._registers, integer("offset", offset), integer("size", size))
        if register is None:
            return 0
        with self._lock:
            return register.read(offset - register.offset, size)

    def write(self, offset: int, size: int, value: int, *, device_id: int | None = None) -> None:
        """What the guest writes: ``size`` bytes (1, 2, 4, 8) at ``offset``; ignored where no register allows it.

        A write to GITS_TRANSLATER (0x10040) is an MSI of the device ``device_id``, which the bus must say. Without one
        it does nothing: KVM ignores a CPU's own write, too. Of ``value`` the low ``size`` bytes count. Whatever the
        guest does raises nothing but what :attr:`on_error` raises.
        """
        offset, size, value = integer("offset", offset), integer("size", size), integer("value", value)
        if device_id is not None:
            integer("device_id", device_id, 0, _LOW)
        if offset >= _TRANSLATION_PAGE:
            if device_id is not None and size in (2, 4):
                self.translater.write(offset - _TRANSLATION_PAGE, part(value, 0, size), device_id)
            return
        register = access(self._registers, offset, size)
        if register is None:
            return
        with self._lock:
            register.write(offset - register.offset, size, part(value, 0, size))

    # The VMM's view.

    def get(self, offset: int) -> int:
        """Read a whole register, as ``KVM_DEV_ARM_VGIC_GRP_ITS_REGS`` does.

        Raises ``OSError``: EINVAL (misaligned: 8 bytes, but 4 below 0x8 and from 0xffd0 on), ENXIO (no register there).
        """
        register = self._vmm_register(offset)
        with self._lock:
            return register.read(offset - register.offset, register.sizes[-1])

    def set(self, offset: int, value: int) -> None:
        """Write a whole register, as ``KVM_DEV_ARM_VGIC_GRP_ITS_REGS`` does. Registers that are read-only stay.

        Raises ``OSError``: EINVAL and ENXIO as :meth:`get`; EINVAL also for GITS_CREADR beyond the queue and for an
        unknown table format in GITS_IIDR; EBUSY for GITS_CREADR of an enabled ITS.

        A VMM restores GITS_CBASER first (it resets the other two), then GITS_CREADR, GITS_CWRITER and GITS_BASER<n>,
        then the tables, and GITS_CTLR last (``arm-vgic-its.rst``, "ITS Restore Sequence"): :meth:`vgic.Vm.restore`.
        """
        register = self._vmm_register(offset)
        size = register.sizes[-1]
        value = part(integer("value", value, 0, _WHOLE), 0, size)
        with self._lock:
            other = self._vmm_writes.get(register.offset)
            if other is not None:
                other(value)
            else:
                register.write(offset - register.offset, size, value)

    def _vmm_register(self, offset: int) -> Register:
        integer("offset", offset)
        alignment = 4 if offset < 0x8 or offset >= 0xFFD0 else 8
        if offset % alignment:
            raise OSError(errno.EINVAL, f"offset {offset:#x} of an ITS register is not a multiple of {alignment}")
        register = find(self._registers, offset)
        if register is None:
            raise OSError(errno.ENXIO, f"an ITS has no register at {offset:#x}")
        return register

    def save_tables(self) -> None:
        """Write the devices, events and collections to the tables in guest memory (``KVM_DEV_ARM_ITS_SAVE_TABLES``).

        A table whose GITS_BASER<n> is not valid is left out. Raises :class:`vgic.TableError`, an ``OSError`` that names
        the entry, if its address is not in guest memory (EFAULT); then nothing has been written. A device that the
        table has no entry for any more, since the guest took its page away, is left out or, in designs before Linux
        7.3, fails the save (EINVAL): axis ``lost-device``.
        """
        with self._lock:
            save_tables(self._vm, self._index, self._memory, *map(self._baser, range(len(_TABLES))))

    def restore_tables(self) -> None:
        """Rebuild devices, events and collections from guest memory (``KVM_DEV_ARM_ITS_RESTORE_TABLES``).

        The registers must have been restored, except GITS_CTLR. Raises :class:`vgic.TableError`, an ``OSError`` whose
        message names the entry and whose errno is KVM's: EINVAL (bad entry), EEXIST (a collection twice), EFAULT (not
        in guest memory). On an error the ITS has no devices and no collections; but what was pending of the events
        before the bad one is queued, as in KVM, and no longer in the pending table. EBUSY is not KVM's: the ITS has
        devices or collections, and keeps them.
        """
        with self._lock:
            restore_tables(self._vm, self._index, self._memory, *map(self._baser, range(len(_TABLES))))

    def reset(self) -> None:
        """Forget everything but the addresses (``KVM_DEV_ARM_ITS_CTRL_RESET``): disabled, no tables, an empty queue."""
        with self._lock:
            self._vm.set_its_enabled(self._index, False)
            self._cbaser = self._creadr = self._cwriter = 0
            for table in range(len(_TABLES)):
                self._vm.set_baser(self._index, table, self._baser(table) & ~VALID)
            self._vm.free_tables(self._index, True, True)

    # Registers.

    def _read_ctlr(self, offset: int, size: int) -> int:
        enabled = _ENABLED if self._vm.its_enabled(self._index) else 0
        return enabled | (_QUIESCENT if self._creadr == self._cwriter else 0)

    def _write_ctlr(self, offset: int, size: int, value: int) -> None:
        was_enabled = self._vm.its_enabled(self._index)
        enable = bool(value & _ENABLED)
        # To enable an ITS without its tables is unpredictable: refused.
        if enable and not was_enabled and not (self._cbaser & self._baser(0) & self._baser(1) & VALID):
            return
        self._vm.set_its_enabled(self._index, enable)
        self.process(self._commands_per_write)

    def _read_iidr(self, offset: int, size: int) -> int:
        return _IIDR

    def _set_iidr(self, value: int) -> None:
        if value >> 12 & 0xF:
            raise OSError(errno.EINVAL, f"ITS table format {value >> 12 & 0xF} is unknown; only 0 exists")

    def _write_cbaser(self, offset: int, size: int, value: int) -> None:
        if self._vm.its_enabled(self._index):
            return
        cbaser = merge(self._cbaser, offset, size, value)
        # The queue begins at a multiple of 64 KiB.
        self._cbaser = sanitise(cbaser, inner=59, outer=53, shareability=10) & ~mask(15, 12)
        self._creadr = self._cwriter = 0

    @property
    def _queue_size(self) -> int:
        return ((self._cbaser & 0xFF) + 1) << 12

    def _write_cwriter(self, offset: int, size: int, value: int) -> None:
        cwriter = merge(self._cwriter, offset, size, value) & _OFFSET
        if cwriter >= self._queue_size:
            return
        self._cwriter = cwriter
        self.process(self._commands_per_write)

    def _set_creadr(self, value: int) -> None:
        if self._vm.its_enabled(self._index):
            raise OSError(errno.EBUSY, "GITS_CREADR cannot be set while the ITS is enabled: restore GITS_CTLR last")
        creadr = value & _OFFSET
        if creadr >= self._queue_size:
            raise OSError(errno.EINVAL, f"GITS_CREADR {creadr:#x} is beyond the queue: restore GITS_CBASER before")
        self._creadr = creadr

    def _read_baser(self, offset: int, size: int) -> int:
        index = offset // 8
        return part(self._baser(index), offset % 8, size) if index < len(_TABLES) else 0

    def _write_baser(self, offset: int, size: int, value: int) -> None:
        index = offset // 8
        if index >= len(_TABLES) or self._vm.its_enabled(self._index):
            return
        baser = merge(self._baser(index), offset % 8, size, value) & ~_BASER_READ_ONLY | _TABLES[index]
        if index == 1:  # The collection table is flat.
            baser &= ~INDIRECT
        # Pages of 64 KiB only.
        baser = sanitise(baser, inner=59, outer=53, shareability=10) & ~mask(9, 8) | 2 << 8
        self._vm.write_baser(self._index, index, baser)

    def _baser(self, table: int) -> int:
        """GITS_BASER<n>: the device table's, or the collection table's. The core has it."""
        return self._vm.baser(self._index, table)

    # The command queue.

    def process(self, limit: int | None = None) -> int:
        """Execute commands that wait in the queue, at most ``limit`` (0 or more); returns how many.

        A disabled ITS executes none.

        A guest need not ask for it: the write of GITS_CWRITER does (see :attr:`commands_per_write`).
        """
        if limit is not None:
            integer("limit", limit, 0, _WHOLE)
        done = 0
        with self._lock:
            queue = self._cbaser & mask(51, 12)
            size = self._queue_size
            while self._creadr != self._cwriter and done != limit and self._vm.its_enabled(self._index):
                offset = self._creadr
                fault = self._execute(offset, queue + offset)
                # As in KVM, also past a command that failed or that could not be read.
                self._creadr = (offset + COMMAND_SIZE) % size
                done += 1
                if fault is not None:
                    self.errors[fault.name] += 1
                    if self.on_error is not None:
                        self.on_error(fault)
        return done

    def _execute(self, offset: int, address: int) -> CommandFault | None:
        try:
            entry = self._memory.read(address, COMMAND_SIZE)
        except OSError:
            return CommandFault(offset, None, 0, "EFAULT")
        command = operands_of(entry)
        if command is None:
            return CommandFault(offset, entry, 0, "UNKNOWN_COMMAND")
        name, operands = command
        try:
            self._handlers[name](*operands)
        except CommandError as error:
            return CommandFault(offset, entry, error.code, error.name)
        except OSError as error:
            return CommandFault(offset, entry, 0, errno.errorcode[error.errno or errno.EIO])
        except MemoryError:
            return CommandFault(offset, entry, 0, "ENOMEM")
        return None

    # Commands that take more than the core's function of that name.

    def _mapd(self, device_id: int, event_bits: int, itt_address: int, valid: int) -> None:
        self._vm.mapd(self._index, device_id, event_bits, itt_address, bool(valid), guest=True)

    def _mapc(self, collection_id: int, vcpu: int, valid: int) -> None:
        self._vm.mapc(self._index, collection_id, vcpu, bool(valid))

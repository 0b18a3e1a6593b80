"""The register frame of a redistributor, as far as LPIs go (Arm IHI 0069, 12.10 "The GIC Redistributor register map").

A redistributor has two pages of 64 KiB: RD_base, which is here, and SGI_base, which reads as zero: SGIs and PPIs are
the emulator's own business. GICR_PROPBASER is one register for all vCPUs (GICR_TYPER.CommonLPIAff = 0), as in KVM.
"""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from vgic.arguments import integer
from vgic.frame_lock import FrameLock
from vgic.registers import GICR, Register, access, find, mask, merge, part, read_only, sanitise

if TYPE_CHECKING:
    from vgic import _core

__all__ = ["RedistributorFrame"]

_ENABLE_LPIS = 1
#: GICR_INVLPIR and its companions exist (IR), and EnableLPIs may be cleared again (CES).
_CTLR_CAPABILITIES = 1 << 2 | 1 << 1
_IIDR = 0x4B << 24 | 0x43B
_PTZ = 1 << 62
_ATTRIBUTES_RESET = 3 << 7 | 1 << 10
_PROPBASER_RES0 = mask(63, 59) | mask(55, 52) | mask(6, 5)
_PENDBASER_RES0 = mask(63, 63) | mask(61, 59) | mask(55, 52) | mask(15, 12) | mask(6, 0)
_FIRST_LPI = 8192


class RedistributorFrame:
    """The LPI registers of one vCPU; take it from ``vm.vcpu[n].frame``.

    The guest's view is :meth:`read` and :meth:`write`, in which nothing raises; the VMM's is :meth:`get` and
    :meth:`set`.
    """

    #: Bytes of the frame: RD_base and SGI_base.
    SIZE = 0x2_0000

    def __init__(
        self, vm: "_core.Vm", vcpu: int, lock: FrameLock, base: int, affinity: int, is_last: Callable[[], bool]
    ) -> None:
        """Made by :class:`vgic.Vm`; all redistributors of a VM share a lock, and GICR_PROPBASER."""
        self._vm = vm
        self._vcpu = vcpu
        self._lock = lock
        self._affinity = affinity
        self._is_last = is_last
        self._busy = 0
        vm.set_pendbaser(vcpu, _ATTRIBUTES_RESET)
        #: Guest physical address of the frame.
        self.base = base
        self._registers = (
            Register(GICR.CTLR, 4, (4,), self._read_ctlr, self._write_ctlr),
            Register(GICR.IIDR, 4, (4,), lambda offset, size: _IIDR, read_only),
            Register(GICR.TYPER, 8, (4, 8), self._read_typer, read_only),
            Register(GICR.STATUSR, 4, (4,), lambda offset, size: 0, read_only),  # GICR_STATUSR: optional, no error
            Register(GICR.WAKER, 4, (4,), lambda offset, size: 0, read_only),  # GICR_WAKER: always awake
            Register(GICR.PROPBASER, 8, (4, 8), self._read_propbaser, self._write_propbaser),
            Register(GICR.PENDBASER, 8, (4, 8), self._read_pendbaser, self._write_pendbaser),
            Register(GICR.INVLPIR, 8, (4, 8), lambda offset, size: 0, self._write_invlpir),
            Register(GICR.INVALLR, 8, (4, 8), lambda offset, size: 0, self._write_invallr),
            Register(GICR.SYNCR, 4, (4,), lambda offset, size: int(self._busy > 0), read_only),  # GICR_SYNCR
            Register(0xFFD0, 48, (4,), lambda offset, size: 0x3B if 0xFFD0 + offset == GICR.PIDR2 else 0, read_only),
        )

    def __repr__(self) -> str:
        state = "enabled" if self._vm.lpis_enabled(self._vcpu) else "disabled"
        return f"<RedistributorFrame {self._vcpu} at {self.base:#x}: LPIs {state}>"

    def read(self, offset: int, size: int) -> int:
        """What the guest reads: ``size`` bytes (1, 2, 4, 8) at ``offset``; zero where no register allows it."""
        register = access(self._registers, integer("offset", offset), integer("size", size))
        if register is None:
            return 0
        return register.read(offset - register.offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """What the guest writes: ``size`` bytes (1, 2, 4, 8) at ``offset``; ignored where no register allows it.

        Of ``value`` the low ``size`` bytes count.
        """
        value = integer("value", value)
        register = access(self._registers, integer("offset", offset), integer("size", size))
        if register is None:
            return
        register.write(offset - register.offset, size, part(value, 0, size))

    def get(self, offset: int) -> int:
        """Read a whole register for the VMM.

        Raises ``OSError``: EINVAL (not the first byte of a register), ENXIO (no register there).
        """
        register = self._vmm_register(offset)
        return register.read(0, register.sizes[-1])

    def set(self, offset: int, value: int) -> None:
        """Write a whole register for the VMM; raises as :meth:`get`. Restore GICR_CTLR after the other two."""
        register = self._vmm_register(offset)
        value = integer("value", value, 0, (1 << 64) - 1)
        register.write(0, register.sizes[-1], part(value, 0, register.sizes[-1]))

    def get_word(self, offset: int) -> int:
        """Read 32 bits for the VMM, as ``KVM_DEV_ARM_VGIC_GRP_REDIST_REGS`` does: a register of 64 bits in halves.

        Raises ``OSError``: ENXIO (no register there, or misaligned).
        """
        register = self._word(offset)
        return register.read(offset - register.offset, 4)

    def set_word(self, offset: int, value: int) -> None:
        """Write 32 bits for the VMM; raises as :meth:`get_word`. What a guest cannot write stays as it is."""
        register = self._word(offset)
        register.write(offset - register.offset, 4, integer("value", value, 0, (1 << 32) - 1))

    def _word(self, offset: int) -> Register:
        register = access(self._registers, integer("offset", offset), 4)
        if register is None:
            raise OSError(errno.ENXIO, f"a redistributor has no LPI register of 32 bits at {offset:#x}")
        return register

    def reset(self) -> None:
        """Forget everything: LPIs are disabled, what is queued is dropped, registers are as in a new VM.

        That of GICR_PROPBASER is that of all vCPUs: reset them all. Raises nothing.
        """
        self._vm.set_lpis_enabled(self._vcpu, False)
        self._vm.set_active_priorities(self._vcpu, 0)
        with self._lock:
            self._vm.set_pendbaser(self._vcpu, _ATTRIBUTES_RESET)
            self._vm.set_propbaser(_ATTRIBUTES_RESET)

    def _vmm_register(self, offset: int) -> Register:
        register = find(self._registers, integer("offset", offset))
        if register is None:
            raise OSError(errno.ENXIO, f"a redistributor has no LPI register at {offset:#x}")
        if offset != register.offset:
            raise OSError(errno.EINVAL, f"offset {offset:#x} is not the first byte of a register")
        return register

    def _read_typer(self, offset: int, size: int) -> int:
        # Affinity 63:32, processor number 23:8, Last 4, PLPIS 0.
        typer = self._affinity << 32 | self._vcpu << 8 | self._is_last() << 4 | (self._vm.its_count > 0)
        return part(typer, offset, size)

    def _read_ctlr(self, offset: int, size: int) -> int:
        return self._vm.redistributor_ctlr(self._vcpu) | _CTLR_CAPABILITIES

    def _write_ctlr(self, offset: int, size: int, value: int) -> None:
        if self._vm.its_count == 0:
            return
        try:
            # Without the lock: disabling may take long, and others see RWP meanwhile.
            load_pending = not self._vm.pendbaser(self._vcpu) & _PTZ
            self._vm.set_lpis_enabled(self._vcpu, bool(value & _ENABLE_LPIS), load_pending)
        except OSError:
            pass  # The pending table is not in guest memory: LPIs are enabled, with what could be read (as in KVM).

    def _read_propbaser(self, offset: int, size: int) -> int:
        return part(self._vm.propbaser(), offset, size)

    def _write_propbaser(self, offset: int, size: int, value: int) -> None:
        with self._lock:
            if self._vm.lpis_enabled(self._vcpu):
                return
            merged = merge(self._vm.propbaser(), offset, size, value)
            self._vm.set_propbaser(sanitise(merged, inner=7, outer=56, shareability=10) & ~_PROPBASER_RES0)

    def _read_pendbaser(self, offset: int, size: int) -> int:
        # PTZ is write-only.
        return part(self._vm.pendbaser(self._vcpu) & ~_PTZ, offset, size)

    def _write_pendbaser(self, offset: int, size: int, value: int) -> None:
        with self._lock:
            if self._vm.lpis_enabled(self._vcpu):
                return
            merged = merge(self._vm.pendbaser(self._vcpu), offset, size, value)
            self._vm.set_pendbaser(self._vcpu, sanitise(merged, inner=7, outer=56, shareability=10) & ~_PENDBASER_RES0)

    def _write_invlpir(self, offset: int, size: int, value: int) -> None:
        # The upper half is for virtual LPIs.
        intid = value & 0xFFFF_FFFF
        if offset or not self._vm.lpis_enabled(self._vcpu) or intid < _FIRST_LPI:
            return
        self._invalidate(lambda: self._vm.reload_lpi_config(intid))

    def _write_invallr(self, offset: int, size: int, value: int) -> None:
        if offset or not self._vm.lpis_enabled(self._vcpu):
            return
        self._invalidate(lambda: self._vm.reload_lpi_configs(self._vcpu))

    def _invalidate(self, work: Callable[[], None]) -> None:
        """Do it, with GICR_SYNCR.Busy for whoever looks meanwhile."""
        with self._lock:
            self._busy += 1
        try:
            work()
        finally:
            with self._lock:
                self._busy -= 1

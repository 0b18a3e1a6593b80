"""The state of a VM's interrupt controller: what a VMM sends along when it migrates a guest.

The registers are here; devices, events, collections and pending LPIs are in the guest's memory, where a save puts them.
"""

import errno
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vgic.errors import TableError
from vgic.registers import GICR, GITS, mask

if TYPE_CHECKING:
    from vgic.vm.frames import Frames

__all__ = ["SavedState", "restore_frames", "save_frames"]

_SCHEMA = 1
#: In the order of restoring; GITS_CTLR comes after the tables.
_ITS = {
    f"GITS_{register.name}": register
    for register in (GITS.IIDR, GITS.CBASER, GITS.CREADR, GITS.CWRITER, GITS.BASER0, GITS.BASER1, GITS.CTLR)
}
_REDISTRIBUTOR = {
    f"GICR_{register.name}": register for register in (GICR.TYPER, GICR.PROPBASER, GICR.PENDBASER, GICR.CTLR)
}
#: Of the CPU interface: the priorities of what was acknowledged and not ended.
_ACTIVE = "ICC_AP1R0_EL1"
#: Of GICR_TYPER, what says which vCPU it is: Affinity_Value, Processor_Number, Last.
_WHO = mask(63, 32) | mask(23, 8) | mask(4, 4)
_ENABLED = 1
#: Bytes of a pending table: a bit for each INTID of 16 bits.
_PENDING_TABLE = 1 << 13
#: Characters of an error that are shown.
_MOST_TEXT = 160


@dataclass(frozen=True)
class SavedState:
    """Registers of a VM's frames; made by :meth:`vgic.Vm.save`."""

    #: GICD_CTLR.EnableGrp1.
    distributor_enabled: bool
    #: One for each vCPU, in the order of their redistributors: register -> value, that of the CPU interface among them.
    redistributors: tuple[dict[str, int], ...]
    #: One for each ITS: register -> value.
    its: tuple[dict[str, int], ...]

    def to_json(self) -> str:
        """Return the state as JSON, numbers in hexadecimal."""

        def text(frames: tuple[dict[str, int], ...]) -> list[dict[str, str]]:
            return [{name: f"{value:#x}" for name, value in registers.items()} for registers in frames]

        data = {"schema": _SCHEMA, "distributor_enabled": self.distributor_enabled}
        return json.dumps({**data, "redistributors": text(self.redistributors), "its": text(self.its)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "SavedState":
        """Read what :meth:`to_json` wrote. Raises ``ValueError`` for anything else."""
        try:
            data = json.loads(text)
            if data["schema"] != _SCHEMA:
                raise ValueError(f"schema {data['schema']!r}, expected {_SCHEMA}")
            return cls(
                bool(data["distributor_enabled"]),
                tuple(_registers(frame, (*_REDISTRIBUTOR, _ACTIVE)) for frame in data["redistributors"]),
                tuple(_registers(frame, _ITS) for frame in data["its"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            # One line that can be read, whatever was in the place of a number.
            why = str(error) or type(error).__name__
            why = why if len(why) <= _MOST_TEXT else f"{why[:_MOST_TEXT]}..."
            raise ValueError(f"not a saved state of vgic: {why}") from None


def _registers(frame: Mapping[str, Any], names: Iterable[str]) -> dict[str, int]:
    values = {name: int(frame[name], 16) for name in names}
    for name, value in values.items():
        if not 0 <= value < 1 << 64:
            raise ValueError(f"{name} {value:#x} is out of range")
    return values


def save_frames(distributor_enabled: bool, frames: "Frames") -> SavedState:
    """Read the registers; the tables have been saved."""
    return SavedState(
        distributor_enabled,
        tuple(
            {name: frame.get(offset) for name, offset in _REDISTRIBUTOR.items()}
            | {_ACTIVE: frames.vm.active_priorities(number)}
            for number, frame in frames.redistributors.items()
        ),
        tuple({name: frame.get(offset) for name, offset in _ITS.items()} for frame in frames.its),
    )


def _pending_tables(state: SavedState, frames: "Frames") -> list[tuple[int, bytes]]:
    """Where the pending tables are and what is in them, as far as they are in memory."""
    memory, found = frames.memory, []
    for registers in state.redistributors:
        address = registers["GICR_PENDBASER"] & mask(51, 16)
        if memory.contains(address, _PENDING_TABLE):
            found.append((address, memory.read(address, _PENDING_TABLE)))
    return found


def restore_frames(state: SavedState, frames: "Frames") -> None:
    """Write the registers and rebuild the tables, in the order that KVM's documentation asks for.

    On an error every ITS is as after reset, the redistributors are as before, and so are the pending tables, of which
    those who were restored before the error have taken their bits.
    """
    its, redistributors, numbers = frames.its, list(frames.redistributors.values()), list(frames.redistributors)
    if len(state.redistributors) != len(redistributors) or len(state.its) != len(its):
        raise ValueError(
            f"the state is of {len(state.redistributors)} vCPUs and {len(state.its)} ITSes, "
            f"the VM has {len(redistributors)} and {len(its)}"
        )
    for frame in its:
        if frame.get(_ITS["GITS_CTLR"]) & _ENABLED:
            raise TableError(errno.EBUSY, f"the ITS at {frame.base:#x} is enabled: restore into a VM that has not run")
    for n, redistributor, registers in zip(numbers, redistributors, state.redistributors, strict=True):
        here, there = redistributor.get(GICR.TYPER), registers["GICR_TYPER"]
        if (here ^ there) & _WHO:
            raise ValueError(f"the state is of another topology: vCPU {n} has GICR_TYPER {here:#x}, there {there:#x}")
        if registers[_ACTIVE] >= 1 << 32:
            raise ValueError(f"{_ACTIVE} {registers[_ACTIVE]:#x} of vCPU {n} is out of range")
        if redistributor.get(_REDISTRIBUTOR["GICR_CTLR"]) & _ENABLED:
            raise TableError(errno.EBUSY, f"vCPU {n} has its LPIs enabled: restore into a VM that has not run")
    tables = ("GICR_PROPBASER", "GICR_PENDBASER")
    before = [{name: frame.get(_REDISTRIBUTOR[name]) for name in tables} for frame in redistributors]
    active = [frames.vm.active_priorities(n) for n in numbers]
    pending = _pending_tables(state, frames)
    try:
        for redistributor, registers in zip(redistributors, state.redistributors, strict=True):
            for name in tables:
                redistributor.set(_REDISTRIBUTOR[name], registers[name])
        for redistributor, registers in zip(redistributors, state.redistributors, strict=True):
            redistributor.set(_REDISTRIBUTOR["GICR_CTLR"], registers["GICR_CTLR"])
        for n, registers in zip(numbers, state.redistributors, strict=True):
            frames.vm.set_active_priorities(n, registers[_ACTIVE])
        for frame, registers in zip(its, state.its, strict=True):
            for name, offset in _ITS.items():
                if name != "GITS_CTLR":
                    frame.set(offset, registers[name])
        for frame in its:
            frame.restore_tables()
        for frame, registers in zip(its, state.its, strict=True):
            frame.set(_ITS["GITS_CTLR"], registers["GITS_CTLR"])
    except BaseException:  # Ctrl-C and a lack of memory, too, must leave nothing half restored.
        for frame in its:
            frame.reset()
        for redistributor in redistributors:
            redistributor.set(_REDISTRIBUTOR["GICR_CTLR"], 0)
        for redistributor, registers in zip(redistributors, before, strict=True):
            for name in tables:
                redistributor.set(_REDISTRIBUTOR[name], registers[name])
        for n, levels in zip(numbers, active, strict=True):
            frames.vm.set_active_priorities(n, levels)
        for address, table in pending:
            frames.memory.write(address, table)
        raise

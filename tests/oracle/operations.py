"""What a guest may be asked to do. Operations are values: a list of them is a test case that prints and replays."""

from typing import NamedTuple


class Command(NamedTuple):
    """An ITS command: a function of `commands.py` and its operands (of MAPD, the guest chooses the ITT)."""

    name: str
    operands: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name.upper()} {', '.join(map(hex, self.operands))}"


class Batch(NamedTuple):
    """Commands that the guest makes known with one write of CWRITER."""

    commands: tuple[Command, ...]


class Msi(NamedTuple):
    """A device sends an MSI."""

    device: int
    event: int


class Config(NamedTuple):
    """The guest writes an LPI's configuration byte; if its vCPUs take LPIs, INV follows, or INVALL if ``every``."""

    intid: int
    byte: int
    every: bool = False


class SwitchIts(NamedTuple):
    """GITS_CTLR.Enabled."""

    on: bool


class SwitchLpis(NamedTuple):
    """GICR_CTLR.EnableLPIs."""

    vcpu: int
    on: bool
    ptz: bool = False


class PendingBit(NamedTuple):
    """The guest sets a bit of the pending table of a vCPU whose LPIs are off."""

    vcpu: int
    intid: int


class MoveQueue(NamedTuple):
    """The guest gives the ITS another command queue."""

    slot: int
    pages: int


class Renew(NamedTuple):
    """The guest takes the ITS's tables away and gives it empty ones."""


class Write(NamedTuple):
    """The guest writes a register that is read-only, or may not be written just now."""

    name: str
    value: int


class Inspect(NamedTuple):
    """Compare every register, and the pending tables as a VMM saves them."""


class Migrate(NamedTuple):
    """The VMM saves the guest and restores it into another VM (of QEMU, nothing happens: it is the reference)."""


class Take(NamedTuple):
    """A vCPU acknowledges and ends LPIs ("acknowledge", "eoi": the last one), while devices send MSIs."""

    vcpu: int
    steps: tuple[str | tuple[int, int], ...]


Operation = (
    Batch | Msi | Config | SwitchIts | SwitchLpis | PendingBit | MoveQueue | Renew | Write | Inspect | Migrate | Take
)

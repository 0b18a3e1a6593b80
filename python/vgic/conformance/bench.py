"""A guest of the kit's own: it sets a GIC up as a driver does, and writes down each verb that it uses.

It takes from the ITS what an ITS says of itself: sizes of entries (GITS_TYPER, GITS_BASER<n>), what an RDbase is
(GITS_TYPER.PTA), page sizes. So it drives any ITS that is an ITS.
"""

from collections.abc import Sequence

from vgic.conformance.target import Target, TargetError
from vgic.its.commands import COMMAND_SIZE, encode
from vgic.registers import GICR, GITS, VALID

__all__ = ["DEVICE_TABLE", "FIRST_LPI", "Bench", "Difference"]

FIRST_LPI = 8192
PAGE = 64 << 10
#: GITS_BASER<n>.Type.
DEVICE_TABLE, COLLECTION_TABLE = 1, 4
#: Memory attributes that any ITS takes: inner shareable, read-allocate write-allocate write-back.
_ITS_ATTRIBUTES = 7 << 59 | 1 << 10
_LPI_ATTRIBUTES = 7 << 7 | 1 << 10
_PTZ = 1 << 62
#: 14 bits of INTID: 8192 LPIs.
ID_BITS = 14
#: DeviceIDs of a target are below 64.
_DEVICE_BITS = 6
ENABLED = 1
#: Configuration byte: priority 0xa0, enabled.
CONFIGURATION = 0xA1
#: How often GITS_CREADR is looked at until it must have arrived.
_PATIENCE = 1000
#: LPIs that a vCPU may take at once.
_MOST_TAKEN = 64


class Difference(AssertionError):
    """The target does not do what the architecture says."""

    def __init__(self, what: str, wanted: object, seen: object) -> None:
        """``what``: was looked at."""
        super().__init__(f"{what}: {seen} instead of {wanted}")
        self.what, self.wanted, self.seen = what, str(wanted), str(seen)


def shown(value: object) -> str:
    """A value, as reports show it: LPIs in decimal, registers in hexadecimal."""
    return "nothing" if value is None or value == [] else str(value)


class Bench:
    """One target, from reset on."""

    def __init__(self, target: Target) -> None:
        """Reset the target."""
        self.target = target
        #: The verbs that were used, a line each.
        self.lines: list[str] = ["reset"]
        target.reset()
        ram = target.places.ram
        self.configuration = ram
        self.pending_tables = [ram + PAGE * (1 + vcpu) for vcpu in range(target.vcpus)]
        self._next = self.pending_tables[-1] + PAGE
        self.queue = self._memory(PAGE)
        self.tables: dict[int, int] = {}
        self._rdbases: dict[int, int] = {}
        self.tail = 0
        self.queue_size = 4096

    # Verbs, written down.

    def read(self, address: int, size: int) -> int:
        """Read a register."""
        value = self.target.read(address, size)
        self.lines.append(f"read {address:#x} {size} -> {value:#x}")
        return value

    def write(self, address: int, size: int, value: int) -> None:
        """Write a register."""
        self.lines.append(f"write {address:#x} {size} {value:#x}")
        self.target.write(address, size, value)

    def store(self, address: int, data: bytes) -> None:
        """Write RAM."""
        self.lines.append(f"store {address:#x} {_hex(data)}")
        self.target.store(address, data)

    def load(self, address: int, size: int) -> bytes:
        """Read RAM."""
        data = self.target.load(address, size)
        self.lines.append(f"load {address:#x} {size} -> {_hex(data)}")
        return data

    def msi(self, device: int, event_id: int) -> None:
        """The device with this place in :attr:`Target.devices` sends."""
        self.lines.append(f"msi {self.device(device):#x} {event_id}")
        self.target.msi(self.device(device), event_id)

    def settle(self) -> None:
        """Let it become visible."""
        self.lines.append("settle")
        self.target.settle()

    def pending(self, vcpu: int) -> int | None:
        """The LPI that a vCPU would take."""
        self.settle()
        intid = self.target.pending(vcpu)
        self.lines.append(f"pending {vcpu} -> {shown(intid)}")
        return intid

    def acknowledge(self, vcpu: int) -> int | None:
        """The LPI that a vCPU takes."""
        intid = self.target.acknowledge(vcpu)
        self.lines.append(f"acknowledge {vcpu} -> {shown(intid)}")
        return intid

    def end(self, vcpu: int, intid: int) -> None:
        """End it."""
        self.lines.append(f"end {vcpu} {intid}")
        self.target.end(vcpu, intid)

    def take(self, vcpu: int) -> list[int]:
        """Take and end LPIs until there are none: what was taken, in that order."""
        self.settle()
        taken: list[int] = []
        while len(taken) < _MOST_TAKEN and (intid := self.acknowledge(vcpu)) is not None:
            taken.append(intid)
            self.end(vcpu, intid)
        return taken

    def expect(self, what: str, wanted: object, seen: object) -> None:
        """Raise :class:`Difference` if these are not the same."""
        if wanted != seen:
            raise Difference(what, shown(wanted), shown(seen))

    def expect_taken(self, what: str, wanted: Sequence[Sequence[int]]) -> None:
        """What each of the first vCPUs takes; the others nothing."""
        for vcpu in range(self.target.vcpus):
            self.expect(f"{what}: vCPU {vcpu} takes", list(wanted[vcpu]) if vcpu < len(wanted) else [], self.take(vcpu))

    # Registers by name.

    def its(self, register: int) -> int:
        """Read a register of the ITS."""
        return self.read(self.target.places.gits + register, 4 if register in (GITS.CTLR, GITS.IIDR, GITS.PIDR2) else 8)

    def set_its(self, register: int, value: int) -> None:
        """Write a register of the ITS."""
        self.write(self.target.places.gits + register, 4 if register == GITS.CTLR else 8, value)

    def redistributor(self, vcpu: int, register: int) -> int:
        """Read a register of a redistributor."""
        size = 4 if register in (GICR.CTLR, GICR.WAKER, GICR.IIDR, GICR.PIDR2) else 8
        return self.read(self._rd_base(vcpu) + register, size)

    def set_redistributor(self, vcpu: int, register: int, value: int) -> None:
        """Write a register of a redistributor."""
        self.write(self._rd_base(vcpu) + register, 4 if register in (GICR.CTLR, GICR.WAKER) else 8, value)

    def _rd_base(self, vcpu: int) -> int:
        return self.target.places.gicr + vcpu * self.target.places.gicr_stride

    def device(self, number: int) -> int:
        """DeviceID of the device with this place in :attr:`Target.devices`; others are as they are."""
        return self.target.devices[number] if number < len(self.target.devices) else number

    def rdbase(self, vcpu: int) -> int:
        """How a command names a vCPU: by number, or by address in pages of 64 KiB (GITS_TYPER.PTA)."""
        if vcpu not in self._rdbases:
            by_address = self.its(GITS.TYPER) >> 19 & 1
            number = self.redistributor(vcpu, GICR.TYPER) >> 8 & 0xFFFF
            self._rdbases[vcpu] = self._rd_base(vcpu) >> 16 if by_address else number
        return self._rdbases[vcpu]

    # Setting up.

    def _memory(self, size: int, align: int = PAGE) -> int:
        """Memory that nothing else uses; raises :class:`TargetError` if the target has not as much."""
        address = -(-self._next // align) * align
        self._next = address + size
        if self._next > self.target.places.ram + self.target.places.ram_size:
            raise TargetError(f"{self.target.places.ram_size} bytes of RAM are too few")
        return address

    def boot(self, lpis: Sequence[int] | None = None) -> "Bench":
        """Everything on, as a driver leaves it; ``lpis``: the vCPUs whose LPIs are enabled (all).

        Raises :class:`TargetError` if the ITS has fewer ids than the cases need.
        """
        typer = self.its(GITS.TYPER)
        if (typer >> 8 & 0x1F) + 1 < ID_BITS or (typer >> 13 & 0x1F) + 1 < _DEVICE_BITS:
            raise TargetError(f"GITS_TYPER {typer:#x}: {ID_BITS} EventID and {_DEVICE_BITS} DeviceID bits are needed")
        self.write(self.target.places.gicd, 4, 1 << 4 | 1 << 1)  # GICD_CTLR: ARE, group 1
        self.store(self.configuration, bytes([CONFIGURATION]) * ((1 << ID_BITS) - FIRST_LPI))
        for vcpu in range(self.target.vcpus):
            self.set_redistributor(vcpu, GICR.WAKER, 0)
            self.set_redistributor(vcpu, GICR.PROPBASER, self.configuration | _LPI_ATTRIBUTES | ID_BITS - 1)
            self.set_pendbaser(vcpu)
            if lpis is None or vcpu in lpis:
                self.enable_lpis(vcpu)
        self.set_tables()
        self.set_queue()
        self.set_its(GITS.CTLR, ENABLED)
        return self

    def set_pendbaser(self, vcpu: int, *, zero: bool = True) -> None:
        """Tell the redistributor of its pending table; ``zero``: that it is empty (PTZ)."""
        table = self.pending_tables[vcpu]
        self.set_redistributor(vcpu, GICR.PENDBASER, table | _LPI_ATTRIBUTES | (_PTZ if zero else 0))

    def enable_lpis(self, vcpu: int, on: bool = True) -> None:
        """GICR_CTLR.EnableLPIs."""
        self.set_redistributor(vcpu, GICR.CTLR, int(on))

    def set_tables(self) -> None:
        """Give the ITS the tables that it asks for: devices and collections, one page of 64 KiB each."""
        for number in range(8):
            register = GITS.BASER0 + 8 * number
            kind = self.its(register) >> 56 & 7
            if kind in (DEVICE_TABLE, COLLECTION_TABLE):
                self.tables[kind] = register
                self.set_its(register, VALID | _ITS_ATTRIBUTES | self._memory(PAGE) | 2 << 8)

    def set_queue(self) -> None:
        """One page of 4 KiB."""
        self.set_its(GITS.CBASER, VALID | _ITS_ATTRIBUTES | self.queue)
        self.set_its(GITS.CWRITER, 0)
        self.tail = 0

    def itt(self, event_bits: int) -> int:
        """Memory for a new interrupt translation table."""
        return self._memory(((self.its(GITS.TYPER) >> 4 & 0xF) + 1) << event_bits, 256)

    # Commands.

    def write_commands(self, *entries: bytes) -> None:
        """Put commands into the queue, and write GITS_CWRITER."""
        for entry in entries:
            self.store(self.queue + self.tail, entry)
            self.tail = (self.tail + COMMAND_SIZE) % self.queue_size
        self.set_its(GITS.CWRITER, self.tail)

    def wait(self) -> None:
        """Until the ITS has taken what is in the queue."""
        for _ in range(_PATIENCE):
            if self.its(GITS.CREADR) == self.tail:
                return
            self.settle()
        raise Difference("GITS_CREADR", f"{self.tail:#x}", f"{self.its(GITS.CREADR):#x}")

    def command(self, name: str, **operands: int) -> None:
        """One command, and wait for it. A vCPU is named by number, a device by its place, as in :meth:`device`."""
        self.lines.append(f"# {name} " + " ".join(f"{key}={value}" for key, value in operands.items()))
        self.write_commands(self.entry(name, **operands))
        self.wait()

    def entry(self, name: str, **operands: int) -> bytes:
        """The 32 bytes of a command."""
        for operand in ("vcpu", "to_vcpu"):
            if operand in operands:
                operands[operand] = self.rdbase(operands[operand])
        if "device_id" in operands:
            operands["device_id"] = self.device(operands["device_id"])
        return encode(name, **operands)

    def sync(self) -> None:
        """SYNC of every vCPU."""
        for vcpu in range(self.target.vcpus):
            self.command("SYNC", vcpu=vcpu)

    def map_collection(self, collection_id: int, vcpu: int) -> None:
        """MAPC."""
        self.command("MAPC", collection_id=collection_id, vcpu=vcpu, valid=1)

    def map_device(self, device: int = 0, event_bits: int = 5) -> None:
        """MAPD, with memory for its table."""
        self.command("MAPD", device_id=device, event_bits=event_bits, itt_address=self.itt(event_bits), valid=1)

    def map_event(self, event_id: int, intid: int, collection_id: int, device: int = 0) -> None:
        """MAPTI."""
        self.command("MAPTI", device_id=device, event_id=event_id, intid=intid, collection_id=collection_id)

    def ready(self, lpis: Sequence[int] | None = None) -> "Bench":
        """Boot, with collection n on vCPU n, device 0, and its events 0 to 3: LPIs 8192 to 8195 in collection 0."""
        self.boot(lpis)
        for vcpu in range(self.target.vcpus):
            self.map_collection(vcpu, vcpu)
        self.map_device()
        for event_id in range(4):
            self.map_event(event_id, FIRST_LPI + event_id, 0)
        self.sync()
        return self

    def configure(self, intid: int, byte: int) -> None:
        """Write an LPI's configuration byte; the GIC is not told."""
        self.store(self.configuration + intid - FIRST_LPI, bytes([byte]))


def _hex(data: bytes) -> str:
    """Bytes, many equal ones in short."""
    if len(data) > 64 and len(set(data)) == 1:
        return f"{data[:1].hex()}*{len(data)}"
    return data.hex()

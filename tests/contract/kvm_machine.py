"""The virtual machine of the kernel transcripts: carries out their commands, says in their words what came of them."""

import errno
import re
from collections.abc import Callable, Iterator

import vgic
from vgic import KvmControl, KvmGroup
from vgic.its import CollectionEntry, DeviceEntry, IttEntry, encode

RAM = 0x4000_0000
RAM_SIZE = 2 << 20
QUEUE, QUEUE_SIZE = RAM, 0x1_0000
DEVICES, COLLECTIONS, CONFIG, PENDING = RAM + 0x1_0000, RAM + 0x2_0000, RAM + 0x3_0000, RAM + 0x4_0000
TRANSLATION_TABLES = RAM + 0x10_0000
PAGE = 0x1_0000
#: The page of an indirect device table.
LEVEL2 = RAM + 0xC_0000
#: Bytes of a pending table that are looked at.
PENDING_SIZE = 0x2000
FIRST_LPI = 8192

CTLR, IIDR, TYPER, CBASER, CWRITER, CREADR, BASER0, BASER1 = 0, 4, 8, 0x80, 0x88, 0x90, 0x100, 0x108
GICR_CTLR, GICR_PROPBASER, GICR_PENDBASER = 0, 0x70, 0x78


ZEROES = memoryview(bytes(RAM_SIZE))
_NOT_ZERO = re.compile(rb"[^\0]")


class KvmMachine:
    """One VM, fresh."""

    def __init__(self, design: str, vcpus: int, *, indirect: bool = False) -> None:
        self.vcpus = vcpus
        self.indirect = indirect
        #: Where the entries of devices are.
        self.devices = LEVEL2 if indirect else DEVICES
        self.ram = bytearray(RAM_SIZE)
        #: The same, and a place for its bytes, so that a look at the state allocates nothing.
        self.view, self.kept = memoryview(self.ram), memoryview(bytearray(RAM_SIZE))
        self.memory = vgic.GuestMemory({RAM: self.ram})
        self.vm = vgic.Vm(vcpus, design, memory=self.memory)
        self.its = self.vm.its[0].frame
        self.redistributors = [vcpu.frame for vcpu in self.vm.vcpu]
        #: What the probe sets and gets attributes of.
        self.vgic_device, self.its_device = self.vm.kvm_device, self.vm.its[0].kvm_device
        #: Whether the probe looked at the state after each command.
        self.observing = True

    def run(self, line: str) -> list[str]:
        """Carry out one command; the lines of its result."""
        name, *texts = line.split()
        numbers = [int(text, 0) for text in texts]
        action: Callable[..., str | None] | None = getattr(self, f"do_{name}", None)
        result = action(*numbers) if action else self.command(_encode(name, numbers))
        return [] if result is None else [result]

    def state(self) -> set[str]:
        """The whole state, as the tables in memory show it after a save, and the engine. Memory is put back."""
        self.kept[:] = self.view
        pending = [(PENDING + n * PAGE, PENDING_SIZE) for n in range(self.vcpus)]
        for start, size in ((self.devices, PAGE), (COLLECTIONS, PAGE), *pending):
            self.view[start - RAM : start - RAM + size] = ZEROES[:size]
        self.view[TRANSLATION_TABLES - RAM :] = ZEROES[: RAM + RAM_SIZE - TRANSLATION_TABLES]
        failures = {
            f"save_{what} rc={number}"
            for what, save in (("tables", self.its.save_tables), ("pending", self.vm.save_pending_tables))
            if (number := self.errno(save))
        }
        lines = {*self.saved(), *(_lpi(lpi) for lpi in self.vm.lpis())}
        self.view[:] = self.kept
        return lines | failures | {f"its enabled={self.its.get(CTLR) & 1}"}

    def saved(self) -> Iterator[str]:
        for address in range(COLLECTIONS, COLLECTIONS + PAGE, 8):
            collection = CollectionEntry.decode(self.memory.read_u64(address))
            if not collection.valid:
                break
            vcpu = -1 if collection.vcpu is None else collection.vcpu
            yield f"coll id={collection.collection_id} rd={vcpu}"
        for device_id, word in self.words(self.devices, PAGE):
            device = DeviceEntry.decode(word)
            if device.valid:
                itt, bits = device.itt_address, device.event_bits
                yield f"dev id={device_id} itt={itt:#x} bits={bits} next={device.next}"
                for event_id, entry in self.words(itt, 8 << bits):
                    ite = IttEntry.decode(entry)
                    if ite.intid:
                        yield (
                            f"ite dev={device_id} ev={event_id} lpi={ite.intid} coll={ite.collection_id} "
                            f"next={ite.next}"
                        )
        for vcpu in range(self.vcpus):
            start = PENDING + vcpu * PAGE - RAM
            for found in _NOT_ZERO.finditer(self.ram, start, start + PENDING_SIZE):
                for bit in range(8):
                    if self.ram[found.start()] >> bit & 1:
                        yield f"pend rd={vcpu} lpi={8 * (found.start() - start) + bit}"

    def words(self, address: int, size: int) -> list[tuple[int, int]]:
        """(index, word) of a table's words that are not zero, as far as it is in memory."""
        start = address - RAM
        if not 0 <= start < RAM_SIZE:
            return []
        indices = {(found.start() - start) // 8 for found in _NOT_ZERO.finditer(self.ram, start, start + size)}
        return [(index, self.memory.read_u64(address + 8 * index)) for index in sorted(indices)]

    def command(self, entry: bytes) -> str:
        """Put a command into the queue and tell the ITS."""
        position = self.its.get(CWRITER)
        self.memory.write(QUEUE + position, entry)
        following = (position + len(entry)) % QUEUE_SIZE
        result = self.errno(lambda: self.its.set(CWRITER, following))
        creadr = self.its.get(CREADR)
        return f"= set_attr {result}, CREADR {_hex(creadr)} ({'' if creadr == following else 'NOT '}consumed)"

    @staticmethod
    def errno(action: Callable[[], object]) -> int:
        try:
            action()
        except OSError as error:
            return -(error.errno or 0)
        return 0

    def do_init(self, lpis: int) -> str:
        self.ram[CONFIG - RAM : CONFIG - RAM + PAGE] = b"\xa3" * PAGE
        for n, redistributor in enumerate(self.redistributors):
            redistributor.set(GICR_PROPBASER, CONFIG | 15)
            redistributor.set(GICR_PENDBASER, PENDING + n * PAGE)
            redistributor.set(GICR_CTLR, lpis)
        self.its.set(CBASER, 0xB800_0000_0000_0400 | QUEUE | QUEUE_SIZE // 4096 - 1)
        indirect = 1 << 62 if self.indirect else 0
        if indirect:
            self.memory.write_u64(DEVICES, 1 << 63 | LEVEL2)
        self.its.set(BASER0, 0xB820_0000_0000_0400 | DEVICES | indirect)
        self.its.set(BASER1, 0xB820_0000_0000_0400 | COLLECTIONS)
        self.its.set(CTLR, 1)
        values = [self.its.get(offset) for offset in (TYPER, IIDR, BASER0, BASER1, CBASER, CTLR)]
        names = ("TYPER", "IIDR", "BASER0", "BASER1", "CBASER", "CTLR")
        text = " ".join(f"{name} {value:#x}" for name, value in zip(names, values, strict=True))
        return f"# {text} rd0.CTLR {self.redistributors[0].get(GICR_CTLR):#x}"

    def do_raw(self, *words: int) -> str:
        return self.command(b"".join(word.to_bytes(8, "little") for word in words))

    def send(self, doorbell: int, device_id: int, event_id: int, *, valid_device_id: bool) -> str:
        try:
            taken = self.vm.signal_msi_at(doorbell, device_id, event_id, valid_device_id=valid_device_id)
        except OSError as error:
            return f"= KVM_SIGNAL_MSI -1 {errno.errorcode[error.errno or 0]}"
        return f"= KVM_SIGNAL_MSI {taken}"

    def do_msi(self, device_id: int, event_id: int) -> str:
        return self.send(self.vm.its[0].doorbell, device_id, event_id, valid_device_id=True)

    def do_msi_nodevid(self, device_id: int, event_id: int) -> str:
        return self.send(self.vm.its[0].doorbell, device_id, event_id, valid_device_id=False)

    def do_msi_at(self, address: int, device_id: int, event_id: int) -> str:
        return self.send(address, device_id, event_id, valid_device_id=True)

    def do_prop(self, lpi: int, byte: int) -> None:
        self.ram[CONFIG - RAM + lpi - FIRST_LPI] = byte

    def do_pendbit(self, vcpu: int, lpi: int) -> None:
        self.ram[PENDING + vcpu * PAGE - RAM + lpi // 8] |= 1 << lpi % 8

    def do_its_w(self, offset: int, value: int) -> str:
        return f"= set_attr {self.errno(lambda: self.its_device.set(KvmGroup.ITS_REGS, offset, value))}"

    def do_its_r(self, offset: int) -> str:
        return f"= get_attr 0 {_hex(self.its_device.get(KvmGroup.ITS_REGS, offset))}"

    def do_rd_w(self, vcpu: int, offset: int, value: int) -> str:
        attr = vcpu << 32 | offset
        return f"= set_attr {self.errno(lambda: self.vgic_device.set(KvmGroup.REDIST_REGS, attr, value))}"

    def do_rd_r(self, vcpu: int, offset: int) -> str:
        return f"= get_attr 0 {_hex(self.vgic_device.get(KvmGroup.REDIST_REGS, vcpu << 32 | offset))}"

    def do_dist_w(self, offset: int, value: int) -> str:
        return f"= set_attr {self.errno(lambda: self.vgic_device.set(KvmGroup.DIST_REGS, offset, value))}"

    def do_mem_w(self, address: int, value: int) -> None:
        self.memory.write_u64(address, value)

    def do_mem_r(self, address: int) -> str:
        return f"= {_hex(self.memory.read_u64(address))}"

    def do_save(self) -> str:
        return f"= {self.errno(lambda: self.its_device.set(KvmGroup.CTRL, KvmControl.ITS_SAVE_TABLES))}"

    def do_savepend(self) -> str:
        return f"= {self.errno(lambda: self.vgic_device.set(KvmGroup.CTRL, KvmControl.SAVE_PENDING_TABLES))}"

    def do_its_reset(self) -> str:
        return f"= {self.errno(lambda: self.its_device.set(KvmGroup.CTRL, KvmControl.ITS_RESET))}"

    def do_restore(self) -> str:
        return f"= {self.errno(lambda: self.its_device.set(KvmGroup.CTRL, KvmControl.ITS_RESTORE_TABLES))}"

    def do_state(self) -> None:
        pass

    def do_obs(self, on: int) -> None:
        self.observing = bool(on)

    def do_rand(self, *_: int) -> None:
        """Begin the random part; its commands follow."""

    do_rand4 = do_rand

    def do_ack(self, vcpu: int) -> str:
        intid = self.vm.vcpu[vcpu].acknowledge()
        if intid is not None:
            self.vm.vcpu[vcpu].eoi(intid)
        return f"= vcpu {vcpu} IAR1 {1023 if intid is None else intid}"


#: Operands of a transcript's command, in order.
_OPERANDS = {
    "mapd": ("device_id", "event_bits", "itt_address", "valid"),
    "mapc": ("collection_id", "vcpu", "valid"),
    "mapti": ("device_id", "event_id", "intid", "collection_id"),
    "mapi": ("device_id", "event_id", "collection_id"),
    "movi": ("device_id", "event_id", "collection_id"),
    "movall": ("vcpu", "to_vcpu"),
    "int": ("device_id", "event_id"),
    "clear": ("device_id", "event_id"),
    "discard": ("device_id", "event_id"),
    "inv": ("device_id", "event_id"),
    "invall": ("collection_id",),
    "sync": ("vcpu",),
}


def _encode(name: str, numbers: list[int]) -> bytes:
    return encode(name.upper(), **dict(zip(_OPERANDS[name], numbers, strict=True)))


def _hex(value: int) -> str:
    return f"{value:#x}" if value else "0"


def _lpi(lpi: dict) -> str:
    def vcpu(value: int | None) -> int:
        return -1 if value is None else value

    return (
        f"irq lpi={lpi['intid']} target={vcpu(lpi['target_vcpu'])} pending={lpi['pending']:d} "
        f"enabled={lpi['enabled']:d} prio={lpi['priority']:#04x} queued_on={vcpu(lpi['queued_on'])}"
    )

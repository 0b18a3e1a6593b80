"""Operations at random, most of which do something: from the guest's memory of what it has mapped."""

import random
from collections.abc import Callable

import layout
from layout import Setup
from operations import (
    Batch,
    Command,
    Config,
    Inspect,
    Migrate,
    MoveQueue,
    Msi,
    Operation,
    PendingBit,
    Renew,
    SwitchIts,
    SwitchLpis,
    Write,
)
from oracle_guest import Guest

from vgic.conformance.qtest import VCPUS

#: Registers that a guest may write without effect, and some that the masks leave out.
WRITABLE = [
    *[f"GITS_{name}" for name in ("CTLR", "IIDR", "TYPER", "CBASER", "CWRITER", "CREADR", "PIDR2")],
    *[f"GITS_BASER{n}" for n in range(8)],
    *[f"GICR{n}_{name}" for n in range(VCPUS) for name in ("CTLR", "IIDR", "TYPER", "WAKER", "PROPBASER", "PENDBASER")],
    *[f"GICR{n}_{name}" for n in range(VCPUS) for name in ("INVLPIR", "INVALLR", "SYNCR", "PIDR2")],
]
#: Priorities with and without enable, and bits that mean nothing.
BYTES = (0x00, 0x01, 0x81, 0xA0, 0xA1, 0xA3, 0xFD, 0xFF)
BITS = (1, 2, 5, 5, 8, 14, 14, 17, 32)
#: GICv4's commands, which neither machine has here, and opcodes that are no command at all.
OPCODES = (0x00, 0x02, 0x06, 0x07, 0x10, 0x21, 0x22, 0x25, 0x29, 0x2A, 0x2D, 0x2E, 0x7F, 0xFF)


def setup(rng: random.Random) -> Setup:
    return Setup(
        indirect=rng.random() < 0.5,
        id_bits=rng.choice([13, 13, 14]),
        queue_pages=rng.choice([1, 1, 2]),
        ptz=rng.random() < 0.5,
        halves=rng.random() < 0.3,
    )


def start() -> Batch:
    """What most sequences need before anything happens: collections, and two devices with some events."""
    commands = [Command("mapc", (n, n, 1)) for n in range(VCPUS)]
    for number, device in enumerate(layout.SENDERS[:2]):
        commands.append(Command("mapd", (device, 5, 1)))
        commands += [Command("mapti", (device, n, layout.LPIS[4 * number + n], n)) for n in range(4)]
    return Batch(tuple(commands))


class Chance:
    """Makes operations for a guest."""

    def __init__(self, rng: random.Random, guest: Guest) -> None:
        self.rng = rng
        self.guest = guest

    def _device(self) -> int:
        if self.guest.devices and self.rng.random() < 0.7:
            return self.rng.choice(list(self.guest.devices))
        return self.rng.choice(layout.DEVICE_IDS)

    def _event(self) -> tuple[int, int]:
        """Mostly an event that is mapped."""
        device = self._device()
        known = self.guest.devices.get(device)
        if known and known.events and self.rng.random() < 0.85:
            return device, self.rng.choice(list(known.events))
        return device, self.rng.choice(layout.EVENT_IDS)

    def _collection(self) -> int:
        if self.guest.collections and self.rng.random() < 0.8:
            return self.rng.choice(list(self.guest.collections))
        return self.rng.choice(layout.COLLECTION_IDS)

    def _vcpu(self) -> int:
        return self.rng.choice([0, 1, 2, 3] * 8 + [4, 0xFFFF])

    def _intid(self) -> int:
        """Mostly one that is not mapped yet."""
        if self.rng.random() < 0.85:
            used = {event.intid for device in self.guest.devices.values() for event in device.events.values()}
            if free := [intid for intid in layout.LPIS[:14] if intid not in used]:
                return self.rng.choice(free)
        return self.rng.choice(layout.INTIDS)

    def _some_event(self) -> tuple[int, int]:
        return self._device(), self.rng.choice(layout.EVENT_IDS)

    def command(self) -> Command:
        rng = self.rng
        makers: dict[str, tuple[int, Callable[[], tuple[int, ...]]]] = {
            "int": (26, self._event),
            "mapti": (16, lambda: (*self._some_event(), self._intid(), self._collection())),
            "mapi": (4, lambda: (*self._some_event(), self._collection())),
            "movi": (10, lambda: (*self._event(), self._collection())),
            "clear": (8, self._event),
            "discard": (5, self._event),
            "inv": (5, self._event),
            "mapd": (4, lambda: (self._device(), rng.choice(BITS), int(rng.random() < 0.7))),
            "mapc": (6, lambda: (self._collection(), self._vcpu(), int(rng.random() < 0.85))),
            "movall": (3, lambda: (self._vcpu(), self._vcpu())),
            "invall": (2, lambda: (self._collection(),)),
            "sync": (3, lambda: (self._vcpu(),)),
            "raw": (1, lambda: (rng.choice(OPCODES), *(rng.getrandbits(64) for _ in range(3)))),
        }
        name = rng.choices(list(makers), [weight for weight, _ in makers.values()])[0]
        return Command(name, makers[name][1]())

    def batch(self) -> Batch:
        rng = self.rng
        # Most batches are small, for a state to be compared between commands; some fill the queue.
        size = rng.choice([1, 1, 2, 3, 5, 8, 13]) if rng.random() < 0.97 else rng.randrange(50, 200)
        return Batch(tuple(self.command() for _ in range(size)))

    def _msi(self) -> Msi:
        device, event = self._event()
        return Msi(device if device in layout.SENDERS else self.rng.choice(layout.SENDERS), event)

    def _pending_bit(self) -> PendingBit:
        off = [vcpu for vcpu, on in enumerate(self.guest.lpis_on) if not on] or [0]
        return PendingBit(self.rng.choice(off), self.rng.choice(layout.LPIS[:14]))

    def operation(self) -> Operation:
        rng = self.rng
        makers: list[tuple[float, Callable[[], Operation]]] = [
            (60, self.batch),
            (25, self._msi),
            (3, lambda: Config(rng.choice(layout.LPIS[:14]), rng.choice(BYTES))),
            (2 if self.guest.its_on else 10, lambda: SwitchIts(rng.random() < 0.7)),
            (4, lambda: SwitchLpis(rng.randrange(VCPUS), rng.random() < 0.7, rng.random() < 0.3)),
            (0.5 if all(self.guest.lpis_on) else 5, self._pending_bit),
            (1, lambda: MoveQueue(rng.randrange(2), rng.choice([1, 1, 2, 16]))),
            (0.5, Renew),
            (3, lambda: Write(rng.choice(WRITABLE), rng.choice([0, 1, rng.getrandbits(64), (1 << 64) - 1]))),
            (1, Inspect),
            (1, Migrate),
        ]
        return rng.choices([make for _, make in makers], [weight for weight, _ in makers])[0]()

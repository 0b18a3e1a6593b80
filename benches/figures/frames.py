"""Figures of the register frames: commands through the queue, a device's write, a whole VM saved and restored."""

import time
from collections.abc import Callable, Iterator

from figures.document import Bar, Plan, Section, Update, number, spread, table
from vgic import DEFAULT_DESIGN, GuestMemory, SavedState, Vm
from vgic.its import COMMAND_SIZE, encode
from vgic.measure.stats import Spread, spread_of

__all__ = ["frames"]

_RAM, _RAM_SIZE = 0x4000_0000, 16 << 20
_QUEUE, _QUEUE_SIZE = _RAM, 1 << 20
_DEVICES, _COLLECTIONS, _CONFIG, _PENDING, _TABLES = (_RAM + (16 + n) * 0x1_0000 for n in (0, 8, 16, 24, 32))
_VALID = 1 << 63
_LPIS = 57_344


def _machine(memory: GuestMemory | None = None) -> Vm:
    """One vCPU; if no memory is given, a booted guest with one collection."""
    vm = Vm(1, memory=memory or GuestMemory({_RAM: bytearray(_RAM_SIZE)}))
    if memory is not None:
        return vm
    assert vm.memory is not None
    vm.memory.write(_CONFIG, b"\xa1" * 0x1_0000)
    redistributor, its = vm.vcpu[0].frame, vm.its[0].frame
    redistributor.write(0x70, 8, _CONFIG | 15)
    redistributor.write(0x78, 8, _PENDING)
    redistributor.write(0x00, 4, 1)
    its.write(0x080, 8, _VALID | _QUEUE | _QUEUE_SIZE // 4096 - 1)
    its.write(0x100, 8, _VALID | _DEVICES)
    its.write(0x108, 8, _VALID | _COLLECTIONS)
    its.write(0x000, 4, 1)
    _run(vm, [encode("MAPC", collection_id=0, vcpu=0, valid=True)])
    return vm


def _run(vm: Vm, commands: list[bytes]) -> float:
    """Put commands into the queue, as many as fit, and start them; the seconds that this took."""
    its, memory = vm.its[0].frame, vm.memory
    assert memory is not None
    start, place = time.perf_counter(), its.read(0x88, 8)
    while commands:
        room = min((_QUEUE_SIZE - place) // COMMAND_SIZE, _QUEUE_SIZE // COMMAND_SIZE - 1)
        part, commands = commands[:room], commands[room:]
        memory.write(_QUEUE + place, b"".join(part))
        place = (place + COMMAND_SIZE * len(part)) % _QUEUE_SIZE
        its.write(0x88, 8, place)
    if its.errors:
        raise RuntimeError(f"commands failed: {dict(its.errors)}")
    return time.perf_counter() - start


def _mapped(devices: int, bits: int) -> Iterator[bytes]:
    """Commands that map all LPIs, spread evenly over devices."""
    events = _LPIS // devices
    for device in range(devices):
        itt = _TABLES + device * (8 << bits)
        yield encode("MAPD", device_id=device, event_bits=bits, itt_address=itt, valid=True)
        for event in range(events):
            intid = 8192 + device * events + event
            yield encode("MAPTI", device_id=device, event_id=event, intid=intid, collection_id=0)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _queue(rounds: int) -> dict[str, Spread]:
    """Commands a second, in batches of a full queue, by kind."""
    vm = _machine()
    device = {"device_id": 0}
    event = device | {"event_id": 0}
    other = device | {"event_id": 1}
    _run(vm, [encode("MAPD", event_bits=5, itt_address=_TABLES, valid=True, **device)])
    _run(vm, [encode("MAPTI", intid=8192, collection_id=0, **event)])
    batches = {
        "`INT`": [encode("INT", **event)],
        "`INV`": [encode("INV", **event)],
        "`MOVI`": [encode("MOVI", collection_id=0, **event)],
        "`SYNC`": [encode("SYNC", vcpu=0)],
        "`MAPTI` and `DISCARD`, in turn": [
            encode("MAPTI", intid=8193, collection_id=0, **other),
            encode("DISCARD", **other),
        ],
        "`INV` of an event that is not mapped (an error)": [],
    }
    count = 20_000
    rates: dict[str, list[float]] = {name: [] for name in batches}
    for _ in range(rounds):
        for name, commands in batches.items():
            if commands:
                rates[name].append(count / _run(vm, commands * (count // len(commands))))
            else:
                rates[name].append(count / _failing(vm, encode("INV", **other), count))
    return {name: spread_of(values) for name, values in rates.items()}


def _failing(vm: Vm, command: bytes, count: int) -> float:
    its = vm.its[0].frame
    try:
        return _run(vm, [command] * count)
    except RuntimeError:
        pass
    its.errors.clear()
    start = time.perf_counter()
    try:
        _run(vm, [command] * count)
    except RuntimeError:
        seconds = time.perf_counter() - start
        if its.errors.total() != count:
            raise
        its.errors.clear()
    return seconds


def _sends(rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of one `signal_msi`, and of one write to GITS_TRANSLATER, in turn."""
    vm = _machine()
    _run(vm, [encode("MAPD", device_id=0, event_bits=5, itt_address=_TABLES, valid=True)])
    _run(vm, [encode("MAPTI", device_id=0, event_id=0, intid=8192, collection_id=0)])
    signal, write, count = vm.signal_msi, vm.its[0].frame.translater.write, 100_000

    def calls() -> None:
        for _ in range(count):
            signal(0, 0)

    def writes() -> None:
        for _ in range(count):
            write(0x40, 0, 0)

    pairs = [(_seconds(calls) / count, _seconds(writes) / count) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _whole(devices: int, bits: int) -> tuple[float, float, float]:
    """Seconds to map all LPIs by commands, to save the VM, and to restore it into another one."""
    vm = _machine()
    mapping = _run(vm, list(_mapped(devices, bits)))
    states: list[SavedState] = []
    saving = _seconds(lambda: states.append(vm.save()))
    assert vm.memory is not None
    other = _machine(vm.memory)
    restoring = _seconds(lambda: other.restore(states[0]))
    if other.its[0].tables() != vm.its[0].tables() or len(other.lpis()) != _LPIS:
        raise RuntimeError("the restored VM is not the saved one")
    return mapping, saving, restoring


def frames(plan: Plan, update: Update) -> Section:
    """Section 9: register frames."""
    rounds = 3 if plan.quick else 15
    update(0.0, "commands")
    rates = _queue(rounds)
    update(0.4, "sends")
    calls, writes = _sends(rounds)
    send = min(calls)
    shapes = {"7 devices of 8,192 events": (7, 13), "56 devices of 1,024 events": (56, 10), "1 device": (1, 16)}
    wholes = {}
    for n, (name, shape) in enumerate(shapes.items()):
        update(0.5 + n / 6, f"all LPIs, {name}")
        wholes[name] = _whole(*shape)
    slowest = min(rates.values(), key=lambda rate: rate.median)
    ratio = spread_of([write / call for call, write in zip(calls, writes, strict=True)])

    def bar(key: str, text: str, value: float, most: float) -> Bar:
        return Bar(key, text, Spread(value, value, value), most=most, unit="s")

    first = wholes["7 devices of 8,192 events"]
    bars = [
        Bar(
            "frames-commands", "commands a second through the queue, the slowest kind", slowest, least=100_000, unit=""
        ),
        Bar("frames-translater", "a write to GITS_TRANSLATER to `signal_msi`", ratio, most=2),
        bar("frames-map", "all 57,344 LPIs mapped by commands", first[0], 3),
        bar("frames-save", "all 57,344 LPIs saved", first[1], 3),
        bar("frames-restore", "all 57,344 LPIs restored", first[2], 3),
    ]
    command_rows = [
        (name, number(rate.median), spread(rate), number(1 / rate.median / send)) for name, rate in rates.items()
    ]
    whole_rows = [
        (name, *(f"{seconds:.2f} s, {number(seconds / _LPIS / send)}" for seconds in times))
        for name, times in wholes.items()
    ]
    text = f"""
One thread, one vCPU that does not run, the default design, `{DEFAULT_DESIGN}`. Commands are put into the guest's queue
in batches that fill it, and started by one write of GITS_CWRITER; {rounds} rounds in turn. Compare on another machine
only the ratios: to one `vm.signal_msi` ({number(1e9 * send)} ns here, the least of {rounds} rounds).

{table(("commands", "a second", "median (quartiles)", "one, in `signal_msi`"), command_rows)}

All LPIs of a VM, mapped by MAPD and MAPTI through the queue; saved (`Vm.save`: ITS tables, pending tables, registers);
and restored into a second VM on the same memory. Seconds, and what that is for each LPI in `signal_msi`s. The bars are
about the first shape, which the kernel's own stress test has: there MAPTI looks for the event among the device's
8,192, which are a linked list in the kernel and here; with one device for all of them that walk is what mapping costs.

{table(("shape", "map", "save", "restore"), whole_rows)}
"""
    data = {
        "commands_per_second": {name: rate._asdict() for name, rate in rates.items()},
        "signal_msi_seconds": calls,
        "translater_seconds": writes,
        "whole_seconds": wholes,
    }
    return Section("frames", "9. Register frames", text, bars, data)

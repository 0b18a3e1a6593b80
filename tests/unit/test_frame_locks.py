"""A register of a frame is read, changed and written back under the frame's lock, so that two vCPUs may write it.

The lock is replaced by one that says whether it is held, and the core by one that asks it: a race needs no luck here.
"""

import pytest
from test_its_tables import CONFIG, PENDING, RAM, VALID, fixed_vm, machine

import vgic

CTLR, CBASER, CWRITER, BASER0 = vgic.GITS.CTLR, vgic.GITS.CBASER, vgic.GITS.CWRITER, vgic.GITS.BASER0


class Lock:
    def __init__(self):
        self.depth = self.taken = 0

    def __enter__(self):
        self.depth += 1
        self.taken += 1

    def __exit__(self, *_):
        self.depth -= 1


class Core:
    """A VM of the core; writes down which of its functions are called, and whether the lock is held meanwhile."""

    def __init__(self, vm, lock):
        self.vm, self.lock = vm, lock
        self.calls = {}

    def __getattr__(self, name):
        self.calls[name] = self.calls.get(name, True) and self.lock.depth > 0
        return getattr(self.vm, name)


def watched(frame):
    lock = Lock()
    core = Core(frame._vm, lock)
    frame._vm = core
    frame._lock = lock
    return lock, core


ITS = {
    "read": lambda frame: frame.read(CTLR, 4),
    "get": lambda frame: frame.get(CTLR),
    "write GITS_CTLR": lambda frame: frame.write(CTLR, 4, 0),
    "write GITS_CBASER": lambda frame: frame.write(CBASER, 8, VALID | RAM),
    "write GITS_BASER0": lambda frame: frame.write(BASER0 + 4, 4, 0),
    "set": lambda frame: frame.set(BASER0, 0),
    "set GITS_CREADR": lambda frame: frame.set(vgic.GITS.CREADR, 32),
    "process": lambda frame: frame.process(),
    "save_tables": lambda frame: frame.save_tables(),
    "restore_tables": lambda frame: frame.restore_tables(),
    "reset": lambda frame: frame.reset(),
}


@pytest.mark.parametrize("access", ITS)
def test_the_core_is_asked_for_an_its_register_under_the_lock(access):
    vm = fixed_vm()
    frame = vm.its[0].frame
    if access == "process":  # One command waits.
        frame.commands_per_write = 0
        frame.write(CWRITER, 8, (frame.get(CWRITER) + 32) % 0x1_0000)
    elif access == "restore_tables":
        frame.save_tables()
    if access.startswith("set") or access == "restore_tables" or access == "write GITS_BASER0":
        frame.write(CTLR, 4, 0)
    if access == "restore_tables":
        vm._core.free_tables(0, True, True)
    lock, core = watched(frame)
    ITS[access](frame)
    assert core.calls
    assert all(core.calls.values()), core.calls
    assert lock.depth == 0


@pytest.mark.parametrize("register", ["CBASER", "CWRITER", "BASER0"])
def test_a_write_of_an_its_register_holds_the_lock_throughout(register):
    frame = vgic.Vm(1, memory=vgic.GuestMemory({RAM: bytearray(4096)})).its[0].frame
    lock = frame._lock = Lock()
    (place,) = (n for n, one in enumerate(frame._registers) if one.offset == vgic.GITS[register])
    held = []
    write = frame._registers[place].write

    def looked_at(offset, size, value):
        held.append(lock.depth)
        write(offset, size, value)
        held.append(lock.depth)

    frame._registers = tuple(
        one._replace(write=looked_at) if n == place else one for n, one in enumerate(frame._registers)
    )
    frame.write(vgic.GITS[register], 4, 0)
    frame.set(vgic.GITS[register], 0)
    assert held == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("register", "value", "asked"),
    [("PROPBASER", CONFIG | 15, "set_propbaser"), ("PENDBASER", PENDING, "set_pendbaser")],
    ids=["PROPBASER", "PENDBASER"],
)
def test_the_core_is_told_of_a_redistributors_table_under_the_lock(register, value, asked):
    vm = machine()
    frame = vm.vcpu[1].frame
    frame.write(0, 4, 0)
    for vcpu in vm.vcpu:
        vcpu.frame.write(0, 4, 0)
    lock, core = watched(frame)
    frame.write(vgic.GICR[register], 8, value)
    assert {"lpis_enabled", asked} <= core.calls.keys()
    assert all(core.calls.values()), core.calls
    assert (lock.taken, lock.depth) == (1, 0)


@pytest.mark.parametrize("register", ["INVLPIR", "INVALLR"])
def test_an_invalidation_counts_itself_under_the_lock_but_works_without(register):
    vm = machine()
    frame = vm.vcpu[0].frame
    lock, core = watched(frame)
    frame.write(vgic.GICR[register], 8, 8192)
    assert (lock.taken, lock.depth) == (2, 0)
    # Others see GICR_SYNCR.Busy meanwhile, and may write their registers.
    assert core.calls["reload_lpi_config" if register == "INVLPIR" else "reload_lpi_configs"] is False


def test_enabling_lpis_does_not_hold_the_lock():
    """Disabling may take long: others write their registers meanwhile."""
    vm = machine()
    frame = vm.vcpu[0].frame
    lock, core = watched(frame)
    frame.write(0, 4, 0)
    assert core.calls["set_lpis_enabled"] is False
    assert lock.taken == 0

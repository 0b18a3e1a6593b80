"""The same commands, MSIs and register writes do to vgic's ITS what they do to QEMU's, which knows nothing of KVM.

Where they may differ is in `masks.py`. `long.py` does the same for as long as one likes.
"""

import chance
import layout
import long
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from layout import Setup
from machines import DESIGN, WITHOUT_WALK, DeafMachine, QemuMachine, VgicMachine
from operations import (
    Batch,
    Command,
    Config,
    Inspect,
    Migrate,
    MoveQueue,
    Msi,
    PendingBit,
    Renew,
    SwitchIts,
    SwitchLpis,
    Write,
)
from oracle_guest import Difference, Guest

import vgic
from vgic.conformance.qtest import VCPUS

DESIGNS = [design.name for design in vgic.designs() if not design.unsound]

# Few ids, of which most are in use from the start, and some of every kind that is refused.
DEVICE = st.sampled_from([0, 0, 0x18, 0x18, *layout.DEVICE_IDS])
EVENT = st.sampled_from([0, 1, 2, 3, *layout.EVENT_IDS])
COLLECTION = st.sampled_from([0, 1, 2, 3, *layout.COLLECTION_IDS])
INTID = st.sampled_from([*layout.LPIS[:12], *layout.INTIDS])
VCPU = st.integers(0, VCPUS - 1)
ANY_VCPU = st.sampled_from([0, 1, 2, 3, 0, 1, 2, 3, 4, 0xFFFF])
SWITCH = st.sampled_from([1, 1, 1, 0])
SETUP = st.builds(
    Setup,
    st.booleans(),
    st.sampled_from([13, 14]),
    st.integers(1, 2),
    st.booleans(),
    st.sampled_from([False, False, True]),
)
WORD = st.integers(0, (1 << 64) - 1)


def command(name: str, *operands: st.SearchStrategy[int]) -> st.SearchStrategy[Command]:
    return st.builds(Command, st.just(name), st.tuples(*operands))


COMMAND = st.one_of(
    *[command(name, DEVICE, EVENT) for name in ("int", "int", "clear", "discard", "inv")],
    command("mapti", DEVICE, EVENT, INTID, COLLECTION),
    command("mapti", DEVICE, EVENT, INTID, COLLECTION),
    command("mapi", DEVICE, EVENT, COLLECTION),
    command("movi", DEVICE, EVENT, COLLECTION),
    command("movall", ANY_VCPU, ANY_VCPU),
    command("mapd", DEVICE, st.sampled_from(chance.BITS), SWITCH),
    command("mapc", COLLECTION, ANY_VCPU, SWITCH),
    command("invall", COLLECTION),
    command("sync", ANY_VCPU),
    command("raw", st.sampled_from(chance.OPCODES), WORD, WORD, WORD),
)


class OracleMachine(RuleBasedStateMachine):
    """Does everything on both machines; :meth:`Guest.do` compares them."""

    machines: list

    @initialize(setup=SETUP)
    def boot(self, setup):
        self.guest = Guest(self.machines, setup)
        self.guest.do(chance.start())

    @rule(commands=st.lists(COMMAND, min_size=1, max_size=8))
    def batch(self, commands):
        self.guest.do(Batch(tuple(commands)))

    @rule(commands=st.lists(COMMAND, min_size=1, max_size=8), times=st.integers(10, 20))
    def long_batch(self, commands, times):
        self.guest.do(Batch(tuple(commands) * times))

    @rule(device=st.sampled_from(layout.SENDERS), event=EVENT)
    def msi(self, device, event):
        self.guest.do(Msi(device, event))

    @rule(commands=st.lists(COMMAND, min_size=1, max_size=8), device=st.sampled_from(layout.SENDERS), event=EVENT)
    def commands_that_wait(self, commands, device, event):
        self.guest.do(SwitchIts(False))
        self.guest.do(Batch(tuple(commands)))
        self.guest.do(Msi(device, event))
        self.guest.do(SwitchIts(True))

    @rule(intid=st.sampled_from(layout.LPIS[:12]), byte=st.sampled_from(chance.BYTES))
    def configure(self, intid, byte):
        self.guest.do(Config(intid, byte))

    @rule(vcpu=VCPU, on=st.booleans(), ptz=st.booleans())
    def switch_lpis(self, vcpu, on, ptz):
        self.guest.do(SwitchLpis(vcpu, on, ptz))

    @rule(vcpu=VCPU, intids=st.lists(st.sampled_from(layout.LPIS[:12]), max_size=4), ptz=st.booleans())
    def load_a_pending_table(self, vcpu, intids, ptz):
        self.guest.do(SwitchLpis(vcpu, False))
        for intid in intids:
            self.guest.do(PendingBit(vcpu, intid))
        self.guest.do(SwitchLpis(vcpu, True, ptz))

    @rule(slot=st.integers(0, 1), pages=st.sampled_from([1, 2, 16]))
    def move_the_queue(self, slot, pages):
        self.guest.do(MoveQueue(slot, pages))

    @rule()
    def renew_the_tables(self):
        self.guest.do(Renew())

    @rule(name=st.sampled_from(chance.WRITABLE), value=WORD, on=st.booleans())
    def write_a_register(self, name, value, on):
        self.guest.do(SwitchIts(on))
        self.guest.do(Write(name, value))
        self.guest.do(SwitchIts(True))

    @rule()
    def migrate(self):
        self.guest.do(Migrate())

    @rule()
    def inspect(self):
        self.guest.do(Inspect())


# The thorough profile takes minutes.
@pytest.mark.timeout(3600)
def test_legal_sequences_do_the_same_on_both(machines, examples):
    run_state_machine_as_test(type("OracleMachine", (OracleMachine,), {"machines": machines}), settings=examples)


def test_a_random_guest_sees_no_difference(machines):
    total = long.run(machines, seed=1, commands=2500)
    assert total["commands"] >= 2500
    # It did what it is there for.
    assert all(total[name] for name in ("msis", "wraps", "movall", "mapd", "discard", "mapi", "migrations"))


@pytest.mark.parametrize("design", [name for name in DESIGNS if name not in (DESIGN, *WITHOUT_WALK)])
def test_other_designs_do_not_differ_either(qemu, design):
    long.run([QemuMachine(qemu), VgicMachine(design)], seed=2, commands=300)


@pytest.mark.parametrize("design", WITHOUT_WALK)
def test_the_defect_of_a_walk_that_finds_nothing_shows(qemu, design):
    operations = [chance.start(), Batch((Command("int", (0, 0)), Command("movall", (0, 1))))]
    difference = long.replay([QemuMachine(qemu), VgicMachine(design)], Setup(), operations)
    assert "pending: only QEMU [(1, 8192)]" in str(difference)


OPCODES = {
    "MOVI": 0x01,
    "INT": 0x03,
    "CLEAR": 0x04,
    "MAPD": 0x08,
    "MAPC": 0x09,
    "MAPTI": 0x0A,
    "MAPI": 0x0B,
    "MOVALL": 0x0E,
    "DISCARD": 0x0F,
}


@pytest.mark.parametrize("name", OPCODES)
def test_a_command_that_does_nothing_is_found_and_shrunk(qemu, name):
    machines = [QemuMachine(qemu), DeafMachine(OPCODES[name])]
    with pytest.raises(long.Found) as raised:
        long.run(machines, seed=1, commands=2000)
    found = raised.value
    operations = long.shrink(machines, found.setup, found.operations)
    commands = [each for operation in operations if isinstance(operation, Batch) for each in operation.commands]
    # Device, collection, event, an MSI and what moves or takes it away.
    assert len(commands) <= 7
    assert isinstance(long.replay(machines, found.setup, operations), Difference)
    assert "the states differ" in long.report(found, machines, "")


def test_the_long_run_says_what_it_did(capsys):
    assert long.main(["--commands", "500", "--seed", "3"]) == 0
    assert "no difference" in capsys.readouterr().out


def test_the_long_run_reports_a_difference(capsys, monkeypatch):
    monkeypatch.setattr(long, "VgicMachine", lambda design: DeafMachine(OPCODES["MOVI"]))
    assert long.main(["--commands", "2000", "--seed", "3"]) == 1
    report = capsys.readouterr().out
    for part in (
        "seed 3, episode 0, operation ",
        "shortest sequence:",
        "Command(name='movi'",
        "QEMU: State(",
        "vgic: State(",
    ):
        assert part in report

"""Threads on CPUs that count: 2 and 3 come by the mark where threads are picked up, 1 and 4 never do."""

import pytest
from stub import connected

from vgic.confirm.gdb import PC, Gdb
from vgic.confirm.machine import Answer, Marks
from vgic.confirm.members import Watch
from vgic.confirm.stage import Stage, Stuck
from vgic.confirm.symbols import Symbols

BEGIN, PLACE, END = 0x1000, 0x1400, 0x1800
FAR = 1 << 40


class Machine:
    """What a stage needs of a machine."""

    def __init__(self):
        connection, self.stub = connected(cpus=4)
        self.gdb = Gdb(connection)
        self.marks = Marks(BEGIN, END, 0, 0)
        self.sent = []
        for cpu, thread in ((2, 1), (3, 2)):
            self.stub.registers[cpu][:2] = [thread, 0]
            self.stub.registers[cpu][PC] = BEGIN - 8 * cpu
        for cpu in (1, 4):
            self.stub.registers[cpu][PC] = FAR

    def symbols(self):
        return Symbols(f"{PLACE:016x} T function\n")

    def done(self, line):
        self.sent.append(line)
        return Answer(0, [])

    def send(self, line):
        self.sent.append(line)

    def worked(self):
        return 0.0

    def thread_answers(self):
        return [(1, 0, 5)]


@pytest.fixture
def stage():
    made = Machine()
    yield Stage(made)
    made.gdb.close()
    made.stub.join()
    made.stub.connection.close()


def pcs(stage):
    return {cpu: registers[PC] for cpu, registers in stage.machine.stub.registers.items()}


def test_threads_are_picked_up_and_run_one_at_a_time(stage):
    stage.begin({1: ["a"], 2: ["b"]})
    assert stage.machine.sent == ["thread 1 a", "thread 2 b", "go"]
    assert pcs(stage)[2] == pcs(stage)[3] == BEGIN
    assert stage.run(1, PLACE)
    assert (pcs(stage)[2], pcs(stage)[3]) == (PLACE, BEGIN)
    assert stage.stack(1) == "function+0x0"
    # The other one comes by the same place, where nobody waits for it.
    assert not stage.run(2)
    assert (pcs(stage)[2], pcs(stage)[3]) == (PLACE, END)
    assert pcs(stage)[1] > FAR, "a CPU that holds no thread runs along"
    assert not stage.run(1)
    assert stage.machine.stub.breakpoints == {BEGIN, END}
    assert stage.finish() == {1: [5], 2: [None]}
    assert not stage.machine.stub.breakpoints
    assert stage.machine.gdb.running


def test_two_cpus_at_a_breakpoint_at_once_are_both_seen(stage):
    stage.machine.stub.registers[3][PC] = stage.machine.stub.registers[2][PC]
    stage.begin({1: ["a"], 2: ["b"]})
    assert pcs(stage)[2] == pcs(stage)[3] == BEGIN


def test_a_thread_that_gets_nowhere_is_stuck(stage):
    stage.begin({1: ["a"], 2: ["b"]})
    stage.machine.stub.registers[2][PC] = FAR
    with pytest.raises(Stuck, match="thread 1 gets nowhere"):
        stage.run(1, limit=0.02)


WORD = 0x40
LDXR = 0x885FFE60


@pytest.fixture
def touching(stage):
    """Thread 1 stores 1, loads, exchanges for 0 as LDXR and STXR do, stores 2, and stores beside it."""
    stub = stage.machine.stub
    stub.memory = bytearray(0x2000)
    stub.memory[0x1110:0x1114] = LDXR.to_bytes(4, "little")
    stub.accesses = {
        0x1100: (WORD, 1, True),
        0x1108: (WORD, None, True),
        0x1110: (WORD, None, True),
        0x1118: (WORD, 0, False),
        0x1120: (WORD, 2, True),
        0x1128: (WORD + 8, 7, True),
    }
    stage.begin({1: ["a"], 2: ["b"]})
    return stage


def watch(counts=lambda old, new: old != new):
    return Watch(WORD, 4, lambda data: int.from_bytes(data, "little"), counts)


@pytest.mark.parametrize(
    ("times", "counts", "at"),
    [
        (1, lambda old, new: old != new, 0x1104),
        (2, lambda old, new: old != new, 0x111C),
        (3, lambda old, new: old != new, 0x1124),
        (1, lambda old, new: new == 0, 0x111C),
        (2, lambda old, new: bool(new), 0x1124),
        # Looked at: the first instruction that does.
        (0, lambda old, new: False, 0x1104),
    ],
    ids=["a store", "an exchange", "the third", "of a kind", "the second of a kind", "a look"],
)
def test_a_thread_stands_behind_a_change(touching, times, counts, at):
    assert touching.run_behind(1, watch(counts), times)
    assert pcs(touching)[2] == at
    assert not touching.machine.stub.watched


def test_a_command_that_changes_it_less_often_ends(touching):
    assert not touching.run_behind(1, watch(), 4)
    assert pcs(touching)[2] == END
    assert not touching.machine.stub.watched


def test_what_another_cpu_changes_does_not_count(touching):
    stub = touching.machine.stub
    stub.accesses = {pc + 0x40: access for pc, access in stub.accesses.items()}
    stub.registers[1][PC] = END + 8
    stub.accesses[END + 16] = (WORD, 9, True)
    assert touching.run_behind(1, watch(lambda old, new: new != old), 1)
    assert pcs(touching)[2] == 0x1144

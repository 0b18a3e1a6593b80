"""Threads on CPUs that count: 2 and 3 come by the mark where threads are picked up, 1 and 4 never do."""

import pytest
from stub import connected

from vgic.confirm.gdb import PC, Gdb
from vgic.confirm.machine import Answer, Marks
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

import contextlib
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stub import Stub, connected, repeated

from vgic.confirm.gdb import LR, PC, BadAddress, Decoder, Gdb, packet
from vgic.errors import ReplayError


@contextlib.contextmanager
def client(**options):
    ours, stub = connected(**options)
    gdb = Gdb(ours)
    try:
        yield gdb, stub
    finally:
        gdb.close()
        stub.join()
        stub.connection.close()


def pieces(sizes):
    """Cuts what is sent into pieces of these sizes, over and over."""

    def cut(data):
        at, turn = 0, 0
        while at < len(data):
            yield data[at : at + sizes[turn % len(sizes)]]
            at += sizes[turn % len(sizes)]
            turn += 1

    return cut


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 9), min_size=1), st.booleans())
def test_packets_come_whole_however_they_are_cut_and_coded(bodies, sizes, runs):
    sent = b"".join(
        b"+$%b#%02x" % (coded, sum(coded) & 0xFF)
        for body in bodies
        for coded in [repeated(body) if runs else packet(body)[1:-3]]
    )
    decoder = Decoder()
    assert [body for piece in pieces(sizes)(sent) for body in decoder.feed(piece)] == bodies


@given(st.binary(max_size=60))
def test_any_bytes_are_packets_or_an_error(data):
    with contextlib.suppress(ReplayError):
        Decoder().feed(data)


def test_a_wrong_checksum_is_an_error():
    with pytest.raises(ReplayError, match="checksum"):
        Decoder().feed(b"$OK#00")


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=33, max_size=33),
    st.binary(min_size=256, max_size=256),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
)
def test_what_a_machine_has_is_what_is_read(registers, memory, sizes, runs, unasked):
    with client(cpus=3, cut=pieces(sizes), runs=runs, unasked=unasked) as (gdb, stub):
        assert gdb.cpus == [1, 2, 3]
        stub.registers[2] = list(registers)
        stub.memory[:] = memory
        assert gdb.registers(2) == registers
        assert gdb.pc(1) == 0
        assert gdb.read(16, 200) == memory[16:216]
        gdb.set_register(3, LR, registers[0])
        assert stub.registers[3][LR] == registers[0]


def test_memory_is_read_through_a_cpu_that_sees_it():
    with client(cpus=3) as (gdb, stub):
        stub.memory[:4] = b"\1\2\3\4"
        stub.blind = {1, 3}
        assert gdb.read(0, 4) == b"\1\2\3\4"
        with pytest.raises(BadAddress):
            gdb.read(0, 4, cpu=3)
        with pytest.raises(BadAddress, match="0xff"):
            gdb.read(0xFF, 2)


def test_a_cpu_runs_alone_and_stops_where_it_should():
    with client(cpus=2) as (gdb, stub):
        gdb.add_breakpoint(0x40)
        gdb.go([2])
        assert gdb.running
        assert gdb.wait(60) == 2
        assert (gdb.pc(1), gdb.pc(2)) == (0, 0x40)
        gdb.step(1)
        assert gdb.pc(1) == 4
        gdb.remove_breakpoint(0x40)
        assert not stub.breakpoints
        gdb.go([1, 2])
        assert gdb.wait(0.01) is None
        assert gdb.interrupt() == 1
        assert stub.registers[1][PC] == 4 + 4 * stub.steps


def test_a_machine_that_runs_is_not_asked():
    with client(steps=1) as (gdb, _):
        gdb.go([1])
        with pytest.raises(ReplayError, match="the machine runs"):
            gdb.registers(1)
        gdb.interrupt()
        assert gdb.registers(1)[PC] == 4


def test_each_packet_is_acknowledged():
    with client() as (gdb, stub):
        gdb.registers(1)
        gdb.registers(2)
    assert stub.acknowledged == stub.sent > 8


def test_a_machine_that_ends_is_an_error():
    with client() as (gdb, stub):
        gdb.go([1])
        stub.send(b"W00")
        with pytest.raises(ReplayError, match="the machine ended"):
            gdb.wait(60)


def test_a_stub_that_goes_away_is_an_error():
    ours, stub = connected()
    gdb = Gdb(ours)
    stub.connection.shutdown(socket.SHUT_RDWR)
    stub.join()
    with pytest.raises(ReplayError, match="QEMU has gone"):
        gdb.command(b"?")
    gdb.close()
    stub.connection.close()


class Other(Stub):
    """A stub that has no vCont."""

    def obey(self, body):
        if body == "vCont?":
            self.connection.sendall(b"+")
            self.send(b"")
        else:
            super().obey(body)


def test_a_stub_without_single_cpus_is_refused():
    ours, theirs = socket.socketpair()
    Other(theirs).start()
    with pytest.raises(ReplayError, match="cannot run CPUs one by one"):
        Gdb(ours)
    ours.close()
    theirs.close()


def test_nobody_at_the_socket_is_one_line(tmp_path):
    with pytest.raises(ReplayError, match="cannot be reached"):
        Gdb.connect(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "gdb"))
        listening.listen()

        def answer():
            theirs, _ = listening.accept()
            with theirs:
                theirs.recv(4096)
                theirs.sendall(packet(b"nonsense"))
                while theirs.recv(4096):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ReplayError, match="nonsense"):
            Gdb.connect(tmp_path / "gdb")
        thread.join()

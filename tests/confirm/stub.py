"""A small machine behind a gdb stub that answers as QEMU's does, in whatever pieces a test likes."""

import re
import socket
import threading
from contextlib import suppress

from vgic.confirm.gdb import PC, packet


def repeated(body):
    """A body with its runs of one byte written as a length, as the protocol allows."""
    out, at = bytearray(), 0
    while at < len(body):
        run = 1
        while at + run < len(body) and body[at + run] == body[at] and run < 98:
            run += 1
        # '#' and '$' must not be lengths: 6 and 7 more.
        more = run - 1 if run - 1 not in (6, 7) else 5
        if more >= 3 and body[at] not in b"#$}*":
            out += bytes([body[at], 0x2A, more + 29])
            at += more + 1
        else:
            out += packet(body[at : at + 1])[1:-3]
            at += 1
    return bytes(out)


class Stub(threading.Thread):
    """CPUs that count their pc up by 4 until they meet a breakpoint."""

    def __init__(self, connection, *, cpus=2, cut=lambda data: [data], runs=False, unasked=True, steps=1000):
        super().__init__(daemon=True)
        self.connection = connection
        self.registers = {cpu: [0] * 33 for cpu in range(1, cpus + 1)}
        self.memory = bytearray(256)
        self.breakpoints = set()
        self.watched = set()
        #: What instructions do to memory, by their address: where, what they store there if they do, and whether a
        #: watchpoint sees it.
        self.accesses = {}
        self.blind = set()
        self.selected = 1
        self.cut = cut
        self.runs = runs
        self.unasked = unasked
        self.steps = steps
        self.going = False
        self.acknowledged = 0
        self.sent = 0

    def run(self):
        with suppress(OSError):  # The client has gone.
            self.serve()

    def serve(self):
        rest = b""
        if self.unasked:
            self.send(b"T02thread:01;")
        while True:
            data = self.connection.recv(4096)
            if not data:
                return
            rest += data
            while rest:
                if rest[:1] in b"+\x03":
                    self.acknowledged += rest[:1] == b"+"
                    if rest[:1] == b"\x03" and self.going:
                        self.stop(1)
                    rest = rest[1:]
                    continue
                found = re.match(rb"\$([^#]*)#..", rest)
                if not found:
                    break
                rest = rest[found.end() :]
                self.obey(found[1].decode())

    def send(self, body):
        data = b"$%b#%02x" % (coded := repeated(body) if self.runs else packet(body)[1:-3], sum(coded) & 0xFF)
        self.sent += 1
        for piece in self.cut(data):
            self.connection.sendall(piece)

    def stop(self, cpu, why=""):
        self.going = False
        self.send(b"T05thread:%02x;%b" % (cpu, why.encode()))

    def obey(self, body):
        self.connection.sendall(b"+")
        if body.startswith("qSupported"):
            self.send(b"PacketSize=1000;qXfer:features:read+;vContSupported+")
        elif body.startswith("qXfer"):
            self.send(b"l<target/>")
        elif body == "vCont?":
            self.send(b"vCont;c;C;s;S")
        elif body == "qfThreadInfo":
            self.send(b"m1")
        elif body == "qsThreadInfo":
            self.more = getattr(self, "more", list(self.registers)[1:])
            self.send(b"m%x" % self.more.pop(0) if self.more else b"l")
        elif body.startswith("Hg"):
            self.selected = int(body[2:], 16)
            self.send(b"OK")
        elif body == "g":
            values = self.registers[self.selected]
            self.send(b"".join(value.to_bytes(8, "little").hex().encode() for value in values) + b"00000000")
        elif body.startswith("P"):
            number, value = body[1:].split("=")
            self.registers[self.selected][int(number, 16)] = int.from_bytes(bytes.fromhex(value), "little")
            self.send(b"OK")
        elif body.startswith("m"):
            at, size = (int(part, 16) for part in body[1:].split(","))
            seen = self.selected not in self.blind and at + size <= len(self.memory)
            self.send(self.memory[at : at + size].hex().encode() if seen else b"E14")
        elif body[:2] in ("Z1", "z1"):
            change = self.breakpoints.add if body[0] == "Z" else self.breakpoints.discard
            change(int(body.split(",")[1], 16))
            self.send(b"OK")
        elif body[:2] in ("Z4", "z4"):
            at, size = (int(part, 16) for part in body[3:].split(","))
            change = self.watched.update if body[0] == "Z" else self.watched.difference_update
            change(range(at, at + size))
            self.send(b"OK")
        elif body.startswith("vCont;"):
            self.go([(part[0], int(part[2:], 16)) for part in body[6:].split(";")])
        else:
            self.send(b"")

    def go(self, actions):
        self.going = True
        for _ in range(1 if actions[0][0] == "s" else self.steps):
            for action, cpu in actions:
                at, stored, seen = self.accesses.get(self.registers[cpu][PC], (None, None, False))
                if seen and at in self.watched:
                    self.stop(cpu, f"awatch:{at:x};")
                    return
                if stored is not None:
                    self.memory[at] = stored
                self.registers[cpu][PC] += 4
                if action == "s" or self.registers[cpu][PC] in self.breakpoints:
                    self.stop(cpu)
                    return


def connected(**options):
    """A client's end of a connection, and the stub at the other one, which runs."""
    ours, theirs = socket.socketpair()
    stub = Stub(theirs, **options)
    stub.start()
    return ours, stub

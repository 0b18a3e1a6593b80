"""Called as qemu-system-aarch64: the console of a machine, as a test wants it, and a stub behind the gdb socket.

``FAKE_QEMU`` says in words what goes wrong.
"""

import os
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from stub import Stub

BEHAVIOUR = os.environ.get("FAKE_QEMU", "")


def listening(name):
    """The socket of a -chardev of that id."""
    (given,) = [word for word in sys.argv if word.startswith("socket,") and word.endswith(f"id={name}")]
    path = dict(part.split("=") for part in given.split(",")[1:])["path"]
    found = socket.socket(socket.AF_UNIX)
    found.bind(path)
    found.listen()
    return found


class Older(Stub):
    """A stub that runs all CPUs or none."""

    def obey(self, body):
        super().obey("?" if body == "vCont?" else body)


def behind_gdb(server):
    connection, _ = server.accept()
    stub = (Older if BEHAVIOUR == "no single CPUs" else Stub)(connection, cpus=4, steps=1)
    stub.memory[:] = b"ffff800080000000 T kvm_init\n".ljust(256, b"x")
    stub.registers[1][:2] = [0, 28]
    stub.registers[1][32] = 0x300 - 4
    stub.run()


#: What --version says.
VERSIONS = {
    "too old": "QEMU emulator version 2.9.1 (Debian 1:2.9.1-1)\nCopyright (c) 2003-2017 Fabrice Bellard",
    "tells no version": "\xff",
}


def main():
    if sys.argv[1:] == ["--version"]:
        sys.stdout.buffer.write(VERSIONS.get(BEHAVIOUR, "QEMU emulator version 7.2.22").encode("latin1"))
        return
    if BEHAVIOUR in ("does not start", "too old", "tells no version"):
        sys.exit("qemu-system-aarch64: no such machine")
    threading.Thread(target=behind_gdb, args=(listening("gdb"),), daemon=True).start()
    console, _ = listening("console").accept()
    say = lambda text: console.sendall(text.encode())  # noqa: E731
    say("[    0.1] Booting Linux\r\n")
    if BEHAVIOUR == "panics":
        say("[    0.2] Kernel panic - not syncing: no init\r\n")
        return
    say("= up 0x100 0x200 0x300 0x400\r\n")
    for line in console.makefile():
        words = line.split()
        if BEHAVIOUR == "dies" and words[0] == "vm":
            os._exit(1)
        if BEHAVIOUR == "hangs" and words[0] == "vm":
            say("[    1.0] BUG: soft lockup\r\n")
        if BEHAVIOUR == "hangs" and words[0] == "msi":
            continue
        if BEHAVIOUR == "no kvm" and words[0] == "vm":
            say("! /dev/kvm\r\n= -2\r\n= 1\r\n")
            continue
        if BEHAVIOUR == "floods" and words[0] == "msi":
            for first in range(0, 100_000, 1000):
                say("".join(f"[    2.0] line {number}\r\n" for number in range(first, first + 1000)))
            for _ in range(100):
                say("x" * 50_000)
            say("\r\n= 1\r\n")
            continue
        if BEHAVIOUR == "floods" and words[0] == "its_w":
            while True:
                say("= 1\r\nx\r\n" * 1000)
        if words[0] == "state":
            say("| 8192 0\r\n[    1.1] WARNING: CPU: 0\r\n| 8193 1\r\n= 2\r\n")
            continue
        if words[0] == "go":
            say("= 1 0 5\r\n= 2 0 -16\r\n= 0\r\n")
            continue
        say(f"= {-38 if words[0] == 'what' else len(words)}\r\n" if words[0] != "vm" else "= 0\r\n")


main()

"""QEMU's program: whether it is new enough, and the command line of a machine.

What the machine needs came with QEMU 2.9 (the board ``virt`` with ``virtualization=on``, EL2 in CPUs and in the GICv3,
CPUs on several threads) and 2.10: since then ``vCont`` of the gdb stub lets single CPUs run.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence

from vgic.errors import ReplayError

__all__ = ["LEAST", "QEMU", "command_line", "found_version", "needed"]

QEMU = "qemu-system-aarch64"
#: The first version that has all that is needed.
LEAST = (2, 10)
#: Seconds until it must have told its version: only against hanging.
_PATIENCE = 600.0
_WORDS = "console=ttyAMA0 panic=-1 nokaslr nowatchdog rcupdate.rcu_cpu_stall_suppress=1"


def found_version() -> str:
    """The version that is installed, as ``7.2.22``; empty if the program does not tell.

    Raises :class:`~vgic.errors.ReplayError` if there is no such program, or it is too old.
    """
    program = shutil.which(QEMU)
    if program is None:
        raise ReplayError(f"{QEMU} is needed (Debian: apt-get install qemu-system-arm)")
    try:
        # What is no text is no version.
        said = subprocess.run(
            [program, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE, check=False
        ).stdout.decode("latin1")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReplayError(f"{QEMU} --version: {error}") from None
    found = re.search(r"version (([0-9]{1,4})\.([0-9]{1,4})[0-9.]{0,20})", said)
    if found is None:
        return ""
    if (int(found[2]), int(found[3])) < LEAST:
        raise ReplayError(f"QEMU is too old: {needed(found[1])}")
    return found[1]


def needed(version: str) -> str:
    """What a version is, and what is needed, in a few words."""
    is_ = f"this is {version}" if version else "its version is not known"
    return f"{is_}, and {'.'.join(map(str, LEAST))} or a later one is needed"


def command_line(cpu: str, image: str, initrd: str, append: str, connections: Sequence[str]) -> list[str]:
    """The machine: 4 CPUs of a model of QEMU's, each with EL2, and a GICv3.

    ``append``: more words for the kernel's command line; ``connections``: where the console and the gdb stub are.
    """
    command = [QEMU, "-machine", "virt,virtualization=on,gic-version=3", "-cpu", cpu, "-smp", "4"]
    command += ["-accel", "tcg,thread=multi", "-m", "1G", "-nodefaults", "-display", "none", "-no-reboot"]
    command += connections
    return [*command, "-kernel", image, "-initrd", initrd, "-append", f"{_WORDS} {append}".rstrip()]

"""A folder with which somebody who has neither this program nor its machine repeats what was played, by hand."""

import shlex
from collections.abc import Iterator, Sequence
from importlib.resources import files

from vgic.confirm.holds import STUB, holds_script
from vgic.confirm.image import Kernel
from vgic.confirm.machine import initrd
from vgic.confirm.qemu import LEAST, QEMU, command_line
from vgic.confirm.report import commands_text, report_text
from vgic.confirm.run import Confirmation

__all__ = ["export_files"]

_README = """\
{title}
{line}

Stories of defects of KVM's virtual GIC, as they were played on {release} under QEMU. What is needed to
repeat them by hand: {qemu} {least} or later, and gdb for aarch64 (Debian: qemu-system-arm, gdb-multiarch).

  run.sh      boots Image with initrd; the terminal is the console, the gdb stub is the socket {stub}
  Image       the kernel, {name}, unmodified
  initrd      one program; guest/ is its source, and guest/main.c tells its commands
{folders}

Of each defect there are:

  report.txt      what happens, what was done in which order, and what came of it and of the control
  commands.txt    what is typed at the console, in order
  holds.gdb       where CPUs are held meanwhile; where there is none nobody is held, and typing is all there is to do

What to do
----------

1. Start ./run.sh, and wait for "= up ...", some seconds. Ctrl-C ends the machine.
2. Type the first line of DEFECT/commands.txt, "vm ...", and wait for "= 0". Then type, or paste, the lines up to "go",
   which is not typed yet. Each is answered by "= NUMBER", which is -errno if it failed. Lines with # are remarks.
3. In another terminal, in this folder: gdb-multiarch -x DEFECT/holds.gdb
   The machine stands. gdb asks for "go": type it at the console. Then gdb runs one CPU after the other, and says which
   thread it is and what it does. In the end it detaches, and the machine runs; "quit" ends gdb.
4. The console tells "= THREAD COMMAND NUMBER" for each command of a thread, then "= 0". Type what commands.txt has
   behind "go". The answers are those of report.txt: 8192 and more is the LPI that a vCPU takes, 1023 none; of an MSI 1
   is taken in, and -16 (EBUSY) refused.
5. "end" ends the VM; the next defect begins at 2. Where a defect is an Oops or a CPU that spins, end the machine, and
   start it again.

Where there is no "go" all lines are typed one after the other. The control is told at the end of report.txt: the same
commands, typed without "thread N" and "go", or without one of them.

To look closer, give gdb the kernel's vmlinux with debug information before the script: gdb-multiarch vmlinux -x ...

The addresses in holds.gdb are of this Image. Another one is booted by ./run.sh FILE: then what stands in the remarks,
"function+offset", has to be found anew, or vgic confirm --kernel FILE --export DIR writes all this for it.
"""
_RUN = """\
#!/bin/sh
# Boots Image, or the one that is named, and the program of initrd. The terminal is its console: each line that is typed
# goes there. cat is there as QEMU would take the terminal for itself, and Enter would send another character.
image=$(realpath "${{1:-$(dirname "$0")/Image}}") || exit
cd "$(dirname "$0")" || exit
cat | {command}
"""


def export_files(kernel: Kernel, cpu: str, found: Sequence[Confirmation]) -> dict[str, bytes]:
    """The files of the folder by their paths in it. ``cpu``: the model of QEMU's that was used."""
    guest = files("vgic.confirm").joinpath("guest")
    out = {
        "run.sh": _run(cpu).encode(),
        "Image": kernel.image,
        "initrd": initrd(),
        **{f"guest/{file.name}": file.read_bytes() for file in guest.iterdir() if file.is_file()},
    }
    rows = []
    for one, folder in zip(found, _folders(found), strict=True):
        rows.append(f"  {folder or one.defect or one.scenario:<24}{one.outcome.verdict}")
        if folder:
            out[f"{folder}/report.txt"] = report_text(kernel, [one]).encode()
            out[f"{folder}/commands.txt"] = commands_text(one).encode()
            out[f"{folder}/holds.gdb"] = holds_script(kernel, one).encode()
    title = f"Played on {kernel.release or kernel.name}"
    out["README.txt"] = _README.format(
        title=title,
        line="=" * len(title),
        release=kernel.release or "a kernel",
        name=kernel.name,
        qemu=QEMU,
        least=".".join(map(str, LEAST)),
        stub=STUB,
        folders="\n".join(rows),
    ).encode()
    return {path: data for path, data in out.items() if data}


def _folders(found: Sequence[Confirmation]) -> Iterator[str]:
    """The name of each one's folder: that of the defect, with a number if it is not the first; none if not played."""
    times: dict[str, int] = {}
    for one in found:
        if not one.defect or not commands_text(one):
            yield ""
            continue
        times[one.defect] = times.get(one.defect, 0) + 1
        yield one.defect if times[one.defect] == 1 else f"{one.defect}-{times[one.defect]}"


def _run(cpu: str) -> str:
    connections = ["-serial", "stdio"]
    connections += ["-chardev", f"socket,path={STUB},server=on,wait=off,id=gdb", "-gdb", "chardev:gdb"]
    words = command_line(cpu, "$image", "initrd", "", connections)
    quoted = ['"$image"' if word == "$image" else shlex.quote(word) for word in words]
    lines = "".join(f" \\\n  {word}" if word.startswith("-") else f" {word}" for word in quoted)
    return _RUN.format(command=lines.strip())

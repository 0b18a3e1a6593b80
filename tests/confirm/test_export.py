"""The folder with which others repeat what was played."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from test_cpio import read
from test_holds import KERNEL, with_all_holds
from test_script import HELD

from vgic.cli.common import write_folder
from vgic.confirm.export import export_files
from vgic.confirm.play import Outcome
from vgic.confirm.qemu import command_line
from vgic.confirm.report import report_text
from vgic.confirm.run import Confirmation

WINDOW, CACHE = with_all_holds("open-window"), with_all_holds("mapc-keeps-cache")
NOT_PLAYED = Confirmation("", "a_scenario", "v7.3", (), Outcome("not possible here", "nobody knows"), HELD)


def test_each_defect_has_a_folder_and_all_have_one_machine():
    files = export_files(KERNEL, "cortex-a57", [WINDOW, CACHE, WINDOW, NOT_PLAYED])
    assert files["Image"] == KERNEL.image
    assert [name for name, *_ in read(files["initrd"])] == ["dev", "proc", "sys", "dev/console", "init"]
    assert {"guest/guest", "guest/main.c", "guest/sys.c", "guest/vm.c", "guest/Makefile"} <= files.keys()
    assert {path for path in files if path.startswith(("open", "mapc"))} == {
        *(f"{folder}/{name}" for folder in ("open-window", "open-window-2") for name in WRITTEN),
        *(f"mapc-keeps-cache/{name}" for name in WRITTEN[:2]),  # Nobody is held.
    }
    readme = files["README.txt"].decode()
    assert all(f"  {name}" in readme for name in ("open-window ", "open-window-2 ", "mapc-keeps-cache ", "a_scenario "))
    assert "6.12.1-x" in readme
    assert max(map(len, readme.splitlines())) <= 120


WRITTEN = ["report.txt", "commands.txt", "holds.gdb"]


def test_what_is_typed_is_the_guest_programs():
    files = export_files(KERNEL, "cortex-a57", [WINDOW])
    lines = files["open-window/commands.txt"].decode().splitlines()
    assert lines[0] == "vm 4 1"
    assert lines.index("thread 1 msi 0 0 0") < lines.index("go") < lines.index("msi 0 0 0")
    assert files["open-window/report.txt"].decode().startswith("Subject: KVM: arm64: vgic: open-window\n")


@pytest.mark.parametrize("named", [[], ["other image"]])
def test_the_script_boots_the_same_machine_from_anywhere(tmp_path, named):
    folder, elsewhere, programs = tmp_path / "a folder", tmp_path / "elsewhere", tmp_path / "bin"
    write_folder(folder, export_files(KERNEL, "neoverse-n1", [WINDOW]))
    elsewhere.mkdir()
    programs.mkdir()
    (elsewhere / "other image").touch()
    qemu = programs / "qemu-system-aarch64"
    qemu.write_text(
        f"#!{sys.executable}\nimport os, sys\nprint(os.getcwd(), *sys.argv[1:], sys.stdin.read(), sep='|')\n"
    )
    qemu.chmod(0o755)
    done = subprocess.run(
        [folder / "run.sh", *named],
        cwd=elsewhere,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        input="vm 1 1\n",
        capture_output=True,
        text=True,
        check=True,
    )
    image = elsewhere / "other image" if named else folder / "Image"
    connections = ["-serial", "stdio", "-chardev", "socket,path=gdb.socket,server=on,wait=off,id=gdb"]
    command = command_line("neoverse-n1", str(image), "initrd", "", [*connections, "-gdb", "chardev:gdb"])
    assert done.stdout == "|".join([str(folder), *command[1:], "vm 1 1\n\n"])


def test_a_story_that_cannot_be_played_has_no_folder_and_its_report_is_whole():
    one = replace(WINDOW, story=replace(HELD, before=("does what nobody knows",)))
    files = export_files(KERNEL, "cortex-a57", [one])
    assert not [path for path in files if path.startswith("open-window")]
    assert "How to see it" not in report_text(KERNEL, [one])
    assert "  open-window  " in files["README.txt"].decode()

"""Help, version, completion, and options that are the same everywhere."""

import json
import os
import subprocess
import sys

import pytest

import vgic
from vgic.cli.sub_commands import SUB_COMMANDS

COMMANDS = [
    *(
        [name]
        for name in ("compare", "stress", "predict", "scale", "calibrate", "prove", "confirm", "torture", "replay")
    ),
    ["recording"],
    ["designs"],
    ["kernels"],
    ["machines"],
    ["its"],
    ["its", "decode"],
]


def test_every_command_is_here():
    assert set(SUB_COMMANDS) == {command[0] for command in COMMANDS}


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_help_names_no_type(vgic_command, command):
    for columns in (60, 80):
        done = vgic_command(*command, "--help", columns=columns)
        assert (done.returncode, done.stderr) == (0, "")
        for kind in ("<bool>", "<str>", "<int>", "<float>", "list["):
            assert kind not in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= columns


def test_a_group_alone_is_its_help(vgic_command):
    done = vgic_command("its")
    assert (done.returncode, done.stderr) == (2, "")
    assert "decode" in done.stdout


@pytest.mark.parametrize(("typed", "meant"), [("predct", "predict"), ("machine", "machines")])
def test_a_command_that_was_meant_is_told(vgic_command, typed, meant):
    done = vgic_command(typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"vgic: error: No such command '{typed}'. Did you mean '{meant}'?\n"


def test_version(vgic_command):
    assert vgic_command("-V").stdout == vgic_command("--version").stdout == f"vgic {vgic.__version__}\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("vgic pr", ["predict", "prove"]),
        ("vgic its dec", ["decode"]),
        ("vgic prove --design v6.10,v7", ["v6.10,v7.1.8", "v6.10,v7.3"]),
        ("vgic compare --design patch-1", [row.name for row in vgic.designs() if row.name.startswith("patch-1")]),
        ("vgic prove --scenario send_vs_dis", ["send_vs_discard"]),
        ("vgic predict --machine grav", [name for name in vgic.machines() if name.startswith("grav")]),
        ("vgic predict --entry io", ["ioctl", "ioctl-many", "ioctl-registered"]),
        ("vgic scale --entry i", ["ioctl", "ioctl-many", "ioctl-registered", "irqfd"]),
        ("vgic designs v6.8", ["v6.8-rc1"]),
        ("vgic designs --kernel 6.12", ["6.12", "6.12.117"]),
    ],
)
def test_a_shell_completes_names(words, told):
    environment = {**os.environ, "_VGIC_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split()) - 1)
    code = "from vgic.cli import app; app(prog_name='vgic')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert told
    assert sorted(done.stdout.split()) == sorted(told), done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("prove", "--scenario", "send_vs_discard", "--preemptions", "0"),
        ("stress", "--mode", "senders", "-i", "10"),
        ("predict", "-v", "1", "-d", "1", "-i", "2"),
        ("scale", "--cores", "2", "--sends", "100"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_several_designs_with_commas_or_repeated(vgic_command, tmp_path, arguments):
    def designs(*given):
        done = vgic_command(*arguments, *given, "--json", "out.json")
        assert done.returncode == 0, done.stderr
        data = json.loads((tmp_path / "out.json").read_text())
        rows = data.get("proofs") or data["results"]
        return list(dict.fromkeys(row["design"] for row in rows))

    wanted = ["v6.10", "v6.9"]
    more = ["gicv4"] if arguments[0] == "scale" else []
    assert designs("--design", "v6.10,v6.9") == wanted + more
    assert designs("--design", "v6.10", "--design", "v6.9,v6.10") == wanted + more


@pytest.mark.parametrize("option", [("--design", ""), ("--design", "v6.10,"), ("--design", ",")])
def test_an_empty_name_is_no_name(vgic_command, option):
    for command in ("prove", "stress", "predict", "scale", "compare"):
        done = vgic_command(command, *option)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("vgic: error: unknown design ''")

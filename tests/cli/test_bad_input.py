import lzma
import os

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["stress", "--frobnicate"], "No such option: --frobnicate"),
        (["stress", "-v", "many"], "'-v'"),
        (["stress", "-v", "0"], "vcpus: 0 is out of range 1 to 512"),
        (["stress", "-v", "513"], "vcpus: 513 is out of range 1 to 512"),
        (["stress", "-d", "100", "-e", "1000"], "100000 LPIs, but INTIDs 8192 to 65535 hold only 57344"),
        (["stress", "-i", "0"], "iterations: 0 is out of range"),
        (["stress", "-i", "1", "--seconds", "1"], "iterations and seconds"),
        (["stress", "--list-registers", "17"], "list-registers: 17"),
        (["stress", "--repeat", "0"], "repeat: 0 is out of range"),
        (["stress", "--mode", "fast"], "mode: 'fast' is unknown (one of: live, lockstep, senders)"),
        (["stress", "--entry", "irqfd"], "entry: 'irqfd' is unknown"),
        (["stress", "--design", "patch-51"], "unknown design 'patch-51': did you mean patch-15"),
        (["stress", "--json", "/nonexistent/x.json"], "/nonexistent/x.json: cannot be written: No such file"),
        (["stress", "--json", "/"], "/: cannot be written: is a directory"),
        (["replay"], "Missing argument 'RECORDING'"),
        (
            ["replay", "nothing-here"],
            "nothing-here: no such file, nor a bundled recording (redis-memtier, virtio-4cpu)",
        ),
        (["replay", "/dev/null"], "/dev/null: not a regular file"),
        (["replay", "virtio-4cpu", "--loop", "-1"], "loop: -1 is out of range"),
        (["replay", "virtio-4cpu", "--design", "v9"], "unknown design 'v9'"),
        (["recording"], "Missing argument 'RECORDING'"),
        (["recording", "nothing-here"], "nothing-here: no such file"),
        (["recording", "virtio-4cpu", "--from", "20"], "virtio-4cpu: nothing is recorded there; it ends at 11.2"),
        (["recording", "virtio-4cpu", "--from", "5", "--to", "4"], "from and to: nothing lies from 5 s to 4 s"),
        (["recording", "virtio-4cpu", "--phase", "100"], "phase: 100 is out of range 1 to 9"),
        (["replay", "virtio-4cpu", "--phase", "2", "--to", "1"], "phase: not together with from or to"),
        (["compare", "--phase", "0"], "phase: 0 is out of range 1 to"),
        (["recording", "virtio-4cpu", "--json", "/nonexistent/x.json"], "/nonexistent/x.json: cannot be written"),
        (["compare", "--design", "v9"], "unknown design 'v9'"),
        (["compare", "--recording", "nothing-here"], "nothing-here: no such file"),
        (["compare", "--output", "/nonexistent/deep"], "/nonexistent/deep: cannot be written"),
        (["compare", "--output", "/dev/null"], "/dev/null: cannot be written: not a directory"),
        (["designs", "v6.8-rc"], "unknown design 'v6.8-rc': did you mean v6.8-rc1"),
    ],
)
def test_one_line_and_status_2(vgic_command, tmp_path, arguments, message):
    done = vgic_command(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("vgic: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("command", ["replay", "compare", "recording"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello\n", "no gicv3_its line"),
        (bytes(range(256)), "binary data"),
        (lzma.compress(bytes(range(256)) * 20), "binary data"),
        (lzma.compress(b"gicv3_its_cmd_sync GICv3 ITS: command SYNC\n" * 9000)[:-20], "truncated"),
    ],
    ids=["empty", "text", "binary", "binary-xz", "truncated-xz"],
)
def test_a_file_that_is_no_recording(vgic_command, tmp_path, command, content, message):
    path = tmp_path / "guest.log.xz"
    path.write_bytes(content)
    arguments = [command, *(["--recording"] if command == "compare" else []), str(path)]
    done = vgic_command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"vgic: error: {path}: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["guest.log.xz"]


def test_an_unsound_design_is_refused_with_its_defect(vgic_command):
    import vgic

    row = next(d for d in vgic.designs() if d.unsound)
    done = vgic_command("stress", "--design", row.name)
    assert done.returncode == 2
    assert row.defect.rstrip(".") in done.stderr


def test_a_report_that_cannot_be_written_is_said_before_measuring(vgic_command, tmp_path):
    (tmp_path / "report.html").mkdir()
    done = vgic_command("compare")
    assert done.returncode == 2
    assert "report.html: cannot be written: is a directory" in done.stderr
    assert os.listdir(tmp_path) == ["report.html"]

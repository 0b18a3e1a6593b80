"""``vgic confirm``: what it refuses, what it prints, how it ends. The kernel is tests/confirm's business."""

import json
import os

import pytest

from vgic.confirm import export, run
from vgic.confirm.play import Outcome


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--all"], "--kernel is needed"),
        (["--kernel", "debian:6.12"], "which defect? There are moved-then-disabled, "),
        (["--kernel", "x", "--all", "open-window"], "--all: there are defects named besides"),
        (["--kernel", "x", "nope"], "unknown defect 'nope'"),
        (["--kernel", "x", "CVE-2026-72288"], "what a VMM sees of it is not written down"),
        (["--kernel", "/none", "--all"], "/none: No such file or directory"),
        (["--kernel", "debian:5", "--all"], "unknown series 'debian:5'"),
        (["--kernel", __file__, "--all"], "this is not a kernel for arm64"),
        (["--kernel", "x", "--all", "--json", "/none/x"], "/none/x"),
        (["--kernel", "x", "--all", "--report", "/none/x"], "/none/x"),
        (["--kernel", "x", "--all", "--export", "/none/x"], "/none/x: cannot be written: No such file or directory"),
        (["--kernel", "x", "--all", "--export", "/"], "/: cannot be written: is there, and not empty"),
        (["--kernel", "x", "--all", "--export", __file__], f"{__file__}: cannot be written: Not a directory"),
        (["--kernel", "x", "--all", "--export", "out", "--json", "out"], "json and export: out is in out"),
        (["--kernel", "x", "--all", "--export", "out", "--report", "out/x"], "out"),
        (["--kernel", "x", "/none/story.json"], "/none/story.json"),
    ],
)
def test_bad_input_is_one_line(vgic_command, arguments, why):
    done = vgic_command("confirm", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("vgic: error: ")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "Image"
    path.write_bytes(bytes(56) + b"ARM\x64" + b"Linux version 6.12.1-x (y) #1")
    return path


OUTCOMES = {
    "open-window": Outcome("confirmed", "it does", (1,), (-16,), ("step 1, f: x; held at f+0x4",), seconds=2.0),
    "mapc-keeps-cache": Outcome("refuted", "it does not", (-16,), (-16,), seconds=1.0),
    "enable-forgets-map": Outcome("not possible here", "[lost]", trouble=("BUG: soft lockup",)),
}


def played(monkeypatch, names):
    """Has ``vgic confirm`` find these outcomes."""

    def confirm(kernel, chosen, *, cpu, tell):
        assert [case.defect for case in chosen] == names
        for name in names:
            yield run.Confirmation(name, "a_scenario", "v7.1.8", ("ask",), OUTCOMES[name])

    monkeypatch.setattr(run, "confirm", confirm)


def test_what_is_confirmed_is_status_0_with_its_evidence(vgic_command, image, monkeypatch):
    played(monkeypatch, ["open-window"])
    done = vgic_command("confirm", "open-window", "--kernel", image)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{image}: 6.12.1-x" in done.stdout
    assert "open-window: confirmed   a_scenario of v7.1.8, 2.0 s" in done.stdout
    assert "  step 1, f: x; held at f+0x4" in done.stdout
    assert "ask                              1       -16" in done.stdout
    assert done.stdout.endswith("1 of 1 confirmed\n")


def test_anything_else_is_status_1_and_json_has_all_of_it(vgic_command, image, monkeypatch, tmp_path):
    names = list(OUTCOMES)
    played(monkeypatch, names)
    out = tmp_path / "out.json"
    done = vgic_command("confirm", ",".join(names), "--kernel", image, "--json", out)
    assert (done.returncode, done.stderr) == (1, "")
    assert "the kernel says: BUG: soft lockup" in done.stdout
    assert "[lost]" in done.stdout
    document = json.loads(out.read_text())
    assert (document["kernel"], document["release"]) == (str(image), "6.12.1-x")
    assert [row["verdict"] for row in document["confirmations"]] == ["confirmed", "refuted", "not possible here"]
    assert document["confirmations"][0]["answers"] == [1]
    assert document["confirmations"][0]["asked"] == ["ask"]


def test_a_story_of_prove_is_played_and_a_report_written(vgic_command, image, monkeypatch, tmp_path):
    """What 'vgic prove --json' writes is what 'vgic confirm' takes."""
    story, report = tmp_path / "story.json", tmp_path / "report.txt"
    done = vgic_command("prove", "--scenario", "lpis_disable_vs_resolver", "--json", story, "--seconds", "600")
    assert done.returncode == 1, done.stderr
    played(monkeypatch, ["open-window"])
    done = vgic_command("confirm", str(story), "--kernel", image, "--report", report)
    assert (done.returncode, done.stderr) == (0, "")
    assert report.read_text().startswith("Subject: KVM: arm64: vgic: open-window\n")


def test_a_file_without_stories_is_one_line(vgic_command, image, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    done = vgic_command("confirm", str(tmp_path / "a.json"), "--kernel", image)
    assert (done.returncode, done.stdout) == (2, "")
    assert "this is no file of 'vgic prove --json'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_export_is_there_whole_beside_what_else_is_written(vgic_command, image, monkeypatch, tmp_path):
    played(monkeypatch, ["open-window"])
    (tmp_path / "out").mkdir()
    done = vgic_command("confirm", "open-window", "--kernel", image, "--export", "out", "--json", "found.json")
    assert (done.returncode, done.stderr) == (0, "")
    out = tmp_path / "out"
    assert (out / "Image").read_bytes() == image.read_bytes()
    assert {path.name for path in out.iterdir()} == {"Image", "README.txt", "guest", "initrd", "run.sh"}
    assert os.access(out / "run.sh", os.X_OK)
    assert not os.access(out / "README.txt", os.X_OK)
    assert {path.name for path in tmp_path.iterdir()} == {"Image", "found.json", "out"}
    again = vgic_command("confirm", "open-window", "--kernel", image, "--export", "out")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "vgic: error: out: cannot be written: is there, and not empty\n"


@pytest.mark.parametrize(
    ("failure", "status", "said"),
    [(KeyboardInterrupt(), 130, "vgic: interrupted\n"), (OSError(28, "No space left on device"), 2, "out: cannot be")],
)
def test_an_export_that_is_cut_short_leaves_nothing(vgic_command, image, monkeypatch, tmp_path, failure, status, said):
    class Files(dict):
        def items(self):
            yield "Image", b"x"
            assert len(list(tmp_path.glob(".vgic-*/out/Image"))) == 1
            raise failure

    played(monkeypatch, ["open-window"])
    monkeypatch.setattr(export, "export_files", lambda kernel, cpu, found: Files())
    done = vgic_command("confirm", "open-window", "--kernel", image, "--export", "out", "--json", "found.json")
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"Image", "found.json"}

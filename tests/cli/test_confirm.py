"""``vgic confirm``: what it refuses, what it prints, how it ends. The kernel is tests/confirm's business."""

import json

import pytest

from vgic.confirm import run
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

"""``vgic machines``: the list, one machine value by value, and both as JSON."""

import json
import re
from dataclasses import replace

import pytest

from vgic.host import Host
from vgic.machines import PARAMETERS, machine, machines


def test_machines_lists_every_one(vgic_command):
    done = vgic_command("machines")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    for name in machines():
        assert name in done.stdout
    for text in ("192 cores, matrix", "1 measured", "4 published", "26 guessed", "5 fitted", "3 rates", "nothing"):
        assert text in done.stdout


def test_machines_begins_with_this_one(vgic_command, monkeypatch):
    here = Host("AWS Graviton3 (Arm Neoverse V1)", (), "Amazon EC2 c7g.large", 1, 4096, True, True, "graviton3")
    monkeypatch.setattr("vgic.measure.results.this_host", lambda: here)
    said = " ".join(vgic_command("machines").stdout.split())
    assert re.match(
        r"This machine: AWS Graviton3 \(Arm Neoverse V1\), \d+ CPUs?, 1 NUMA node, pages of 4 KiB, LSE ", said
    )
    assert ", virtual, Amazon EC2 c7g.large. This looks like graviton3: compare 'vgic predict --machine gra" in said
    monkeypatch.setattr("vgic.measure.results.this_host", lambda: replace(here, profile=None))
    assert "\nIt looks like none of these.\n" in vgic_command("machines").stdout


def test_machines_as_json(vgic_command, tmp_path):
    data = json.loads(vgic_command("machines", "--json", "-").stdout)
    assert data["here"].keys() >= {"cpu", "cores", "virtual", "profile"}
    assert [row["name"] for row in data["machines"]] == list(machines())
    for row in data["machines"]:
        assert sum(row["statuses"].values()) == len(PARAMETERS) + 1
        assert "values" not in row
    assert [round(check["ratio"], 2) for check in data["machines"][-1]["checks"]] == [0.69, 0.9, 0.82]
    assert vgic_command("machines", "graviton2", "--json", "x.json").stdout.startswith("graviton2\n")
    [row] = json.loads((tmp_path / "x.json").read_text())["machines"]
    assert [value["name"] for value in row["values"]] == ["distance", *PARAMETERS]


@pytest.mark.parametrize("name", ["published-2024", "graviton2", "generic-arm64-1", "generic-arm64-1024"])
def test_machines_shows_one_value_by_value(vgic_command, name):
    done = vgic_command("machines", name)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    # A cell that is too narrow breaks its text, so that only words are looked for.
    words = set(done.stdout.split())
    for key, value in machine(name).values.items():
        assert key in words
        assert set(str(value).split()) <= words
        assert value.source.split()[0] in words
    assert ("Checked against no measured rate." in done.stdout) == (name != "published-2024")


def test_machines_shows_the_profile_in_a_file(vgic_command, tmp_path):
    value = 'step = { ns = 1.5, source = "my clock", status = "measured" }'
    (tmp_path / "mine.toml").write_text(f'base = "graviton3"\ntitle = "My [server]"\n[values]\n{value}\n')
    done = vgic_command("machines", "mine.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "My [server]" in done.stdout
    assert "2 measured, 2 published, 14 derived, 25 guessed" in done.stdout
    assert "my clock" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cray"], "unknown machine 'cray'"),
        (["no.toml"], "no.toml: no such file"),
        (["--json", "no/x"], "no/x: cannot be written"),
    ],
)
def test_bad_input_is_one_line(vgic_command, arguments, message):
    done = vgic_command("machines", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("vgic: error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr

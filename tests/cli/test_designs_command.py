"""``vgic designs``: one with its defects, two beside each other, and what fits a narrow terminal."""

import json

import pytest

import vgic
from vgic.prove import defects_of


def test_a_design_is_shown_with_its_own_and_inherited_defects(vgic_command):
    shown = vgic_command("designs", "v6.10").stdout
    own, inherited = defects_of("v6.10")
    assert f"Own defects: {len(own)}" in shown
    assert f"Inherited defects: {len(inherited)}" in shown
    for one in [*own, *inherited]:
        assert one.title in " ".join(shown.split())
    data = json.loads(vgic_command("designs", "v6.10", "--json", "-").stdout)
    (row,) = data["designs"]
    assert {entry["cve"] for kind in row["defects"].values() for entry in kind} >= {"CVE-2026-46316", "CVE-2026-72288"}


def test_two_designs_are_shown_beside_each_other(vgic_command):
    done = vgic_command("designs", "v6.7", "v6.8-rc1")
    assert done.returncode == 0, done.stderr
    assert "Axes on which they differ" in done.stdout
    assert "- CVE-2024-26598" in done.stdout
    data = json.loads(vgic_command("designs", "v6.7", "v6.8-rc1", "--json", "-").stdout)
    assert data["difference"]["first"] == "v6.7"
    assert data["difference"]["defects_of_first"]


def test_three_are_too_many(vgic_command):
    done = vgic_command("designs", "v6.7", "v6.8-rc1", "v6.10")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "vgic: error: at most two designs can be shown beside each other, not 3\n"


@pytest.mark.parametrize("arguments", [["designs"], ["designs", "v6.10"], ["designs", "v6.10", "v7.1.8"]])
def test_a_narrow_terminal_loses_nothing(vgic_command, arguments):
    narrow = vgic_command(*arguments, columns=60)
    assert narrow.returncode == 0, narrow.stderr
    assert max(map(len, narrow.stdout.splitlines())) <= 60
    assert "…" not in narrow.stdout
    names = [row.name for row in vgic.designs()] if len(arguments) == 1 else arguments[1:]
    assert all(name in narrow.stdout for name in names)


def test_what_is_found_is_called_known_with_the_design_that_mended_it(vgic_command):
    arguments = (
        "prove",
        "--design",
        "v6.7",
        "--scenario",
        "send_vs_discard",
        "--preemptions",
        "1",
        "--seconds",
        "1200",
    )
    done = vgic_command(*arguments, "--json", "out.json", columns=100)
    assert done.returncode == 1, done.stderr
    assert "known: CVE-2024-26598, fixed in v6.8-rc1: " in done.stdout
    done = vgic_command(*arguments, "--json", "-", columns=60)
    (proof,) = json.loads(done.stdout)["proofs"]
    assert proof["stories"][0]["known"]["cve"] == "CVE-2024-26598"
    assert proof["stories"][0]["known"]["fixed_in"] == "v6.8-rc1"
    narrow = vgic_command(*arguments, columns=60)
    told = [line for line in narrow.stdout.splitlines() if "replay:" not in line]
    assert max(map(len, told)) <= 60


def test_axes_are_listed_with_every_way_and_since_when(vgic_command):
    done = vgic_command("designs", "--axes")
    assert done.returncode == 0, done.stderr
    data = json.loads(vgic_command("designs", "--axes", "--json", "-").stdout)
    assert [row["name"] for row in data["axes"]] == [axis.name for axis in vgic.axes()]
    text = " ".join(done.stdout.split())
    for row in data["axes"]:
        for way, about in row["ways"].items():
            assert f"{way} {about}" in text
            assert (f"since {row['since'][way]}" if row["since"][way] else "only composed") in text
    done = vgic_command("designs", "v6.10", "--axes")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_composed_design_is_shown_with_what_it_is_made_of(vgic_command):
    shown = vgic_command("designs", "v6.10+drain=put-erased").stdout
    assert "drain=put-erased" in shown
    assert "Defects of v6.10, of which 'vgic prove' shows what is left" in shown
    assert "- put-met" in vgic_command("designs", "v6.10", "v6.10+drain=put-erased").stdout

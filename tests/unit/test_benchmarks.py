"""A bar that is met on one machine and missed on another: what BENCHMARKS.md says of it comes from data."""

import re
import tomllib
from pathlib import Path

import pytest

from vgic.host import Host
from vgic.measure.results import machine
from vgic.measure.stats import Spread

ROOT = Path(__file__).resolve().parents[2]
KEY, TEXT, CPU = "senders-patch-15", "`patch-15` to `v6.8-rc1`, `-e 1`", "AMD EPYC"


@pytest.fixture
def document(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benches")
    from figures import document

    return document


def test_a_bar_that_depends_on_the_machine_says_so_with_its_values(document):
    bar = document.Bar(KEY, TEXT, Spread(1.03, 1.03, 1.06), least=1.35)
    assert (bar.met, bar.depends, bar.verdict) == (False, True, "depends on the machine")
    said = bar.dependence(CPU)
    assert said.startswith("depends on the machine: 1.03 \N{MULTIPLICATION SIGN} on AMD EPYC (here), 1.28 ")
    for cpu, value in bar.elsewhere:
        assert f"{value} \N{MULTIPLICATION SIGN} on {cpu}" in said
    assert said.endswith("; at least 1.35 \N{MULTIPLICATION SIGN} was asked for")
    # Also where it is met.
    assert document.Bar(KEY, TEXT, Spread(1.4, 1.4, 1.4), least=1.35).depends
    assert bar.to_dict()["depends"] is True


def test_a_bar_that_is_missed_or_met_on_all_machines_does_not_depend(document):
    assert document.Bar(KEY, TEXT, Spread(1.0, 1.0, 1.0), least=2).verdict == "**MISSED**"
    assert document.Bar(KEY, TEXT, Spread(2.0, 2.0, 2.0), least=1).verdict == "met"
    assert document.Bar("another", TEXT, Spread(1.0, 1.0, 1.0), least=2).verdict == "**MISSED**"


@pytest.mark.parametrize(
    ("virtual", "said"),
    [
        (True, "Oracle Cloud, arm64; others share its CPUs"),
        (False, "Oracle Cloud, arm64"),
        (None, "arm64; whether it is a virtual machine, which shares its CPUs with others, cannot be told"),
    ],
)
def test_the_document_names_the_machine(document, monkeypatch, virtual, said):
    import make_benchmarks
    from figures import tools

    monkeypatch.setattr(tools.platform, "machine", lambda: "aarch64")
    host = Host("Ampere Altra (Arm Neoverse N1)", (), "Oracle Cloud", 1, 4096, True, virtual, "altra-80")
    monkeypatch.setattr("vgic.measure.results.this_host", lambda: host)
    about = {
        "machine": machine(),
        "created": "now",
        "seconds": 1,
        "quick": False,
        "rcu_strategy": "fences",
        "load_before": 0.0,
        "stolen": 0.0,
        "pinned": {"processes": 1, "rounds": 1, "sample_seconds": 0.1},
        "versions": {"vgic": "0", "commit": "0", "rustc": "0", "valgrind": "none"},
    }
    text = make_benchmarks._document(about, [])
    [row] = [line for line in text.splitlines() if line.startswith("| CPU | Ampere Altra (Arm Neoverse N1), ")]
    assert row.endswith(f"{said} |")
    assert ("shared CPUs cannot show" in text) == (virtual is not False)
    assert "The engine is built for arm64 here" in text


def test_the_document_has_what_the_data_says(document):
    text = (ROOT / "BENCHMARKS.md").read_text(encoding="utf-8")
    assert f"| CPU | {CPU}, " in text
    row = rf"^\|.* {re.escape(TEXT)} \| at least 1.35 . \| (.+) . \| .*\|$"
    [value] = set(re.findall(row, text, re.MULTILINE))
    spread = re.fullmatch(r"(\S+) \((\S+) to (\S+)\)", value)
    assert spread is not None
    median, low, high = map(float, spread.groups())
    # Quartiles that are written alike need not be the same.
    bar = document.Bar(KEY, TEXT, Spread(median, low - 1e-9, high), least=1.35)
    assert text.count(f"| {TEXT} | {bar.limit} | {bar.value} | {bar.verdict} |") == 2
    assert f"- {TEXT} {bar.dependence(CPU)}.\n" in text
    remarks = tomllib.loads((ROOT / "benches" / "remarks.toml").read_text(encoding="utf-8"))
    depends, missed = text.index("### What depends on the machine"), text.index("### Why bars were missed")
    assert depends < text.index(remarks[KEY].strip()) < missed
    rows = text[: text.index("### What depends")]
    verdicts = [line.rsplit("|", 2)[1].strip() for line in rows.splitlines() if line.count("|") == 6]
    # A miss may be told to be within the spread.
    said = ("met", "depends on the machine", "**MISSED**")
    met, depends, missed = (sum(verdict.startswith(one) for verdict in verdicts) for one in said)
    assert (met + depends + missed, depends) == (29, 1)
    assert f"## {met} of 29 bars met, 1 depends on the machine\n" in text

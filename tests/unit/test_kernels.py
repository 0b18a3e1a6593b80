"""Kernels: what a name tells, which design one is, and that designs, defects and records agree."""

import dataclasses
import re
from importlib import import_module

import pytest

import vgic
from vgic.kernels import kernel, kernels, release
from vgic.kernels.gain import gains
from vgic.kernels.kernel import _raw, design_release
from vgic.prove import defects
from vgic.prove.defects import defect

DESIGNS = [row.name for row in vgic.designs() if design_release(row.name) is not None]
FIXES = [(one, fix) for one in defects() for fix in one.fixed]


@pytest.mark.parametrize(
    ("text", "number", "known"),
    [
        ("6.6.87", "6.6.87", True),
        ("v7.3-rc1", "7.3-rc1", True),
        (" 7.2 ", "7.2", True),
        ("6.18.0", "6.18", True),
        ("6.18.0-rc4-next-20251104", "6.18-rc4", True),
        ("6.12.117+deb13-arm64", "6.12.117", True),
        ("6.1.134-150.224.amzn2023.aarch64", "6.1.134", True),
        ("6.6.51+rpt-rpi-v8", "6.6.51", True),
        ("5.15.167.4-microsoft-standard-WSL2", "5.15.167", True),
        ("6.12.0-custom", "6.12", True),
        # Names of packages, which hide the stable release.
        ("6.1.0-37-arm64", "6.1", False),
        ("6.8.0-1020-aws", "6.8", False),
        ("5.14.0-503.el9.aarch64", "5.14", False),
        # What tells it nevertheless: 'uname -a' of Debian, /proc/version_signature of Ubuntu.
        ("6.1.0-37-arm64 #1 SMP Debian 6.1.140-1 (2025-05-22)", "6.1.140", True),
        ("Linux host 6.1.0-37-arm64 #1 SMP Debian 6.1.140-1 (2025-05-22) aarch64 GNU/Linux", "6.1.140", True),
        ("6.8.0-45-generic Ubuntu 6.8.0-45.45-generic 6.8.12", "6.8.12", True),
        ("Linux host 6.6.87 #1 SMP PREEMPT aarch64 GNU/Linux", "6.6.87", True),
    ],
)
def test_a_name_tells_a_release(text, number, known):
    found = release(text)
    assert (str(found), found.known) == (number, known)
    assert found == release(number)


@pytest.mark.parametrize(
    "text", ["", "6", "linux", "6.6.", "6.6.87foo", "-6.6", "6.6.123456", "v", "6.6.87-\x1b[31m", "\u0666.\u0666"]
)
def test_what_is_no_release_is_refused(text):
    with pytest.raises(ValueError, match=r"^kernel: .* is no release such as 6\.6\.87") as refused:
        release(text)
    assert "\x1b" not in str(refused.value)


def test_releases_are_ordered():
    names = ["6.1.192", "6.8-rc1", "6.8", "6.8.1", "6.10", "6.18", "6.18.1", "7.0", "7.2-rc6", "7.2", "7.2.10"]
    assert [str(one) for one in sorted(map(release, reversed(names)))] == names


@pytest.mark.parametrize(
    ("text", "design"),
    [
        ("6.1.74", "v6.7"),
        ("6.1.75", "v6.8-rc1"),
        ("6.1.192", "v6.8-rc1"),
        ("6.6.87", "v6.8-rc1"),
        ("6.7.1", "v6.7"),
        ("6.9.12", "v6.9"),
        ("6.12.117", "v6.10"),
        ("6.18.56", "v6.17"),
        ("7.1.7", "v6.17"),
        ("7.1.8", "v7.1.8"),
        ("7.2-rc5", "v6.17"),
        ("7.2", "v7.1.8"),
        ("7.2.4", "v7.1.8"),
    ],
)
def test_a_kernel_has_the_design_that_it_has_reached(text, design):
    assert kernel(text).design == design


def test_a_stable_kernel_has_its_backports_and_the_rest():
    found = kernel("6.6.87")
    assert [(one.defect.id, str(one.fix)) for one in found.backports] == [
        ("CVE-2024-26598", "6.6.14"),
        ("walk-meets-unmapped", "6.6.19"),
    ]
    has = {one.defect.id: one for one in found.defects}
    assert has["CVE-2026-72289"].until == "fixed in 6.6.145"
    assert has["CVE-2026-72288"].until == "no fix in this series; mainline 7.2"
    assert has["open-window"].until == "no kernel has a fix"
    assert "CVE-2026-46316" not in has
    assert {"CVE-2026-72289", "CVE-2026-46316"}.isdisjoint(kernel("6.6.145").cves)
    # The catalogue does not say more than is known: nobody has looked for this fix there.
    assert has["baser-keeps-cache"].until == "no fix known in this series; mainline 7.3-rc5"
    assert not has["baser-keeps-cache"].certain


@pytest.mark.parametrize(
    ("text", "composed"),
    [
        ("6.12", "v6.10"),
        ("6.12.92", "v6.10"),
        ("6.12.93", "v6.10+drain=put-erased"),
        ("6.1.192", "v6.8-rc1+unmapped=skipped+prune-gap=referenced+lpis-off=unqueue-and-clear"),
        ("7.2.13", "v7.3"),
    ],
)
def test_a_stable_kernel_is_its_design_with_its_backports(text, composed):
    found = vgic.kernel(text)
    assert found.composed == composed
    assert vgic.design(composed).name == composed
    assert found.to_dict()["composed"] == composed


def test_every_backport_is_in_the_design_of_each_kernel_that_has_it():
    for row in _raw()["backports"]:
        for start in row["from"]:
            assert f"+{row['axis']}={row['value']}" in vgic.kernel(start).composed, (row, start)


def test_a_fix_whose_first_kernel_is_not_known_is_called_so():
    (before,) = (one for one in kernel("6.12.100").defects if one.defect.cve == "CVE-2026-72288")
    assert (before.until, before.certain) == ("fixed in 6.12.117 at the latest", False)
    assert "CVE-2026-72288" not in kernel("6.12.117").cves


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("6.1.0-37-arm64", "the stable release cannot be known from 6.1.0-37-arm64"),
        ("6.6.9999", "6.6.9999 is newer than 6.6.145, the newest of its series"),
        ("9.1", "9.1 is newer than 7.3, the newest that is known"),
        ("6.5.3", "6.5 is not among the kernels that are known here, and 6.6 is the nearest"),
        ("6.2", "6.2 is not among the kernels that are known here, and 6.1 is the nearest"),
        ("4.19.300", "4.19.300 is older than 5.4"),
        ("6.11.5", "of 6.11 only the mainline's release is known"),
        ("7.1.5", "6.19 reworked"),
    ],
)
def test_what_is_not_known_is_said(text, note):
    notes = kernel(text).notes
    assert any(one.startswith(note) for one in notes), notes


@pytest.mark.parametrize("text", ["6.6.87", "6.12.117", "6.12.117+deb13-arm64", "7.2.13", "7.1.8", "7.3", "6.10"])
def test_what_is_known_needs_no_note(text):
    assert kernel(text).notes == ()


def test_a_defect_of_which_nobody_knows_since_when_is_as_old_as_its_first_design(monkeypatch):
    one = dataclasses.replace(defect("CVE-2026-74568-leak"), since="", introduced_in=("v7.1.8",), fixed_in=(), fixed=())
    # 'vgic.kernels' is a function besides.
    monkeypatch.setattr(import_module("vgic.kernels.kernel"), "defects", lambda: (one,))
    has = [text for text in ("6.12.117", "7.1", "7.1.7", "7.1.8", "7.2-rc5", "7.2", "7.2.3") if kernel(text).defects]
    assert has == ["7.1.8", "7.2", "7.2.3"]


def test_the_series_are_in_order_and_those_with_stable_releases_have_one():
    rows = kernels()
    assert [release(one.name) for one in rows] == sorted(release(one.name) for one in rows)
    followed = {one.name for one in rows if one.newest}
    assert {"6.1", "6.6", "6.12", "6.18", "7.1", "7.2"} <= followed
    assert all(release(one.newest).series == one.name for one in rows if one.newest)
    assert {f"6.{minor}" for minor in range(7, 20)} | {"7.0", "7.3"} <= {one.name for one in rows}


def test_every_design_that_is_named_after_a_kernel_follows_it():
    """A design that is added needs its line in kernels.toml, and nothing else."""
    named = [row.name for row in vgic.designs() if re.match(r"v\d+\.", row.name)]
    assert named == DESIGNS
    for name in named:
        assert str(design_release(name)) == name.removeprefix("v")
        assert kernel(name).design == name


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("one", [one for one in defects() if not one.of_kernels_alone], ids=lambda one: one.id)
def test_a_design_has_the_defects_that_the_records_say_of_its_kernel(one, name):
    says = one.id in {other.defect.id for other in kernel(str(design_release(name))).defects}
    if name in one.unmodelled_in:
        assert says, "the kernel does not have it: nothing is left out"
        assert not one.is_of(name), "the design has it: take it out of unmodelled_in"
    elif name not in one.hidden_in:
        assert bool(one.is_of(name)) == says


def test_kernels_on_which_a_defect_was_seen_have_it():
    for one in defects():
        for name in one.seen_in:
            assert one.id in {other.defect.id for other in kernel(name).defects}, (one.id, name)


@pytest.mark.parametrize(("one", "fix"), FIXES, ids=[f"{one.id}-{fix.kernel}" for one, fix in FIXES])
def test_a_fix_is_one_of_a_kernel_after_the_defect(one, fix):
    at = release(fix.kernel)
    assert fix.source in ("record", "log", "review", "source", "package")
    assert fix.source != "record" or one.cve
    assert fix.at_latest == (fix.source == "package")
    assert all(re.fullmatch(r"[0-9a-f]{12}", commit) for commit in fix.commits)
    assert at.is_stable or fix.commits or fix.source == "source", "a fix of the mainline has its commit"
    if one.since:
        assert release(one.since) < at
    assert at.series not in one.unfixed


def test_a_series_has_one_fix_and_the_mainline_comes_first():
    for one in defects():
        at = [release(fix.kernel) for fix in one.fixed]
        assert len({found.series for found in at}) == len(at), one.id
        assert [found.is_stable for found in at] == [False] * bool(at) + [True] * (len(at) - bool(at)), one.id


def test_a_fix_mends_one_defect_or_the_halves_of_one_record():
    mended: dict[str, set[str]] = {}
    for one in defects():
        for commit in (commit for fix in one.fixed for commit in fix.commits):
            mended.setdefault(commit, set()).add(one.cve or one.id)
    assert {commit: names for commit, names in mended.items() if len(names) > 1} == {}


def test_a_defect_of_kernels_alone_claims_nothing_of_designs():
    alone = [one for one in defects() if one.of_kernels_alone]
    assert defect("CVE-2026-89912") in alone
    for one in alone:
        claims = (one.scenario, one.found_in, one.absent_in, one.signs, one.fixed_in, one.designs)
        assert not any(claims), one.id
        assert one.fixed or one.cve, one.id


def test_a_later_design_mends_and_brings_in():
    rows = {row.design: row for row in gains(kernel("6.6.87"))}
    assert list(rows)[:2] == ["v6.9", "v6.10"]
    assert "patch-15" not in rows
    row = rows["v6.10"]
    assert row.locks["lpi_list_lock"] == (5, 0)
    assert {"CVE-2026-46316", "CVE-2026-74568", "release-under-lock"} <= {one.id for one in row.brings_in}
    assert "CVE-2026-72289" in {one.id for one in rows["v7.1.8"].mends}
    mended = {one.id for one in rows["hardened"].mends}
    assert "open-window" in mended
    # It stands on v7.3, and the kernel that this follows has the fix; the engine has no such defect to show.
    assert "CVE-2026-89912" in mended
    assert "CVE-2026-89912" not in {one.id for one in rows["v7.1.8"].mends}


def test_the_newest_kernel_gains_from_what_no_kernel_has():
    assert all(not row.release for row in gains(kernel("99.0")))


def test_this_machine_has_a_kernel(monkeypatch):
    found = vgic.kernel_here()
    assert found.release.major > 0
    monkeypatch.setattr("os.uname", lambda: type("Told", (), {"sysname": "Darwin"}))
    with pytest.raises(ValueError, match="kernel-here: this is Darwin"):
        vgic.kernel_here()

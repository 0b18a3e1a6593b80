"""The mail-ready reports: each finding has one, in the form of a mail; what they say of designs and kernels holds."""

import re
import shlex
import tomllib

import pytest
from pages import ROOT, anchors, parse, read

import vgic
from vgic.prove import ProofPlan
from vgic.prove.defects import defects

REPORTS = ROOT / "docs" / "reports"
HARDENED = "docs/explain/hardened.md"
CLAIMS = ROOT / "python" / "vgic" / "confirm" / "claims.toml"

#: The findings that hardened.md tells.
FINDINGS = {one.id: one for one in defects() if one.told.startswith("hardened.md#")}
NAMES = sorted(path.stem for path in REPORTS.glob("*.txt"))

KERNELS = ["6.1.192", "6.12.117", "7.2.13"]
PARTS = [
    "What happens:",
    "Impact:",
    "Since when:",
    "Tried on:",
    "How to see it:",
    "What would mend it:",
    "What is not known:",
]
#: Seconds that only guard against a search without an end.
ENDLESS = 1200
#: What was posted, and is quoted by its title.
POSTED = {
    "Make LPI disabling robust",
    "Do not remove in-flight LPIs from AP list on disable",
    "Drop last_lr_irq and serialize overflow EOI replay",
    "Pick EOIcount deactivations from AP-list tail",
}


def report(name):
    return (REPORTS / f"{name}.txt").read_text(encoding="utf-8")


def words(text):
    """A text without its line breaks."""
    return " ".join(text.split())


def part(name, heading):
    """One part of a report."""
    after = report(name).split(f"\n{heading}\n", 1)[1]
    return re.split(rf"^(?:{'|'.join(PARTS)})$", after, maxsplit=1, flags=re.MULTILINE)[0]


def commands(name, heading, program):
    """The commands of ``vgic program`` that a part quotes, each as words."""
    text = part(name, heading).replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(rf"^    \$ vgic ({program} .*)$", text, re.MULTILINE)]


def title(name):
    """What is wrong, of the subject."""
    return re.sub(r"^Subject: KVM: arm64: [\w-]+: ", "", report(name).splitlines()[0])


def rows():
    """The table of docs/reports/README.md: cells by report."""
    found = {}
    for line in read("docs/reports/README.md").splitlines():
        if match := re.match(r"\| \[([\w-]+)\]\(\1\.txt\) \| (.*) \|$", line):
            found[match[1]] = match[2].split(" | ")
    return found


def test_each_finding_has_its_report_and_the_other_way_round():
    assert sorted(FINDINGS) == NAMES
    assert sorted(rows()) == NAMES


def test_each_section_of_hardened_names_the_scenarios_and_links_the_reports_of_what_it_tells():
    for section in read(HARDENED).split("\n## ")[1:]:
        (anchor,) = anchors(f"## {section.splitlines()[0]}")
        told = {one.id: one.scenario for one in FINDINGS.values() if one.told == f"hardened.md#{anchor}"}
        assert sorted(re.findall(r"\]\(\.\./reports/([\w-]+)\.txt\)", section)) == sorted(told), anchor
        assert not told or {f"`{scenario}`" for scenario in told.values()} <= set(re.findall(r"`\w+`", section))


@pytest.mark.parametrize("name", NAMES)
def test_a_report_has_the_form_of_a_mail(name):
    text = report(name)
    lines = text.splitlines()
    assert text.endswith("\n")
    assert text.isascii()
    assert not [line for line in lines if len(line) > 72 or line != line.rstrip() or "\t" in line]
    assert re.fullmatch(r"Subject: KVM: arm64: vgic(-its|-v3)?: [A-Z]\S* .*[^.]", lines[0])
    assert lines[1] == ""
    assert [line for line in lines if line in PARTS] == PARTS
    table = [line for line in part(name, "What happens:").splitlines() if line.startswith(" ") and "|" in line]
    assert len(table) > 3
    assert len({line.index("|") for line in table}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_what_a_report_quotes_is_the_title_of_another_or_was_posted(name):
    titles = {title(other) for other in NAMES if other != name}
    for quoted in re.findall(r'"([^"]*)"', words(report(name))):
        if " " in quoted:
            assert quoted in titles | POSTED


@pytest.mark.parametrize("name", NAMES)
def test_a_report_says_happens_of_the_kernels_on_which_it_was_made_to_happen(name):
    row = re.compile(r"^    (\d+\.\d+\.\d+) +(happens|does not happen|not tried)(?:: .*)?$", re.MULTILINE)
    lines = row.findall(part(name, "Tried on:"))
    found = dict(lines)
    assert list(found) == KERNELS
    assert [kernel for kernel in KERNELS if found[kernel] == "happens"] == list(FINDINGS[name].seen_in)
    *_, race, first, second, third = rows()[name]
    assert [first, second, third] == list(found.values())
    no_race = re.search("No race is needed|needs no preemption", words(report(name)))
    assert race == ("no" if no_race else "yes")


@pytest.mark.parametrize("name", NAMES)
def test_the_quoted_search_finds_the_defect(name):
    quoted = commands(name, "How to see it:", "prove")
    assert quoted
    assert FINDINGS[name].scenario in [scenario for command in quoted for scenario in parse(command)["scenario"]]
    said = re.search("(?:It|Each) needs (no|one) preemption", words(part(name, "How to see it:")))
    for command in quoted:
        values = parse(command)
        (scenario,), (design,) = values["scenario"], values["design"]
        story = FINDINGS[name].story_in(vgic.prove(scenario, design, ProofPlan(seconds=ENDLESS)))
        assert story is not None
        assert story.preemptions == {"no": 0, "one": 1}[said[1]]


@pytest.mark.parametrize("name", NAMES)
def test_the_quoted_change_is_one_of_hardened_and_ends_what_was_found(name):
    """To one preemption, which is as much as any of them needs; the reports say two, which takes a minute in all."""
    quoted = commands(name, "What would mend it:", "prove")
    seen = {parse(command)["scenario"][0] for command in commands(name, "How to see it:", "prove")}
    assert {parse(command)["scenario"][0] for command in quoted} == seen
    hardened = dict(vgic.design("hardened").axes)
    for command in quoted:
        values = parse(command)
        (scenario,), (design,) = values["scenario"], values["design"]
        changes = dict(change.split("=") for change in design.split("+")[1:])
        assert changes
        assert changes.items() <= hardened.items()
        proof = vgic.prove(scenario, design, ProofPlan(preemptions=1, seconds=ENDLESS))
        assert proof.complete
        assert not proof.stories


@pytest.mark.parametrize("name", NAMES)
def test_a_report_quotes_vgic_confirm_if_the_defect_can_be_played(name):
    claims = tomllib.loads(CLAIMS.read_text(encoding="utf-8"))
    quoted = commands(name, "How to see it:", "confirm")
    assert [parse(command) and command[1] for command in quoted] == [name] * (name in claims)

"""Where the time went as stacked bars: parts that are the whole, colours that can be told and read, text that fits."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from vgic import ClosedWorkload, PredictedWorkload, predict
from vgic.machines import machine
from vgic.predict.explain import Part, parts, spent
from vgic.predict.prediction import prediction_file, prediction_result
from vgic.report import render
from vgic.report.stack import FILLS, Stack, contrast, ink_on, stacked_bars

FLOOD = PredictedWorkload(vcpus=4, devices=4, events=4, iterations=15, gap_us=0)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("kind", ["sender", "vcpu"])
@pytest.mark.parametrize("design", ["v6.8-rc1", "patch-15", "v7.1.8", "gicv4"])
@pytest.mark.parametrize(
    "workload", [FLOOD, PredictedWorkload(iterations=5), ClosedWorkload(vcpus=2, queues=2, in_flight=8, requests=100)]
)
def test_parts_are_the_whole_and_as_the_table_has_them(workload, design, kind):
    done = predict(workload, design)
    found = parts(done.raw, kind)
    assert sum(part.share for part in found) == pytest.approx(1, abs=0.02 if kind == "sender" else 0.1)
    assert all(part.share >= 0 for part in found)
    assert len({part.name for part in found}) == len(found)
    [table] = [one.shares for one in spent(done.raw, smallest=0) if one.kind == kind]
    for part in found:
        if part.group != "line":
            assert part.share == table[part.name]
    at_lines = sum(part.share for part in found if part.group == "line")
    assert at_lines == pytest.approx(table.get("lines under way", 0) + table.get("queueing at lines", 0), abs=1e-9)
    names = {f"{line['object']}[{line['line']}]" for line in done.lines}
    assert {part.name for part in found if part.group == "line"} <= {*names, "other lines"}


def test_what_the_senders_wait_for_is_named():
    [largest, *_] = sorted(parts(predict(FLOOD, "v6.8-rc1").raw, "sender"), key=lambda part: -part.share)
    assert (largest.name, largest.group) == ("waiting for lpi_list_lock", "lock")
    flood = PredictedWorkload(vcpus=1, devices=1, events=64, iterations=20, gap_us=0)
    assert "queueing at the ITS" in {part.name for part in parts(predict(flood, "gicv4").raw, "sender")}


def test_fills_can_be_told_from_paper_and_text_on_them_can_be_read():
    assert len(set(FILLS)) == len(FILLS)
    for fill in FILLS:
        for paper in ("#ffffff", "#12161d"):
            assert contrast(fill, paper) >= 3, fill
        assert contrast(fill, ink_on(fill)) >= 4.5, fill
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


MANY = [
    *(Part(f"waiting for lock{number}", "lock", 0.06) for number in range(6)),
    *(Part(f"object{number}[0]", "line", 0.05) for number in range(7)),
    Part("own work", "", 0.2),
    Part("something <new>", "", 0.06),
    Part("idle", "", 0.03),
]


def rectangles(svg):
    return [
        tuple(float(one.get(name)) for name in ("x", "y", "width", "height"))
        for one in ElementTree.fromstring(svg).iter(f"{SVG}rect")
    ]


@pytest.mark.parametrize("width", [372, 950])
def test_the_picture_is_well_formed_and_all_of_it_is_inside(width):
    stacks = [
        Stack("v6.8-rc1", MANY),
        Stack("b & <c>", [Part("waiting for lock0", "lock", 0.995), Part("idle", "", 0.005)]),
        Stack("none", []),
    ]
    svg = stacked_bars(stacks, title="T & U", subtitle="<s>", width=width)
    root = ElementTree.fromstring(svg)
    height = float(root.get("height"))
    assert float(root.get("width")) == width
    for x, y, wide, high in rectangles(svg):
        assert x >= 0
        assert y >= 0
        assert x + wide <= width + 0.01
        assert y + high <= height
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.get("y")) <= height
    texts = [text.text for text in root.iter(f"{SVG}text")]
    # Four locks and five lines have names, the others are summed up; the legend has each name once.
    for name in (*(f"waiting for lock{number}" for number in range(4)), "other locks", "object4[0]", "other lines"):
        assert name in texts
    assert "the rest" in texts
    assert not {"waiting for lock4", "object5[0]", "something <new>"} & set(texts)
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert "v6.8-rc1: other locks 12.0%" in titles
    assert "b & <c>: waiting for lock0 99.5%" in titles


@pytest.mark.parametrize("width", [372, 950])
def test_parts_of_a_bar_follow_each_other(width):
    svg = stacked_bars([Stack("one", MANY)], title="T", width=width)
    bars = [one for one in rectangles(svg) if one[3] == 24]
    assert len(bars) == len(MANY) - 2  # Two locks are one, and so are two lines.
    for (x, _, wide, _), (following, *_) in pairwise(bars):
        assert x + wide <= following <= x + wide + 2
    # Text stands in the middle of its part, and is no wider.
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        if text.get("class") == "m":
            middle = float(text.get("x"))
            [part] = [one for one in bars if one[0] <= middle <= one[0] + one[2]]
            assert len(text.text) * 6.7 <= part[2]


@pytest.mark.parametrize("workload", [FLOOD, ClosedWorkload(vcpus=2, queues=2, in_flight=8, requests=100)])
def test_the_page_has_a_bar_a_design_above_the_tables_twice(workload):
    designs = ("v6.8-rc1", "gicv4")
    results = [prediction_result([predict(workload, design)]) for design in designs]
    page = render(prediction_file(results, workload, machine("generic-arm64-64")))
    charts = re.findall(r'<div class="stack (broad|slim)">(<svg.*?</svg>)</div>', page, re.DOTALL)
    assert [kind for kind, _ in charts] == ["broad", "slim", "broad", "slim"]
    for kind, svg in charts:
        assert f'width="{950 if kind == "broad" else 372}"' in svg
        assert all(f">{design}</text>" in svg for design in designs)
    assert page.index("<svg", page.index("Where the time went</h2>")) < page.index('<section class="design">')
    assert "<script" not in page

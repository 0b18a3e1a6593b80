import csv
import io
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from markupsafe import escape

import vgic
from vgic.cli.terminal_chart import terminal_chart
from vgic.errors import UnknownDesign, WorkloadError
from vgic.predict import GICV4, PredictedWorkload
from vgic.predict.scale import cores_of, every_doubling, scale
from vgic.report.lines import Line, _apart, _ticks, line_chart
from vgic.report.scale_page import render_scale


@pytest.fixture(scope="module")
def result():
    return scale(
        ["v6.8-rc1", "v6.10"], [1, 2, 4, 8], machine="generic-arm64-16", sends=400, seeds=[1, 2], command="vgic scale x"
    )


def test_every_design_on_every_number_of_cores(result):
    assert result.designs == ("v6.8-rc1", "v6.10", GICV4)
    assert [(point.design, point.cores) for point in result.points] == [
        (design, cores) for design in result.designs for cores in (1, 2, 4, 8)
    ]
    assert [point.pairs for point in result.of("v6.10")] == [1, 1, 2, 4]
    for point in result.points:
        assert point.rate > 0
        assert 0 <= point.stalled <= 1
        assert len(point.result.samples) == 2
        assert (point.latency is None) == (point.delivered == 0)
    with pytest.raises(KeyError):
        result.point("v6.10", 3)


def test_one_core_stands_for_two(result):
    for design in result.designs:
        one, two = result.point(design, 1), result.point(design, 2)
        assert one.rate == two.rate == one.ideal == two.ideal
        assert [sample.rate for sample in one.result.samples] == [sample.rate for sample in two.result.samples]
        assert one.result.workload == "1 core"
        assert two.result.workload == "2 cores"


def test_ideal_grows_with_the_pairs(result):
    for design in result.designs:
        first, *others = result.of(design)
        for point in others:
            assert point.ideal == pytest.approx(first.rate * point.pairs)


def test_a_result_does_not_depend_on_what_else_is_asked_for(result):
    alone = scale(["v6.10"], [8], machine="generic-arm64-16", sends=400, seeds=[2])
    assert alone.point("v6.10", 8).rate == result.point("v6.10", 8).result.samples[1].rate


def test_an_open_loop_sends_at_its_pace():
    workload = PredictedWorkload(gap_us=20, events=4, iterations=50)
    result = scale(["v6.10"], [2, 4], machine="generic-arm64-16", workload=workload)
    assert result.point("v6.10", 4).rate == pytest.approx(2 * 50_000, rel=0.1)
    assert result.point("v6.10", 4).latency > 0


def test_the_result_file_is_one_of_ours(result):
    file = result.to_file()
    back = vgic.ResultFile.from_json(file.to_json())
    assert [workload["name"] for workload in back.workloads] == ["1 core", "2 cores", "4 cores", "8 cores"]
    assert back.result("v6.10", "8 cores").rate == result.point("v6.10", 8).rate
    assert back.method["kind"] == "scale"
    assert back.method["seeds"] == [1, 2]
    assert back.method["points"] == [point.to_dict() for point in result.points]
    assert set(back.method["usl"]) == set(result.designs)
    assert back.machine["name"] == "generic-arm64-16"
    assert back.command == "vgic scale x"


def test_csv_has_a_row_a_point(result):
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert len(rows) == 12
    assert rows[0]["design"] == "v6.8-rc1"
    for row, point in zip(rows, result.points, strict=True):
        assert int(row["cores"]) == point.cores
        assert float(row["rate"]) == point.rate
        assert float(row["linear"]) == point.ideal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1..128", [1, 2, 4, 8, 16, 32, 64, 128]),
        ("1..96", [1, 2, 4, 8, 16, 32, 64, 96]),
        ("8..32..8", [8, 16, 24, 32]),
        ("4, 2,2", [2, 4]),
        ("6..6", [6]),
        ("1,64..128", [1, 64, 128]),
    ],
)
def test_cores_as_text(text, expected):
    assert cores_of(text) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "0", "1025", "8..4", "1..8..0", "1..", "-2", "1...4", "2..4..6..8", "9" * 99]
)
def test_wrong_cores_are_one_line(text):
    with pytest.raises(WorkloadError, match=r"^cores: [^\n]{1,100}$"):
        cores_of(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cores": []}, "cores: none given"),
        ({"cores": [3]}, "cores: 3 is odd"),
        ({"cores": [0]}, "cores: 0 is out of range"),
        ({"cores": [32]}, "cores: 32 are asked for, but generic-arm64-16 has 16"),
        ({"seeds": []}, "seeds: none given"),
        ({"sends": 0}, "sends: 0 is out of range"),
        ({"sends": 63, "cores": [2, 8]}, r"sends: 63 are less than a round on 8 cores, 64 \(4 devices, 16 events each"),
        ({"sends": 64, "workload": PredictedWorkload(iterations=2)}, "sends: the workload has iterations"),
        ({"cores": None, "machine": "generic-arm64-1"}, "cores: a vCPU and a sender need two, but generic-arm64-1 has"),
    ],
)
def test_what_cannot_be_is_one_line(arguments, message):
    with pytest.raises(WorkloadError, match=message):
        scale(["v6.10"], **{"cores": [2], "machine": "generic-arm64-16", **arguments})


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("generic-arm64-128", [2, 4, 8, 16, 32, 64, 128]),
        ("graviton3", [2, 4, 8, 16, 32, 64]),
        ("epyc-7r13", [2, 4, 8, 16, 32, 64, 128, 192]),
        ("generic-arm64-7", [2, 4, 6]),
        ("generic-arm64-2", [2]),
    ],
)
def test_a_sweep_goes_from_two_cores_to_all_of_the_machine(machine, expected):
    assert every_doubling(vgic.machine(machine)) == expected


def test_no_point_delivers_more_than_it_accepts(result):
    flood = scale(
        ["v6.9", "v6.10"], [2, 8], machine="generic-arm64-16", sends=400, workload=PredictedWorkload(gap_us=0)
    )
    for point in [*result.points, *flood.points]:
        assert point.delivered <= point.rate


def test_an_unknown_design_is_refused_before_anything_runs():
    with pytest.raises(UnknownDesign, match=r"v6\.99"):
        scale(["v6.99"], [2])


class Balance(HTMLParser):
    """Checks that every element is closed."""

    VOID = ("meta", "br", "hr", "input")

    def __init__(self):
        super().__init__()
        self.open, self.names = [], set()

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(result):
    page = render_scale(result)
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert not parser.names & {"script", "link", "img", "iframe"}
    assert not re.search(r'(?:src|href)="|url\(|@import', page)
    assert page.count("<svg") == 4  # The rates twice: for a desk and for a telephone.
    assert "A fit explains nothing" in page
    assert "vgic scale x" in page
    assert "prefers-color-scheme:dark" in page
    for value in result.machine.values.values():
        assert str(escape(value.source)) in page


def test_a_page_of_one_point_has_its_charts():
    page = render_scale(scale(["v6.10"], [2], machine="generic-arm64-16", sends=100))
    assert "no fit" in page


def test_the_chart_has_a_line_a_design_and_escapes():
    lines = [
        Line("a<b", [(1, 1e3), (2, 1e4), (4, 2e5)], ideal=[(1, 1e3), (4, 4e9)]),
        Line("bound", [(1, 5.0), (4, 5.0)], bound=True),
        Line("nothing", [(1, 0.0)]),
    ]
    svg = line_chart(lines, title="T & U")
    assert svg.count('class="c"') == 1
    assert svg.count('class="c d"') == 1
    assert svg.count("<circle") == 5
    assert "a&lt;b" in svg
    assert "T &amp; U" in svg
    assert "nothing" not in svg
    heights = [float(y) for y in re.findall(r' y[12]?="([-0-9.]+)"', svg)]
    assert all(0 <= y <= 460 for y in heights)
    assert line_chart([], title="empty").startswith("<svg")
    assert "NaN" not in line_chart([Line("one", [(8, 1.0)])], title="one", share=True)


@pytest.mark.parametrize(
    ("low", "high"), [(1, 1), (1, 9), (3, 70), (0.5, 1e9), (53, 3.3e7), (2.3e6, 1.2e8), (7e-3, 8e-3)]
)
def test_ticks_enclose_what_is_drawn(low, high):
    values = [value for value, _ in _ticks(low, high)]
    assert values == sorted(set(values))
    assert 2 <= len(values) <= 11
    assert values[0] <= low * 1.001
    assert values[-1] >= high * 0.999


def test_names_do_not_cover_each_other():
    placed = _apart([10.0, 11.0, 12.0, 200.0, 201.0], 20.0)
    assert placed[0] >= 20
    assert all(b - a >= 15 for a, b in pairwise(placed))
    assert placed[3] == pytest.approx(192.75)


def test_the_terminal_chart_fits():
    text = terminal_chart([("rising", [(1, 1e3), (128, 1e8)]), ("flat", [(1, 1e5), (128, 1e5)])], width=60, height=9)
    lines = text.plain.splitlines()
    assert len(lines) == 11
    assert max(map(len, lines)) <= 60
    assert lines[-1].split() == ["a", "rising", "b", "flat"]
    assert lines[-2].split() == ["1", "128"]
    assert lines[0].endswith("a")
    assert "100 M" in lines[0]
    assert terminal_chart([("none", [(1, 0.0)])]).plain == "nothing to draw"
    assert terminal_chart([("one", [(4, 5.0)])]).plain

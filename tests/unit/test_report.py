import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from vgic import ResultFile, Sample
from vgic.measure import StressWorkload
from vgic.measure.results import make_result, make_sample
from vgic.report import bar_chart, render


def results(raw, rates):
    base = make_sample(raw)
    made = {name: [Sample(rate, 0, n, None, base.counts) for n, rate in enumerate(row)] for name, row in rates.items()}
    first = next(iter(made))
    workload = StressWorkload(label="<many> & one", mode="senders")
    return ResultFile(
        "vgic compare",
        [workload.to_dict()],
        [
            make_result(name, workload.name, "senders", row, baseline=first, baseline_samples=made[first])
            for name, row in made.items()
        ],
        {"processes": 1, "rounds": 2, "sample_seconds": 0.06},
        {"rate": 3e8, "rate_low": 3e8, "rate_high": 3e8},
    )


@pytest.mark.parametrize(
    ("rates", "logarithmic"),
    [
        ({"v6.8-rc1": [10, 11], "v6.10": [12, 14]}, False),
        ({"v6.8-rc1": [10, 11], "v6.10": [1200, 1400], "patch-15": [0.1, 0.2]}, True),
        ({"v6.8-rc1": [10, 10]}, False),
        ({"v6.8-rc1": [10, 10], "v6.10": [0, 0]}, False),
        ({"v6.8-rc1": [0, 0], "v6.10": [0, 0]}, False),
    ],
)
def test_the_chart_is_well_formed_and_stays_inside(raw_sample, rates, logarithmic):
    svg = bar_chart(results(raw_sample, rates))
    root = ElementTree.fromstring(svg)
    assert ("log scale" in svg) == logarithmic
    for bar in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(bar.get("x")) >= 0
        assert float(bar.get("x")) + float(bar.get("width")) <= 920


def test_the_page_names_the_machine(raw_sample):
    file = results(raw_sample, {"v6.8-rc1": [10, 11], "v6.10": [12, 14]})
    old = {"cpu": "AMD EPYC", "cpus": 2, "architecture": "x86_64", "kernel": "Linux 6.1", "python": "CPython 3.13.1"}
    assert "AMD EPYC, 2 CPUs, Linux 6.1, CPython 3.13.1.</p>" in render(replace(file, machine=old))
    new = {**old, "cpu": "Ampere Altra (Arm Neoverse N1)", "lse": True, "virtual": True, "place": "Oracle <Cloud>"}
    page = render(replace(file, machine=new))
    assert "Neoverse N1), 2 CPUs, LSE atomics, virtual, Oracle &lt;Cloud&gt;, Linux 6.1, CPython 3.13.1.</p>" in page


def test_the_page_needs_nothing_else_and_escapes_names(raw_sample):
    html = render(results(raw_sample, {"v6.8-rc1": [10, 11], "v6.10": [12, 14]}))
    assert not re.search(r"""\bsrc=|<link|@import|url\(""", html)
    # What it names may be read elsewhere.
    assert set(re.findall(r"<(\w+)[^>]*\bhref=", html)) <= {"a"}
    assert "<many>" not in html
    assert "&lt;many&gt; &amp; one" in html
    assert "vgic compare" in html

"""Rates that somebody measured: the table that comes with the package, and files."""

from dataclasses import replace

import pytest

from vgic.calibrate import RateRow, RatesError, RateTable, published_rate, published_tables, read_rates
from vgic.machines import machine
from vgic.predict import PredictedWorkload

BASELINE = "published:v6.8-rc1"
APRIL = "published:v6.8-rc1-april"


def test_the_published_rows():
    table = read_rates(BASELINE)
    assert [row.name for row in table.rows] == ["1/1/1", "16/16/16", "16/16/17", "64/64/1", "1/1/17"]
    assert table.rows[1] == RateRow(vcpus=16, devices=16, events=16, iterations=10_000, rate=437081.55)
    assert (table.design, table.entry, table.guest, table.cores) == ("v6.8-rc1", "ioctl", "as-published", 128)
    assert (table.title, table.f_count, table.name) == ("vgic_lpi_stress, cover letter of v2", "cas", BASELINE)
    assert table.source.startswith("Oliver Upton, cover letter of the 23 patches")
    assert published_rate(table, table.rows[3], "v2") == 5565964.87
    assert published_rate(table, table.rows[3], "v6.10") is None
    assert published_rate(replace(table, name=""), table.rows[3], "v2") is None
    # By the options of a row, not by its rate.
    assert published_rate(table, replace(table.rows[3], rate=1.0), "v2") == 5565964.87
    for key in ("vcpus", "devices", "events", "iterations"):
        assert published_rate(table, replace(table.rows[3], **{key: 3}), "v2") is None


def test_the_second_published_table():
    table = read_rates(APRIL)
    assert [(row.name, row.rate) for row in table.rows] == [
        ("1/1/1", 2063296.81),
        ("16/16/16", 610678.33),
        ("16/16/17", 678361.53),
        ("32/32/1", 580918.96),
        ("1/1/17", 1512443.94),
    ]
    assert [published_rate(table, row, "v6.10") for row in table.rows] == [
        1362602.35,
        5200910.01,
        5890675.51,
        8304552.67,
        1425953.80,
    ]
    # Rows of the same options in the other table are another machine's.
    assert published_rate(table, table.rows[1], "v2") is None
    assert (table.design, table.cores, table.beside) == ("v6.8-rc1", 64, ("v6.10",))


def test_each_published_table_has_a_machine_that_was_fitted_to_it():
    for table in published_tables():
        assert read_rates(table.name) == table
        fitted = machine(table.machine)
        assert table.title in fitted.distance.source
        assert fitted.cores >= table.cores


RATES = """
design = "v6.10"
title = "mine"
[[row]]
vcpus = 2
devices = 2
events = 4
iterations = 1000
rate = 1e6
"""


def test_rates_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RATES)
    table = read_rates(path)
    assert (table.title, table.source, table.design, table.entry, table.guest) == (
        "mine",
        "mine.toml",
        "v6.10",
        "ioctl",
        "fixed",
    )
    workload = table.workload(table.rows[0], 100)
    assert (workload.iterations, workload.gap_us, workload.label) == (13, 0.0, "2/2/4")
    assert table.workload(table.rows[0], None).iterations == 1000
    # At least 4 rounds, and no more than it had.
    assert [table.workload(table.rows[0], sends).iterations for sends in (1, 32, 33, 7992, 7993, 9000)] == [
        4, 4, 5, 999, 1000, 1000,
    ]  # fmt: skip


def test_a_workload_is_that_of_a_row(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RATES.replace("[[row]]", 'guest = "as-published"\nf_count = "add"\nsource = "us"\n[[row]]'))
    table = read_rates(path)
    assert table == RateTable(
        "mine",
        "us",
        "v6.10",
        "ioctl",
        "as-published",
        (RateRow(vcpus=2, devices=2, events=4, iterations=1000, rate=1e6),),
        f_count="add",
    )
    assert table.workload(table.rows[0], 800, warmup=3) == PredictedWorkload(
        vcpus=2,
        devices=2,
        events=4,
        iterations=100,
        warmup=3,
        guest="as-published",
        entry="ioctl",
        gap_us=0.0,
        f_count="add",
        label="2/2/4",
    )
    assert table.workload(table.rows[0], None).warmup is None
    path.write_text(RATES.replace("[[row]]", 'entry = "direct"\n[[row]]'))
    assert read_rates(path).workload(table.rows[0], None).entry == "direct"
    path.write_text(RATES.replace('title = "mine"', ""))
    assert read_rates(path).title == "mine.toml"


def test_what_a_row_says_of_itself():
    row = RateRow(vcpus=2, devices=3, events=5, iterations=7, rate=1.0)
    assert (row.name, row.single, row.weight, row.sends) == ("2/3/5", False, 1.0, 105)
    row = replace(row, devices=1)
    assert (row.name, row.single, row.weight, row.sends) == ("2/1/5", True, 0.25, 35)


def test_the_smallest_and_the_largest_numbers_of_a_row(tmp_path):
    path = tmp_path / "mine.toml"
    for rate in ("1e-300", "0.5", "1", "999999999999999.9"):
        path.write_text(RATES.replace("1e6", rate).replace("= 2\n", "= 1\n"))
        [row] = read_rates(path).rows
        assert (row.rate, row.vcpus, row.devices) == (float(rate), 1, 1)
        assert isinstance(row.rate, float)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('design = "v6.10"', "", "design: missing"),
        ('"v6.10"', '"v6.11"', "unknown design"),
        ("rate = 1e6", "", "row 1: rate: missing"),
        ("rate = 1e6", "rate = -1", "row 1: rate: '-1' is not a number above 0"),
        ("rate = 1e6", "rate = nan", "row 1: rate: 'nan' is not a number above 0"),
        ("vcpus = 2", "vcpus = 2.5", "row 1: vcpus: '2.5' is not a whole number above 0"),
        ("vcpus = 2", "vcpus = 513", "vcpus: 513 is out of range 1 to 512"),
        ("vcpus = 2", "vpcus = 2", "row 1: unknown key 'vpcus': did you mean vcpus"),
        ('title = "mine"', 'guest = "odd"', "guest: 'odd' is unknown"),
        ('title = "mine"', "title = 7", "title: '7' is not a text"),
        ('title = "mine"', "entries = 1", "unknown key 'entries': did you mean entry"),
        ("[[row]]", "[row]", "row: missing; write a [[row]] for each rate"),
        (RATES, RATES + RATES[RATES.index("[[row]]") :], "row 2/2/4: there twice"),
        ('"mine"', '"mine', "not a table of rates: "),
        ('title = "mine"', "deep = " + "[" * 5000, "not a table of rates: nested too deep"),
        ('title = "mine"', f"{'k' * 50} = 1", f"unknown key '{'k' * 40}': "),
        ("rate = 1e6", "rate = true", "row 1: rate: 'True' is not a number above 0"),
        ("rate = 1e6", "rate = 1e15", "row 1: rate: '1000000000000000.0' is not a number above 0"),
        ("rate = 1e6", 'rate = "much"', "row 1: rate: 'much' is not a number above 0"),
        ("iterations = 1000", f"iterations = {10**12 + 1}", "iterations: 1000000000001 is out of range 1 to"),
        ("rate = 1e6", "rate = 0", "row 1: rate: '0' is not a number above 0"),
        ("rate = 1e6", f"rate = '{'m' * 41}'", f"row 1: rate: '{'m' * 40}' is not a number above 0"),
        ("vcpus = 2", f"{'k' * 41} = 1", f"row 1: unknown key '{'k' * 40}': "),
        ('title = "mine"', "title = ' '", "title: ' ' is not a text of one line"),
        ('title = "mine"', "title = 'a\t'", r"title: 'a\t' is not a text of one line"),
        ('title = "mine"', f"title = [{'1,' * 20}]", f"title: '[{'1, ' * 13}' is not a text of one line"),
        (RATES[RATES.index("[[row]]") :], "row = []", "row: missing; write a [[row]] for each rate"),
        (RATES[RATES.index("[[row]]") :], "row = [1]", "row: missing; write a [[row]] for each rate"),
        ("rate = 1e6", 'rate = 1e6\n[[row]]\nvcpus = "x"', "row 2: vcpus: 'x' is not a whole number above 0"),
        ('"mine"', '"mi\nne"', "not a table of rates: Illegal character"),
    ],
)
def test_rates_that_cannot_be_read(tmp_path, old, new, text):
    path = tmp_path / "mine.toml"
    path.write_text(RATES.replace(old, new))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        read_rates(path)
    assert str(caught.value).startswith(f"{path}: {text}")
    assert "\n" not in str(caught.value)


def test_rows_can_be_left_out():
    table = read_rates(BASELINE)
    assert len(table.without(["16/16/17", "1/1/1"]).rows) == 3
    with pytest.raises(RatesError, match="no row '1/2/3': did you mean 1/1/1"):
        table.without(["1/2/3"])
    with pytest.raises(RatesError, match=r"^no row is left$"):
        table.without(row.name for row in table.rows)


def test_rates_that_are_not_there(tmp_path):
    known = f"known: {BASELINE}, {APRIL}; or give a FILE"
    with pytest.raises(RatesError, match=rf"^unknown rates 'published:{'x' * 50}': {known}"):
        read_rates(f"published:{'x' * 51}")
    for column, table in (("v2", BASELINE), ("v6.10", APRIL)):
        with pytest.raises(RatesError) as caught:
            read_rates(f"published:{column}")
        assert str(caught.value) == (
            f"published:{column}: these rates are there to check predictions, not to fit to; fit {table}"
        )
    with pytest.raises(RatesError, match=rf"^{tmp_path}/none.toml: no such file$"):
        read_rates(tmp_path / "none.toml")

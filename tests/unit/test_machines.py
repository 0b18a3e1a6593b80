import re
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.calibrate import predict_rows, published_tables
from vgic.errors import MachineError
from vgic.machines import PARAMETERS, Check, Classes, Matrix, machine, machines, pair_statistics, read_matrix

NAMES = {
    "altra-128": 128,
    "altra-80": 80,
    "epyc-7r13": 192,
    "generic-arm64": 64,
    "graviton2": 64,
    "graviton3": 64,
    "kunpeng920": 64,
    "published-2024": 128,
    "published-2024-04": 64,
}
CORE_KEYS = {"cores", "matrix", "cluster", "socket", "within_cluster", "within_socket", "across", *PARAMETERS}

#: Of the files that core-to-core tools wrote: pairs, minimum, quartile, median, 95th percentile, maximum in ns.
MEASURED = {
    "altra-80": (3160, 78.4, 166.8, 180.0, 213.9, 239.3),
    "graviton2": (2016, 30.4, 44.0, 47.2, 55.6, 58.4),
    "graviton3": (2016, 29.6, 42.0, 46.4, 53.6, 56.8),
    "kunpeng920": (2016, 30.0, 35.7, 71.8, 84.5, 87.7),
    "epyc-7r13": (18336, 9.7, 110.5, 194.6, 204.7, 208.5),
}


def test_the_machines_that_come_along():
    assert {name: machine(name).cores for name in machines()} == NAMES
    assert all(machine(name).title == title for name, title in machines().items())


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_profile_is_complete_and_says_where_its_values_come_from(name):
    it = machine(name)
    assert set(it.values) == set(PARAMETERS)
    for value in [it.distance, *it.values.values()]:
        assert len(value.source) > 20
        assert "given" not in value.source
        assert value.status in ("measured", "published", "derived", "fitted", "guessed")
        assert value.verified == (value.status in ("measured", "published"))
        # What no measurement stands for begins with what it is.
        assert value.verified != value.source.startswith(f"{value.status}: ")
    assert (it.unverified[0] == "distance") == (it.distance.status != "measured")
    assert sum(it.statuses.values()) == len(PARAMETERS) + 1


def test_a_machine_says_what_it_rests_on_and_what_it_was_checked_against():
    assert machine("graviton2").trust == (
        "Its 43 values: 1 measured, 4 published, 9 derived, 3 fitted to rates, 26 guessed. "
        "Checked against no measured rate."
    )
    fitted = machine("published-2024")
    assert fitted.trust == (
        "Its 43 values: 2 published, 12 derived, 5 fitted to rates, 24 guessed. "
        "Checked against vgic_lpi_stress, cover letter of v2, predicted over measured "
        "0.69 (v2, 1/1/1), 0.90 (v2, 16/16/16), 0.82 (v2, 64/64/1)."
    )
    assert {name for name in NAMES if machine(name).checks} == {"published-2024", "published-2024-04"}
    # A check is one of these values: with others it says nothing.
    assert fitted.renamed("mine", "mine").checks == fitted.checks
    assert fitted.with_values(step=1).checks == ()
    assert fitted.with_matrix([[0, 1], [1, 0]]).checks == ()


@pytest.mark.parametrize(
    ("table", "row"),
    [(table, row.name) for table in published_tables() for row in table.rows if row.name not in ("16/16/17", "1/1/17")],
)
def test_a_shipped_check_is_what_is_predicted(table, row):
    fitted, [design] = machine(table.machine), table.beside
    [found] = predict_rows(table.without([one.name for one in table.rows if one.name != row]), fitted, design)
    [check] = [check for check in fitted.checks if check.what == f"{design}, {row}"]
    assert check.measured == found.published
    assert check.predicted == found.result.predicted.median


@pytest.mark.parametrize("name", NAMES)
def test_what_the_core_takes_is_whole_numbers(name):
    core = machine(name).to_core()
    assert set(core) == CORE_KEYS
    assert core["atomics"] in ("near", "far-store", "llsc")
    assert core["spin_locks"] in ("qspinlock", "ticket")
    matrix, cores = core.pop("matrix"), core["cores"]
    assert all(type(core[key]) is int and core[key] >= 0 for key in set(core) - {"atomics", "spin_locks"})
    if matrix is not None:
        assert len(matrix) == cores * cores
        assert all((matrix[a * cores + b] == 0) == (a == b) for a in range(cores) for b in range(cores))
        assert set(map(type, matrix)) == {int}


def test_units_of_the_core():
    core = machine("generic-arm64").to_core()
    assert core["step"] == 800
    assert core["shared_read"] == 600
    assert (core["grace_period_min"], core["grace_period_max"]) == (5_000_000_000, 8_400_000_000)
    assert core["store_buffer"] == 8
    assert (core["matrix"], core["within_cluster"], core["across"]) == (None, 35_000, 250_000)


@pytest.mark.parametrize("name", MEASURED)
def test_a_measured_matrix_has_the_statistics_of_the_file_that_it_is_of(name):
    pairs, *theirs = MEASURED[name]
    found = machine(name).pair_statistics()
    assert (machine(name).distance.status, found.pairs) == ("measured", pairs)
    # Rounded to 0.1 ns, or where hyperthreads make it large to 1 ns.
    assert found[1:] == pytest.approx(theirs, abs=0.51 if name == "epyc-7r13" else 0.051)


def test_the_mesh_of_the_larger_altra_is_that_of_the_measured_one():
    mesh, measured = machine("altra-128").distance, machine("altra-80").pair_statistics()
    assert mesh.status == "derived"
    assert pair_statistics(replace(mesh, rows=5).matrix(80))[2:] == pytest.approx(measured[2:], rel=0.03)


def test_distances_are_the_same_both_ways():
    for name in set(NAMES) - {"generic-arm64"}:
        rows = machine(name).matrix()
        assert all(rows[a][b] == rows[b][a] for a in range(len(rows)) for b in range(a))


def test_dies_and_siblings():
    kunpeng, epyc = machine("kunpeng920").matrix(), machine("epyc-7r13").matrix()
    assert max(kunpeng[0][1:32]) < 45 < 70 < min(kunpeng[0][32:])
    assert epyc[5][101] == epyc[101][5] == 10
    assert max(epyc[0][1], epyc[0][97]) < 30
    assert 100 < epyc[0][8] < 120 < 190 < epyc[0][48]


@pytest.mark.parametrize("cores", [1, 2, 63, 200, 1024])
def test_a_generic_machine_has_any_number_of_cores(cores):
    it = machine(f"generic-arm64-{cores}")
    assert (it.name, it.cores, it.to_core()["cores"]) == (f"generic-arm64-{cores}", cores, cores)
    assert it.distance == machine("generic-arm64").distance


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_survives_being_written(name, tmp_path):
    path = tmp_path / "it.toml"
    path.write_text(machine(name).to_toml())
    assert machine(path) == machine(name)
    assert machine(str(path)).to_core() == machine(name).to_core()


def test_checks_survive_being_written(tmp_path):
    made = machine("generic-arm64-4").with_checks([Check("v6.10, 2/2/4", 3e6, 2.9e6, "mine")])
    made = made.with_checks([Check("v6.10, 2/2/4", 3e6, 2.8e6, "mine"), Check("v6.10, 1/1/1", 1e6, 1.5e6, "mine")])
    path = tmp_path / "it.toml"
    path.write_text(made.to_toml())
    assert machine(path) == made
    assert [round(check.ratio, 2) for check in machine(path).checks] == [0.93, 1.5]


def test_the_first_cores():
    whole, some = machine("graviton2"), machine("graviton2").with_cores(5)
    assert some.matrix() == tuple(row[:5] for row in whole.matrix()[:5])
    assert len(some.to_core()["matrix"]) == 25
    assert machine("graviton2").with_cores(1).to_core()["matrix"] == [0]
    with pytest.raises(MachineError, match=r"^graviton2: has 64 cores, not 65$"):
        whole.with_cores(65)
    for cores in (0, -1, 1025):
        with pytest.raises(MachineError, match="cores: "):
            whole.with_cores(cores)
    measured = whole.with_matrix([[0, 1, 2], [3, 0, 4], [5, 6, 0]]).with_cores(2)
    assert measured.to_core()["matrix"] == [0, 1000, 3000, 0]
    with pytest.raises(MachineError, match="has 2 cores, not 3"):
        measured.with_cores(3)


def test_values_can_be_changed():
    it = machine("graviton2").with_values(grace_period_max=20, step=1.25, atomics="llsc", hold=None)
    assert it.to_core()["grace_period_max"] == 20_000_000_000
    assert it.to_core()["step"] == 1250
    assert (it.values["step"].source, it.values["step"].status, it.values["step"].verified) == ("given", "given", False)
    assert it.values["hold"] == machine("graviton2").values["hold"]
    measured = it.with_values(step=2, source="measured here", status="measured")
    assert (measured.values["step"].source, measured.values["step"].verified) == ("measured here", True)
    with pytest.raises(MachineError, match="values: status: 'sure' is unknown"):
        it.with_values(step=2, status="sure")
    assert "step" not in measured.unverified
    assert it.renamed("mine", "My machine").to_core() == it.to_core()


def test_classes_can_be_changed_where_there_are_some():
    it = machine("generic-arm64").with_values(socket=32, across=300)
    assert isinstance(it.distance, Classes)
    assert (it.distance.socket, it.distance.across, it.distance.source) == (32, 300.0, "given")
    assert it.matrix()[0][31:33] == (47.0, 300.0)
    with pytest.raises(MachineError, match="across: distances of graviton2 are a matrix, not classes"):
        machine("graviton2").with_values(across=300)
    with pytest.raises(MachineError, match="clusters of 4 cores do not divide a socket of 10"):
        machine("generic-arm64").with_values(socket=10)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stepp": 1}, r"unknown value 'stepp': did you mean step\b"),
        ({"step": -1}, "step: -1 is negative"),
        ({"step": float("nan")}, "step: 'nan' is not a number"),
        ({"step": float("inf")}, "step: inf ns is out of range 0 to 1e"),
        ({"step": "1"}, "step: '1' is not a number"),
        ({"step": True}, "step: 'True' is not a number"),
        ({"step": 1.1e10}, "step: 1.1e.10 ns is out of range"),
        ({"step": 10**5000}, "step: a huge number ns is out of range"),
        ({"relax": 0}, "relax: 0 ns is out of range 0.001 to"),
        ({"jitter": 1.5}, "jitter: 1.5 is out of range 0 to 1"),
        ({"store_buffer": 2.0}, "store_buffer: 2.0 is not a whole number"),
        ({"atomics": "far"}, r"atomics: 'far' is unknown \(one of: near, far-store, llsc\)"),
        ({"grace_period_min": 9}, "generic-arm64: grace_period_min: 9 ms is above grace_period_max, 8.4 ms"),
        ({"grace_period_max": 10_001}, "grace_period_max: 10001 ms is out of range 0 to 10000 ms"),
        ({"cluster": 0}, "distance.cluster: 0 is out of range 1 to 1024"),
    ],
)
def test_bad_values(values, message):
    with pytest.raises(MachineError, match=f"^{message}"):
        machine("generic-arm64").with_values(**values)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.floats(max(it.low, 0.0), min(it.high, 1e4), allow_nan=False)
            for name, it in PARAMETERS.items()
            if it.unit in ("ns", "ratio")
        },
    ),
    st.text(st.characters(blacklist_categories=("Cs",)), min_size=1).filter(lambda t: t.isprintable() and t.strip()),
)
def test_any_values_survive_being_written(tmp_path_factory, values, source):
    it = machine("generic-arm64-8").with_values(**values, source=source)
    path = tmp_path_factory.mktemp("machine") / "it.toml"
    path.write_text(it.to_toml(), encoding="utf-8")
    assert machine(path) == it


# Profiles of a user


@pytest.fixture
def profile(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_profile_has_the_first_cores_of_the_matrix_of_its_base(profile):
    found = machine(profile('base = "graviton2"\ncores = 5'))
    assert (found.cores, found.matrix()) == (5, machine("graviton2").with_cores(5).matrix())
    assert found.distance.status == "measured"


def test_a_profile_says_only_what_differs(profile):
    it = machine(profile('base = "graviton3"\n[values]\nsyscall = { us = 0.2 }\ngrace_period_max = { s = 0.02 }\n'))
    assert (it.name, it.title, it.cores) == ("mine", "mine", 64)
    assert it.values["syscall"].value == pytest.approx(200)
    assert it.values["syscall"].source == "given in mine.toml"
    assert it.values["grace_period_max"].value == pytest.approx(20)
    assert it.distance == machine("graviton3").distance
    assert it.values["step"] == machine("generic-arm64").values["step"]


def test_a_profile_may_be_based_on_a_file_beside_it(profile, tmp_path):
    (tmp_path / "first.toml").write_text('base = "generic-arm64-12"\n[values]\nstep = { ns = 3 }\n')
    it = machine(profile('base = "first.toml"\nname = "second"\n'))
    assert (it.name, it.cores, it.to_core()["step"]) == ("second", 12, 3000)
    (tmp_path / "first.toml").write_text('base = "mine.toml"\n')
    with pytest.raises(MachineError, match="more than 8 profiles are based on each other"):
        machine(tmp_path / "mine.toml")


def test_a_profile_with_a_matrix_beside_it(profile, tmp_path):
    (tmp_path / "c2c.csv").write_text(",,\n50,,\n60,70.5,\n")
    it = machine(profile('base = "generic-arm64"\n[distance]\nkind = "matrix"\ncsv = "c2c.csv"\n'))
    assert it.cores == 3
    assert it.to_core()["matrix"] == [0, 50000, 60000, 50000, 0, 70500, 60000, 70500, 0]
    assert it.pair_statistics() == (3, 50, 50, 60, 70.5, 70.5)


CHECK = 'base = "generic-arm64"\n[[checks]]\nwhat = "x"\nmeasured = 1\npredicted = 2.5\nsource = "y"'
MATRIX = 'base = "generic-arm64"\n[distance]\nkind = "matrix"\n'
MESH = 'base = "generic-arm64"\n[distance]\nkind = "mesh"\ncolumns = 2\nrows = 2\ncores_per_crosspoint = 2\n'
TIMES = "same_crosspoint = { ns = 1 }\nbase = { ns = 2 }\nhop = { ns = 3 }\n"
CLASSES = (
    'base = "generic-arm64"\n[distance]\nkind = "classes"\nwithin_cluster = { ns = 1 }\nwithin_socket = { ns = 2 }\n'
    "across = { ns = 3 }\n"
)


def test_a_mesh(profile):
    assert machine(profile(MESH + TIMES)).matrix()[0] == (0, 1, 5, 5, 5, 5, 8, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "hit_load: missing, and no base"),
        ("step = 1", "unknown key 'step': known: name, title, base, cores, distance, values, checks"),
        ('base = "gravitom2"', "base: unknown machine 'gravitom2': did you mean graviton2"),
        ('base = "nowhere.toml"', "nowhere.toml: no such file"),
        ("base = 3", "base: '3' is not the name of a machine"),
        ('base = "generic-arm64"\ncores = 1025', "cores: 1025 is out of range 1 to 1024"),
        ('base = "generic-arm64"\ncores = 2.5', "cores: 2.5 is not a whole number"),
        ('base = "graviton2"\ncores = 80', "mine: has 64 cores, not 80"),
        ('base = "generic-arm64"\nname = ""', "name: '' is not a text of one line"),
        ('base = "generic-arm64"\ntitle = "a\\nb"', "title: .* is not a text of one line"),
        ('base = "generic-arm64"\nvalues = 3', "values: not a table"),
        ('base = "generic-arm64"\n[values]\nstap = { ns = 1 }', "values: unknown key 'stap': did you mean step"),
        ('base = "generic-arm64"\n[values]\nstep = 1', r"step: write it with its unit, as step = \{ ns = 2.5 \}"),
        ('base = "generic-arm64"\n[values]\nstep = { ratio = 1 }', "step: unknown key 'ratio': known: ns, us, ms"),
        ('base = "generic-arm64"\n[values]\nstep = { source = "x" }', "step: no value; write step ="),
        ('base = "generic-arm64"\n[values]\nstep = { ns = 1, us = 1 }', "step: two units; write step ="),
        ('base = "generic-arm64"\n[values]\nstep = { ns = nan }', "step: 'nan' is not a number"),
        ('base = "generic-arm64"\n[values]\nstep = { us = -inf }', "step: -inf is negative"),
        ('base = "generic-arm64"\n[values]\nstep = { ms = "1" }', "step: '1' is not a number"),
        ('base = "generic-arm64"\n[values]\nstep = { s = 11 }', "step: 1.1e.10 ns is out of range"),
        ('base = "generic-arm64"\n[values]\nstep = { ns = 1, status = "sure" }', "step: status: 'sure' is unknown"),
        ('base = "generic-arm64"\n[values]\nstep = { ns = 1, verified = true }', "step: unknown key 'verified'"),
        ('base = "generic-arm64"\nchecks = 3', r"checks: write a \[\[checks\]\] for each"),
        ('base = "generic-arm64"\n[[checks]]\nwhat = "x"', "checks, number 1: measured: missing"),
        ('base = "generic-arm64"\n[[checks]]\nwaht = "x"', "checks, number 1: unknown key 'waht': did you mean what"),
        (CHECK.replace("2.5", "0"), "checks, number 1: predicted: '0' is not a number above 0"),
        ('base = "generic-arm64"\n[values]\nstep = { ns = 1, source = " " }', "step: source: ' ' is not a text"),
        ('base = "generic-arm64"\n[values]\ngrace_period_min = { s = 1 }', "grace_period_min: 1000 ms is above"),
        ('base = "generic-arm64"\ndistance = 3', "distance: not a table"),
        ('base = "generic-arm64"\n[distance]\nkind = "ring"', r"distance.kind: 'ring' is unknown \(one of: matrix"),
        (MATRIX, "distance: a matrix has either csv"),
        (MATRIX + 'csv = "no.csv"', "no.csv: no such file"),
        (MATRIX + 'csv = "."', "not a regular file"),
        (MATRIX + "ns = 3", "distance.ns: not a list of lists"),
        (MATRIX + "ns = []", "distance.ns: empty"),
        (MATRIX + "ns = [[0, 1], [1, 0], [1, 1]]", "not square: line 1 has 2 values, there are 3 lines"),
        (MATRIX + "ns = [[0, 1, 2], [1, 0, 2]]", "not square: line 1 has 3 values, there are 2 lines"),
        (MATRIX + "ns = [[], [], [1, 1]]", "distance.ns: no value for cores 1 and 0"),
        (MATRIX + "ns = [[], [-1]]", "distance.ns: cores 0 and 1: -1 is negative"),
        (MATRIX + "ns = [[], [0]]", "distance.ns: cores 0 and 1: 0 ns is out of range 0.001 to 1e"),
        (MATRIX + "ns = [[], [nan]]", "distance.ns: cores 0 and 1: 'nan' is not a number"),
        (MATRIX + "ns = [[], [1]]\ncolumns = 2", "distance: unknown key 'columns': known: kind, csv, ns"),
        (
            MATRIX.replace("[distance]", "cores = 3\n[distance]") + "ns = [[], [1]]",
            "3 cores, but the matrix is that of",
        ),
        (MESH, "distance.same_crosspoint: missing"),
        (MESH + TIMES + "sockets = 2", "distance.across: missing"),
        (MESH + TIMES + "threads = 2", "distance.sibling: missing"),
        (MESH + TIMES + "sockets = 200\nacross = { ns = 1 }", "distance: 1600 cores are more than 1024"),
        (CLASSES + "cluster = 3\nsocket = 8", "distance: clusters of 3 cores do not divide a socket of 8"),
        (CLASSES + "cluster = 0\nsocket = 8", "distance.cluster: 0 is out of range 1 to 1024"),
        (CLASSES + "socket = 8", "distance.cluster: missing"),
        ("[values", "not a profile: Expected"),
        ("a = " + "[" * 5000, "not a profile: nested too deep"),
        ("a = 1" + "0" * 5000, "not a profile: "),
    ],
)
def test_a_bad_profile_is_named_in_one_line(profile, text, message):
    path = profile(text)
    with pytest.raises(MachineError, match=message) as caught:
        machine(path)
    said = str(caught.value)
    assert said.startswith(str(path.parent))
    assert "\n" not in said
    assert len(said) - len(str(path)) < 900


def test_a_name_that_is_unknown():
    with pytest.raises(MachineError, match=r"^unknown machine 'gravitom2': did you mean graviton2 or graviton3\?"):
        machine("gravitom2")
    with pytest.raises(MachineError, match=r"^unknown machine 'vax': known: altra-128, .*, generic-arm64-N; or give"):
        machine("vax")
    for name in ("generic-arm64-0", "generic-arm64-1025", "generic-arm64-" + "9" * 5000):
        with pytest.raises(MachineError, match="cores are out of range 1 to 1024"):
            machine(name)
    for name in ("", "generic-arm64-", "generic-arm64-x", "a\0b", "x" * 5000):
        with pytest.raises(MachineError, match=r"^unknown machine"):
            machine(name)


def test_a_file_that_cannot_be_read(tmp_path):
    for path, message in [
        (tmp_path / "no.toml", "no such file"),
        (tmp_path, "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("/a\0b\n.toml", r"^'/a\\x00b\\n.toml': no such file$"),
    ]:
        with pytest.raises(MachineError, match=message):
            machine(path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MachineError, match=f"^{re.escape(str(binary))}: not a text file$"):
        machine(binary)
    large = tmp_path / "large.toml"
    with large.open("wb") as file:
        file.truncate(33 << 20)
    with pytest.raises(MachineError, match="larger than 32 MiB"):
        machine(large)


# Matrices


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "c2c.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "text",
    [
        ",,\n10,,\n20,30,\n",
        "\n10\n20,30\n",
        ",10,20\n,,30\n,,\n",
        "0,10,20\n10,0,30\n20,30,0\n",
        "nan,10,20\n10,x,30\n20,30,99\n\n",
        "# cores 0 to 2\r\n,,\r\n 10 ,,\r\n20,30,\r\n",
        "\ufeff0,10,20\n10,0,30\n20,30,0",
    ],
)
def test_a_matrix_in_any_shape_that_tools_write(csv, text):
    assert read_matrix(csv(text)) == ((0, 10, 20), (10, 0, 30), (20, 30, 0))


def test_directions_of_a_full_matrix_stay_apart(csv):
    rows = read_matrix(csv("0,10\n12,0\n"))
    assert rows == ((0, 10), (12, 0))
    assert pair_statistics(rows).median == 11
    it = machine("generic-arm64").with_matrix(rows, source="c2c.csv")
    assert isinstance(it.distance, Matrix)
    assert (it.cores, it.distance.verified, it.distance.source) == (2, True, "c2c.csv")
    assert tomllib.loads(it.to_toml())["distance"]["ns"] == [[0.0, 10.0], [12.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("0,1\n1,0\n1,1\n", "not square: line 1 has 2 values, there are 3 lines"),
        ("0,1,2\n1,0,2\n", "not square: line 1 has 3 values, there are 2 lines"),
        ("0,1\n1\n", "not square: line 2 has 1 values, there are 2 lines"),
        (",\n,\n", "no value for cores 1 and 0"),
        (",\nten,\n", "cores 0 and 1: 'ten' is not a number"),
        (",\ninf,\n", "cores 0 and 1: inf ns is out of range"),
        (",\n-3,\n", "cores 0 and 1: -3 is negative"),
        ("\n" * 1024 + "1\n", "1025 cores are more than 1024"),
    ],
)
def test_a_bad_matrix_is_named_in_one_line(csv, text, message):
    path = csv(text)
    with pytest.raises(MachineError, match=f"^{re.escape(str(path))}: {message}"):
        read_matrix(path)


def test_one_core_has_no_pairs():
    with pytest.raises(MachineError, match="one core has no pairs"):
        machine("generic-arm64-1").pair_statistics()

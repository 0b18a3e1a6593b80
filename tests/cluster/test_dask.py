"""A real Dask cluster on this machine: two worker processes, one of which is killed."""

import os
import signal

import pytest

distributed = pytest.importorskip("distributed")

from vgic.cli import main  # noqa: E402
from vgic.errors import MeasurementError, WorkloadError  # noqa: E402
from vgic.predict import (  # noqa: E402
    Point,
    PredictedWorkload,
    dask_executor,
    predict_many,
    sweep,
)

POINTS = [
    Point(PredictedWorkload(vcpus=n, devices=n, iterations=rounds, gap_us=0), design, "generic-arm64-32", seed=n)
    for n, rounds in ((1, 100), (2, 60), (4, 40), (8, 30))
    for design in ("v6.8-rc1", "v6.9", "v6.10")
]


@pytest.fixture(scope="module")
def cluster():
    # Any free port: without an address the scheduler takes its usual one, which another process of the tests may have.
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as made:
        yield made


@pytest.fixture(scope="module")
def expected():
    return [predict_many([point])[0] for point in POINTS]


def test_a_cluster_gives_what_one_process_gives(cluster, expected):
    with dask_executor(cluster.scheduler_address) as executor:
        assert predict_many(POINTS, executor) == expected


def test_a_worker_that_is_killed_half_way_changes_nothing(cluster, expected):
    killed = []

    def kill(share, _text):
        if not killed and share < 1:
            killed.append(cluster.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    with dask_executor(cluster.scheduler_address) as executor:
        assert predict_many(POINTS, executor, kill) == expected
    assert killed


def test_an_error_in_a_worker_names_its_point(cluster):
    bad = Point(PredictedWorkload(vcpus=64, devices=64), "v6.10", "generic-arm64-32")
    with dask_executor(cluster.scheduler_address) as executor:
        with pytest.raises(WorkloadError, match=r"^v6.10, -v 64 .*128 threads"):
            predict_many([*POINTS, bad], executor)
        assert len(predict_many(POINTS[:1], executor)) == 1


def test_a_worker_with_another_version_is_refused(cluster, monkeypatch):
    monkeypatch.setattr("vgic._core.VERSION", "0.0.1")
    with pytest.raises(MeasurementError, match=r"dask: worker tcp://\S+ has vgic \S+, and this is 0\.0\.1"):  # noqa: SIM117
        with dask_executor(cluster.scheduler_address):
            pass


def test_an_address_where_nobody_is_is_one_line(capfd, monkeypatch):
    monkeypatch.setattr(sweep, "_DASK_SECONDS", 1)
    assert main(["scale", "--dask", "tcp://127.0.0.1:1", "--cores", "2"]) == 2
    captured = capfd.readouterr()
    assert captured.err == "vgic: error: dask: no scheduler answers at tcp://127.0.0.1:1\n"
    assert captured.out == ""
    with pytest.raises(ValueError, match="'nonsense' is not the address of a scheduler"), dask_executor("nonsense"):
        pass


def test_scale_on_a_cluster(cluster, capsys, tmp_path):
    small = ["scale", "--machine", "generic-arm64-16", "--cores", "1..8", "--sends", "400", "--design", "v6.10"]
    texts = []
    for more in (["--dask", cluster.scheduler_address], ["--jobs", "1"]):
        path = tmp_path / "x.csv"
        assert main([*small, "--csv", str(path), *more]) == 0
        texts.append(path.read_text())
    assert texts[0] == texts[1]
    assert "A fit explains nothing" in capsys.readouterr().out

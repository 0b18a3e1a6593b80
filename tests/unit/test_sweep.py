import pickle
import random
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from vgic.errors import MachineError, MeasurementError, UnknownDesign, WorkloadError
from vgic.predict import ClosedWorkload, Point, PredictedWorkload, dask_executor, local_executor, predict_many

POINTS = [
    Point(PredictedWorkload(vcpus=n, devices=n, events=4, iterations=20, gap_us=0), design, "generic-arm64-16", seed=n)
    for n in (1, 4, 2)
    for design in ("v6.8-rc1", "v6.10")
]
BAD = Point(PredictedWorkload(vcpus=64, devices=64), "v6.10", "generic-arm64-16", seed=3)


class Backwards(Executor):
    """Computes when asked for a second time, in an order of its own, and what was pickled, as another machine would."""

    def __init__(self, points):
        self.waiting, self.points, self.order = [], points, []

    def submit(self, fn, /, *arguments):
        future = Future()
        self.order.append(arguments[0])
        self.waiting.append((future, pickle.dumps((fn, arguments))))
        if len(self.waiting) == self.points:
            random.Random(5).shuffle(self.waiting)
            for one, packed in self.waiting:
                function, given = pickle.loads(packed)
                one.set_result(pickle.loads(pickle.dumps(function(*given))))
        return future


@pytest.fixture(scope="module")
def expected():
    return [predict_many([point])[0] for point in POINTS]


def test_the_executor_changes_nothing(expected):
    assert [(one.design, one.seed) for one in expected] == [(point.design, point.seed) for point in POINTS]
    backwards = Backwards(len(POINTS))
    assert predict_many(POINTS, backwards) == expected
    assert [point.cost for point in backwards.order] == sorted((point.cost for point in POINTS), reverse=True)
    with ThreadPoolExecutor(3) as pool:
        assert predict_many(POINTS, pool) == expected


def test_processes_change_nothing(expected):
    with local_executor(2) as pool:
        assert predict_many(POINTS, pool) == expected
        with pytest.raises(WorkloadError, match=r"v6\.10, -v 64"):
            predict_many([*POINTS, BAD], pool)
        assert predict_many(POINTS, pool) == expected
    assert predict_many(POINTS) == expected


def test_progress_rises_to_one(monkeypatch):
    for cpus in ({0}, {0, 1}):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cpus=cpus: cpus)
        seen = []
        predict_many(POINTS[:2], progress=lambda *said, seen=seen: seen.append(said))
        shares = [share for share, _ in seen]
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1)
        # Between two predictions there is none to name.
        assert {text for _, text in seen} - {""} == {point.name for point in POINTS[:2]}


def test_an_error_names_its_point_and_cancels_the_others():
    with ThreadPoolExecutor(1) as pool:
        held, raised = threading.Event(), threading.Event()
        pool.submit(held.wait, 20)
        submitted = []
        submit = pool.submit

        def note(*arguments):
            submitted.append(submit(*arguments))
            if len(submitted) == 1:
                # The others do not run before they are cancelled.
                submit(raised.wait, 20)
            if len(submitted) == len(POINTS) + 1:
                submitted[0].cancel()
                held.set()
            return submitted[-1]

        pool.submit = note
        with pytest.raises(MeasurementError, match=r"was cancelled"):
            predict_many([*POINTS, BAD], pool)
        assert all(future.cancelled() for future in submitted)
        raised.set()
    with pytest.raises(WorkloadError, match=r"^v6.10, -v 64 -d 64 -e 16, seed 3: vcpus \+ devices: 128 threads"):
        predict_many([BAD])
    with pytest.raises(UnknownDesign, match=r"^v6.11, .*: unknown design 'v6.11'"):
        predict_many([Point(PredictedWorkload(vcpus=1, devices=1), "v6.11")])
    with pytest.raises(MachineError):
        predict_many([Point(PredictedWorkload(), "v6.10", "no-such-machine")])


def test_a_stop_by_progress_leaves_no_process():
    def stop(_share, _text):
        raise KeyboardInterrupt

    with local_executor(2) as pool:
        with pytest.raises(KeyboardInterrupt):
            predict_many(
                [*POINTS, Point(PredictedWorkload(vcpus=8, devices=8, iterations=50_000), "v6.10")], pool, stop
            )
        processes = list(pool._processes.values())
    assert processes
    assert not any(process.is_alive() for process in processes)


def test_another_version_is_refused(monkeypatch):
    class Old(Executor):
        def submit(self, fn, /, *arguments):
            future = Future()
            future.set_result(("0.0.1", fn(*arguments)[1]))
            return future

    with pytest.raises(MeasurementError, match=r"computed by vgic 0\.0\.1, and this is "):
        predict_many(POINTS[:1], Old())


def test_a_process_that_dies_is_one_line():
    with local_executor(1) as pool:
        pool.submit(int).result()
        for process in pool._processes.values():
            process.kill()
            process.join()
        with pytest.raises(Exception, match=r"died|terminated abruptly"):
            predict_many(POINTS[:2], pool)


def test_points_can_be_pickled_and_have_a_cost():
    assert pickle.loads(pickle.dumps(POINTS)) == POINTS
    assert Point(ClosedWorkload(vcpus=2, queues=2), "v6.10").cost == 20_000 * 4
    assert POINTS[2].cost > POINTS[4].cost > POINTS[0].cost


def test_no_points():
    assert predict_many([]) == []


@pytest.mark.parametrize("jobs", [0, -1, 1025])
def test_jobs_are_checked(jobs):
    with pytest.raises(ValueError, match="jobs"), local_executor(jobs):
        pass


def test_dask_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ValueError, match=r"^dask: needs vgic\[cluster\]"), dask_executor("tcp://127.0.0.1:1"):
        pass

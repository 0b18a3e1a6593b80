"""Many predictions at once: on the CPUs of this machine, on a Dask cluster, or wherever an executor takes them.

A prediction is deterministic, so where it is computed changes nothing, and one that was lost with its worker is
computed again. Points that take long begin first, so that all workers end at about the same time.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from vgic import _core
from vgic.arguments import whole
from vgic.errors import Interrupted, MeasurementError
from vgic.machines import Machine, machine
from vgic.predict.prediction import DEFAULT_MACHINE, GICV4, AnyPredicted, Poll, PredictedWorkload, Prediction, predict

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

__all__ = ["Point", "Progress", "dask_executor", "local_executor", "predict_in_turn", "predict_many"]

#: Called with the share done (0 to 1) and what has just been predicted. May raise to stop.
Progress = Callable[[float, str], None]

#: How long a Dask scheduler, or its first worker, may take to answer, in seconds.
_DASK_SECONDS = 8


@dataclass(frozen=True, slots=True)
class Point:
    """One prediction that is wanted: the arguments of :func:`vgic.predict`. Can be pickled."""

    workload: AnyPredicted
    design: str
    #: A machine, or what :func:`vgic.machines.machine` finds it by.
    machine: Machine | str = DEFAULT_MACHINE
    seed: int = 1
    #: Names whose line transfers cost nothing.
    free: tuple[str, ...] = ()
    allow_unsound: bool = False

    @property
    def name(self) -> str:
        """Design, workload and seed, in one line."""
        return f"{self.design}, {self.workload.name}, seed {self.seed}"

    @property
    def cost(self) -> float:
        """A guess at how long it takes, relative to other points: sends, times the threads that a line has to visit."""
        workload = self.workload
        sends = workload.rounds
        if isinstance(workload, PredictedWorkload):
            sends *= workload.devices * workload.events
        return sends * (1.0 if self.design == GICV4 else float(workload.threads))

    def predict(self, poll: Poll | None = None) -> Prediction:
        """The prediction, computed here."""
        return predict(
            self.workload,
            self.design,
            self.machine,
            seed=self.seed,
            free=self.free,
            allow_unsound=self.allow_unsound,
            poll=poll,
        )


class _Stopped(Exception):
    """The caller has given up; nobody sees this."""


#: In a worker of a local pool: set when the caller has given up.
_stop: "Event | None" = None


def _begin_worker(stop: "Event") -> None:
    """Ctrl-C is for the caller, who sets ``stop``; a worker whose caller is dead ends."""
    global _stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _stop = stop
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _poll(_share: float) -> None:
    if _stop is not None and _stop.is_set():
        raise _Stopped


def _compute(point: Point, poll: Poll = _poll) -> tuple[str, Prediction]:
    """One point, with the version that computed it; an error names the point."""
    try:
        done = point.predict(poll)
    except ValueError as error:
        raise _named(point, error, type(error)) from None
    except RuntimeError as error:
        raise _named(point, error, type(error) if isinstance(error, MeasurementError) else MeasurementError) from None
    return _core.VERSION, done


def _named(point: Point, error: Exception, kind: type[Exception]) -> Exception:
    text = f"{point.name}: {error}"
    try:
        return kind(text)
    except TypeError:  # One that wants more than a text.
        return ValueError(text)


@contextmanager
def local_executor(jobs: int | None = None) -> Iterator[Executor]:
    """A pool of ``jobs`` processes (default: one for each usable CPU). No process is left when the block ends.

    The processes import the caller's main module, as :mod:`multiprocessing` does: a script needs its
    ``if __name__ == "__main__":``.
    """
    if jobs is not None:
        whole("jobs", jobs, 1, 1024)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(
        jobs or len(os.sched_getaffinity(0)), mp_context=context, initializer=_begin_worker, initargs=(stop,)
    )
    try:
        yield pool
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def predict_many(
    points: Sequence[Point], executor: Executor | None = None, progress: Progress | None = None
) -> list[Prediction]:
    """Predict every point, and return the predictions in the order of the points, whatever computes them.

    ``executor``: any :class:`concurrent.futures.Executor`, such as :func:`dask_executor` gives; None is
    :func:`local_executor` for this call, or this process if there is one CPU or one point.

    An error of a point is raised with the point's name before it; the other points are cancelled. So they are by
    Ctrl-C, which comes out as :class:`vgic.Interrupted` with the points that were finished and their predictions. An
    executor that was given is left open.
    """
    wanted = [replace(point, machine=_found(point.machine)) for point in points]
    order = sorted(range(len(wanted)), key=lambda number: -wanted[number].cost)
    if executor is not None:
        return _spread(wanted, order, executor, progress)
    if len(wanted) < 2 or len(os.sched_getaffinity(0)) < 2:
        return _in_turn(wanted, progress, lambda point, share: _compute(point, share)[1])
    with local_executor(min(len(wanted), len(os.sched_getaffinity(0)))) as pool:
        return _spread(wanted, order, pool, progress)


def _found(name: Machine | str) -> Machine:
    """Files of machines are read here: workers may be elsewhere."""
    return name if isinstance(name, Machine) else machine(name)


class _Meter:
    """The share done, by the cost of the points."""

    def __init__(self, points: Sequence[Point], progress: Progress | None) -> None:
        self.total = sum(point.cost for point in points)
        self.done = 0.0
        self.progress = progress

    def alive(self) -> None:
        """The points that are computed elsewhere are still at it."""
        if self.progress is not None:
            self.progress(min(1.0, self.done / self.total), "")

    def within(self, point: Point, share: float) -> None:
        """So much of the point is done."""
        if self.progress is not None:
            self.progress(min(1.0, (self.done + share * point.cost) / self.total), point.name)

    def finished(self, point: Point) -> None:
        """The point is done."""
        self.done += point.cost
        self.within(point, 0.0)


def predict_in_turn(points: Sequence[Point], progress: Progress | None = None) -> list[Prediction]:
    """As :func:`predict_many`, one after the other in this process, errors as they are: for points that are quick."""
    return _in_turn(points, progress, Point.predict)


def _in_turn(
    points: Sequence[Point], progress: Progress | None, compute: Callable[[Point, Callable[[float], None]], Prediction]
) -> list[Prediction]:
    meter = _Meter(points, progress)
    results: list[Prediction] = []
    for point in points:

        def share(done: float, point: Point = point) -> None:
            meter.within(point, done)

        try:
            results.append(compute(point, share))
            meter.finished(point)
        except KeyboardInterrupt:
            raise Interrupted(list(zip(points, results, strict=False))) from None
    return results


def _spread(
    points: Sequence[Point], order: Sequence[int], executor: Executor, progress: Progress | None
) -> list[Prediction]:
    meter = _Meter(points, progress)
    futures: dict[Any, int] = {}
    results: dict[int, Prediction] = {}
    try:
        # Processes that begin now must not see a Ctrl-C before they know that it is not for them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for number in order:
                futures[executor.submit(_compute, points[number])] = number
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        waiting = set(futures)
        while waiting:
            finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            meter.alive()
            for future in sorted(finished, key=futures.__getitem__):
                number = futures[future]
                results[number] = _result(future, points[number])
                meter.finished(points[number])
    except KeyboardInterrupt:
        raise Interrupted([(points[number], results[number]) for number in sorted(results)]) from None
    finally:
        for future in futures:
            future.cancel()
    return [results[number] for number in range(len(points))]


def _result(future: Any, point: Point) -> Prediction:
    try:
        version, prediction = future.result()
    except (BrokenExecutor, CancelledError, _Stopped) as error:
        why = "was cancelled"
        if isinstance(error, BrokenExecutor):
            why = "a process that predicts has died (a script must call this under if __name__ == '__main__')"
        raise MeasurementError(f"{point.name}: {why}") from None
    except Exception as error:
        if type(error).__name__ == "KilledWorker":  # Dask's, which need not be installed.
            raise MeasurementError(f"{point.name}: the Dask workers that tried it have died") from None
        raise
    if version != _core.VERSION:
        raise MeasurementError(f"{point.name}: computed by vgic {version}, and this is {_core.VERSION}")
    assert isinstance(prediction, Prediction)
    return prediction


def _worker_version() -> str:
    """Run on each Dask worker."""
    return _core.VERSION


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """The executor of the Dask cluster whose scheduler is at ``address`` (``tcp://host:8786``).

    Raises ``ValueError`` if Dask is not installed, ``ConnectionError`` if no scheduler or no worker answers within some
    ten seconds, :class:`vgic.MeasurementError` if a worker has another version of vgic, or none.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise ValueError("dask: needs vgic[cluster]: pip install 'vgic[cluster]'") from None
    import asyncio  # Here, as it is much and few use it.

    with ThreadPoolExecutor(1) as thread:  # There may be a running loop here, as in Jupyter.
        try:
            thread.submit(asyncio.run, _knock(address)).result()
        except (OSError, TimeoutError):
            raise ConnectionError(f"dask: no scheduler answers at {address}") from None
        except (ValueError, TypeError) as error:
            raise ValueError(f"dask: {address!r} is not the address of a scheduler: {error}") from None
    client = distributed.Client(address, timeout=_DASK_SECONDS, set_as_default=False)
    try:
        _check_workers(client, address)
        # Pure tasks are known by their arguments: one that was cancelled would cancel the next with the same ones.
        executor = client.get_executor(pure=False)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)
    finally:
        client.close()


async def _knock(address: str) -> None:
    """Raise ``OSError`` if nothing answers. A client would say so, too, but then takes its time to go away."""
    import asyncio

    connect = import_module("distributed.comm").connect
    async with asyncio.timeout(_DASK_SECONDS):  # Something that is no scheduler may take the call and say nothing.
        comm = await connect(address, timeout=_DASK_SECONDS)
    comm.abort()


def _check_workers(client: Any, address: str) -> None:
    """Every worker must predict as this process does."""
    try:
        client.wait_for_workers(1, timeout=_DASK_SECONDS)
    except (OSError, TimeoutError):
        raise ConnectionError(f"dask: the scheduler at {address} has no workers") from None
    for worker, version in sorted(client.run(_worker_version, on_error="return").items()):
        if isinstance(version, BaseException):
            raise MeasurementError(f"dask: worker {worker} cannot run vgic: {type(version).__name__}: {version}")
        if version != _core.VERSION:
            raise MeasurementError(f"dask: worker {worker} has vgic {version}, and this is {_core.VERSION}")

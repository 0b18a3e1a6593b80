"""Threads that work beside a test until it ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def working(*jobs: Callable[[], object]) -> Iterator[None]:
    """Do each job again and again, in a thread of its own; at the end, none of them may have raised."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def work(job: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)

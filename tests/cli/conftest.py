import os
import subprocess
import sys

import pytest


class Running(subprocess.Popen):
    """``vgic`` in a process of its own, so that SIGINT reaches it: a test run in the background may ignore that signal,
    and its children inherit it.
    """

    _CODE = """
import os, signal, sys
import vgic.cli
from vgic.cli import common

class Progress(common.Progress):
    def update(self, *arguments, **values):
        super().update(*arguments, **values)
        os.write(int(os.environ["TEST_BUSY"]), b".")

common.Progress = Progress
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(vgic.cli.main())
"""

    def __init__(self, arguments, directory):
        busy, told = os.pipe()
        self._busy = os.fdopen(busy, "rb", buffering=0)
        super().__init__(
            [sys.executable, "-c", self._CODE, *arguments],
            cwd=directory,
            env={**os.environ, "TEST_BUSY": str(told)},
            pass_fds=[told],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(told)

    def wait_until_busy(self):
        """Return when it has told of progress several times: it is in the middle of its work."""
        for _ in range(3):
            assert self._busy.read(1), self.communicate()

    def __exit__(self, *error):
        self._busy.close()
        self.kill()
        super().__exit__(*error)


@pytest.fixture
def vgic_process(tmp_path):
    """Starts ``vgic`` in an empty directory; killed after the test."""
    started = []

    def start(*arguments):
        started.append(Running(arguments, tmp_path))
        return started[-1]

    yield start
    for process in started:
        with process:
            pass

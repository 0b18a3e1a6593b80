import os
import subprocess
import sys

import pytest


@pytest.fixture
def vgic_process(tmp_path):
    """Starts ``vgic`` in an empty directory, so that SIGINT reaches it: a test run in the background may ignore that
    signal, and its children inherit it.
    """
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from vgic.cli import main; sys.exit(main())"

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def vgic_command(tmp_path):
    """Runs ``vgic`` in an empty directory, without a terminal."""

    def run(*arguments, timeout=50):
        environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
        return subprocess.run(
            [sys.executable, "-m", "vgic", *arguments],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run

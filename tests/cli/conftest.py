import os
import subprocess
import sys

import pytest


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

"""The command line, run in this process: a start of Python takes longer than most commands."""

import contextlib
import io
import subprocess
import traceback

from vgic.cli import main


class Captured(io.TextIOWrapper):
    """A stream without a terminal, kept in memory."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self):
        return self.buffer.getvalue().decode()


def run_here(arguments):
    """Run the command line as if in a process of its own."""
    output, errors = Captured(), Captured()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = main(arguments)
        except SystemExit as left:
            status = left.code
        except Exception:
            traceback.print_exc()
            status = 1
    return subprocess.CompletedProcess(arguments, status, output.text(), errors.text())

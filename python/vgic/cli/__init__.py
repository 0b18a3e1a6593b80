"""The command ``vgic``: one sub-command a file, listed in :mod:`~vgic.cli.sub_commands`.

Bad input ends with one line on standard error, ``vgic: error: ...``, and exit status 2; a run that does not add up or
cannot be carried out with status 1; Ctrl-C with 130.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from vgic import __version__
from vgic.cli.sub_commands import LazyGroup
from vgic.errors import MeasurementError

__all__ = ["app", "main"]

app = typer.Typer(
    name="vgic",
    cls=LazyGroup,
    help="Run KVM/arm64's LPI routing and injection through the locking designs that the kernel has had: on real "
    "threads, under a model checker, and on simulated machines of many cores. See what each patch is worth.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"vgic {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _fail(message: str, status: int) -> int:
    # Without a message: a group without a sub-command, whose help was printed.
    if line := " ".join(message.split()):
        print(f"vgic: error: {line}", file=sys.stderr)
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments`` (default: of the process); returns the exit status."""
    try:
        try:
            status = app(list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
            sys.stdout.flush()
        except BrokenPipeError:  # The reader of our output, such as head, has left.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except TyperException as error:
            return _fail(error.format_message(), getattr(error, "exit_code", 2))
        except typer.Abort:
            raise KeyboardInterrupt from None
        except MeasurementError as error:
            return _fail(str(error), 1)
        except OSError as error:
            name = f"{error.filename}: " if error.filename is not None else ""
            return _fail(f"{name}{error.strerror or error}", 2)
        except ValueError as error:
            return _fail(str(error), 2)
        except MemoryError:
            return _fail("out of memory", 1)
    except KeyboardInterrupt:
        status = 130
    if status == 130:
        print("vgic: interrupted", file=sys.stderr)
    return status if isinstance(status, int) else 0

"""The sub-commands, each imported when it is asked for: what one needs, another does not wait for."""

from importlib import import_module
from typing import Any

import typer

from vgic.cli.helping import Command, Group

__all__ = ["SUB_COMMANDS", "LazyGroup"]

#: Name of a sub-command, which is also that of its file -> its function there, or its `typer.Typer` if it has others.
SUB_COMMANDS = {
    "compare": "compare",
    "stress": "stress",
    "predict": "predict_designs",
    "scale": "scale",
    "calibrate": "calibrate",
    "prove": "prove_designs",
    "confirm": "confirm",
    "torture": "torture",
    "replay": "replay",
    "recording": "recording",
    "designs": "designs",
    "kernels": "kernels",
    "machines": "machines",
    "its": "app",
}


class LazyGroup(Group):
    """The command ``vgic``."""

    def __init__(self, **attributes: Any) -> None:
        """As typer makes a group."""
        super().__init__(**attributes)
        #: All names, for typer to find one that was meant; a command as soon as it was asked for.
        self.commands: dict[str, Any] = dict.fromkeys(SUB_COMMANDS)

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order of the help."""
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A sub-command by its name; None if there is none."""
        if cmd_name in self.commands and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _load(cmd_name)
        return self.commands.get(cmd_name)


def _load(name: str) -> Any:
    found = getattr(import_module(f"vgic.cli.{name}"), SUB_COMMANDS[name])
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(add_completion=False)
    alone.command(name, cls=Command)(found)
    return typer.main.get_command(alone)

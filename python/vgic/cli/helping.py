"""How help looks: an option or an argument shows the name of its value, and a flag, which has none, shows nothing."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["Command", "Group"]


class Command(TyperCommand):
    """A sub-command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as help shows them."""
        return [_named(parameter) for parameter in super().get_params(ctx)]


class Group(TyperGroup):
    """A command that has sub-commands."""

    command_class = Command

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as help shows them."""
        return [_named(parameter) for parameter in super().get_params(ctx)]


def _named(parameter: Any) -> Any:
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""
    elif parameter.param_type_name == "argument":
        # Its name is in the column before.
        parameter.display_type_rich = lambda ctx: None
    return parameter

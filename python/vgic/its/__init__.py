"""The ITS as a guest drives it: registers, commands in guest memory, tables, save and restore.

- :mod:`~vgic.its.frame`: the registers, and the command queue behind them
- :mod:`~vgic.its.commands`: the 32-byte commands · :mod:`~vgic.its.tables`: the entries of the tables
- :mod:`~vgic.its.saving`: the tables to guest memory and back
"""

from vgic._core import Translater
from vgic.its.commands import COMMAND_SIZE, COMMANDS, ItsCommand, decode, encode
from vgic.its.frame import CommandFault, ItsFrame
from vgic.its.tables import CollectionEntry, DeviceEntry, IttEntry, Level1Entry

__all__ = [
    "COMMANDS",
    "COMMAND_SIZE",
    "CollectionEntry",
    "CommandFault",
    "DeviceEntry",
    "ItsCommand",
    "ItsFrame",
    "IttEntry",
    "Level1Entry",
    "Translater",
    "decode",
    "encode",
]

"""ITS commands as the guest writes them: 32 bytes each, four little-endian words (Arm IHI 0069, 5.3 "ITS commands").

>>> from vgic.its import decode, encode
>>> command = decode(encode("MAPTI", device_id=3, event_id=1, intid=8193, collection_id=0))
>>> print(command)
MAPTI device_id=3 event_id=1 intid=8193 collection_id=0
"""

import struct
from typing import TYPE_CHECKING, NamedTuple

from vgic.arguments import integer

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["COMMANDS", "COMMAND_SIZE", "GICV4_COMMANDS", "ItsCommand", "decode", "encode", "operands_of"]

#: Bytes of a command.
COMMAND_SIZE = 32

#: name -> (opcode, operands in the order in which the architecture lists them)
COMMANDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "MOVI": (0x01, ("device_id", "event_id", "collection_id")),
    "INT": (0x03, ("device_id", "event_id")),
    "CLEAR": (0x04, ("device_id", "event_id")),
    "SYNC": (0x05, ("vcpu",)),
    "MAPD": (0x08, ("device_id", "event_bits", "itt_address", "valid")),
    "MAPC": (0x09, ("collection_id", "vcpu", "valid")),
    "MAPTI": (0x0A, ("device_id", "event_id", "intid", "collection_id")),
    "MAPI": (0x0B, ("device_id", "event_id", "collection_id")),
    "INV": (0x0C, ("device_id", "event_id")),
    "INVALL": (0x0D, ("collection_id",)),
    "MOVALL": (0x0E, ("vcpu", "to_vcpu")),
    "DISCARD": (0x0F, ("device_id", "event_id")),
}

#: Commands of GICv4 and GICv4.1, which this ITS does not have (KVM's does not either).
GICV4_COMMANDS: dict[int, str] = {
    0x21: "VMOVI",
    0x22: "VMOVP",
    0x23: "VSGI",
    0x25: "VSYNC",
    0x29: "VMAPP",
    0x2A: "VMAPTI",
    0x2B: "VMAPI",
    0x2D: "VINVALL",
    0x2E: "INVDB",
}

#: operand -> (word, lowest bit, width); ``event_bits`` is held as one less, ``itt_address`` without its low 8 bits.
_FIELDS: dict[str, tuple[int, int, int]] = {
    "device_id": (0, 32, 32),
    "event_id": (1, 0, 32),
    "event_bits": (1, 0, 5),
    "intid": (1, 32, 32),
    "collection_id": (2, 0, 16),
    "itt_address": (2, 8, 44),
    "vcpu": (2, 16, 32),
    "valid": (2, 63, 1),
    "to_vcpu": (3, 16, 32),
}
#: opcode -> name, and of each operand: word, lowest bit, mask, shift to the left, what is added.
_OPERANDS = {
    opcode: (
        name,
        tuple(
            (word, shift, (1 << width) - 1, 8 if field == "itt_address" else 0, int(field == "event_bits"))
            for field in fields
            for word, shift, width in [_FIELDS[field]]
        ),
    )
    for name, (opcode, fields) in COMMANDS.items()
}
WORDS = struct.Struct("<4Q")


class ItsCommand(NamedTuple):
    """A decoded command."""

    #: The architecture's name, ``"VMAPP (GICv4)"`` for one of GICv4, ``"opcode 0x77"`` for none.
    name: str
    #: Operands by name; empty if the command is not one of :data:`COMMANDS`.
    operands: dict[str, int]
    #: The 32 bytes.
    raw: bytes

    def __str__(self) -> str:
        values = (f"{name}={_text(name, value)}" for name, value in self.operands.items())
        return " ".join((self.name, *values))


def _text(name: str, value: int) -> str:
    return f"{value:#x}" if name == "itt_address" else str(value)


def decode(entry: "Buffer") -> ItsCommand:
    """Decode 32 bytes. Raises ``ValueError`` for another length; any content has a meaning."""
    raw = bytes(entry)
    if len(raw) != COMMAND_SIZE:
        raise ValueError(f"an ITS command has {COMMAND_SIZE} bytes, not {len(raw)}")
    found = operands_of(raw)
    if found is None:
        opcode = raw[0]
        gicv4 = GICV4_COMMANDS.get(opcode)
        return ItsCommand(f"{gicv4} (GICv4)" if gicv4 else f"opcode {opcode:#04x}", {}, raw)
    name, operands = found
    return ItsCommand(name, dict(zip(COMMANDS[name][1], operands, strict=True)), raw)


def operands_of(entry: "Buffer") -> tuple[str, list[int]] | None:
    """Name and operands, in the order of :data:`COMMANDS`, of a command's 32 bytes; None if it is none of them."""
    words = WORDS.unpack(entry)
    known = _OPERANDS.get(words[0] & 0xFF)
    if known is None:
        return None
    name, fields = known
    return name, [((words[word] >> shift & mask) << left) + add for word, shift, mask, left, add in fields]


def encode(name: str, **operands: int) -> bytes:
    """Encode a command of :data:`COMMANDS`; operands by name, all of them.

    ``event_bits``: 1 to 32. ``itt_address``: a multiple of 256 below 2**52. ``valid``: a bool. Raises ``ValueError``
    for an unknown command, an operand that is missing, unknown or out of range.

    >>> from vgic.its import encode
    >>> encode("SYNC", vcpu=0).hex()
    '0500000000000000000000000000000000000000000000000000000000000000'
    """
    if name not in COMMANDS:
        raise ValueError(f"unknown ITS command {name!r}; one of {', '.join(COMMANDS)}")
    opcode, fields = COMMANDS[name]
    if set(operands) != set(fields):
        raise ValueError(f"{name} takes {', '.join(fields)}, not {', '.join(operands) or 'nothing'}")
    words = [opcode, 0, 0, 0]
    for field, given in operands.items():
        word, shift, width = _FIELDS[field]
        what = f"{name}: {field}"
        if field == "event_bits":
            value = integer(what, given, 1, 1 << width) - 1
        elif field == "itt_address":
            value = integer(what, given, 0, (1 << 52) - 1)
            if value & 0xFF:
                raise ValueError(f"{what} {value:#x} is not a multiple of 256")
            value >>= 8
        else:
            value = integer(what, given, 0, (1 << width) - 1)
        words[word] |= value << shift
    return WORDS.pack(*words)

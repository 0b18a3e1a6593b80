"""ITS commands as a guest puts them into the queue: 32 bytes each.

Written from the field lay-out of the architecture (IHI 0069, "ITS commands"), not with the package's own encoder: the
test would not notice an encoder and a decoder that are wrong in the same way.
"""

import struct

SIZE = 32
VALID = 1 << 63


def _pack(opcode: int, device: int = 0, event: int = 0, high: int = 0, third: int = 0, fourth: int = 0) -> bytes:
    return struct.pack("<IIIIQQ", opcode, device, event, high, third, fourth)


def mapd(device: int, size: int, itt: int, valid: bool) -> bytes:
    """``size``: number of EventID bits minus one."""
    return _pack(0x08, device, size, third=itt | valid * VALID)


def mapc(collection: int, vcpu: int, valid: bool) -> bytes:
    return _pack(0x09, third=collection | vcpu << 16 | valid * VALID)


def mapti(device: int, event: int, intid: int, collection: int) -> bytes:
    return _pack(0x0A, device, event, intid, collection)


def mapi(device: int, event: int, collection: int) -> bytes:
    return _pack(0x0B, device, event, third=collection)


def movi(device: int, event: int, collection: int) -> bytes:
    return _pack(0x01, device, event, third=collection)


def movall(old: int, new: int) -> bytes:
    return _pack(0x0E, third=old << 16, fourth=new << 16)


def discard(device: int, event: int) -> bytes:
    return _pack(0x0F, device, event)


def clear(device: int, event: int) -> bytes:
    return _pack(0x04, device, event)


def inv(device: int, event: int) -> bytes:
    return _pack(0x0C, device, event)


def invall(collection: int) -> bytes:
    return _pack(0x0D, third=collection)


def sync(vcpu: int) -> bytes:
    return _pack(0x05, third=vcpu << 16)


def raw(opcode: int, *rest: int) -> bytes:
    """Any opcode, with the command's other three double words as they are."""
    return struct.pack("<QQQQ", opcode, *rest)


def int_(device: int, event: int) -> bytes:
    return _pack(0x03, device, event)

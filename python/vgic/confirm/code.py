"""The calls in a kernel's function, read from the memory that runs.

An Image is changed while it boots (alternatives, static keys), so it is not looked at. Two instructions of A64 call:
``bl``, and ``b`` to another function where that is the last thing that is done (Arm Architecture Reference Manual,
C6.2, "B" and "BL": an offset of 26 bits, in words). Where the compiler has inlined a lock that is taken with interrupts
off, what is left of it is ``msr daifset, #imm``: that counts as a call of ``local_irq_save``.
"""

from collections.abc import Callable
from typing import NamedTuple

from vgic.confirm.symbols import Symbols

__all__ = ["Call", "Code", "calls_in", "stores_in"]

_B, _BL = 0b000101, 0b100101
#: MSR (immediate) to DAIFSet, without its four bits of operand.
_MASKS, _MASKS_OPERAND = 0xD50340DF, 0xF00
#: STR and STRB, STRH (immediate, unsigned offset), without size, offset and registers.
_STORE, _STORE_FIXED = 0x39000000, 0x3FC00000
#: LDXR, LDAXR and those of bytes and halves, without size and registers.
_LOAD_EXCLUSIVE, _EXCLUSIVE_FIXED = 0x08400000, 0x3FE00000


class Call(NamedTuple):
    """A call in a function."""

    #: Address of the instruction.
    at: int
    #: The names of what is called.
    callees: tuple[str, ...]
    #: Whether the caller goes on behind it.
    returns: bool

    def calls(self, name: str) -> bool:
        """Whether it calls a function, or what the compiler made of it."""
        return any(callee == name or callee.startswith(f"{name}.") for callee in self.callees)


class Code:
    """The calls of a kernel's functions; each function is read once."""

    def __init__(self, symbols: Symbols, read: Callable[[int, int], bytes]) -> None:
        """``read``: so many bytes of the kernel's memory from an address."""
        self.symbols = symbols
        self._read = read
        self._known: dict[str, list[Call]] = {}

    def calls(self, function: str) -> list[Call]:
        """The calls in a function, in the order of addresses. Raises ``KeyError`` if there is no such function."""
        if function not in self._known:
            begin = self.symbols.address(function)
            code = self._read(begin, self.symbols.size(function))
            self._known[function] = list(calls_in(code, begin, self.symbols))
        return self._known[function]

    def loads_exclusively(self, at: int) -> bool:
        """Whether the instruction there is a load that a store-exclusive belongs to."""
        return int.from_bytes(self._read(at, 4), "little") & _EXCLUSIVE_FIXED == _LOAD_EXCLUSIVE

    def stores(self, function: str, offset: int) -> list[int]:
        """Where a function stores to what is so many bytes behind an address. Raises ``KeyError`` as :meth:`calls`."""
        begin = self.symbols.address(function)
        return [begin + at for at in stores_in(self._read(begin, self.symbols.size(function)), offset)]


def calls_in(code: bytes, begin: int, symbols: Symbols) -> list[Call]:
    """The calls in the instructions of one function, which stand at ``begin``."""
    found = []
    for offset in range(0, len(code) - 3, 4):
        word = int.from_bytes(code[offset : offset + 4], "little")
        if word & ~_MASKS_OPERAND == _MASKS:
            found.append(Call(begin + offset, ("local_irq_save",), True))
        kind, distance = word >> 26, word & 0x3FFFFFF
        if kind not in (_B, _BL):
            continue
        at = begin + offset
        target = at + 4 * (distance - (distance >> 25 << 26))
        if kind == _BL or not begin <= target < begin + len(code):
            found.append(Call(at, tuple(symbols.names(target)), kind == _BL))
    return found


def stores_in(code: bytes, offset: int) -> list[int]:
    """Where in the instructions of a function something so many bytes behind a register is stored to."""
    found = []
    for at in range(0, len(code) - 3, 4):
        word = int.from_bytes(code[at : at + 4], "little")
        size = word >> 30
        if word & _STORE_FIXED == _STORE and 0 <= offset - ((word >> 10 & 0xFFF) << size) < 1 << size:
            found.append(at)
    return found

"""The functions of a running kernel, as ``/proc/kallsyms`` has them."""

from bisect import bisect_left, bisect_right

from vgic.errors import KernelError

__all__ = ["Symbols"]

#: Further from the last function than any is long, in bytes: no function.
_LONGEST = 0x10000


class Symbols:
    """Functions by name and by address."""

    def __init__(self, text: str) -> None:
        """``text``: lines ``ADDRESS TYPE NAME``; modules' functions, which have a fourth word, are left out.

        Raises :class:`~vgic.errors.KernelError` if there are none.
        """
        rows = [words for words in map(str.split, text.splitlines()) if len(words) == 3 and words[1] in "tTwW"]
        self._functions = sorted((int(address, 16), name) for address, _, name in rows if not name.startswith("$"))
        self._starts = [address for address, _ in self._functions]
        self._address: dict[str, int] = {}
        for address, name in self._functions:
            self._address.setdefault(name, address)
        if not any(self._starts):
            raise KernelError("this kernel does not tell its functions (CONFIG_KALLSYMS, /proc/kallsyms)")

    def __len__(self) -> int:
        return len(self._functions)

    def __contains__(self, name: str) -> bool:
        return name in self._address

    def address(self, name: str) -> int:
        """Where a function begins. Raises ``KeyError`` if there is none of this name."""
        return self._address[name]

    def size(self, name: str) -> int:
        """Bytes from a function's beginning to the next one. Raises ``KeyError`` if there is none of this name."""
        begin = self._address[name]
        after = bisect_right(self._starts, begin)
        return self._starts[after] - begin if after < len(self._starts) else 0

    def parts(self, name: str) -> list[str]:
        """The functions that the compiler made of one: of its name, or ``name.isra.0``, ``name.part.0``, ..."""
        return [one for one in self._address if one == name or one.startswith(f"{name}.")]

    def names(self, address: int) -> list[str]:
        """The functions that begin at an address; several names of one function, or none."""
        first = bisect_left(self._starts, address)
        return [name for _, name in self._functions[first : bisect_right(self._starts, address)]]

    def where(self, address: int) -> str:
        """``function+0x1c``, or the address if it is in no function."""
        at = bisect_right(self._starts, address) - 1
        if at < 0 or address - self._starts[at] > _LONGEST:
            return f"{address:#x}"
        return f"{self._functions[at][1]}+{address - self._starts[at]:#x}"

"""Where the members of the kernel's structures are, by the BTF that is inside its Image.

The format is told in the kernel's ``Documentation/bpf/btf.rst``: a header, types one after the other, strings. A type
is known by its number, the first one being 1.
"""

import re
import struct
from dataclasses import dataclass

from vgic.errors import KernelError

__all__ = ["Btf", "Field", "NoBtf"]

_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_POINTER, _ARRAY, _STRUCT, _UNION = 2, 3, 4, 5
#: Kinds that only name another type: typedef, volatile, const, restrict, type tag.
_NAMES = {8, 9, 10, 11, 18}
#: Bytes behind a type's 12, by its kind: once, and for each of its members.
_MORE = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0), 15: (0, 12), 17: (4, 0)}
_MORE[19] = (0, 12)
_LAST_KIND = 19
#: BTF of a kernel has more bytes of types; what is smaller is of something else.
_LEAST = 100_000


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a structure, perhaps a bit field."""

    #: Bytes from the beginning of the structure.
    offset: int
    #: Bytes that have to be read.
    size: int
    #: The lowest of its bits in them, and how many it has.
    shift: int
    bits: int

    def of(self, data: bytes) -> int:
        """Its value in the ``size`` bytes at ``offset``; not negative."""
        return int.from_bytes(data, "little") >> self.shift & (1 << self.bits) - 1


class NoBtf(KernelError):
    """A kernel does not tell its structures; what needs none of them can be done."""


class Btf:
    """The structures and unions of a kernel."""

    def __init__(self, data: bytes) -> None:
        """``data``: a .BTF section. Raises :class:`~vgic.errors.KernelError` if it cannot be read."""
        try:
            *_, header, types, types_size, strings, strings_size = _HEADER.unpack_from(data)
            begin = header + types
            self._types = data[begin : begin + types_size]
            self._strings = data[header + strings : header + strings + strings_size]
            self._at = [0]  # There is no type 0: it is void.
            self._structures: dict[str, int] = {}
            self._walk()
        except (struct.error, ValueError, UnicodeDecodeError) as error:
            raise KernelError(f"the BTF of this kernel cannot be read: {error}") from None

    @classmethod
    def of_image(cls, image: bytes) -> "Btf":
        """The BTF of a plain Image. Raises :class:`NoBtf` if it has none."""
        found = (match.start() for match in re.finditer(rb"\x9f\xeb\x01\x00[\x18-\xff]\x00\x00\x00", image))
        sizes = {begin: _HEADER.unpack_from(image, begin)[5] for begin in found if begin + _HEADER.size <= len(image)}
        begin = max(sizes, key=sizes.__getitem__, default=0)
        if sizes.get(begin, 0) < _LEAST:
            raise NoBtf("this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")
        header, _, _, strings, size = _HEADER.unpack_from(image, begin)[3:]
        return cls(image[begin : begin + header + strings + size])

    def field(self, structure: str, path: str) -> Field:
        """The member ``a.b.c`` of a structure, through members without a name.

        Raises ``KeyError`` if there is none, :class:`~vgic.errors.KernelError` if the BTF is damaged there.
        """
        number, bit, size = self._structures[structure], 0, 0
        try:
            for name in path.split("."):
                at, number, size = self._member(self._named(number), name)
                bit += at
            width = size or self._size(number) * 8
        except (struct.error, ValueError) as error:
            raise KernelError(f"the BTF of this kernel cannot be read: {error}") from None
        offset, shift = divmod(bit, 8)
        return Field(offset, (shift + width + 7) // 8, shift, width)

    def size(self, structure: str) -> int:
        """Bytes of a structure. Raises ``KeyError`` if there is none."""
        return self._size(self._structures[structure])

    def _walk(self) -> None:
        """Notes where each type is, and which structure is called what; the first one of a name counts."""
        at = 0
        while at < len(self._types):
            name, info, _ = _TYPE.unpack_from(self._types, at)
            kind, members = info >> 24 & 31, info & 0xFFFF
            if not 0 < kind <= _LAST_KIND:
                raise ValueError(f"a type of the kind {kind}")
            if kind in (_STRUCT, _UNION) and name:
                self._structures.setdefault(self._string(name), len(self._at))
            self._at.append(at)
            once, each = _MORE.get(kind, (0, 0))
            at += _TYPE.size + once + each * members

    def _string(self, at: int) -> str:
        return self._strings[at : self._strings.index(b"\0", at)].decode()

    def _type(self, number: int) -> tuple[int, int, int, int]:
        """Of a type: where it is, its info and its size or the type that it is made of, and its kind."""
        at = self._at[number] if 0 < number < len(self._at) else 0
        info, size = (int(word) for word in _TYPE.unpack_from(self._types, at)[1:])
        return at, info, size, info >> 24 & 31 if number else 0

    def _named(self, number: int) -> int:
        """The type behind typedefs and qualifiers; of damaged BTF any."""
        for _ in self._at:
            _, _, other, kind = self._type(number)
            if kind not in _NAMES:
                break
            number = other
        return number

    def _size(self, number: int) -> int:
        times = 1
        for _ in self._at:
            at, _, size, kind = self._type(self._named(number))
            if kind != _ARRAY:
                return times * (8 if kind == _POINTER else size)
            number, _, count = (int(word) for word in _TYPE.unpack_from(self._types, at + _TYPE.size))
            times *= count
        raise ValueError("an array of itself")

    def _member(self, number: int, name: str, depth: int = 0) -> tuple[int, int, int]:
        """Of a structure's member: its first bit, its type, and its bits if it is a bit field."""
        at, info, _, kind = self._type(number)
        if kind not in (_STRUCT, _UNION) or depth > 16:
            raise KeyError(name)
        for index in range(info & 0xFFFF):
            called, of, place = _TYPE.unpack_from(self._types, at + _TYPE.size * (index + 1))
            bit, size = (place & 0xFFFFFF, place >> 24) if info >> 31 else (place, 0)
            if called and self._string(called) == name:
                return bit, of, size
            if not called:
                try:
                    inner, of, size = self._member(self._named(of), name, depth + 1)
                except KeyError:
                    continue
                return bit + inner, of, size
        raise KeyError(name)

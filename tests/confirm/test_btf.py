import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.confirm.btf import Btf, Field
from vgic.errors import KernelError

INT, PTR, ARRAY, STRUCT, UNION, TYPEDEF = 1, 2, 3, 4, 5, 8


class Writer:
    """Writes BTF, a type at a time; each method returns the number of its type."""

    def __init__(self):
        self.types = b""
        self.strings = b"\0"
        self.count = 0

    def name(self, text):
        at = len(self.strings)
        self.strings += text.encode() + b"\0"
        return at if text else 0

    def add(self, kind, name, members, size, more=b"", flag=0):
        self.types += struct.pack("<III", self.name(name), flag << 31 | kind << 24 | members, size) + more
        self.count += 1
        return self.count

    def integer(self, size):
        return self.add(INT, f"u{size * 8}", 0, size, bytes(4))

    def structure(self, name, size, members, kind=STRUCT, flag=0):
        more = b"".join(struct.pack("<III", self.name(text), of, bits) for text, of, bits in members)
        return self.add(kind, name, len(members), size, more, flag)

    def data(self):
        head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return head + self.types + self.strings


def kernel_like():
    """A structure as struct vgic_irq is, with bit fields, a union without a name, and one behind a typedef."""
    btf = Writer()
    u8, u32 = btf.integer(1), btf.integer(4)
    pointer = btf.add(PTR, "", 0, u32)
    array = btf.add(ARRAY, "", 0, 0, struct.pack("<III", u32, u32, 3))
    counter = btf.structure("refcount_struct", 4, [("refs", u32, 0)])
    alias = btf.add(TYPEDEF, "refcount_t", 0, counter)
    union = btf.structure("", 8, [("hwintid", u32, 0), ("vcpu", pointer, 0)], UNION)
    members = [("intid", u32, 0), ("", union, 64), ("count", alias, 128), ("lr", array, 160)]
    members += [("pending_latch", u8, 1 << 24 | 256), ("enabled", u8, 1 << 24 | 259), ("source", u8, 3 << 24 | 269)]
    btf.structure("vgic_irq", 40, members, flag=1)
    btf.structure("vgic_irq", 4, [("other", u32, 0)])
    return btf


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("intid", Field(0, 4, 0, 32)),
        ("vcpu", Field(8, 8, 0, 64)),
        ("count.refs", Field(16, 4, 0, 32)),
        ("lr", Field(20, 12, 0, 96)),
        ("pending_latch", Field(32, 1, 0, 1)),
        ("enabled", Field(32, 1, 3, 1)),
        ("source", Field(33, 1, 5, 3)),
    ],
)
def test_a_member_is_found(path, field):
    assert Btf(kernel_like().data()).field("vgic_irq", path) == field


def test_a_bit_field_is_read_from_its_bytes():
    field = Btf(kernel_like().data()).field("vgic_irq", "source")
    assert field.of(bytes([0b101_00000])) == 0b101
    assert Btf(kernel_like().data()).size("vgic_irq") == 40


@pytest.mark.parametrize(("structure", "path"), [("none", "x"), ("vgic_irq", "none"), ("vgic_irq", "intid.x")])
def test_what_is_not_there_is_a_key_error(structure, path):
    with pytest.raises(KeyError):
        Btf(kernel_like().data()).field(structure, path)


def test_the_largest_btf_of_an_image_is_the_kernels():
    btf = kernel_like()
    small = btf.data()
    for number in range(9000):
        btf.add(PTR, f"t{number}", 0, 1)
    large = btf.data()
    assert Btf.of_image(b"x" * 7 + small + b"y" * 5 + large + b"z").field("vgic_irq", "intid").size == 4
    with pytest.raises(KernelError, match="no BTF"):
        Btf.of_image(small)
    with pytest.raises(KernelError, match="no BTF"):
        Btf.of_image(b"")


@given(st.data())
def test_damaged_btf_is_refused_or_read(data):
    good = bytearray(kernel_like().data())
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(4, len(good) - 1))] = data.draw(st.integers(0, 255))
    with suppress(KernelError, KeyError):
        btf = Btf(bytes(good))
        for path in ("intid", "vcpu", "count.refs", "lr", "source"):
            btf.field("vgic_irq", path)

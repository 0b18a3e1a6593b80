import pytest

from vgic.confirm.code import Code, calls_in, stores_in
from vgic.confirm.symbols import Symbols
from vgic.errors import KernelError

BASE = 0xFFFF_8000_8000_0000
TEXT = f"""\
{BASE:016x} T caller
{BASE + 0x40:016x} t callee
{BASE + 0x40:016x} T __alias_of_callee
{BASE + 0x80:016x} t callee.part.0
{BASE + 0x80:016x} t $x
{BASE + 0x100:016x} D data
{BASE + 0x100:016x} T last
{BASE:016x} t of_module [module]
"""


def b(distance, link):
    return ((0b100101 if link else 0b000101) << 26 | (distance // 4 & 0x3FFFFFF)).to_bytes(4, "little")


NOP = (0xD503201F).to_bytes(4, "little")


def test_functions_are_known_by_name_and_address():
    symbols = Symbols(TEXT)
    assert symbols.address("callee") == BASE + 0x40
    assert symbols.size("caller") == 0x40
    assert symbols.names(BASE + 0x40) == ["__alias_of_callee", "callee"]
    assert symbols.parts("callee") == ["callee", "callee.part.0"]
    assert symbols.where(BASE + 0x84) == "callee.part.0+0x4"
    assert symbols.where(12) == "0xc"
    assert "of_module" not in symbols
    assert "data" not in symbols


@pytest.mark.parametrize("text", ["", "0000000000000000 T hidden\n", "no such line\n"])
def test_a_kernel_that_hides_its_functions_is_refused(text):
    with pytest.raises(KernelError, match="CONFIG_KALLSYMS"):
        Symbols(text)


def test_calls_are_found_in_both_directions_and_jumps_within_are_none():
    code = NOP + b(0x3C, True) + b(-8, False) + b(0x80 - 12, True) + b(0x100 - 16, False) + b(-0x40, True)
    found = list(calls_in(code, BASE, Symbols(TEXT)))
    assert [(call.at - BASE, call.callees, call.returns) for call in found] == [
        (4, ("__alias_of_callee", "callee"), True),
        (12, ("callee.part.0",), True),
        (16, ("last",), False),
        (20, (), True),
    ]
    assert found[0].calls("callee")
    assert found[1].calls("callee")
    assert not found[2].calls("callee")


def test_a_function_is_read_once_and_whole():
    asked = []

    def read(address, size):
        asked.append((address, size))
        return NOP * (size // 4)

    code = Code(Symbols(TEXT), read)
    assert code.calls("caller") == code.calls("caller") == []
    assert asked == [(BASE, 0x40)]
    with pytest.raises(KeyError):
        code.calls("none")


def test_interrupts_off_are_a_call_of_their_own():
    """msr daifset, #2, #3 and #0xf; msr daifclr, #2 is none."""
    code = b"".join(word.to_bytes(4, "little") for word in (0xD50342DF, 0xD50343DF, 0xD5034FDF, 0xD50342FF))
    found = list(calls_in(code, BASE, Symbols(TEXT)))
    assert [(call.at - BASE, call.callees) for call in found] == [(at, ("local_irq_save",)) for at in (0, 4, 8)]


def test_stores_are_found_by_the_byte_that_they_change():
    """strb w1, [x0, #44]; ldrb w1, [x0, #44]; str w1, [x0, #44]; str xzr, [x2, #40]; strb wzr, [x19, #45]."""
    words = (0x3900B001, 0x3940B001, 0xB9002C01, 0xF900145F, 0x3900B67F)
    code = b"".join(word.to_bytes(4, "little") for word in words)
    assert stores_in(code, 44) == [0, 8, 12]
    assert stores_in(code, 45) == [8, 12, 16]
    assert stores_in(code, 48) == []
    assert Code(Symbols(TEXT), lambda address, size: code).stores("callee", 44) == [
        BASE + 0x40 + at for at in (0, 8, 12)
    ]

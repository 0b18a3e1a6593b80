"""The script for gdb, as a text: gdb itself is not needed."""

from dataclasses import replace

import pytest
from test_btf import PTR, Writer
from test_story_files import KERNEL, confirmation

from vgic.confirm.holds import holds_script
from vgic.confirm.image import Kernel
from vgic.confirm.machine import Marks
from vgic.confirm.play import claims
from vgic.confirm.report import played_script
from vgic.confirm.symbols import Symbols

MARKS = Marks(0x1000, 0x1004, 0x1008, 0x2000)
BASE = 0xFFFF_8000_0000_0000
SYMBOLS = Symbols(
    f"{BASE:016x} T vgic_its_resolve_lpi\n{BASE + 0x100:016x} T kmem_cache_alloc_lru_noprof\n"
    f"{BASE + 0x200:016x} T make_task_dead\n{BASE + 0x300:016x} T kvm_vcpu_kick\n{BASE + 0x400:016x} T xas_alloc\n"
    f"{BASE + 0x500:016x} T last\n"
)


def played(name, held=(), at=(), **outcome):
    return replace(confirmation(name, held=held, at=at, **outcome), marks=MARKS, symbols=SYMBOLS)


def with_all_holds(name):
    """As if each hold of the story was found, one after the other, and then an allocation failed."""
    script = played_script(confirmation(name))
    turns = [turn for turn in script.turns if turn.hold]
    held = [f"{turn.hold}; held at vgic_its_resolve_lpi+{4 * number:#x}" for number, turn in enumerate(turns)]
    at = [f"{BASE + 4 * number:#x}" for number in range(len(turns))]
    if claims()[name].no_memory:
        held.append("allocation for xas_alloc+0x8 failed")
        at.append(f"{BASE + 0x408:#x}")
    return played(name, tuple(held), tuple(at))


def commands(script):
    """Without remarks, what is said, and what only prepares."""
    lines = [line.strip() for line in script.splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "echo", "set pag", "set conf", "set arch"))]


def test_a_story_is_played_in_its_order():
    place = ("step 1, f: x; held at vgic_its_resolve_lpi+0x1b4",)
    script = holds_script(KERNEL, played("open-window", place, (f"{BASE + 0x1B4:#x}",)))
    assert commands(script) == [
        "target remote gdb.socket",
        *["hbreak *0x1000", "continue", "set scheduler-locking on"],
        *[
            "thread 2",
            "if $pc != 0x1000",
            "continue",
            "end",
            "thread 3",
            "if $pc != 0x1000",
            "continue",
            "end",
            "delete",
        ],
        *["thread 2", "thbreak *0xffff8000000001b4", "continue", "delete"],
        *["thread 3", "thbreak *0x1004", "continue", "delete"],
        *["thread 2", "thbreak *0x1004", "continue", "delete"],
        *["delete", "set scheduler-locking off", "detach"],
    ]
    assert script.index("Type 'go'") < script.index("continue")
    assert (
        "# held at vgic_its_resolve_lpi+0x1b4: behind the call of vgic_lpis_enabled in vgic_its_resolve_lpi;" in script
    )
    assert r"echo \nthread 1 goes on: sends event 0\n" in script


def test_an_allocation_fails_for_those_who_were_told_so():
    script = holds_script(KERNEL, with_all_holds("cache-store-leak"))
    alloc, link = f"{BASE + 0x100:#x}", "($x30 | 0xffff000000000000)"
    assert (
        "\n".join(
            [
                f"thbreak *{BASE + 0x200:#x}",
                "thbreak *0x1004",
                f"hbreak *{alloc}",
                "continue",
                f"while $pc == {alloc}",
                "  # Called from xas_alloc+0x8: there is no memory.",
                f"  if {link} == {BASE + 0x408:#x}",
                "    set $x0 = 0",
                f"    set $pc = {link}",
                "  end",
                "  continue",
                "end",
            ]
        )
        in script
    )
    assert "stop it by Ctrl-C" in script


def test_who_is_kicked_is_told_where_that_is_asked():
    one = with_all_holds("kick-of-the-wrong-vcpu")
    assert "look at vcpu_id of the kvm_vcpu at $x0" in holds_script(KERNEL, one)
    btf = Writer()
    btf.structure("kvm_vcpu", 99, [("vcpu_id", btf.integer(4), 8 * 36)])
    for number in range(9000):  # As long as a kernel's.
        btf.add(PTR, f"t{number}", 0, 1)
    script = holds_script(Kernel("k", btf.data()), one)
    assert r'printf "vCPU %d is kicked\n", *(int *)($x0 + 36)' in script
    assert script.count("while $pc == 0xffff800000000300") == 5


@pytest.mark.parametrize("name", claims())
def test_each_script_is_of_commands_that_gdb_has(name):
    one = with_all_holds(name)
    script = holds_script(KERNEL, one)
    if not one.outcome.at:
        assert not script
        return
    known = {"target", "hbreak", "thbreak", "continue", "set", "thread", "if", "while", "end", "delete", "detach"}
    lines = commands(script)
    assert {line.split()[0] for line in lines} <= known | {"printf"}
    assert lines.count("end") == sum(line.startswith(("if ", "while ")) for line in lines)
    assert all(int(line.split()[1]) in (2, 3, 4) for line in lines if line.startswith("thread "))
    turns = played_script(one).turns
    picked = len(played_script(one).threads)
    assert [int(line.split()[1]) - 1 for line in lines if line.startswith("thread ")][picked:] == [
        turn.thread for turn in turns
    ]


def test_a_story_that_gets_no_further_ends_there():
    one = with_all_holds("folded-then-forgotten")
    assert len(one.outcome.at) == 1
    outcome = replace(one.outcome, held=(), at=())
    assert not holds_script(KERNEL, replace(one, outcome=outcome))
    outcome = replace(
        one.outcome,
        held=("allocation for xas_alloc+0x8 failed",),
        at=(f"{BASE + 0x408:#x}",),
        why="this kernel has no such call",
    )
    script = holds_script(KERNEL, replace(one, outcome=outcome))
    assert "# Not on this kernel: this kernel has no such call\n" in script
    assert commands(script)[-2:] == ["set scheduler-locking off", "detach"]

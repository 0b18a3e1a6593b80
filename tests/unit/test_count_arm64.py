"""Instructions on arm64: what is read of the emulator's log, and what BENCHMARKS.md says of the counts."""

import json
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: As QEMU 7.2 writes it: two threads, lines of the program's own, and one that was cut off.
LOG = b"""\
Trace 0: 0x7f21f4000100 [00000000/0000005500001a40/00000000/ff000201] _start
Trace 1: 0x7f21f4000240 [00000000/0000005500001a44/00000000/ff000201] other
Trace 0: 0x7f21f4000380 [00000000/0000005500001a44/00000000/ff000201]
4096 sends, 12.00 ns each
Trace 0: 0x7f21f4000380 [00000000/0000005500001a44/00000000/ff000201]
Trace 0: 0x7f21f4
"""


@pytest.fixture(autouse=True)
def benches(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benches")


def test_the_log_is_counted_by_address_for_the_main_thread():
    from count_arm64 import executed

    assert executed(LOG.splitlines(keepends=True)) == {0x5500001A40: 1, 0x5500001A44: 2}
    assert executed([]) == {}


def test_what_belongs_to_rounds_is_told_from_what_does_not():
    from count_arm64 import Failed, difference

    rounds = 100
    start = Counter({0x10: 5, 0x20: rounds, 0x30: 16 * rounds, 0x40: 7})
    # A start that differs by a little, one instruction and sixteen a round, and one that only the longer run meets.
    longer = Counter({0x10: 8, 0x20: 2 * rounds, 0x30: 32 * rounds + 2, 0x40: 5, 0x50: 1})
    assert difference(start, longer, rounds) == (17, 3 + 2 + 2 + 1)
    assert difference(start, Counter({0x10: 5, 0x20: 200, 0x30: 3200, 0x40: 7}), rounds) == (17, 0)
    # Every second round: rounds are not alike.
    with pytest.raises(Failed, match="50 of 100 instructions belong to no round"):
        difference(Counter(), Counter({0x10: 50}), rounds)


def test_the_option_is_the_one_that_the_emulator_has():
    from count_arm64 import Failed, one_by_one

    assert one_by_one("-singlestep          QEMU_SINGLESTEP   run in singlestep mode") == "-singlestep"
    newer = "-one-insn-per-tb  QEMU_ONE_INSN_PER_TB  ...\n-singlestep  deprecated"
    assert one_by_one(newer) == "-one-insn-per-tb"
    with pytest.raises(Failed, match="single instructions"):
        one_by_one("-p pagesize")


def test_the_table_puts_counts_beside_the_kernel_that_has_the_design():
    from figures.arm64 import on_arm64

    designs = ("v6.8-rc1", "v6.10", "v7.1.8")
    counts = {design: {"1": 100.4, "16": 399.0 + place} for place, design in enumerate(designs)}
    counted = {
        "commit": "abc",
        "compiler": "rustc 1",
        "emulator": "QEMU 9",
        "instructions": {"exclusives": counts, "calls": counts, "in-place": {d: {"16": 300} for d in designs}},
    }
    text = on_arm64(counted)
    assert "| events | `v6.8-rc1` | Linux 6.1 | `v6.10` | Linux 6.12 | `v7.1.8` |\n" in text
    assert "| 1 | 100 | 527 | 100 | 679 to 882 | 100 |\n" in text
    assert "| 16 | 399 | 798 | 400 | 690 | 401 |\n" in text
    assert "| `v6.10` | 400 | 400 | 300 |\n" in text
    assert "`v6.8-rc1` 50% of 6.1, `v6.10` 58% of 6.12" in text


def test_the_document_has_what_was_counted():
    from figures.arm64 import COUNTED, on_arm64

    counted = json.loads(COUNTED.read_text(encoding="utf-8"))
    assert set(counted["instructions"]["exclusives"]) == {"v6.8-rc1", "v6.10", "v7.1.8", "hardened"}
    assert on_arm64() in (ROOT / "BENCHMARKS.md").read_text(encoding="utf-8")

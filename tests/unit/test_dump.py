"""Dumps of guest memory, proper and hostile, and register values in texts."""

import random
from contextlib import ExitStack

import pytest

from cores import EHDR, PHDR, PT_LOAD, core, header, program_header
from vgic.dump import tables
from vgic.dump.formats import FORMATS, WORD
from vgic.dump.memory import MOST_SEGMENTS, open_dump
from vgic.dump.registers import Registers, registers_of
from vgic.dump.tree import ranges
from vgic.registers import VALID

GIB = 1 << 30


@pytest.fixture
def opened(tmp_path):
    """Open bytes, or a sparse file of that size that begins with them, as a dump."""
    with ExitStack() as stack:

        def open_bytes(data, base=None, size=None):
            path = tmp_path / "dump"
            with path.open("wb") as file:
                file.write(data)
                if size is not None:
                    file.truncate(size)
            return open_dump(str(path), base, stack)

        yield open_bytes


def test_segments_of_a_core_are_read_by_address(opened):
    dump = opened(core((0x4000_0000, b"abcd"), (0x9000_0000, b"xyz"), (0x4000_0004, b"efgh")))
    assert dump.read(0x4000_0000, 4) == b"abcd"
    assert dump.read(0x4000_0002, 4) == b"cdef"  # across two that follow each other
    assert dump.read(0x4000_0006, 100) == b"gh"  # up to a gap
    assert dump.read(0x9000_0001, 2) == b"yz"
    assert [dump.read(address, 1) for address in (0, 0x3FFF_FFFF, 0x4000_0008, 0x9000_0003)] == [b""] * 4
    assert dump.remarks == {}
    assert dump.ranges == "0x40000000 to 0x40000007, 0x90000000 to 0x90000002"


def test_what_is_missing_is_told(opened):
    dump = opened(core((0x1000, bytes(16)), (0x3000, bytes(16))))
    assert dump.share(0x1008, 64, "it") == 8
    assert dump.share(0x2000, 64, "that") == 0
    assert list(dump.remarks) == [
        "it at 0x1008: the dump ends at 0x1010, within it",
        "that at 0x2000: not in the dump (0x1000 to 0x100f, 0x3000 to 0x300f)",
    ]


def test_many_ranges_are_cut_short(opened):
    dump = opened(core(*((n << 12, bytes(8)) for n in range(6))))
    assert dump.ranges == "0x0 to 0x7, 0x1000 to 0x1007, 0x2000 to 0x2007, and more"


def test_entries_across_segments(opened):
    words = b"".join(WORD.pack(word) for word in (1, 0, 3, 4))
    dump = opened(core((0x1000, words[:12]), (0x100C, words[12:])))
    assert list(dump.entries(0x1000, 32, WORD)) == [(0, (1,)), (2, (3,)), (3, (4,))]


def test_a_raw_dump_has_a_base(opened):
    dump = opened(b"abcd", base=0x4000_0000)
    assert dump.read(0x4000_0001, 2) == b"bc"
    # RAM may begin with an ELF file that is no core.
    assert opened(header(0, kind=2), base=0x1000).read(0x1000, 4) == b"\x7fELF"


def load(offset, address, filesz):
    return program_header(PT_LOAD, offset, address, filesz)


def with_headers(*headers, rest=b"", **fields):
    return header(len(headers), **fields) + b"".join(headers) + rest


BROKEN = {
    "32-bit": (header(0, ident=(1, 1)), "not 64-bit little-endian"),
    "big-endian": (header(0, ident=(2, 2)), "not 64-bit little-endian"),
    "of another machine": (header(0, machine=62), "of machine 62"),
    "ends in its header": (header(0)[:40], "ends within its header"),
    "no memory": (header(0), "without memory"),
    "headers that are not there": (header(3), "ends within its 3 program headers"),
    "headers far away": (header(1, phoff=1 << 63), "ends within its 1 program headers"),
    "headers of another size": (header(1, phentsize=32), "program headers of 32 bytes"),
    "too many headers": (
        header(0xFFFF, shoff=EHDR) + bytes(44) + (MOST_SEGMENTS + 1).to_bytes(4, "little"),
        f"{MOST_SEGMENTS + 1} program headers",
    ),
    "the number of headers is nowhere": (header(0xFFFF, shoff=1 << 40), "without memory"),
    "only absurd segments": (with_headers(load(0, (1 << 64) - 8, 64)), "without memory"),
    "a kdump": (b"KDUMP   \x06\0\0\0", "a kdump-compressed dump"),
    "a flattened one": (b"makedumpfile\0\0", "a flattened dump"),
    "a migration stream": (b"QEVM\0\0\0\3", "a migration stream"),
    "virsh save": (b"LibvirtQemudSave", "virsh save"),
    "empty": (b"", "the dump is empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_dump_is_refused(opened, name):
    data, message = BROKEN[name]
    with pytest.raises(ValueError, match=message) as raised:
        opened(data)
    assert "\n" not in str(raised.value)


def test_an_elf_core_takes_no_base(opened):
    with pytest.raises(ValueError, match="--base: an ELF core has the addresses"):
        opened(core((0, b"x")), base=0)


def test_the_number_of_many_headers_is_in_a_section(opened):
    headers = load(EHDR + PHDR, 0x1000, 4)
    section = bytes(44) + (1).to_bytes(4, "little") + bytes(16)
    shoff = EHDR + PHDR + 4
    assert opened(header(0xFFFF, shoff=shoff) + headers + b"abcd" + section).read(0x1000, 4) == b"abcd"


def test_segments_that_overlap(opened):
    at = EHDR + 2 * PHDR
    dump = opened(with_headers(load(at, 0x1000, 8), load(at + 8, 0x1004, 8), rest=b"abcdefghABCDEFGH"))
    assert dump.read(0x1000, 12) == b"abcdefghEFGH"
    assert list(dump.remarks) == ["segments at 0x1000 and 0x1004 overlap: the first one counts"]
    # One within another, and twice the same, as a dump by virtual addresses has it.
    dump = opened(with_headers(load(at, 0x1000, 8), load(at + 2, 0x1002, 2), rest=b"abcdefgh"))
    assert (dump.read(0x1000, 12), dump.remarks) == (b"abcdefgh", {})


def test_absurd_segments_are_told_and_left_out(opened):
    at = EHDR + 4 * PHDR
    dump = opened(
        with_headers(
            load(at, 0x1000, 4), load(0, (1 << 64) - 4, 8), load(1 << 50, 0x5000, 8), load(at, 0x9000, 1 << 62),
            rest=b"abcd",
        )
    )  # fmt: skip
    assert dump.ranges == "0x1000 to 0x1003, 0x9000 to 0x9003"
    assert list(dump.remarks) == [
        "segment 1: 8 bytes at 0xfffffffffffffffc do not fit into 64 bits of address",
        "segment 2 at 0x5000: the file ends within it",
        "segment 3 at 0x9000: the file ends within it",
    ]


def test_a_huge_sparse_core_is_not_read_whole(opened):
    dump = opened(with_headers(load(EHDR + PHDR, 1 << 40, 1000 * GIB)), size=1001 * GIB)
    reads = []
    dump.on_read = reads.append
    assert list(dump.entries((1 << 40) + 500 * GIB, 1 << 20, WORD)) == []
    assert len(reads) == 16


def test_random_cores_raise_nothing_but_a_value_error(opened):
    rng = random.Random(7)
    good = core((0x4000_0000, bytes(64)), (0x9000_0000, bytes(64)))
    opens = 0
    for _ in range(500):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(EHDR + 3 * PHDR)] = rng.choice([0, 1, 0x7F, 0xFF, rng.randrange(256)])
        try:
            dump = opened(bytes(data[: rng.choice([len(data), rng.randrange(1, len(data))])]))
        except ValueError:
            continue
        opens += 1
        dump.share(0x4000_0000, 1 << 40, "it")
        assert len(dump.read(0x4000_0000, 1 << 16)) <= 1 << 16
    assert opens > 50


TEXTS = {
    "options' names": ("GITS_CBASER=0x10\nGITS_BASER0: 0x20\nbaser1 0x30\nGICR_PROPBASER=15", (16, 32, 48, 15, {})),
    "a log": ("[3.2] its: BASER0 <- 0x20, BASER1 <- 0x30 (BASER2 <- 0x40)", (None, 32, 48, None, {})),
    "brackets": ("GITS_BASER<0> = 0x20; GITS_BASER[1] = 48", (None, 32, 48, None, {})),
    "gdb": (
        "$1 = {ctlr = 1, cbaser = 0x10, cwriter = 0, baser = {0x20, 0x30, 0x0 <repeats 6 times>}}\n"
        "  gicr_propbaser = 0xf, gicr_pendbaser = 0x50000,\n  gicr_propbaser = 0xf, gicr_pendbaser = 0x60000,",
        (16, 32, 48, 15, {0: 0x50000, 1: 0x60000}),
    ),
    "numbered": ("GICR3_PENDBASER=0x50000\nGICR[1]_PENDBASER=0x60000", (None,) * 4 + ({3: 0x50000, 1: 0x60000},)),
    "the last one counts": ("GITS_BASER0=1\nGITS_BASER0=2", (None, 2, None, None, {})),
    "Linux": (
        "[    0.000000] ITS@0x0000000008080000: allocated 8192 Devices @4a010000 (indirect, esz 8, psz 64K, shr 1)\n"
        "ITS@0x08080000: allocated 8192 Interrupt Collections @0x4a020000 (flat, esz 8, psz 64K, shr 1)\n"
        "[    0.000000] GICv3: using LPI property table @0x000000004a030000\n"
        "[    0.000000] GICv3: CPU0: using allocated LPI pending table @0x000000004a040000\n"
        "[    0.010000] GICv3: CPU1: using allocated LPI pending table @0x000000004a050000\n",
        (None, 0xC000_0000_4A01_0200, 0x8000_0000_4A02_0200, 0x4A03_000F, {0: 0x4A04_0000, 1: 0x4A05_0000}),
    ),
    "Linux, small pages": (
        "ITS@0x8080000: allocated 16384 Devices @4a010000 (flat, esz 8, psz 4K, shr 0)",
        (None, 0x8000_0000_4A01_001F, None, None, {}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_registers_in_texts(name):
    text, wanted = TEXTS[name]
    found = registers_of(text)
    assert (found.cbaser, found.baser0, found.baser1, found.propbaser, found.pendbaser) == wanted


@pytest.mark.parametrize("text", ["", "nothing", "BASER0", "GITS_BASER0 = x", "GITS_BASER7 = 1", "MYBASER0=1"])
def test_a_text_without_registers_is_refused(text):
    with pytest.raises(ValueError, match="no register is named"):
        registers_of(text)


def test_a_value_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="more than 64 bits"):
        registers_of("GITS_BASER0=0x10000000000000000")


def test_qemus_tables_have_pages_of_any_size():
    qemu = FORMATS["qemu"]
    for size, pages in enumerate((4 << 10, 16 << 10, 64 << 10)):
        assert qemu.size(size << 8 | 3) == 4 * pages
    assert qemu.address(0x4A01_1000) == 0x4A01_1000
    assert qemu.address(0x4A01_1000 | 2 << 8) == 0x0001_0000_4A01_0000  # bits 51:48 are in 15:12


def test_runs_of_numbers():
    assert ranges([]) == "none"
    assert ranges([8192, 8194, 8195, 8196, 9000]) == "8192, 8194-8196, 9000"


def test_devices_that_share_an_itt_are_looked_at_up_to_a_limit(opened, monkeypatch):
    """As a guest can have it: each of its devices has the same ITT of as many entries as there may be."""
    monkeypatch.setattr(tables, "_MOST_ITT_ENTRIES", 5 << 16)
    itt, devices = 0x10_0000, 0x0
    memory = bytearray(itt + (8 << 16))
    for number in range(8):
        memory[devices + 8 * number : devices + 8 * number + 8] = WORD.pack(1 << 63 | 1 << 49 | itt >> 8 << 5 | 15)
    memory[itt : itt + 8] = WORD.pack(8192 << 16)
    dump = opened(bytes(memory), 0)
    looked = tables.Tables(dump, Registers(baser0=VALID | devices), FORMATS["kvm"])
    found = [
        row.device_id for number, device in looked.all_devices() for row, _ in looked.events_of(number.number, device)
    ]
    assert found == [0, 1, 2, 3, 4]
    assert list(dump.remarks) == ["the ITTs have more than 327,680 entries: the rest is not looked at"]

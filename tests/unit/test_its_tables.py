"""Saved tables of a fixed VM, entry by entry, against the format written out by hand."""

import errno
import re

import pytest

import vgic
from vgic.its import CollectionEntry, DeviceEntry, IttEntry, Level1Entry, encode

RAM = 0x4000_0000
DEVICES, COLLECTIONS, CONFIG, PENDING = 0x4001_0000, 0x4002_0000, 0x4003_0000, 0x4004_0000
PAGE = 0x1_0000
VALID, INDIRECT = 1 << 63, 1 << 62


def machine(design: str = vgic.DEFAULT_DESIGN, *, indirect: bool = False, ram: bytearray | None = None) -> vgic.Vm:
    """A VM with 2 vCPUs, its tables where the constants say, everything enabled, LPIs of priority 0xa0."""
    vm = vgic.Vm(2, design, memory=vgic.GuestMemory({RAM: bytearray(2 << 20) if ram is None else ram}))
    vm.memory.write(CONFIG, b"\xa1" * PAGE)
    for n, vcpu in enumerate(vm.vcpu):
        vcpu.frame.set(0x70, CONFIG | 15)
        vcpu.frame.set(0x78, PENDING + n * PAGE)
        vcpu.frame.set(0x00, 1)
    frame = vm.its[0].frame
    frame.set(0x80, VALID | RAM | 15)
    frame.set(0x100, VALID | (INDIRECT if indirect else 0) | DEVICES)
    frame.set(0x108, VALID | COLLECTIONS)
    frame.set(0x00, 1)
    return vm


def run(vm: vgic.Vm, *commands: bytes) -> None:
    """Put commands into the queue and start them; all must succeed."""
    frame = vm.its[0].frame
    position = frame.get(0x88)
    for command in commands:
        vm.memory.write(RAM + position, command)
        position = (position + 32) % PAGE
    frame.write(0x88, 8, position)
    assert frame.errors == {}


def fixed_vm() -> vgic.Vm:
    vm = machine()
    run(
        vm,
        encode("MAPC", collection_id=7, vcpu=1, valid=True),
        encode("MAPC", collection_id=0, vcpu=0, valid=True),
        encode("MAPD", device_id=0x18, event_bits=5, itt_address=0x4010_0100, valid=True),
        encode("MAPD", device_id=2, event_bits=16, itt_address=0x4011_0000, valid=True),
        encode("MAPTI", device_id=0x18, event_id=31, intid=65535, collection_id=7),
        encode("MAPTI", device_id=0x18, event_id=3, intid=8193, collection_id=0),
        encode("MAPTI", device_id=2, event_id=0xFFFF, intid=8192, collection_id=7),
        encode("MAPTI", device_id=2, event_id=4, intid=9000, collection_id=0x1FFF),  # known, not mapped
    )
    return vm


def test_golden_bytes():
    vm = fixed_vm()
    vm.its[0].frame.save_tables()
    words = {
        # Collection table: in the order of mapping, ended by zero. V | RDbase << 16 | collection.
        COLLECTIONS: 0x8000_0000_0001_0007,
        COLLECTIONS + 8: 0x8000_0000_0000_0000,
        COLLECTIONS + 16: 0x8000_FFFF_FFFF_1FFF,
        COLLECTIONS + 24: 0,
        # Device table: V | next << 49 | ITT address >> 8 << 5 | event bits - 1.
        # Device 2: next 0x16 -> 0x002c...; ITT 0x40110000 -> 0x401100 << 5 = 0x8022000; 16 bits -> 0xf.
        DEVICES + 8 * 2: 0x802C_0000_0802_200F,
        # Device 0x18: the last; ITT 0x40100100 -> 0x401001 << 5 = 0x8020020; 5 bits -> 4.
        DEVICES + 8 * 0x18: 0x8000_0000_0802_0024,
        # ITT of device 0x18: next << 48 | INTID << 16 | collection. From event 3 to 31: 0x1c.
        0x4010_0100 + 8 * 3: 0x001C_0000_2001_0000,
        0x4010_0100 + 8 * 31: 0x0000_0000_FFFF_0007,
        # ITT of device 2: from event 4 to 65535: 0xfffb.
        0x4011_0000 + 8 * 4: 0xFFFB_0000_2328_1FFF,
        0x4011_0000 + 8 * 0xFFFF: 0x0000_0000_2000_0007,
    }
    for address, word in words.items():
        assert vm.memory.read_u64(address) == word, hex(address)
    # And nothing else.
    written = {a for a in range(DEVICES, CONFIG, 8) if vm.memory.read_u64(a)}
    written |= {a for a in range(0x4010_0000, RAM + (2 << 20), 8) if vm.memory.read_u64(a)}
    assert written == {address for address, word in words.items() if word}


def test_golden_pending_bits():
    vm = fixed_vm()
    for device_id, event_id in ((0x18, 31), (0x18, 3), (2, 0xFFFF)):
        assert vm.signal_msi(device_id, event_id) == 1
    vm.save_pending_tables()
    pending = {a: vm.memory.read(a, 1)[0] for a in range(PENDING, PENDING + 2 * PAGE) if vm.memory.read(a, 1) != b"\0"}
    # LPI 8193: byte 1024, bit 1, vCPU 0. LPI 8192: byte 1024, bit 0; LPI 65535: byte 8191, bit 7; vCPU 1.
    assert pending == {PENDING + 1024: 0b10, PENDING + PAGE + 1024: 0b1} | ({PENDING + PAGE + 8191: 0x80})


@pytest.mark.parametrize("free", [0, 1])
def test_the_end_of_the_collection_table_is_marked_within_the_table(free):
    """A full table has no room for an entry that ends it: what lies behind is the guest's own."""
    vm = machine()
    entries = PAGE // 8 - free
    for collection in range(entries):
        vm.its[0].mapc(collection, vcpu=collection % 2)
    vm.memory.write(COLLECTIONS, b"\xff" * PAGE)
    before = vm.memory.read(COLLECTIONS - 8, 8), vm.memory.read(COLLECTIONS + PAGE, 8)
    assert before[1] == b"\xa1" * 8
    state = vm.save()
    assert (vm.memory.read(COLLECTIONS - 8, 8), vm.memory.read(COLLECTIONS + PAGE, 8)) == before
    words = memoryview(vm.memory.read(COLLECTIONS, PAGE)).cast("Q")
    assert [word >> 63 for word in words] == [1] * entries + [0] * free
    copy = vgic.Vm(2, memory=vgic.GuestMemory({RAM: bytearray(vm.memory.read(RAM, 2 << 20))}))
    copy.restore(state)
    assert len(copy.its[0].tables()["collections"]) == entries


def test_a_full_collection_table_at_the_end_of_memory_is_saved():
    vm = vgic.Vm(1, memory=vgic.GuestMemory({RAM: bytearray(2 * PAGE)}))
    vm.its[0].frame.set(0x108, VALID | RAM + PAGE)
    for collection in range(PAGE // 8):
        vm.its[0].mapc(collection, vcpu=0)
    vm.its[0].frame.save_tables()
    assert CollectionEntry.decode(vm.memory.read_u64(RAM + 2 * PAGE - 8)) == CollectionEntry(True, 0, PAGE // 8 - 1)


def test_distances_that_are_too_far_are_capped():
    vm = machine()
    run(
        vm,
        encode("MAPD", device_id=0, event_bits=1, itt_address=0x4010_0000, valid=True),
        encode("MAPD", device_id=8191, event_bits=1, itt_address=0x4010_0100, valid=True),
    )
    vm.its[0].frame.save_tables()
    assert DeviceEntry.decode(vm.memory.read_u64(DEVICES)).next == 8191
    assert DeviceEntry(True, 20000, 0, 1).encode() >> 49 & 0x3FFF == 16383


def test_device_beyond_16383_of_the_last_is_found_again():
    vm = machine(indirect=True)
    pages = {0: 0x4018_0000, 3: 0x4019_0000}
    for page, address in pages.items():
        vm.memory.write_u64(DEVICES + 8 * page, VALID | address)
    run(
        vm,
        encode("MAPC", collection_id=0, vcpu=0, valid=True),
        encode("MAPD", device_id=1, event_bits=1, itt_address=0x4010_0000, valid=True),
        encode("MAPD", device_id=3 * 8192 + 5, event_bits=1, itt_address=0x4010_0100, valid=True),
        encode("MAPTI", device_id=3 * 8192 + 5, event_id=1, intid=8192, collection_id=0),
    )
    frame = vm.its[0].frame
    frame.save_tables()
    before = vm.its[0].tables()
    assert vm.memory.read_u64(0x4019_0000 + 8 * 5) == VALID | 0x4010_0100 >> 8 << 5
    state = vm.save()
    frame.reset()
    assert vm.its[0].tables() == {"devices": [], "collections": []}
    frame.set(0x80, state.its[0]["GITS_CBASER"])
    frame.set(0x100, state.its[0]["GITS_BASER0"])
    frame.set(0x108, state.its[0]["GITS_BASER1"])
    frame.restore_tables()
    assert vm.its[0].tables() == before


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        (DeviceEntry(True, 0, 0, 1), 1 << 63),
        (DeviceEntry(False, 16383, (1 << 52) - 256, 32), 16383 << 49 | (1 << 44) - 1 << 5 | 31),
        (DeviceEntry(True, 1, 0x1_2345_6700, 17), 1 << 63 | 1 << 49 | 0x123_4567 << 5 | 16),
        (CollectionEntry(True, 0, 0), 1 << 63),
        (CollectionEntry(True, (1 << 32) - 2, 0xFFFF), 1 << 63 | (1 << 32) - 2 << 16 | 0xFFFF),
        (CollectionEntry(False, None, 1), (1 << 32) - 1 << 16 | 1),
        (IttEntry(0, 0, 0), 0),
        (IttEntry(0xFFFF, 0xFFFF_FFFF, 0xFFFF), (1 << 64) - 1),
        (IttEntry(1, 8192, 2), 1 << 48 | 8192 << 16 | 2),
    ],
)
def test_where_each_field_of_an_entry_is(entry, word):
    assert entry.encode() == word
    assert type(entry).decode(word) == entry


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (DeviceEntry(True, -1, 0, 1), "next must be 0 to 18446744073709551615, not -1"),
        (DeviceEntry(True, 1 << 64, 0, 1), "next must be 0 to 18446744073709551615, not 18446744073709551616"),
        (DeviceEntry(True, 0, -1, 1), "itt_address must be 0 to 4503599627370495, not -1"),
        (DeviceEntry(True, 0, 1 << 52, 1), "itt_address must be 0 to 4503599627370495, not 4503599627370496"),
        (DeviceEntry(True, 0, 0, 0), "event_bits must be 1 to 32, not 0"),
        (DeviceEntry(True, 0, 0, 33), "event_bits must be 1 to 32, not 33"),
        (CollectionEntry(True, -1, 0), "vcpu must be 0 to 4294967294, not -1"),
        (CollectionEntry(True, (1 << 32) - 1, 0), "vcpu must be 0 to 4294967294, not 4294967295"),
        (CollectionEntry(True, 0, -1), "collection_id must be 0 to 65535, not -1"),
        (CollectionEntry(True, 0, 1 << 16), "collection_id must be 0 to 65535, not 65536"),
        (IttEntry(-1, 0, 0), "next must be 0 to 18446744073709551615, not -1"),
        (IttEntry(1 << 64, 0, 0), "next must be 0 to 18446744073709551615, not 18446744073709551616"),
        (IttEntry(0, -1, 0), "intid must be 0 to 4294967295, not -1"),
        (IttEntry(0, 1 << 32, 0), "intid must be 0 to 4294967295, not 4294967296"),
        (IttEntry(0, 0, -1), "collection_id must be 0 to 65535, not -1"),
        (IttEntry(0, 0, 1 << 16), "collection_id must be 0 to 65535, not 65536"),
        (IttEntry(0, "x", 0), "intid must be a whole number, not str"),
        (IttEntry(0, 0, 1.5), "collection_id must be a whole number, not float"),
    ],
)
def test_a_number_that_does_not_fit_an_entry_is_named(entry, said):
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(said)}$"):
        entry.encode()


@pytest.mark.parametrize("kind", [DeviceEntry, CollectionEntry, IttEntry, Level1Entry])
@pytest.mark.parametrize("word", [-1, 1 << 64])
def test_an_entry_is_one_word(kind, word):
    with pytest.raises(ValueError, match=f"word must be 0 to 18446744073709551615, not {word}"):
        kind.decode(word)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (DeviceEntry(True, 3, 0x4010_0000, 5), "DTE itt_address=0x40100000 event_bits=5 next=3"),
        (DeviceEntry(False, 3, 0x4010_0000, 5), "DTE invalid"),
        (CollectionEntry(True, 1, 7), "CTE collection_id=7 vcpu=1"),
        (CollectionEntry(True, None, 7), "CTE collection_id=7 not mapped"),
        (CollectionEntry(False, 1, 7), "CTE invalid"),
        (IttEntry(3, 8192, 7), "ITE intid=8192 collection_id=7 next=3"),
        (IttEntry(3, 0, 7), "ITE not mapped"),
        (Level1Entry(True, 0x4010_0000), "level 1 address=0x40100000"),
        (Level1Entry(False, 0x4010_0000), "level 1 invalid"),
    ],
)
def test_an_entry_in_words(entry, said):
    assert str(entry) == said


def test_entries_survive_a_round_trip():
    for entry in (DeviceEntry(True, 5, 0x8_1234_5600, 16), DeviceEntry(False, 0, 0, 1)):
        assert DeviceEntry.decode(entry.encode()) == entry
    for collection in (CollectionEntry(True, 511, 65535), CollectionEntry(True, None, 0)):
        assert CollectionEntry.decode(collection.encode()) == collection
    assert IttEntry.decode(IttEntry(65535, 65535, 65535).encode()) == IttEntry(65535, 65535, 65535)
    assert Level1Entry.decode(VALID | 0x1234_0000) == Level1Entry(True, 0x1234_0000)


GOOD = {
    COLLECTIONS: CollectionEntry(True, 1, 3).encode(),
    DEVICES + 8: DeviceEntry(True, 0, 0x4010_0000, 4).encode(),
    0x4010_0000 + 8 * 2: IttEntry(3, 8200, 3).encode(),
    0x4010_0000 + 8 * 5: IttEntry(0, 8201, 3).encode(),
}


def restorable(entries: dict[int, int], design: str = vgic.DEFAULT_DESIGN) -> vgic.Vm:
    """A VM that is off, with entries in its memory."""
    vm = machine(design)
    frame = vm.its[0].frame
    frame.set(0x00, 0)
    for address, word in entries.items():
        vm.memory.write_u64(address, word)
    return vm


def test_good_entries_are_restored():
    vm = restorable(GOOD)
    vm.its[0].frame.restore_tables()
    assert vm.its[0].tables()["collections"] == [(3, 1)]
    (device,) = vm.its[0].tables()["devices"]
    assert device["events"] == [(2, 8200, 3), (5, 8201, 3)]


BAD = {
    "unknown vCPU": ({COLLECTIONS: CollectionEntry(True, 2, 3).encode()}, errno.EINVAL, "entry 0 at 0x40020000"),
    "collection twice": (
        {COLLECTIONS + 8: CollectionEntry(True, 0, 3).encode()},
        errno.EEXIST,
        "entry 1 at 0x40020008",
    ),
    "collection without an entry": (
        {COLLECTIONS: CollectionEntry(True, 0, 8192).encode()},
        errno.EINVAL,
        "the table has no entry",
    ),
    "too many EventID bits": (
        {DEVICES + 8: DeviceEntry(True, 0, 0x4010_0000, 17).encode()},
        errno.EINVAL,
        "device 1 at",
    ),
    "not an LPI": ({0x4010_0010: IttEntry(3, 8191, 3).encode()}, errno.EINVAL, "device 1, event 2 at 0x40100010"),
    "INTID without a configuration byte": (
        {0x4010_0010: IttEntry(3, 0x123_4567, 3).encode()},
        errno.EFAULT,
        "device 1, event 2: the LPI tables are not in guest memory",
    ),
    "next event too far": (
        {0x4010_0028: IttEntry(11, 8201, 3).encode()},
        errno.EINVAL,
        "beyond the device's 16 events",
    ),
    "unknown collection": ({0x4010_0028: IttEntry(0, 8201, 4).encode()}, errno.EINVAL, "collection 4 is unknown"),
    "ITT not in memory": ({DEVICES + 8: DeviceEntry(True, 0, 0x9000_0000, 4).encode()}, errno.EFAULT, "0x90000000"),
    # Two of its entries are there, and the second one says that another follows.
    "ITT partly in memory": (
        {
            DEVICES + 8: DeviceEntry(True, 0, RAM + (2 << 20) - 256, 6).encode(),
            RAM + (2 << 20) - 16: IttEntry(1, 8202, 3).encode(),
            RAM + (2 << 20) - 8: IttEntry(1, 8203, 3).encode(),
        },
        errno.EFAULT,
        "device 1 at 0x40010008.*entry 32: 0x40200000 is not in guest memory",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_entries_are_named_and_leave_nothing(name):
    entries, number, text = BAD[name]
    vm = restorable({**GOOD, **entries})
    frame = vm.its[0].frame
    with pytest.raises(vgic.TableError, match=text) as error:
        frame.restore_tables()
    assert error.value.errno == number
    assert "\n" not in str(error.value)
    assert vm.its[0].tables() == {"devices": [], "collections": []}
    assert vm.lpis() == []
    for address, word in GOOD.items():
        vm.memory.write_u64(address, word)
    vm.memory.write_u64(COLLECTIONS + 8, 0)
    frame.restore_tables()
    assert len(vm.lpis()) == 2


def test_lpi_tables_that_are_missing_are_named():
    vm = vgic.Vm(2, memory=vgic.GuestMemory({RAM: bytearray(2 << 20)}))
    frame = vm.its[0].frame
    frame.set(0x100, VALID | DEVICES)
    frame.set(0x108, VALID | COLLECTIONS)
    for address, word in GOOD.items():
        vm.memory.write_u64(address, word)
    with pytest.raises(vgic.TableError, match=r"device 1, event 2.*GICR_PROPBASER") as error:
        frame.restore_tables()
    assert error.value.errno == errno.EFAULT
    assert vm.its[0].tables() == {"devices": [], "collections": []}


def test_tables_are_not_restored_over_others():
    vm = restorable(GOOD)
    frame = vm.its[0].frame
    frame.set(0x00, 1)  # before the tables: the wrong order, but nothing is lost by it
    frame.restore_tables()
    before = vm.its[0].tables()
    with pytest.raises(vgic.TableError, match="reset it") as error:
        frame.restore_tables()
    assert error.value.errno == errno.EBUSY
    assert vm.its[0].tables() == before


def test_an_lpi_of_more_than_sixteen_bits_is_restored_and_taken():
    """MAPTI refuses such an INTID; in a table that is restored nothing but the size of the LPI tables bounds it."""
    intid = 1 << 16
    vm = restorable(GOOD | {0x4010_0010: IttEntry(3, intid, 3).encode()})
    vm.memory.write(PENDING + PAGE + intid // 8, b"\1")
    frame = vm.its[0].frame
    frame.restore_tables()
    frame.set(0x00, 1)
    assert [lpi["intid"] for lpi in vm.lpis() if lpi["pending"]] == [intid]
    assert vm.vcpu[1].acknowledge() == intid
    vm.vcpu[1].eoi(intid)
    # Whoever walks the LPIs meets it, too.
    vm.its[0].movall(1, 0)
    assert vm.lpi(intid)["target_vcpu"] == 0
    vm.memory.write(CONFIG + intid - 8192, b"\x41")
    vm.vcpu[0].frame.write(0xA0, 8, intid)  # GICR_INVLPIR
    assert vm.lpi(intid)["priority"] == 0x40
    assert vm.signal_msi(1, 2) == 1
    vm.save_pending_tables()
    assert vm.memory.read(PENDING + intid // 8, 1) == b"\1"
    frame.reset()
    vm.vcpu[0].lpis_enabled = False
    assert vm.lpis() == []


@pytest.mark.parametrize("intid", [1 << 16, (1 << 32) - 1])
def test_an_intid_without_lpi_tables_is_lost(intid):
    vm = vgic.Vm(1)
    assert vm._core.restore(0, [(0, 0)], [(1, 4, 0, [(0, 8192, 0), (2, intid, 0)])]) == (1, 2, errno.EFAULT)
    assert vm.lpis() == []


HALF_WRONG = GOOD | {
    0x4010_0028: IttEntry(2, 8191, 3).encode(),
    0x4010_0038: IttEntry(0, 8202, 3).encode(),
}


@pytest.mark.parametrize("design", ["v6.8-rc1", "v6.10", vgic.DEFAULT_DESIGN])
def test_what_a_restore_has_queued_before_it_fails_stays_pending(design):
    vm = restorable(HALF_WRONG, design)
    for intid in (8200, 8202):
        vm.write_pending_table(1, intid, True)
    with pytest.raises(vgic.TableError, match="INTID 8191 is not an LPI"):
        vm.its[0].frame.restore_tables()
    assert vm.its[0].tables() == {"devices": [], "collections": []}
    assert [(lpi["intid"], lpi["pending"], lpi["queued_on"]) for lpi in vm.lpis()] == [(8200, True, 1)]
    # It has taken its bit; the event behind the wrong one has not.
    assert [vm.read_pending_table(1, intid) for intid in (8200, 8202)] == [False, True]
    assert vm.vcpu[1].acknowledge() == 8200
    vm.vcpu[1].eoi(8200)
    assert vm.vcpu[1].acknowledge() is None
    assert vm.lpis() == []


def test_a_vm_that_could_not_be_restored_has_its_pending_tables_as_they_were():
    vm = machine()
    state = vm.save()
    for address, word in HALF_WRONG.items():
        vm.memory.write_u64(address, word)
    vm.write_pending_table(1, 8200, True)
    before = vm.memory.read(RAM, 2 << 20)
    other = vgic.Vm(2, memory=vm.memory)
    with pytest.raises(vgic.TableError, match="INTID 8191 is not an LPI"):
        other.restore(state)
    assert other.lpis() == []
    assert vm.memory.read(RAM, 2 << 20) == before
    vm.memory.write_u64(0x4010_0028, GOOD[0x4010_0028])
    other.restore(state)
    assert other.vcpu[1].acknowledge() == 8200


@pytest.mark.parametrize("design", ["v6.8-rc1", "v6.10", "v6.10+lost-device=skipped", "hardened"])
def test_a_device_without_its_entry_fails_a_save_or_is_left_out(design):
    vm = machine(design, indirect=True)
    vm.memory.write_u64(DEVICES, VALID | 0x4018_0000)
    vm.memory.write_u64(DEVICES + 8, VALID | 0x4019_0000)
    run(vm, *(encode("MAPD", device_id=n, event_bits=4, itt_address=0x4010_0000, valid=True) for n in (1, 8192)))
    vm.memory.write_u64(DEVICES + 8, 0)
    ram = vm.memory.read(RAM, 2 << 20)
    if vgic.design(design).axes["lost-device"] == "fails-save":
        with pytest.raises(vgic.TableError, match="device 8192: the device table has no entry for it") as error:
            vm.its[0].frame.save_tables()
        assert error.value.errno == errno.EINVAL
        assert vm.memory.read(RAM, 2 << 20) == ram
        return
    vm.its[0].frame.save_tables()
    assert DeviceEntry.decode(vm.memory.read_u64(0x4018_0008)) == DeviceEntry(True, 0, 0x4010_0000, 4)


def test_memory_that_is_gone_is_named_and_nothing_is_written():
    """A guest cannot come here: MAPTI refuses an event without an entry in memory. A VMM may take memory away."""
    vm = fixed_vm()
    vm.memory.map(0x9000_0000, bytearray(PAGE))
    run(vm, encode("MAPD", device_id=3, event_bits=4, itt_address=0x9000_0000, valid=True))
    run(vm, encode("MAPTI", device_id=3, event_id=1, intid=8300, collection_id=0))
    vm.memory.unmap(0x9000_0000)
    ram = vm.memory.read(RAM, 2 << 20)
    with pytest.raises(vgic.TableError, match="ITE of device 3, event 1: 0x90000008") as error:
        vm.its[0].frame.save_tables()
    assert error.value.errno == errno.EFAULT
    assert vm.memory.read(RAM, 2 << 20) == ram


def test_discard_and_unmap_clear_what_a_save_left():
    vm = fixed_vm()
    vm.its[0].frame.save_tables()
    run(vm, encode("DISCARD", device_id=2, event_id=0xFFFF))
    assert vm.memory.read_u64(0x4011_0000 + 8 * 0xFFFF) == 0
    run(vm, encode("MAPD", device_id=2, event_bits=1, itt_address=0, valid=False))
    assert vm.memory.read_u64(DEVICES + 8 * 2) == 0

"""The pieces of the reader, one by one: who is which vCPU, what registers show, what is counted and said."""

import lzma

import pytest

import vgic
from qemu_logs import Guest, log
from vgic.trace import Recording, packed, read_qemu
from vgic.trace.recording import MAX_VCPUS, Event
from vgic.trace.registers import Registers
from vgic.trace.topology import Topology

# Topology.


def mapped(*, collection: int = 0, number: int = 0) -> Topology:
    """Event 0 of device 8 is LPI 8192 of a collection."""
    topology = Topology("a.log")
    topology.command("mapc", (collection, number, 1))
    topology.command("mapti", (8, 0, 8192, collection))
    return topology


def test_an_lpi_is_known_while_its_collection_is_mapped():
    topology = mapped()
    topology.command("mapc", (1, 0, 1))
    assert topology.acknowledge(0, 8192)
    assert not topology.acknowledge(0, 8193)
    topology.command("mapc", (0, 0, 0))
    assert not topology.acknowledge(0, 8192)
    topology.command("mapti", (8, 1, 8193, 7))
    assert not topology.acknowledge(0, 8193), "no collection 7"


@pytest.mark.parametrize("command", ["mapi", "movi"])
def test_commands_say_where_an_lpi_goes(command):
    topology = mapped()
    topology.command("mapc", (1, 5, 1))
    if command == "mapi":
        topology.command("mapi", (8, 8200, 1))
        intid = 8200
    else:
        topology.command("movi", (8, 0, 1))
        topology.command("movi", (8, 9, 0))  # nothing is mapped there
        intid = 8192
    topology.place(0x100)
    assert topology.acknowledge(0x100, intid)
    assert topology.numbers() == [5]


def test_what_mapi_maps_can_be_moved():
    topology = mapped()
    topology.command("mapi", (8, 8200, 7))
    topology.command("movi", (8, 8200, 0))
    assert topology.acknowledge(0, 8200)


@pytest.mark.parametrize("command", [("discard", (8, 0)), ("mapd", (8, 4, 0)), ("discard", (8, 3))])
def test_what_is_unmapped_does_not_move(command):
    topology = mapped()
    topology.command("mapc", (1, 5, 1))
    topology.command(*command)
    topology.command("movi", (8, 0, 1))
    topology.place(0)
    assert topology.acknowledge(0, 8192)
    assert topology.numbers() == ([5] if command == ("discard", (8, 3)) else [0])


def test_most_votes_win_and_what_typer_says_wins_over_them():
    topology = Topology("a.log")
    for collection in range(2):
        topology.command("mapc", (collection, collection + 3, 1))
        topology.command("mapti", (8, collection, 8192 + collection, collection))
    topology.place(0x7)
    for intid in (8192, 8193, 8193):
        topology.acknowledge(0x7, intid)
    assert topology.numbers() == [4]
    topology.typer(0x7, 9)
    assert topology.numbers() == [9]


def test_typer_chooses_among_sizes_of_clusters():
    topology = Topology("a.log")
    topology.place(0x101)
    topology.typer(0x102, 10)  # 8 a cluster
    assert topology.numbers() == [9, 10]


@pytest.mark.parametrize(
    ("affinities", "numbers"),
    [
        ([0x0, 0x1, 0x100], [0, 1, 2]),  # the last cluster is smaller
        ([0x0, 0x1, 0x100, 0x101, 0x200], [0, 1, 2, 3, 4]),
        ([0x0, 0x1, 0x100, 0x101], [0, 1, 2, 3]),  # or as large as the others
        ([0x0, 0x100, 0x101], [0, 16, 17]),  # a larger one comes last: not all are seen
        ([0x0, 0x1, 0x100, 0x200, 0x201], [0, 1, 16, 32, 33]),
        ([0x0, 0x2], [0, 2]),  # one is missing
        ([0x1, 0x2], [1, 2]),
        ([0x10], [0]),  # no cluster is that large
    ],
)
def test_a_board_is_whole_or_its_clusters_are_of_some_size(affinities, numbers):
    topology = Topology("a.log")
    for affinity in affinities:
        topology.place(affinity)
    assert topology.numbers() == numbers


def test_no_number_is_beyond_the_largest_vm():
    topology = Topology("a.log")
    topology.place(0x1)
    topology.place((MAX_VCPUS // 16) << 8 | 1)  # too many with 16 a cluster
    assert topology.numbers() == [1, MAX_VCPUS // 2 + 1]
    whole = Topology("a.log")
    for affinity in (0x1, (MAX_VCPUS // 16 - 1) << 8 | 0xF):
        whole.place(affinity)
    assert whole.numbers() == [1, MAX_VCPUS - 1], "the last one that there is"


# Registers.


def registers() -> tuple[Registers, Recording]:
    recording = Recording("guest")
    return Registers(recording, lambda affinity: affinity), recording


def kinds(recording: Recording) -> list[tuple[str, tuple[int, ...]]]:
    return [(event.kind, event.operands) for event in recording]


VALID = 1 << 63


def test_gicr_ctlr_is_one_bit_of_several():
    follow, recording = registers()
    follow.redistributor_write(1, 0, 0, 0x0, 4, 0b1_0000_0001)
    follow.redistributor_write(2, 0, 0, 0x0, 4, 0b1_0000_0000)
    assert kinds(recording) == [("lpis_enabled", (0, 1)), ("lpis_enabled", (0, 0))]


def test_a_write_that_is_wider_than_a_register_is_one_of_all_of_it():
    follow, recording = registers()
    follow.its_write(1, 0, 0x100, 8, VALID | 0x4300_0000)
    follow.its_write(2, 0, 0x100, 10**18, VALID | 0x4400_0000)
    assert kinds(recording) == [("its_tables", (1, 0))]


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        (0x4300_0000, 0x4300_0000, False),
        (0x4300_0000, 0x4300_0080, False),  # attributes only
        (0x4300_0000, 0x4301_0000, True),
        (0x1_4300_0000, 0x2_4300_0000, True),
        (0x4300_0000, 0x4300_0000 | 1 << 62, True),  # PTZ
    ],
)
def test_another_pending_table_is_told(before, after, new, halves):
    follow, recording = registers()

    def write(value):
        if halves:
            follow.redistributor_write(1, 0, 3, 0x78, 4, value & 0xFFFF_FFFF)
            follow.redistributor_write(1, 0, 3, 0x7C, 4, value >> 32)
        else:
            follow.redistributor_write(1, 0, 3, 0x78, 8, value)

    write(before)
    first = len(recording)
    write(after)
    told = kinds(recording)[first:]
    assert told == [("pending_table", (3,))] * (1 if new else 0)
    assert halves or first == 0, "the first one is not another one"


def test_what_lies_behind_a_register_is_not_it():
    follow, recording = registers()
    follow.its_on = True
    follow.redistributor_write(1, 0, 0, 0x0, 4, 1)
    follow.redistributor_write(2, 0, 0, 0x80, 8, 0)  # behind GICR_PENDBASER
    follow.its_write(3, 0, 0x140, 8, 0)  # behind GITS_BASER7
    follow.redistributor_write(4, 0, 0, 0x0, 4, 1)
    follow.its_write(5, 0, 0x0, 4, 1)
    assert not recording.resets


def test_a_redistributor_is_reset_by_its_own_sign():
    for shown_by, resets in ((5, 1), (6, 0)):
        follow, recording = registers()
        for affinity in (5, 6):
            follow.redistributor_write(1, 0, affinity, 0x0, 4, 1)
        follow.redistributor_write(2, 0, shown_by, 0x70, 8, 0x4300_0000)
        follow.redistributor_write(3, 0, 5, 0x0, 4, 1)
        assert len(recording.resets) == resets
        # Of the others nothing is known behind a reset.
        assert follow.redistributors.keys() == ({5} if resets else {5, 6})
        assert follow.redistributors[5].on


def test_an_its_that_is_turned_on_again_and_again_was_not_reset():
    follow, recording = registers()
    for line in range(4):
        follow.its_write(line, 0, 0x0, 4, 1)
    assert not recording.resets


def test_what_was_turned_on_since_a_weak_sign_is_on_behind_the_reset():
    for again in (True, False):
        follow, recording = registers()
        follow.its_write(1, 0, 0x0, 4, 1)
        follow.redistributor_write(2, 0, 5, 0x0, 4, 1)
        follow.command(0, "mapc", (0, 0, 1))
        if again:
            follow.its_write(3, 0, 0x0, 4, 1)
        follow.redistributor_write(4, 0, 5, 0x0, 4, 1)
        follow.command(0, "mapc", (0, 0, 1))
        assert len(recording.resets) == 1
        assert follow.assumed == ([] if again else ["the ITS"])


def test_a_collection_that_was_unmapped_may_be_mapped_again():
    follow, recording = registers()
    follow.redistributor_write(1, 0, 5, 0x0, 4, 1)
    follow.command(0, "mapc", (0, 0, 1))
    follow.command(0, "mapc", (0, 0, 0))
    follow.redistributor_write(2, 0, 5, 0x0, 4, 1)
    follow.command(0, "mapc", (0, 0, 1))
    assert not recording.resets


def test_what_is_taken_to_be_on_is_so_since_the_first_event():
    follow, recording = registers()
    follow.acknowledge(40, 0)
    follow.command(50, "sync", ())
    assert kinds(recording) == [("its_enabled", (1,)), ("lpis_enabled", (0, 1))]
    assert [recording.time_at(place) for place in range(2)] == [40, 40]
    assert follow.its_on
    assert follow.redistributors[0].on


def test_a_table_is_gone_if_it_was_there():
    follow, recording = registers()
    follow.its_write(1, 0, 0x100, 8, 0x4300_0000)  # not valid yet
    follow.its_write(2, 0, 0x100, 8, VALID | 0x4300_0000)
    assert len(recording) == 0
    follow.its_write(3, 0, 0x100, 8, VALID | 0x4400_0000)
    assert kinds(recording) == [("its_tables", (1, 0))]


def test_behind_a_reset_the_first_event_is_where_something_is_taken_to_be_on():
    follow, recording = registers()
    follow.its_write(1, 10, 0x0, 4, 1)
    follow.its_write(2, 20, 0x80, 8, VALID)  # GITS_CBASER while the ITS is on
    follow.its_write(3, 30, 0x0, 4, 1)
    assert len(recording.resets) == 1
    follow.acknowledge(40, 0)
    follow.command(50, "sync", ())
    assert kinds(recording) == [
        ("its_enabled", (1,)),
        ("reset", ()),
        ("lpis_enabled", (0, 1)),
        ("its_enabled", (1,)),
    ]
    assert follow.redistributors[0].ctlr == 1


def test_an_its_that_was_turned_off_is_not_taken_to_be_on():
    follow, recording = registers()
    follow.its_write(1, 0, 0x0, 4, 0)
    follow.command(5, "sync", ())
    assert (kinds(recording), follow.assumed) == ([("its_enabled", (0,))], [])


# The recording.


def test_vcpus_are_numbered_anew_and_targets_keep_theirs():
    recording = Recording("guest")
    recording.append(1, 0, "mapc", 0, 4, 1)
    recording.append(2, 0, "movall", 5, 2)
    recording.append(3, 0, "acknowledge", 1, 8192)
    recording.number_vcpus([9, 3])
    assert kinds(recording) == [("mapc", (0, 4, 1)), ("movall", (5, 2)), ("acknowledge", (3, 8192))]
    assert recording.vcpus == 6
    recording.append(4, 0, "movall", 0, 7)
    recording.number_vcpus([0, 1, 2, 8])
    assert recording.vcpus == 9, "vCPU 3 is 8 now"
    only = Recording("guest")
    only.append(1, 0, "acknowledge", 0, 8192)
    only.number_vcpus([0])
    assert only.vcpus == 1


@pytest.mark.parametrize(("operands", "vcpus"), [((0, 7), 8), ((7, 0), 8), ((3, 3), 4)])
def test_movall_names_two_vcpus(operands, vcpus):
    recording = Recording("guest")
    recording.append(1, 0, "movall", *operands)
    recording.number_vcpus([])
    assert recording.vcpus == vcpus


def test_times_are_from_the_first_event_and_places_are_checked():
    recording = Recording("guest")
    recording.append(1, 500, "sync")
    recording.append(2, 700, "sync")
    assert list(recording) == [Event(1, 0, "sync", ()), Event(2, 200, "sync", ())]
    for place in (-1, 3, 1.0):
        with pytest.raises((vgic.RecordingError, TypeError)):
            recording.insert(place, 1, 0, "sync")
    assert len(recording) == 2


# Lines.


def read(tmp_path, text):
    path = tmp_path / "guest.log"
    path.write_text(text)
    return read_qemu(path)


def test_only_lpis_are_read_from_the_cpu_interface(tmp_path):
    told = Guest()
    told.boot()
    text = log(told.events)
    for intid in (8191, 65536, 65535):
        text += f"gicv3_icc_eoir_write GICv3 ICC_EOIR1 write cpu 0x0 value {intid:#x}\n"
    assert [event.operands for event in read(tmp_path, text) if event.kind == "eoi"] == [(0, 65535)]


def test_a_register_is_written_as_wide_as_the_line_says(tmp_path):
    told = Guest()
    told.boot()
    text = log(told.events)
    # In halves: the pending table moves by the upper one alone.
    write = "gicv3_redist_write GICv3 redistributor 0x0 write: offset {:#x} data {:#x} size {} secure 0\n"
    off = write.format(0, 0, 4)
    lower, upper = write.format(0x78, 0x4500_0000, 4), write.format(0x7C, 0, 4)
    again = write.format(0x78, 0x4500_0000, 8)
    recording = read(tmp_path, text + off + lower + upper + again)
    assert recording.counts["pending_table"] == 1


@pytest.mark.parametrize(("size", "moved"), [(" size 4", 0), (" size 8", 1), ("", 1)])
def test_a_write_of_an_its_table_is_as_wide_as_the_line_says_or_whole(tmp_path, size, moved):
    write = "gicv3_its_write GICv3 ITS write: offset {:#x} data {:#x}{}\n"
    text = write.format(0x100, VALID | 0x4300_0000, " size 8") + write.format(0x100, VALID | 0x4300_0000, "")
    # Half of it is the lower one, which says nothing of VALID: the same table.
    text += write.format(0x100, 0x4300_0000, size)
    recording = read(tmp_path, text)
    assert recording.counts["its_tables"] == moved


@pytest.mark.parametrize(("size", "new"), [(" size 4", 0), (" size 8", 1), ("", 1)])
def test_a_write_of_a_pending_table_is_as_wide_as_the_line_says_or_whole(tmp_path, size, new):
    write = "gicv3_redist_write GICv3 redistributor 0x0 write: offset 0x78 data {:#x}{} secure 0\n"
    text = "gicv3_its_cmd_sync GICv3 ITS: command SYNC\n"
    text += write.format(0x1_4300_0000, " size 8") + write.format(0x4300_0000, size)
    assert read(tmp_path, text).counts["pending_table"] == new


def test_a_command_that_is_processed_and_not_told_is_missing(tmp_path):
    process = "gicv3_its_process_command GICv3 ITS: processing command at offset 0x0: 0x3\n"
    told = "gicv3_its_cmd_int GICv3 ITS: command INT DeviceID 0x8 EventID 0x0\n"
    recording = read(tmp_path, process + told + process)
    assert recording.notes[0].startswith("the log does not have the operands of these commands: 1 INT; what they did")
    # Whatever a line says of no command at all.
    odd = "gicv3_its_process_command GICv3 ITS: processing command\n"
    assert read(tmp_path, odd + process + told).notes == read(tmp_path, process + told).notes


def test_invall_goes_to_the_collection_of_the_last_mapc(tmp_path):
    told = Guest()
    told.boot()
    invall = "gicv3_its_cmd_invall GICv3 ITS: command INVALL\n"
    mapc = "gicv3_its_cmd_mapc GICv3 ITS: command MAPC ICID 0x5 RDbase 0x1 V 1\n"
    recording = read(tmp_path, invall * 2 + log(told.events) + mapc + invall)
    assert [event.operands for event in recording if event.kind == "invall"][-1] == (5,)
    assert recording.ignored["invall before any mapc"] == 2


def test_what_is_not_known_is_counted(tmp_path):
    told = Guest()
    told.boot()
    strange = "gicv3_its_cmd_strange GICv3 ITS: command STRANGE\n"
    vmapp = "gicv3_its_cmd_vmapp GICv3 ITS: command VMAPP vPEID 0x0\n"
    recording = read(tmp_path, log(told.events) + 2 * strange + 3 * vmapp)
    assert dict(recording.ignored) == {"unknown": 2, "vmapp": 3}


@pytest.mark.parametrize(("vcpus", "more"), [(3, ""), (4, " and 1 more"), (6, " and 3 more")])
def test_what_is_taken_to_be_on_is_named_up_to_four(tmp_path, vcpus, more):
    told = Guest(range(vcpus))
    told.boot(events=vcpus)
    for cpu in range(vcpus):
        told.msi(cpu)
        told.take(cpu, 0x2000 + cpu)
    written = ("gicv3_redist_write", "gicv3_its_write")
    recording = read(tmp_path, log([event for event in told.events if event[2] not in written]))
    note = next(note for note in recording.notes if note.startswith("taken to be on from the start"))
    assert note.count("EnableLPIs") == min(vcpus, 3)
    assert note.endswith(f"redistributor {min(vcpus, 3) - 1:#x}{more}")


def test_damaged_and_padded_xz(tmp_path):
    told = Guest()
    told.boot()
    text = log(told.events).encode()
    path = tmp_path / "guest.log.xz"
    path.write_bytes(lzma.compress(text[:100]) + bytes(8) + lzma.compress(text[100:]) + bytes(4))
    assert len(read_qemu(path)) == len(read(tmp_path, text.decode()))
    path.write_bytes(lzma.compress(text)[:40] + b"damage" * 20)
    with pytest.raises(vgic.RecordingError, match=r"damaged xz data \(corrupt input data\)$"):
        read_qemu(path)
    path.write_bytes(lzma.compress(text) + b"XX")
    with pytest.raises(vgic.RecordingError, match="truncated: the xz data ends"):
        read_qemu(path)


def test_xz_may_not_take_all_memory(tmp_path, monkeypatch):
    path = tmp_path / "guest.log.xz"
    path.write_bytes(lzma.compress(b"gicv3_its_cmd_sync GICv3 ITS: command SYNC\n" * 1000, preset=9))
    monkeypatch.setattr(packed, "_XZ_MEMORY", 1 << 16)
    with pytest.raises(vgic.RecordingError, match=r"damaged xz data \(memory usage limit exceeded\)$"):
        read_qemu(path)


def test_a_line_that_ends_in_the_middle_is_called_so(tmp_path):
    told = Guest()
    told.boot()
    line = "gicv3_its_cmd_discard GICv3 ITS: command DISCARD DeviceID 0x8 EventID 0x"
    with pytest.raises(vgic.RecordingError, match=r"guest.log: truncated: line \d+: gicv3_its_cmd_discard"):
        read(tmp_path, log(told.events) + line)
    with pytest.raises(vgic.RecordingError, match=r"guest.log: line \d+: gicv3_its_cmd_discard"):
        read(tmp_path, log(told.events) + line + "\n")


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("line", 0, 2**64 - 1), ("time_us", -(2**63), 2**63 - 1), ("vcpu", 0, MAX_VCPUS - 1), ("intid", 0, 2**32 - 1)],
)
def test_each_number_of_an_event_has_its_range(name, least, most):
    event = {"line": 1, "time_us": 0, "vcpu": 0, "intid": 8192}

    def append(value):
        recording = Recording("guest")
        at = event | {name: value}
        recording.append(at["line"], at["time_us"], "acknowledge", at["vcpu"], at["intid"])
        return recording

    assert all(len(append(value)) == 1 for value in (least, most))
    assert append(most).vcpus == (MAX_VCPUS if name == "vcpu" else 1)
    for value in (least - 1, most + 1):
        with pytest.raises(vgic.RecordingError, match=name):
            append(value)
    for wrong in ("3", 1.5, None):
        with pytest.raises(TypeError, match=f"{name} must be a whole number"):
            append(wrong)


def test_an_event_goes_before_the_place_that_is_named():
    recording = Recording("guest", source="guest.log")
    recording.append(2, 10, "msi", 8, 0)
    recording.insert(0, 1, 5, "mapd", 8, 3, 1)
    recording.insert(1, 9, 7, "sync")
    assert [(event.line, event.kind, event.operands) for event in recording] == [
        (1, "mapd", (8, 3, 1)),
        (9, "sync", ()),
        (2, "msi", (8, 0)),
    ]
    assert (dict(recording.counts), dict(recording.devices)) == ({"msi": 1, "mapd": 1, "sync": 1}, {8: 1})
    assert [recording.time_at(place) for place in range(4)] == [5, 7, 10, None]
    with pytest.raises(vgic.RecordingError, match=r"guest\.log: line 4: movall: to 0x200 is out of range"):
        recording.append(4, 0, "movall", 0, 512)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        recording.append(4, 0, "sync", 1)
    assert len(recording) == 3, "nothing of it is there"

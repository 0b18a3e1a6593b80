"""Resets of the machine, and tables that a guest sets up anew."""

import pytest

import vgic
from qemu_logs import Guest, log
from vgic.trace import Recording, read_qemu
from vgic.trace.recording import Event
from vgic.trace.registers import Registers

FIRST_TABLE, SECOND_TABLE = 0x4300_0000, 0x4800_0000


def read(tmp_path, events):
    path = tmp_path / "guest.log"
    path.write_text(log(events))
    return read_qemu(path)


def rebooted(table=FIRST_TABLE):
    """A guest that is reset while an LPI is pending on vCPU 0 and another is in progress on vCPU 1."""
    told = Guest()
    told.boot()
    told.msi(0)
    told.take(0, 0x2000)
    told.msi(0)
    told.msi(1)
    told.acknowledge(1, 0x2001)
    told.boot(table=table)
    for event in (1, 2, 3):
        told.msi(event)
        told.take(event % 2, 0x2000 + event)
    return told.events


def without(events, *unwanted):
    """The events without those of a name, or with a name and an offset."""
    return [e for e in events if e[2] not in unwanted and (e[2], e[3].get("offset")) not in unwanted]


BASERS = [("gicv3_its_write", 0x100), ("gicv3_its_write", 0x108)]
CBASER = ("gicv3_its_write", 0x80)
PROPBASER, PENDBASER = ("gicv3_redist_write", 0x70), ("gicv3_redist_write", 0x78)
REBOOTS = {
    "everything": ([], "GITS_BASER0 was written while the ITS was on"),
    "no GITS_BASER": (BASERS, "GITS_CBASER was written while the ITS was on"),
    "no table of the ITS": ([*BASERS, CBASER], "GITS_CTLR.Enabled was turned on while it was on"),
    "redistributors only": (
        ["gicv3_its_write"],
        "GICR_PROPBASER of redistributor 0x0 was written while its LPIs were on",
    ),
    "pending tables only": (
        ["gicv3_its_write", PROPBASER],
        "GICR_PENDBASER of redistributor 0x0 was written while its LPIs were on",
    ),
    "the two CTLRs only": (
        [*BASERS, CBASER, PROPBASER, PENDBASER],
        "GITS_CTLR.Enabled was turned on while it was on",
    ),
    "GICR_CTLR only": (
        ["gicv3_its_write", PROPBASER, PENDBASER],
        "GICR_CTLR.EnableLPIs of redistributor 0x0 was turned on while it was on",
    ),
    "the ITS only": (["gicv3_redist_write"], "GITS_BASER0 was written while the ITS was on"),
}


@pytest.mark.parametrize("table", [FIRST_TABLE, SECOND_TABLE], ids=["same tables", "other tables"])
@pytest.mark.parametrize("traced", REBOOTS)
def test_a_reset_is_recognised_by_what_only_a_machine_that_was_reset_can_do(tmp_path, traced, table):
    unwanted, sign = REBOOTS[traced]
    recording = read(tmp_path, without(rebooted(table), *unwanted))
    assert [text for _, text in recording.resets] == [sign]
    (place,) = (n for n, event in enumerate(recording) if event.kind == "reset")
    events = list(recording)
    assert events[place].line == recording.resets[0][0]
    assert [event.kind for event in events[:place]].count("acknowledge") == 2
    assert events[place - 1].kind == "acknowledge" or events[place - 1].kind == "its_enabled"
    answer = vgic.replay_recorded(recording)
    assert (answer.in_order, answer.acknowledges, answer.left) == (5, 5, 0), str(answer)
    assert answer.holds


def test_every_reset_is_recognised(tmp_path):
    events = rebooted()
    recording = read(tmp_path, [*events, *events, *events])
    assert len(recording.resets) == 5
    assert vgic.replay_recorded(recording).holds


def normal():
    """Things that a guest does without a reset."""
    told = Guest()
    told.boot()
    told.msi(0)
    return told


def test_a_normal_boot_is_no_reset(tmp_path):
    told = normal()
    told.take(0, 0x2000)
    recording = read(tmp_path, told.events)
    assert recording.resets == []
    assert {"its_tables", "pending_table"}.isdisjoint(event.kind for event in recording)


def test_a_cpu_that_comes_back_is_no_reset(tmp_path):
    told = normal()
    told.redist_write(1, 0x14, 0, size=4)
    told.map_collection(1)
    told.take(0, 0x2000)
    recording = read(tmp_path, told.events)
    assert recording.resets == []
    assert vgic.replay_recorded(recording).holds


def test_other_bits_of_gicr_ctlr_are_no_reset(tmp_path):
    told = normal()
    told.redist_write(0, 0x0, 0x400_0003, size=4)  # DPG1NS
    told.map_collection(0)
    told.take(0, 0x2000)
    recording = read(tmp_path, told.events)
    assert recording.resets == []
    assert vgic.replay_recorded(recording).holds


#: GICR_CTLR but EnableLPIs: CES, IR, RWP, DPG0, DPG1NS, DPG1S, UWP; and all of them.
OTHERS = [1 << 1, 1 << 2, 1 << 3, 1 << 24, 1 << 25, 1 << 26, 1 << 31]
OTHERS.append(sum(OTHERS))


@pytest.mark.parametrize("bits", OTHERS, ids=hex)
def test_other_bits_of_gicr_ctlr_do_not_enable_lpis(tmp_path, bits):
    told = normal()
    told.take(0, 0x2000)
    told.redist_write(0, 0x0, bits, size=4)
    told.redist_write(0, 0x78, 0x4900_0000)  # May be written, as LPIs are off.
    told.redist_write(0, 0x0, bits | 1, size=4)
    told.msi(0)
    told.take(0, 0x2000)
    recording = read(tmp_path, told.events)
    assert recording.resets == []
    switched = [event.operands for event in recording if event.kind == "lpis_enabled"]
    assert switched == [(0, 1), (1, 1), (0, 0), (0, 1)]
    # Another table, and it was off meanwhile.
    assert [event.operands for event in recording if event.kind == "pending_table"] == [(0,)]
    assert vgic.replay_recorded(recording).holds


@pytest.mark.parametrize("bits", OTHERS, ids=hex)
def test_only_enabling_lpis_again_tells_a_reset(tmp_path, bits):
    """After each sign of a reset the guest writes other bits, which a guest that was not reset may do."""
    told = normal()
    told.take(0, 0x2000)
    told.redist_write(0, 0x70, 0x4900_0000)
    told.redist_write(0, 0x0, bits, size=4)
    told.map_collection(0)
    told.redist_write(0, 0x0, bits, size=4)
    told.redist_write(0, 0x0, bits, size=4)
    told.map_collection(0)
    assert read(tmp_path, told.events).resets == []


@pytest.mark.parametrize("offset", [0x70, 0x78, 0x80, 0x100])
def test_a_guest_that_writes_a_table_while_it_is_on_and_goes_on_was_not_reset(tmp_path, offset):
    told = normal()
    if offset < 0x80:
        told.redist_write(0, offset, 0x4900_0000)
    else:
        told.its_write(offset, 1 << 63 | 0x4900_0000)
    told.take(0, 0x2000)
    told.its_write(0x0, 1, size=4)
    told.redist_write(0, 0x0, 3, size=4)
    told.msi(0)
    told.take(0, 0x2000)
    recording = read(tmp_path, told.events)
    assert recording.resets == []
    # What is written while it is on has no effect.
    assert {"its_tables", "pending_table"}.isdisjoint(event.kind for event in recording)
    assert vgic.replay_recorded(recording).holds


def test_kexec_is_no_reset_but_its_new_tables_are_empty(tmp_path):
    told = normal()
    told.msi(2)
    told.its_write(0x0, 0, size=4)
    told.set_up_its(SECOND_TABLE)
    for cpu in (0, 1):
        told.redist_write(cpu, 0x0, 2, size=4)
        told.set_up_cpu(cpu, SECOND_TABLE + 0x100_0000)
    told.map_device(4, first=0x2010)
    told.msi(0)
    told.take(0, 0x2010)
    recording = read(tmp_path, told.events)
    assert recording.resets == []
    kinds = [event.kind for event in recording]
    assert (kinds.count("its_tables"), kinds.count("pending_table")) == (2, 2)
    answer = vgic.replay_recorded(recording)
    assert answer.holds, str(answer)
    assert answer.left == 0


def test_a_guest_that_wakes_up_keeps_its_tables(tmp_path):
    told = Guest()
    told.boot()
    told.its_write(0x0, 0, size=4)
    for _, _, _, arguments in list(told.events):
        if arguments.get("offset") in (0x100, 0x108, 0x80) and arguments["data"]:
            told.its_write(arguments["offset"], arguments["data"])
    told.its_write(0x0, 1, size=4)
    told.msi(0)
    told.take(0, 0x2000)
    recording = read(tmp_path, told.events)
    assert recording.resets == []
    assert "its_tables" not in [event.kind for event in recording]
    assert vgic.replay_recorded(recording).holds


def test_lpis_that_are_turned_off_and_on_stay_pending_in_the_table(tmp_path):
    told = normal()
    told.redist_write(0, 0x0, 2, size=4)
    told.redist_write(0, 0x0, 3, size=4)
    told.take(0, 0x2000)
    answer = vgic.replay_recorded(read(tmp_path, told.events))
    assert answer.holds, str(answer)


def test_halves_of_a_register_are_put_together(tmp_path):
    told = Guest()
    told.boot()
    told.its_write(0x0, 0, size=4)
    told.its_write(0x104, 0x0100_0000, size=4)  # GITS_BASER0 without Valid
    recording = read(tmp_path, told.events)
    assert [event.operands for event in recording if event.kind == "its_tables"] == [(1, 0)]


def test_resets_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vgic.trace.registers.MAX_RESETS", 2)
    told = Guest()
    for _ in range(4):
        told.set_up_its()
    with pytest.raises(vgic.RecordingError, match="more than 2 resets"):
        read(tmp_path, told.events)


def test_signs_without_end_take_no_room(tmp_path):
    told = Guest()
    told.boot()
    for _ in range(100):
        told.its_write(0x100, 1 << 63)
        told.redist_write(0, 0x70, 0)
    path = tmp_path / "guest.log"
    path.write_text(log(told.events))
    recording = read_qemu(path)
    assert recording.resets == []


def test_what_is_taken_to_be_on_was_so_since_the_first_event():
    recording = Recording("in the middle")
    registers = Registers(recording, number_of=lambda affinity: affinity)
    recording.append(3, 50, "msi", 8, 0)
    registers.command(70, "sync", ())
    registers.acknowledge(80, 1)
    assert list(recording) == [
        Event(0, 0, "lpis_enabled", (1, 1)),
        Event(0, 0, "its_enabled", (1,)),
        Event(3, 0, "msi", (8, 0)),
    ]
    assert registers.assumed == ["the ITS", "EnableLPIs of redistributor 0x1"]


def test_what_is_taken_to_be_on_before_everything_has_the_time_of_what_shows_it():
    recording = Recording("from the start")
    Registers(recording, number_of=lambda affinity: affinity).command(70, "sync", ())
    recording.append(1, 90, "sync")
    assert [event.time_us for event in recording] == [0, 20]


def test_a_new_table_of_collections_forgets_them_and_one_of_devices_does_not():
    valid = 1 << 63
    for number, left in ((0, {3}), (1, set())):
        recording = Recording("tables anew")
        registers = Registers(recording, number_of=lambda affinity: affinity)
        registers.its_write(1, 0, 0x100 + 8 * number, 8, valid | FIRST_TABLE)
        registers.command(0, "mapc", (3, 0, 1))
        registers.its_on = False
        registers.its_write(2, 0, 0x100 + 8 * number, 8, valid | SECOND_TABLE)
        assert recording.counts["its_tables"] == 1
        assert registers.collections == left


def test_the_time_at_a_place():
    recording = Recording("one")
    recording.append(1, -7, "sync")
    assert (recording.time_at(0), recording.time_at(1)) == (-7, None)
    with pytest.raises(ValueError, match=r"^place must be 0 to"):
        recording.time_at(-1)


def test_the_program_of_a_recording_has_seven_numbers_an_event():
    recording = Recording("two")
    assert list(recording.program()) == []
    recording.append(4, 100, "mapti", 8, 1, 8192, 3)
    recording.append(5, 40, "sync")
    first, second = (list(recording.program()[at : at + 7]) for at in (0, 7))
    assert first[1:] == [4, 60, 8, 1, 8192, 3]
    assert second[1:] == [5, 0, 0, 0, 0, 0]
    assert first[0] != second[0]

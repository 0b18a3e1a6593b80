"""A recording itself, and the file that it is read from: names, digests, limits, lines and where they end."""

import hashlib
import io
import lzma
from pathlib import Path

import pytest

import vgic
from vgic._core import OPS
from vgic.trace import Recording, qemu, read_qemu
from vgic.trace.recording import MAX_VCPUS, Event

LOG = b"""\
gicv3_its_cmd_mapc GICv3 ITS: command MAPC ICID 0x0 RDbase 0x0 V 1
gicv3_its_cmd_sync GICv3 ITS: command SYNC
"""


# The recording.


def test_a_recording_is_empty_at_first():
    recording = Recording("guest")
    assert (recording.name, recording.source, recording.sha256, recording.vcpus) == ("guest", "", "", 0)
    assert (recording.ignored, recording.notes, recording.resets) == ({}, [], [])
    assert (recording.counts, recording.devices, len(recording), list(recording)) == ({}, {}, 0, [])
    assert (recording.commands, recording.msis, recording.acknowledges, recording.seconds) == (0, 0, 0, 0.0)
    assert (len(recording.program()), recording.time_at(0)) == (0, None)
    recording = Recording("guest", source="guest.log", sha256="ab")
    assert (recording.source, recording.sha256) == ("guest.log", "ab")


def test_what_a_recording_says_of_itself():
    recording = Recording("guest")
    recording.append(1, 2_000_000, "mapd", 8, 3, 1)
    recording.append(2, 2_500_000, "msi", 8, 0)
    recording.append(3, 2_600_000, "msi", 9, 0)
    recording.append(4, 3_500_000, "acknowledge", 3, 8192)
    assert repr(recording) == (
        "<Recording guest: 4 vCPUs, 1 ITS commands, 2 MSIs of 2 devices, 1 LPIs acknowledged, 1.5 s>"
    )
    assert str(next(iter(recording))) == "line 1: mapd device 0x8, bits 0x3, valid 0x1"
    assert str(Event(7, 0, "sync", ())) == "line 7: sync"


def test_an_event_that_is_refused_is_named_and_nothing_of_it_stays():
    for recording, name in ((Recording("guest"), "guest"), (Recording("guest", source="a.log"), r"a\.log")):
        recording.append(1, 0, "sync")
        for operand, value, shown in (
            (0, MAX_VCPUS, "from 0x200"),
            (1, -1, "to -0x1"),
            (1, 16**50, f"to 0x1{'0' * 37}"),
        ):
            operands = [0, 0]
            operands[operand] = value
            with pytest.raises(vgic.RecordingError, match=rf"^{name}: line 5: movall: {shown} is out of range$"):
                recording.append(5, 0, "movall", *operands)
        for numbers, text in (
            ((2, 1, 0), "place must be 0 to 1, not 2"),
            ((-1, 1, 0), "place must be 0 to 1, not -1"),
            ((0, -1, 0), f"line must be 0 to {2**64 - 1}, not -1"),
            ((0, 2**64, 0), f"line must be 0 to {2**64 - 1}, not {2**64}"),
            ((0, 1, -(2**63) - 1), f"time_us must be {-(2**63)} to {2**63 - 1}, not {-(2**63) - 1}"),
            ((0, 1, 2**63), f"time_us must be {-(2**63)} to {2**63 - 1}, not {2**63}"),
        ):
            with pytest.raises(vgic.RecordingError, match=rf"^{text}$"):
                recording.insert(*numbers, "sync")
        for operands in ((8,), (8, 0, 0)):
            with pytest.raises(ValueError, match=r"argument 2 is (shorter|longer)"):
                recording.append(2, 0, "msi", *operands)
        assert list(recording) == [Event(1, 0, "sync", ())]
        assert (recording.counts, recording.devices) == ({"sync": 1}, {})


def test_a_recording_has_its_limit(monkeypatch):
    monkeypatch.setattr("vgic.trace.recording.MAX_EVENTS", 1000)
    for recording, name in ((Recording("guest"), "guest"), (Recording("guest", source="a.log"), r"a\.log")):
        for line in range(1000):
            recording.append(line, 0, "sync")
        with pytest.raises(vgic.RecordingError, match=rf"^{name}: more than 1,000 events$"):
            recording.append(1000, 0, "sync")


def test_an_event_goes_where_it_is_put():
    recording = Recording("guest")
    recording.append(1, 30, "msi", 8, 1)
    recording.append(2, 40, "msi", 8, 2)
    recording.insert(1, 0, 50, "mapti", 1, 2, 8192, 3)
    recording.insert(3, 9, 60, "acknowledge", 2, 8192)
    assert list(recording) == [
        Event(1, 0, "msi", (8, 1)),
        Event(0, 20, "mapti", (1, 2, 8192, 3)),
        Event(2, 10, "msi", (8, 2)),
        Event(9, 30, "acknowledge", (2, 8192)),
    ]
    assert (dict(recording.devices), recording.vcpus) == ({8: 2}, 3)
    with pytest.raises(ValueError, match=r"^place must be"):
        recording.time_at(-1)


def test_vcpus_that_only_commands_name_count():
    recording = Recording("guest")
    recording.append(1, 0, "sync")
    recording.number_vcpus([])
    assert recording.vcpus == 0
    recording.append(2, 0, "mapc", 9, 4, 1)
    recording.number_vcpus([])
    assert recording.vcpus == 5


def test_a_program_begins_with_the_earliest_event():
    recording = Recording("guest")
    recording.append(5, -10, "mapc", 0, 3, 1)
    recording.append(2**64 - 1, -40, "acknowledge", 3, 2**32 - 1)
    assert [*recording.program()] == [
        *(OPS["mapc"], 5, 30, 0, 3, 1, 0),
        *(OPS["acknowledge"], 2**64 - 1, 0, 3, 2**32 - 1, 0, 0),
    ]
    assert recording.seconds == pytest.approx(30e-6)


# The file.


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("guest", "guest"),
        ("guest.log", "guest"),
        ("guest.txt", "guest"),
        ("guest.log.xz", "guest"),
        ("guest.txt.gz", "guest"),
        ("guest.bz2", "guest"),
        ("guest.log.zst", "guest"),
        ("guest.log.log", "guest.log"),
        ("guest.xz.xz", "guest.xz"),
        ("guest.xz.log", "guest.xz"),
        ("guest.csv", "guest.csv"),
        (".log", ".log"),
        (".xz", ".xz"),
        (".log.xz", ".log"),
    ],
)
def test_a_recording_is_called_after_its_file(file, name):
    assert qemu.recording_name(Path("/tmp") / file) == name


def test_a_file_is_named_and_has_a_digest(tmp_path):
    for path, data in ((tmp_path / "a.log", LOG), (tmp_path / "a.log.xz", lzma.compress(LOG))):
        path.write_bytes(data)
        for given in (path, str(path)):
            recording = read_qemu(given)
            assert (recording.name, recording.source) == ("a", str(path))
            assert recording.sha256 == hashlib.sha256(data).hexdigest()
            assert [event.line for event in recording] == [0, 1, 2], "the ITS is on from the start"
        assert read_qemu(path, name="mine").name == "mine"
    with pytest.raises(FileNotFoundError):
        read_qemu(tmp_path / "none.log")


def test_a_file_is_read_in_pieces(monkeypatch):
    monkeypatch.setattr(qemu, "_CHUNK", 7)
    for data in (LOG * 2, lzma.compress(LOG * 2)):
        told = []
        assert b"".join(qemu._text(io.BytesIO(data), "a.log", told.append)) == LOG * 2
        assert (b"".join(told), {len(piece) for piece in told[:-1]}) == (data, {7})


def test_a_text_may_be_just_as_long_as_the_limit(monkeypatch):
    monkeypatch.setattr(qemu, "MAX_BYTES", 3 << 20)
    for text in (bytes(3 << 20), bytes((3 << 20) + 1)):
        for data in (text, lzma.compress(text, preset=0)):
            pieces = qemu._text(io.BytesIO(data), "a.log", len)
            if len(text) == 3 << 20:
                assert sum(map(len, pieces)) == len(text)
            else:
                with pytest.raises(vgic.RecordingError, match=r"^a\.log: more than 3 MiB of text$"):
                    sum(map(len, pieces))


def test_how_far_the_reading_is_can_be_told_and_whoever_is_told_may_stop_it(tmp_path, monkeypatch):
    monkeypatch.setattr(qemu, "_TELL_LINES", 50)
    path = tmp_path / "a.log"
    path.write_bytes(LOG * 100)
    told = []
    read_qemu(path, progress=lambda share, text: told.append((share, text)))
    assert told == [(1.0, f"reading a: {number} lines") for number in (50, 100, 150, 200)]
    with path.open("rb") as file:
        qemu.read_qemu_file(file, "x", source="y", progress=lambda share, text: told.append((share, text)))
    assert told[4:] == [(0.0, f"reading x: {number} lines") for number in (50, 100, 150, 200)], "it has no size"

    def stop(share, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_qemu(path, progress=stop)


def lines(*pieces):
    return list(qemu._lines(iter(pieces), "a.log"))


def test_lines_go_across_pieces():
    assert lines() == []
    assert lines(b"") == []
    assert lines(b"\n", b"\n") == [(b"", True), (b"", True)]
    assert lines(b"one\ntw", b"o", b"", b"\nthree\n") == [(b"one", True), (b"two", True), (b"three", True)]
    assert lines(b"one\ntw", b"o") == [(b"one", True), (b"two", False)]


def test_a_line_may_be_just_as_long_as_the_limit():
    long = b"x" * qemu.MAX_LINE
    assert lines(long) == [(long, False)]
    assert lines(long + b"\nnext") == [(long, True), (b"next", False)]
    assert lines(long[1:], b"x\n") == [(long, True)]
    text = "is longer than 64 KiB: not a QEMU trace log"
    for pieces, number in (
        ((long + b"x",), 1),
        ((long + b"x\n",), 1),
        ((b"one\ntwo\n" + long, b"x"), 3),
        ((b"one\n", b"two\n" + long + b"x\nfour\n"), 3),
    ):
        with pytest.raises(vgic.RecordingError, match=rf"^a\.log: line {number} {text}$"):
            lines(*pieces)


def test_a_file_that_is_no_text_is_known():
    for pieces in ((b"a\0b\n",), (b"one\n", b"two\n\0")):
        with pytest.raises(vgic.RecordingError, match=r"^a\.log: binary data, not a QEMU trace log$"):
            lines(*pieces)
    # By how it begins, and only there.
    for start, what in qemu._OTHERS.items():
        with pytest.raises(vgic.RecordingError) as caught:
            lines(start + b"\nmore", b"\n")
        assert str(caught.value) == f"a.log: {what}"
    assert lines(b"one\n", b"PERFILE2\n") == [(b"one", True), (b"PERFILE2", True)]


def test_a_log_with_two_troubles_names_the_first_line_of_each(tmp_path):
    path = tmp_path / "a.log"
    strange = b"[18:25:46] h qemu:gicv3_its_cmd_movi: { devid = 8 }\n"
    path.write_bytes(b"\n" + strange * 2)
    with pytest.raises(vgic.RecordingError, match="line 2: an event of the GIC in a form that is not read"):
        read_qemu(path)
    taken = b"gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x0 value 0x2000\n"
    path.write_bytes(LOG + taken * 3)
    assert read_qemu(path).notes[0].startswith("3 acknowledges are of LPIs which no command in the log maps, or whose")
    assert "(first: line 3)" in read_qemu(path).notes[0]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\0", "binary data, not a QEMU trace log"),
        (LOG + b"x" * (qemu.MAX_LINE + 1), "line 3 is longer than 64 KiB: not a QEMU trace log"),
        (lzma.compress(LOG)[:-1], "truncated: the xz data ends before its end mark"),
        (
            b"gicv3_redist_write GICv3 x: offset 0x0 data 0x1 size 4\n",
            "line 1: gicv3_redist_write without redistributor",
        ),
        (b"", "the file is empty"),
    ],
)
def test_what_is_wrong_with_a_file_names_it(tmp_path, data, what):
    path = tmp_path / "a.log"
    path.write_bytes(data)
    with pytest.raises(vgic.RecordingError) as caught:
        read_qemu(path)
    assert str(caught.value) == f"{path}: {what}"


def test_a_guest_has_one_vcpu_at_least(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(b"gicv3_its_cmd_sync GICv3 ITS: command SYNC\n")
    recording = read_qemu(path)
    assert (recording.vcpus, recording.ignored, recording.resets) == (1, {}, [])

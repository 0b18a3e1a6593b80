import lzma

import pytest

import vgic
from vgic.trace import read_qemu
from vgic.trace.recording import KINDS


def read(tmp_path, data, name="guest.log"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_qemu(path)


def with_prefix(text, prefix):
    return "".join(prefix(number) + line + "\n" for number, line in enumerate(text.splitlines()))


def test_every_used_line_becomes_one_event(tmp_path, log_text):
    recording = read(tmp_path, log_text)
    assert [(e.line, e.kind, e.operands) for e in recording] == [
        (1, "its_enabled", (1,)),
        (2, "lpis_enabled", (0, 1)),
        (3, "lpis_enabled", (1, 1)),
        (5, "mapc", (0, 0, 1)),
        (6, "sync", ()),
        (7, "invall", (0,)),
        (8, "mapc", (1, 1, 1)),
        (9, "invall", (1,)),
        (10, "mapd", (8, 3, 1)),
        (11, "mapti", (8, 0, 0x2000, 0)),
        (12, "mapti", (8, 1, 0x2001, 1)),
        (13, "inv", (8, 0)),
        (14, "msi", (8, 0)),
        (17, "acknowledge", (0, 0x2000)),
        (18, "eoi", (0, 0x2000)),
        (19, "msi", (8, 1)),
        (20, "acknowledge", (1, 0x2001)),
        (21, "eoi", (1, 0x2001)),
    ]
    assert (recording.vcpus, dict(recording.devices)) == (2, {8: 2})
    assert (recording.commands, recording.msis, recording.acknowledges) == (9, 2, 2)


@pytest.mark.parametrize(
    "prefix",
    [
        lambda n: f"21929@1795368346.{153443 + n:06}:",
        lambda n: f"2026-11-22T18:25:46.{153443 + n:06}Z ",
        lambda n: f"2026-11-22T18:25:46.{153443 + n:06}+00:00 ",
        lambda n: f"2026-11-22T18:25:46.{153443 + n:06}Z 21929@1795368346.{153443 + n:06}:",
    ],
    ids=["pid-time", "iso", "iso-offset", "iso-pid-time"],
)
def test_prefixes_give_the_same_events_with_times(tmp_path, log_text, prefix):
    plain = read(tmp_path, log_text)
    recording = read(tmp_path, with_prefix(log_text, prefix))
    assert [(e.line, e.kind, e.operands) for e in recording] == [(e.line, e.kind, e.operands) for e in plain]
    assert [e.time_us for e in recording] == [e.line - 1 for e in plain]
    assert recording.seconds == pytest.approx(20e-6)
    assert plain.seconds == 0


def test_xz_is_known_by_its_content_and_may_have_several_streams_and_padding(tmp_path, log_text):
    half = log_text.index("gicv3_its_cmd_mapd")
    data = lzma.compress(log_text[:half].encode()) + b"\0" * 8 + lzma.compress(log_text[half:].encode()) + b"\0" * 4
    recording = read(tmp_path, data, "guest.bin")
    assert [e[2:] for e in recording] == [e[2:] for e in read(tmp_path, log_text)]
    assert recording.name == "guest.bin"


def test_windows_line_ends_and_other_lines_do_no_harm(tmp_path, log_text):
    text = "qemu: some warning\n\n" + log_text.replace("\n", "\r\n") + "gicv3_dist_read whatever\n"
    assert len(read(tmp_path, text)) == len(read(tmp_path, log_text))


def test_unknown_commands_are_counted_not_dropped_silently(tmp_path, log_text):
    text = "gicv3_its_cmd_invall GICv3 ITS: command INVALL\n" + log_text
    text += "gicv3_its_cmd_vmapp GICv3 ITS: command VMAPP vPEID 0x1\n"
    assert read(tmp_path, text).ignored == {"vmapp": 1, "invall before any mapc": 1}


def test_vcpus_are_numbered_from_their_affinity(tmp_path, log_text):
    text = log_text + "gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x102 value 0x2001\n"
    assert list(read(tmp_path, text))[-1].operands == (18, 0x2001)


def test_program_has_seven_words_an_event(tmp_path, log_text):
    recording = read(tmp_path, with_prefix(log_text, lambda n: f"7@1795368346.{2 * n:06}:"))
    program = recording.program()
    assert (program.itemsize, len(program)) == (8, 7 * len(recording))
    from vgic._core import OPS

    assert OPS.keys() == KINDS.keys()
    rows = [tuple(program[n : n + 7]) for n in range(0, len(program), 7)]
    assert rows[8] == (OPS["mapd"], 10, 18, 8, 3, 1, 0)
    assert rows[9] == (OPS["mapti"], 11, 20, 8, 0, 0x2000, 0)
    assert rows[13] == (OPS["acknowledge"], 17, 32, 0, 0x2000, 0, 0)


def broken(log_text):
    whole = lzma.compress(log_text.encode() * 50)
    return {
        "empty": (b"", "the file is empty"),
        "another-text": (b"hello\nworld\n", "no gicv3_its line"),
        "other-events": (b"gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x0 value 0x2000\n", "no gicv3_its line"),
        "binary": (b"\x7fELF\0\0\0\0", "binary data"),
        "truncated-xz": (whole[: len(whole) // 2], "truncated"),
        "almost-whole-xz": (whole[:-1], "truncated"),
        "damaged-xz": (whole[:40] + b"garbage" + whole[47:], "damaged xz data"),
        "empty-xz": (lzma.compress(b""), "the file is empty"),
        "long-line": (b"gicv3_its " + b"x" * 70_000, "longer than 64 KiB"),
        "truncated-text": (log_text.encode().rstrip()[: log_text.find(" pINTID 0x2001")], "truncated: line 12"),
        "missing-field": (b"gicv3_its_cmd_mapti GICv3 ITS: command MAPTI DeviceID 0x8\n", "line 1: .* without EventID"),
        "bad-number": (
            b"gicv3_its_cmd_inv x: command INV DeviceID 010 EventID 0x0\n",
            "line 1: .* not understood",
        ),
        "too-many-vcpus": (b"gicv3_its_cmd_mapc GICv3 ITS: command MAPC ICID 0x0 RDbase 0x200 V 1\n", "out of range"),
        "huge-id": (
            b"gicv3_its_translation_write x: offset 0x40 data 0x1 size 4 requester_id 0x100000000\n",
            "out of range",
        ),
    }


@pytest.mark.parametrize("case", broken("").keys())
def test_what_is_not_a_recording_is_one_line_that_names_the_file(tmp_path, log_text, case):
    data, message = broken(log_text)[case]
    with pytest.raises(vgic.RecordingError, match=message) as caught:
        read(tmp_path, data)
    assert str(tmp_path / "guest.log") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bundled_recording_is_whole():
    recording = vgic.read_recording("virtio-4cpu")
    assert (recording.vcpus, recording.commands, recording.msis, recording.acknowledges) == (4, 178, 5296, 5296)
    assert vgic.read_recording(str(vgic.recordings()["virtio-4cpu"])).sha256 == recording.sha256


def test_missing_recording_names_those_there_are(tmp_path):
    with pytest.raises(
        vgic.RecordingError, match=r"no such file, nor a bundled recording \(redis-memtier, virtio-4cpu\)"
    ):
        vgic.read_recording(tmp_path / "none")
    with pytest.raises(vgic.RecordingError, match="not a regular file"):
        vgic.read_recording(tmp_path)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path, monkeypatch):
    def broken(path, **_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("vgic.trace.store.read_qemu", broken)
    path = tmp_path / "guest.log"
    path.touch()
    with pytest.raises(vgic.RecordingError, match=rf"^{path}: Input/output error$"):
        vgic.read_recording(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello\n", "no gicv3_its line: not a QEMU trace log of an ITS (-trace 'gicv3_*')"),
        (
            b"[18:25:46] h qemu:gicv3_its_cmd_movi: { devid = 8 }\n",
            "line 1: an event of the GIC in a form that is not read (what is read: the text of QEMU's trace back ends "
            "log, syslog and ftrace, and that of simpletrace.py)",
        ),
    ],
)
def test_a_log_without_an_its_says_what_is_read(tmp_path, data, message):
    path = tmp_path / "guest.log"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="line") as caught:
        read_qemu(path)
    assert str(caught.value) == f"{path}: {message}"

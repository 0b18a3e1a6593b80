"""However a version of QEMU writes it and whatever collects it, a recording is the same."""

import json

import pytest

from qemu_logs import COLLECTORS, RESOLUTION, VERSIONS, WITH_WRITERS, WITHOUT_TIMES, guest, log
from vgic.trace import read_qemu
from vgic.trace.spelling import Lines

EVENTS = guest()
#: Some write a file, which nothing collects line by line.
FILES = ("simple", "ftrace", "trace-cmd")
SPELLINGS = [(version, collector) for version in VERSIONS if version not in FILES for collector in COLLECTORS]
SPELLINGS += [(version, collector) for version in FILES for collector in ("none", "carriage returns")]


def read(tmp_path, text):
    path = tmp_path / "guest.log"
    path.write_text(text, newline="")
    return read_qemu(path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return read(tmp_path_factory.mktemp("plain"), log(EVENTS))


@pytest.mark.parametrize(("version", "collector"), SPELLINGS)
def test_every_spelling_gives_the_same_recording(tmp_path, plain, version, collector):
    recording = read(tmp_path, log(EVENTS, version, collector))
    wanted = [event for event in plain if not (version == "7.0" and event.kind == "inv")]
    assert [event[2:4] for event in recording] == [event[2:4] for event in wanted]
    writers = [event.writer if version in WITH_WRITERS else 0 for event in wanted]
    assert [event.writer for event in recording] == writers
    assert (recording.vcpus, recording.devices, recording.resets) == (plain.vcpus, plain.devices, [])
    assert recording.ignored == {}
    times, wanted_times = ([event.time_us for event in events] for events in (recording, wanted))
    if version not in WITHOUT_TIMES:
        assert times == wanted_times
    elif RESOLUTION[collector] is None:
        assert set(times) == {0}
    else:
        off = RESOLUTION[collector]
        assert all(-off <= time - wanted <= off for time, wanted in zip(times, wanted_times, strict=True))
        assert recording.seconds > 0
    if version == "7.0":
        assert recording.notes == [
            "the log does not have the operands of these commands: 4 INV; they are left out, which changes no "
            "acknowledge"
        ]
    else:
        assert recording.notes == []


def test_qemu_7_0_without_the_number_of_the_command_does_not_tell_inv_from_invall(tmp_path, plain):
    text = log([event for event in EVENTS if event[2] != "gicv3_its_process_command"], "7.0")
    recording = read(tmp_path, text)
    assert [e[2:4] for e in recording] == [e[2:4] for e in plain if e.kind not in ("inv", "invall")]
    assert "6 INV; they are left out, which changes no acknowledge" in recording.notes[0]


def test_commands_whose_events_were_not_traced_are_said(tmp_path):
    recording = read(tmp_path, log([event for event in EVENTS if not event[2].startswith("gicv3_its_cmd_")]))
    assert recording.commands == 0
    assert recording.notes == [
        "the log does not have the operands of these commands: 4 INV, 2 INVALL, 4 SYNC; they are left out, which "
        "changes no acknowledge",
        "the log does not have the operands of these commands: 1 CLEAR, 1 DISCARD, 1 INT, 2 MAPC, 1 MAPD, 1 MAPI, "
        "4 MAPTI, 1 MOVALL, 1 MOVI; what they did is not replayed, so acknowledges will differ",
        "3 acknowledges are of LPIs which no command in the log maps, or whose collection none maps (first: line 37): "
        "the log starts late or lacks commands, so they will differ",
    ]


def test_a_command_without_operands_is_said(tmp_path):
    text = log(EVENTS).replace(" DeviceID 0x8 EventID 0x1 ICID 0x0\n", "\n")
    recording = read(tmp_path, text)
    assert recording.counts["movi"] == 0
    assert recording.notes == [
        "the log does not have the operands of these commands: 1 MOVI; what they did is not replayed, so acknowledges "
        "will differ"
    ]


def test_a_log_that_starts_late_says_what_is_taken_to_be_on(tmp_path):
    late = [event for event in EVENTS if event[2] not in ("gicv3_its_write", "gicv3_redist_write")]
    recording = read(tmp_path, log(late))
    assert [event.kind for event in recording].count("lpis_enabled") == 2
    first = list(recording)[:3]
    assert sorted(event[2:4] for event in first) == [
        ("its_enabled", (1,)),
        ("lpis_enabled", (0, 1)),
        ("lpis_enabled", (1, 1)),
    ]
    assert recording.notes == [
        "taken to be on from the start, as no line turns it on: the ITS, EnableLPIs of redistributor 0x0, EnableLPIs "
        "of redistributor 0x1"
    ]


LOST = {
    "Nov 22 18:25:46 host systemd-journald[1]: Suppressed 12345 messages from qemu.service": (
        "journald has suppressed messages, by its RateLimitBurst"
    ),
    "Nov 22 18:25:46 host qemu[77]: [57B blob data]": "journalctl has left out messages, without --all",
    "Nov 22 18:25:46 host qemu[77]: message repeated 3 times: [ gicv3_icc_iar1_read ]": (
        "a syslog daemon has folded repeated messages"
    ),
    "Nov 22 18:25:46 host rsyslogd: imuxsock lost 99 messages from pid 77 due to rate-limiting": (
        "rsyslog has lost messages, by its rate limit"
    ),
    "dropped 0.000 pid=77 num_events_dropped=0x5": "QEMU's back end simple has dropped events",
}


@pytest.mark.parametrize("line", LOST)
def test_lines_that_a_collector_has_lost_are_said(tmp_path, line):
    recording = read(tmp_path, f"{log(EVENTS)}{line}\n{line}\n")
    assert recording.notes == [f"{LOST[line]} (2 times): the log is not whole, so acknowledges may differ"]


def test_what_is_not_an_event_is_passed_over(tmp_path, plain):
    noise = [
        "+ qemu-system-aarch64 -trace gicv3_its_* -trace 'gicv3_icc_iar*' -D guest.log",
        "qemu-system-aarch64: warning: gicv3_its_cmd_mapd is on",
        '{"MESSAGE": "Started qemu."}',
        '{"no": "message"}',
        '{"MESSAGE": 7}',
        "{" * 1000,
        '["gicv3_its_cmd_sync"]',
        "[    0.000000] GICv3: 256 SPIs implemented",
    ]
    lines = log(EVENTS).splitlines()
    text = "\n".join(line for pair in zip(lines, noise * 20, strict=False) for line in pair)
    rest = "\n".join(lines[len(noise * 20) :])
    recording = read(tmp_path, f"{text}\n{rest}\n")
    assert [event[1:] for event in recording] == [event[1:] for event in plain]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"\xff" * 8 + bytes.fromhex("b429a40acb77b1f2") + b"\4",
            "QEMU's back end simple: print it with simpletrace.py",
        ),
        (b"\x17\x08\x44tracing6\0", "a trace of trace-cmd: print it with trace-cmd report"),
        (b"LPKSHHRH\0\0", "a file of systemd's journal: print it with journalctl"),
        (b"PERFILE2\0", "a recording of perf"),
        (b"\xc1\x1f\xfc\xc1\0", "LTTng"),
        ("gicv3_its_cmd_sync GICv3 ITS: command SYNC\n".encode("utf-16"), "text in UTF-16: convert it to UTF-8"),
        (
            b"[18:25:46.153443443] (+0.000012) h qemu:gicv3_its_cmd_movi: { cpu_id = 1 }, { devid = 8, eventid = 0 }\n",
            "line 1: an event of the GIC in a form that is not read",
        ),
        (
            b"gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x0 value 0x2000\n",
            "no gicv3_its line: .*; QEMU before 7.0 does not log what its ITS does",
        ),
    ],
)
def test_what_is_refused_is_one_line_that_says_what_it_is(tmp_path, data, message):
    path = tmp_path / "guest.log"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_qemu(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.1.log", "a.1"),
        ("a.2.log.xz", "a.2"),
        ("guest-6.12.txt", "guest-6.12"),
        ("guest.log.1", "guest.log.1"),
        ("guest", "guest"),
        (".log", ".log"),
        ("boot.log.gz", "boot"),
    ],
)
def test_a_name_loses_known_suffixes_only(tmp_path, file, name):
    (tmp_path / file).write_text(log(EVENTS))
    assert read_qemu(tmp_path / file).name == name


SYNC = "gicv3_its_cmd_sync GICv3 ITS: command SYNC"


def spelled(line):
    return Lines().read(line.encode() if isinstance(line, str) else line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{{is no JSON {SYNC}", "GICv3 ITS: command SYNC"),
        (json.dumps({"log": SYNC}), "GICv3 ITS: command SYNC"),
        # A journal's bytes: zeroes too, and nothing that is none.
        (json.dumps({"MESSAGE": [*SYNC.encode(), 0, 255, 256, -1, "x", None]}), "GICv3 ITS: command SYNC\0\ufffd"),
    ],
)
def test_what_wraps_a_line_is_opened_if_it_is_json(line, message):
    assert spelled(line) == (0, "gicv3_its_cmd_sync", {}, message, 0)


@pytest.mark.parametrize("entry", [{}, {"a": 1}, {"message": "hello"}, {"message": 5}, {"log": None, "msg": SYNC}])
def test_json_without_an_event_is_a_line_without_one(entry):
    assert spelled(json.dumps(entry)) is None


@pytest.mark.parametrize(
    ("entry", "time_us"),
    [
        ({"message": SYNC, "ts": "01:02:03.000004"}, 3_723_000_004),
        ({"message": SYNC, "__REALTIME_TIMESTAMP": "1700000000000001", "ts": "01:02:03"}, 1_700_000_000_000_001),
        ({"message": f"7@3.000002:{SYNC}", "ts": "01:02:03"}, 3_000_002),
        ({"message": SYNC, "ts": "today"}, 0),
    ],
)
def test_the_time_nearest_to_the_message_counts(entry, time_us):
    assert spelled(json.dumps(entry)).time_us == time_us


def test_a_day_of_syslog_is_one_of_the_year():
    day = 86_400_000_000
    first, last = (spelled(f"{date} 23:59:58.5 host qemu: {SYNC}").time_us for date in ("Jan  1", "Dec 31"))
    assert (last - first) == 365 * day
    assert first % day == day - 1_500_000


def test_a_time_that_is_none_is_not_told():
    spelled = Lines().read(b"2026-13-40T00:00:00Z gicv3_its_cmd_sync GICv3 ITS: command SYNC")
    assert spelled is not None
    assert spelled.time_us == 0

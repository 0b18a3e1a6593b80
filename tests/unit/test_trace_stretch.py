"""A stretch of a recording begins with the state that the guest has then, and phases are told apart by their rate."""

import pytest

import vgic
from vgic.trace import Recording, cut, phases, summarize
from vgic.trace.stretch import PARTS, SHORTEST, rates


def boot(recording):
    """One device with two events, both on vCPU 0; it takes a millisecond."""
    recording.append(1, 0, "its_enabled", 1)
    for vcpu in (0, 1):
        recording.append(2 + vcpu, 100, "lpis_enabled", vcpu, 1)
        recording.append(4 + vcpu, 200, "mapc", vcpu, vcpu, 1)
    recording.append(6, 300, "mapd", 8, 4, 1)
    for event in (0, 1):
        recording.append(7 + event, 400, "mapti", 8, event, 8192 + event, 0)
        recording.append(9 + event, 500, "inv", 8, event)


def take(recording, time_us, event, vcpu=0):
    recording.append(20, time_us, "msi", 8, event, writer=7)
    recording.append(21, time_us + 10, "acknowledge", vcpu, 8192 + event)
    recording.append(22, time_us + 20, "eoi", vcpu, 8192 + event)


@pytest.fixture
def guest():
    recording = Recording("guest", source="guest.log", sha256="ab")
    recording.notes.append("a note")
    boot(recording)
    for time_us in range(10_000, 50_000, 1000):
        take(recording, time_us, 0)
    return recording


def kinds(recording):
    return [event.kind for event in recording]


def test_nothing_that_is_asked_for_is_the_recording_itself(guest):
    assert cut(guest) is guest


def test_a_stretch_begins_with_what_is_mapped_and_turned_on(guest):
    piece = cut(guest, 0.02, 0.03)
    before = ["its_enabled", "lpis_enabled", "mapc", "lpis_enabled", "mapc", "mapd", "mapti", "mapti"]
    assert kinds(piece)[:8] == before
    assert kinds(piece)[8:] == ["msi", "acknowledge", "eoi"] * 10
    assert {event.time_us for event in list(piece)[:9]} == {0}
    assert [event.time_us for event in list(piece)[8::3]] == [1000 * n for n in range(10)]
    assert (piece.name, piece.source, piece.sha256) == ("guest from 0.02 s to 0.03 s", "guest.log", "ab")
    assert (piece.begin, piece.vcpus, piece.notes) == (0.02, 2, ["a note"])
    assert [event.line for event in list(piece)[6:10]] == [7, 8, 20, 21]
    assert [event.writer for event in list(piece)[7:10]] == [0, 7, 0]
    assert vgic.replay_recorded(piece).holds


def test_a_stretch_of_a_stretch_counts_its_seconds_from_the_begin_of_the_file(guest):
    piece = cut(cut(guest, 0.02), 0.03, 0.04)
    assert (piece.begin, piece.msis) == (0.03, 10)
    assert piece.program() == cut(guest, 0.03, 0.04).program()
    assert cut(guest, 0.045).name == "guest from 0.045 s"


def test_what_was_moved_is_mapped_where_it_is_and_what_a_reset_forgot_is_gone():
    recording = Recording("guest")
    boot(recording)
    for target in (1, 0, 1):
        recording.append(11, 600, "movi", 8, 1, target)
    take(recording, 10_000, 1, vcpu=1)
    piece = cut(recording, 0.005)
    assert kinds(piece).count("movi") == 0
    assert [event.operands[3] for event in piece if event.kind == "mapti"] == [0, 1]
    assert vgic.replay_recorded(piece).holds
    recording.append(30, 20_000, "reset")
    boot(recording)
    take(recording, 30_000, 0)
    recording.resets.append((30, "a sign"))
    assert kinds(cut(recording, 0.025)).count("mapti") == 2
    assert cut(recording, 0.025).resets == []
    assert cut(recording, 0.015).resets == [(30, "a sign")]


@pytest.mark.parametrize("kind", ["msi", "int"])
def test_what_is_pending_is_sent_at_the_begin(kind):
    recording = Recording("guest")
    boot(recording)
    take(recording, 1000, 0)
    recording.append(20, 2000, kind, 8, 1)
    recording.append(21, 9000, "acknowledge", 0, 8193)
    piece = cut(recording, 0.005)
    assert (piece.msis, [event.operands for event in piece if event.kind == "msi"]) == (1, [(8, 1)])
    assert vgic.replay_recorded(piece).holds
    recording.append(22, 9500, "msi", 8, 1)
    recording.append(23, 9600, "clear", 8, 1)
    recording.append(24, 9900, "sync")
    assert cut(recording, 0.0097).msis == 0


def test_an_msi_whose_line_stands_behind_its_acknowledge_leaves_nothing_pending():
    recording = Recording("guest")
    boot(recording)
    recording.append(20, 1000, "acknowledge", 0, 8192)
    recording.append(21, 1001, "msi", 8, 0)
    recording.append(22, 1002, "sync")
    recording.append(23, 9000, "sync")
    assert cut(recording, 0.005).msis == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"begin": 1.0}, "guest: nothing is recorded there; it ends at 0.04902 s"),
        ({"begin": 0.02, "end": 0.02}, "from and to: nothing lies from 0.02 s to 0.02 s"),
        ({"begin": 0.03, "end": 0.02}, "from and to: nothing lies from 0.03 s to 0.02 s"),
        ({"begin": 0.0201, "end": 0.0202}, "guest: nothing is recorded there; it ends at 0.04902 s"),
        ({"begin": -1.0}, "from: -1 s is out of range 0 s to 1e+12 s"),
        ({"end": float("nan")}, "to: nan is not a number"),
        ({"phase": 9}, "phase: 9 is out of range 1 to 1"),
        ({"phase": 0}, "phase: 0 is out of range 1 to 1"),
        ({"phase": 1, "end": 0.1}, "phase: not together with from or to"),
    ],
)
def test_a_stretch_that_is_not_there_is_one_line(guest, arguments, message):
    with pytest.raises(vgic.RecordingError) as caught:
        cut(guest, **arguments)
    assert str(caught.value) == message


def test_without_times_there_is_no_stretch_and_one_phase():
    recording = Recording("guest")
    recording.append(1, 0, "msi", 8, 0)
    recording.append(2, 0, "msi", 8, 0)
    with pytest.raises(vgic.RecordingError, match=r"^guest: it has no times, so it has no stretches$"):
        cut(recording, 0.5)
    assert [(one.number, one.begin, one.msis, one.rate) for one in phases(recording)] == [(1, 0.0, 2, 0.0)]
    assert rates(recording, "msi", 3) == [2, 0, 0]


def paced(*gaps):
    """A recording whose MSIs come so often, in microseconds, for a second each."""
    recording = Recording("guest")
    begin = 0
    for gap in gaps:
        for time_us in range(begin, begin + 1_000_000, gap or 1_000_000):
            if gap:
                recording.append(1, time_us, "msi", 8, 0)
        begin += 1_000_000
    recording.append(2, begin, "sync")
    return recording


def test_phases_begin_where_the_rate_changes():
    found = phases(paced(1000, 250, 250, 2000))
    assert [(one.number, one.begin, one.end, one.msis) for one in found] == [
        (1, 0.0, 1.0, 1000),
        (2, 1.0, 3.0, 8000),
        (3, 3.0, 4.0, 500),
    ]
    assert [one.rate for one in found] == [1000.0, 4000.0, 500.0]


def test_a_rate_that_changes_little_is_one_phase_and_what_is_short_is_none():
    assert len(phases(paced(1000, 1200))) == 1
    assert len(phases(paced(1000, 2000))) == 2
    quiet = Recording("guest")
    quiet.append(1, 0, "sync")
    quiet.append(2, 1_000_000, "sync")
    assert [(one.begin, one.end, one.msis) for one in phases(quiet)] == [(0.0, 1.0, 0)]
    assert all((one.end - one.begin) * PARTS >= SHORTEST - 1e-9 for one in phases(paced(1000)))


def test_phases_follow_each_other_and_have_every_msi(guest):
    found = phases(guest)
    assert [one.begin for one in found[1:]] == [one.end for one in found[:-1]]
    assert sum(one.msis for one in found) == guest.msis
    assert sum(cut(guest, phase=one.number).msis for one in found) == guest.msis


def test_how_far_it_is_can_be_told_and_whoever_is_told_may_stop_it(guest, monkeypatch):
    monkeypatch.setattr("vgic.trace.recording._TELL_EVENTS", 50)
    told = []
    cut(guest, 0.02, progress=lambda share, text: told.append((round(share, 2), text)))
    summarize(guest, progress=lambda share, text: told.append((round(share, 2), text)))
    shares = [round(number / len(guest), 2) for number in range(0, len(guest), 50)]
    assert told == [(share, f"{what} guest") for what in ("cutting", "counting") for share in shares]

    def stop(share, text):
        raise KeyboardInterrupt

    for work in (lambda: cut(guest, 0.02, progress=stop), lambda: summarize(guest, progress=stop)):
        with pytest.raises(KeyboardInterrupt):
            work()

"""One line of a log: which event it is, when it was, and its operands.

What QEMU writes has looked different over its versions and trace back ends, and what collects it adds to it, or wraps
it up. None of that matters to the events, so it is taken off here:

- The *message*: ``gicv3_its_cmd_movi GICv3 ITS: command MOVI DeviceID 0x8 ...`` of the back ends ``log``, ``syslog``
  and ``ftrace`` (QEMU, ``hw/intc/trace-events``), or ``gicv3_its_cmd_movi 12.345 pid=7 devid=0x8 ...``, which
  ``scripts/simpletrace.py`` prints of the back end ``simple``.
- QEMU's own *prefix*, with ``-msg timestamp=on``: ``tid@seconds.microseconds:`` of older versions, an ISO-8601 time
  of newer ones, and behind that the guest's name, the program and the thread where a version prints these.
- A *collector's*: whatever stands before the message is passed over, but for a time. Objects of JSON on one line are
  opened (``MESSAGE``, ``log``, ``message``, ``msg``). Colours and carriage returns are dropped.

Of several times the one nearest to the message counts: it is the one that was taken first.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

__all__ = ["Lines", "Spelled"]


class Spelled(NamedTuple):
    """An event as the log spells it."""

    #: Microseconds since whatever the log counts from; 0 if the line has no time.
    time_us: int
    #: Name of the trace event.
    event: str
    #: Name in the message -> number, as text.
    values: dict[str, str]
    #: The message.
    message: str
    #: Thread that wrote it, as the log has it; 0 if it has none.
    writer: int = 0


# Escape sequences, also as syslog daemons (#033) and cat -v (^[) write them.
_COLOURS = re.compile(rb"(?:\x1b|#033|\^\[)(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_LOG = re.compile(r"(?<![A-Za-z0-9_])(gicv3_[a-z0-9_]+) (GICv3 .*)", re.DOTALL)
_START = re.compile(r"(?:\d+@\d+\.\d+:)?(gicv3_[a-z0-9_]+) (.*)", re.DOTALL)
_SIMPLE = re.compile(r"^([a-z]\w*) (-?\d{1,15}\.\d{3}) pid=\d+(.*)$")
_PAIR = re.compile(r"\b([A-Za-z_][A-Za-z_0-9]*)[ =](0x[0-9a-fA-F]{1,16}|\d{1,20})(?![A-Za-z0-9_])")
#: Names of the arguments, as the back end ``simple`` has them -> names in the messages.
_ARGUMENTS = {
    "devid": "DeviceID",
    "eventid": "EventID",
    "icid": "ICID",
    "intid": "pINTID",
    "rdbase": "RDbase",
    "rd1": "RDbase1",
    "rd2": "RDbase2",
    "valid": "V",
    "val": "value",
}

_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_OWN = re.compile(r"\d+@(\d{1,11})\.(\d{6}):$")
_WRITER = re.compile(  # QEMU's own prefix, the thread behind an ISO-8601 time, the ring buffer of ftrace
    r"(\d{1,9})@\d+\.\d+:$|\((\d{1,9})(?::[^()]*)?\):? $|-(\d{1,9})\s+\[\d{3}\] [^\[\]]*$"
)
_ISO = re.compile(
    r"(?<!\d)(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(?: ?(Z|UTC|[+-]\d\d:?\d\d)(?![A-Za-z0-9]))?"
)
_SYSLOG = re.compile(rf"\b({_MONTHS}) +(\d{{1,2}}) (\d\d):(\d\d):(\d\d)(?:\.(\d{{1,9}}))?")
_EPOCH = re.compile(r"(?<![\d.])(\d{9,11})(?:\.(\d{1,9}))?(?=\s)")
_CLOCK = re.compile(r"(?<![\d:.])(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?![\d:])")
_UPTIME = re.compile(  # journalctl -o short-monotonic and short-delta; the ring buffer of ftrace
    r"^\[ *(\d{1,11})\.(\d{6})(?: <[^>]*>)?\s*\] \S+ [^ :]+: $|\s(\d{1,11})\.(\d{6}): (?:\w+:\s+)+$"
)
_TEXTS = ("MESSAGE", "log", "message", "msg")
_TIMES = ("__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP", "time", "timestamp", "@timestamp", "ts")


class Lines:
    """Reads lines one after the other: a time may be told by its distance from the one before."""

    def __init__(self) -> None:
        """Start with the first line."""
        self._iso: tuple[str, int] = ("", 0)
        self._simple_us = 0.0

    def read(self, line: bytes) -> Spelled | None:
        """The event of a line; None if it has none."""
        if b"\x1b" in line or b"[" in line:
            line = _COLOURS.sub(b"", line)
        text = line.decode("utf-8", "replace").strip("\r\n \x1e\ufeff")
        if text.startswith(("{", "data: {")):
            return self._wrapped(text.removeprefix("data: "))
        return self._plain(text)

    def _plain(self, text: str) -> Spelled | None:
        found = _LOG.search(text)
        if found is not None:
            return self._spelled(text, found)
        found = _SIMPLE.match(text)
        if found is None:
            found = _START.match(text)
            return None if found is None else self._spelled(text, found)
        self._simple_us += float(found[2])
        if not found[1].startswith("gicv3_"):
            return None
        values = {_ARGUMENTS.get(name, name): value for name, value in _PAIR.findall(found[3])}
        return Spelled(round(self._simple_us), found[1], values, found[3])

    def _spelled(self, text: str, found: re.Match[str]) -> Spelled:
        prefix = text[: found.start(1)]
        return Spelled(self._time(prefix), found[1], dict(_PAIR.findall(found[2])), found[2], _writer(prefix))

    def _wrapped(self, text: str) -> Spelled | None:
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError):
            return self._plain(text)
        if not isinstance(entry, dict):
            return None
        message = next((entry[key] for key in _TEXTS if key in entry), None)
        if isinstance(message, list):  # journald: bytes, where a message is no text
            message = bytes(n for n in message if isinstance(n, int) and 0 <= n < 256)
        elif isinstance(message, str):
            message = message.encode()
        if not isinstance(message, bytes):
            return None
        spelled = self.read(message)
        if spelled is None or spelled.time_us:
            return spelled
        return spelled._replace(time_us=next((self._field(entry[key]) for key in _TIMES if key in entry), 0))

    def _field(self, value: Any) -> int:
        """A time in JSON: seconds, or microseconds if there are too many for that, or as text."""
        text = str(value)
        if re.fullmatch(r"\d{14,17}", text):
            return int(text)
        return self._time(f"{text} ")

    def _time(self, prefix: str) -> int:
        if not prefix:
            return 0
        if (own := _OWN.search(prefix)) is not None:
            return int(own[1]) * 1_000_000 + int(own[2])
        if every := list(_ISO.finditer(prefix)):
            return self._iso_time(every[-1])
        if (found := _UPTIME.search(prefix)) is not None:
            return int(found[1] or found[3]) * 1_000_000 + int(found[2] or found[4])
        if (found := _SYSLOG.search(prefix)) is not None:
            day = datetime(2000, _MONTHS.index(found[1]) // 4 + 1, 1, tzinfo=UTC).timetuple().tm_yday + int(found[2])
            return day * 86_400_000_000 + _clock(*found.group(3, 4, 5, 6))
        if (found := _EPOCH.search(prefix)) is not None:
            return int(found[1]) * 1_000_000 + _fraction(found[2])
        if (found := _CLOCK.search(prefix)) is not None:
            return _clock(*found.group(1, 2, 3, 4))
        return 0

    def _iso_time(self, found: re.Match[str]) -> int:
        """The time of a match; the second that was seen last is remembered, since most lines are in it."""
        zone = (found[4] or "Z").replace("UTC", "Z")
        second = f"{found[1]}T{found[2]}{zone}"
        if second != self._iso[0]:
            try:
                self._iso = (second, int(datetime.fromisoformat(second).timestamp()) * 1_000_000)
            except (ValueError, OverflowError):
                return 0
        return self._iso[1] + _fraction(found[3])


def _writer(prefix: str) -> int:
    found = _WRITER.search(prefix)
    return int(found[found.lastindex or 0]) if found else 0


def _fraction(digits: str | None) -> int:
    return int((digits or "0").ljust(6, "0")[:6])


def _clock(hours: str, minutes: str, seconds: str, fraction: str | None) -> int:
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000 + _fraction(fraction)

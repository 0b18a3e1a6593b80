"""One guest's events, as different versions of QEMU write them and different tools collect them.

An event is (thread, microseconds, name, arguments in the order of QEMU's ``hw/intc/trace-events``).
"""

import json
from datetime import UTC, datetime

START = 1_795_368_346_000_000
#: name -> message of the back ends log, syslog and ftrace; QEMU 7.1 and later.
MESSAGES = {
    "gicv3_its_write": "GICv3 ITS write: offset 0x{offset:x} data 0x{data:x} size {size}",
    "gicv3_its_translation_write": "GICv3 ITS TRANSLATER write: offset 0x{offset:x} data 0x{data:x} size {size} "
    "requester_id 0x{requester_id:x}",
    "gicv3_its_process_command": "GICv3 ITS: processing command at offset 0x{rd_offset:x}: 0x{cmd:x}",
    "gicv3_its_cmd_int": "GICv3 ITS: command INT DeviceID 0x{devid:x} EventID 0x{eventid:x}",
    "gicv3_its_cmd_clear": "GICv3 ITS: command CLEAR DeviceID 0x{devid:x} EventID 0x{eventid:x}",
    "gicv3_its_cmd_discard": "GICv3 ITS: command DISCARD DeviceID 0x{devid:x} EventID 0x{eventid:x}",
    "gicv3_its_cmd_sync": "GICv3 ITS: command SYNC",
    "gicv3_its_cmd_mapd": "GICv3 ITS: command MAPD DeviceID 0x{devid:x} Size 0x{size:x} ITT_addr 0x{ittaddr:x} "
    "V {valid}",
    "gicv3_its_cmd_mapc": "GICv3 ITS: command MAPC ICID 0x{icid:x} RDbase 0x{rdbase:x} V {valid}",
    "gicv3_its_cmd_mapi": "GICv3 ITS: command MAPI DeviceID 0x{devid:x} EventID 0x{eventid:x} ICID 0x{icid:x}",
    "gicv3_its_cmd_mapti": "GICv3 ITS: command MAPTI DeviceID 0x{devid:x} EventID 0x{eventid:x} ICID 0x{icid:x} "
    "pINTID 0x{intid:x}",
    "gicv3_its_cmd_inv": "GICv3 ITS: command INV DeviceID 0x{devid:x} EventID 0x{eventid:x}",
    "gicv3_its_cmd_invall": "GICv3 ITS: command INVALL",
    "gicv3_its_cmd_movall": "GICv3 ITS: command MOVALL RDbase1 0x{rd1:x} RDbase2 0x{rd2:x}",
    "gicv3_its_cmd_movi": "GICv3 ITS: command MOVI DeviceID 0x{devid:x} EventID 0x{eventid:x} ICID 0x{icid:x}",
    "gicv3_redist_read": "GICv3 redistributor 0x{cpu:x} read: offset 0x{offset:x} data 0x{data:x} size {size} "
    "secure {secure}",
    "gicv3_redist_write": "GICv3 redistributor 0x{cpu:x} write: offset 0x{offset:x} data 0x{data:x} size {size} "
    "secure {secure}",
    "gicv3_icc_iar1_read": "GICv3 ICC_IAR1 read cpu 0x{cpu:x} value 0x{val:x}",
    "gicv3_icc_nmiar1_read": "GICv3 ICC_NMIAR1 read cpu 0x{cpu:x} value 0x{val:x}",
    "gicv3_icc_eoir_write": "GICv3 ICC_EOIR{grp} write cpu 0x{cpu:x} value 0x{val:x}",
}
OPCODES = {"movi": 1, "int": 3, "clear": 4, "sync": 5, "mapd": 8, "mapc": 9, "mapti": 10, "mapi": 11}
OPCODES |= {"inv": 12, "invall": 13, "movall": 14, "discard": 15}


class Guest:
    """Writes down what a guest does. CPUs are named by affinity."""

    def __init__(self, affinities=(0, 1)):
        self.affinities = list(affinities)
        self.events = []
        self.offset = 0

    def event(self, thread, name, **arguments):
        # Whole microseconds, of which some are whole seconds: then an ISO-8601 time has no fraction.
        number = len(self.events)
        self.events.append((thread, START + number * 125_000, name, arguments))

    def command(self, kind, **arguments):
        self.event(1, "gicv3_its_process_command", rd_offset=self.offset, cmd=OPCODES[kind])
        self.event(1, f"gicv3_its_cmd_{kind}", **arguments)
        self.offset += 1

    def its_write(self, offset, data, size=8):
        self.event(1, "gicv3_its_write", offset=offset, data=data, size=size)

    def redist_write(self, cpu, offset, data, size=8):
        affinity = self.affinities[cpu]
        self.event(10 + cpu, "gicv3_redist_write", cpu=affinity, offset=offset, data=data, size=size, secure=0)

    def read_typer(self, cpu):
        affinity = self.affinities[cpu]
        typer = affinity << 32 | 1 << 24 | cpu << 8 | 1
        self.event(10, "gicv3_redist_read", cpu=affinity, offset=8, data=typer, size=8, secure=0)

    def set_up_its(self, table=0x4300_0000):
        self.its_write(0x100, 0)
        self.its_write(0x108, 0)
        self.its_write(0x100, 1 << 63 | 1 << 56 | table | 0x7FF)
        self.its_write(0x108, 1 << 63 | 4 << 56 | table + 0x1_0000 | 0x7FF)
        self.its_write(0x80, 1 << 63 | table + 0x2_0000 | 0xF)
        self.its_write(0x88, 0)
        self.its_write(0x0, 0x8000_0001, size=4)

    def set_up_cpu(self, cpu, table=0x4400_0000):
        self.redist_write(cpu, 0x14, 4, size=4)
        self.redist_write(cpu, 0x70, table | 0xF)
        self.redist_write(cpu, 0x78, 1 << 62 | table + 0x1_0000 * (cpu + 1) | 0x780)
        self.redist_write(cpu, 0x0, 3, size=4)
        self.map_collection(cpu)

    def map_collection(self, cpu):
        self.command("mapc", icid=cpu, rdbase=cpu, valid=1)
        self.command("sync")
        self.command("invall")
        self.command("sync")

    def map_device(self, events, device=8, first=0x2000):
        self.command("mapd", devid=device, size=4, ittaddr=0x43_F514, valid=1)
        for event in range(events):
            cpu = event % len(self.affinities)
            self.command("mapti", devid=device, eventid=event, icid=cpu, intid=first + event)
            self.command("inv", devid=device, eventid=event)

    def boot(self, events=4, table=0x4300_0000):
        self.set_up_its(table)
        for cpu in range(len(self.affinities)):
            self.set_up_cpu(cpu, table + 0x100_0000)
        self.map_device(events)

    def msi(self, event, device=8):
        self.event(2, "gicv3_its_translation_write", offset=0x40, data=event, size=4, requester_id=device)

    def acknowledge(self, cpu, intid, name="gicv3_icc_iar1_read"):
        self.event(10 + cpu, name, cpu=self.affinities[cpu], val=intid)

    def eoi(self, cpu, intid):
        self.event(10 + cpu, "gicv3_icc_eoir_write", grp=1, cpu=self.affinities[cpu], val=intid)

    def take(self, cpu, intid):
        self.acknowledge(cpu, intid)
        self.eoi(cpu, intid)


def guest():
    """A guest that does a little of everything."""
    told = Guest()
    told.read_typer(0)
    told.read_typer(1)
    told.boot()
    told.msi(0)
    told.acknowledge(0, 27)
    told.take(0, 0x2000)
    told.msi(1)
    told.command("movi", devid=8, eventid=1, icid=0)
    told.take(0, 0x2001)
    told.command("int", devid=8, eventid=2)
    told.command("clear", devid=8, eventid=2)
    told.command("mapi", devid=8, eventid=0x2009, icid=1)
    told.command("discard", devid=8, eventid=3)
    told.command("movall", rd1=0, rd2=1)
    told.msi(1)
    told.acknowledge(1, 0x2001, "gicv3_icc_nmiar1_read")
    told.eoi(1, 0x2001)
    return told.events


def message(name, arguments):
    return f"{name} {MESSAGES[name].format(**arguments)}"


def iso(time_us, *, fraction=6, zone="Z", between="T"):
    seconds, rest = divmod(time_us, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime(f"%Y-%m-%d{between}%H:%M:%S")
    return text + (f".{rest:06}{'000' if fraction == 9 else ''}" if fraction else "") + zone


def glib_iso(time_us):
    """``g_date_time_format_iso8601``: no fraction if it is 0."""
    return iso(time_us, fraction=6 if time_us % 1_000_000 else 0)


def syslog(time_us, fraction=""):
    text = datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%b %e %H:%M:%S")
    return text + (f".{time_us % 1_000_000:06}" if fraction else "")


def v70(name, arguments):
    if name.startswith("gicv3_its_cmd_inv"):
        return "gicv3_its_cmd_inv GICv3 ITS: command INV or INVALL"
    return message(name, arguments)


def ring_buffer(event):
    """What the kernel's ring buffer puts before an event."""
    thread, time_us = event[:2]
    seconds, rest = divmod(time_us, 10**6)
    return f" qemu-system-aar-{thread}  [001] ..... {seconds - 1_795_000_000}.{rest:06}: "


def simple(events):
    before = events[0][1]
    for _, time_us, name, arguments in events:
        values = " ".join(f"{key}=0x{value:x}" for key, value in arguments.items())
        yield f"{name} {(time_us - before):.3f} pid=77 {values}".rstrip()
        before = time_us


#: What QEMU writes: version -> lines.
VERSIONS = {
    "7.0": lambda events: (f"{th}@{t // 10**6}.{t % 10**6:06}:{v70(n, a)}" for th, t, n, a in events),
    "7.1": lambda events: (f"{th}@{t // 10**6}.{t % 10**6:06}:{message(n, a)}" for th, t, n, a in events),
    "7.1 without times": lambda events: (message(n, a) for _, _, n, a in events),
    "10.1": lambda events: (f"{glib_iso(t)} {message(n, a)}" for _, t, n, a in events),
    "10.1 with a thread": lambda events: (f"{iso(t)} ({th}) {message(n, a)}" for th, t, n, a in events),
    "11.0": lambda events: (
        f"{glib_iso(t)} qemu-system-aarch64: ({th}:CPU {th}/TCG): {message(n, a)}" for th, t, n, a in events
    ),
    "11.0 with a name": lambda events: (
        f"{glib_iso(t)} [fish 12:00:00] qemu-system-aarch64: ({th}:main): {message(n, a)}" for th, t, n, a in events
    ),
    "simple": simple,
    "ftrace": lambda events: (f"{ring_buffer(event)}tracing_mark_write: {message(*event[2:])}" for event in events),
    "trace-cmd": lambda events: (
        f"{ring_buffer(event)}print:      tracing_mark_write: {message(*event[2:])}" for event in events
    ),
}
#: Versions that write no time.
WITHOUT_TIMES = {"7.1 without times"}
#: Versions that write which thread it was.
WITH_WRITERS = {"7.0", "7.1", "10.1 with a thread", "11.0", "11.0 with a name", "ftrace", "trace-cmd"}


def _json(line, time_us, **more):
    return json.dumps({"_HOSTNAME": "h", "__REALTIME_TIMESTAMP": str(time_us), **more, "PRIORITY": "6"})


_RED = "\x1b[01;31m\x1b[K{}\x1b[m\x1b[K"

#: What a collector makes of a line that came at a time.
COLLECTORS = {
    "none": lambda line, t: line,
    "carriage returns": lambda line, t: f"{line}\r",
    "script": lambda line, t: f"\x1b]0;guest\x07{line}\x1b[K\r",
    "colour": lambda line, t: f"\x1b[36m{line}\x1b[0m",
    "grep --color": lambda line, t: line.replace("gicv3", _RED.format("gicv3")),
    "cat -v": lambda line, t: f"^[[36m{line}^[[0m^M",
    "journalctl": lambda line, t: f"{syslog(t)} host qemu-system-aarch64[77]: {line}",
    "short-precise": lambda line, t: f"{syslog(t, '.')} host qemu-system-aarch64[77]: {line}",
    "short-iso": lambda line, t: f"{iso(t, fraction=0, zone='+00:00')} host qemu-system-aarch64[77]: {line}",
    "short-iso, older": lambda line, t: f"{iso(t, fraction=0, zone='+0000')} host qemu-system-aarch64[77]: {line}",
    "short-iso-precise": lambda line, t: f"{iso(t, zone='+00:00')} host qemu-system-aarch64[77]: {line}",
    "short-full": lambda line, t: f"Wed {iso(t, fraction=0, zone=' UTC', between=' ')} host qemu[77]: {line}",
    "short-unix": lambda line, t: f"{t // 10**6}.{t % 10**6:06} host qemu-system-aarch64[77]: {line}",
    "short-monotonic": lambda line, t: f"[{t // 10**6 - 1795368000:5}.{t % 10**6:06}] host qemu[77]: {line}",
    "short-delta": lambda line, t: (
        f"[{t // 10**6 - 1795368000:5}.{t % 10**6:06} <    0.000012 >] host qemu[77]: {line}"
    ),
    "json": lambda line, t: _json(line, t, MESSAGE=line),
    "json, bytes": lambda line, t: _json(line, t, MESSAGE=list(f"\x1b[1m{line}\x1b[0m".encode())),
    "json-sse": lambda line, t: f"data: {_json(line, t, MESSAGE=line)}\n",
    "json-seq": lambda line, t: f"\x1e{_json(line, t, MESSAGE=line)}",
    "json-pretty": lambda line, t: (
        f'{{\n\t"__REALTIME_TIMESTAMP" : "{t}",\n\t"MESSAGE" : {json.dumps(line)},\n\t"_PID" : "77"\n}}'
    ),
    "export": lambda line, t: f"__REALTIME_TIMESTAMP={t}\nPRIORITY=6\nMESSAGE={line}\n_PID=77\n",
    "verbose": lambda line, t: f"{iso(t, zone=' UTC', between=' ')} [s=1;i=2]\n    PRIORITY=6\n    MESSAGE={line}",
    "syslog": lambda line, t: f"<30>{syslog(t)} host qemu: {line}",
    "syslog, control characters": lambda line, t: f"{syslog(t)} host qemu: #033[1m{line}#033[0m#015",
    "RFC 5424": lambda line, t: f"<30>1 {iso(t)} host qemu-system-aarch64 77 - - {line}",
    "CRI": lambda line, t: f"{iso(t, fraction=9)} stderr F {line}",
    "kubectl logs --timestamps --prefix": lambda line, t: f"[pod/qemu-0/qemu] {iso(t, fraction=9)} {line}",
    "docker logs -t": lambda line, t: f"{iso(t, fraction=9)} {line}",
    "docker json-file": lambda line, t: json.dumps(
        {"log": f"{line}\r\n", "stream": "stderr", "time": iso(t, fraction=9)}
    ),
    "docker compose": lambda line, t: f"qemu-1  | {line}",
    "docker compose, coloured": lambda line, t: f"\x1b[36mqemu-1  | \x1b[0m{line}",
    "docker compose -t": lambda line, t: f"qemu-1  | {iso(t, fraction=9)} {line}",
    "ts": lambda line, t: f"{syslog(t)} {line}",
    "ts -s": lambda line, t: f"{iso(t)[11:19]} {line}",
    "ts %H:%M:%.S": lambda line, t: f"{iso(t)[11:26]} {line}",
    "ts %F %T": lambda line, t: f"{iso(t, fraction=0, zone='', between=' ')} {line}",
    "ts %.s": lambda line, t: f"{t // 10**6}.{t % 10**6:06} {line}",
    "ts %s": lambda line, t: f"{t // 10**6} {line}",
}
#: Microseconds that a collector's time may be off; None if it tells none.
RESOLUTION = dict.fromkeys(COLLECTORS, 0)
for _name in ("journalctl", "short-iso", "short-iso, older", "short-full", "syslog", "syslog, control characters"):
    RESOLUTION[_name] = 10**6
for _name in ("ts", "ts -s", "ts %F %T", "ts %s"):
    RESOLUTION[_name] = 10**6
for _name in (
    "none",
    "carriage returns",
    "script",
    "colour",
    "grep --color",
    "cat -v",
    "json-pretty",
    "export",
    "verbose",
):
    RESOLUTION[_name] = None
for _name in ("docker compose", "docker compose, coloured"):
    RESOLUTION[_name] = None


def log(events, version="7.1", collector="none"):
    """The text of a log."""
    lines = zip(VERSIONS[version](events), events, strict=True)
    return "".join(COLLECTORS[collector](line, event[1]) + "\n" for line, event in lines)

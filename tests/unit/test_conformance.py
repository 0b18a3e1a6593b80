"""The conformance kit: our own frames keep its rules, and an ITS that breaks one is found."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import vgic
from vgic.conformance import Bench, Difference, Places, Target, TargetError, check, open_target
from vgic.conformance.cases import CASES
from vgic.conformance.choices import CHOICES
from vgic.conformance.ours import OurTarget
from vgic.conformance.report import chosen
from vgic.registers import GICR, GITS

DESIGNS = [design.name for design in vgic.designs() if not design.unsound]


@pytest.mark.parametrize("design", DESIGNS)
def test_our_frames_keep_every_rule_but_those_that_kvm_breaks(design):
    target = OurTarget(design)
    report = check(target)
    assert report.differences == []
    # What is said to be known is there.
    assert {outcome.case.name for outcome in report.known} == set(target.known)
    assert len(report.outcomes) == len(CASES)
    assert [answer.choice.name for answer in report.answers] == list(CHOICES)


def test_hardened_keeps_all_but_one():
    assert list(OurTarget("hardened").known) == ["discard-takes-the-pending-state-away"]
    assert OurTarget("next-01").known == {}


#: A command that an ITS never hears of, and a rule that it breaks then.
DEAF = {
    0x01: "movi-moves-the-event",
    0x03: "int-is-as-an-msi",
    0x04: "clear-takes-the-pending-state-away",
    0x08: "an-msi-is-delivered",
    0x09: "an-msi-is-delivered",
    0x0A: "an-msi-is-delivered",
    0x0B: "mapi-maps-the-same-number",
    0x0C: "a-disabled-lpi-waits",
    0x0D: "invall-reads-the-configuration",
    0x0E: "movall-moves-what-is-pending",
    0x0F: "discard-unmaps",
}


class Deaf(OurTarget):
    def __init__(self, opcode):
        self.opcode = opcode
        super().__init__()

    def store(self, address, data):
        if len(data) == 32 and data[0] == self.opcode:
            data = bytes(32)
        super().store(address, data)


@pytest.mark.parametrize("opcode", DEAF)
def test_a_command_that_does_nothing_is_found(opcode):
    report = check(Deaf(opcode))
    assert DEAF[opcode] in {outcome.case.name for outcome in report.differences}


# Frames with a fault each, and the rule that it breaks.


class MovallWithoutMapc(OurTarget):
    """MOVALL of another vCPU than the one that is named."""

    def store(self, address, data):
        if len(data) == 32 and data[0] == 0x0E and data[18] == 0:
            data = data[:18] + b"\2" + data[19:]
        super().store(address, data)


class Registers(OurTarget):
    """A register that reads as something else."""

    register, size, flip = 0, 8, 0
    frame = "gits"

    def read(self, address, size):
        value = super().read(address, size)
        at = getattr(self.places, self.frame) + self.register
        return value ^ self.flip if address == at else value


def flipped(register, bit, frame="gits"):
    return type("Flipped", (Registers,), {"register": register, "flip": 1 << bit, "frame": frame})


class WritableReader(OurTarget):
    written = None

    def reset(self):
        self.written = None
        super().reset()

    def write(self, address, size, value):
        if address == self.places.gits + GITS.CREADR:
            self.written = value
        super().write(address, size, value)

    def read(self, address, size):
        if self.written is not None and address == self.places.gits + GITS.CREADR:
            return self.written
        return super().read(address, size)


class Enabled(OurTarget):
    """The ITS cannot be disabled."""

    def write(self, address, size, value):
        if address == self.places.gits + GITS.CTLR:
            value |= 1
        super().write(address, size, value)


class Twice(OurTarget):
    """The end of an LPI makes it pending."""

    def end(self, vcpu, intid):
        super().end(vcpu, intid)
        self.msi(self.devices[0], intid - 8192)


class WrongEvent(OurTarget):
    """Some bits of the EventID are not looked at."""

    def msi(self, device_id, event_id):
        super().msi(device_id, event_id & 0xF)


class WrongDevice(OurTarget):
    """The DeviceID is not looked at."""

    def msi(self, device_id, event_id):
        super().msi(self.devices[0], event_id)


class NoPriorities(OurTarget):
    """All LPIs have the same priority."""

    def store(self, address, data):
        if len(data) == 1 and address < self.places.ram + 0x1_0000:
            data = bytes([data[0] & 3 | 0xA0])
        super().store(address, data)


class NoHalves(OurTarget):
    """Registers of 64 bits in one piece only."""

    def write(self, address, size, value):
        if size == 8 or address - self.places.gits not in (GITS.CBASER, GITS.CBASER + 4):
            super().write(address, size, value)


class AlwaysOn(OurTarget):
    """LPIs are enabled on every vCPU as soon as they are on one."""

    def write(self, address, size, value):
        super().write(address, size, value)
        if address == self.places.gicr + GICR.CTLR and value & 1:
            for vcpu in (1, 2, 3):
                self.write(self.places.gicr + vcpu * self.places.gicr_stride, 4, 1)


FAULTS = {
    "movall-leaves-others-alone": MovallWithoutMapc,
    "reset-leaves-the-its-off": flipped(GITS.CTLR, 0),
    "reset-leaves-no-table": flipped(GITS.BASER0, 63),
    "reset-leaves-lpis-off": flipped(GICR.CTLR, 0, "gicr"),
    "its-has-physical-lpis": flipped(GITS.TYPER, 0),
    "architecture-revision": flipped(GITS.PIDR2, 4),
    "baser-types": flipped(GITS.BASER0 + 16, 58),
    "baser-that-is-not-there": flipped(GITS.BASER0 + 24, 9),
    "redistributors-tell-who-they-are": flipped(GICR.TYPER, 4, "gicr"),
    "pending-table-zero-reads-as-zero": flipped(GICR.PENDBASER, 62, "gicr"),
    "creadr-is-read-only": WritableReader,
    "a-disabled-its-takes-no-command": Enabled,
    "a-disabled-its-translates-nothing": Enabled,
    "a-disabled-its-becomes-quiescent": flipped(GITS.CTLR, 31),
    "msis-coalesce": Twice,
    "an-event-beyond-the-itt-is-ignored": WrongEvent,
    "an-unmapped-device-is-ignored": WrongDevice,
    "devices-have-events-of-their-own": WrongDevice,
    "priorities-count": NoPriorities,
    "urgent-lpis-preempt": NoPriorities,
    "registers-in-halves": NoHalves,
    "a-redistributor-without-lpis-ignores-msis": AlwaysOn,
    "the-pending-table-is-read": AlwaysOn,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name):
    (outcome,) = check(FAULTS[name](), [name]).outcomes
    assert outcome.difference
    assert outcome.lines[0] == "reset"


def test_the_verbs_of_a_difference_can_be_repeated():
    """The lines are what was done: carried out again, every answer is the same."""
    target = OurTarget()
    (outcome,) = check(target, ["discard-takes-the-pending-state-away"]).outcomes
    answers = 0
    for line in outcome.lines:
        done, _, wanted = line.partition(" -> ")
        verb, *texts = done.split()
        if verb == "store":
            hexadecimal, _, times = texts[1].partition("*")
            target.store(int(texts[0], 16), bytes.fromhex(hexadecimal) * int(times or 1))
        elif verb != "#":
            found = getattr(target, verb)(*(int(text, 0) for text in texts))
            assert {None: "nothing"}.get(found, found) == (
                int(wanted, 0) if wanted[:1].isdigit() else wanted
            ) or not wanted
            answers += bool(wanted)
    assert answers > 20


def test_names_that_do_not_exist():
    assert chosen(["quiescent", "msis-coalesce"]) == [CHOICES["quiescent"], CASES["msis-coalesce"]]
    with pytest.raises(ValueError, match="there is no case 'nothing'"):
        chosen(["nothing"])


def test_names_are_of_one_case_each():
    assert not set(CASES) & set(CHOICES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is none of qtest"),
        ("kvm", "is none of qtest"),
        ("python:", "is none of qtest"),
        ("python:no_such_module_here", "No module named"),
        ("python:json", "json has no function target"),
        ("python:vgic.conformance.ours:v99", "v99"),
        ("python:vgic.conformance.ours:v6.7", "v6.7"),
        ("qtest:one", "two sockets with a comma"),
    ],
)
def test_targets_that_do_not_exist(text, message):
    with pytest.raises(ValueError, match=message):
        open_target(text)


def test_a_socket_that_does_not_exist():
    with pytest.raises(OSError, match="No such file") as raised:
        open_target("qtest:/nowhere/a,/nowhere/b")
    assert raised.value.filename == "/nowhere/a"


def test_a_module_that_makes_no_target(tmp_path, monkeypatch):
    (tmp_path / "no_target_here.py").write_text("def target():\n    return 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"target\(\) returned no vgic.conformance.Target"):
        open_target("python:no_target_here")


class Broken(OurTarget):
    def msi(self, device_id, event_id):
        raise ZeroDivisionError("no device")


def test_a_target_that_breaks_down_is_one_line():
    with pytest.raises(TargetError, match="vgic, an-msi-is-delivered: ZeroDivisionError: no device"):
        check(Broken(), ["an-msi-is-delivered"])


class Hanging(OurTarget):
    def read(self, address, size):
        return 0 if address == self.places.gits + GITS.CREADR else super().read(address, size)


def test_an_its_that_takes_no_command_is_a_difference():
    (outcome,) = check(Hanging(), ["commands-are-taken"]).outcomes
    assert outcome.difference == "GITS_CREADR: 0x0 instead of 0x20"


class Elsewhere(OurTarget):
    """Three vCPUs, and everything at another address."""

    vcpus = 3
    devices = (1, 2)
    places = Places(0x1000_0000, 0x1100_0000, 0x1200_0000, 0x2_0000, 0x1_0000_0000, 2 << 20)

    def start(self):
        gicd, gits, gicr = self.places[:3]
        self.vm = vgic.Vm(self.vcpus, "hardened", its=[gits], distributor=gicd, redistributors=gicr, memory=self.memory)
        self._doorbell = self.vm.its[0].frame.translater


def test_other_addresses_and_fewer_vcpus():
    report = check(Elsewhere("hardened"))
    assert report.differences == []
    assert len(report.known) == 1


class FewIds(OurTarget):
    def read(self, address, size):
        value = super().read(address, size)
        return value & ~(0x1F << 8) if address == self.places.gits + GITS.TYPER else value


def test_an_its_with_few_ids():
    with pytest.raises(TargetError, match="14 EventID and 6 DeviceID bits are needed"):
        check(FewIds(), ["an-msi-is-delivered"])


class Small(OurTarget):
    places = Target.places._replace(ram_size=4 << 16)


def test_a_target_with_too_little_memory():
    with pytest.raises(TargetError, match="262144 bytes of RAM are too few"):
        check(Small(), ["an-msi-is-delivered"])


def test_endless_interrupts_end():
    bench = Bench(Twice()).ready()
    bench.msi(0, 0)
    with pytest.raises(Difference):
        bench.expect_taken("an LPI that comes again and again", [[8192]])


PROGRAM = Path(__file__).with_name("lines_program.py")


def program(fault=""):
    return open_target(f"program:{sys.executable} {PROGRAM} {fault}")


def test_a_program_is_a_target():
    with closing(program()) as target:
        report = check(target)
    ours = check(OurTarget())
    assert report.target == "ours"
    assert [outcome.difference for outcome in report.outcomes] == [outcome.difference for outcome in ours.outcomes]
    assert [answer.text for answer in report.answers] == [answer.text for answer in ours.answers]


def test_memory_of_a_program():
    with closing(program()) as target:
        target.store(target.places.ram, b"abcd")
        assert target.load(target.places.ram, 4) == b"abcd"
    with closing(program("short")) as target, pytest.raises(TargetError, match="load 0x40200000 4: 1 bytes"):
        target.load(target.places.ram, 4)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("facts", "describe: 'colour' is no fact"),
        ("number", "'many' is no number"),
        ("alone", "ours|python.*: 1 vCPUs and 2 devices; the kit needs 3 and 2"),
        ("dies", "msi 0x18 1: no answer: the program has ended"),
        ("error", "msi 0x18 1: 'error no such device'"),
    ],
)
def test_a_program_with_a_fault_is_one_line(fault, message):
    with pytest.raises(TargetError, match=message) as raised, closing(program(fault)) as target:
        check(target, ["an-msi-is-delivered"])
    assert "\n" not in str(raised.value)


def test_a_program_that_does_not_exist():
    with pytest.raises(OSError, match="No such file"):
        open_target("program:/nowhere/its --fast")
    with pytest.raises(ValueError, match="a command line is missing"):
        open_target("program:")


# The command.

OURS = "python:vgic.conformance.ours"


def test_the_command_reports_what_is_known(vgic_command):
    done = vgic_command("its", "check", "--target", OURS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"vgic, design v7.3: {len(CASES)} rules, 3 differences, 3 of them known\n")
    assert "discard-takes-the-pending-state-away (ITS commands: DISCARD)\n" in done.stdout
    assert "Known: an LPI that is queued for a vCPU stays queued, as in KVM\n" in done.stdout
    assert "write 0x" not in done.stdout


def test_the_command_as_json(vgic_command, tmp_path):
    done = vgic_command("its", "check", "--target", OURS, "--json", "report.json")
    assert done.returncode == 0
    data = json.loads((tmp_path / "report.json").read_text())
    assert (data["schema"], data["target"]) == (1, "vgic, design v7.3")
    assert [case["name"] for case in data["cases"]] == list(CASES)
    different = [case for case in data["cases"] if case["difference"]]
    assert {case["name"] for case in different} == set(OurTarget().known)
    assert all(case["lines"] and case["known"] for case in different)
    assert {"name": "page-sizes", "answer": "64 KiB"}.items() <= data["choices"][-7].items()


FAULTY = """
from vgic.conformance.ours import OurTarget

class Faulty(OurTarget):
    name = "faulty"
    version = "faulty 1.0"

    def msi(self, device_id, event_id):
        super().msi(device_id, event_id + 1)

def target():
    return Faulty()
"""


def test_a_difference_is_exit_status_1(vgic_command, tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY)
    done = vgic_command(
        "its", "check", "--target", "python:faulty", "--case", "an-msi-is-delivered,msis-coalesce", "--steps"
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("faulty 1.0: 2 rules, 2 differences\n")
    assert "Seen: vCPU 0 has pending: 8194 instead of 8193\n" in done.stdout
    assert "    msi 0x18 1\n" in done.stdout
    assert "    pending 0 -> 8194\n" in done.stdout


def test_the_list_of_cases(vgic_command):
    done = vgic_command("its", "check", "--list", "--case", "msis-coalesce,quiescent")
    assert (done.returncode, done.stderr) == (0, "")
    assert "msis-coalesce" in done.stdout
    assert "quiescent" in done.stdout
    assert "movall" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--target: what is to be checked?"),
        (["--target", "kvm"], "target 'kvm' is none of"),
        (["--target", OURS, "--case", "nothing"], "there is no case 'nothing'"),
        (["--target", OURS, "--json", "."], ".: cannot be written"),
        (["--target", "qtest:a,b"], "a: No such file"),
        (["--list", "--target", OURS], "--list: without --target"),
    ],
)
def test_bad_input_is_one_line(vgic_command, arguments, message):
    done = vgic_command("its", "check", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("vgic: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_qemu_it_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "vgic", "its", "check", "--target", "qtest"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "vgic: error: qemu-system-aarch64 is not installed (Debian: apt-get install qemu-system-arm)\n"
    )

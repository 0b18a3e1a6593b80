"""What is made of a kernel's answers, with a kernel that is made up."""

import pytest
from test_script import HELD, line, story

from vgic.confirm.code import Code
from vgic.confirm.machine import Answer
from vgic.confirm.play import Claim, play
from vgic.confirm.stage import Stuck
from vgic.confirm.symbols import Symbols

BASE = 0xFFFF_8000_0000_0000
SYMBOLS = Symbols(
    f"{BASE:016x} T vgic_its_resolve_lpi\n{BASE + 16:016x} t vgic_lpis_enabled.isra.0\n{BASE + 32:016x} T z\n"
)
#: A call of the second function in the first one.
CODE = (0x94000003).to_bytes(4, "little").rjust(8, b"\0").ljust(16, b"\0")
CLAIM = Claim(1, ("msi 0 0 0",), (1,), ((-16,),), "in turn")


class Kernel:
    """A stage and its machine: an MSI is taken if the sender was held while LPIs went off, should that be a defect."""

    def __init__(self, *, broken, otherwise=-16, code=CODE, stuck=False):
        self.machine = self
        self.symbols = SYMBOLS
        self.code = Code(SYMBOLS, lambda address, size: code)
        self.log = []
        self.broken, self.otherwise, self.stuck = broken, otherwise, stuck
        self.held = False
        self.vms = []
        self.commands = []
        self.finished = 0

    def vm(self, vcpus):
        self.held = False
        self.vms.append(vcpus)

    def command(self, text):
        self.commands.append(text)
        if text.startswith("msi") and len(self.commands) > 1 and not text.endswith("9"):
            return Answer(1 if self.broken and self.held else self.otherwise, [])
        return Answer(0, [])

    done = command

    def trouble(self, since):
        return self.log[since:]

    def begin(self, threads):
        self.threads = threads

    def run(self, thread, until=None):
        if self.stuck:
            self.log.append("BUG: soft lockup")
            raise Stuck("thread 1 gets nowhere: f")
        self.held |= until == BASE + 8
        return until is not None

    def finish(self):
        self.finished += 1
        return {}

    def where(self, thread):
        return "vgic_its_resolve_lpi+0x8"


def held():
    """The story of test_script, in the function that the table of places has."""
    return story([one._replace(function="vgic_its_resolve_lpi") for one in HELD.lines], HELD.before)


def test_a_defect_that_shows_is_confirmed():
    kernel = Kernel(broken=True)
    outcome = play(kernel, held(), CLAIM)
    assert (outcome.verdict, outcome.answers, outcome.control) == ("confirmed", (1,), (-16,))
    assert outcome.held == ("step 4, vgic_its_resolve_lpi: LPIs of vCPU 0 are on; held at vgic_its_resolve_lpi+0x8",)
    assert kernel.vms == [4, 4], "the control has a VM of its own"
    assert kernel.finished == 1


def test_a_defect_that_does_not_show_is_refuted():
    outcome = play(Kernel(broken=False), held(), CLAIM)
    assert (outcome.verdict, outcome.answers, outcome.control) == ("refuted", (-16,), (-16,))


@pytest.mark.parametrize("broken", [True, False])
def test_without_a_sound_control_nothing_is_confirmed(broken):
    outcome = play(Kernel(broken=broken, otherwise=1), held(), CLAIM)
    assert (outcome.verdict, outcome.answers, outcome.control) == ("not possible here", (1,), (1,))
    assert "the control" in outcome.why


def test_other_answers_than_the_two_are_neither():
    claim = Claim(1, ("msi 0 0 0",), (2,), ((-16,),), "in turn")
    outcome = play(Kernel(broken=True), held(), claim)
    assert (outcome.verdict, outcome.answers) == ("not possible here", (1,))


def test_a_kernel_without_the_place_says_so():
    kernel = Kernel(broken=True, code=bytes(16))
    outcome = play(kernel, held(), CLAIM)
    assert outcome.verdict == "not possible here"
    assert outcome.why == "this kernel has no call of vgic_lpis_enabled in vgic_its_resolve_lpi"
    assert kernel.finished == 1, "nobody stays held"


def test_a_thread_that_is_stuck_says_so_and_the_kernels_words_are_kept():
    kernel = Kernel(broken=True, stuck=True)
    outcome = play(kernel, held(), CLAIM)
    assert (outcome.verdict, outcome.why) == ("not possible here", "thread 1 gets nowhere: f")
    assert outcome.trouble == ("BUG: soft lockup",)
    assert kernel.finished == 1


PLAIN = story(
    [
        line(1, 1, "operation", "sends event 9"),
        line(2, 1, "step", "the cache misses"),
        line(3, 2, "operation", "GICR_CTLR.EnableLPIs = 0 of vCPU 0"),
        line(4, 2, "step", "LPIs of vCPU 0 go off"),
    ]
)
OFF, SEND = "store 3 0x8100000 4 0x0", "msi 0 0 9"


@pytest.mark.parametrize(
    ("control", "played"),
    [(("sends event 9",), [OFF]), ("reversed", [OFF, SEND]), ("in turn", [SEND, OFF])],
)
def test_a_control_leaves_out_or_turns_round(control, played):
    kernel = Kernel(broken=False)
    play(kernel, PLAIN, Claim(1, ("msi 0 0 0",), (1,), ((-16,),), control))
    commands = [command for command in kernel.commands if command in (OFF, SEND)]
    assert commands == [SEND, OFF, *played]


def test_a_claims_own_words_are_the_guests_memory():
    kernel = Kernel(broken=False)
    claim = Claim(2, ("byte 1 8193", "MOVI event 0 to vCPU 1"), (1, 0), ((0, 0),), "in turn", ("pending 0 8192",))
    outcome = play(kernel, PLAIN, claim)
    assert outcome.answers == (0, 0)
    assert "mem_w 0x40080400 1 1" in kernel.commands
    assert "mem_r 0x40090400 1" in kernel.commands
    assert any(command.startswith("cmd 0 2 0x1 ") for command in kernel.commands)

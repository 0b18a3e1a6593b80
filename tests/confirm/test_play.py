"""What is made of a kernel's answers, with a kernel that is made up."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_script import HELD, line, story

from vgic.confirm.btf import Field, NoBtf
from vgic.confirm.code import Code
from vgic.confirm.gdb import LR, PC
from vgic.confirm.kernel_state import Unreadable
from vgic.confirm.machine import Answer
from vgic.confirm.play import Claim, play
from vgic.confirm.stage import Stuck
from vgic.confirm.symbols import Symbols
from vgic.prove.story import LpiAt, State

BASE = 0xFFFF_8000_0000_0000
SYMBOLS = Symbols(
    f"{BASE:016x} T vgic_its_resolve_lpi\n{BASE + 16:016x} t vgic_lpis_enabled.isra.0\n{BASE + 32:016x} T z\n"
    f"{BASE + 48:016x} T kmem_cache_alloc_lru\n{BASE + 64:016x} t __xas_nomem\n{BASE + 80:016x} T kvm_vcpu_kick\n"
    f"{BASE + 96:016x} T make_task_dead\n{BASE + 112:016x} T last\n"
)
RESOLVES, ALLOCATES, XARRAY, KICKS, OOPS = (BASE + offset for offset in (0, 48, 64, 80, 96))
#: A call of the second function in the first one.
CODE = (0x94000003).to_bytes(4, "little").rjust(8, b"\0").ljust(16, b"\0")
CLAIM = Claim(1, ((-16,),), "in turn", ("msi 0 0 0",), (1,))


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
        self.let = 0
        #: What the kernel says once the sender has been held, and where a thread then comes by.
        self.says = ()
        self.passes = ()
        self.registers = {}
        self.gdb = SimpleNamespace(
            read=lambda address, size, cpu: address.to_bytes(8, "little")[:size],
            set_register=lambda cpu, number, value: self.registers.update({number: value}),
        )

    class btf:
        """A kernel that knows vcpu_id, and of an LPI only its number."""

        @staticmethod
        def field(structure, member):
            return {("kvm_vcpu", "vcpu_id"): Field(1, 1, 0, 8), ("vgic_irq", "intid"): Field(0, 4, 0, 32)}[
                structure, member
            ]

    def vm(self, vcpus, itses):
        self.held = False
        self.vms.append(vcpus)
        self.itses = itses

    def command(self, text):
        self.commands.append(text)
        if text.startswith("msi") and len(self.commands) > 1 and not text.endswith("9"):
            return Answer(1 if self.broken and self.held else self.otherwise, [])
        return Answer(0, [])

    done = command

    def trouble(self, since):
        return self.log[since:]

    def seen(self, command, function):
        return None

    def stop(self):
        pass

    def begin(self, threads):
        self.threads = threads

    def run(self, thread, until=None, *, traps, limit):
        if self.stuck:
            self.log.append("BUG: soft lockup")
            raise Stuck("thread 1 gets nowhere: f < g")
        if self.held:
            self.log.extend(self.says)
        for address, caller in self.passes:
            if until is None and address in traps:
                registers = [2] + [0] * 32
                registers[LR] = caller
                traps[address](1, registers)
        self.held |= until == BASE + 8
        return until is not None

    def let_go(self):
        self.let += 1

    def listen(self, seconds):
        self.log.append("Internal error: Oops")

    def finish(self):
        self.finished += 1
        return {}


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
    claim = Claim(1, ((-16,),), "in turn", ("msi 0 0 0",), (2,))
    outcome = play(Kernel(broken=True), held(), claim)
    assert (outcome.verdict, outcome.answers) == ("not possible here", (1,))


def test_a_kernel_without_the_place_says_so():
    kernel = Kernel(broken=True, code=bytes(16))
    outcome = play(kernel, held(), CLAIM)
    assert outcome.verdict == "not possible here"
    assert outcome.why == (
        "this kernel has no call of vgic_lpis_enabled in vgic_its_resolve_lpi; "
        "the state is not known, which tells where what it changes is"
    )
    assert kernel.finished == 1, "nobody stays held"


def test_a_thread_that_is_stuck_says_so_and_the_kernels_words_are_kept():
    kernel = Kernel(broken=True, stuck=True)
    outcome = play(kernel, held(), CLAIM)
    assert (outcome.verdict, outcome.why) == ("not possible here", "thread 1 gets nowhere: f < g")
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
    play(kernel, PLAIN, Claim(1, ((-16,),), control, ("msi 0 0 0",), (1,)))
    commands = [command for command in kernel.commands if command in (OFF, SEND)]
    assert commands == [*played, SEND, OFF]


def test_a_claims_own_words_are_the_guests_memory():
    kernel = Kernel(broken=False)
    ask = ("byte 1 8193", "MOVI event 0 to vCPU 1")
    claim = Claim(2, ((0, 0),), "in turn", ask, (1, 0), also=("pending 0 8192",))
    outcome = play(kernel, PLAIN, claim)
    assert outcome.answers == (0, 0)
    assert "mem_w 0x40080400 1 1" in kernel.commands
    assert "mem_r 0x40090400 1" in kernel.commands
    assert any(command.startswith("cmd 0 2 0x1 ") for command in kernel.commands)


SHOWS = Claim(1, ((),), "in turn", shows=r"Oops|gets nowhere: f < g")


@pytest.mark.parametrize(
    ("pattern", "verdict"), [("f < g", "confirmed"), ("Oops", "confirmed"), ("x < y", "not possible here")]
)
def test_a_thread_that_never_ends_may_be_what_the_defect_does(pattern, verdict):
    """By where it stands, or by what the kernel says then; the machine is of no use afterwards."""
    kernel = Kernel(broken=True, stuck=True)
    outcome = play(kernel, held(), Claim(1, ((),), "in turn", shows=pattern))
    assert (outcome.verdict, outcome.lost, outcome.answers) == (verdict, True, ())
    assert bool(outcome.shown) == (verdict == "confirmed")
    assert (kernel.let, kernel.finished) == (1, 0), "nobody waits for a thread that never ends"


def test_an_oops_ends_the_story():
    kernel = Kernel(broken=True)
    kernel.passes = [(OOPS, 0)]
    outcome = play(kernel, held(), SHOWS)
    assert (outcome.verdict, outcome.shown, outcome.lost) == ("confirmed", "Internal error: Oops", True)
    assert play(kernel, held(), CLAIM).why == "the kernel Oopses"


def test_what_the_kernel_says_confirms_and_silence_refutes():
    kernel = Kernel(broken=True)
    kernel.says = ("Oops",)
    outcome = play(kernel, held(), SHOWS)
    assert (outcome.verdict, outcome.shown, outcome.lost) == ("confirmed", "Oops", False)
    assert play(Kernel(broken=True), held(), SHOWS).verdict == "refuted"


def test_a_kernel_without_what_the_story_is_about_says_so():
    outcome = play(Kernel(broken=True), held(), Claim(1, ((),), "in turn", needs="vgic_irq.on_lr"))
    assert (outcome.verdict, outcome.why) == (
        "not possible here",
        "this kernel has no vgic_irq.on_lr, which the story is about",
    )


def test_only_nodes_of_xarrays_are_not_to_be_had_and_only_where_they_should_not():
    kernel = Kernel(broken=False)
    kernel.passes = [(ALLOCATES, RESOLVES), (ALLOCATES, XARRAY + 4)]
    claim = Claim(1, ((-16,),), "in turn", ("msi 0 0 0",), (1,), no_memory=("sends event 0",))
    outcome = play(kernel, held(), claim)
    assert (outcome.verdict, outcome.held[-1]) == ("refuted", "allocation for __xas_nomem+0x4 failed")
    assert kernel.registers == {0: 0, PC: XARRAY + 4}
    kernel.registers.clear()
    play(kernel, held(), CLAIM)
    assert not kernel.registers


def test_who_is_kicked_is_an_answer():
    kernel = Kernel(broken=True)
    kernel.passes = [(KICKS, 0)]
    claim = Claim(1, ((-1,),), "in turn", ("kicked",), (3,))
    outcome = play(kernel, held(), claim)
    assert (outcome.verdict, outcome.answers, outcome.control) == ("confirmed", (3,), (-1,))


def test_a_control_without_an_operation_is_held_as_the_story_is():
    kernel = Kernel(broken=True)
    outcome = play(kernel, held(), Claim(1, ((-16,),), ("GICR_CTLR.EnableLPIs = 0 of vCPU 0",), ("msi 0 0 0",), (1,)))
    assert (outcome.answers, outcome.control) == ((1,), (1,))
    assert len(outcome.held) == 1


def test_what_a_broken_kernel_answers_refutes_nothing():
    kernel = Kernel(broken=False)
    kernel.says = ("Internal error: Oops: 96000006",)
    outcome = play(kernel, held(), CLAIM)
    assert (outcome.verdict, outcome.lost) == ("not possible here", True)
    assert outcome.why.endswith("; the kernel broke: Internal error: Oops: 96000006")


def test_where_no_allocation_fails_nothing_is_shown():
    claim = Claim(1, ((-16,),), "in turn", ("msi 0 0 0",), (1,), no_memory=("sends event 0",))
    outcome = play(Kernel(broken=False), held(), claim)
    assert (outcome.verdict, outcome.why) == (
        "not possible here",
        "this kernel allocates no node of an xarray there",
    )


def test_a_kernel_without_btf_plays_what_needs_none():
    class WithoutBtf(Kernel):
        @property
        def btf(self):
            raise NoBtf("this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")

    assert play(WithoutBtf(broken=True), held(), CLAIM).verdict == "confirmed"
    outcome = play(WithoutBtf(broken=True), held(), Claim(1, ((),), "in turn", needs="vgic_irq.on_lr"))
    assert (outcome.verdict, outcome.why) == (
        "not possible here",
        "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)",
    )


LPI = LpiAt(8192, "irq#0", 2, None, 0, False, True, False, True, 1, 0)


def compared(monkeypatch, references):
    """The story with a state at each of its turns, and a kernel with so many references there."""
    states = (State(0, (LPI,), ()), State(8, (LPI._replace(references=3),), ()))
    told = replace(held(), lines=(*held().lines, line(11, 0, "broken", "what is left")), states=states)
    looks = iter(references)
    read = SimpleNamespace(read=lambda: (State(0, (LPI._replace(references=next(looks)),), ()), set()))
    monkeypatch.setattr("vgic.confirm.play._kernel_state", lambda stage, told: read)
    kernel = Kernel(broken=True)
    return play(kernel, told, CLAIM), kernel


def test_a_state_that_is_the_same_at_each_hold_is_counted(monkeypatch):
    outcome, _ = compared(monkeypatch, [2, 2, 2, 3])
    assert (outcome.verdict, outcome.compared, outcome.differs) == ("confirmed", 4, "")


def test_the_first_difference_ends_the_replay(monkeypatch):
    outcome, kernel = compared(monkeypatch, [2, 1])
    said = "step 6: LPI 8192: reference count: the engine says 2, the kernel 1"
    assert (outcome.verdict, outcome.why, outcome.compared) == ("refuted", f"at {said}", 1)
    assert (outcome.differs, outcome.answers) == (said, ())
    assert kernel.finished == 1, "nothing stays held"


def test_a_reference_that_the_kernel_takes_later_is_no_difference(monkeypatch):
    """Until the thread that is held goes on."""
    lines = [*held().lines]
    taken = line(4, 1, "step", "kref_get(irq#0): refcount 1 -> 2", "vgic_its_resolve_lpi")
    at = next(at for at, one in enumerate(lines) if one.kind == "preempted")
    lines = [*lines[:at], taken, *lines[at:], line(11, 0, "broken", "what is left")]
    told = replace(held(), lines=tuple(lines), states=(State(0, (LPI,), ()),))
    looks = iter([1, 1, 2, 2])
    read = SimpleNamespace(read=lambda: (State(0, (LPI._replace(references=next(looks)),), ()), set()))
    monkeypatch.setattr("vgic.confirm.play._kernel_state", lambda stage, told: read)
    outcome = play(Kernel(broken=True), told, CLAIM)
    assert (outcome.verdict, outcome.compared) == ("confirmed", 4)


def test_a_kernel_whose_state_cannot_be_read_is_judged_by_its_answers(monkeypatch):
    def unreadable():
        raise Unreadable("kvm.devices has no end")

    monkeypatch.setattr("vgic.confirm.play._kernel_state", lambda stage, told: SimpleNamespace(read=unreadable))
    outcome = play(Kernel(broken=True), replace(held(), states=(State(0, (LPI,), ()),)), CLAIM)
    assert (outcome.verdict, outcome.compared, outcome.uncompared) == ("confirmed", 0, "kvm.devices has no end")


def test_a_story_of_another_design_is_not_compared():
    outcome = play(Kernel(broken=True), held(), CLAIM, uncompared="the story is of v6.17")
    assert (outcome.verdict, outcome.uncompared) == ("confirmed", "the story is of v6.17")

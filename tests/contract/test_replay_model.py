"""Whatever a guest does on QEMU's GIC, every design does as recorded.

A small model of QEMU's redistributors makes the recordings: a set of pending LPIs for each vCPU, of which the lowest
INTID is taken; a pending LPI moves at once; there is no active state, only a running priority, which keeps a vCPU from
taking another before it has ended the first.
"""

from errno import EBUSY

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quirks import SOUND, quirks

import vgic
from vgic.measure.results import make_sample
from vgic.trace import Recording, check

DEVICE, FIRST = 8, 8192
#: CLEAR, INT and INV of an event that is not mapped (Arm GICv3, the errors of the commands).
UNMAPPED = (0x01_0507, 0x01_0307, 0x01_0C07)


class Qemu:
    """The model; writes down what happens to it."""

    def __init__(self, vcpus: int, events: int) -> None:
        self.recording = Recording("model")
        self.targets = [event % vcpus for event in range(events)]
        self.pending: list[set[int]] = [set() for _ in range(vcpus)]
        self.running: list[int | None] = [None] * vcpus
        self.on = [True] * vcpus
        self.mapped = [True] * events
        self.log("its_enabled", 1)
        for vcpu in range(vcpus):
            self.log("lpis_enabled", vcpu, 1)
            self.log("mapc", vcpu, vcpu, 1)
        self.log("mapd", DEVICE, 16, 1)
        for event, target in enumerate(self.targets):
            self.log("mapti", DEVICE, event, FIRST + event, target)

    def log(self, kind: str, *operands: int) -> None:
        line = len(self.recording) + 1
        self.recording.append(line, 10 * line, kind, *operands)

    def send(self, kind: str, event: int) -> None:
        self.log(kind, DEVICE, event)
        if self.mapped[event] and self.on[self.targets[event]]:
            self.pending[self.targets[event]].add(event)

    def msi(self, vcpu: int, event: int) -> None:
        self.send("msi", event)

    def interrupt(self, vcpu: int, event: int) -> None:
        self.send("int", event)

    def clear(self, vcpu: int, event: int) -> None:
        self.log("clear", DEVICE, event)
        if self.mapped[event] and self.on[self.targets[event]]:
            self.pending[self.targets[event]].discard(event)

    def discard(self, vcpu: int, event: int) -> None:
        # One that is in progress keeps its vCPU in KVM: a difference that no guest makes.
        if self.mapped[event] and event not in self.running and self.on[self.targets[event]]:
            self.log("discard", DEVICE, event)
            self.mapped[event] = False
            self.pending[self.targets[event]].discard(event)

    def mapti(self, vcpu: int, event: int) -> None:
        if not self.mapped[event]:
            self.log("mapti", DEVICE, event, FIRST + event, vcpu)
            self.mapped[event] = True
            self.targets[event] = vcpu

    def inv(self, vcpu: int, event: int) -> None:
        self.log("inv", DEVICE, event)

    def movi(self, vcpu: int, event: int) -> None:
        before = self.targets[event]
        if not (self.mapped[event] and self.on[before] and self.on[vcpu]):
            return
        self.log("movi", DEVICE, event, vcpu)
        self.targets[event] = vcpu
        if event in self.pending[before]:
            self.pending[before].remove(event)
            self.pending[vcpu].add(event)

    def mapc(self, vcpu: int, event: int) -> None:
        self.log("mapc", vcpu, vcpu, 1)

    def acknowledge(self, vcpu: int, event: int) -> None:
        if self.on[vcpu] and self.running[vcpu] is None and self.pending[vcpu]:
            first = min(self.pending[vcpu])
            self.pending[vcpu].remove(first)
            self.running[vcpu] = first
            self.log("acknowledge", vcpu, FIRST + first)

    def eoi(self, vcpu: int, event: int) -> None:
        running = self.running[vcpu]
        if running is not None:
            self.log("eoi", vcpu, FIRST + running)
            self.running[vcpu] = None

    def take(self, vcpu: int, event: int) -> None:
        self.acknowledge(vcpu, event)
        self.eoi(vcpu, event)

    def lpis_off(self, vcpu: int, event: int) -> None:
        self.on[vcpu] = False
        self.log("lpis_enabled", vcpu, 0)

    def lpis_on(self, vcpu: int, event: int) -> None:
        self.on[vcpu] = True
        self.log("lpis_enabled", vcpu, 1)

    def new_pending_table(self, vcpu: int, event: int) -> None:
        if not self.on[vcpu]:
            self.pending[vcpu].clear()
            self.log("pending_table", vcpu)

    def reset(self, vcpu: int, event: int) -> None:
        self.log("reset")
        fresh = Qemu(len(self.pending), len(self.targets))
        for logged in fresh.recording:
            self.log(logged.kind, *logged.operands)
        self.targets, self.pending, self.running = fresh.targets, fresh.pending, fresh.running
        self.on, self.mapped = fresh.on, fresh.mapped


OFTEN = ("msi", "msi", "msi", "acknowledge", "eoi", "take", "movi")
SELDOM = (
    "interrupt",
    "clear",
    "discard",
    "mapti",
    "mapti",
    "inv",
    "mapc",
    "lpis_off",
    "lpis_on",
    "lpis_on",
    "new_pending_table",
    "reset",
)
STEPS = st.lists(
    st.tuples(st.sampled_from(OFTEN * 4 + SELDOM), st.integers(0, 3), st.integers(0, 5)), min_size=5, max_size=80
)


def played(vcpus: int, events: int, steps: list[tuple[str, int, int]]) -> Qemu:
    model = Qemu(vcpus, events)
    for name, vcpu, event in steps:
        getattr(model, name)(vcpu % vcpus, event % events)
    return model


def turns_lpis_off(recording: Recording) -> bool:
    return any(event.kind == "lpis_enabled" and not event.operands[1] for event in recording)


def able(recording: Recording) -> list[str]:
    """Sound designs, but for those whose enabling of LPIs does not read the pending table, where that is needed."""
    off = turns_lpis_off(recording)
    return [design for design in SOUND if not (off and quirks(design).empty_walk)]


def replayed(recording: Recording, design: str, list_registers: int) -> vgic.Check:
    raw = vgic._core.replay(
        design, recording.program(), vcpus=recording.vcpus, mode="recorded", list_registers=list_registers
    )
    make_sample(raw)
    # What the guest does not see: INT to a vCPU whose LPIs are off, and commands for an event that is not mapped.
    assert {code for _, code in raw["command_errors"]} <= {EBUSY, *UNMAPPED}
    return check(recording, raw["acknowledges"], raw["left"])


@settings(max_examples=150, derandomize=True)
@given(st.integers(1, 4), st.integers(1, 6), STEPS)
def test_every_interleaving_replays_as_recorded_with_every_sound_design(vcpus, events, steps):
    model = played(vcpus, events, steps)
    for design in able(model.recording):
        answer = replayed(model.recording, design, 16)
        assert answer.mismatches == [], f"{design}: {answer}"
        assert answer.same_multiset
        # What waits in a table in memory of a vCPU whose LPIs are off is not pending in the engine.
        left = sum(len(pending) for pending, on in zip(model.pending, model.on, strict=True) if on)
        # Designs up to 6.18 keep the latch, and may queue it when another vCPU turns its LPIs on.
        if not turns_lpis_off(model.recording) or quirks(design).disable_clears_pending:
            assert answer.left == left, design


@settings(max_examples=100, derandomize=True)
@given(st.integers(1, 3), st.integers(3, 6), STEPS)
def test_with_too_few_list_registers_only_the_order_differs_and_only_by_ties(vcpus, events, steps):
    model = played(vcpus, events, steps)
    for design in able(model.recording):
        answer = replayed(model.recording, design, 1)
        assert set(answer.reasons) <= {"tie"}, f"{design}: {answer}"
        assert answer.same_multiset


@settings(max_examples=100, derandomize=True)
@given(st.integers(1, 4), st.integers(1, 6), STEPS, st.randoms(use_true_random=False))
def test_an_acknowledge_before_its_msi_is_the_order_of_the_log(vcpus, events, steps, random):
    """Each MSI and the acknowledge right behind it change places."""
    model = played(vcpus, events, steps)
    rows = [(event.kind, event.operands) for event in model.recording]
    swapped = set()
    for n in range(len(rows) - 1):
        if rows[n][0] == "msi" and rows[n + 1][0] == "acknowledge" and n - 1 not in swapped and random.random() < 0.5:
            rows[n], rows[n + 1] = rows[n + 1], rows[n]
            swapped.add(n)
    recording = Recording("swapped")
    for line, (kind, operands) in enumerate(rows, 1):
        recording.append(line, 10 * line, kind, *operands)
    for design in able(recording):
        answer = replayed(recording, design, 16)
        # An MSI of another LPI makes no difference to the acknowledge; one of this LPI, unless it was pending, does.
        assert set(answer.reasons) <= {"log order", "tie"}, f"{design}: {answer}"
        assert answer.same_multiset


def test_an_msi_that_comes_much_later_explains_nothing():
    for wait, lines in ((5_000, 1), (10, 100)):
        recording = Qemu(1, 2).recording
        line, time = len(recording) + 1, 10 * len(recording)
        recording.append(line, time, "acknowledge", 0, FIRST)
        for n in range(lines):
            recording.append(line + n + 1, time + wait, "sync")
        recording.append(line + 200, time + wait, "msi", DEVICE, 0)
        answer = vgic.replay_recorded(recording)
        assert answer.reasons == {"missing": 1}
        assert not answer.same_multiset
        assert not answer.holds


def test_an_lpi_that_is_not_sent_again_is_no_tie():
    """The guest took 1 although only 0 was sent; that 1 is sent much later does not make it a tie."""
    model = Qemu(1, 2)
    model.msi(0, 0)
    model.log("acknowledge", 0, FIRST + 1)
    for _ in range(40):
        model.log("sync")
    model.msi(0, 1)
    answer = vgic.replay_recorded(model.recording)
    assert answer.reasons == {"unexplained": 1}
    assert answer.left == 2
    assert not answer.holds


def test_a_tie_is_followed_so_that_it_stays_one():
    """QEMU takes the lowest INTID; a recording of a GIC that takes the highest differs in each, and in nothing else."""
    model = Qemu(1, 5)
    for event in range(5):
        model.msi(0, event)
    for event in reversed(range(5)):
        model.log("acknowledge", 0, FIRST + event)
        model.log("eoi", 0, FIRST + event)
        model.msi(0, 4)
    model.log("acknowledge", 0, FIRST + 4)
    for list_registers in (1, 4, 16):
        answer = replayed(model.recording, "v7.1.8", list_registers)
        assert set(answer.reasons) == {"tie"}
        assert answer.same_multiset
        assert answer.holds
        assert answer.left == 0


def test_an_lpi_in_progress_on_one_vcpu_is_taken_by_another():
    """As in the recording ``redis-4cpu-movi``: moved while it is in progress, then INT, taken on both at once."""
    model = Qemu(2, 1)
    model.msi(0, 0)
    model.acknowledge(0, 0)
    model.movi(1, 0)
    model.interrupt(1, 0)
    model.acknowledge(1, 0)
    model.movi(0, 0)
    model.msi(0, 0)
    model.eoi(1, 0)
    model.eoi(0, 0)
    model.take(0, 0)
    for design in SOUND:
        assert replayed(model.recording, design, 4).mismatches == [], design


@pytest.mark.parametrize("mode", ["live", "lockstep", "senders"])
def test_a_reset_at_full_speed_adds_up(design, mode):
    model = Qemu(2, 3)
    for _ in range(3):
        for event in range(3):
            model.msi(0, event)
        model.movi(1, 0)
        model.take(0, 0)
        model.reset(0, 0)
        model.msi(0, 1)
    raw = vgic._core.replay(design, model.recording.program(), vcpus=2, mode=mode, loops=5)
    make_sample(raw)
    assert raw["sent"] == 60

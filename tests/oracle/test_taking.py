"""vCPUs take their LPIs in the same order on QEMU: priorities, preemption, configuration that INV makes known."""

import random
from collections import Counter

import long
import pytest
from chance import setup, start
from layout import Setup
from machines import DeafMachine, QemuMachine
from operations import Batch, Command, Config, Msi, Take
from taking import TakingChance, TakingGuest

from vgic.conformance.qemu import AgentTarget


def test_a_more_urgent_lpi_preempts_and_a_less_urgent_one_waits(taking_machines):
    guest = TakingGuest(taking_machines)
    guest.do(start())
    guest.do(Batch((Command("mapti", (0, 31, 8200, 1)),)))
    # LPI 8193 has priority 0x08, 8197 has 0x28, 8200 has 0x40; all go to vCPU 1.
    sends = [(0x18, 1), (0, 1), (0, 31)]
    guest.do(Take(1, (sends[0], "acknowledge", sends[2], "acknowledge", sends[1], "acknowledge", "eoi", "acknowledge")))
    assert (guest.counts["taken"], guest.counts["spurious"], guest.counts["nested"]) == (2, 2, 1)
    guest.do(Take(1, ("acknowledge", "eoi", "acknowledge")))
    assert (guest.counts["taken"], guest.counts["spurious"]) == (3, 3)


def test_a_pending_lpi_that_is_switched_off_waits_for_inv(taking_machines):
    guest = TakingGuest(taking_machines)
    guest.do(start())
    guest.do(Config(8192, 0x00))
    guest.do(Msi(0, 0))
    guest.do(Take(0, ("acknowledge",)))
    guest.do(Config(8192, 0x01))
    guest.do(Take(0, ("acknowledge",)))
    assert (guest.counts["taken"], guest.counts["spurious"]) == (1, 1)


@pytest.mark.parametrize(
    ("opcode", "every"), [pytest.param(0x0C, False, id="INV"), pytest.param(0x0D, True, id="INVALL")]
)
def test_a_command_that_does_nothing_is_found(running_qemu, opcode, every):
    operations = [start(), Config(8192, 0x00, every), Msi(0, 0)]
    difference = long.replay(
        [QemuMachine(running_qemu, AgentTarget), DeafMachine(opcode)], Setup(), operations, TakingGuest
    )
    running_qemu.stop()
    assert "has a pending LPI: QEMU [False, False" in str(difference)


def test_random_guests_take_the_same(taking_machines):
    counts: Counter[str] = Counter()
    for seed in range(8):
        rng = random.Random(seed)
        guest = TakingGuest(taking_machines, setup(rng))
        chance = TakingChance(rng, guest)
        guest.do(start())
        for _ in range(60):
            guest.do(chance.operation())
        counts += guest.counts
    # It did what it is there for.
    assert counts["taken"] > 100
    assert counts["nested"] > 5

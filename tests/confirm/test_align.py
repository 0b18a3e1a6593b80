"""Behind which change of memory a story's thread is held."""

import pytest

from vgic.confirm.align import begin_of, point_of
from vgic.confirm.members import is_watched
from vgic.confirm.script import Unknown, script_of
from vgic.prove.proof import trace

GUEST = """vcpus 2
mapti 0 0 0
thread one
  send 0
  movi 0 1
thread two
  send 0
"""


def held(design, text, thread, told, occurrence=0):
    """The script in which a thread loses its turn behind the line of this text, and the number of the turn."""
    plain = trace("test", design, text)
    lines = [line for line in plain.lines if line.thread and plain.threads[line.thread] == thread]
    at = [at for at, line in enumerate(lines) if line.text == told][occurrence]
    after = next(line for line in lines[at + 1 :] if line.step > lines[at].step)
    other = plain.threads.index("two" if thread == "one" else "one")
    script = script_of(trace("test", design, text, f"{after.step}:{other}"), 2, {0: 0})
    return script, next(number for number, turn in enumerate(script.turns) if turn.hold)


def known(script, number):
    engine = script.story.state_at(begin_of(script, number))
    return lambda access: is_watched(access, engine)


@pytest.mark.parametrize("design", ["v6.8-rc1", "v6.10", "v7.3", "hardened"])
def test_behind_the_change_that_was_made_last(design):
    script, number = held(design, GUEST, "one", "unlock(irq_lock of irq#0)")
    point = point_of(script, number, known(script, number))
    assert (point.access.kind, point.access.object, point.access.member) == ("unlock", "irq#0", "irq_lock")
    assert point.times == 1
    assert point.read is None
    assert str(point) == "letting go of irq_lock of irq#0"


def test_changes_are_counted_from_the_beginning_of_the_operation():
    # A send takes the LPI's lock, lets go of it, and takes it again under that of the list.
    script, number = held("v6.10", GUEST, "one", "lock(irq_lock of irq#0)", 1)
    point = point_of(script, number, known(script, number))
    assert (point.access.kind, point.times) == ("lock", 2)
    assert str(point) == "taking irq_lock of irq#0, time 2"


def test_a_change_that_no_kernel_tells_of_is_no_place():
    text = "vcpus 2\nmapti 0 0 0\nthread one\n  mapti 1 1 0\n  send 0\nthread two\n  send 0\n"
    script, number = held("v6.10", text, "one", "unlock(irq_lock of irq#1)")
    with pytest.raises(Unknown, match=r"a kernel does not tell where it is: step \d+: lock\(irq_lock of irq#1\)"):
        point_of(script, number, known(script, number))


def test_an_operation_that_has_changed_nothing_has_no_place():
    script, number = held("v6.10", GUEST, "one", "rcu_read_unlock()")
    with pytest.raises(Unknown, match="nothing that a kernel tells was changed before"):
        point_of(script, number, known(script, number))


def test_a_read_that_others_come_between_is_told_apart():
    text = "vcpus 2\nmapti 0 0 0\nthread one\n  send 0\nthread two\n  lpis off 0\n"
    script, number = held("v6.10", text, "one", "LPIs of vCPU 0 are on")
    # The others change GICR_CTLR meanwhile, and no kernel shows the load of it.
    with pytest.raises(Unknown, match=r"a kernel's loads do not tell it: step \d+: LPIs of vCPU 0 are on"):
        point_of(script, number, known(script, number))
    lines = [line for line in script.story.lines if line.text == "LPIs of vCPU 0 are on" and line.thread]
    everything = point_of(script, number, lambda access: True)
    assert everything.read == lines[0].access
    assert str(everything) == "taking its_lock of its#0, and reading ctlr of vCPU 0"


def test_behind_the_guest_nothing_is_counted():
    text = "vcpus 2\nmapti 0 0 0\nsend 0\nthread one\n  run 0\nthread two\n  send 0\n"
    script, number = held("v6.10", text, "one", "unlock(irq_lock of irq#0)", -2)
    with pytest.raises(Unknown, match="behind the guest nothing can be counted"):
        point_of(script, number, known(script, number))

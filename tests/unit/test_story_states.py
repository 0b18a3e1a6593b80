"""What the LPIs and list registers are along a story. A real kernel is compared with it in tests/confirm."""

import pytest

from vgic.prove.proof import ProofPlan, prove, trace
from vgic.prove.story import Access, LpiAt, RegisterAt

#: One of each kind of index, cache and bits.
DESIGNS = ["v6.8-rc1", "patch-15", "rwlock", "v6.10", "v7.3"]


def found(scenario, design):
    story = prove(scenario, design, ProofPlan(preemptions=2, executions=100_000)).stories[0]
    assert story.states
    return story


def behind(story, text):
    """The state behind the first line with this text."""
    return story.state_at(next(at for at, line in enumerate(story.lines) if text in line.text))


@pytest.mark.parametrize("design", DESIGNS)
def test_a_story_tells_index_mapping_cache_queue_and_count(design):
    story = found("lpis_disable_vs_resolver", design)
    begun = behind(story, "GICR_CTLR.EnableLPIs = 0 of vCPU 0").lpis[0]
    assert begun._replace(references=0) == LpiAt(8192, "irq#0", 0, None, 0, False, True, False, True, 1, 0)
    ended = story.state_at(max(at for at, line in enumerate(story.lines) if line.thread)).lpis[0]
    # The index of a list counts for nothing; a mapping, the cache and the queue hold a reference each.
    assert ended == LpiAt(8192, "irq#0", 3, 0, 0, True, True, False, True, 1, 1)


@pytest.mark.parametrize("design", ["v6.8-rc1", "v6.10"])
def test_a_list_register_in_use(design):
    story = found("stale_list_register", design)
    inside = behind(story, "enters the guest")
    assert inside.registers == (RegisterAt(0, 8192, True, False),)
    assert inside.lpis[0].pending is False, "it is pending in the register alone"


def test_a_state_holds_until_the_next_one():
    story = found("lpis_disable_vs_resolver", "v7.3")
    begins = [state.line for state in story.states]
    assert begins == sorted(set(begins))
    for at, line in enumerate(begins):
        assert story.state_at(line) == story.states[at]
        assert line == 0 or story.state_at(line - 1) == (story.states[at - 1] if at else None)
    assert story.state_at(len(story.lines) - 1) == story.states[-1]
    for line in (-1, len(story.lines)):
        with pytest.raises(ValueError, match="line must be 0 to "):
            story.state_at(line)


def test_a_mapping_ends_where_it_leaves_its_list():
    story = trace("test", "v6.10", "mapti 0 0 0\nthread one\n  discard 0\nthread two\n  send 0\n")
    assert behind(story, "DISCARD event 0").lpis[0].mapped == 1
    # Its reference, and its memory, are given back behind that.
    put = next(at for at, line in enumerate(story.lines) if line.text.startswith("put_irq(irq#0)"))
    before = story.state_at(put - 1)
    assert [(lpi.mapped, lpi.references) for lpi in before.lpis] == [(0, 1)]


def test_each_step_tells_what_it_does_to_memory():
    story = trace("test", "v6.10", "mapti 0 0 0\nthread one\n  send 0\nthread two\n  send 0\n")
    found = {line.text: line.access for line in story.lines if line.thread}
    assert found["lock(irq_lock of irq#0)"] == Access("lock", "irq#0", "irq_lock", True)
    assert found["irq#0: pending_latch 0 -> 1"] == Access("write", "irq#0", "pending_latch", True)
    assert found["reads pending_latch of irq#0: 1"] == Access("read", "irq#0", "pending_latch", False)
    assert found["rcu_read_lock()"] is None

"""What the LPIs and list registers are along a story. A real kernel is compared with it in tests/confirm."""

import pytest

from vgic.prove.proof import ProofPlan, prove
from vgic.prove.story import LpiAt, RegisterAt

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

"""How a story is laid out: it fits its width, and says at each step in which function of the kernel it is."""

import pytest

import vgic
from vgic.prove import ProofPlan

#: To its end; the seconds only guard against a search without one.
TWO = ProofPlan(preemptions=2, seconds=1200)


@pytest.fixture(scope="module")
def stories():
    found = []
    for scenario, design in (
        ("send_vs_discard", "v6.7"),
        ("concurrent_invalidation", "v6.10"),
        ("remap_vs_run", "v6.10"),
    ):
        found += vgic.prove(scenario, design, TWO).stories
    assert len(found) >= 3
    return found


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("width", [60, 72, 80, 100, 120])
def test_a_story_fits_and_loses_no_word(stories, width, full):
    for story in stories:
        text = story.laid_out(width, full=full)
        assert max(map(len, text.splitlines())) <= width
        letters = "".join(text.split()).replace("|", "")
        assert "".join(story.rule.split()) in letters
        assert story.design in text


def test_a_width_out_of_range_is_refused(stories):
    for width in (59, 121):
        with pytest.raises(ValueError, match="width must be 60 to 120"):
            stories[0].laid_out(width)


def test_each_step_names_a_function_of_the_kernel(stories):
    for story in stories:
        steps = [
            line for line in story.lines if line.kind == "step" and story.threads[line.thread] != "rcu" and line.thread
        ]
        named = [line for line in steps if line.function]
        assert len(named) == len(steps), {line.text for line in steps if not line.function}
    (first, *_) = stories
    functions = {line.function for line in first.lines}
    assert {"vgic_its_inject_msi", "vgic_its_check_cache", "vgic_its_inject_cached_translation"} <= functions
    assert "vgic_its_cmd_handle_discard" in functions
    assert "vgic_its_inject_cached_translation():" in first.text

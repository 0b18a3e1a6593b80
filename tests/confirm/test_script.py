import pytest

from vgic.confirm.places import place_of, places
from vgic.confirm.play import claims
from vgic.confirm.run import story_of
from vgic.confirm.script import Script, Unknown, command_of, guest_setup, pending_byte, script_of
from vgic.its.commands import WORDS, decode
from vgic.prove.defects import defect
from vgic.prove.story import Story, StoryLine


def line(step, thread, kind, text="", function="f"):
    return StoryLine(step, thread, kind, text, True, function)


def story(lines, before=()):
    threads = ("main", "a", "b", "c", "d")
    return Story("s", "d", "r", "w", "o", 1, 0.0, 1, threads, tuple(before), tuple(lines), (), 1, "-")


def told(script):
    """The turns in short: thread, command, and the step at which it is held."""
    return [(turn.thread, turn.command, turn.hold and turn.hold.last.step) for turn in script.turns]


HELD = story(
    [
        line(1, 0, "operation", "checks what is left"),
        line(2, 1, "operation", "sends event 0"),
        line(3, 1, "step", "lock(its_lock)"),
        line(4, 1, "step", "LPIs of vCPU 0 are on"),
        line(5, 1, "preempted", "b goes on"),
        line(5, 2, "operation", "GICR_CTLR.EnableLPIs = 0 of vCPU 0"),
        line(6, 2, "step", "LPIs of vCPU 0 go off"),
        line(7, 1, "step", "xa_store(translation_cache): irq#0"),
        line(8, 1, "step", "unlock(its_lock)"),
        line(9, 2, "operation", "sends event 3"),
        line(10, 2, "step", "the cache misses"),
    ],
    ["MAPTI event 0 to LPI 8192"],
)


def test_a_thread_is_held_where_it_loses_its_turn():
    script = script_of(HELD, 1)
    assert script.overlaps
    assert told(script) == [(1, 0, 4), (2, 0, None), (1, 0, None), (2, 1, None)]
    assert script.threads == {1: ("msi 0 0 0",), 2: ("store 3 0x8100000 4 0x0", "msi 0 0 3")}
    assert script.begun() == [(1, 0), (2, 0), (2, 1)]
    assert script.in_turn() == ["msi 0 0 0", "store 3 0x8100000 4 0x0", "msi 0 0 3"]
    assert script.all_vcpus == 4
    assert script.before == (command_of("MAPTI event 0 to LPI 8192", 1, 1),)


@pytest.mark.parametrize("at", [1, 2], ids=["only a lock", "nothing"])
def test_a_thread_that_has_done_nothing_yet_is_not_held(at):
    """It begins later, and that is all."""
    steps = [line(3, 1, "step", "lock(cmd_lock)")] if at == 1 else []
    lines = [
        line(2, 1, "operation", "GICD_CTLR.EnableGrp1 = 1"),
        *steps,
        line(4, 1, "preempted", "b goes on"),
        line(4, 2, "operation", "runs vCPU 0"),
        line(5, 2, "step", "enters the guest"),
        line(6, 1, "step", "writes enabled: 1"),
    ]
    assert told(script_of(story(lines), 1)) == [(2, 0, None), (1, 0, None)]


def test_a_thread_that_has_done_everything_is_not_held():
    lines = [
        line(2, 1, "operation", "sends event 0"),
        line(3, 1, "step", "put_irq(irq#0)"),
        line(4, 1, "preempted", "b goes on"),
        line(4, 2, "operation", "runs vCPU 0"),
        line(5, 2, "step", "enters the guest"),
        line(6, 1, "step", "unlock(its_lock)"),
    ]
    assert told(script_of(story(lines), 1)) == [(1, 0, None), (2, 0, None)]


def test_what_has_no_command_is_named():
    lines = [line(2, 1, "operation", "dances")]
    with pytest.raises(Unknown, match="no command for 'dances'"):
        script_of(story(lines), 1)
    lines = [line(2, thread, "operation", "sends event 0") for thread in range(1, 5)]
    with pytest.raises(Unknown, match="more than 3 threads"):
        script_of(story(lines), 1)


@pytest.mark.parametrize(
    ("text", "name", "operands"),
    [
        ("MAPTI event 2 to LPI 8195", "MAPTI", {"device_id": 0, "event_id": 2, "intid": 8195, "collection_id": 1}),
        ("MOVI event 0 to vCPU 1", "MOVI", {"device_id": 0, "event_id": 0, "collection_id": 1}),
        ("DISCARD event 4", "DISCARD", {"device_id": 0, "event_id": 4}),
        ("MAPC collection 0 to vCPU 1", "MAPC", {"collection_id": 0, "vcpu": 1, "valid": 1}),
        ("DISCARD event 4 of ITS 0", "DISCARD", {"device_id": 0, "event_id": 4}),
        ("MOVALL from vCPU 0 to 1", "MOVALL", {"vcpu": 0, "to_vcpu": 1}),
    ],
)
def test_a_command_of_the_its_is_the_architectures(text, name, operands):
    words = command_of(text, 2, 3, {2: 1}).split()
    assert words[:3] == ["cmd", "0", "3"]
    command = decode(WORDS.pack(*(int(word, 16) for word in words[3:])))
    assert (command.name, command.operands) == (name, operands)


def test_the_guests_tables_do_not_overlap():
    """Each kind of table has its pages, and the guest's code the last one of RAM."""
    setup = "\n".join(guest_setup(8))
    assert pending_byte(7, 8192) == 0x4008_0000 + 7 * 0x1_0000 + 1024
    assert "rd_w 7 0x78 0x400f0000" in setup
    assert "cmd 0 -1 0x8 0x4 0x8000000040100000 0x0" in setup


@pytest.mark.parametrize("name", claims())
def test_the_story_of_each_claim_can_be_played(name):
    """Each operation is a command, and each place at which somebody is held is in the table."""
    claim = claims()[name]
    script = script_of(story_of(defect(name)), claim.vcpus, dict(claim.collections))
    assert isinstance(script, Script)
    for turn in script.turns:
        if turn.hold:
            assert place_of(turn.hold) in places()
    if isinstance(claim.control, tuple):
        words = [*script.words.values(), story_of(defect(name)).before]
        assert all(any(text in texts for texts in words) for text in claim.control), "the control leaves nothing out"
    assert bool(claim.shows) != bool(claim.broken)
    assert claim.shows or claim.broken not in claim.sound
    assert all(len(claim.ask) == len(answers) for answers in (claim.broken or claim.ask, *claim.sound))
    assert all(any(text in texts for texts in script.words.values()) for text in claim.no_memory)


def test_what_needs_no_race_and_what_does():
    """As docs/explain/hardened.md has it: five of these need no preemption in the kernel's own steps."""
    races = {name for name, claim in claims().items() if script_of(story_of(defect(name)), claim.vcpus).overlaps}
    assert races == {
        "open-window",
        "open-window-its",
        "enable-forgets-send",
        "stale-configuration",
        "folded-then-forgotten",
        "kick-of-the-wrong-vcpu",
        "lpi-in-two-registers",
        "clear-loses-bits",
        "stale-list-register",
        "CVE-2026-74568",
        "release-under-lock",
    }


def test_a_place_that_is_not_known_says_which_step():
    hold = next(turn.hold for turn in script_of(HELD, 1).turns if turn.hold)
    with pytest.raises(Unknown, match="no place is known for step 4, f: LPIs of vCPU 0 are on"):
        place_of(hold)


def test_a_story_of_one_thread_is_a_thread_of_the_guest():
    """Without what the checker does for itself, and without the setting up."""
    lines = [
        line(1, 0, "waits", "waits for read sections to end"),
        line(2, 0, "operation", "MAPTI event 20 to LPI 8192"),
        line(3, 0, "step", "ite#0: NULL -> irq#0"),
        line(4, 0, "operation", "allocation 0 from now on fails"),
        line(5, 0, "operation", "sends event 20"),
        line(6, 0, "broken", "a reference leaked"),
    ]
    script = script_of(story(lines), 1)
    assert script.words == {1: ("MAPTI event 20 to LPI 8192", "sends event 20")}
    assert told(script) == [(1, 0, None), (1, 1, None)]


def test_a_story_without_some_operations():
    script = script_of(HELD, 1)
    less = script.without(["sends event 0", "MAPTI event 0 to LPI 8192"])
    assert (less.before, less.before_words) == ((), ())
    assert less.words == {2: ("GICR_CTLR.EnableLPIs = 0 of vCPU 0", "sends event 3")}
    assert told(less) == [(2, 0, None), (2, 1, None)]
    assert told(script.without(["GICR_CTLR.EnableLPIs = 0 of vCPU 0"])) == [(1, 0, 4), (1, 0, None), (2, 0, None)]
    assert script.without([]) == script


def test_each_its_has_its_own_tables_and_queue():
    assert command_of("DISCARD event 0 of ITS 1", 1, 2).startswith("cmd 1 2 0xf ")
    one, two = (guest_setup(1, itses) for itses in (1, 2))
    assert two[: len(one)] == one
    more = two[len(one) :]
    assert len(more) == 7
    assert not {line for line in more if line.replace(" 1 ", " 0 ", 1) in one} - {"its_w 1 0x0 1", *more[5:6]}


def test_a_thread_that_the_story_leaves_in_the_middle_is_held_there():
    """The story ends with what another one does; it still holds a lock. One that has ended what it did holds none."""
    lines = [
        line(2, 1, "operation", "runs vCPU 0"),
        line(3, 1, "step", "lock(mutex of vCPU 0)"),
        line(4, 1, "step", "inc_not_zero(irq#0): refcount 3 -> 4"),
        line(5, 1, "step", "rcu_read_unlock()"),
        line(6, 1, "preempted", "b goes on"),
        line(7, 2, "operation", "runs vCPU 1"),
        line(8, 2, "step", "fills a list register"),
        line(9, 2, "broken", "an LPI is in two"),
    ]
    assert told(script_of(story(lines), 2)) == [(1, 0, 4), (2, 0, None), (1, 0, None)]
    ended = [*lines[:4], line(5, 1, "step", "unlock(mutex of vCPU 0)"), *lines[4:]]
    assert told(script_of(story(ended), 2)) == [(1, 0, None), (2, 0, None)]

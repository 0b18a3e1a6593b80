"""What the guide of the conformance kit shows is what the kit says, of our frames and of QEMU."""

import re
import shlex

import pytest
from pages import blocks, commands, read

from vgic.cli import main
from vgic.conformance import check
from vgic.conformance.choices import CHOICES
from vgic.conformance.ours import OurTarget
from vgic.conformance.qemu import AGENT_ARGUMENTS, open_qemu
from vgic.conformance.qtest import MISSING, arguments
from vgic.conformance.target import Target

PAGE = "docs/guide/conformance.md"


def rows():
    """The table of choices: name, QEMU's answer, ours."""
    return re.findall(r"^\| `([\w-]+)` \| ([^|]+) \| ([^|]+) \|$", read(PAGE), re.MULTILINE)


def commands_of_vgic():
    return [command for block in blocks(PAGE, "console") for command, _ in commands(block)]


def test_every_choice_that_differs_is_in_the_table():
    assert [name for name, _, _ in rows()] == [name for name in CHOICES if name != "unknown-command"]


def test_our_answers():
    answers = {answer.choice.name: answer.text for answer in check(OurTarget(), CHOICES).answers}
    assert {name: ours for name, _, ours in rows()} == {name: answers[name] for name, _, _ in rows()}


def test_what_it_prints_of_our_frames(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (ours,) = [command for command in commands_of_vgic() if command.endswith("ours")]
    assert main(shlex.split(ours)[1:]) == 0
    for block in blocks(PAGE, "python"):
        exec(block.text, {"__name__": "__example__"})
    printed = capsys.readouterr().out
    shown = [line for block in blocks(PAGE, "text")[1:] for line in block.text.splitlines()]
    assert len(shown) == 2
    for line in shown:
        assert line in printed


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_what_it_prints_of_qemu(capsys):
    target = open_qemu("")
    version = target.version
    answers = {answer.choice.name: answer.text for answer in check(target, CHOICES).answers}
    target.close()
    if version != "QEMU 7.2":
        pytest.skip(f"the guide shows QEMU 7.2, this is {version}")
    assert {name: theirs for name, theirs, _ in rows()} == {name: answers[name] for name, _, _ in rows()}
    (command,) = [command for command in commands_of_vgic() if command.endswith("qtest")]
    assert main(shlex.split(command)[1:]) == 1
    assert capsys.readouterr().out.startswith(blocks(PAGE, "text")[0].text)


def test_the_command_line_of_qemu_is_that_of_the_kit():
    (shown,) = re.findall(r"^# (qemu-system.*?)^# vgic", read(PAGE), re.MULTILINE | re.DOTALL)
    words = shlex.split(shown.replace("\\\n", " "))
    made = [*arguments(), *AGENT_ARGUMENTS]
    sockets = [word for word in words if "sock" in word or "qtest" in word or word in ("-chardev", "-object", "-qmp")]
    assert set(words[1:]) - set(sockets) - {"tcg,thread=single"} <= set(made)
    # How much the translator may keep, and what is logged, is of no importance.
    assert set(made) - set(words) == {"tcg,thread=single,tb-size=16", "-d", "guest_errors"}


def test_the_verbs_are_those_of_a_target():
    named = re.findall(r"^\| `([a-z]+)[ `]", read(PAGE), re.MULTILINE)
    verbs = {name for name in named if name not in CHOICES}
    assert verbs == {"describe", *(Target.__abstractmethods__), "settle"}

"""The outputs that the guide for emulators shows are those of its programs and commands."""

import shlex

import pytest
from pages import blocks, commands
from test_unicorn_example import OUTPUT

from vgic.cli import main

PAGE = "docs/guide/emulator.md"


@pytest.mark.parametrize("page", [PAGE, "README.md"])
def test_outputs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__example__"}
    for block in blocks(page, "python"):
        exec(block.text, names)
    printed = capsys.readouterr().out + OUTPUT
    if page == PAGE:
        for block in blocks(page, "console"):
            for command, _ in commands(block):
                name, *arguments = shlex.split(command)
                if name == "vgic":
                    assert main(arguments) == 0
        shown = capsys.readouterr()
        printed += shown.out + shown.err
    texts = [block.text for block in blocks(page, "text")]
    for text in texts if page == PAGE else [text for text in texts if "ItsFrame" in text]:
        for line in text.splitlines():
            assert line in printed

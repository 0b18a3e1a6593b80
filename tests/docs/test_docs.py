"""What the documentation shows works: Python runs, commands parse (the quick ones run), links lead somewhere."""

import doctest
import re
import shlex
import subprocess
import sys

import pytest
from pages import ROOT, anchors, blocks, commands, links, pages, parse, read

PAGES = pages()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__example__"}
    for block in blocks(page, "python"):
        where = f"{page}:{block.line}"
        if block.text.startswith(">>>"):
            import vgic

            names |= {name: getattr(vgic, name) for name in vgic.__all__}
            test = doctest.DocTestParser().get_doctest(block.text, names, where, page, block.line)
            assert doctest.DocTestRunner().run(test).failed == 0, capsys.readouterr().out
        else:
            exec(compile("\n" * (block.line - 1) + block.text, str(ROOT / page), "exec"), names)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")])
def test_commands_of_a_page_exist(page):
    makefile = read("Makefile")
    for block in blocks(page, "console"):
        for command, _ in commands(block):
            words = shlex.split(command, comments=True)
            if words[0].endswith("vgic"):
                try:
                    parse(words[1:])
                except Exception as error:
                    pytest.fail(f"{page}:{block.line}: {command}: {error}")
            elif words[0] == "make":
                for target in words[1:]:
                    assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page}:{block.line}: {command}"


QUICK = [
    pytest.param(command, output, block.status, id=f"{page}:{block.line}: {command}")
    for page in PAGES
    for block in blocks(page, "console")
    if block.status is not None
    for command, output in commands(block)
]


@pytest.mark.parametrize(("command", "output", "status"), QUICK)
def test_a_quick_command_runs(command, output, status, vgic_command):
    words = shlex.split(command)
    assert words[0] == "vgic"
    if words[1] == "prove" and "--seconds" not in words:
        # However slow the machine is, it finds the same.
        words += ["--seconds", "86400"]
    run = vgic_command(*words[1:])
    assert run.returncode == status, run.stderr
    for line in output:
        assert line in run.stdout + run.stderr


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page):
    for link in links(page):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page}: {link}"
        assert path.resolve().is_relative_to(ROOT), f"{page}: {link} leads out of the repository"
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{page}: {link}"


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_an_example_runs(script, tmp_path):
    run = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout
    assert not run.stderr
    assert not list(tmp_path.iterdir())


def test_files_that_the_code_points_to_have_what_it_says():
    designs = read("docs/explain/designs.md")
    assert "## Lock order" in designs
    assert "## The open window" in designs

"""What is kept of what a machine says."""

import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.confirm.console import LONGEST, Console, Ended, Log


@given(st.integers(1, 5), st.integers(0, 20), st.integers(0, 25))
def test_a_number_finds_its_line_or_how_many_are_left_out(kept, count, mark):
    log = Log(kept)
    lines = [str(number) for number in range(count)]
    for line in lines:
        log.append(line)
    assert len(log) == count
    got, at = log[mark:], min(mark, count)
    for line in got:
        if line.startswith("... "):
            at += int(line.split()[1])
        else:
            assert line == lines[at]
            at += 1
    assert at == count, "each line is there, or counted"
    assert len([line for line in got if line.startswith("...")]) <= 1
    assert len(got) <= 2 * kept + 1
    assert log[-1:] == lines[-1:]


def heard(pieces):
    """What a console makes of these pieces: its answers, and the kernel's lines."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/console")
        server.listen()
        console.connect(Path(folder) / "console")
        theirs, _ = server.accept()
        with theirs:
            for piece in pieces:
                theirs.sendall(piece)
        answers = []
        with pytest.raises(Ended):  # noqa: PT012
            while True:
                answers.append(console.next(600))
        with pytest.raises(Ended):
            console.next(600)
    console.close()
    return answers, console.log[:]


SAID = b"[ 0.1] a\r\n| x\r\n= 1 0 -16\r\n\r\n= up 0x1 0x2 0x3 0x4\r\n! y\r\n= 0\r\nb\xff\r\nunended"


@given(st.lists(st.integers(1, len(SAID)), max_size=6))
def test_answers_and_lines_are_the_same_however_they_are_cut(cuts):
    ends = [*sorted(cuts), len(SAID)]
    answers, lines = heard(SAID[begin:end] for begin, end in zip([0, *ends], ends, strict=False))
    assert answers == [(["1", "0", "-16"], ["| x"]), (["up", "0x1", "0x2", "0x3", "0x4"], []), (["0"], ["! y"])]
    assert lines == ["[ 0.1] a", "b\xff"]


@pytest.mark.parametrize(
    "line", ["= ", "= x", "= 1 2", "= 1 2 3 4", "= up", "= up 0x1", "= -", f"= {'9' * 5000}", "= 1 2 3 "]
)
def test_what_only_looks_like_an_answer_is_a_line(line):
    assert heard([f"{line}\n".encode()])[0] == []


@given(st.integers(LONGEST - 2, LONGEST + 2), st.integers(1, 3))
def test_a_long_line_is_cut_and_says_so(size, pieces):
    _, (line,) = heard([*[b"x" * (size // pieces)] * pieces, b"x" * (size % pieces), b"\n"])
    assert line == "x" * size if size <= LONGEST else line == "x" * LONGEST + " ..."

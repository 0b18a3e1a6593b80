"""Which build of the core is taken."""

import struct
from pathlib import Path

import pytest

from vgic.core_build import other_core

LSE, LRCPC = 1 << 8, 1 << 15


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A second build, in a folder that is named after nothing else."""
    path = tmp_path / "_core.abi3.so"
    path.touch()
    return path


def auxv(folder: Path, hwcap: int) -> str:
    path = folder / "auxv"
    path.write_bytes(b"".join(struct.pack("@LL", *pair) for pair in [(6, 4096), (16, hwcap), (0, 0)]) + b"\0")
    return str(path)


def test_a_cpu_that_has_both_gets_the_build_for_them(library: Path) -> None:
    assert other_core(library.parent, auxv(library.parent, LSE | LRCPC | 3)) == library


@pytest.mark.parametrize("hwcap", [0, LSE, LRCPC, ~(LSE | LRCPC) & 0xFFFF_FFFF])
def test_another_cpu_keeps_the_one_for_all(library: Path, hwcap: int) -> None:
    assert other_core(library.parent, auxv(library.parent, hwcap)) is None


def test_a_wheel_without_a_second_build_has_one(tmp_path: Path) -> None:
    assert other_core(tmp_path, auxv(tmp_path, LSE | LRCPC)) is None


def test_what_cannot_be_read_is_not_there(library: Path) -> None:
    assert other_core(library.parent, str(library.parent / "missing")) is None
    (library.parent / "short").write_bytes(b"\x10")
    assert other_core(library.parent, str(library.parent / "short")) is None


def test_the_environment_asks_for_the_one_for_all(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGIC_CORE", "generic")
    assert other_core(library.parent, auxv(library.parent, LSE | LRCPC)) is None

import os
import re
import time

import pytest
from test_image import deb, image

from vgic.confirm.debian import _version, cache_folder, fetch, find_kernel, series
from vgic.errors import KernelError

#: What an archive has, more or less.
NAMES = """\
linux-image-6.1.0-9-arm64 linux-image-6.1.0-56-arm64 linux-image-6.1.0-56-rt-arm64 linux-image-6.1.0-57-cloud-arm64
linux-image-6.12.100+deb12-arm64 linux-image-6.12.99+deb12-arm64 linux-image-6.12-arm64 linux-image-arm64
linux-image-6.12.117+deb13-arm64-16k linux-image-6.1.0-58-arm64-dbg linux-image-6.1.0-58-arm64-unsigned
linux-binary-7.2.13+deb14-arm64 linux-binary-unsigned-7.3.1+deb14-arm64 linux-binary-7.2.13+deb14-arm64-16k
"""


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """Programs called as apt's, and a cache of its own; what they were called with."""
    log = tmp_path / "log"
    kernel = tmp_path / "kernel.deb"
    kernel.write_bytes(deb({"./boot/vmlinuz-x": image()}))
    programs = tmp_path / "bin"
    programs.mkdir()
    script = f"""#!/bin/sh
echo "$(basename "$0") $@" >> {log}
[ ! -e {tmp_path}/broken ] || {{ echo "E: no network" >&2; exit 100; }}
case "$*" in
  pkgnames*) echo "{NAMES}" ;;
  *indextargets*) echo "https://mirror.example/debian/" ;;
  *download*) cat "$(dirname "$APT_CONFIG")/sources.list" >> {log}; cp {kernel} "$(pwd)/package.deb" ;;
esac
"""
    for name in ("apt-get", "apt-cache"):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VGIC_DEBIAN_MIRROR", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "newest"),
    [
        ("6.1", "linux-image-6.1.0-56-arm64"),
        ("6.12", "linux-image-6.12.100+deb12-arm64"),
        ("sid", "linux-binary-7.2.13+deb14-arm64"),
    ],
)
def test_the_newest_kernel_of_a_series_is_one_of_the_plain_kind(name, newest):
    _, pattern = series()[name]
    assert max((one for one in NAMES.split() if re.fullmatch(pattern, one)), key=_version) == newest


def test_a_kernel_is_fetched_once_a_day(apt):
    told = []
    kernel = find_kernel("debian:6.1", told.append)
    assert kernel.image == image()
    assert kernel.name == "debian:6.1"
    assert "fetching linux-image-6.1.0-56-arm64" in told
    log = (apt / "log").read_text()
    assert "download linux-image-6.1.0-56-arm64" in log
    assert re.search(r"https://mirror.example/debian-security bookworm-security main", log)
    assert find_kernel("debian:6.1").image == image()
    assert (apt / "log").read_text() == log
    assert [path.name for path in (cache_folder() / "debian-6.1").iterdir()] == ["linux-image-6.1.0-56-arm64.image"]


def test_without_a_network_the_kernel_of_another_day_will_do(apt):
    kept = fetch("6.1")
    yesterday = time.time() - 2 * 86400
    os.utime(kept, (yesterday, yesterday))
    (apt / "broken").touch()
    told = []
    assert fetch("6.1", told.append) == kept
    assert "the kernel fetched before is taken" in told[-1]


def test_what_cannot_be_fetched_is_one_line(apt, monkeypatch):
    with pytest.raises(KernelError, match=r"unknown series 'debian:5'; there are debian:6.1, debian:6.12, debian:sid"):
        fetch("5")
    (apt / "broken").touch()
    monkeypatch.setenv("VGIC_DEBIAN_MIRROR", "https://mirror.example/debian")
    with pytest.raises(KernelError, match="apt-get -q update: no network"):
        fetch("6.1")
    monkeypatch.delenv("VGIC_DEBIAN_MIRROR")
    with pytest.raises(KernelError, match="name a mirror in VGIC_DEBIAN_MIRROR"):
        fetch("6.1")
    monkeypatch.setenv("PATH", str(apt))
    with pytest.raises(KernelError, match="give a package or an Image instead"):
        fetch("6.1")

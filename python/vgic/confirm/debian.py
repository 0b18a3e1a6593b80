"""The current kernel of a series of Debian, by an apt with a root of its own.

Nothing of this machine's packages is touched: lists, cache and status are in a folder of the user's cache. Where the
archive is is read from this machine's own sources, or from ``VGIC_DEBIAN_MIRROR``, so nothing is written down here that
may move. apt checks the signatures by Debian's keys.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from vgic.confirm.image import Kernel, read_kernel
from vgic.errors import KernelError

__all__ = ["cache_folder", "fetch", "find_kernel", "series"]

#: Told what goes on, a line at a time.
Tell = Callable[[str], None]

_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
#: Names the archive, up to and with its last folder, "debian".
_MIRROR = "VGIC_DEBIAN_MIRROR"
#: The archive is asked again after so many seconds.
_FRESH = 86400.0


def find_kernel(name: str, tell: Tell = lambda line: None) -> Kernel:
    """A kernel by a path, or by a name such as ``debian:6.12``, which is fetched unless that was done today.

    Raises :class:`~vgic.errors.KernelError` if there is none, ``OSError`` if a file cannot be read.
    """
    if not name.startswith("debian:"):
        return read_kernel(Path(name))
    path = fetch(name.removeprefix("debian:"), tell)
    return read_kernel(path, name)


def series() -> dict[str, tuple[list[str], str]]:
    """The series that can be fetched: suites, and the pattern of a package's whole name."""
    raw = tomllib.loads(files("vgic.confirm").joinpath("debian.toml").read_text(encoding="utf-8"))
    return {name: (row["suites"], row["package"]) for name, row in raw.items()}


def cache_folder() -> Path:
    """The folder of the user's cache that is ours (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "vgic" / "kernels"


def fetch(name: str, tell: Tell = lambda line: None) -> Path:
    """The plain Image of the newest kernel of a series, in the user's cache.

    Raises :class:`~vgic.errors.KernelError` if the series is not known, or nothing can be had and nothing is kept.
    """
    known = series()
    if name not in known:
        raise KernelError(f"unknown series 'debian:{name}'; there are {', '.join('debian:' + one for one in known)}")
    folder = cache_folder() / f"debian-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    kept = max(folder.glob("*.image"), key=lambda path: path.stat().st_mtime, default=None)
    if kept and time.time() - kept.stat().st_mtime < _FRESH:
        return kept
    try:
        return _newest(folder, *known[name], tell)
    except KernelError as error:
        if kept is None:
            raise
        tell(f"{error}; the kernel fetched before is taken, {kept.stem}")
        return kept


def _newest(folder: Path, suites: list[str], pattern: str, tell: Tell) -> Path:
    with _apt(suites) as run:
        tell(f"reading what is in {', '.join(suites)}")
        run(tell, "apt-get", "-q", "update")
        # A literal beginning, then the pattern: apt's own search has no anchors for a whole name.
        names = run(None, "apt-cache", "pkgnames", "linux-").split()
        fitting = [one for one in names if re.fullmatch(pattern, one)]
        if not fitting:
            raise KernelError(f"no package in {', '.join(suites)} is called {pattern}")
        package = max(fitting, key=_version)
        image = folder / f"{package}.image"
        if image.exists():
            image.touch()
            return image
        tell(f"fetching {package}")
        run(tell, "apt-get", "-q", "download", package)
        # In the folder that apt ran in.
        (deb,) = run.folder.glob("*.deb")
        part = image.with_suffix(".part")
        part.write_bytes(read_kernel(deb).image)
        part.replace(image)
    for other in folder.glob("*.image"):
        if other != image:
            other.unlink()
    return image


def _version(package: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", package)]


class _Apt:
    """Runs apt's programs in the private root ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, tell: Tell | None, *command: str) -> str:
        """What a program prints; each line is told, if wanted, as it comes."""
        environment = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
        lines: list[str] = []
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    lines.append(line.rstrip())
                    if tell is not None:
                        tell(lines[-1])
            except BaseException:  # Ctrl-C: nobody waits for the archive any more.
                process.kill()
                raise
        if process.returncode:
            why = next((line[2:].strip() for line in reversed(lines) if line.startswith("E:")), "it failed")
            raise KernelError(f"{' '.join(command[:3])}: {why}")
        return "\n".join(lines)


@contextmanager
def _apt(suites: list[str]) -> Iterator[_Apt]:
    """An apt for arm64 that knows these suites and has nothing installed; its folder goes when it is done."""
    if shutil.which("apt-get") is None:
        raise KernelError("apt-get is needed to fetch a kernel; give a package or an Image instead")
    mirror = _mirror()
    with tempfile.TemporaryDirectory(prefix="vgic-apt-") as name:
        root = Path(name)
        for folder in ("lists/partial", "cache/archives/partial", "parts"):
            (root / folder).mkdir(parents=True)
        (root / "status").touch()
        signed = f" [signed-by={_KEYS}]" if Path(_KEYS).exists() else ""
        rows = [f"deb{signed} {mirror}{'-security' * suite.endswith('-security')} {suite} main\n" for suite in suites]
        (root / "sources.list").write_text("".join(rows), encoding="utf-8")
        settings = {
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
            "Dir::State::status": f"{root}/status",
            "Dir::State::lists": f"{root}/lists",
            "Dir::Cache": f"{root}/cache",
            "Dir::Etc::sourcelist": f"{root}/sources.list",
            "Dir::Etc::sourceparts": f"{root}/parts",
        }
        text = "".join(f'{key} "{value}";\n' for key, value in settings.items())
        (root / "apt.conf").write_text(text, encoding="utf-8")
        yield _Apt(root)


def _mirror() -> str:
    """Where Debian's archive is, up to its last folder."""
    named = os.environ.get(_MIRROR)
    if named:
        return named.rstrip("/")
    with suppress(OSError):
        command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
        printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        for uri in printed.split():
            if re.search(r"/debian/?$", uri):
                return uri.rstrip("/")
    raise KernelError(f"this machine's apt has no source of Debian; name a mirror in {_MIRROR}")

"""The release of a kernel, from its number or from what ``uname`` and distributions call it."""

import os
import re
from dataclasses import dataclass, field
from functools import total_ordering
from pathlib import Path

__all__ = ["Release", "here", "release"]

_NUMBER = re.compile(
    r"v?(\d{1,3})\.(\d{1,4})(?:\.(\d{1,5})(?:\.\d+)?)?(?:-rc(\d{1,3}))?(?P<rest>(?:[-+_~ ].*)?)", re.ASCII
)
#: What tells the stable release behind a name that does not: ``uname -v`` of Debian, ``/proc/version_signature`` of
#: Ubuntu.
_TOLD = re.compile(r"\bDebian (\d+\.\d+\.\d+(?:~rc\d+)?)-\d|\bUbuntu \S+ (\d+\.\d+\.\d+)\b", re.ASCII)
#: A package's own number behind ``X.Y.0``: ``6.1.0-37-arm64``, ``6.8.0-1020-aws``, ``5.14.0-503.el9.aarch64``.
_PACKAGE = re.compile(r"-\d")
_SIGNATURE = Path("/proc/version_signature")


@total_ordering
@dataclass(frozen=True, slots=True)
class Release:
    """A release of the mainline (``7.2``, ``7.3-rc1``) or of a stable series (``6.6.87``). They are ordered."""

    major: int
    minor: int
    #: Of the stable series; 0 for the mainline.
    patch: int = 0
    #: Of the mainline, before its release; 0 for a release.
    rc: int = 0
    #: Whether :attr:`patch` is what the kernel has: False where a distribution's name hides it, and it is 0 here.
    known: bool = field(default=True, compare=False)
    #: What a name had behind the number.
    suffix: str = field(default="", compare=False)

    @property
    def series(self) -> str:
        """``6.6`` of ``6.6.87``."""
        return f"{self.major}.{self.minor}"

    @property
    def is_stable(self) -> bool:
        """Whether it is one of a stable series, not of the mainline."""
        return self.patch > 0

    @property
    def _key(self) -> tuple[int, int, int, float]:
        return self.major, self.minor, self.patch, self.rc or float("inf")

    def __lt__(self, other: "Release") -> bool:
        """Whether it is an older number: ``6.8-rc1`` is older than ``6.8``, and that than ``6.8.1``."""
        return self._key < other._key

    def __str__(self) -> str:
        """``6.6.87``, ``7.2``, ``7.3-rc1``."""
        return self.series + (f".{self.patch}" if self.patch else "") + (f"-rc{self.rc}" if self.rc else "")


def release(text: str) -> Release:
    """The release that a number (``6.6.87``, ``v7.3-rc1``) or a name (what ``uname -r`` or ``-a`` prints) tells.

    Of a name, the stable release that Debian and Ubuntu add to it counts, if it is there. Raises ``ValueError`` for
    what is none.
    """
    name = " ".join(str(text).split())
    told = _TOLD.search(name)
    if told:
        major, minor, patch = (int(part) for part in re.findall(r"\d+", told[1] or told[2])[:3])
        return Release(major, minor, patch, suffix=name)
    # 'uname -a' begins with the system's and the host's name.
    first = re.sub(r"^Linux (?:version )?(?:\S+ (?=v?\d))?", "", name)
    match = _NUMBER.fullmatch(first)
    if match is None or not name.isprintable():
        raise ValueError(f"kernel: {name[:60]!r} is no release such as 6.6.87 or 7.3-rc1, nor what uname -r prints")
    major, minor, patch, rc = (int(part or 0) for part in match.groups()[:4])
    rest = match["rest"]
    hidden = patch == 0 and not rc and match[3] is not None and _PACKAGE.match(rest) is not None
    return Release(major, minor, patch, rc, known=not hidden, suffix=rest.strip())


def here() -> str:
    """What this machine tells of its kernel: ``uname -r``, and what the distribution adds to it, if it does."""
    told = os.uname()
    if told.sysname != "Linux":
        raise ValueError(f"kernel-here: this is {told.sysname}, not Linux")
    try:
        more = _SIGNATURE.read_text(encoding="utf-8", errors="replace")
    except OSError:
        more = told.version
    return f"{told.release} {more}".strip()

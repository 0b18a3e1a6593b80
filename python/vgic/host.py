"""The machine that this runs on: which CPU, in which cloud or board, and which shipped profile it looks like.

Everything is read from ``/proc`` and ``/sys``; what the facts mean stands in ``host.toml``. x86 names its CPU. Arm
gives numbers, the implementer and the part of MIDR_EL1, which name a core; the same core is in chips of several makers,
and DMI or the device tree tell them apart. What cannot be read or told is None.
"""

import os
import platform
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

__all__ = ["Core", "Host", "host_text", "profile_text", "this_host"]

_DMI = ("sys_vendor", "product_name", "board_vendor", "board_name", "chassis_asset_tag")
#: More than /proc/cpuinfo has for thousands of CPUs.
_LONGEST = 1 << 24


@dataclass(frozen=True, slots=True)
class Core:
    """CPUs of one kind of Arm core, as MIDR_EL1 has it (Arm Architecture Reference Manual)."""

    #: Maker and name; hexadecimal ids if they are not known.
    name: str
    #: How many CPUs are of this kind.
    count: int
    implementer: int
    part: int
    variant: int
    revision: int


@dataclass(frozen=True, slots=True)
class Host:
    """What is known of this machine. Made by :func:`this_host`."""

    #: In a few words: the chip and its core, each kind of core, or the model's name on x86.
    cpu: str
    #: Empty on x86.
    cores: tuple[Core, ...]
    #: The cloud with the kind of instance, or who made it and what it is.
    place: str | None
    #: Nodes of memory.
    numa_nodes: int | None
    #: Bytes of a page of memory.
    page_size: int
    #: Whether Arm's atomic instructions (FEAT_LSE) are there; None on x86.
    lse: bool | None
    #: Whether it is a virtual machine.
    virtual: bool | None
    #: Name of the shipped machine (:func:`vgic.machines`) that it looks like.
    profile: str | None

    def to_dict(self) -> dict[str, Any]:
        """As written into a result file."""
        return {**asdict(self), "cores": [asdict(core) for core in self.cores]}


def this_host(root: str | Path = "/") -> Host:
    """What ``proc`` and ``sys`` below a folder tell. Never raises: what is missing or makes no sense is not known."""
    root = Path(root)
    lines = _cpuinfo(root)
    cores = _cores(lines) or _cores_of_midr(root)
    names = list(dict.fromkeys(core.name for core in cores))
    facts = {**_facts(root), "core": ", ".join(names), "model_name": lines.get("model name", [""])[0]}
    place, chip = _first("place", facts), _first("chip", facts)
    flags, features = (lines.get(key, [""])[0].split() for key in ("flags", "Features"))
    return Host(
        cpu=_cpu(chip.get("name"), cores, facts["model_name"]),
        cores=cores,
        place=_place(place.get("name"), facts),
        numa_nodes=sum(bool(re.fullmatch(r"node\d+", name)) for name in _names(root, "sys/devices/system/node"))
        or None,
        page_size=os.sysconf("SC_PAGE_SIZE"),
        lse="atomics" in features if features and cores else None,
        virtual="hypervisor" in flags if flags and not cores else place.get("virtual"),
        profile=chip.get("profile"),
    )


def host_text(machine: Mapping[str, Any]) -> str:
    """The ``machine`` of a result file in one line; those of older files say less."""
    parts = [str(machine["cpu"])]
    if (cpus := machine.get("cpus")) is not None:
        parts.append(f"{cpus} CPU{'s' if cpus != 1 else ''}")
    if (nodes := machine.get("numa_nodes")) is not None:
        parts.append(f"{nodes} NUMA node{'s' if nodes != 1 else ''}")
    if (page := machine.get("page_size")) is not None:
        parts.append(f"pages of {page / 1024:g} KiB")
    if (lse := machine.get("lse")) is not None:
        in_place = machine.get("atomics_in_place")
        how = " in place" if in_place is True else " by calls" if in_place is False else ""
        parts.append(f"LSE atomics{how}" if lse else "no LSE atomics")
    if (virtual := machine.get("virtual")) is not None:
        parts.append("virtual" if virtual else "not virtual")
    if (place := machine.get("place")) is not None:
        parts.append(str(place))
    return ", ".join(parts)


def profile_text(machine: Mapping[str, Any]) -> str:
    """Which shipped profile the ``machine`` of a result file looks like, in one line; empty if none."""
    name = machine.get("profile")
    return f"This looks like {name}: compare 'vgic predict --machine {name}'." if name else ""


def _read(root: Path, name: str) -> str:
    """A file's text without its end; strings of the device tree end in a zero byte each."""
    try:
        with (root / name).open("rb") as file:
            return file.read(_LONGEST).decode(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""


def _names(root: Path, folder: str) -> list[str]:
    try:
        return [path.name for path in (root / folder).iterdir()]
    except OSError:
        return []


def _cpuinfo(root: Path) -> dict[str, list[str]]:
    """Each key's values, a value a CPU."""
    found: dict[str, list[str]] = {}
    for line in _read(root, "proc/cpuinfo").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip(), []).append(value.strip())
    return found


def _cores(lines: Mapping[str, Sequence[str]]) -> tuple[Core, ...]:
    keys = ("CPU implementer", "CPU part", "CPU variant", "CPU revision")
    try:
        rows = [[int(value, 0) for value in lines.get(key, ())] for key in keys]
    except ValueError:
        return ()
    return _counted(list(zip(*rows, strict=False)))


def _cores_of_midr(root: Path) -> tuple[Core, ...]:
    folder = "sys/devices/system/cpu"
    found = []
    for name in sorted(name for name in _names(root, folder) if re.fullmatch(r"cpu\d+", name)):
        text = _read(root, f"{folder}/{name}/regs/identification/midr_el1")
        try:
            midr = int(text, 16)
        except ValueError:
            continue
        found.append((midr >> 24 & 0xFF, midr >> 4 & 0xFFF, midr >> 20 & 0xF, midr & 0xF))
    return _counted(found)


def _counted(rows: Sequence[tuple[int, ...]]) -> tuple[Core, ...]:
    return tuple(
        Core(_core_name(implementer, part), count, implementer, part, variant, revision)
        for (implementer, part, variant, revision), count in Counter(rows).items()
    )


def _core_name(implementer: int, part: int) -> str:
    maker, number = f"{implementer:#04x}", f"{part:#05x}"
    name = _table()["core"].get(maker, {}).get(number)
    known = _table()["maker"].get(maker)
    if name and known:
        return name if name.startswith(known) else f"{known} {name}"
    return f"{known or f'implementer {maker}'} part {number}"


def _cpu(chip: str | None, cores: Sequence[Core], model_name: str) -> str:
    kinds: Counter[str] = Counter()
    for core in cores:
        kinds[core.name] += core.count
    if chip:
        return f"{chip} ({', '.join(kinds)})" if kinds else chip
    if len(kinds) > 1:
        return ", ".join(f"{count} x {name}" for name, count in kinds.items())
    return next(iter(kinds), model_name) or platform.processor() or platform.machine()


def _facts(root: Path) -> dict[str, str]:
    return {
        **{field: _read(root, f"sys/class/dmi/id/{field}") for field in _DMI},
        "model": _read(root, "proc/device-tree/model"),
        "compatible": _read(root, "proc/device-tree/compatible"),
        "hypervisor": _read(root, "proc/device-tree/hypervisor/compatible") or _read(root, "sys/hypervisor/type"),
        "domain": _read(root, "proc/xen/capabilities"),
        "soc": _read(root, "sys/devices/soc0/soc_id"),
    }


def _place(name: str | None, facts: Mapping[str, str]) -> str | None:
    maker, product = facts["sys_vendor"], facts["product_name"]
    made = product if product.startswith(maker) else f"{maker} {product}"
    text = name.format_map(facts) if name else made or facts["model"]
    return " ".join(text.split()) or None


def _first(kind: str, facts: Mapping[str, str]) -> dict[str, Any]:
    """The first entry of the table that the facts fit, or an empty one."""
    for entry in _table()[kind]:
        if all(re.match(pattern, facts[fact]) for fact, pattern in entry["where"].items()):
            found: dict[str, Any] = entry
            return found
    return {}


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files("vgic").joinpath("host.toml").read_text(encoding="utf-8"))

"""Register values in a text: what says where an ITS's tables are.

Registers are not in memory, so somebody has to give them. People have them in many forms, and each is found by its
name, wherever it stands in a line: ``GITS_BASER0 = 0x...`` of a log or a VMM's own dump of registers, ``baser = {0x...,
0x...}`` of gdb in QEMU, a ``SavedState``; and where no register can be read, the lines with which Linux tells what it
has allocated.
"""

import re
from dataclasses import dataclass, field

from vgic.registers import INDIRECT, VALID

__all__ = ["Registers", "registers_of"]


@dataclass
class Registers:
    """Values of the registers that name tables; None for one that is not known."""

    cbaser: int | None = None
    baser0: int | None = None
    baser1: int | None = None
    propbaser: int | None = None
    #: GICR_PENDBASER of each vCPU, by number.
    pendbaser: dict[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether any is known."""
        return bool(self.pendbaser) or any(
            value is not None for value in (self.cbaser, self.baser0, self.baser1, self.propbaser)
        )


_VALUE = r"(0x[0-9a-f]+|[0-9]+)\b"
#: Of an array as gdb prints it, the values in braces are those of registers 0, 1, ...
_NAMED = re.compile(
    rf"\b(?:GITS_)?(?P<its>CBASER|BASER[<\[]?(?P<number>[0-7])[>\]]?)\W+(?P<value>{_VALUE})"
    rf"|\b(?:GITS_)?BASER\W*=\s*{{(?P<array>[^}}]*)"
    rf"|\b(?:GICR[_\[]?(?P<vcpu>\d+)?\]?_)?(?P<redistributor>PROPBASER|PENDBASER)\W+(?P<other>{_VALUE})",
    re.IGNORECASE,
)
#: "ITS@0x8080000: allocated 8192 Devices @4a000000 (indirect, esz 8, psz 64K, shr 1)"
_LINUX_TABLE = re.compile(
    r"ITS@\w+: allocated (?P<count>\d+) (?P<kind>Devices|Interrupt Collections) @(?:0x)?(?P<address>[0-9a-f]+) "
    r"\((?P<levels>flat|indirect), esz (?P<entry>\d+), psz (?P<page>4|16|64)K"
)
#: "GICv3: CPU1: using allocated LPI pending table @0x0000000043510000"
_LINUX_LPIS = re.compile(r"using \w*\s?LPI (?P<kind>property|pending) table @0x(?P<address>[0-9a-f]+)")
_LINUX_CPU = re.compile(r"\bCPU(\d+): using")
_PAGE_SIZE_FIELD = {"4": 0, "16": 1, "64": 2}
#: Linux has INTIDs of 16 bits at most.
_LINUX_ID_BITS = 15


def registers_of(text: str) -> Registers:
    """The registers that a text names; the last value of each counts.

    GICR_PENDBASER without a vCPU's number is that of the next one. Raises ``ValueError`` for a value of more than 64
    bits, and if there is none at all.
    """
    found = Registers()
    following = 0
    for line in text.splitlines():
        if (table := _LINUX_TABLE.search(line)) is not None:
            _linux_table(found, table)
        elif (table := _LINUX_LPIS.search(line)) is not None:
            address = _number(table["address"], 16)
            if table["kind"] == "property":
                found.propbaser = address | _LINUX_ID_BITS
            else:
                cpu = _LINUX_CPU.search(line)
                found.pendbaser[int(cpu[1]) if cpu else following] = address
        else:
            for match in _NAMED.finditer(line):
                following = _named(found, match, following)
    if not found:
        raise ValueError("no register is named: GITS_CBASER, GITS_BASER0, GITS_BASER1, GICR_PROPBASER, GICR_PENDBASER")
    return found


def _number(text: str, base: int = 0) -> int:
    value = int(text, base) if text.lower().startswith("0x") or base else int(text)
    if value >> 64:
        raise ValueError(f"{text} has more than 64 bits")
    return value


def _named(found: Registers, match: re.Match[str], following: int) -> int:
    """Keep a value; which vCPU a GICR_PENDBASER without number is of, after it."""
    if match["its"]:
        value = _number(match["value"])
        if match["number"] is None:
            found.cbaser = value
        elif match["number"] in "01":
            setattr(found, f"baser{match['number']}", value)
    elif match["array"] is not None:
        for number, value_text in enumerate(re.findall(_VALUE, match["array"], re.IGNORECASE)[:2]):
            setattr(found, f"baser{number}", _number(value_text))
    elif match["redistributor"].upper() == "PROPBASER":
        found.propbaser = _number(match["other"])
    else:
        vcpu = following if match["vcpu"] is None else int(match["vcpu"])
        found.pendbaser[vcpu] = _number(match["other"])
        return vcpu + 1
    return following


def _linux_table(found: Registers, table: re.Match[str]) -> None:
    """A GITS_BASER<n> from what Linux has allocated: as many entries as fit into whole pages."""
    size = int(table["count"]) * (8 if table["levels"] == "indirect" else int(table["entry"]))
    pages = max(1, size // (int(table["page"]) << 10))
    address = _number(table["address"], 16)
    value = VALID | (INDIRECT if table["levels"] == "indirect" else 0) | _PAGE_SIZE_FIELD[table["page"]] << 8
    value |= min(pages, 256) - 1
    if table["page"] == "64":  # Bits 51:48 of the address are in 15:12.
        address = address & 0xFFFF_FFFF_0000 | (address >> 48 & 0xF) << 12
    value |= address & 0xFFFF_FFFF_F000
    if table["kind"] == "Devices":
        found.baser0 = value
    else:
        found.baser1 = value

"""``vgic its decode`` on dumps that QEMU itself has written, of tables that its own ITS keeps."""

import json

import layout
import pytest
from layout import REGISTERS, Setup
from machines import QemuMachine
from operations import Batch, Command
from oracle_guest import Guest

from vgic.cli import main
from vgic.conformance.qtest import VCPUS


@pytest.fixture(params=[False, True], ids=["flat", "indirect"])
def guest(qemu, request):
    """One that has mapped two devices; LPIs 8193 and 8200 are pending."""
    guest = Guest([QemuMachine(qemu)], Setup(indirect=request.param))
    guest.do(
        Batch(
            tuple(
                Command(name, operands)
                for name, operands in [
                    ("mapc", (0, 0, 1)),
                    ("mapc", (3, 2, 1)),
                    ("mapd", (0x18, 5, 1)),
                    ("mapd", (layout.ENTRIES - 1, 2, 1)),
                    ("mapti", (0x18, 1, 8193, 3)),
                    ("mapti", (0x18, 31, 8194, 0)),
                    ("mapti", (layout.ENTRIES - 1, 3, 8200, 0)),
                    ("int", (0x18, 1)),
                    ("int", (layout.ENTRIES - 1, 3)),
                ]
            )
        )
    )
    return guest


@pytest.fixture
def registers(guest, tmp_path):
    """Their values as QEMU has them, in a text."""
    names = ["GITS_CBASER", "GITS_BASER0", "GITS_BASER1", "GICR0_PROPBASER"]
    names += [f"GICR{n}_PENDBASER" for n in range(VCPUS)]
    values = guest.machines[0].registers([name for name in names if name in REGISTERS])
    path = tmp_path / "registers.txt"
    path.write_text("".join(f"{name} = {value:#x}\n" for name, value in values.items()))
    return str(path)


def test_an_elf_core_of_qemu(qemu, guest, registers, tmp_path, capsys):
    qemu.dump(tmp_path / "core")
    arguments = ["its", "decode", str(tmp_path / "core"), "--registers", registers, "--format", "qemu"]
    assert main([*arguments, "--tree", "--json", "-"]) == 0
    shown = capsys.readouterr()
    data = json.loads(shown.out)
    assert (shown.err, data["remarks"]) == ("", [])
    found = {
        (device["device_id"], event["event_id"]): (event["intid"], event["vcpu"], event["enabled"], event["pending"])
        for device in data["devices"]
        for event in device["events"]
    }
    assert found == {
        (0x18, 1): (8193, 2, True, [2]),
        (0x18, 31): (8194, 0, True, []),
        (layout.ENTRIES - 1, 3): (8200, 0, True, [0]),
    }
    assert data["collections"] == [{"collection_id": 0, "vcpu": 0}, {"collection_id": 3, "vcpu": 2}]
    assert data["pending"] == [{"vcpu": n, "intids": {0: [8200], 2: [8193]}.get(n, [])} for n in range(VCPUS)]

    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    (word,) = [line for line in lines if "  8194  " in line]
    # The valid bit, a physical interrupt, the INTID from bit 2 on; then the doorbell's word.
    assert word.split()[1:] == [f"{8194 << 2 | 3:016x}", f"{0x3FF:016x}", "24", "31", "8194", "0", "-"]


def test_pmemsave(qemu, guest, registers, tmp_path, capsys):
    qemu.save(tmp_path / "raw", layout.TABLES, layout.RAM_END - layout.TABLES)
    arguments = ["--base", hex(layout.TABLES), "--registers", registers, "--format", "qemu", "--tree"]
    assert main(["its", "decode", str(tmp_path / "raw"), *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "event 1: LPI 8193, collection 3 on vCPU 2, priority 0xa0, enabled, pending\n" in shown.out

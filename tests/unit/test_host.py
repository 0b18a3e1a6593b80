"""What this machine is, from folders that look like ``/proc`` and ``/sys`` of known ones."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import vgic
from vgic.host import _table, host_text, profile_text, this_host

_LSE = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm"
_NO_LSE = "fp asimd evtstrm crc32 cpuid"
_DMI = "sys/class/dmi/id"


def arm(*kinds: tuple[int, int, int], features: str = _LSE) -> str:
    """/proc/cpuinfo of so many CPUs of each implementer and part."""
    cpus = [(implementer, part) for count, implementer, part in kinds for _ in range(count)]
    return "\n".join(
        f"processor\t: {number}\nBogoMIPS\t: 243.75\nFeatures\t: {features}\nCPU implementer\t: {implementer:#04x}\n"
        f"CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: {part:#05x}\nCPU revision\t: 1\n"
        for number, (implementer, part) in enumerate(cpus)
    )


def x86(model_name: str, flags: str) -> str:
    return f"processor\t: 0\nmodel name\t: {model_name}\nflags\t\t: fpu vme {flags}\n\nprocessor\t: 1\n"


def dmi(sys_vendor: str, product_name: str, **others: str) -> dict[str, str]:
    fields = {"sys_vendor": sys_vendor, "product_name": product_name, **others}
    return {f"{_DMI}/{name}": f"{value}\n" for name, value in fields.items()}


def tree(root: Path, cpuinfo: str | None, files: Mapping[str, str] | None = None, nodes: int = 1) -> Path:
    for name, text in {"proc/cpuinfo": cpuinfo, **(files or {})}.items():
        if text is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
    for node in range(nodes):
        (root / f"sys/devices/system/node/node{node}").mkdir(parents=True)
    (root / "sys/devices/system/node/possible").parent.mkdir(parents=True, exist_ok=True)
    (root / "sys/devices/system/node/possible").write_text("0\n", encoding="utf-8")
    return root


N1, V1, V2, TSV110 = (0x41, 0xD0C), (0x41, 0xD40), (0x41, 0xD4F), (0x48, 0xD01)
ORACLE = dmi("QEMU", "KVM Virtual Machine", chassis_asset_tag="OracleCloud.com")
AZURE = dmi("Microsoft Corporation", "Virtual Machine", chassis_asset_tag="7783-7084-3265-9085-8269-3286-77")
GOOGLE = dmi("Google", "Google Compute Engine")
GRACE = {**dmi("Acme", "GB"), "sys/devices/soc0/soc_id": "jep106:036b:0241\n"}
#: name -> cpuinfo, other files, and what is seen: cpu, place, virtual, profile.
KNOWN: dict[str, tuple[str, dict[str, str], tuple[str, str | None, bool | None, str | None]]] = {
    "graviton": (
        arm((2, 0x41, 0xD08), features=_NO_LSE),
        dmi("Amazon EC2", "a1.large"),
        ("AWS Graviton (Arm Cortex-A72)", "Amazon EC2 a1.large", True, None),
    ),
    "graviton2": (
        arm((16, *N1)),
        dmi("Amazon EC2", "m6g.4xlarge"),
        ("AWS Graviton2 (Arm Neoverse N1)", "Amazon EC2 m6g.4xlarge", True, "graviton2"),
    ),
    "graviton2-metal": (
        arm((64, *N1)),
        dmi("Amazon EC2", "m6g.metal"),
        ("AWS Graviton2 (Arm Neoverse N1)", "Amazon EC2 m6g.metal", False, "graviton2"),
    ),
    "graviton3": (
        arm((32, *V1)),
        dmi("Amazon EC2", "c7g.8xlarge"),
        ("AWS Graviton3 (Arm Neoverse V1)", "Amazon EC2 c7g.8xlarge", True, "graviton3"),
    ),
    "graviton4": (
        arm((2, *V2)),
        dmi("Amazon EC2", "r8g.metal-24xl"),
        ("AWS Graviton4 (Arm Neoverse V2)", "Amazon EC2 r8g.metal-24xl", False, None),
    ),
    "altra-oracle": (arm((4, *N1)), ORACLE, ("Ampere Altra (Arm Neoverse N1)", "Oracle Cloud", True, "altra-80")),
    "altra-oracle-metal": (
        arm((160, *N1)),
        dmi("GIGABYTE", "R282", chassis_asset_tag="OracleCloud.com"),
        ("Ampere Altra (Arm Neoverse N1)", "Oracle Cloud", None, "altra-80"),
    ),
    "altra-azure": (arm((4, *N1)), AZURE, ("Ampere Altra (Arm Neoverse N1)", "Microsoft Azure", True, "altra-80")),
    "altra-google": (
        arm((4, *N1)),
        GOOGLE,
        ("Ampere Altra (Arm Neoverse N1)", "Google Compute Engine", True, "altra-80"),
    ),
    "altra-soc": (
        arm((4, *N1)),
        {"sys/devices/soc0/soc_id": "jep106:0a16:0001\n"},
        ("Ampere Altra (Arm Neoverse N1)", None, None, "altra-80"),
    ),
    "altra-board": (
        arm((4, *N1)),
        dmi("GIGABYTE", "R152-P31-00"),
        ("Ampere Altra (Arm Neoverse N1)", "GIGABYTE R152-P31-00", False, "altra-80"),
    ),
    "n1-of-nobody": (arm((4, *N1)), {}, ("Arm Neoverse N1", None, None, None)),
    "cobalt": (arm((4, 0x6D, 0xD49)), AZURE, ("Microsoft Cobalt 100", "Microsoft Azure", True, None)),
    "axion": (arm((4, *V2)), GOOGLE, ("Google Axion (Arm Neoverse V2)", "Google Compute Engine", True, None)),
    "grace": (arm((4, *V2)), GRACE, ("NVIDIA Grace (Arm Neoverse V2)", "Acme GB", None, None)),
    "ampereone": (arm((4, 0xC0, 0xAC3)), {}, ("AmpereOne (Ampere-1)", None, None, None)),
    "kunpeng": (
        arm((96, *TSV110)),
        dmi("Huawei", "TaiShan 200 (Model 2280)"),
        ("Kunpeng 920 (HiSilicon TSV110)", "Huawei TaiShan 200 (Model 2280)", False, "kunpeng920"),
    ),
    "apple-m1": (
        arm((4, 0x61, 0x022), (4, 0x61, 0x023)),
        {
            "proc/device-tree/model": "Apple Mac mini (M1, 2020)\0",
            "proc/device-tree/compatible": "apple,j274\0apple,t8103\0apple,arm-platform\0",
        },
        ("4 x Apple M1 Icestorm, 4 x Apple M1 Firestorm", "Apple Mac mini (M1, 2020)", False, None),
    ),
    "raspberry-pi-4": (
        arm((4, 0x41, 0xD08), features=_NO_LSE),
        {"proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0"},
        ("BCM2711 (Arm Cortex-A72)", "Raspberry Pi 4 Model B Rev 1.4", False, None),
    ),
    "qemu-virt-a57": (
        arm((2, 0x41, 0xD07), features=_NO_LSE),
        {"proc/device-tree/model": "linux,dummy-virt\0", "proc/device-tree/compatible": "linux,dummy-virt\0"},
        ("Arm Cortex-A57", "virtual board linux,dummy-virt", True, None),
    ),
    "qemu-virt-max": (
        arm((2, 0x00, 0x051)),
        dmi("QEMU", "QEMU Virtual Machine"),
        ("QEMU max", "QEMU Virtual Machine", True, None),
    ),
    "xen-guest": (arm((2, *N1)), {"sys/hypervisor/type": "xen\n"}, ("Arm Neoverse N1", None, True, None)),
    "xen-domain-0": (
        arm((2, *N1)),
        {"sys/hypervisor/type": "xen\n", "proc/xen/capabilities": "control_d\n"},
        ("Arm Neoverse N1", None, None, None),
    ),
    "kvm-by-device-tree": (
        arm((2, *N1)),
        {"proc/device-tree/hypervisor/compatible": "linux,kvm\0"},
        ("Arm Neoverse N1", None, True, None),
    ),
    "other-board": (
        arm((2, 0x41, 0xD03)),
        {"proc/device-tree/model": "Some Board\0"},
        ("Arm Cortex-A53", "Some Board", None, None),
    ),
    "amd-in-a-vm": (
        x86("AMD EPYC", "sse2 hypervisor lahf_lm"),
        dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)"),
        ("AMD EPYC", "QEMU Standard PC (Q35 + ICH9, 2009)", True, None),
    ),
    "x86-without-dmi": (x86("Intel(R) Xeon(R) Gold", "sse2"), {}, ("Intel(R) Xeon(R) Gold", None, False, None)),
    "epyc-7r13": (
        x86("AMD EPYC 7R13 Processor", "sse2 hypervisor"),
        dmi("Amazon EC2", "m6a.large"),
        ("AMD EPYC 7R13 Processor", "Amazon EC2 m6a.large", True, "epyc-7r13"),
    ),
    "unknown-part": (arm((1, 0x41, 0xFFF)), {}, ("Arm part 0xfff", None, None, None)),
    "unknown-implementer": (arm((1, 0x99, 0x00A)), {}, ("implementer 0x99 part 0x00a", None, None, None)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_machine_is_named(name: str, tmp_path: Path):
    cpuinfo, files, seen = KNOWN[name]
    host = this_host(tree(tmp_path, cpuinfo, files, nodes=2))
    assert (host.cpu, host.place, host.virtual, host.profile) == seen
    assert (host.numa_nodes, host.page_size) == (2, os.sysconf("SC_PAGE_SIZE"))
    assert host.lse is (None if "model name" in cpuinfo else "atomics" in cpuinfo)
    assert sum(core.count for core in host.cores) == cpuinfo.count("CPU part")


def test_cores_have_their_ids_and_how_many_there_are(tmp_path: Path):
    little, big = this_host(tree(tmp_path, arm((4, 0x41, 0xD05), (2, 0x41, 0xD41)))).to_dict()["cores"]
    assert little == {
        "name": "Arm Cortex-A55",
        "count": 4,
        "implementer": 0x41,
        "part": 0xD05,
        "variant": 3,
        "revision": 1,
    }
    assert (big["name"], big["count"]) == ("Arm Cortex-A78", 2)


def test_midr_stands_in_for_cpuinfo(tmp_path: Path):
    folder = "sys/devices/system/cpu"
    files = {
        f"{folder}/cpu{cpu}/regs/identification/midr_el1": text
        for cpu, text in enumerate(["0x00000000413fd0c1\n", "0x00000000413fd0c1\n", "not a number\n"])
    }
    host = this_host(tree(tmp_path, None, {**files, **dmi("Amazon EC2", "m6g.large")}))
    assert host.cpu == "AWS Graviton2 (Arm Neoverse N1)"
    [core] = host.cores
    assert (core.count, core.implementer, core.part, core.variant, core.revision) == (2, 0x41, 0xD0C, 3, 1)
    assert host.lse is None


@pytest.mark.parametrize(
    "cpuinfo",
    [
        None,
        "",
        "\n:\n::::\nno colon\n",
        "CPU implementer: \nCPU part: zz\nCPU variant: 0x3\nCPU revision: 1\n",
        "CPU implementer: 0x41\n",
        "model name\t:\nflags\t:\n",
        "\ud800 \0 \x1b",
    ],
)
def test_what_makes_no_sense_is_not_known(cpuinfo: str | None, tmp_path: Path):
    if cpuinfo is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc/cpuinfo").write_bytes(cpuinfo.encode(errors="surrogatepass"))
    host = this_host(tmp_path)
    assert host.cpu
    assert (host.cores, host.place, host.numa_nodes, host.lse, host.virtual, host.profile) == (
        (),
        *(None, None, None, None, None),
    )


def test_a_file_that_cannot_be_read_is_as_if_it_was_not_there(tmp_path: Path):
    for name in ("proc/cpuinfo", f"{_DMI}/sys_vendor", "proc/device-tree/model"):
        (tmp_path / name).mkdir(parents=True)  # A folder cannot be read as a file, by root either.
    (tmp_path / "sys/devices/system").mkdir(parents=True)
    (tmp_path / "sys/devices/system/node").write_text("no folder", encoding="utf-8")
    assert this_host(tmp_path) == this_host(tmp_path / "nothing")


def test_this_machine_is_named():
    assert this_host().cpu


def test_the_table_is_sound():
    table = _table()
    assert set(table["core"]) <= set(table["maker"])
    for maker, parts in table["core"].items():
        assert re.fullmatch("0x[0-9a-f]{2}", maker)
        assert all(re.fullmatch("0x[0-9a-f]{3}", part) for part in parts), maker
    facts = {"sys_vendor", "product_name", "chassis_asset_tag", "model", "compatible", "hypervisor", "domain", "soc"}
    for kind, more in (("place", {"virtual"}), ("chip", {"profile"})):
        for entry in table[kind]:
            assert set(entry) <= {"name", "where", *more}, entry
            assert set(entry["where"]) <= facts | ({"core", "model_name"} if kind == "chip" else set()), entry
            for pattern in entry["where"].values():
                re.compile(pattern)
    assert {entry["profile"] for entry in table["chip"] if "profile" in entry} <= set(vgic.machines())


def test_the_line_about_a_machine():
    new: dict[str, Any] = {
        "cpu": "AWS Graviton2 (Arm Neoverse N1)",
        "cpus": 16,
        "numa_nodes": 1,
        "page_size": 65536,
        "lse": True,
        "virtual": True,
        "place": "Amazon EC2 m6g.4xlarge",
        "profile": "graviton2",
    }
    assert host_text(new) == (
        "AWS Graviton2 (Arm Neoverse N1), 16 CPUs, 1 NUMA node, pages of 64 KiB, LSE atomics, virtual, "
        "Amazon EC2 m6g.4xlarge"
    )
    assert profile_text(new) == "This looks like graviton2: compare 'vgic predict --machine graviton2'."
    old = {"cpu": "AMD EPYC", "cpus": 1, "architecture": "x86_64", "kernel": "Linux 6.1", "python": "CPython 3.13"}
    assert (host_text(old), profile_text(old)) == ("AMD EPYC, 1 CPU", "")
    unknown = {"cpu": "x", "cpus": 2, "numa_nodes": 2, "page_size": 4096, "lse": False, "virtual": None, "place": "y"}
    assert host_text(unknown) == "x, 2 CPUs, 2 NUMA nodes, pages of 4 KiB, no LSE atomics, y"
    assert host_text({"cpu": "x", "virtual": False}) == "x, not virtual"

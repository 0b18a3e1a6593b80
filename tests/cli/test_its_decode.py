"""``vgic its decode``: dumps of saved VMs, and of anything else."""

import json
import os
import pty
import random
import subprocess
import sys

import pytest

import vgic
from cores import core
from vgic.its import encode

RAM, SIZE = 0x4000_0000, 2 << 20
QUEUE, DEVICES, COLLECTIONS, CONFIG, PENDING = RAM, RAM + 0x1_0000, RAM + 0x2_0000, RAM + 0x3_0000, RAM + 0x4_0000
VALID, INDIRECT = 1 << 63, 1 << 62

COMMANDS = (
    encode("MAPC", collection_id=7, vcpu=1, valid=True),
    encode("MAPC", collection_id=0, vcpu=0, valid=True),
    encode("MAPD", device_id=24, event_bits=5, itt_address=0x4010_0100, valid=True),
    encode("MAPD", device_id=24581, event_bits=16, itt_address=0x4011_0000, valid=True),
    encode("MAPTI", device_id=24, event_id=31, intid=65535, collection_id=7),
    encode("MAPTI", device_id=24581, event_id=4, intid=9000, collection_id=8191),  # known, not mapped
)


def saved(*, indirect):
    """RAM of a VM that was saved, and the options for its registers."""
    ram = bytearray(SIZE)
    vm = vgic.Vm(2, memory=vgic.GuestMemory({RAM: ram}))
    pages = {0: 0x4019_0000, 3: 0x401A_0000}
    baser0 = VALID | 0x4019_0000 | 3  # four pages: 32768 devices
    its = vm.its[0].frame
    if indirect:
        baser0 = VALID | INDIRECT | DEVICES
        for page, address in pages.items():
            vm.memory.write_u64(DEVICES + 8 * page, VALID | address)
    for n, vcpu in enumerate(vm.vcpu):
        vcpu.frame.set(0x70, CONFIG | 15)
        vcpu.frame.set(0x78, PENDING + n * 0x1_0000)
        vcpu.frame.set(0x00, 1)
    its.set(0x80, VALID | QUEUE | 15)
    its.set(0x100, baser0)
    its.set(0x108, VALID | COLLECTIONS)
    its.set(0x00, 1)
    vm.memory.write(QUEUE, b"".join(COMMANDS))
    its.write(0x88, 8, 32 * len(COMMANDS))
    assert its.errors == {}
    registers = vm.save().its[0]
    options = [f"--{name[5:].lower()}={registers[name]:#x}" for name in ("GITS_CBASER", "GITS_BASER0", "GITS_BASER1")]
    return bytes(ram), [f"--base={RAM:#x}", *options]


@pytest.fixture
def dump(tmp_path):
    ram, options = saved(indirect=False)
    (tmp_path / "ram.bin").write_bytes(ram)
    return ["its", "decode", "ram.bin", *options]


FLAT = """\
Command queue at 0x40000000
address     command
0x40000000  MAPC    collection_id=7 vcpu=1 valid=1
0x40000020  MAPC    collection_id=0 vcpu=0 valid=1
0x40000040  MAPD    device_id=24 event_bits=5 itt_address=0x40100100 valid=1
0x40000060  MAPD    device_id=24581 event_bits=16 itt_address=0x40110000 valid=1
0x40000080  MAPTI   device_id=24 event_id=31 intid=65535 collection_id=7
0x400000a0  MAPTI   device_id=24581 event_id=4 intid=9000 collection_id=8191

Collection table at 0x40020000
address                 word  collection        vCPU
0x40020000  8000000000010007           7           1
0x40020008  8000000000000000           0           0
0x40020010  8000ffffffff1fff        8191  not mapped

Device table at 0x40190000
address                 word  DeviceID      ITT address  EventID bits   next
0x401900c0  fffe000008020024        24       0x40100100             5  16383
0x401c0028  800000000802200f     24581       0x40110000            16      0

Events, from the devices' interrupt translation tables
address                 word  DeviceID  EventID       INTID  collection   next
0x401001f8  00000000ffff0007        24       31       65535           7      0
0x40110020  0000000023281fff     24581        4        9000        8191      0
"""


def test_whole_dump(vgic_command, dump):
    done = vgic_command(*dump)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == FLAT
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_indirect_device_table(vgic_command, tmp_path):
    ram, options = saved(indirect=True)
    (tmp_path / "ram.bin").write_bytes(ram)
    done = vgic_command("its", "decode", "ram.bin", *options)
    assert (done.returncode, done.stderr) == (0, "")
    flat, indirect = FLAT.split("\n\n"), done.stdout.split("\n\n")
    assert indirect[:2] == flat[:2]
    assert indirect[2] == (
        "Device table at 0x40010000: level 1, pages of 8192 devices\n"
        "address                 word   page          address     DeviceIDs\n"
        "0x40010000  8000000040190000      0       0x40190000        0-8191\n"
        "0x40010018  80000000401a0000      3       0x401a0000   24576-32767"
    )
    assert indirect[3] == (
        "Devices\n"
        "address                 word  DeviceID      ITT address  EventID bits   next\n"
        "0x401900c0  fffe000008020024        24       0x40100100             5  16383\n"
        "0x401a0028  800000000802200f     24581       0x40110000            16      0"
    )
    assert indirect[4] == flat[3]


def test_words_of_commands(vgic_command, dump):
    plain, words = vgic_command(*dump).stdout, vgic_command(*dump, "--words").stdout
    added = [line.strip() for line in words.splitlines() if line not in plain.splitlines()]
    assert added[2] == "0000001800000008 0000000000000004 8000000040100100 0000000000000000"
    assert len(added) == len(COMMANDS)


def test_json(vgic_command, dump, tmp_path):
    data = json.loads(vgic_command(*dump, "--json", "-").stdout)
    assert (data["schema"], data["remarks"]) == (1, [])
    assert [entry["kind"] for entry in data["entries"]] == (
        ["command"] * 6 + ["collection"] * 3 + ["device"] * 2 + ["event"] * 2
    )
    assert data["entries"][-1] == {
        "address": 0x4011_0020,
        "kind": "event",
        "number": 4,
        "device_id": 24581,
        "text": "ITE intid=9000 collection_id=8191 next=0",
        "words": ["0x0000000023281fff"],
    }
    done = vgic_command(*dump, "--json", "x.json")
    assert done.stdout == FLAT
    assert json.loads((tmp_path / "x.json").read_text()) == data
    assert sorted(os.listdir(tmp_path)) == ["ram.bin", "x.json"]


PARTS = {
    "commands": (0, 0x1000, "Command queue"),
    "collections": (COLLECTIONS - RAM, 0x1_0000, "Collection table"),
    "devices": (0x19_0000, 0x4_0000, "Device table"),
    "itt": (0x11_0000, 0x8_0000, ""),
}


@pytest.mark.parametrize("kind", PARTS)
def test_as(vgic_command, tmp_path, kind):
    start, size, title = PARTS[kind]
    (tmp_path / "part.bin").write_bytes(saved(indirect=False)[0][start : start + size])
    done = vgic_command("its", "decode", "part.bin", "--as", kind, f"--base={RAM + start:#x}")
    assert (done.returncode, done.stderr) == (0, "")
    if kind == "itt":
        assert done.stdout == (
            "Interrupt translation table at 0x40110000\n"
            "address                 word  EventID       INTID  collection   next\n"
            "0x40110020  0000000023281fff        4        9000        8191      0\n"
        )
    else:
        section = next(part for part in FLAT.split("\n\n") if part.startswith(title))
        assert done.stdout.rstrip() == section.rstrip()
    if kind == "commands":
        assert vgic_command("its", "decode", "part.bin", f"--base={RAM:#x}").stdout == done.stdout


def test_standard_input(tmp_path):
    def run(*arguments, data):
        return subprocess.run(
            [sys.executable, "-m", "vgic", "its", "decode", "-", *arguments],
            cwd=tmp_path,
            input=data,
            capture_output=True,
            check=False,
        )

    ram, options = saved(indirect=False)
    done = run(*options, data=ram)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, FLAT, b"")
    done = run(data=b"")
    assert (done.returncode, done.stderr) == (2, b"vgic: error: standard input: the dump is empty\n")


def test_entries_that_are_wrong_are_shown(vgic_command, tmp_path):
    words = [0x77, 1 << 8, 2, 3, 0x29, 0, 0, 0]
    (tmp_path / "x").write_bytes(b"".join(word.to_bytes(8, "little") for word in words))
    assert vgic_command("its", "decode", "x").stdout == (
        "Command queue at 0x0\n"
        "address  command\n"
        "0x00000  opcode 0x77\n"
        "         0000000000000077 0000000000000100 0000000000000002 0000000000000003\n"
        "0x00020  VMAPP (GICv4)\n"
        "         0000000000000029 0000000000000000 0000000000000000 0000000000000000\n"
    )
    (tmp_path / "x").write_bytes((1 << 20).to_bytes(8, "little"))
    assert (
        "0000000000100000   not valid     the end" in vgic_command("its", "decode", "x", "--as", "collections").stdout
    )
    assert "0000000000100000         0        not valid" in vgic_command("its", "decode", "x", "--as", "devices").stdout
    (tmp_path / "x").write_bytes((5).to_bytes(8, "little"))
    assert "0000000000000005        0  not mapped" in vgic_command("its", "decode", "x", "--as", "itt").stdout


def test_what_the_dump_does_not_have_is_a_note(vgic_command, dump, tmp_path):
    done = vgic_command(*dump[:-1], "--baser1=0x9c07000090020200")
    assert done.returncode == 0
    assert "Collection table at 0x90020000: no entry" in done.stdout
    assert done.stderr == "note: collection table at 0x90020000: not in the dump (0x40000000 to 0x401fffff)\n"

    path = tmp_path / "ram.bin"
    path.write_bytes(path.read_bytes()[: 0x11_0000 + 40])
    done = vgic_command(*dump)
    assert done.returncode == 0
    assert done.stderr == "note: device table at 0x40190000: not in the dump (0x40000000 to 0x40110027)\n"

    done = vgic_command("its", "decode", "ram.bin", f"--base={RAM:#x}", "--baser0=0x1907000040010200")
    assert "note: GITS_BASER0 0x1907000040010200 is not valid: bit 63 is clear\n" in done.stderr

    path.write_bytes(bytes(70))
    done = vgic_command("its", "decode", "ram.bin")
    assert done.stdout == "Command queue at 0x0: no entry\n"
    assert done.stderr == "note: the dump ends with 6 of the 32 bytes of an entry\n"


def test_a_table_that_the_dump_cuts_short(vgic_command, dump, tmp_path):
    path = tmp_path / "ram.bin"
    path.write_bytes(path.read_bytes()[: 0x1C_0000 + 44])  # within the entry of device 24581
    done = vgic_command(*dump)
    assert done.returncode == 0
    gone = ("0x401c0028", "0x40110020")
    assert done.stdout.splitlines() == [line for line in FLAT.splitlines() if not line.startswith(gone)]
    assert done.stderr == "note: device table at 0x40190000: the dump ends at 0x401c002c, within it\n"


@pytest.mark.parametrize("kind", [*PARTS, "registers"])
@pytest.mark.parametrize("length", [1, 7, 8, 31, 33, 4096, 65539])
def test_random_bytes(kind, length, tmp_path, capfd):
    from vgic.cli import main

    rng = random.Random(f"{kind} {length}")
    path = tmp_path / "x"
    for _ in range(8):
        path.write_bytes(rng.randbytes(length))
        arguments = ["--as", kind]
        if kind == "registers":
            # Addresses in the dump or near it, of any kind.
            names = ("cbaser", "baser0", "baser1", "propbaser", "pendbaser", "pendbaser")
            values = [rng.getrandbits(64) & ~0x0000_FFFF_FFFF_0000 | rng.randrange(2) << 16 for _ in names]
            arguments = [f"--{name}={value:#x}" for name, value in zip(names, values, strict=True)]
        arguments += ["--format", rng.choice(["kvm", "qemu"])]
        if kind == "registers":
            arguments += rng.choice([[], ["--tree"]])
        assert main(["its", "decode", str(path), *arguments]) == 0
        shown = capfd.readouterr()
        assert shown.out.isascii() or "--tree" in arguments
        assert shown.err == "" or shown.err.startswith("note: ")
        assert main(["its", "decode", str(path), *arguments, "--json", "-"]) == 0
        json.loads(capfd.readouterr().out)


def test_many_notes_are_cut(vgic_command, tmp_path):
    entry = vgic.its.DeviceEntry(True, 1, 0x9000_0000, 5).encode().to_bytes(8, "little")
    (tmp_path / "x").write_bytes(entry * 100)
    done = vgic_command("its", "decode", "x", "--baser0", hex(VALID))
    lines = done.stderr.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "note: 91 more like these"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'FILE|-'"),
        (["nothing-here"], "nothing-here: No such file or directory"),
        (["."], ".: Is a directory"),
        (["empty"], "empty: the dump is empty"),
        (["/dev/null"], "/dev/null: the dump is empty"),
        (["some", "--base", "x"], "'x' is not a number from 0 to 2**64 - 1"),
        (["some", "--base", "-1"], "'-1' is not a number"),
        (["some", "--cbaser", "0x10000000000000000"], "'0x10000000000000000' is not a number"),
        (["some", "--baser0", "1e3"], "'1e3' is not a number"),
        (["some", "--base", "0xffffffffffffff00"], "do not fit into 64 bits"),
        (["some", "--as", "tables"], "'tables' is not one of"),
        (["some", "--as", "itt", "--baser0", "0"], "--as and register values exclude each other"),
        (["some", "--json", "."], ".: cannot be written: is a directory"),
        (["some", "--tree"], "--tree: registers say where the tables are"),
        (["some", "--tree", "--words", "--baser0", "0"], "--words and --tree exclude each other"),
        (["some", "--format", "hardware"], "'hardware' is not one of"),
        (["some", "--registers", "nothing-here"], "nothing-here: No such file or directory"),
        (["some", "--registers", "some"], "some: no register is named"),
    ],
)
def test_bad_input_is_one_line(vgic_command, tmp_path, arguments, message):
    (tmp_path / "empty").touch()
    (tmp_path / "some").write_bytes(b"\1" * 320)
    done = vgic_command("its", "decode", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("vgic: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["empty", "some"]


@pytest.fixture
def elf(tmp_path):
    """An ELF core of a VM that was saved with an LPI pending, and a text with its registers."""
    ram, options = saved(indirect=True)
    ram = bytearray(ram)
    ram[CONFIG - RAM + 65535 - 8192] = 0xA1
    for vcpu, intid in ((1, 65535), (1, 8200), (1, 8201)):
        ram[PENDING - RAM + vcpu * 0x1_0000 + intid // 8] |= 1 << intid % 8
    half = SIZE // 2
    (tmp_path / "core").write_bytes(core((RAM + half, ram[half:]), (0, bytes(64)), (RAM, ram[:half])))
    registers = [option.removeprefix("--").upper() for option in options[1:]]
    registers.append(f"GICR_PROPBASER = {CONFIG | 15:#x}")
    registers += [f"GICR{n}_PENDBASER = {PENDING + n * 0x1_0000:#x}" for n in range(2)]
    (tmp_path / "registers.txt").write_text("\n".join(registers))
    return ["its", "decode", "core", "--registers", "registers.txt"]


TREE = """\
Device 24 (0x18): ITT at 0x40100100, 5 EventID bits
└── event 31: LPI 65535, collection 7 on vCPU 1, priority 0xa0, enabled, pending
Device 24581 (0x6005): ITT at 0x40110000, 16 EventID bits
└── event 4: LPI 9000, collection 8191 (not mapped), priority 0x00, disabled
Collections
├── 0: vCPU 0
├── 7: vCPU 1
└── 8191: not mapped
Pending LPIs
├── vCPU 0: none
└── vCPU 1: 8200-8201, 65535
"""


def test_tree_of_an_elf_core(vgic_command, elf):
    done = vgic_command(*elf, "--tree")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == TREE


def test_tree_as_json(vgic_command, elf):
    data = json.loads(vgic_command(*elf, "--tree", "--json", "-").stdout)
    event = {"event_id": 31, "intid": 65535, "collection_id": 7, "vcpu": 1, "priority": 160, "enabled": True}
    assert data["devices"][0] == {
        "device_id": 24,
        "itt_address": 0x4010_0100,
        "event_bits": 5,
        "events": [{**event, "pending": [1]}],
    }
    assert [device["device_id"] for device in data["devices"]] == [24, 24581]
    assert data["collections"][1] == {"collection_id": 7, "vcpu": 1}
    assert data["pending"] == [{"vcpu": 0, "intids": []}, {"vcpu": 1, "intids": [8200, 8201, 65535]}]
    assert (data["schema"], data["remarks"]) == (1, [])


def test_tables_of_an_elf_core(vgic_command, elf):
    done = vgic_command(*elf)
    assert (done.returncode, done.stderr) == (0, "")
    sections = done.stdout.split("\n\n")
    assert sections[:2] == FLAT.split("\n\n")[:2]
    assert sections[-1] == (
        "Pending tables\n"
        "address                 word   vCPU    INTID\n"
        "0x40050400  0000000000000300      1     8200\n"
        "0x40050400  0000000000000300      1     8201\n"
        "0x40051ff8  8000000000000000      1    65535\n"
    )
    pending = json.loads(vgic_command(*elf, "--json", "-").stdout)["entries"][-1]
    assert (pending["kind"], pending["number"], pending["vcpu"]) == ("pending", 65535, 1)


def test_an_option_is_over_the_text(vgic_command, elf):
    done = vgic_command(*elf, "--tree", f"--pendbaser={PENDING + 0x1_0000:#x}")
    assert "└── vCPU 0: 8200-8201, 65535\n" in done.stdout
    # And not where its collection points; lines are as wide as COLUMNS says.
    assert "enabled, pending on vCPU 0 Device" in " ".join(done.stdout.split())


def test_an_elf_core_needs_registers_and_no_base(vgic_command, tmp_path):
    (tmp_path / "core").write_bytes(core((RAM, bytes(64))))
    for arguments, message in (
        ([], "core: registers say where the tables are (--registers, or --baser0 and the others)"),
        (["--as=commands"], "core: registers say where the tables are (--registers, or --baser0 and the others)"),
        (["--base=0", "--baser0=0"], "--base: an ELF core has the addresses of its memory itself"),
    ):
        done = vgic_command("its", "decode", "core", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"vgic: error: {message}\n"


def test_a_format_that_is_not_theirs_is_doubted(vgic_command, elf):
    done = vgic_command(*elf, "--format", "qemu")
    assert done.returncode == 0
    assert "not valid in the format of qemu, but would be in that of kvm: is it --format kvm?\n" in done.stderr


def test_help(vgic_command):
    assert "decode" in vgic_command("its", "--help").stdout
    for flag in ("-h", "--help"):
        done = vgic_command("its", "decode", flag)
        assert (done.returncode, done.stderr) == (0, "")
        for option in ("--as", "--base", "--cbaser", "--baser0", "--baser1", "--registers", "--tree", "--format"):
            assert option in done.stdout
    assert "its" in vgic_command("--help").stdout


def test_a_large_dump_is_not_held(tmp_path):
    """256 MiB, almost all of it a hole."""
    path = tmp_path / "ram.bin"
    with path.open("wb") as file:
        file.truncate(256 << 20)
        file.seek(200 << 20)
        file.write(COMMANDS[2])
    # Not getrusage, whose maximum includes that of the process which started this one.
    script = (
        "import sys; from vgic.cli import main; status = main(sys.argv[1:]); "
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')), file=sys.stderr); "
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "its", "decode", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "0xc800000  MAPD    device_id=24 " in done.stdout
    assert int(done.stderr) < 128 << 10


def test_a_progress_bar_leaves_the_output_alone(dump, tmp_path):
    terminal, other = pty.openpty()
    script = (
        "import sys; import vgic.cli.its; vgic.cli.its._PATIENCE = -1; from vgic.cli import main; "
        "sys.exit(main(sys.argv[1:]))"
    )
    try:
        for arguments in (dump, [*dump, "--json", "-"]):
            done = subprocess.run(
                [sys.executable, "-c", script, *arguments],
                cwd=tmp_path,
                env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
                stdout=subprocess.PIPE,
                stderr=other,
                text=True,
                check=False,
            )
            assert done.returncode == 0
            assert "decoding" in os.read(terminal, 1 << 16).decode(errors="replace")
            if arguments == dump:
                assert done.stdout == FLAT
            else:
                assert len(json.loads(done.stdout)["entries"]) == 13
    finally:
        os.close(terminal)
        os.close(other)

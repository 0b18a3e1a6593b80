import re
import shutil
import subprocess
from importlib.resources import files

import pytest

COMPILER = "aarch64-linux-gnu-gcc"
GUEST = files("vgic.confirm").joinpath("guest")


def compiled_by() -> str:
    """The compiler that made the binary, as it says itself."""
    found = re.search(rb"GCC: (\([^)]*\) [0-9.]+)", GUEST.joinpath("guest").read_bytes())
    assert found
    return found[1].decode()


def test_the_binary_is_a_static_program_for_arm64():
    binary = GUEST.joinpath("guest").read_bytes()
    assert binary[:6] == b"\x7fELF\x02\x01"
    assert binary[18:20] == (183).to_bytes(2, "little")
    assert len(binary) < 65536


def test_the_binary_is_what_the_source_gives(tmp_path):
    if shutil.which(COMPILER) is None or shutil.which("make") is None:
        pytest.skip(f"{COMPILER} is not installed")
    version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    wanted = compiled_by()
    if not version.endswith(wanted):
        pytest.skip(f"the binary was made by GCC {wanted}, and this is {version}")
    headers = subprocess.run(
        [COMPILER, "-E", "-x", "c", "-"], input="#include <asm/kvm.h>\n", capture_output=True, text=True, check=False
    )
    if headers.returncode:
        pytest.skip("the kernel's headers for arm64 are not installed (linux-libc-dev-arm64-cross)")
    out = tmp_path / "guest"
    subprocess.run(["make", "-s", "-C", str(GUEST), f"OUT={out}"], check=True, capture_output=True, text=True)
    assert out.read_bytes() == GUEST.joinpath("guest").read_bytes()

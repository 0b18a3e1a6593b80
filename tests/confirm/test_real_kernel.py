"""A kernel of Debian's, fetched and booted: a sequence without a race, races, what it has mended, and Ctrl-C.

Whatever keeps it from being had is told in the reason why the test is skipped.
"""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from vgic.confirm.debian import find_kernel
from vgic.confirm.differential import compare
from vgic.confirm.run import check_defects, confirm
from vgic.errors import KernelError

#: The smallest package of those that can be fetched by name.
KERNEL = "debian:sid"


@pytest.fixture(scope="module")
def kernel():
    if shutil.which("qemu-system-aarch64") is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    try:
        return find_kernel(KERNEL)
    except KernelError as error:
        pytest.skip(f"{KERNEL} cannot be had: {error}")


#: What 7.2 has, and what it has mended: of the last one the allocations fail, which it bears.
VERDICTS = {
    "moved-then-disabled": "confirmed",
    "open-window": "confirmed",
    "movall-takes-all": "refuted",
    "cache-store-leak": "refuted",
}


def test_a_real_kernel_has_what_it_has_and_no_more(kernel):
    told = []
    found = list(confirm(kernel, check_defects(VERDICTS), tell=told.append))
    verdicts = {one.defect: one.outcome.verdict for one in found}
    if kernel.release.startswith("7.2."):
        assert verdicts == VERDICTS, found
    else:  # Debian's newest moves on, and may have mended more: nothing that is mended comes back.
        assert verdicts.keys() == VERDICTS.keys(), found
        assert all(verdict in (VERDICTS[name], "refuted") for name, verdict in verdicts.items()), found
    assert [one.outcome.trouble for one in found] == [()] * len(VERDICTS)
    (held,) = found[1].outcome.held
    assert "held at vgic_its_resolve_lpi+" in held
    assert not found[0].outcome.held
    assert [line for line in told if line.startswith("booting")] == [f"booting {kernel.release}"]


def test_random_guests_have_the_engines_state(kernel):
    if not kernel.release.startswith("7.2."):
        pytest.skip(f"which design {kernel.release} has is not known to this test")
    found = list(compare(kernel, 10, 1))
    assert [one.result for one in found] == ["same"] * 10, found
    held = [text for one in found for text in one.held]
    assert any(", behind " in text for text in held), "some are held behind what they change"
    assert any(", behind " not in text for text in held)


#: A test run in the background may ignore SIGINT, and its children inherit that.
HEARS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import vgic.cli
sys.exit(vgic.cli.main())
"""


def test_ctrl_c_ends_qemu(kernel, tmp_path):
    """In the middle of a boot, which takes seconds."""
    image = tmp_path / "Image"
    image.write_bytes(kernel.image)
    command = [sys.executable, "-c", HEARS, "confirm", "--all", "--kernel", str(image)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not list(tmp_path.glob("vgic-confirm-*/gdb")):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "vgic: interrupted\n")
    assert not list(tmp_path.glob("vgic-confirm-*"))
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in running

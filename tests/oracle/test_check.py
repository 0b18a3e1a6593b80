"""``vgic its check`` of QEMU: what it does otherwise than the architecture."""

import subprocess
import time

import pytest

from vgic.cli import main
from vgic.conformance import check
from vgic.conformance.cases import CASES
from vgic.conformance.choices import CHOICES
from vgic.conformance.qemu import AGENT_ARGUMENTS, AgentTarget
from vgic.conformance.qtest import BINARY, PATIENCE, arguments

#: Of QEMU 7.2.
FAULTS = {
    "pending-table-zero-reads-as-zero": "GICR_PENDBASER.PTZ: 1 instead of 0",
    "creadr-is-read-only": "GITS_CREADR: 0x0 instead of 0x1a0",
}


def test_what_qemu_does_otherwise(running_qemu):
    target = AgentTarget(running_qemu)
    report = check(target)
    running_qemu.stop()
    if running_qemu.version != (7, 2):
        pytest.skip("the faults are QEMU 7.2's, this is {}.{}".format(*running_qemu.version))
    assert report.target == "QEMU 7.2"
    assert {outcome.case.name: outcome.difference for outcome in report.differences} == FAULTS
    assert (len(report.outcomes), len(report.answers)) == (len(CASES), len(CHOICES))


def test_a_qemu_that_runs_already(tmp_path, capsys):
    """With the command line that the guide shows."""
    sockets = tmp_path / "qtest", tmp_path / "qmp"
    command = [BINARY, *arguments(), *AGENT_ARGUMENTS]
    command += ["-chardev", f"socket,id=qtest,path={sockets[0]},server=on,wait=off"]
    command += ["-object", "qtest,id=q,chardev=qtest,log=none"]
    command += ["-qmp", f"unix:{sockets[1]},server=on,wait=off"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as qemu:
        try:
            end = time.monotonic() + PATIENCE
            while not all(socket.exists() for socket in sockets):
                assert qemu.poll() is None, "QEMU has ended"
                assert time.monotonic() < end, "QEMU does not open its sockets"
                time.sleep(0.01)
            target = f"qtest:{sockets[0]},{sockets[1]}"
            status = main(["its", "check", "--target", target, "--case", "an-msi-is-delivered,urgent-lpis-preempt"])
            assert status == 0
            assert "2 rules, 0 differences\n" in capsys.readouterr().out
            # It is left alone, and can be asked again.
            assert qemu.poll() is None
            assert main(["its", "check", "--target", target, "--case", "direct-invalidation"]) == 0
        finally:
            qemu.kill()

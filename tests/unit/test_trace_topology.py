"""Which vCPU an affinity is: told by GICR_TYPER, or inferred."""

import pytest

import vgic
from qemu_logs import Guest, log
from vgic.trace import read_qemu

FOUR = range(4)
#: Boards: affinities of the CPUs, by processor number.
BOARDS = {
    "virt, 16 a cluster": [(n // 16) << 8 | n % 16 for n in range(20)],
    "sbsa-ref, 8 a cluster": [(n // 8) << 8 | n % 8 for n in range(20)],
    "4 a cluster": [(n // 4) << 8 | n % 4 for n in range(12)],
    "threads in Aff0": [core << 8 | thread for core in FOUR for thread in range(2)],
    "one a cluster": [core << 8 for core in range(5)],
    "clusters in Aff2": [cluster << 16 | core << 8 for cluster in range(2) for core in FOUR],
    "clusters in Aff3": [cluster << 24 | core for cluster in range(2) for core in FOUR],
}


def read(tmp_path, events):
    path = tmp_path / "guest.log"
    path.write_text(log(events))
    return read_qemu(path)


def booted(affinities):
    told = Guest(affinities)
    told.boot(events=len(affinities))
    return told


def acknowledged(recording):
    return [event.operands for event in recording if event.kind == "acknowledge"]


@pytest.mark.parametrize("board", BOARDS)
def test_a_whole_board_is_numbered_in_the_order_of_its_affinities(tmp_path, board):
    told = booted(BOARDS[board])
    for cpu in reversed(range(len(BOARDS[board]))):
        told.msi(cpu)
        told.take(cpu, 0x2000 + cpu)
    recording = read(tmp_path, told.events)
    assert recording.vcpus == len(BOARDS[board])
    assert acknowledged(recording) == [(cpu, 0x2000 + cpu) for cpu in reversed(range(len(BOARDS[board])))]
    assert vgic.replay_recorded(recording).holds


@pytest.mark.parametrize("board", ["virt, 16 a cluster", "sbsa-ref, 8 a cluster", "4 a cluster"])
def test_where_only_some_cpus_are_seen_what_they_acknowledge_tells_the_size_of_a_cluster(tmp_path, board):
    affinities = BOARDS[board]
    told = booted(affinities)
    seen = [1, 5, len(affinities) - 1]
    for cpu in seen:
        told.msi(cpu)
        told.take(cpu, 0x2000 + cpu)
    events = [event for event in told.events if event[2] != "gicv3_redist_write"]
    recording = read(tmp_path, events)
    assert acknowledged(recording) == [(cpu, 0x2000 + cpu) for cpu in seen]
    assert recording.vcpus == len(affinities)
    assert vgic.replay_recorded(recording).holds


def test_gicr_typer_says_which_vcpu_it_is_whatever_the_affinities_look_like(tmp_path):
    told = booted([0x300, 0x100, 0x200, 0x0])  # numbered in another order than any board does
    for cpu in range(4):
        told.read_typer(cpu)
    told.redist_write(2, 0x0, 2, size=4)
    recording = read(tmp_path, told.events)
    assert [event.operands for event in recording if event.kind == "lpis_enabled"] == [
        *[(cpu, 1) for cpu in range(4)],
        (2, 0),
    ]


def test_what_was_acknowledged_counts_where_no_board_is_like_that(tmp_path):
    affinities = [0x10002, 0x705, 0x1]
    told = booted(affinities)
    for cpu in range(3):
        told.msi(cpu)
        told.take(cpu, 0x2000 + cpu)
    assert acknowledged(read(tmp_path, told.events)) == [(cpu, 0x2000 + cpu) for cpu in range(3)]


def test_more_vcpus_than_a_vm_may_have_are_refused(tmp_path):
    told = Guest()
    told.set_up_its()
    for number in range(513):
        told.event(1, "gicv3_icc_iar1_read", cpu=number << 8, val=0x2000)
    with pytest.raises(vgic.RecordingError, match=rf"^{tmp_path}/guest.log: more than 512 vCPUs$"):
        read(tmp_path, told.events)

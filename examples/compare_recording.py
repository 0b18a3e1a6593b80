"""Compares two designs on a recorded guest, and prints the ratio.

Run it with ``python examples/compare_recording.py [RECORDING [BASELINE DESIGN]]``; the recording is a bundled name or a
QEMU trace log.
"""

import sys

import vgic


def main(recording: str = "redis-memtier", baseline: str = "v6.8-rc1", design: str = "v6.10") -> None:
    """Measure for some seconds; the ratio is rough."""
    guest = vgic.read_recording(recording)
    print(guest)
    for name in (baseline, design):
        print(f"{name} as recorded: {vgic.replay_recorded(guest, name)}")
    workloads = [
        vgic.ReplayWorkload(recording=guest, mode="lockstep", label="delivery"),
        vgic.ReplayWorkload(recording=guest, mode="senders", label="routing"),
    ]
    file = vgic.compare([baseline, design], workloads, vgic.Effort.quick())
    for result in file.results:
        if result.design == design and result.ratio is not None:
            print(
                f"{result.workload}: {design} is {result.ratio:.2f} times {baseline} "
                f"(quartiles {result.ratio_low:.2f} to {result.ratio_high:.2f})"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])

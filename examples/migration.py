"""Two vCPUs and one device: an LPI that is pending on one vCPU moves to the other.

Run it with ``python examples/migration.py``.
"""

import vgic

DEVICE = 8


def main() -> None:
    """Send, move, take."""
    vm = vgic.Vm(vcpus=2)
    vm.enable()
    its = vm.its[0]
    for vcpu in vm.vcpu:
        its.mapc(vcpu.index, vcpu=vcpu.index)
    its.mapd(DEVICE, event_bits=5)
    for event in range(4):
        its.mapti(DEVICE, event, 8192 + event, collection_id=0)

    vm.signal_msis([DEVICE] * 4, range(4))
    print("queued on vCPU 0:", [lpi["intid"] for lpi in vm.lpis() if lpi["queued_on"] == 0])

    its.movi(DEVICE, 1, collection_id=1)
    its.movi(DEVICE, 3, collection_id=1)
    # The queue of vCPU 0 still has them; they move when it leaves the guest next.
    print("after MOVI, still on vCPU 0:", [lpi["intid"] for lpi in vm.lpis() if lpi["queued_on"] == 0])

    for vcpu in vm.vcpu:
        taken = []
        while (intid := vcpu.acknowledge()) is not None:
            vcpu.eoi(intid)
            taken.append(intid)
        print(f"vCPU {vcpu.index} takes {taken}")
    print("migrations:", vm.counts()["migrations"])


if __name__ == "__main__":
    main()

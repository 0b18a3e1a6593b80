"""Sends one MSI through every design, and prints the locks that it takes on the hit path.

Run it with ``python examples/every_design.py``.
"""

import vgic


def send_one(design: str) -> int:
    """Map one event, send it twice (the second send hits the cache), and take it; the INTID."""
    with vgic.Vm(vcpus=1, design=design, allow_unsound=True) as vm:
        vm.enable()
        its = vm.its[0]
        its.mapc(0, vcpu=0)
        its.mapd(8, event_bits=4)
        its.mapti(8, event_id=0, intid=8192, collection_id=0)
        for _ in range(2):
            assert vm.signal_msi(8, 0) == 1
        assert vm.counts()["cache_hits"] == 1
        intid = vm.vcpu[0].acknowledge()
        assert intid is not None
        vm.vcpu[0].eoi(intid)
        return intid


def main() -> None:
    """One line a design."""
    for design in vgic.designs():
        intid = send_one(design.name)
        locks = [step["field"] for step in design.hit_path() if step["kind"] == "lock"]
        print(f"{design.name:9} INTID {intid}: {', '.join(locks)}")


if __name__ == "__main__":
    main()

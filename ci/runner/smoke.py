"""Uses the installed package as a user's first program does; ``ci/wheels.sh`` runs it."""

import sys
import sysconfig

import vgic

assert vgic.__file__.startswith(sys.prefix), vgic.__file__
vm = vgic.Vm(vcpus=2, design="v7.3")
vm.enable()
its = vm.its[0]
its.mapc(0, vcpu=1)
its.mapd(8, event_bits=4)
its.mapti(8, event_id=0, intid=8192, collection_id=0)
assert vm.signal_msi(8, 0) == 1
assert vm.vcpu[1].acknowledge() == 8192
assert vgic.recordings()
assert vgic.machines()
assert vgic.run(vgic.StressWorkload(vcpus=2, devices=2, events=16, seconds=0.1), "v7.3").rate > 0
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    assert not sys._is_gil_enabled(), "importing the package has brought the GIL back"

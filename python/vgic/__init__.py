"""vgic: KVM/arm64's LPI routing and injection as a library, with every locking design selectable by name.

>>> import vgic
>>> vm = vgic.Vm(vcpus=4, design="v6.10")
>>> result = vgic.run(vgic.StressWorkload(vcpus=2, devices=2, events=16, seconds=0.1), "patch-15")

Importing it loads the core, and nothing else of the package: ``__init__.pyi`` says which room has a name, and the room
is imported when the name is first asked for. A function goes before the room of its name: ``vgic.predict``.
"""

import lazy_loader

import vgic.core_build  # noqa: F401 - before anything imports the core

# isort: split
from vgic._core import VERSION as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]

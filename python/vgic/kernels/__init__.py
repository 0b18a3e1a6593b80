"""Real kernels: which design is a kernel, which fixes and which defects does it have, what would a later one bring."""

from vgic.kernels.kernel import Kernel, Series, Standing, kernel, kernel_here, kernels
from vgic.kernels.release import Release, release

__all__ = ["Kernel", "Release", "Series", "Standing", "kernel", "kernel_here", "kernels", "release"]

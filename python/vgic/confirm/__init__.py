"""Stories of the model checker, played on a real arm64 kernel under QEMU.

Each layer stands on those before it: :mod:`image`, :mod:`deb` and :mod:`debian` find a kernel; :mod:`btf`,
:mod:`symbols` and :mod:`code` know where things are in it; :mod:`qemu`, :mod:`gdb` and :mod:`console` speak to QEMU;
:mod:`cpio` and :mod:`machine` boot it with the guest program of ``guest/``; :mod:`stage` runs the guest's threads one
at a time, up to a place in the kernel; :mod:`script` and :mod:`places` say what a story is in the guest's commands and
in the kernel's code; :mod:`play` plays it and judges; :mod:`run` does so for several on one kernel. :mod:`report`,
:mod:`holds` and :mod:`export` write what others need to see it without all this.
"""

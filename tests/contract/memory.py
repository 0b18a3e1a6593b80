"""What is alive in the process."""

import gc

import vgic


def objects() -> dict[str, int]:
    """Shared objects that are alive in the process, after all that is to be freed has been.

    Compare it with an earlier count: other tests of the process may have left something behind (``v6.17`` leaks).
    """
    vgic._core.rcu_barrier()
    if vgic._core.live_objects():
        # A frame of an error may still hold a VM.
        gc.collect()
        vgic._core.rcu_barrier()
    return vgic._core.live_objects()


def left_since(before: dict[str, int]) -> dict[str, int]:
    """Objects that are alive now and were not in ``before``, an earlier ``vgic._core.live_objects()``.

    Collects garbage only if it has to, as that is slow.
    """

    def more() -> dict[str, int]:
        vgic._core.rcu_barrier()
        return {
            name: count - before.get(name, 0)
            for name, count in vgic._core.live_objects().items()
            if count > before.get(name, 0)
        }

    if left := more():
        gc.collect()
        left = more()
    return left

"""Guest memory: where a :class:`vgic.Vm` with ``memory=`` has its LPI tables and its ITS tables.

Guest memory is somebody's: a ``bytearray``, a mapped file, a NumPy array, the memory of an emulator. It is used where
it is, without a copy.

>>> ram = bytearray(1 << 20)
>>> memory = GuestMemory({0x4000_0000: ram})
>>> memory.write_u64(0x4000_0008, 0x8000_0000_0000_0001)
>>> ram[8]
1
"""

from vgic._core import GuestMemory

__all__ = ["GuestMemory"]

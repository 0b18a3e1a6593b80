"""Memory of a guest in a file, and what an ITS's tables in it say.

- :mod:`~vgic.dump.memory`: raw dumps and ELF cores, by guest physical address
- :mod:`~vgic.dump.registers`: values of registers in texts
- :mod:`~vgic.dump.formats`: entries as KVM saves them, and as QEMU's own ITS keeps them
- :mod:`~vgic.dump.tables`: queues and tables, row by row
- :mod:`~vgic.dump.tree`: what goes where
"""

"""ELF cores as QEMU writes them, and broken ones."""

import struct

EM_AARCH64, ET_CORE, PT_LOAD, PT_NOTE = 183, 4, 1, 4
EHDR, PHDR = 64, 56


def header(phnum, *, machine=EM_AARCH64, kind=ET_CORE, ident=(2, 1), phentsize=PHDR, phoff=EHDR, shoff=0):
    return (
        b"\x7fELF" + bytes([*ident, 1]) + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, phoff, shoff, 0, EHDR, phentsize, phnum, 0, 0, 0)
    )  # fmt: skip


def program_header(kind, offset, address, filesz, memsz=None):
    return struct.pack("<IIQQQQQQ", kind, 0, offset, 0, address, filesz, filesz if memsz is None else memsz, 0)


def core(*blocks, note=b"some registers of vCPUs  "):
    """A core of (address, bytes), a note in front of them."""
    at = EHDR + PHDR * (1 + len(blocks))
    headers = [program_header(PT_NOTE, at, 0, len(note))]
    data = note
    for address, block in blocks:
        headers.append(program_header(PT_LOAD, at + len(data), address, len(block)))
        data += block
    return header(len(headers)) + b"".join(headers) + data

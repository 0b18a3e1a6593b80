import gzip
import io
import lzma
import struct
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.confirm.image import plain_image, read_kernel
from vgic.errors import KernelError


def image(release: str = "6.12.117+deb12-arm64") -> bytes:
    """A header of an arm64 Image, and the words that say which kernel it is."""
    head = bytearray(64)
    head[56:60] = b"ARM\x64"
    return bytes(head) + b"Linux version " + release.encode() + b" (somebody) #1"


def zboot(kernel: bytes, kind: bytes, packed: bytes) -> bytes:
    head = bytearray(64)
    head[:8] = b"MZ\0\0zimg"
    struct.pack_into("<II", head, 8, 64, len(packed))
    head[24 : 24 + len(kind)] = kind
    return bytes(head) + packed


def deb(files: dict[str, bytes], name: str = "data.tar.xz", mode: str = "w:xz") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    out = b"!<arch>\n"
    for member, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"abc"), (name, data.getvalue())):
        out += b"%-16s%-12s%-6s%-6s%-8s%-10d`\n" % (member.encode(), b"0", b"0", b"0", b"100644", len(content))
        out += content + b"\n" * (len(content) % 2)
    return out


PACKED = {
    "plain": image(),
    "gzip": gzip.compress(image()),
    "zboot of gzip": zboot(image(), b"gzip", gzip.compress(image()) + b"\1\0\0\0"),
    "zboot of xz": zboot(image(), b"xzkern", lzma.compress(image())),
    "a package": deb({"./usr/share/doc/x": b"x", "./boot/vmlinuz-6.12": image()}),
    "a package of the new kind": deb({"./usr/lib/modules/7.2/vmlinuz": gzip.compress(image())}),
    "a package by gzip": deb({"./boot/vmlinuz-6.1": image()}, "data.tar.gz", "w:gz"),
}


@pytest.mark.parametrize("kind", PACKED)
def test_a_kernel_is_found_in_what_it_comes_in(kind, tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(PACKED[kind])
    kernel = read_kernel(path)
    assert kernel.image == image()
    assert kernel.release == "6.12.117+deb12-arm64"
    assert kernel.name == str(path)
    assert kernel.digest == read_kernel(path).digest


BAD = {
    b"": "not a kernel for arm64",
    b"MZ" + bytes(62): "not a kernel for arm64",
    b"\x7fELF" + bytes(60): "an ELF file",
    gzip.compress(b"nothing"): "not a kernel for arm64",
    gzip.compress(image())[:30]: "cut short",
    b"\x1f\x8bnot gzip": "cannot be read",
    zboot(image(), b"zstd", b"abc"): "compressed by 'zstd'",
    image()[:24] + b"\1" + image()[25:]: "big-endian",
    b"!<arch>\n": "not a package that can be read",
    deb({"./usr/share/doc/x": b"x"}): "no kernel in it",
    deb({"./boot/vmlinuz-6.12": image()})[:-40]: "cut short",
    b"!<arch>\n" + b"%-16s%-32s%-10s`\n" % (b"data.tar.xz", b"0", b"-1"): "not a package that can be read",
}


@pytest.mark.parametrize("data", BAD, ids=range(len(BAD)))
def test_what_is_no_kernel_is_named_in_one_line(data, tmp_path):
    path = tmp_path / "kernel"
    path.write_bytes(data)
    with pytest.raises(KernelError) as raised:
        read_kernel(path)
    assert BAD[data] in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x1f\x8b", b"MZ\0\0zimg", b"!<arch>\n"]))
def test_any_bytes_are_a_kernel_or_not(data, head):
    with suppress(KernelError):
        plain_image(head + data)

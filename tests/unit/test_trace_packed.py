"""Text that may be compressed: by which format, in how many streams, cut short, damaged, or enormous."""

import bz2
import gzip
import lzma

import pytest

import vgic
from vgic.trace import packed
from vgic.trace.packed import unpacked, zstd

FORMATS = {"xz": lzma.compress, "gzip": gzip.compress, "bzip2": bz2.compress, "zstd": zstd.compress}


def text(*chunks):
    return b"".join(unpacked(chunks, "a.log"))


@pytest.mark.parametrize("name", FORMATS)
def test_streams_follow_each_other_wherever_a_piece_ends(name):
    one, other = FORMATS[name](b"one"), FORMATS[name](b"other")
    for cut in range(len(one + other) + 1):
        assert text((one + other)[:cut], (one + other)[cut:]) == b"oneother"
    assert text(*(bytes([byte]) for byte in one + other)) == b"oneother"


def test_zeroes_may_stand_between_streams_of_xz():
    one, other, padding = lzma.compress(b"one"), lzma.compress(b"other"), bytes(4)
    for chunks in (
        [one + padding, other],
        [one, padding, padding + other, padding],
        [one[:20], one[20:] + padding + other[:3], other[3:]],
    ):
        assert text(*chunks) == b"oneother"


def test_what_is_not_compressed_stays_as_it_is():
    assert text() == b""
    assert text(b"") == b""
    for data in (b"\xfd7zX", b"\x1f\x8b", b"BZ", b"(\xb5", b"plain text"):
        assert text(data) == data
        assert text(data[:1], data[1:]) == data


@pytest.mark.parametrize("name", FORMATS)
def test_what_ends_early_or_is_damaged_is_one_line(name):
    whole = FORMATS[name](bytes(range(256)) * 40)
    for chunks in ([whole[:-1]], [whole[:-5], whole[-5:-2]], [whole, whole[:-1]], [whole[:7]]):
        with pytest.raises(
            vgic.RecordingError, match=rf"^a\.log: truncated: the {name} data ends before its end mark$"
        ):
            text(*chunks)
    damaged = whole[:20] + bytes(byte ^ 0xFF for byte in whole[20:])
    for data in (damaged, whole + b"gicv3_its_cmd_sync, and more that is not compressed"):
        with pytest.raises(vgic.RecordingError, match=rf"^a\.log: damaged {name} data \(.*\)$") as caught:
            text(data)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_small_file_that_stands_for_much_comes_in_pieces(name):
    bomb = FORMATS[name](bytes(20 << 20))
    pieces = list(unpacked([bomb], "a.log"))
    assert (sum(map(len, pieces)), max(map(len, pieces))) == (20 << 20, packed.PIECE)

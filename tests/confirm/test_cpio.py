from hypothesis import given
from hypothesis import strategies as st

from vgic.confirm.cpio import archive, device, directory, program


def read(data):
    """Names, modes, contents and device numbers of an archive, as the kernel reads it."""
    found, at = [], 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name_size, size = fields[11], fields[6]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        at += (110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return found
        found.append((name, fields[1], data[at : at + size], fields[9], fields[10]))
        at += (size + 3) // 4 * 4


@given(st.lists(st.tuples(st.text("abc/", min_size=1, max_size=9), st.binary(max_size=9))))
def test_what_is_written_can_be_read(files):
    entries = [program(name, data) for name, data in files]
    assert read(archive(entries)) == [(name, 0o100755, data, 0, 0) for name, data in files]


def test_devices_and_directories():
    assert read(archive([directory("dev"), device("dev/console", 5, 1)])) == [
        ("dev", 0o40755, b"", 0, 0),
        ("dev/console", 0o20600, b"", 5, 1),
    ]

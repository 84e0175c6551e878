"""A digest at the end of a file: every bit before it is covered, and HDF5 reads the file as before."""

from pathlib import Path

import h5py
import pytest

from lymphofeat.storage.trailing_digest import append_digest, has_right_digest, with_digest


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 3])
def test_every_bit_is_covered(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert has_right_digest(path) is None
    append_digest(path)
    whole = path.read_bytes()
    assert whole == with_digest(content)
    assert has_right_digest(path) is True
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        in_magic = len(content) <= at < len(content) + 8
        assert has_right_digest(path) is (None if in_magic else False), at
    path.write_bytes(whole[:-1])
    assert has_right_digest(path) is None


def test_hdf5_reads_over_it_and_takes_it_away_when_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["a"] = [1, 2, 3]
    append_digest(path)
    with h5py.File(path, "r") as file:
        assert list(file["a"][:]) == [1, 2, 3]
    assert has_right_digest(path)
    with h5py.File(path, "r+") as file:
        file["a"][0] = 5
    assert has_right_digest(path) is None

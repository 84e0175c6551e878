"""Files of earlier versions: sound, with a word on the digests that they lack; damage is found by those they have."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from lymphofeat.verification.verify import verify

OLD = Path(__file__).parents[1] / "data" / "before_rooms"


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("features.h5", "have no digest, as format 1 has none"),
        ("study.db", "14 trials of 14 have no digest, as earlier versions wrote none"),
        ("model", ""),
    ],
)
def test_they_are_sound(tmp_path: Path, name: str, lacking: str) -> None:
    found = verify(Path(shutil.copytree(OLD, tmp_path / "old")) / name)
    assert found.faults == ()
    assert lacking in "\n".join(found.unchecked)


def test_any_byte_of_features_of_format_1(tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD / "features.h5", tmp_path / "features.h5"))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    with h5py.File(path, "r") as file:
        [(name, group)] = file["encodings"].items()
        start, size = group["features"].id.get_offset(), group["features"].id.get_storage_size()
    for at in (start + rng.integers(0, size, 12)).tolist():
        path.unlink()
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1 :])
        [fault] = verify(path, repair=True).faults
        assert fault.what == f"the features of {name} are not as they were written"

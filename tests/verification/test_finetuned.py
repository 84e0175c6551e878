"""Fine-tuned encodings and the encoders that computed them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.finetune import extract_finetuned
from lymphofeat.cohort.read import read_cohort
from lymphofeat.verification.verify import verify

from ..helpers.finetuned import SETTINGS
from ..helpers.tiny import tiny_cohort


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort, a cache of three fine-tuned encodings, and their encoders."""
    folder = tmp_path_factory.mktemp("made")
    tiny_cohort(folder / "cohort", n=8, images=2, side=48)
    extract_finetuned(read_cohort(folder / "cohort"), folder / "c.h5", SETTINGS)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "made"))


def test_features_and_encoders_fit(made: Path) -> None:
    found = verify(made / "c.h5", sample=3)
    assert found.sound, found.faults
    assert found.unchecked == ()
    for name in open_cache(made / "c.h5").encodings:
        assert any(f"{name}: 3 images computed again, equal" in line for line in found.checked)
        assert any(f"the encoder that {name} was computed by, as written" in line for line in found.checked)


def test_an_encoder_of_another_fold_and_a_damaged_one_are_faults(folder: Path) -> None:
    first, second, third = sorted((folder / "c-encoders").glob("*.safetensors"))
    shutil.copy(second, first)
    content = bytearray(second.read_bytes())
    content[-7] ^= 1
    second.write_bytes(content)
    third.unlink()
    found = verify(folder / "c.h5")
    assert [fault.path for fault in found.faults] == [second, first]
    assert "damaged" in found.faults[0].what
    assert "holds another encoder than the one that the features of" in found.faults[1].what
    assert any("lacks the trained encoders of" in line for line in found.unchecked)


def test_fine_tuned_blocks_are_computed_again(folder: Path) -> None:
    path = folder / "c.h5"
    before = open_cache(path)
    encoding = next(iter(before.encodings.values()))
    features, own = np.array(encoding.features), np.array(encoding.end_to_end)
    at = encoding.place.read_bytes().find(features[7].tobytes())
    content = bytearray(encoding.place.read_bytes())
    content[at + 2] ^= 1
    encoding.place.unlink()
    encoding.place.write_bytes(content)
    found = verify(path, repair=True, cohort=folder / "cohort")
    assert found.sound, found.faults
    assert "the former features bit by bit" in found.repaired[0]
    after = open_cache(path).encodings[encoding.name]
    np.testing.assert_array_equal(after.features, features)
    np.testing.assert_array_equal(after.end_to_end, own)
    assert after.digest == encoding.digest
    assert after.blind_to == encoding.blind_to

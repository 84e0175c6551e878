"""A bundle against its manifest and its own answers: one fault a file, and none where nothing is wrong."""

import random
import shutil
from pathlib import Path

import pytest

from lymphofeat.bundle import export_bundle
from lymphofeat.studies import tune
from lymphofeat.verification.verify import verify

from ..helpers.caches import frozen_cache


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a clinical head."""
    folder = tmp_path_factory.mktemp("bundle")
    frozen_cache(folder / "c.h5", n=24, n_test=2)
    tune(folder / "c.h5", folder / "s.db", n_trials=1, heads=["logistic"], inputs=["clinical"])
    export_bundle(folder / "c.h5", folder / "s.db", folder / "model")
    return folder / "model"


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def test_a_whole_bundle_has_no_fault(made: Path) -> None:
    found = verify(made)
    assert found.faults == ()
    assert any("the model loads, and answers as at the export" in line for line in found.checked)


def test_every_file_that_is_changed_is_a_fault_of_its_own(bundle: Path) -> None:
    rng, harmed = random.Random(0), []
    for path in sorted(p for p in bundle.rglob("*") if p.is_file() and p.name != "manifest.json"):
        content = bytearray(path.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        harmed.append(path)
    harmed[0].unlink()
    (bundle / "more.txt").write_text("x")
    found = verify(bundle)
    assert [fault.path for fault in found.faults] == [*harmed, bundle / "more.txt"]
    assert all("export" in fault.way_out for fault in found.faults)
    assert found.unchecked == ("The model was not loaded, since its files are not as they were exported.",)


def test_any_byte_of_the_manifest(bundle: Path) -> None:
    path, rng = bundle / "manifest.json", random.Random(0)
    whole = path.read_bytes()
    for at in rng.sample(range(len(whole)), 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(7)]) + whole[at + 1 :])
        found = verify(bundle)
        assert found.faults or path.read_text().split() == whole.decode().split(), at


def test_a_bundle_without_its_model(bundle: Path) -> None:
    (bundle / "model.json").unlink()
    found = verify(bundle)
    assert [fault.path.name for fault in found.faults] == ["model.json"]

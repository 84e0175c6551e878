"""The encoding of named measurements: what it holds, how it resumes, and cells without a nucleus."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from lymphofeat import extract
from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import ExtractSettings
from lymphofeat.cache.morphology import encoding_name, extract_morphology
from lymphofeat.cache.partial import PartialEncoding
from lymphofeat.cohort.model import Cohort
from lymphofeat.cohort.read import read_cohort
from lymphofeat.encoder.morphology import features
from lymphofeat.encoder.morphology.features import GROUPS, features_of
from lymphofeat.encoder.morphology.quality import BORDER, GOOD, NO_CYTOPLASM, NO_NUCLEUS
from lymphofeat.errors import InputError, StaleCacheError
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

SETTINGS = ExtractSettings(crop=224, batch_size=5, n_folds=3, n_repeats=2)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    spec = SimulationSettings(patients=12, seed=5, size=96, images_range=(3, 4))
    return read_cohort(simulate_cohort(tmp_path / "data", spec))


def blank(cohort: Cohort, patient: int, images: slice) -> None:
    """Leave nothing but the slide in some of a patient's images, each in a shade of its own."""
    for i, path in enumerate(cohort.patients[patient].images[images]):
        Image.new("RGB", (96, 96), (250 - i, 228, 204)).save(path)


def test_the_cache_holds_names_and_quality(cohort: Cohort, tmp_path: Path) -> None:
    summary = extract_morphology(cohort, tmp_path / "c.h5", settings=SETTINGS)
    encoding = open_cache(tmp_path / "c.h5").encodings["morphology"]
    names = [feature.name for feature in features_of(["shape", "chromatin"])]
    assert encoding.names == encoding.attrs["features"] == names
    assert encoding.features.shape == (summary.n_images, len(names))
    assert encoding.blind_to is None
    assert encoding.attrs["groups"] == ["shape", "chromatin"]
    assert encoding.quality is not None
    assert encoding.quality.shape == (summary.n_images,)
    assert summary.quality == {
        key: int((encoding.quality == key).sum()) for key in (GOOD, BORDER, NO_CYTOPLASM, NO_NUCLEUS)
    }
    with h5py.File(tmp_path / "c.h5") as file:
        assert file.attrs["format"] == 2
        assert file["encodings/morphology/quality"].dtype == np.uint8


def test_a_second_run_has_nothing_to_do_and_other_groups_are_another_encoding(
    cohort: Cohort, tmp_path: Path
) -> None:
    path = tmp_path / "c.h5"
    extract_morphology(cohort, path, settings=SETTINGS)
    again = extract_morphology(cohort, path, settings=replace(SETTINGS, batch_size=8))
    assert again.n_before == again.n_images
    assert again.quality is not None
    extract_morphology(cohort, path, ["background"], SETTINGS)
    for groups in (["shape"], ["colour"], list(GROUPS)):
        extract_morphology(cohort, path, groups, SETTINGS, default=False)
    cache = open_cache(path)
    assert set(cache.encodings) == {
        "morphology", "morphology-shape", "morphology-colour", "morphology-background",
        "morphology-shape-chromatin-colour-background",
    }  # fmt: skip
    assert cache.default_encoder_family == "morphology"
    assert encoding_name(("shape",), 128) == "morphology-shape-crop128"
    every = cache.encodings["morphology-shape-chromatin-colour-background"].features
    np.testing.assert_array_equal(
        every[:, : cache.encodings["morphology"].dim], cache.encodings["morphology"].features
    )


def test_an_interrupted_run_ends_as_an_unbroken_one(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank(cohort, 2, slice(1))
    path, written = tmp_path / "c.h5", []
    plain = PartialEncoding.write

    def write(self, block, rows, quality=None) -> None:  # type: ignore[no-untyped-def]
        if len(written) >= 4:
            raise KeyboardInterrupt
        plain(self, block, rows, quality)
        written.append(block)

    with monkeypatch.context() as patch:
        patch.setattr(PartialEncoding, "write", write)
        with pytest.raises(KeyboardInterrupt):
            extract_morphology(cohort, path, settings=SETTINGS, workers=1)
    with monkeypatch.context() as patch:
        patch.setattr("lymphofeat.cache.morphology.VERSION", features.VERSION + 1)
        with pytest.raises(StaleCacheError, match="features_version"):
            extract_morphology(cohort, path, settings=SETTINGS)
    summary = extract_morphology(cohort, path, settings=SETTINGS)
    assert 0 < summary.n_before < summary.n_images
    extract_morphology(cohort, tmp_path / "whole.h5", settings=SETTINGS)
    one, other = (open_cache(p).encodings["morphology"] for p in (path, tmp_path / "whole.h5"))
    assert one.digest == other.digest
    np.testing.assert_array_equal(one.quality, other.quality)


def test_a_kill_while_failed_cells_are_replaced_loses_nothing(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank(cohort, 2, slice(1))
    path = tmp_path / "c.h5"

    def half(self, images, rows) -> None:  # type: ignore[no-untyped-def]
        with h5py.File(self.path, "r+") as file:
            file["encoding/features"][images[:1]] = rows[:1]  # as if killed before the checksums
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PartialEncoding, "replace_rows", half)
        with pytest.raises(KeyboardInterrupt):
            extract_morphology(cohort, path, settings=SETTINGS)
    extract_morphology(cohort, path, settings=SETTINGS)
    extract_morphology(cohort, tmp_path / "whole.h5", settings=SETTINGS)
    digests = {open_cache(p).encodings["morphology"].digest for p in (path, tmp_path / "whole.h5")}
    assert len(digests) == 1


def test_flags_that_a_power_cut_lost_are_measured_again(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank(cohort, 2, slice(1))
    path = tmp_path / "c.h5"
    with monkeypatch.context() as patch:
        patch.setattr(PartialEncoding, "replace_rows", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            extract_morphology(cohort, path, settings=SETTINGS)
    with h5py.File(path.with_name("c.h5.morphology.partial"), "r+") as file:
        file["encoding/quality"][:] = 0  # rows, checksums and flags of blocks are there
    summary = extract_morphology(cohort, path, settings=SETTINGS)
    assert summary.quality is not None
    assert summary.quality[NO_NUCLEUS] == 1
    assert np.isfinite(open_cache(path).encodings["morphology"].features).all()


def test_a_cell_without_nucleus_gets_its_patients_median_and_a_flag(cohort: Cohort, tmp_path: Path) -> None:
    blank(cohort, 2, slice(1))
    summary = extract_morphology(cohort, tmp_path / "c.h5", settings=SETTINGS)
    assert summary.quality is not None
    assert summary.quality[NO_NUCLEUS] == 1
    cache = open_cache(tmp_path / "c.h5")
    encoding = cache.encodings["morphology"]
    assert encoding.quality is not None
    bags = cache.bags("morphology")
    first = int(bags.starts[2])
    assert encoding.quality[first] == NO_NUCLEUS
    own = encoding.quality[first : first + int(bags.lengths[2])]
    whole = (own == GOOD) | (own == NO_CYTOPLASM)
    np.testing.assert_allclose(bags[2][0], np.median(bags[2][whole], axis=0), rtol=1e-6)


def test_a_patient_without_any_nucleus_is_refused_by_name(cohort: Cohort, tmp_path: Path) -> None:
    blank(cohort, 3, slice(None))
    with pytest.raises(InputError, match=f"any image of {cohort.patients[3].id};.*--frozen"):
        extract_morphology(cohort, tmp_path / "c.h5", settings=SETTINGS)
    assert not (tmp_path / "c.h5").exists()
    rest = replace(cohort, patients=tuple(p for i, p in enumerate(cohort.patients) if i != 3))
    assert extract_morphology(rest, tmp_path / "c.h5", settings=SETTINGS).n_before > 0


def test_blocks_of_unchanged_images_keep_their_quality(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank(cohort, 0, slice(1))
    path = tmp_path / "c.h5"
    with monkeypatch.context() as patch:
        patch.setattr(PartialEncoding, "finished", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            extract_morphology(cohort, path, settings=SETTINGS)
    last = cohort.patients[-1].images[-1]
    Image.fromarray(np.asarray(Image.open(last))[::-1]).save(last)
    changed = read_cohort(cohort.root)
    summary = extract_morphology(changed, path, settings=SETTINGS)
    assert summary.n_before > 0
    extract_morphology(changed, tmp_path / "fresh.h5", settings=SETTINGS)
    one, other = (open_cache(p).encodings["morphology"] for p in (path, tmp_path / "fresh.h5"))
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.quality, other.quality)


def test_images_of_several_sizes_are_measured(cohort: Cohort, tmp_path: Path) -> None:
    for i, path in enumerate(cohort.patients[1].images):
        image = Image.open(path)
        image.resize((70 + 100 * i, 64 + 90 * i)).save(path)
    done = extract(
        read_cohort(cohort.root), tmp_path / "c.h5", backbone="morphology", features="shape", n_folds=3
    )
    assert done.finetuned is None
    assert done.frozen is None
    assert done.measured is not None
    assert done.measured.encoding == "morphology-shape"


def test_what_belongs_to_a_network_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    for options, said in (
        ({"finetune": True}, "cannot be fine-tuned"),
        ({"weights": "none", "seed": 0}, "--weights, --seed"),
        ({"features": "texture"}, "no group of features 'texture'"),
    ):
        with pytest.raises(InputError, match=said):
            extract(cohort, tmp_path / "c.h5", backbone="morphology", **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="--features are groups of measurements"):
        extract(cohort, tmp_path / "c.h5", frozen=True, features="shape", weights="none", seed=0)

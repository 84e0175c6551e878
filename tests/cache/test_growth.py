"""A cohort that grows, shrinks or is corrected: only new images are computed, and folds stay."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.filling import fill
from lymphofeat.cache.finetune import extract_finetuned
from lymphofeat.cache.morphology import extract_morphology
from lymphofeat.cohort.exclusions import Exclusion
from lymphofeat.cohort.model import Cohort
from lymphofeat.cohort.read import read_cohort
from lymphofeat.errors import StaleCacheError
from lymphofeat.studies import tune
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from ..helpers.commands import runner
from ..helpers.extracted import (
    NAME,
    SETTINGS,
    change_image,
    change_label,
    features,
    remove_image,
    remove_patient,
    some,
)
from ..helpers.finetuned import ENCODER_FAMILY
from ..helpers.finetuned import SETTINGS as FINETUNED
from ..helpers.progress import Heard
from ..helpers.simulated import noise_cohort


def folds_by_id(path: Path) -> dict[str, list[int]]:
    cache = open_cache(path)
    return {str(name): fold.tolist() for name, fold in zip(cache.ids, cache.folds, strict=True)}


@pytest.mark.parametrize(
    ("change", "computed"), [(change_label, 0), (change_image, 1), (remove_image, 0), (remove_patient, 0)]
)
def test_what_is_known_is_not_computed_again(cohort, tmp_path, change, computed) -> None:
    path, fresh, heard = tmp_path / "c.h5", tmp_path / "fresh.h5", Heard()
    extract_frozen(cohort, path, SETTINGS)
    before, changed = folds_by_id(path), change(cohort)
    summary = extract_frozen(changed, path, SETTINGS, progress=heard)
    assert summary.n_images - summary.n_before == computed
    extract_frozen(changed, fresh, SETTINGS)
    np.testing.assert_array_equal(features(path), features(fresh))
    assert open_cache(path).encodings[NAME].digest == open_cache(fresh).encodings[NAME].digest
    after = folds_by_id(path)
    assert after == {name: before[name] for name in after}
    said = {
        change_label: "another label of P4",
        change_image: "1 image of known patients new; 1 image of known patients gone",
        remove_image: "1 image of known patients gone",
        remove_patient: "1 patient gone (P0)",
    }[change]
    assert f"The cohort changed since {path} was written: {said}." in heard.notes


def test_new_patients_are_dealt_out_and_their_images_alone_computed(cohort, tmp_path, monkeypatch) -> None:
    path, heard, seen = tmp_path / "c.h5", Heard(), []
    first = some(cohort, [0, 1, 2, 3, 4, 5, 8, 9, 12])
    extract_frozen(first, path, SETTINGS)
    before = folds_by_id(path)
    monkeypatch.setattr(
        "lymphofeat.cache.extract.fill",
        lambda partial, found, *rest: (
            seen.extend(found.images[row] for unit in partial.pending for row in partial.rows(unit))
            or fill(partial, found, *rest)
        ),
    )
    summary = extract_frozen(cohort, path, SETTINGS, progress=heard)
    new = [image for p in cohort.patients if p not in first.patients for image in p.images]
    assert sorted(seen) == sorted(new)
    assert summary.n_images - summary.n_before == len(new)
    assert f"{NAME}: {len(first.images)} images known, {len(new)} new." in heard.notes
    assert any("6 patients new (P6, P7, P10, P11" in note.replace(" and 2 more", "") for note in heard.notes)
    extract_frozen(cohort, tmp_path / "once.h5", SETTINGS)
    np.testing.assert_array_equal(features(path), features(tmp_path / "once.h5"))
    after = folds_by_id(path)
    assert {name: after[name] for name in before} == before
    cache = open_cache(path)
    for repeat in range(2):
        for fold in range(3):
            assert set(cache.labels[cache.folds[:, repeat] == fold]) == {0, 1}


@pytest.mark.parametrize("seed", range(3))
def test_any_history_ends_with_the_bits_of_a_cache_made_at_once(
    cohort: Cohort, tmp_path: Path, seed: int
) -> None:
    """Patients come, go and change places: always the features of a cache made at once, and folds that stay."""
    rng, path = np.random.default_rng(seed), tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    for step in range(3):
        before = folds_by_id(path)
        gone = rng.choice(15, rng.integers(0, 3), replace=False)
        now = some(cohort, [i for i in [*rng.permutation(12).tolist(), 12, 13, 14] if i not in gone])
        try:
            extract_frozen(now, path, SETTINGS)
        except StaleCacheError:  # a fold would be left without a class
            continue
        once = tmp_path / f"once{step}" / "c.h5"
        extract_frozen(now, once, replace(SETTINGS, n_folds=2))
        np.testing.assert_array_equal(features(path), features(once))
        assert open_cache(path).tables.digests == open_cache(once).tables.digests
        after = folds_by_id(path)
        assert all(after[name] == before[name] for name in set(before) & set(after))


def test_a_renamed_patient_keeps_fold_and_features(cohort: Cohort, tmp_path: Path) -> None:
    path, heard = tmp_path / "c.h5", Heard()
    extract_frozen(cohort, path, SETTINGS)
    before = folds_by_id(path)
    people = list(cohort.patients)
    people[3] = replace(
        people[3], id="Q3", given_names=tuple(f"new{k}.png" for k in range(len(people[3].images)))
    )
    summary = extract_frozen(replace(cohort, patients=tuple(people)), path, SETTINGS, progress=heard)
    assert summary.n_before == summary.n_images
    assert folds_by_id(path)["Q3"] == before["P3"]
    assert any("another ID of P3 (Q3)" in note for note in heard.notes)


def test_other_encodings_wait_and_say_so(cohort: Cohort, tmp_path: Path) -> None:
    path, other = tmp_path / "c.h5", replace(SETTINGS, seed=1)
    first = some(cohort, list(range(11)))
    extract_frozen(first, path, SETTINGS)
    extract_frozen(first, path, other)
    extract_frozen(cohort, path, other)
    cache = open_cache(path)
    assert list(cache.encodings) == ["small-cnn-random1-crop40"]
    assert list(cache.stale) == [NAME]
    with pytest.raises(
        StaleCacheError, match=rf"{NAME} lacks images of the cohort as it is now.*extract. command"
    ):
        cache.split(NAME, {0})
    extract_frozen(first, path, other)  # the patients are gone again: it fits as it is
    assert sorted(open_cache(path).encodings) == [NAME, "small-cnn-random1-crop40"]
    summary = extract_frozen(cohort, path, SETTINGS)
    assert summary.n_before == len(first.images)
    extract_frozen(cohort, path, other)
    assert sorted(open_cache(path).encodings) == [NAME, "small-cnn-random1-crop40"]


def test_another_cohort_is_refused_and_force_replaces_it(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_frozen(cohort, path, SETTINGS)
    other = noise_cohort(tmp_path / "other", side=52)
    before = path.read_bytes()
    with pytest.raises(StaleCacheError, match=r"made from another cohort: 0 of its .* --force to replace it"):
        extract_frozen(other, path, SETTINGS)
    assert path.read_bytes() == before
    extract_frozen(other, path, replace(SETTINGS, seed=1), force=True)
    cache = open_cache(path)
    assert [*cache.encodings, *cache.stale] == ["small-cnn-random1-crop40"]
    assert len(list((tmp_path / "c-encodings").iterdir())) == 1


def test_measured_cells_grow_with_their_imputed_values(tmp_path: Path) -> None:
    spec = SimulationSettings(patients=12, seed=5, size=96, images_range=(3, 4))
    cohort, path = read_cohort(simulate_cohort(tmp_path / "data", spec)), tmp_path / "c.h5"
    Image.new("RGB", (96, 96), (250, 228, 204)).save(cohort.patients[2].images[0])  # no cell
    few = replace(SETTINGS, crop=224)
    extract_morphology(some(cohort, list(range(len(cohort.patients) - 1))), path, settings=few)
    summary = extract_morphology(cohort, path, settings=few)
    assert 0 < summary.n_before < summary.n_images
    extract_morphology(cohort, tmp_path / "once.h5", settings=few)
    one, other = (open_cache(p).encodings["morphology"] for p in (path, tmp_path / "once.h5"))
    assert one.digest == other.digest


def test_fine_tuned_encoders_stay_blind_to_new_patients(cohort: Cohort, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "c.h5"
    first = some(cohort, [0, 1, 2, 3, 4, 5, 6, 7, 8, 12])
    extract_finetuned(first, path, FINETUNED)
    before = open_cache(path)
    with monkeypatch.context() as patch:
        patch.setattr(
            "lymphofeat.cache.member_training.train_encoder", lambda *_, **__: pytest.fail("trained")
        )
        extract_finetuned(cohort, path, FINETUNED)
    cache = open_cache(path)
    for fold, split in cache.splits(ENCODER_FAMILY).items():
        assert fold in (cache.encodings[split.encoding].blind_to or ())
        old, new = before.encodings[split.encoding], cache.encodings[split.encoding]
        assert new.made["trained_digest"] == old.made["trained_digest"]
        rows = [i for i, name in enumerate(cache.ids) if name in set(before.ids)]
        kept = np.concatenate([np.asarray(cache.bags(split.encoding)[i]) for i in rows])
        np.testing.assert_array_equal(kept, old.features)
    assert (
        tune(path, tmp_path / "s.db", n_trials=2, heads=["logistic"], encoding=ENCODER_FAMILY).n_trials == 2
    )
    extract_finetuned(cohort, path, FINETUNED, retrain=True)
    extract_finetuned(cohort, tmp_path / "fresh" / "c.h5", FINETUNED)
    anew = open_cache(path)
    assert {e.made["learnt_from"] for e in anew.encodings.values()} != {
        e.made["learnt_from"] for e in before.encodings.values()
    }


def test_an_encoder_that_saw_who_moved_is_refused_by_name(cohort: Cohort, tmp_path: Path) -> None:
    """A label that changed, and an image that lies with another patient now."""
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, FINETUNED)
    extract_frozen(change_label(cohort), path, SETTINGS)
    with pytest.raises(
        StaleCacheError, match="learnt from patient P4 with the label reactive, which is malignant now"
    ):
        open_cache(path).splits(ENCODER_FAMILY)
    extract_frozen(cohort, path, SETTINGS)  # put right
    assert len(open_cache(path).splits(ENCODER_FAMILY)) == 3
    folds = open_cache(path).folds[:, 0]
    one = 0
    other = next(i for i in range(1, 12) if folds[i] != folds[one] and cohort.patients[i].label == 0)
    people = list(cohort.patients)
    people[other] = replace(people[other], images=(*people[other].images, people[one].images[0]))
    people[one] = replace(people[one], images=people[one].images[1:])
    extract_frozen(replace(cohort, patients=tuple(people)), path, SETTINGS)
    with pytest.raises(StaleCacheError, match=f"learnt from image .* belongs to patient P{other} now"):
        open_cache(path).splits(ENCODER_FAMILY)


def test_an_encoder_that_saw_a_person_who_came_again_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    """The record that it learnt from is gone, and a new one lies in the test part."""
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, FINETUNED)
    rest = some(cohort, [i for i in range(15) if i != 2])
    extract_frozen(rest, path, SETTINGS)
    assert len(open_cache(path).splits(ENCODER_FAMILY)) == 3
    gone, people = cohort.patients[2], list(rest.patients)
    people[-1] = replace(people[-1], birth=gone.birth, sex=gone.sex)
    extract_frozen(replace(rest, patients=tuple(people)), path, SETTINGS)
    with pytest.raises(
        StaleCacheError, match=r"learnt from patient P2, who is gone and may be the same person as .*P14"
    ):
        open_cache(path).splits(ENCODER_FAMILY)
    extract_frozen(rest, path, SETTINGS)
    assert len(open_cache(path).splits(ENCODER_FAMILY)) == 3


def test_extract_says_which_other_encodings_wait(cohort: Cohort, tmp_path: Path) -> None:
    from lymphofeat import extract

    path, heard = tmp_path / "c.h5", Heard()
    options = {
        "frozen": True,
        "weights": "none",
        "crop": 40,
        "backbone": "small-cnn",
        "n_folds": 3,
        "batch_size": 5,
    }
    for seed in (0, 1):
        extract(some(cohort, list(range(11))), path, seed=seed, **options)
    extract(cohort, path, seed=1, progress=heard, **options)
    assert [NAME in note and "lacks images" in note for note in heard.notes].count(True) == 1


def test_info_says_whom_encoders_learnt_from(cohort: Cohort, tmp_path: Path, monkeypatch, capsys) -> None:
    path, run = tmp_path / "c.h5", runner(monkeypatch, capsys)
    first = some(cohort, [0, 1, 2, 3, 4, 5, 6, 7, 8, 12])
    extract_finetuned(first, path, FINETUNED)
    assert "learnt from" not in run("info", path).out
    extract_finetuned(cohort, path, FINETUNED)
    assert (
        f"{ENCODER_FAMILY}: learnt from 9 of now 12 patients; --retrain trains anew" in run("info", path).out
    )
    left_out = Exclusion("P3", "", "wrong stain", 5, 1, "train")
    without = some(replace(cohort, exclusions=(left_out,)), [i for i in range(15) if i != 3])
    extract_finetuned(without, path, FINETUNED)
    said = run("info", path).out
    assert "learnt from 8 of now 11 patients" in said
    assert "learnt from P3 (wrong stain), excluded since" in said
    assert run("info", next((tmp_path / "c-encodings").iterdir())).code == 2


def test_info_says_which_machine_computed_what(cohort: Cohort, tmp_path: Path, monkeypatch, capsys) -> None:
    path, run = tmp_path / "c.h5", runner(monkeypatch, capsys)
    first = some(cohort, list(range(11)))
    extract_frozen(first, path, SETTINGS)
    monkeypatch.setattr(
        "lymphofeat.cache.extract.computed_with",
        lambda _: {"device": "cuda", "processor": "NVIDIA H100", "torch": "9.9"},
    )
    extract_frozen(cohort, path, SETTINGS)
    new = len(cohort.images) - len(first.images)
    assert f"torch 9.9 on cuda (NVIDIA H100) ({new} images)" in " ".join(run("info", path).out.split())

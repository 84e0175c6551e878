"""Fine-tuning on a cache of other labels, values or settings: refused, corrected, or trained anew by force."""

import re
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import torch

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.finetune import FinetuneSettings, extract_finetuned
from lymphofeat.cache.trainings import encoders_folder
from lymphofeat.cohort.declared import ClinicalColumn
from lymphofeat.cohort.layout import Layout
from lymphofeat.cohort.model import Cohort
from lymphofeat.errors import InputError, LeakageError, StaleCacheError
from lymphofeat.training.recipe_file import change_recipe
from lymphofeat.training.trained import load_trained, save_trained

from ..helpers.finetuned import BASE, ENCODER_FAMILY, SEEING, SETTINGS, change, contents, tiny


def test_a_changed_label_or_setting_is_refused_and_force_trains_anew(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    before = path.read_bytes()
    with pytest.raises(
        StaleCacheError, match="learnt from patient P4 with the label reactive, which is malignant now"
    ):
        extract_finetuned(change(cohort, 4, label=1), path, SETTINGS)
    slower = change_recipe(tiny(), {"optimiser": {"lr": 1e-4}}, "test")
    with pytest.raises(StaleCacheError, match="made with other settings"):
        extract_finetuned(cohort, path, replace(SETTINGS, recipe=slower))
    assert path.read_bytes() == before
    extract_finetuned(cohort, path, replace(SETTINGS, recipe=slower, name="slower"))
    assert open_cache(path).encoder_families == sorted(["slower", ENCODER_FAMILY])
    changed = change(cohort, 4, label=1)
    before = contents(path)
    extract_finetuned(changed, path, SETTINGS, retrain=True)
    cache = open_cache(path)
    assert cache.encoder_families == [ENCODER_FAMILY]  # the other one waits for its own --retrain
    fold = int(cache.folds[4, 0])
    for name, (features, _) in contents(path).items():
        same = np.array_equal(features, before[name][0])
        assert same == (name == f"{ENCODER_FAMILY}-fold{fold}")  # which has not seen the patient


def test_corrected_clinical_values_count_where_the_network_sees_them(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    seeing = replace(SETTINGS, recipe=tiny("pooled+clinical"))
    extract_finetuned(cohort, path, SETTINGS)
    extract_finetuned(cohort, path, seeing)
    corrected = change(cohort, 1, count=99.5)
    assert extract_finetuned(corrected, path, SETTINGS).n_before == 3
    cache = open_cache(path)
    assert cache.encoder_families == [ENCODER_FAMILY]
    stale = cache.stale[f"{SEEING}-fold0"].encoder_family
    assert stale == SEEING
    with pytest.raises(
        StaleCacheError,
        match=rf"{re.escape(SEEING)}-fold.*P1 that were corrected since.*pooled.clinical.*--retrain",
    ):
        cache.members(SEEING)
    with pytest.raises(
        StaleCacheError,
        match=rf"{re.escape(SEEING)}-fold. was trained on clinical values of patient P1 that were corrected",
    ):
        extract_finetuned(corrected, path, seeing)
    assert extract_finetuned(cohort, path, seeing).n_before == 3  # the correction taken back
    assert not open_cache(path).stale
    extract_finetuned(corrected, path, seeing, force=True)
    assert open_cache(path).encoder_families == sorted([ENCODER_FAMILY, SEEING])
    extract_finetuned(corrected, tmp_path / "fresh" / "c.h5", seeing)
    for name, (features, own) in contents(tmp_path / "fresh" / "c.h5").items():
        np.testing.assert_array_equal(contents(path)[name][0], features)
        np.testing.assert_array_equal(contents(path)[name][1], own)


def test_values_that_no_network_sees_make_no_encoder_stale(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    seeing = replace(SETTINGS, recipe=tiny("scratch"))  # age and count
    summary = extract_finetuned(cohort, path, seeing)
    other_sex = change(cohort, 1, sex="")
    assert extract_finetuned(other_sex, path, seeing).n_before == 3
    cache = open_cache(path)
    assert cache.patients["sex"].iloc[1] == ""
    assert cache.encoder_families == [summary.encoder_family]


@pytest.mark.parametrize(("torch_version", "known"), [(str(torch.__version__), True), ("1.0.0", False)])
def test_what_version_0_1_trained_is_known_again(
    cohort: Cohort, tmp_path: Path, torch_version: str, *, known: bool
) -> None:
    """Its key was a digest that covered torch and device as well, and told nothing of what it was of."""
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    cache = open_cache(path)
    for name, encoding in cache.encodings.items():
        spec = replace(
            encoding.spec,
            block=0,
            about={k: v for k, v in encoding.attrs.items() if k != "processor"} | {"torch": torch_version},
        )
        state = blake2b(f"{spec.to_json()}{cache.tables.fingerprint}".encode(), digest_size=16)
        state.update(np.ascontiguousarray(cache.folds[:, 0]).data)
        trained = load_trained(encoders_folder(path) / f"{name}.safetensors")
        about = {k: v for k, v in trained.about.items() if k != "identity"} | {"key": state.hexdigest()}
        save_trained(encoders_folder(path) / f"{name}.safetensors", trained.network, trained.recipe, about)
    before = contents(path)
    path.unlink()
    if not known:
        with pytest.raises(StaleCacheError, match=r"differs from this run .*library versions"):
            extract_finetuned(cohort, path, SETTINGS)
        return
    extract_finetuned(cohort, path, SETTINGS)
    for name, (features, _) in contents(path).items():
        np.testing.assert_array_equal(features, before[name][0])


def test_a_trained_encoder_of_other_settings_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    path.unlink()
    with pytest.raises(StaleCacheError, match=r"differs from this run \(.*seed: 0, now 1;"):
        extract_finetuned(cohort, path, replace(SETTINGS, extract=replace(BASE, seed=1), name=ENCODER_FAMILY))
    extract_finetuned(cohort, path, SETTINGS)  # the networks are there: only encoded again


def test_a_fine_tuned_encoder_is_no_start(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    extract_finetuned(cohort, path, SETTINGS)
    weights = str(encoders_folder(path) / f"{ENCODER_FAMILY}-fold0.safetensors")
    for run in (extract_frozen, extract_finetuned):
        base = replace(BASE, weights=weights, backbone="small-cnn", crop=32)
        pooled = change_recipe(tiny("pooled"), {}, "test")
        with pytest.raises(LeakageError, match="fine-tuned on a cohort's labels"):
            run(cohort, path, base if run is extract_frozen else FinetuneSettings(pooled, base))


def test_a_network_sees_declared_values_and_is_stale_when_they_change(cohort: Cohort, tmp_path: Path) -> None:
    path, declared = tmp_path / "c.h5", {"hb": ClinicalColumn(), "ldh": ClinicalColumn(log=True)}
    values = [{"hb": 9.0 + i, "ldh": 100.0 + i, "lineage": "B"} for i in range(len(cohort.patients))]
    layout = Layout(clinical={**declared, "lineage": ClinicalColumn(kind="category")})

    def given(values: list[dict[str, float | str]], layout: Layout = layout) -> Cohort:
        people = [replace(p, values=own) for p, own in zip(cohort.patients, values, strict=True)]
        return replace(cohort, patients=tuple(people), layout=layout)

    def seeing(*names: str) -> FinetuneSettings:
        recipe = change_recipe(tiny("pooled+clinical"), {"clinical": {"values": names}}, "test")
        return replace(SETTINGS, recipe=recipe, name="seeing")

    for names, message in (
        (
            ("hbb",),
            r"asks for the clinical value 'hbb', which the cohort does not have \(did you mean 'hb'\?\)",
        ),
        (("lineage",), "'lineage', which is a category"),
    ):
        with pytest.raises(InputError, match=message):
            extract_finetuned(given(values), path, seeing(*names))
    assert not path.exists()
    extract_finetuned(given(values), path, seeing("age", "hb", "log ldh"))
    extract_finetuned(given(values), path, SETTINGS)
    assert not open_cache(path).stale
    corrected = [{**own, "hb": 1.0 + own["hb"]} for own in values]  # type: ignore[operator]
    extract_finetuned(given(corrected), path, SETTINGS)
    assert {e.encoder_family for e in open_cache(path).stale.values()} == {"seeing"}
    extract_finetuned(given(values, Layout()), path, SETTINGS)  # nothing is declared any more
    assert {e.encoder_family for e in open_cache(path).stale.values()} == {"seeing"}

"""Simulated cohorts of which it is known where the signal is: in the images, or in the clinical table."""

from pathlib import Path

import numpy as np
import pytest

from lymphofeat.cache import Cache, open_cache
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cache.finetune import FinetuneSettings, extract_finetuned
from lymphofeat.cohort.read import read_cohort
from lymphofeat.estimates.scores import roc_auc_score
from lymphofeat.heads import FitCache, Split, fit_predict, pooled
from lymphofeat.heads.linear import Logistic
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort
from lymphofeat.synthetic.patients import Signal
from lymphofeat.training.recipe_file import change_recipe, find_recipe

N_FOLDS = 5


def encoded(folder: Path, signal: Signal, epochs: int) -> tuple[Cache, str, str]:
    """A cache with the frozen random encoder and the same one fine-tuned; their encoder families."""
    spec = SimulationSettings(
        patients=110, seed=3, test_fraction=0.05, size=64, images_range=(10, 16), overlap=0.1, signal=signal
    )
    cohort = read_cohort(simulate_cohort(folder / "cohort", spec))
    recipe = change_recipe(
        find_recipe("pooled-small-cnn"),
        {
            "training": {"crop": 64, "epochs": epochs},
            "batches": {"patients": 8, "images": 128},
            "augment": {"rotate": "right"},
        },
        "test",
    )
    base = ExtractSettings(
        backbone="small-cnn", weights="none", seed=0, crop=64, n_folds=N_FOLDS, device="cpu"
    )
    path = folder / "c.h5"
    frozen = extract_frozen(cohort, path, base).encoding
    tuned = extract_finetuned(cohort, path, FinetuneSettings(recipe, base)).encoder_family
    return open_cache(path), frozen, tuned


def out_of_fold(cache: Cache, encoder_family: str, inputs: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of the labelled patients, by logistic regression on mean features."""
    fold, labels = cache.folds[:, 0], cache.labels
    p = np.full(len(labels), np.nan)
    for k in range(N_FOLDS):
        encoding = cache.blind_encoding(encoder_family, {k})
        train, test = np.flatnonzero((fold >= 0) & (fold != k)), np.flatnonzero(fold == k)
        split = Split(cache.bags(encoding.name), encoding.digest, train, test)
        p[test] = fit_predict(pooled(Logistic, inputs=inputs), [split], cache.patients, labels, FitCache())[0]
    return labels[fold >= 0], p[fold >= 0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_with_the_signal_in_the_images_training_beats_random_features_and_both_beat_chance(
    tmp_path: Path,
) -> None:
    cache, frozen, tuned = encoded(tmp_path, "image", epochs=10)
    random_auc, tuned_auc, clinical_auc = (
        roc_auc_score(*out_of_fold(cache, encoder_family, inputs))
        for encoder_family, inputs in ((frozen, "image"), (tuned, "image"), (frozen, "clinical"))
    )
    assert 0.7 < random_auc < tuned_auc - 0.03
    assert clinical_auc < 0.65


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_with_the_signal_in_the_table_fusion_loses_next_to_nothing(tmp_path: Path) -> None:
    cache, _, tuned = encoded(tmp_path, "clinical", epochs=6)
    y, clinical = out_of_fold(cache, tuned, "clinical")
    _, image = out_of_fold(cache, tuned, "image")
    _, both = out_of_fold(cache, tuned, "both")
    alone = roc_auc_score(y, clinical)
    assert alone > 0.9
    assert roc_auc_score(y, both) >= alone - 0.02
    assert roc_auc_score(y, (clinical + image) / 2) >= alone - 0.02

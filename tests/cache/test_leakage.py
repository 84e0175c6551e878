"""The noise test: labels that mean nothing are predicted by chance, unless an encoder saw the fold it is scored on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lymphofeat.cache import Cache, open_cache, save_cache
from lymphofeat.cache.extract import ExtractSettings
from lymphofeat.cache.finetune import FinetuneSettings, extract_finetuned
from lymphofeat.cohort.folds import persons
from lymphofeat.cohort.model import Cohort
from lymphofeat.cohort.read import read_cohort
from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.encoder.pixels import Preprocessing, read_block
from lymphofeat.errors import LeakageError
from lymphofeat.estimates.scores import bootstrap, roc_auc_score
from lymphofeat.heads import FitCache, Split, fit_predict, pooled
from lymphofeat.heads.linear import Logistic
from lymphofeat.scoring.plan import ScoringPlan
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort
from lymphofeat.training.networks import PatientNetwork
from lymphofeat.training.recipe import LossRecipe
from lymphofeat.training.recipe_file import change_recipe, find_recipe
from lymphofeat.training.step import TrainingStep, bag_features, draw_groups

CROP = 32
N_FOLDS = 4
RECIPE = change_recipe(
    find_recipe("pooled-small-cnn"),
    {"training": {"crop": CROP, "epochs": 3}, "batches": {"patients": 8}, "augment": {"rotate": "right"}},
    "test",
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("drawn") / "cohort"
    spec = SimulationSettings(
        patients=60, seed=5, test_fraction=0.1, size=40, images_range=(3, 5), signal="none"
    )
    return read_cohort(simulate_cohort(folder, spec))


def permuted(cohort: Cohort, seed: int) -> Cohort:
    """The cohort with its labels dealt out anew among the labelled persons, so that they mean nothing."""
    table = cohort.table()
    labelled = np.flatnonzero((table["label"] >= 0).to_numpy())
    rng = np.random.default_rng([seed, 9])
    _, person = np.unique(persons(table)[labelled], return_inverse=True)
    dealt = rng.permutation(np.arange(person.max() + 1) % 2)[person]
    patients = list(cohort.patients)
    for row, label in zip(labelled, dealt, strict=True):
        patients[row] = replace(patients[row], label=int(label))
    return replace(cohort, patients=tuple(patients))


def out_of_fold(
    cache: Cache, predict: Callable[[int, np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of the labelled patients: `predict(fold, train, test)` fold by fold."""
    fold, labels = cache.folds[:, 0], cache.labels
    p = np.full(len(labels), np.nan)
    for k in np.unique(fold[fold >= 0]):
        test = np.flatnonzero(fold == k)
        p[test] = predict(int(k), np.flatnonzero((fold >= 0) & (fold != k)), test)
    return labels[fold >= 0], p[fold >= 0]


def head_on(cache: Cache, name_of: Callable[[int], str]) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression on mean features of the encoding `name_of(fold)`, out of fold."""

    def predict(fold: int, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        split = Split(cache.bags(name_of(fold)), name_of(fold), train, test)
        return fit_predict(
            pooled(Logistic, inputs="image"), [split], cache.patients, cache.labels, FitCache()
        )[0]

    return out_of_fold(cache, predict)


def honest(cohort: Cohort, path: Path, seed: int) -> tuple[float, float, bool]:
    """AUC of the heads and of the networks themselves, and whether the heads' interval holds 0.5."""
    settings = FinetuneSettings(
        RECIPE,
        ExtractSettings(
            weights="none", seed=seed, n_folds=N_FOLDS, fold_seed=seed, n_repeats=1, device="cpu"
        ),
    )
    encoder_family = extract_finetuned(permuted(cohort, seed), path, settings).encoder_family
    cache = open_cache(path)
    y, p = head_on(cache, lambda fold: cache.blind_encoding(encoder_family, {fold}).name)
    _, own = out_of_fold(
        cache, lambda fold, _, test: cache.blind_encoding(encoder_family, {fold}).end_to_end[test]
    )
    interval = bootstrap("auc", y, p).interval()
    return interval.value, roc_auc_score(y, own), interval.low <= 0.5 <= interval.high


def test_permuted_labels_are_predicted_by_chance(simulated: Cohort, tmp_path: Path) -> None:
    found = [honest(simulated, tmp_path / f"{seed}" / "c.h5", seed) for seed in range(2)]
    assert all(0.2 < head < 0.8 and 0.2 < own < 0.8 for head, own, _ in found)


@pytest.mark.slow
def test_permuted_labels_over_twelve_seeds(simulated: Cohort, tmp_path: Path) -> None:
    found = [honest(simulated, tmp_path / f"{seed}" / "c.h5", seed) for seed in range(12)]
    heads, own, covers = zip(*found, strict=True)
    assert abs(np.mean(heads) - 0.5) <= 0.05
    assert abs(np.mean(own) - 0.5) <= 0.05
    assert sum(covers) >= 10  # of twelve 95 % intervals


def memorised(cohort: Cohort, epochs: int = 20) -> np.ndarray:
    """Features of one encoder trained on every labelled patient: the construction that the program refuses."""
    network = PatientNetwork(untrained(backbone_named("small-cnn"), 0), 128, RECIPE, 0)
    backbone = backbone_named("small-cnn")
    preprocessing = Preprocessing(CROP, backbone.mean, backbone.std)
    images = preprocessing.normalise(read_block(cohort.images, CROP), torch.float32)

    class Source:
        def training(self, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
            return images[rows]

        plain = property(lambda self: lambda rows: images[rows])

    sizes = np.array([len(p.images) for p in cohort.patients])
    first = np.cumsum(sizes) - sizes
    known = np.flatnonzero(cohort.labels >= 0)
    labels = torch.from_numpy(cohort.labels[known].astype(np.float32))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    step = TrainingStep(
        network.train(), Source(), optimiser, labels, torch.zeros(len(known), 2), LossRecipe(), torch.ones(2),
        images=64, device=CPU,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        for group in draw_groups(first[known], sizes[known], 8, 0, rng):
            step(group, seed=0)
    return np.concatenate(
        [
            bag_features(network, Source(), [np.array([row])], 64, CPU, torch.float32).numpy()
            for row in range(len(images))
        ]
    )


def test_one_encoder_on_all_patients_scores_high_and_is_refused(simulated: Cohort, tmp_path: Path) -> None:
    cohort = permuted(simulated, 1)
    features = memorised(cohort)
    table = cohort.table()
    path = tmp_path / "wrong.h5"
    save_cache(path, table, {"wrong": features}, n_folds=N_FOLDS, n_repeats=1, blind_to={"wrong": ()})
    cache = open_cache(path)
    y, p = head_on(cache, lambda _: "wrong")
    assert roc_auc_score(y, p) > 0.8  # by hand, past every check: labels that mean nothing are "predicted"
    with pytest.raises(LeakageError, match=r"encoding wrong \(wrong\) has seen labels of fold 0 of repeat 0"):
        cache.split("wrong", {0})
    with pytest.raises(LeakageError, match="has seen labels"):
        ScoringPlan.of(cache, "wrong")

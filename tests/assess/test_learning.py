"""Learning curves: what is learnt from, and what the curve says of simulated cohorts."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lymphofeat.assess.learning as learning_module
from lymphofeat.assess import assess
from lymphofeat.assess.learning import learning_curve
from lymphofeat.cache import Cache, open_cache, save_cache
from lymphofeat.errors import InputError, LeakageError
from lymphofeat.estimates.scores import score
from lymphofeat.heads.base import Split
from lymphofeat.progress import Silent
from lymphofeat.report.assess_learning import learning_sentence, measured_learning_curve
from lymphofeat.scoring.score import score_head
from lymphofeat.studies.space import build_head
from lymphofeat.synthetic.features import simulate_features

from ..helpers.caches import features, frozen_cache, patients, tuned_cache
from ..helpers.nested import nested, table_of

PARAMS = {
    "family": "logistic", "logistic.inputs": "image", "logistic.penalty": "l2", "logistic.C": 0.1,
    "logistic.class_weight": None, "logistic.pooling": "mean", "logistic.scale": True, "logistic.reduce": False,
}  # fmt: skip
FEW: dict[str, Any] = {"n_resamples": 200, "n_draws": 3}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    simulated = simulate_features(150, 6, 24, strength=2.5, signal="mean", seed=4)
    path = tmp_path_factory.mktemp("learning") / "c.h5"
    save_cache(path, simulated.table, {"frozen": np.concatenate(simulated.bags)})
    return open_cache(path)


def splits_of(
    cache: Cache, encoder_family: str, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> list[list[Split]]:
    """The splits that are fitted, per call."""
    seen = []
    real = learning_module.fit_predict

    def spy(head: Any, splits: list[Split], *rest: Any) -> Any:
        seen.append(splits)
        return real(head, splits, *rest)

    monkeypatch.setattr(learning_module, "fit_predict", spy)
    learning_curve(cache, encoder_family, PARAMS, **options)
    return seen


def test_subsets_are_nested_balanced_and_never_of_the_fold(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = splits_of(cache, "frozen", monkeypatch, **FEW, n_sizes=4)
    assert len(calls) == 1 + 3 * 3
    labels, folds = cache.labels, cache.folds[:, 0]
    for draw in range(3):
        sizes = [calls[size * 3 + draw] for size in range(3)] + [calls[-1]]
        for k, splits in enumerate(zip(*sizes, strict=True)):
            test = splits[0].test
            assert set(folds[test]) == {k}
            for small, large in pairwise(splits):
                assert set(small.train) < set(large.train)
            for split in splits:
                assert not set(split.train) & set(test)
                assert labels[split.train].mean() == pytest.approx(labels[splits[-1].train].mean(), abs=0.04)
            assert set(splits[-1].train) == set(np.flatnonzero(folds != k))
    first, second = calls[0][0].train, calls[1][0].train
    assert set(first) != set(second)  # drawn anew


def test_the_largest_size_is_the_study_s_own_score(cache: Cache) -> None:
    found = learning_curve(cache, "frozen", PARAMS, **FEW, n_sizes=3)
    expected = score_head(cache, "frozen", build_head(PARAMS)).values["auc"]
    measured = found.table[found.table["measured"]]
    assert measured["score"].iloc[-1] == pytest.approx(expected)
    assert measured["n"].iloc[-1] == found.n_now == 120
    assert measured["n"].iloc[0] == pytest.approx(30, abs=1)
    assert found.table["n"].tolist()[-2:] == [180, 240]
    assert found.table["score"].isna().tolist() == (~found.table["measured"]).tolist()


def test_every_fold_may_have_a_head_of_its_own(cache: Cache) -> None:
    folds = np.unique(cache.folds[cache.labels >= 0, 0])
    same = learning_curve(cache, "frozen", [((PARAMS, 1.0),)] * len(folds), **FEW, n_sizes=3)
    once = learning_curve(cache, "frozen", PARAMS, **FEW, n_sizes=3)
    assert same.table.to_numpy(float) == pytest.approx(once.table.to_numpy(float), nan_ok=True)
    others = [{**PARAMS, "logistic.C": 10.0 ** (2 - int(k))} for k in folds]
    found = learning_curve(cache, "frozen", [((one, 1.0),) for one in others], **FEW, n_sizes=3)
    p = np.full(len(cache.labels), np.nan)
    for k in folds:
        scores = score_head(cache, "frozen", build_head(others[int(k)]))
        here = cache.folds[cache.labels >= 0, 0] == k
        p[np.flatnonzero(cache.labels >= 0)[here]] = scores.probabilities[here, 0]
    known = cache.labels >= 0
    assert found.table["score"].iloc[2] == pytest.approx(score("auc", cache.labels[known], p[known]))
    with pytest.raises(InputError, match="There are 5 folds, and parameters for 2"):
        learning_curve(cache, "frozen", [((PARAMS, 1.0),)] * 2)


def test_an_average_learns_as_one(cache: Cache) -> None:
    folds = np.unique(cache.folds[cache.labels >= 0, 0])
    clinical = {"family": "logistic", "logistic.inputs": "clinical", "logistic.C": 1.0} | {
        "logistic.penalty": "l2", "logistic.class_weight": "balanced", "logistic.interaction": False,
        "logistic.spline": None,
    }  # fmt: skip
    members = [((PARAMS, 0.75), (clinical, 0.25))] * len(folds)
    found = learning_curve(cache, "frozen", members, **FEW, n_sizes=3, metric="balanced_accuracy")
    one, two = (score_head(cache, "frozen", build_head(p)).probabilities[:, 0] for p in (PARAMS, clinical))
    y, of = cache.labels[cache.labels >= 0], cache.folds[cache.labels >= 0, 0]
    share = np.array([y[of != k].mean() for k in of])
    decided = 0.75 * one + 0.25 * two >= 0.75 * share + 0.25 * 0.5
    assert found.table["score"].iloc[2] == pytest.approx(score("balanced_accuracy", y, decided))
    assert found.n_heads == 2
    assert learning_sentence(found).endswith(
        "with the parameters of the averages of up to 2 heads per fold (logistic) held fixed."
    )


def test_scores_are_averaged_not_predictions(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    real = learning_module._predicted

    def spy(*arguments: Any) -> Any:
        said.append(real(*arguments))
        return said[-1]

    monkeypatch.setattr(learning_module, "_predicted", spy)
    found = learning_curve(cache, "frozen", PARAMS, **FEW, n_sizes=3)
    labelled = cache.labels >= 0
    each = [score("auc", cache.labels[labelled], p[labelled]) for p, _ in said[:3]]
    assert found.table["score"].iloc[0] == pytest.approx(np.mean(each))


def test_more_patients_help_where_there_is_more_to_learn(cache: Cache) -> None:
    found = learning_curve(cache, "frozen", PARAMS, n_resamples=300, n_draws=4)
    table = found.table
    assert table["score"].iloc[7] > table["score"].iloc[0] + 0.02
    assert table["fitted"].is_monotonic_increasing
    assert 0 < found.gain.value < 0.15
    assert found.gain.low >= 0
    assert found.gain.value == pytest.approx(table["fitted"].iloc[-1] - table["fitted"].iloc[7])
    sentence = learning_sentence(found)
    assert sentence.startswith(
        f"Training on 240 patients instead of 120 would change the AUC by +{found.gain.value:.3f} ["
    )
    assert sentence.endswith("with the parameters of the logistic head held fixed.")


def test_the_same_seed_gives_the_same_curve(cache: Cache) -> None:
    one, two, other = (
        learning_curve(cache, "frozen", PARAMS, **FEW, n_sizes=3, seed=s, metric="balanced_accuracy")
        for s in (1, 1, 2)
    )
    assert one.table.equals(two.table)
    assert not one.table.equals(other.table)


def test_every_fold_is_predicted_under_what_is_blind_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache(tuned_cache(tmp_path / "t.h5", pairs=False))
    for splits in splits_of(cache, "tuned", monkeypatch, n_sizes=3, n_draws=1, n_resamples=50):
        for k, split in enumerate(splits):
            assert split.features_digest == cache.encodings[f"tuned-{k}"].digest
    table = patients()
    save_cache(
        tmp_path / "w.h5",
        table,
        {"t0": features(table)},
        n_folds=4,
        encoder_families={"t0": "t"},
        blind_to={"t0": (0,)},
    )
    with pytest.raises(LeakageError, match="has seen labels of fold 1"):
        learning_curve(open_cache(tmp_path / "w.h5"), "t", PARAMS)


def test_bad_arguments_are_refused(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs the metric auc or balanced_accuracy, not 'brier'"):
        learning_curve(cache, "frozen", PARAMS, metric="brier")
    with pytest.raises(InputError, match="three sizes or more"):
        learning_curve(cache, "frozen", PARAMS, n_sizes=2)
    with pytest.raises(InputError, match="A fold leaves 7 patients of one class"):
        learning_curve(open_cache(frozen_cache(tmp_path / "s.h5", n=20)), "frozen", PARAMS)


def test_an_assessment_gains_the_curve_or_says_why_not(cache: Cache, tmp_path: Path) -> None:
    found = assess(nested(), [], table_of(), n_resamples=50)
    more = measured_learning_curve(found, cache, "frozen", PARAMS, Silent())
    assert more.tables["learning_curve"]["measured"].sum() == 8
    assert more.notes[-1].startswith("Training on 240 patients instead of 120")
    small = open_cache(frozen_cache(tmp_path / "s.h5", n=20))
    without = measured_learning_curve(found, small, "frozen", PARAMS, Silent())
    assert list(without.tables) == list(found.tables)
    assert without.notes[-1].startswith("There is no learning curve: A fold leaves 7 patients of one class")

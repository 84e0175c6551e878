"""Heads on several encodings: each encoding on its own axes, blind where all are blind, the same by every way."""

from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.base import clone

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.bags import Bags, JoinedBags
from lymphofeat.errors import InputError, LeakageError
from lymphofeat.heads import FitCache, Logistic, Split, fit_predict, pooled
from lymphofeat.heads.fusion.encodings import LateEncodings, OnEncodings, StackedEncodings
from lymphofeat.heads.registry import head_types
from lymphofeat.studies import load_study, tune
from lymphofeat.studies.space import Space, build_head
from lymphofeat.synthetic.features import simulate_features

from ..helpers.caches import features, patients

N = 48
Patients = tuple[JoinedBags, pd.DataFrame, np.ndarray]


@pytest.fixture(scope="module")
def cohort() -> Patients:
    made = simulate_features(N, (3, 9), 6, signal="mean", strength=2.0, seed=1)
    cells = Bags.from_list(made.bags)
    rng = np.random.default_rng(5)
    other = rng.normal(size=(len(cells.features), 4)) + 0.4 * np.repeat(made.y, cells.lengths)[:, None]
    colour = Bags(1e3 * other.astype(np.float32), cells.starts, cells.lengths)
    return JoinedBags({"cells": cells, "colour": colour}), made.table, made.y


def split_of(bags: Bags) -> Split:
    return Split(bags, "of cells,of colour", np.arange(0, 36), np.arange(36, N), "c0,d0")


def test_each_encoding_has_its_own_axes_and_weight(cohort: Patients) -> None:
    bags, clinical, y = cohort
    head = pooled(Logistic, inputs="image", pca=3)
    joined = OnEncodings(head=head, encodings=("cells", "colour"), weights={"colour": 0.5}).fit(*cohort)
    table = joined.head_.design_.transform(bags.only(("cells", "colour"), {"colour": 0.5}), clinical)
    alone = [
        clone(head).fit(bags.parts[name], clinical, y).design_.transform(bags.parts[name], clinical)
        for name in ("cells", "colour")
    ]
    np.testing.assert_allclose(table[:, ::2], alone[0])  # in turns, the widest axis of each first
    np.testing.assert_allclose(table[:, 1::2], 0.5 * alone[1])


def test_one_of_the_encodings_is_that_one_alone(cohort: Patients) -> None:
    bags, clinical, y = cohort
    head = pooled(Logistic, inputs="both")
    alone = clone(head).fit(bags.parts["colour"], clinical, y)
    among = OnEncodings(head=head, encodings=("colour",)).fit(*cohort)
    np.testing.assert_array_equal(
        among.predict_proba(bags, clinical), alone.predict_proba(bags.parts["colour"], clinical)
    )


def test_late_is_the_mean_of_log_odds(cohort: Patients) -> None:
    bags, clinical, y = cohort
    head = pooled(Logistic, inputs="both")
    late = LateEncodings(head=head, encodings=("cells", "colour")).fit(*cohort)
    each = [
        clone(head).fit(part, clinical, y).predict_proba(part, clinical)[:, 1] for part in bags.parts.values()
    ]
    expected = expit(np.mean([logit(p) for p in each], axis=0))
    np.testing.assert_allclose(late.predict_proba(bags, clinical)[:, 1], expected, atol=1e-7)


def points(head_type: str) -> list[dict]:
    """Points of the space on two encodings: one of them alone, and each way to join them."""
    space = Space.of([head_type], ["image", "both"]).on("cells,colour")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    wanted = {"colour", "early", "late"} | ({"stacked"} if head_types()[head_type].cost == "cheap" else set())
    found: dict[str, dict] = {}
    while wanted - found.keys():
        trial = study.ask()
        space.suggest(trial)
        way = trial.params.get(f"{head_type}.join", trial.params[f"{head_type}.encodings"])
        found.setdefault(way, trial.params)
    return [found[way] for way in sorted(wanted)]


@pytest.mark.parametrize("head_type", sorted(n for n in head_types() if head_types()[n].cost != "expensive"))
def test_every_head_type_takes_them(head_type: str, cohort: Patients) -> None:
    """All ways of joining are drawn, and a fit by itself says what the fit of a search says."""
    bags, clinical, y = cohort
    split = split_of(bags)
    for params in points(head_type):
        head = build_head(params)
        (batch,) = fit_predict(head, [split], clinical, y, FitCache())
        train = split.train
        model = clone(head).fit(bags.select(train), clinical.iloc[train], y[train])
        alone = model.predict_proba(bags.select(split.test), clinical.iloc[split.test])[:, 1]
        np.testing.assert_allclose(batch, alone, atol=2e-5, err_msg=str(params))


def test_what_images_add_adds_up(cohort: Patients) -> None:
    bags, clinical, _ = cohort
    head = pooled(Logistic, inputs="both", pca=3, cross=True)
    for join in (
        OnEncodings(head=head, encodings=("cells", "colour"), weights={"colour": 2.0}),
        LateEncodings(head=head, encodings=("cells", "colour")),
        StackedEncodings(head=head, encodings=("cells", "colour")),
    ):
        told = join.fit(*cohort).image_contributions(bags, clinical)
        assert told is not None
        np.testing.assert_allclose(expit(told.logits), join.predict_proba(bags, clinical)[:, 1], rtol=1e-6)


def test_a_missing_encoding_is_named(cohort: Patients) -> None:
    bags, clinical, y = cohort
    head = OnEncodings(head=pooled(Logistic), encodings=("cells", "shape"))
    with pytest.raises(InputError, match=r"needs the encoding shape, which its bags \(cells, colour\) lack"):
        head.fit(bags, clinical, y)
    with pytest.raises(
        InputError, match=r"needs the encoding cells, which its bags \(of one encoding\) lack"
    ):
        head.fit(bags.parts["cells"], clinical, y)


def test_nothing_is_drawn_for_heads_that_see_no_image_or_one_encoding() -> None:
    for encoder_families, inputs in (("cells,colour", ["clinical"]), ("cells", [])):
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
        Space.of(["logistic"], inputs).on(encoder_families).suggest(trial)
        assert not [name for name in trial.params if "encodings" in name or "join" in name]
    assert Space.of().on("cells").digest == Space.of().digest


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`frozen` and `colour` saw no label; `tuned` is blind fold by fold."""
    path, table = tmp_path_factory.mktemp("cache") / "c.h5", patients()
    tuned = {f"tuned-{k}": {k} for k in range(3)}
    save_cache(
        path,
        table,
        {"frozen": features(table), "colour": features(table, 4, seed=7)}
        | {name: features(table, seed=9) for name in tuned},
        n_folds=3,
        encoder_families=dict.fromkeys(tuned, "tuned"),
        blind_to=tuned,
    )
    return path


def test_a_split_is_blind_where_all_its_encodings_are(cache: Path) -> None:
    found = open_cache(cache)
    split = found.split("frozen,tuned", {1})
    assert split.encodings == ("frozen", "tuned-1")
    assert isinstance(split.bags, JoinedBags)
    np.testing.assert_array_equal(split.bags.features[:, 16:], found.encodings["tuned-1"].features)
    assert [part.features_digest for part in split.parts] == [
        found.encodings[name].digest for name in ("frozen", "tuned-1")
    ]
    with pytest.raises(LeakageError, match=r"tuned .* has seen labels of folds 0, 1"):
        found.split("frozen,tuned", {0, 1})
    with pytest.raises(LeakageError, match="learns from patient"):
        found.predicting(split, found.labelled[found.folds[found.labelled, 0] == 0])
    assert [s.encoding for s in found.final_splits("frozen,tuned")] == [f"frozen,tuned-{k}" for k in range(3)]
    (whole,) = found.final_splits("colour,frozen")
    assert len(whole.train) == len(found.labelled)


def test_a_search_chooses_among_them(cache: Path, tmp_path: Path) -> None:
    """The order of the names means nothing, and a study that is gone on with is the unbroken one."""
    study, again = tmp_path / "s.db", tmp_path / "again.db"
    summary = tune(cache, study, n_trials=12, encoding="frozen,colour", heads=["logistic", "lda"])
    assert summary.encoding == "colour,frozen"
    tried = summary.trials["params_logistic.encodings"].dropna()
    assert {"colour", "frozen", "colour,frozen"} == set(tried)
    tune(cache, again, n_trials=5, encoding="colour,frozen", heads=["logistic", "lda"])
    tune(cache, again, n_trials=12, encoding="frozen, colour", heads=["logistic", "lda"])
    pd.testing.assert_frame_equal(load_study(again).trials, summary.trials)
    with pytest.raises(InputError, match=r"no encoder family 'colours'.*did you mean 'colour'"):
        tune(cache, tmp_path / "x.db", n_trials=1, encoding="frozen,colours")
    with pytest.raises(InputError, match="are not different ones"):
        tune(cache, tmp_path / "x.db", n_trials=1, encoding="frozen,frozen")
    assert not (tmp_path / "x.db").exists()

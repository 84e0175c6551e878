"""The whole assessment, its stability, subgroups and optimism tables."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from lymphofeat.assess import SelectedModels, assess
from lymphofeat.assess.optimism import optimism_table
from lymphofeat.assess.runs import Runs
from lymphofeat.assess.stability import choices_table, patients_table, stability_table
from lymphofeat.assess.subgroups import LOW_COUNTS, gains_table, subgroups_of, subgroups_table
from lymphofeat.errors import InputError
from lymphofeat.estimates.scores import score
from lymphofeat.nested.result import Nested
from lymphofeat.studies import tune

from ..helpers.caches import frozen_cache
from ..helpers.nested import nested, table_of

FEW = {"n_resamples": 100}


def selected(better: float = 0.0, seed: int = 0, runs: int = 1) -> SelectedModels:
    """A tuned result on the patients of `nested`, with so much more strength."""
    one = nested(strength=2 + better, seed=seed, runs=runs)
    found = Runs.of(one)
    return SelectedModels(
        one.ids, found, 50, {"logistic": ("cheap", found), "attention": ("expensive", found)}
    )


def test_all_tables_are_there_and_the_same_twice() -> None:
    others = [nested("clinical only", inputs=("clinical",), seed=1), nested("untrained encoder", seed=2)]
    first, again = (assess(nested(), others, table_of(), selected(), **FEW) for _ in range(2))
    assert list(first.tables) == list(again.tables)
    for name, table in first.tables.items():
        assert len(table), name
        pd.testing.assert_frame_equal(table, again.tables[name])
    assert first.differences == again.differences
    assert (first.n, first.n_malignant, first.n_folds, first.n_runs) == (120, 72, 5, 1)
    assert first.notes == (
        "One run says nothing about how the next would decide; give more --repeats or --seeds.",
    )


def test_what_is_lacking_is_said() -> None:
    found = assess(nested(inner=False), [], table_of(), **FEW)
    assert [note[:35] for note in found.notes] == [
        "Clinical values alone were not eval",
        "Some fold has no inner predictions ",
        "One run says nothing about how the ",
        "No search on all folds was given, s",
    ]
    assert found.simplest_pipeline.simplest == "image + clinical"
    assert found.simplest_head_type is None


def test_rows_are_found_by_their_ids() -> None:
    table = table_of().sample(frac=1, random_state=5)
    pd.testing.assert_frame_equal(
        assess(nested(), [], table, **FEW).tables["subgroups"],
        assess(nested(), [], table_of(), **FEW).tables["subgroups"],
    )
    with pytest.raises(InputError, match="lacks 'P7'"):
        assess(nested(), [], table[table["id"] != "P7"], **FEW)
    with pytest.raises(InputError, match="other patients than the nested one"):
        assess(nested(), [], table, replace(selected(), ids=("P0",)), **FEW)


def test_optimism_is_tuned_minus_nested_and_flatters_when_positive() -> None:
    main, found = nested(), selected(better=1.5)
    table = optimism_table(main, found).set_index("metric")
    for metric in ("auc", "log_loss"):
        sign = -1 if metric == "log_loss" else 1
        values = "ranks" if metric == "auc" else "probabilities"
        there, here = (getattr(runs, values)[:, 0] for runs in (found.best, Runs.of(main)))
        gain = sign * (score(metric, main.y, there) - score(metric, main.y, here))
        row = table.loc[metric]
        assert row["optimism"] == pytest.approx(gain)
        assert 0 < row["optimism_low"] < gain < row["optimism_high"]
    outer = np.mean([score("brier", main.y[f.rows], f.probabilities) for f in main.folds_of_runs])
    assert table.loc["brier", "inner_optimism"] == pytest.approx(outer - 0.9)


def test_a_head_that_was_not_selected_has_no_optimism() -> None:
    """The same predictions on both sides, heads of different folds unequally sure and moved against each other."""
    main = unequal(nested())
    table = optimism_table(main, SelectedModels(main.ids, Runs.of(main), 1, {})).set_index("metric")
    assert table[["optimism", "optimism_low", "optimism_high"]].abs().to_numpy().max() == 0
    as_they_are = Runs(main.y, main.probabilities, main.decisions)
    assert Runs.of(main).value("auc") > as_they_are.value("auc") + 0.05  # or the comparison would be easy
    table = optimism_table(main, SelectedModels(main.ids, as_they_are, 1, {})).set_index("metric")
    assert table["optimism"].abs().max() == 0
    assert table.loc["auc", "nested"] == pytest.approx(as_they_are.value("auc"))


def test_inside_the_folds_single_folds_are_compared() -> None:
    """Moving the inner predictions of a fold against the others', as another head would, changes nothing."""
    main, moved = nested(), nested()
    shifted = tuple(replace(f, inner=shift(f.inner, moved, f.fold)) for f in moved.folds_of_runs)
    for metric in ("auc", "average_precision"):
        one, other = (
            optimism_table(n, None).set_index("metric").loc[metric, "inner"]
            for n in (main, replace(moved, folds_of_runs=shifted))
        )
        assert one == pytest.approx(other)
        each = [
            score(metric, main.y[g.rows], f.inner[g.rows])
            for f in main.folds_of_runs
            for g in main.folds_of_runs
            if f.fold != g.fold
        ]
        assert one == pytest.approx(np.mean(each))


def unequal(main: Nested) -> Nested:
    """The same ranks within each fold, the folds' heads moved and stretched by amounts of their own."""
    return replace(
        main,
        folds_of_runs=tuple(
            replace(
                f,
                probabilities=expit((1 + f.fold) * logit(f.probabilities) + 2 * (f.fold - 2)),
                inner=expit((1 + f.fold) * logit(f.inner) + 2 * (f.fold - 2)),
            )
            for f in main.folds_of_runs
        ),
    )


def shift(inner: np.ndarray, main: Nested, fold: int) -> np.ndarray:
    found = logit(inner)
    for other in main.folds_of_runs:
        if other.fold != fold:
            found[other.rows] += 0.7 * other.fold
    return np.asarray(expit(found))


def test_the_simplest_head_type_is_the_cheapest_of_equals() -> None:
    found = assess(nested(), [], table_of(), selected(), **FEW)
    assert found.simplest_head_type is not None
    assert found.simplest_head_type.simplest == "logistic"


def test_selected_models_take_a_study(tmp_path: Path) -> None:
    cache = frozen_cache(tmp_path / "f.h5", n_folds=3)
    study = tune(cache, tmp_path / "s.db", n_trials=7, heads=["logistic", "lda"])
    found = SelectedModels.of(study)
    assert found.ids == study.ids
    assert found.n_trials == 7
    for metric in ("balanced_accuracy", "auc"):
        assert found.best.value(metric) == pytest.approx(study.selected.scores[metric])
    assert {name: cost for name, (cost, _) in found.of_head_types.items()} == dict.fromkeys(
        ("logistic", "lda"), "cheap"
    )


def test_equal_runs_agree_and_others_flip() -> None:
    main = nested(runs=2)
    same = replace(
        main,
        folds_of_runs=tuple(replace(f, run=run) for run in (0, 1) for f in main.folds_of_runs if f.run == 0),
    )
    table = stability_table(same).set_index("what")["value"]
    assert table["mean_flip_rate"] == table["auc_sd_over_runs"] == 0
    assert table["fleiss_kappa"] == 1
    flips = patients_table(main)
    disagree = main.decisions[:, 0] != main.decisions[:, 1]
    assert (flips["flip_rate"] == disagree).all()
    table = stability_table(main).set_index("what")["value"]
    assert table["patients_that_flip"] == pytest.approx(disagree.mean())
    assert 300 < table["patients_to_halve_auc"] < 700  # about four times 120


def test_with_one_run_nothing_is_said_of_flips() -> None:
    table = stability_table(nested(strength=60)).set_index("what")["value"]
    assert table[["mean_flip_rate", "fleiss_kappa", "patients_to_halve_auc"]].isna().all()
    assert patients_table(nested())["flip_rate"].isna().all()


def test_choices_say_how_often_and_how_far() -> None:
    table = choices_table(nested(runs=2)).set_index("parameter")
    assert table.loc["family", ["folds", "share", "alike"]].tolist() == [10, 1, 1]
    c = table.loc["logistic.C"]
    assert (c["most_frequent"], c["share"], c["least"], c["most"]) == ("1", 0.6, 1, 10)
    assert c["alike"] == pytest.approx((6 * 5 + 4 * 3) / 90)
    assert np.isnan(table.loc["logistic.pooling", "median"])


def test_choices_of_averages_count_each_head_with_its_weight() -> None:
    main = nested()
    ridge = {"family": "logistic", "logistic.C": 1.0}
    lda = {"family": "lda", "lda.shrinkage": 0.5}
    other = {"family": "logistic", "logistic.C": 3.0}
    averages = [
        ((ridge, 0.5), (other, 0.5)),
        ((ridge, 0.5), (lda, 0.5)),
        ((ridge, 1.0),),
        ((lda, 0.25), (other, 0.75)),
        ((ridge, 1.0),),
    ]
    folds = tuple(replace(f, members=m) for f, m in zip(main.folds_of_runs, averages, strict=True))
    table = choices_table(replace(main, folds_of_runs=folds)).set_index("parameter")
    row = table.loc["family"]
    assert row[["folds", "of", "weight", "most_frequent"]].tolist() == [5, 5, 1, "logistic"]
    assert row["share"] == pytest.approx(4.25 / 5)
    pairs = [(a, b) for a in range(5) for b in range(5) if a != b]
    alike = [
        sum(w * v for p, w in averages[a] for q, v in averages[b] if p["family"] == q["family"])
        for a, b in pairs
    ]
    assert row["alike"] == pytest.approx(np.mean(alike))
    row = table.loc["logistic.C"]
    assert (row["folds"], row["most_frequent"], row["least"], row["median"], row["most"]) == (5, "1", 1, 1, 3)
    assert (row["weight"], row["share"]) == (pytest.approx(4.25 / 5), pytest.approx(3 / 4.25))
    row = table.loc["lda.shrinkage"]
    assert (row["folds"], row["weight"], row["share"], row["alike"]) == (2, pytest.approx(0.15), 1, 1)


def test_subgroups_of_a_kind_hold_everyone_once() -> None:
    rows = table_of().drop(columns="id").iloc[:-1]
    masks = subgroups_of(rows)
    (low,) = (masks.pop(name) for name in list(masks) if name.startswith(LOW_COUNTS))
    np.testing.assert_array_equal(low, rows["lymphocyte_count"] <= rows["lymphocyte_count"].median())
    for word in ("sex", "date", "age", "count", "images"):
        members = [mask for name, mask in masks.items() if name.startswith(word)]
        assert len(members) >= 2, word
        assert (np.sum(members, axis=0) == 1).all(), word
    assert masks["age missing"].sum() == 1


def test_gains_are_differences_of_the_same_patients_in_each_subgroup() -> None:
    main, clinical = nested(strength=3), nested("clinical only", inputs=("clinical",), strength=1, seed=1)
    rows = pd.DataFrame({"sex": np.where(np.arange(120) < 60, "F", np.where(np.arange(120) < 112, "M", ""))})
    there = Runs.of(main), Runs.of(clinical)
    table = gains_table(*there, rows, n_resamples=200, seed=3).set_index("subgroup")
    assert table["n"].to_dict() == {"all": 120, "sex missing": 8, "sex F": 60, "sex M": 52}
    alone = [subgroups_table(runs, rows, n_resamples=10).set_index("subgroup") for runs in there]
    for metric in ("balanced_accuracy", "auc"):
        np.testing.assert_allclose(table[metric], alone[0][metric] - alone[1][metric])
        scored = table.dropna()
        assert (scored[f"{metric}_low"] <= scored[metric]).all()
        assert (scored[metric] <= scored[f"{metric}_high"]).all()
    assert table.loc["all", "auc_low"] > 0
    assert np.isnan(table.loc["sex missing", "auc"])
    found = assess(main, [clinical], table_of(), seed=3, n_resamples=200).tables["gains"].iloc[0]
    assert found["auc"] == pytest.approx(table.loc["all", "auc"])
    assert "gains" not in assess(main, [], table_of(), **FEW).tables


def test_subgroups_are_scored_as_if_alone_and_small_ones_are_not() -> None:
    main = nested(runs=2)
    rows = pd.DataFrame({"sex": np.where(np.arange(120) < 60, "F", np.where(np.arange(120) < 112, "M", ""))})
    table = subgroups_table(Runs.of(main), rows, n_resamples=100).set_index("subgroup")
    assert table["n"].to_dict() == {"all": 120, "sex missing": 8, "sex F": 60, "sex M": 52}
    expected = np.mean([score("auc", main.y[:60], p[:60]) for p in main.scores.T])
    assert table.loc["sex F", "auc"] == pytest.approx(expected)
    assert np.isnan(table.loc["sex missing", "auc"])
    with pytest.raises(InputError, match="has 3 patients, the predictions 120"):
        subgroups_table(Runs.of(main), rows[:3])

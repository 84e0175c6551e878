"""Compared pipelines against plain loops; what is left out, refused, gone on with, and never leaked."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)
from sklearn.preprocessing import StandardScaler

from lymphofeat.cache import Cache, open_cache, save_cache
from lymphofeat.comparison import compare as compare_module
from lymphofeat.comparison.compare import compare
from lymphofeat.comparison.out_of_fold import OutOfFold, predict
from lymphofeat.comparison.pipelines import Pipeline, heads_of, pipelines_of, select
from lymphofeat.comparison.result import Comparison, Measured
from lymphofeat.errors import InputError, LeakageError, StudyError
from lymphofeat.estimates.scores import bootstrap
from lymphofeat.heads import Head, Logistic, pooled

from ..helpers.caches import DECLARED, features, patients, tuned_cache, with_declared
from ..helpers.compared import FROZEN, add_encoding, compared_cache


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compared_cache(tmp_path_factory.mktemp("compared") / "c.h5")


@pytest.fixture(scope="module")
def comparison(path: Path) -> Comparison:
    return compare(path, path.with_name("compare.jsonl"))


def measured(comparison: Comparison, name: str) -> Measured:
    found = comparison.named(name)
    assert found is not None, name
    return found


def test_a_system_whose_head_fails_is_left_out_with_a_sentence(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = compare_module.predict

    def breaks(cache: Cache, pipeline: Pipeline) -> OutOfFold:
        if pipeline.name != "majority":
            raise np.linalg.LinAlgError("singular matrix")
        return plain(cache, pipeline)

    monkeypatch.setattr(compare_module, "predict", breaks)
    found = compare(path, tmp_path / "c.jsonl")
    assert [one.pipeline.name for one in found.measured] == ["majority"]
    assert "Left out: clinical could not be fitted. LinAlgError: singular matrix" in found.left_out

    def broken(*_: object) -> OutOfFold:
        raise np.linalg.LinAlgError("singular matrix")

    monkeypatch.setattr(compare_module, "predict", broken)
    with pytest.raises(StudyError, match=r"None of the pipelines could be measured\.\nLeft out: "):
        compare(path, tmp_path / "none.jsonl")


def by_the_definition(cache: Cache, encoding: str | None, head: Head) -> np.ndarray:
    """(n,) out-of-fold probabilities by a fresh model per fold, on `encoding` or on the fold's own one."""
    rows = np.flatnonzero(cache.labels >= 0)
    p = np.full(len(cache.labels), np.nan)
    for k in range(4):
        bags = cache.bags(encoding or f"pooled+clinical-good-fold{k}")
        train, test = rows[cache.folds[rows, 0] != k], rows[cache.folds[rows, 0] == k]
        model = clone(head).fit(bags.select(train), cache.patients.iloc[train], cache.labels[train])
        p[test] = model.predict_proba(bags.select(test), cache.patients.iloc[test])[:, 1]
    return p[rows]


@pytest.mark.parametrize(
    ("encoder_family", "encoding", "pooling"),
    [
        ("good", "good", "mean"),
        ("resnet18-random0", "resnet18-random0", "mean"),
        ("colour", "colour", "mean+std"),
        ("pooled+clinical-good", None, "mean"),
    ],
)
def test_heads_equal_the_plain_loop(
    path: Path, comparison: Comparison, encoder_family: str, encoding: str | None, pooling: str
) -> None:
    cache = open_cache(path)
    image, both, clinical = (
        by_the_definition(cache, encoding, pooled(Logistic, inputs=inputs, pooling=pooling, pca=32))
        for inputs in ("image", "both", "clinical")
    )
    expected = {"image": image, "both": both, "average": (image + clinical) / 2}
    y, fold_of = comparison.patients.y, comparison.patients.folds
    shares = np.array([np.mean(y[fold_of != k]) for k in fold_of])
    for head, p in expected.items():
        m = measured(comparison, f"{encoder_family}/{head}")
        np.testing.assert_allclose(m.found.probabilities, p, atol=1e-8)
        np.testing.assert_allclose(m.found.thresholds, shares)
        values = {k: s.value for k, s in m.all.items()}
        assert values == pytest.approx(
            {
                "auc": roc_auc_score(y, p),
                "balanced_accuracy": balanced_accuracy_score(y, p >= shares),
                "average_precision": average_precision_score(y, p),
                "log_loss": log_loss(y, p),
                "brier": brier_score_loss(y, p),
            }
        )
    np.testing.assert_allclose(measured(comparison, "clinical").found.probabilities, clinical, atol=1e-8)


def test_a_network_is_scored_by_the_member_that_is_blind_to_one_fold(comparison: Comparison) -> None:
    fold_of = comparison.patients.folds
    m = measured(comparison, "pooled+clinical-good/end-to-end")
    np.testing.assert_allclose(m.found.probabilities, (fold_of + np.arange(40) / 46) / 16)
    np.testing.assert_array_equal(m.found.thresholds, 0.5)
    assert m.pipeline.inputs == "image+clinical"


def test_bag_size_sees_the_number_of_images_and_nothing_else(path: Path, comparison: Comparison) -> None:
    cache = open_cache(path)
    rows, y = np.flatnonzero(cache.labels >= 0), comparison.patients.y
    x = np.log(cache.patients["n_images"].to_numpy(float))[rows, None]
    p = np.empty(len(rows))
    for k in range(4):
        train = comparison.patients.folds != k
        scaler = StandardScaler().fit(x[train])
        model = LogisticRegression().fit(scaler.transform(x[train]), y[train])
        p[~train] = model.predict_proba(scaler.transform(x[~train]))[:, 1]
    np.testing.assert_allclose(measured(comparison, "bag-size").found.probabilities, p, atol=1e-8)


def test_the_control_on_clinical_values_sees_all_declared_columns(tmp_path: Path) -> None:
    table = with_declared(patients())
    save_cache(
        tmp_path / "c.h5", table, {"frozen": features(table)}, n_folds=4, n_repeats=1, clinical=DECLARED
    )
    cache = open_cache(tmp_path / "c.h5")
    pipeline = next(one for one in pipelines_of(cache) if one.name == "clinical")
    (clinical,) = heads_of(pipeline, cache.clinical_values)
    assert clinical.get_params()["design"].clinical_values == cache.clinical_values
    save_cache(tmp_path / "plain.h5", table, {"frozen": features(table)}, n_folds=4, n_repeats=1)
    plain = predict(open_cache(tmp_path / "plain.h5"), pipeline)
    assert not np.allclose(predict(cache, pipeline).probabilities, plain.probabilities)


def test_the_majority_class_orders_nobody(comparison: Comparison) -> None:
    m = measured(comparison, "majority")
    assert len(np.unique(m.found.probabilities)) > 1  # the folds' training shares differ, and say nothing
    assert {k: m.all[k].value for k in ("auc", "balanced_accuracy")} == {"auc": 0.5, "balanced_accuracy": 0.5}


def test_controls_are_always_there_and_the_best_comes_first(comparison: Comparison) -> None:
    names = [m.pipeline.name for m in comparison.measured]
    controls = {m.pipeline.name for m in comparison.measured if m.pipeline.is_control}
    assert controls == {
        *("majority", "bag-size", "clinical"),
        *(
            f"{encoder_family}/{head}"
            for encoder_family in ("colour", "resnet18-random0")
            for head in ("image", "both", "average")
        ),
    }
    assert len(names) == 9 + 3 + 4 + 3  # controls, frozen, fine-tuned, their pair
    values = [m.all["balanced_accuracy"].value for m in comparison.measured]
    assert values == sorted(values, reverse=True)
    assert comparison.left_out == ()


def test_differences_are_paired(comparison: Comparison) -> None:
    one, other = measured(comparison, "good/image"), measured(comparison, "good/both")
    interval = comparison.difference(one, other, "auc")
    assert interval.value == pytest.approx(one.all["auc"].value - other.all["auc"].value)
    y = comparison.patients.y
    alone = [bootstrap("auc", y, m.found.probabilities).resampled for m in (one, other)]
    np.testing.assert_allclose(interval[1:], np.quantile(alone[0] - alone[1], [0.025, 0.975]))
    majority = measured(comparison, "majority")
    assert comparison.verdict(comparison.best, majority) == "better"
    assert comparison.verdict(majority, comparison.best) == "worse"
    assert comparison.verdict(comparison.best, comparison.best) == ""
    assert comparison.best not in comparison.tied
    assert majority not in comparison.tied


def test_a_lower_log_loss_is_better(path: Path) -> None:
    ranked = compare(path, path.with_name("compare.jsonl"), metric="log_loss")
    values = [m.all["log_loss"].value for m in ranked.measured]
    assert values == sorted(values)
    assert ranked.verdict(ranked.measured[0], ranked.measured[-1]) == "better"


def test_ambiguous_counts_are_those_up_to_the_median(path: Path, comparison: Comparison) -> None:
    cache = open_cache(path)
    counts = cache.patients["lymphocyte_count"].to_numpy()[cache.labels >= 0]
    few = counts <= np.median(counts)
    assert comparison.patients.median_count == np.median(counts)
    m, y = measured(comparison, "good/image"), comparison.patients.y
    assert m.ambiguous["auc"].value == pytest.approx(roc_auc_score(y[few], m.found.probabilities[few]))
    decisions = m.found.decisions[few]
    assert m.ambiguous["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(y[few], decisions))


def test_seconds_count_the_encoder(comparison: Comparison) -> None:
    assert measured(comparison, "good/image").encoder_seconds == 3.0
    assert measured(comparison, "good/image").seconds > 3.0
    assert measured(comparison, "pooled+clinical-good/both").encoder_seconds == 400.0
    assert measured(comparison, "clinical").encoder_seconds == 0.0
    assert np.isnan(measured(comparison, "colour/image").encoder_seconds)
    assert measured(comparison, "colour/image").seconds < 60


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["good/both"], {"good/both"}),
        (["good"], {"good/image", "good/both", "good/average"}),
        (["end-to-end"], {"pooled+clinical-good/end-to-end"}),
        (["pooled+clinical", "frozen"], {"good", "pooled+clinical-good"}),
        (["majority"], set()),
    ],
)
def test_pipelines_are_chosen_by_any_of_their_words(
    path: Path, wanted: list[str], expected: set[str]
) -> None:
    chosen = [s for s in select(pipelines_of(open_cache(path)), wanted) if not s.is_control]
    assert {s.name if s.name in expected else s.encoder_family for s in chosen} == expected


def test_unknown_names_suggest_the_nearest(path: Path) -> None:
    with pytest.raises(InputError) as caught:
        compare(path, path.with_name("x.jsonl"), pipelines=["god", "averge", "poold"])
    lines = str(caught.value).splitlines()
    assert [line.split("did you mean ")[1] for line in lines] == ["'good'?).", "'average'?).", "'pooled'?)."]
    with pytest.raises(InputError, match="holds no encoders of the recipe 'scratch'; train them with"):
        compare(path, path.with_name("x.jsonl"), pipelines=["scratch"])
    with pytest.raises(InputError, match="no metric 'accuracy'"):
        compare(path, path.with_name("x.jsonl"), metric="accuracy")


def test_a_family_that_saw_a_fold_is_left_out_or_refused(tmp_path: Path) -> None:
    table = patients()
    save_cache(tmp_path / "c.h5", table, {"good": features(table)}, n_folds=4)
    wrong = features(table, signal=5.0)  # as if trained on everyone but fold 1
    add_encoding(
        tmp_path / "c.h5", "memory", wrong, FROZEN, blind_to=[1], end_to_end=np.full(len(table), 0.5)
    )
    found = compare(tmp_path / "c.h5", tmp_path / "r.jsonl")
    assert {m.pipeline.encoder_family for m in found.measured} == {None, "good"}
    assert (
        len([s for s in found.left_out if s.startswith("Left out: encoding memory (memory) has seen")]) == 1
    )
    with pytest.raises(LeakageError, match="has seen labels of fold 0"):
        compare(tmp_path / "c.h5", tmp_path / "r.jsonl", pipelines=["memory/end-to-end"])


@settings(max_examples=25, deadline=None)
@given(
    members=st.lists(st.sets(st.integers(0, 3), min_size=0, max_size=3).map(sorted), min_size=1, max_size=6)
)
def test_no_layout_of_encoders_lets_a_fold_be_scored_by_what_saw_it(
    tmp_path_factory: pytest.TempPathFactory, members: list[list[int]]
) -> None:
    folder, table = tmp_path_factory.mktemp("layout"), patients(24, 2)
    names = [f"m{i}" for i in range(len(members))]
    save_cache(
        folder / "c.h5",
        table,
        {name: features(table, dim=3, seed=i) for i, name in enumerate(names)},
        n_folds=4,
        n_repeats=1,
        encoder_families=dict.fromkeys(names, "tuned"),
        blind_to=dict(zip(names, members, strict=True)),
        end_to_end={name: np.full(len(table), i / 10) for i, name in enumerate(names)},
    )
    cache = open_cache(folder / "c.h5")
    of_head_type = [s for s in pipelines_of(cache) if s.encoder_family == "tuned"]
    assert len(of_head_type) == 4
    if set().union(*members) != {0, 1, 2, 3}:
        for pipeline in of_head_type:
            with pytest.raises(LeakageError):
                predict(cache, pipeline)
        return
    own = next(s for s in of_head_type if s.head == "end-to-end")
    fold_of = cache.folds[cache.labels >= 0, 0]
    for k, p in zip(fold_of, predict(cache, own).probabilities, strict=True):
        assert k in members[round(p * 10)]


def test_labels_of_the_held_out_fold_change_nothing_in_it(path: Path) -> None:
    from dataclasses import replace

    cache = open_cache(path)
    held_out = (cache.folds[:, 0] == 2) & (cache.labels >= 0)
    flipped = replace(cache.tables, patients=cache.tables.patients.assign(
        label=np.where(held_out, 1 - cache.labels, cache.labels)
    ))  # fmt: skip
    rows = held_out[cache.labels >= 0]
    for pipeline in pipelines_of(cache):
        honest, other = predict(cache, pipeline), predict(replace(cache, tables=flipped), pipeline)
        np.testing.assert_array_equal(honest.probabilities[rows], other.probabilities[rows])
        np.testing.assert_array_equal(honest.thresholds[rows], other.thresholds[rows])


def test_an_interrupted_comparison_goes_on(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(cache: Cache, pipeline: object) -> object:
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append(pipeline.name)
        return predict(cache, pipeline)

    monkeypatch.setattr(compare_module, "predict", counted)
    with pytest.raises(KeyboardInterrupt):
        compare(path, tmp_path / "r.jsonl")
    kept = (tmp_path / "r.jsonl").read_bytes()
    (tmp_path / "r.jsonl").write_bytes(kept + kept.splitlines()[0][:50])  # killed in the middle of a line
    first, calls[:] = list(calls), []
    monkeypatch.setattr(compare_module, "predict", lambda c, s: calls.append(s.name) or predict(c, s))
    again = compare(path, tmp_path / "r.jsonl")
    assert len(first) == 5
    assert not set(first) & set(calls)
    assert len(first) + len(calls) == len(again.measured)
    unbroken = compare(path, tmp_path / "other.jsonl")
    for one, other in zip(again.measured, unbroken.measured, strict=True):
        assert one.pipeline == other.pipeline
        np.testing.assert_array_equal(one.found.probabilities, other.found.probabilities)
        assert one.all["auc"].interval() == other.all["auc"].interval()


def test_what_has_changed_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(compare_module, "predict", lambda c, s: calls.append(s.name) or predict(c, s))
    path, table = tuned_cache(tmp_path / "c.h5", pairs=False), patients()
    compare(path, tmp_path / "r.jsonl")
    everything, calls[:] = set(calls), []
    compare(path, tmp_path / "r.jsonl")
    assert calls == []
    save_cache(
        path, table, {"tuned-1": features(table, seed=77)}, n_folds=4, encoder_families={"tuned-1": "tuned"},
        blind_to={"tuned-1": [1]},
    )  # fmt: skip
    compare(path, tmp_path / "r.jsonl")
    assert set(calls) == {name for name in everything if name.startswith("tuned/")}


def test_a_record_that_is_not_ours_is_left_alone(path: Path, tmp_path: Path) -> None:
    for content in ('{"a": 1}', "notes\n", '{"key": 3, "x": 1}\n[]\n', '[{"key": "x"}]'):
        (tmp_path / "notes").write_text(content)
        with pytest.raises(StudyError, match="not what lymphofeat writes there"):
            compare(path, tmp_path / "notes")
        assert (tmp_path / "notes").read_text() == content

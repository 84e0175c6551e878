"""What is said of differences between pipelines, and which is the simplest within reach."""

from dataclasses import replace

import numpy as np
import pytest

from lymphofeat.assess.answer import COMPARED, differences, one_standard_error, pipelines, role_of, simplicity
from lymphofeat.assess.runs import Runs
from lymphofeat.errors import InputError
from lymphofeat.estimates import corrected_t
from lymphofeat.estimates.scores import score

from ..helpers.nested import nested

CLINICAL = {"name": "clinical only", "inputs": ("clinical",)}


def test_a_pipeline_does_not_differ_from_itself() -> None:
    same = nested()
    for found in differences(same, [replace(same, name="untrained encoder")]):
        assert found.difference == (0, 0, 0)
        assert found.p_value == found.p_holm == found.p_mcnemar == 1
        assert found.verdict == ""
        assert found.only_main == found.only_other == 0


def test_a_better_pipeline_is_said_to_be_better_and_its_control_worse() -> None:
    strong, weak = nested(strength=4), nested(**CLINICAL, strength=0.5, seed=1)
    there, back = differences(strong, [weak]), differences(weak, [strong])
    assert [d.metric for d in there] == list(COMPARED)
    for one, other in zip(there, back, strict=True):
        assert one.verdict == "better"
        assert other.verdict == "worse"
        assert one.difference.value == pytest.approx(-other.difference.value)
        assert one.p_value < 0.01
        assert (one.only_main, one.only_other) == (other.only_other, other.only_main)


def test_differences_are_of_the_scores_averaged_over_the_runs() -> None:
    main, other = nested(runs=3), nested(**CLINICAL, strength=1.5, seed=5, runs=2)
    found = {d.metric: d.difference.value for d in differences(main, [other])}

    def mean_auc(n):
        return np.mean([score("auc", n.y, p) for p in n.scores.T])

    assert found["auc"] == pytest.approx(mean_auc(main) - mean_auc(other))


def test_holm_counts_all_differences_together() -> None:
    others = [nested(**CLINICAL, strength=1.2, seed=k) for k in (1, 2)]
    found = differences(nested(), [others[0], replace(others[1], name="untrained encoder", inputs=("both",))])
    p = np.array([d.p_value for d in found])
    adjusted = np.array([d.p_holm for d in found])
    assert adjusted[p.argmin()] == pytest.approx(min(1, 4 * p.min()))
    assert (adjusted >= p).all()


def test_shuffled_labels_are_no_one_to_compare_with_but_have_a_row() -> None:
    main = nested()
    shuffled = replace(main, name="shuffled labels", y=np.roll(main.y, 1))
    assert role_of(shuffled, main) == "shuffled"
    assert differences(main, [shuffled]) == []
    table = pipelines([main, shuffled]).set_index("pipeline")
    assert table.loc["shuffled labels", "auc"] == pytest.approx(
        score("auc", shuffled.y, shuffled.scores[:, 0])
    )


def test_other_patients_are_refused() -> None:
    main = nested()
    with pytest.raises(InputError, match=r"'clinical only' was measured on other patients"):
        differences(main, [replace(nested(**CLINICAL), ids=tuple(reversed(main.ids)))])


def test_the_interval_over_folds_is_the_corrected_t() -> None:
    main = nested(runs=2)
    rows = [
        [score("auc", main.y[f.rows], f.probabilities) for f in main.folds_of_runs if f.run == run]
        for run in (0, 1)
    ]
    expected = corrected_t(np.array(rows))
    row = pipelines([main]).iloc[0]
    assert (row["auc_t"], row["auc_t_low"], row["auc_t_high"]) == pytest.approx(tuple(expected))


def test_seeds_of_one_repeat_are_no_repeats() -> None:
    main = nested(runs=2)
    seeds = replace(main, folds_of_runs=tuple(replace(f, repeat=0) for f in main.folds_of_runs))
    rows = [
        np.mean([score("auc", main.y[f.rows], f.probabilities) for f in main.folds_of_runs if f.fold == k])
        for k in range(5)
    ]
    assert pipelines([seeds]).iloc[0]["auc_t_low"] == pytest.approx(corrected_t(np.array([rows])).low)


def test_the_simplest_within_one_standard_error() -> None:
    main = nested(strength=2.5)
    level = replace(main, name="clinical only", inputs=("clinical",))
    far = nested(**CLINICAL, strength=0.2, seed=3)
    for other, chosen in ((level, "clinical only"), (far, "image + clinical")):
        rule = one_standard_error([(n.name, simplicity(n), Runs.of(n)) for n in (main, other)], "auc")
        assert rule.simplest == chosen
        assert rule.table["name"].tolist() == ["clinical only", "image + clinical"]
    assert 0.01 < rule.error < 0.1


def test_a_loss_is_best_where_it_is_smallest() -> None:
    right, wild = nested(), nested(name="untrained encoder", sharp=8)
    rule = one_standard_error([(n.name, simplicity(n), Runs.of(n)) for n in (right, wild)], "log_loss")
    assert rule.best == "image + clinical"
    table = rule.table.set_index("name")
    assert table.loc["image + clinical", "score"] == pytest.approx(
        score("log_loss", right.y, right.probabilities[:, 0])
    )
    assert not table.loc["untrained encoder", "within"]


def test_simplicity_begins_with_clinical_values_alone() -> None:
    named = [
        nested(**CLINICAL), nested("images only", inputs=("image",)), nested("slide only"),
        nested("untrained encoder"), nested(),
        nested(inputs=("clinical", "image", "both")),
    ]  # fmt: skip
    assert [simplicity(n) for n in named] == [0, 1, 2, 3, 4, 4]

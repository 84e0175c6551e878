"""An assessment as text, page, CSV and JSON."""

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lymphofeat.assess import Assessment, SelectedModels, assess
from lymphofeat.assess.record import assessment_json
from lymphofeat.assess.runs import Runs
from lymphofeat.assess.sentences import answer
from lymphofeat.errors import InputError
from lymphofeat.estimates.scores import Interval
from lymphofeat.report.assess import render_assessment, write_assessment
from lymphofeat.report.assess_cells import SHOWN, cells, interval
from lymphofeat.wording import number, p_value

from ..helpers.nested import nested, table_of


@pytest.fixture(scope="module")
def assessment() -> Assessment:
    main = nested(strength=3, runs=2)
    others = [
        nested("clinical only", inputs=("clinical",), strength=0.8, seed=1, runs=2),
        replace(nested(runs=2, strength=3.01), name="untrained encoder"),
        replace(main, name="shuffled labels", y=np.roll(main.y, 1)),
    ]
    better = nested(strength=4)
    found = Runs(better.y, better.probabilities, better.decisions)
    selected = SelectedModels(
        better.ids, found, 20, {"logistic": ("cheap", found), "attention": ("expensive", found)}
    )
    return assess(main, others, table_of(), selected, n_resamples=300)


def shown(assessment: Assessment, width: int = 80, *, every: bool = True) -> str:
    out = io.StringIO()
    render_assessment(assessment, Console(file=out, width=width), every=every)
    return out.getvalue()


def test_the_answer_comes_first_and_carries_its_intervals(assessment: Assessment) -> None:
    sentences = answer(assessment)
    d = assessment.differences[0]
    assert sentences[0].startswith(f"Images add {d.difference.value:+.3f} [")
    assert "balanced accuracy and +" in sentences[0]
    assert (
        "better by balanced accuracy (p <" in sentences[0]
        or "better by balanced accuracy (p =" in sentences[0]
    )
    gains = assessment.tables["gains"].set_index("subgroup")
    (low,) = (name for name in gains.index if name.startswith("count ≤ "))
    gain = gains.loc[low]
    who = f"{low} · 10⁹/l: {gain['n']:.0f}, {gain['malignant']:.0f} malignant"
    assert sentences[1].startswith(f"Where the count decides least ({who}), images add ")
    assert f" and {gain['auc']:+.3f} [{gain['auc_low']:+.3f}, " in sentences[1]
    assert sentences[2].startswith("The encodings add ")
    assert sentences[2].endswith(
        "on 120 patients, image + clinical and untrained encoder cannot be told apart."
    )
    assert sentences[3].startswith("image + clinical on frozen: balanced accuracy 0.")
    assert "5 folds × 2 runs: the scores to quote" in sentences[3]
    assert "its optimism is +" in sentences[4]
    assert " is untrained encoder; the best is image + clinical (nested scores)." in sentences[5]
    assert sentences[6].endswith("(selected scores).") or "No head type" in sentences[6]
    assert sentences[7].startswith("With shuffled labels the AUC is 0.")
    assert sentences[7].endswith("covers 0.5, as it should.")
    assert shown(assessment).lstrip().startswith("• Images add")


def test_a_pipeline_that_is_worse_is_said_to_be(assessment: Assessment) -> None:
    worse = assess(
        nested(strength=0.3), [nested("clinical only", inputs=("clinical",), strength=4, seed=1)], table_of(),
        n_resamples=300,
    )  # fmt: skip
    assert answer(worse)[0].startswith("Images add −0.")
    assert " malignant), images add −0." in answer(worse)[1]
    assert ": worse by balanced accuracy (p" in answer(worse)[0]
    assert "No search on all folds was given" in shown(worse)


def test_one_of_several_comparisons_that_stands_out_by_chance_is_no_finding(assessment: Assessment) -> None:
    first, *rest = assessment.differences
    lucky = replace(first, difference=Interval(0.144, 0.009, 0.269), p_value=0.039, p_holm=0.234)
    other = replace(rest[0], difference=Interval(0.02, -0.01, 0.05), p_value=0.3, p_holm=0.9)
    (sentence, *_) = answer(replace(assessment, differences=(lucky, other, *rest[1:])))
    assert "better" not in sentence
    assert sentence.endswith(
        "on 120 patients, image + clinical and clinical only cannot be told apart (by balanced accuracy p = 0.039, "
        f"but 0.234 when Holm-adjusted for {len(assessment.differences)} comparisons)."
    )
    (sentence, *_) = answer(replace(assessment, differences=(replace(lucky, p_holm=0.05), other, *rest[1:])))
    assert (
        "better by balanced accuracy (p = 0.039, Holm-adjusted 0.050); by AUC they cannot be told" in sentence
    )


def test_labels_that_only_seem_shuffled_are_told(assessment: Assessment) -> None:
    main = nested()
    leaking = replace(main, name="shuffled labels")
    found = assess(main, [leaking], table_of(), n_resamples=100)
    assert any("excludes 0.5" in sentence for sentence in answer(found))


def test_eighty_columns_suffice(assessment: Assessment) -> None:
    lines = shown(assessment).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 212  # nothing was broken into many lines
    for name in assessment.tables:
        if name in SHOWN:
            assert SHOWN[name].caption.split()[0] in shown(assessment)


def test_the_screen_has_the_answer_and_one_table_unless_all_are_asked_for(assessment: Assessment) -> None:
    short = shown(assessment, every=False)
    assert [name for name, table in SHOWN.items() if table.caption in short] == ["pipelines"]
    assert shown(assessment).startswith(short[: short.index(SHOWN["pipelines"].caption)])
    assert len(short.splitlines()) < 50


def test_the_confusion_matrix_and_the_wrong_patients_are_those_of_the_decisions(
    assessment: Assessment,
) -> None:
    main = nested(strength=3, runs=2)
    table = assessment.tables["confusion"].set_index("label")
    for label in (0, 1):
        mask = main.y == label
        assert table.loc[label, "called_malignant"] == main.decisions[mask].mean(axis=1).sum()
        assert table.loc[label, ["called_reactive", "called_malignant"]].sum() == table.loc[label, "n"]
    wrong = assessment.tables["wrong"]
    decided = main.decisions == (main.y == 1)[:, None]
    assert set(wrong["id"]) == {
        i for i, right in zip(main.ids, decided.all(axis=1), strict=True) if not right
    }
    assert dict(zip(wrong["id"], wrong["wrong_runs"], strict=True)) == {
        i: n for i, n in zip(main.ids, (~decided).sum(axis=1).tolist(), strict=True) if n
    }
    assert wrong["wrong_runs"].is_monotonic_decreasing
    assert str(wrong["id"].iloc[0]) in shown(assessment)


def test_every_number_of_a_table_is_the_tables(assessment: Assessment) -> None:
    row = assessment.tables["metrics"].set_index("metric").loc["brier"]
    assert f"{row['value']:.3f} ({row['low']:.2f}–{row['high']:.2f})" in shown(assessment)
    table = assessment.tables["risk_coverage"]
    rows = cells(SHOWN["risk_coverage"], table)
    assert [r[0] for r in rows] == ["25 %", "50 %", "75 %", "90 %", "100 %"]
    assert rows[-1][1] == f"{table['risk'].iloc[-1]:.3f}"


def test_what_is_not_known_is_a_dash_and_what_nothing_bounds_infinite() -> None:
    row = {"x": 1.2, "x_low": 0.5, "x_high": math.inf, "y": 0.5, "y_low": math.nan, "y_high": math.nan}
    assert interval(row, "x") == "1.200 (0.50–∞)"
    assert interval(row, "y") == "0.500 (—)"
    assert interval({**row, "y": math.nan}, "y") == "—"
    assert number(-math.inf) == "−∞"
    assert p_value(0.0004) == "<0.001"
    assert interval({"value": -0.05, "low": -0.1, "high": 0.0}, signed=True) == "−0.050 (−0.10 to +0.00)"


def test_json_is_valid_without_nan_and_holds_every_row(assessment: Assessment) -> None:
    found = assessment_json(assessment)
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    assert set(found["tables"]) == set(assessment.tables)
    for name, table in assessment.tables.items():
        assert len(found["tables"][name]) == len(table)
    assert found["tables"]["subgroups"][0]["auc"] == assessment.tables["subgroups"]["auc"].iloc[0]
    infinite = assessment.tables["triage"]["limit"]
    nulls = [row["limit"] is None for row in found["tables"]["triage"]]
    assert nulls == (~np.isfinite(infinite)).tolist()
    assert found["simplest"]["pipeline"]["best"] == assessment.simplest_pipeline.best


def test_a_folder_holds_a_page_a_record_and_all_tables(assessment: Assessment, tmp_path: Path) -> None:
    paths = write_assessment(assessment, tmp_path / "out")
    assert {p.name for p in paths} == {
        "evaluate.md",
        "evaluate.json",
        *(f"{t}.csv" for t in assessment.tables),
    }
    assert {p.name for p in (tmp_path / "out").iterdir()} == {p.name for p in paths}
    page = paths[0].read_text(encoding="utf-8")
    assert all(sentence in page for sentence in answer(assessment))
    assert "P7" not in page  # patients are in patients.csv only
    back = pd.read_csv(tmp_path / "out" / "subgroups.csv")
    assert back["auc"].to_numpy() == pytest.approx(
        assessment.tables["subgroups"]["auc"].to_numpy(), rel=1e-5, nan_ok=True
    )
    record = json.loads(paths[1].read_text(encoding="utf-8"))
    assert record | {"made": None} == assessment_json(assessment) | {"made": None}  # at another second


def test_nothing_is_written_over_and_with_force_all_is(assessment: Assessment, tmp_path: Path) -> None:
    (tmp_path / "choices.csv").write_text("mine")
    with pytest.raises(InputError, match=r"choices\.csv exists already; give --force"):
        write_assessment(assessment, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["choices.csv"]
    write_assessment(assessment, tmp_path, force=True)
    assert (tmp_path / "choices.csv").read_text().startswith("parameter,")


def test_a_further_table_is_shown_and_written(assessment: Assessment, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"n": [50.0], "score": [0.8], "score_low": [0.7], "score_high": [0.9], "fitted": [0.8], "fitted_low": [0.7],
         "fitted_high": [0.9], "measured": [True]}
    )  # fmt: skip
    more = assessment.with_table("learning_curve", table, "A note on it.")
    assert "Learning curve" in shown(more)
    assert "A note on it." in shown(more)
    assert tmp_path / "learning_curve.csv" in write_assessment(more, tmp_path)

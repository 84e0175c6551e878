"""What is printed and written of a comparison: every number with its interval, and only what may be said."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from lymphofeat.comparison.compare import compare
from lymphofeat.comparison.conclusions import conclusions
from lymphofeat.comparison.out_of_fold import OutOfFold
from lymphofeat.comparison.pipelines import Pipeline
from lymphofeat.comparison.record import comparison_table
from lymphofeat.comparison.result import Comparison, Measured, Patients
from lymphofeat.errors import InputError
from lymphofeat.metric import METRICS
from lymphofeat.report.compare import render_comparison, write_comparison

from ..helpers.compared import compared_cache

FIRST = [
    *("pipeline", "n", "balanced_accuracy", "ba_low", "ba_high", "auc", "auc_low", "auc_high", "log_loss"),
    "seconds",
]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("compared")
    return compare(compared_cache(folder / "c.h5", pairs=False), folder / "r.jsonl")


def shown(comparison: Comparison, width: int = 100) -> str:
    buffer = io.StringIO()
    render_comparison(comparison, Console(file=buffer, width=width, highlight=False))
    return buffer.getvalue()


def test_every_system_stands_in_both_tables_with_its_intervals(comparison: Comparison) -> None:
    text = shown(comparison)
    assert max(map(len, text.splitlines())) <= 100
    for m in comparison.measured:
        lines = [line for line in text.splitlines() if line.startswith(m.pipeline.name + " ")]
        assert len(lines) == 2
        for metric in ("balanced_accuracy", "auc"):
            interval = m.all[metric].interval()
            assert f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]" in lines[0]
        few = m.ambiguous["auc"].interval()
        assert lines[1].endswith(f"{few.value:.2f} [{few.low:.2f}, {few.high:.2f}]")
        assert ("≈" in lines[1]) == (m in comparison.tied)
    assert "40 labelled patients" in text
    assert "4 folds" in text
    assert re.search(r"colour/image .* >\d", text)  # the encoder's time was not recorded


def test_a_narrow_terminal_breaks_names_not_numbers(comparison: Comparison) -> None:
    text = shown(comparison, width=80)
    first = [line.split(" ")[0] for line in text.splitlines()]
    for m in comparison.measured:
        interval = m.all["auc"].interval()
        assert f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]" in text
        assert "".join(first).count(m.pipeline.name) >= 2  # once a table, whole from line to line
    names = "/".join(m.pipeline.name for m in comparison.measured)
    words = set(re.split("[/+-]", names))
    broken = [line for line in first if line and line[-1] in "/+-"]
    assert broken
    assert all(set(re.split("[/+-]", line)) - {""} <= words for line in broken)  # never within a word


def test_the_table_of_numbers(comparison: Comparison, tmp_path: Path) -> None:
    csv, page, record = write_comparison(comparison, tmp_path / "deep" / "out")
    assert sorted(p.name for p in csv.parent.iterdir()) == [
        "compare.csv",
        "compare.json",
        "compare.md",
    ]
    kept = json.loads(record.read_text(encoding="utf-8"))
    assert [row["pipeline"] for row in kept["table"]] == [m.pipeline.name for m in comparison.measured]
    assert [row["auc"] for row in kept["table"]] == [m.all["auc"].value for m in comparison.measured]
    assert kept["sentences"][: len(conclusions(comparison))] == conclusions(comparison)
    table = pd.read_csv(csv, keep_default_na=False, na_values=[""])
    assert list(table.columns[: len(FIRST)]) == FIRST
    assert list(table["pipeline"]) == [m.pipeline.name for m in comparison.measured]
    assert (table["n"] == 40).all()
    for column in ("balanced_accuracy", "auc"):
        short = {"balanced_accuracy": "ba"}.get(column, column)
        assert (table[f"{short}_low"] <= table[column]).all()
        assert (table[column] <= table[f"{short}_high"]).all()
        assert table[f"{short}_difference"].iloc[0] == 0
        expected = table[column] - table[column].iloc[0]
        np.testing.assert_allclose(table[f"{short}_difference"], expected, atol=2e-6)
    covers = (table["ba_difference_low"] <= 0) & (table["ba_difference_high"] >= 0)
    np.testing.assert_array_equal(table["tied"], covers)
    assert set(table["encoder"]) == {"none", "colour", "random", "frozen", "fine-tuned", "pair"}
    assert table.set_index("pipeline").loc["colour/image", ["encoder_seconds"]].isna().all()
    text = page.read_text(encoding="utf-8")
    assert all(f"| {m.pipeline.name} |" in text for m in comparison.measured)
    assert all(sentence in text for sentence in conclusions(comparison))


def test_files_are_replaced_both_or_neither(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_comparison(comparison, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    fewer = replace(comparison, measured=comparison.measured[:3])
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        write_comparison(fewer, tmp_path, force=True)
    monkeypatch.undo()
    with pytest.raises(InputError, match="exists already"):
        write_comparison(fewer, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    write_comparison(fewer, tmp_path, force=True)
    assert len(comparison_table(fewer)) == len(pd.read_csv(tmp_path / "compare.csv")) == 3


def simulated(strengths: dict[Pipeline, float], n: int = 400) -> Comparison:
    """Pipelines whose probabilities tell the classes apart as strongly as given."""
    rng = np.random.default_rng(0)
    y = (np.arange(n) % 2).astype(np.int8)
    patients = Patients(y, (np.arange(n) // 2 % 4).astype(np.int8), np.arange(n, dtype=np.float64))
    noise = rng.normal(size=n)

    def found(strength: float) -> OutOfFold:
        odds = strength * (2 * y - 1) + noise
        return OutOfFold(1 / (1 + np.exp(-odds)), np.full(n, 0.5), 0.1)

    each = [Measured(pipeline, found(strength), patients, 0.0) for pipeline, strength in strengths.items()]
    return Comparison.of(each, patients, "auc", "c.h5", [])


CLINICAL = Pipeline("clinical", "clinical", None, "", "", "clinical")


def on(encoder: str, head: str = "image") -> Pipeline:
    inputs = "image" if head == "image" else "image+clinical"
    return Pipeline(f"{encoder}/{head}", head, encoder, "", encoder, inputs, "resnet18")


@pytest.mark.parametrize(
    ("trained", "random", "said"),
    [
        (2.0, 1.0, "it beats the random encoder."),
        (1.0, 2.0, "it is worse than the random encoder."),
        (
            1.0,
            1.0,
            "it cannot be told apart from the random encoder, so nothing here shows that it sees more",
        ),
    ],
)
def test_whether_the_encoder_beats_the_random_one(trained: float, random: float, said: str) -> None:
    sentences = conclusions(simulated({on("frozen"): trained, on("random"): random, CLINICAL: 1.0}))
    (sentence,) = [s for s in sentences if "random encoder" in s]
    assert said in sentence
    assert sentence.startswith("Images only: the best, frozen/image, against random/image: AUC ")
    assert len(re.findall(r"[+−]\d\.\d{3} \[[+−]\d\.\d{3}, [+−]\d\.\d{3}\]", sentence)) == 2
    assert any("without the colours alone it cannot be said" in s for s in sentences)


@pytest.mark.parametrize(
    ("both", "said"),
    [
        (2.0, "images add to the clinical values."),
        (0.2, "adding images makes the prediction worse."),
        (1.0, "nothing here shows that images add to the clinical values."),
    ],
)
def test_whether_images_add_to_the_clinical_values(both: float, said: str) -> None:
    sentences = conclusions(simulated({on("fine-tuned", "both"): both, CLINICAL: 1.0}))
    assert next(s for s in sentences if s.startswith("Images added to clinical")).endswith(said)


def test_the_best_is_told_apart_or_not() -> None:
    alone = conclusions(simulated({on("frozen"): 3.0, CLINICAL: 0.5}))[0]
    assert "selected among 2" in alone
    assert alone.endswith("every other pipeline is worse (the interval of the difference excludes zero).")
    tied = conclusions(simulated({on("frozen"): 1.0, CLINICAL: 1.0}))[0]
    assert tied.endswith("1 of the others cannot be told apart from it (≈): frozen/image.")


def test_where_the_ambiguous_are_of_one_class_their_scores_are_left_empty() -> None:
    n = 40
    y = (np.arange(n) >= n // 2).astype(np.int8)
    patients = Patients(y, (np.arange(n) % 4).astype(np.int8), np.arange(n, dtype=np.float64))
    p = np.random.default_rng(0).random(n)
    m = Measured(CLINICAL, OutOfFold(p, np.full(n, 0.5), 0.0), patients, 0.0)
    comparison = Comparison.of([m], patients, "auc", "c.h5", [])
    assert m.ambiguous == {}
    assert "–" in shown(comparison)
    assert all(np.isnan(comparison_table(comparison)[f"ambiguous_{s}"][0]) for s in ("ba", "auc", "log_loss"))
    assert set(m.all) == set(METRICS)

"""The section on performance: every figure that the evaluation allows, and a command for every one that it does not."""

import re
import shlex
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from lymphofeat.assess import Assessment
from lymphofeat.commands.evaluate import evaluate
from lymphofeat.heads.registry import head_types
from lymphofeat.page.blocks import FigureBlock, Gap, Section, Table, Text
from lymphofeat.page.performance import performance_section
from lymphofeat.page.records import ComparisonRecord
from lymphofeat.page.render import render_page
from lymphofeat.progress import Silent

from ..helpers.assessed import N, assessed, record, sources

FIGURES = [
    "roc", "precision-recall", "pipelines-forest", "differences-forest", "calibration", "decision-curve",
    "risk-coverage", "triage", "subgroups", "learning-curve", "stability", "optimism", "permutation",
]  # fmt: skip
TABLES = ["confusion", "metrics", "calibration-scores", "thresholds", "gains", "stability-scores"]


def section_of(folder: Path, assessment: Assessment, *, ids: bool = False, **changes: object) -> Section:
    return performance_section(sources(record(folder, assessment, **changes), ids=ids), Silent())


def without(assessment: Assessment, *names: str) -> dict[str, object]:
    return {"tables": {name: table for name, table in assessment.tables.items() if name not in names}}


def gaps(section: Section) -> dict[str, str]:
    return {block.what: block.command for block in section.blocks if isinstance(block, Gap)}


def tables(section: Section) -> list[str]:
    return [block.name for block in section.blocks if isinstance(block, Table)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Section:
    return section_of(tmp_path_factory.mktemp("whole"), assessed(runs=3, whole=True))


def test_every_figure_has_its_place_and_its_numbers(whole: Section) -> None:
    assert [drawn.name for drawn in whole.drawn] == FIGURES
    assert tables(whole) == TABLES
    assert gaps(whole) == {"No comparison was found": "lymphofeat compare c.h5"}
    for block in whole.blocks:
        if isinstance(block, FigureBlock):
            assert len(block.table.cells) == min(len(block.drawn.table), 200)
            assert ("the CSV file has all" in block.table.caption) == (len(block.drawn.table) > 200)


def test_average_precision_of_clinical_values_has_an_interval(whole: Section) -> None:
    """The evaluation has none of it: it is that of the predictions, with an interval by the same resamples."""
    (drawn,) = [one for one in whole.drawn if one.name == "precision-recall"]
    predictions = assessed(runs=3, whole=True).tables["predictions"]
    runs = [one for _, one in predictions[predictions["role"] == "clinical"].groupby("run")]
    value = np.mean([average_precision_score(one["label"], one["score"]) for one in runs])
    assert re.search(rf"clinical only: average precision {value:.3f} \(0\.\d\d–0\.\d\d\)", drawn.alt)


def test_nobody_is_named_unless_asked_for(whole: Section, tmp_path: Path) -> None:
    ids = [f"P{k}" for k in range(N)]
    blocks = [
        block
        for block in whole.blocks
        if isinstance(block, FigureBlock) and block.drawn.name in ("roc", "stability")
    ]
    page = render_page("Report", [Section("performance", "Performance", blocks)])
    assert not [one for one in ids if f">{one}<" in page or f'"{one}"' in page]
    (stability,) = [drawn for drawn in whole.drawn if drawn.name == "stability"]
    assert set(stability.table["patient"].str.match(r"^patient \d+$")) == {True}
    named = section_of(tmp_path, assessed(), ids=True)
    (stability,) = [drawn for drawn in named.drawn if drawn.name == "stability"]
    assert set(stability.table["patient"]) == set(ids)


def test_what_was_not_run_goes_on_from_this_evaluation(tmp_path: Path) -> None:
    search = {
        "trials": 20, "repeats": 1, "seeds": 2, "seed": 7, "heads": ["logistic", "svm"], "missing_indicators": True,
    }  # fmt: skip
    found = gaps(section_of(tmp_path, assessed(), search=search))
    same = "--encoding frozen --trials 20 --seeds 2 --seed 7 --heads logistic,svm --missing-indicators"
    assert [found[what].partition("s.db ")[2] for what in found if "omparison" not in what] == [
        f"{same} --learning-curve",
        "--encoding frozen --trials 20 --repeats 5 --seeds 2 --seed 7 --heads logistic,svm --missing-indicators",
        f"{same} --permute 100",
    ]
    for command in (command for what, command in found.items() if "omparison" not in what):
        program, name, *arguments = shlex.split(command)
        assert (program, name) == ("lymphofeat", "evaluate")
        with click.Context(evaluate) as context:  # an option that the command does not know is an error
            options, rest, _ = evaluate.make_parser(context).parse_args(arguments)
        assert rest == []
        assert options["n_trials"] == "20"


def test_a_learning_curve_that_is_there_is_kept_by_the_next_command(tmp_path: Path) -> None:
    found = gaps(section_of(tmp_path, assessed(whole=True)))
    (command,) = [command for what, command in found.items() if what.startswith("One run")]
    assert command.endswith("--repeats 5 --permute 100 --learning-curve")


def test_all_heads_need_no_option(tmp_path: Path) -> None:
    found = gaps(section_of(tmp_path, assessed(), search={"trials": 50, "heads": list(head_types())}))
    assert not any("--heads" in command or "--trials" in command for command in found.values())


def test_no_evaluation_is_a_gap() -> None:
    section = performance_section(sources(None), Silent())
    assert gaps(section) == {
        "No `evaluate` of this study was found": "lymphofeat evaluate --cache c.h5 --study s.db",
        "No comparison was found": "lymphofeat compare c.h5",
    }


def test_an_evaluation_of_an_earlier_version_has_no_curves(tmp_path: Path) -> None:
    found = assessed()
    section = section_of(tmp_path, found, **without(found, "predictions"))
    assert [drawn.name for drawn in section.drawn] == [
        name
        for name in FIGURES
        if name
        not in ("roc", "precision-recall", "calibration", "stability", "learning-curve", "permutation")
    ]
    (what,) = [what for what in gaps(section) if "earlier version" in what]
    assert gaps(section)[what].startswith("lymphofeat evaluate --cache c.h5 --study s.db --encoding frozen")


def test_empty_tables_are_left_out(tmp_path: Path) -> None:
    found = assessed(clinical=False)
    assert len(found.tables["differences"]) == 0
    names = ("subgroups", "triage", "thresholds", "risk_coverage", "decision_curves")
    empty = {name: found.tables[name].iloc[:0] for name in names}
    no_search = found.tables["optimism"].assign(tuned=np.nan)
    section = section_of(tmp_path, found, tables={**found.tables, **empty, "optimism": no_search})
    assert [drawn.name for drawn in section.drawn] == [
        "roc", "precision-recall", "pipelines-forest", "calibration", "stability",
    ]  # fmt: skip


def test_persons_with_several_records_widen_the_bins(tmp_path: Path) -> None:
    by_record, by_person = (
        next(
            drawn
            for drawn in section_of(tmp_path, assessed(), n_persons=n).drawn
            if drawn.name == "calibration"
        )
        for n in (None, N // 2)
    )
    widths = [
        float((one.table["observed_high"] - one.table["observed_low"]).sum())
        for one in (by_record, by_person)
    ]
    assert widths[1] > widths[0]


def test_a_comparison_is_drawn_with_its_sentences(tmp_path: Path) -> None:
    row = {"pipeline": "a/average", "balanced_accuracy": 0.9, "ba_low": 0.8, "ba_high": 0.95, "tied": True}
    row |= dict.fromkeys(("ba_difference", "ba_difference_low", "ba_difference_high"), 0.0)
    compared = ComparisonRecord(
        Path("compare.json"),
        "balanced_accuracy",
        N,
        72,
        None,
        "",
        {},
        ["Best is a/average."],
        pd.DataFrame([row]),
    )
    section = performance_section(sources(None, comparison=compared), Silent())
    assert [drawn.name for drawn in section.drawn] == ["comparison-forest"]
    (text,) = [block for block in section.blocks if isinstance(block, Text)]
    assert text.sentences == ["Best is a/average."]

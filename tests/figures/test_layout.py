"""No text of a figure lies over another or beyond the edge; files for a paper are what journals take."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image

from lymphofeat import figures
from lymphofeat.estimates.intervals import Interval
from lymphofeat.figures import Drawn
from lymphofeat.figures.saving import page_svg
from lymphofeat.figures.style import COLOURS, new_figure

from ..helpers.assessed import LONG, assessed, tables_of
from ..helpers.texts import overlapping_texts

PRECISION = dict.fromkeys(("main", "clinical"), Interval(0.9, 0.8, 0.95))
CASES = {"three runs": {"runs": 3, "whole": True}, "one run of few patients": {"n": 12}}


def every(tables: dict[str, pd.DataFrame]) -> Iterator[tuple[str, Callable[[], Drawn]]]:
    predictions, pipelines = tables["predictions"], tables["pipelines"]
    yield "roc", lambda: figures.roc_figure(predictions, pipelines)
    yield "precision-recall", lambda: figures.precision_recall_figure(predictions, PRECISION)
    yield "pipelines-forest", lambda: figures.pipelines_figure(pipelines)
    yield "differences-forest", lambda: figures.differences_figure(tables["differences"], pipelines)
    yield "calibration", lambda: figures.calibration_figure(predictions, tables["calibration"])
    yield "decision-curve", lambda: figures.decision_figure(tables["decision_curves"])
    yield "risk-coverage", lambda: figures.risk_coverage_figure(tables["risk_coverage"])
    yield "triage", lambda: figures.triage_figure(tables["triage"])
    yield "subgroups", lambda: figures.subgroups_figure(tables["subgroups"])
    yield "stability", lambda: figures.stability_figure(predictions)
    yield "optimism", lambda: figures.optimism_figure(tables["optimism"])
    if "learning_curve" in tables:
        yield "learning-curve", lambda: figures.learning_figure(tables["learning_curve"])
        yield "permutation", lambda: figures.permutation_figure(tables["permutation"])


@pytest.mark.parametrize("case", CASES)
def test_no_text_lies_over_another(case: str) -> None:
    wrong = []
    for name, draw in every(tables_of(assessed(**CASES[case]))):
        drawn = draw()
        assert drawn.name == name
        assert min(map(len, (drawn.title, drawn.caption, drawn.alt))) > 2
        assert not re.search(r"\bnan\b|None", drawn.alt + drawn.caption)
        assert "  " not in drawn.alt + drawn.caption
        wrong += [f"{name}: {what}" for what in overlapping_texts(drawn.figure)]
    assert wrong == []


def test_texts_that_do_are_found() -> None:
    figure, axes = new_figure(height=40)
    axes.text(0.5, 0.5, "one")
    axes.text(0.5, 0.52, "other")
    axes.text(0.98, 0.2, "a long text beyond the edge", in_layout=False)
    assert overlapping_texts(figure) == [
        "'one' over 'other'",
        "'a long text beyond the edge' leaves the figure",
    ]


def test_a_long_name_of_the_pipeline_has_room() -> None:
    tables = tables_of(assessed())
    renamed = {"image + clinical": LONG + ", " + LONG}
    tables["pipelines"] = tables["pipelines"].replace({"pipeline": renamed})
    tables["predictions"] = tables["predictions"].replace({"pipeline": renamed})
    for name, draw in list(every(tables))[:3]:
        assert overlapping_texts(draw().figure) == [], name


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Files of a figure of one column and of one of two, by name."""
    folder = tmp_path_factory.mktemp("figures")
    drawn = [draw() for name, draw in every(tables_of(assessed())) if name in ("calibration", "stability")]
    saved = figures.save_figures(drawn, folder)
    return {one.name: [path for path in saved if path.stem == one.name] for one in drawn}


@pytest.mark.parametrize(("name", "width"), [("calibration", 85), ("stability", 178)])
def test_files_are_what_journals_take(files: dict[str, list[Path]], name: str, width: float) -> None:
    by_suffix = {path.suffix: path for path in files[name]}
    assert set(by_suffix) == {".pdf", ".svg", ".png", ".csv"}
    pdf = by_suffix[".pdf"].read_bytes()
    assert b"/Type3" not in pdf
    assert re.search(rb"/FontFile2\b", pdf)  # TrueType, embedded
    (box,) = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", pdf)
    assert float(box[0]) == pytest.approx(width / 25.4 * 72, abs=0.1)
    with Image.open(by_suffix[".png"]) as image:
        assert image.width == pytest.approx(width / 25.4 * 300, abs=1)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert ElementTree.parse(by_suffix[".svg"]).getroot().tag.endswith("svg")


def test_a_figure_on_the_page_has_no_colour_of_its_own() -> None:
    """Every colour is a variable of the style sheet, so that the figure follows the theme."""
    for name, draw in every(tables_of(assessed())):
        if name not in ("roc", "differences-forest", "calibration", "stability"):  # which use all colours
            continue
        text = page_svg(draw())
        ElementTree.fromstring(text)
        assert set(re.findall(r"#[0-9a-f]{6}\b", text)) == set(), name
        assert set(re.findall(r"var\(--(\w+)\)", text)) <= set(COLOURS.values())

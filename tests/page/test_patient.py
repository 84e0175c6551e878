"""A patient's page: the numbers of `explain`, the pictures that are there, and a word where they are not."""

import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import ExtractSettings
from lymphofeat.cache.morphology import extract_morphology
from lymphofeat.cohort.read import read_cohort
from lymphofeat.explanation import Explanation, explain
from lymphofeat.explanation.unlike import CellsOfCohort, Unlike, most_unlike
from lymphofeat.page.alone import write_patient_page
from lymphofeat.page.cells_shown import ExplainedCells
from lymphofeat.page.image_files import ImageFiles, find_images
from lymphofeat.page.names import Names
from lymphofeat.page.patient import CellsShown, page_of, scaled, waterfall
from lymphofeat.page.pictures import CHANGED, MISSING, UNREADABLE, Budget, Ranked, make_pictures
from lymphofeat.progress import Silent
from lymphofeat.studies import tune
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

from ..helpers.commands import runner


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """20 patients of 4 to 6 measured cells, whose images lie beside the cache."""
    folder = tmp_path_factory.mktemp("page")
    spec = SimulationSettings(patients=20, seed=4, size=96, images_range=(4, 6), overlap=0.1)
    simulate_cohort(folder / "data", spec)
    (folder / "data" / "lymphofeat.toml").write_text("[images]\nsmallest = 64\n")
    cohort = read_cohort(folder / "data")
    extract_morphology(cohort, folder / "c.h5", settings=ExtractSettings(crop=224, n_folds=3, n_repeats=1))
    tune(folder / "c.h5", folder / "s.db", n_trials=3, heads=["logistic"], inputs=["both", "image"])
    return folder / "c.h5", folder / "s.db"


@pytest.fixture(scope="module")
def explained(made: tuple[Path, Path]) -> Explanation:
    return explain(*made, str(open_cache(made[0]).ids[3]))


def shown(made: tuple[Path, Path], e: Explanation, budget: Budget | None = None) -> ExplainedCells:
    cache = open_cache(made[0])
    names = Names(tuple(cache.ids.astype(str).tolist()), shown=True)
    return ExplainedCells(cache, "morphology", names, [e], Silent(), budget)


def values_in(html: str) -> list[float]:
    return [float(value) for value in re.findall(r'data-value="([^"]+)"', html)]


def test_the_page_has_the_numbers_of_explain(
    made: tuple[Path, Path], explained: Explanation, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    write_patient_page(explained, *made, out)
    html = out.read_text(encoding="utf-8")
    found = values_in(html)
    for table in (explained.images, explained.values):
        assert table is not None
        assert set(table["contribution"]) <= set(found)
    numbers = [explained.probability, explained.threshold, *vars(explained.parts).values()]
    for number in numbers:
        assert min(abs(number - other) for other in found) < 1e-12
    assert f"Patient {explained.id}" in html
    assert all(name in html for name in explained.images["image"])
    assert html.count("<img ") == len(explained.images)
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)


def test_pictures_are_the_images(made: tuple[Path, Path], explained: Explanation) -> None:
    cells = shown(made, explained).of(explained)
    folder = next((made[0].parent / "data").glob(f"*set/{explained.id}"))
    assert [cell.contribution for cell in cells.malignant] == sorted(
        (c for c in explained.images["contribution"] if c > 0), reverse=True
    )
    assert [cell.contribution for cell in cells.reactive] == sorted(
        c for c in explained.images["contribution"] if c < 0
    )
    for cell in (*cells.malignant, *cells.reactive):
        picture = Image.open(BytesIO(b64decode(cell.picture.partition(",")[2]))).convert("RGB")
        original = Image.open(folder / cell.name).convert("RGB")
        assert picture.size == original.size == cell.size
        assert np.abs(np.asarray(picture, float) - np.asarray(original, float)).mean() < 6
    assert cells.table is not None
    assert list(cells.table) == ["image", "contribution"]


def test_images_that_are_gone_changed_or_damaged_are_said(
    made: tuple[Path, Path], explained: Explanation
) -> None:
    folder = next((made[0].parent / "data").glob(f"*set/{explained.id}"))
    names = list(explained.images["image"][:3])
    kept = {name: (folder / name).read_bytes() for name in names}
    try:
        (folder / names[0]).unlink()
        Image.new("RGB", (96, 96), (9, 9, 9)).save(folder / names[1])
        cells = shown(made, explained)
        found = cells.of(explained)
        reasons = {cell.name: cell.reason for cell in (*found.malignant, *found.reactive, *found.others)}
        assert (reasons[names[0]], reasons[names[1]], reasons[names[2]]) == (MISSING, CHANGED, "")
        n = len(explained.images)
        assert cells.troubles == [
            f"1 of {n} image file was not found in {made[0].parent / 'data'}; no picture is shown.",
            f"1 of {n} image file has changed since its features were computed; no picture is shown.",
        ]
        for name in kept:
            (folder / name).unlink(missing_ok=True)
        for name in explained.images["image"][3:]:
            kept[name] = (folder / name).read_bytes()
            (folder / name).unlink()
        gone = shown(made, explained)
        assert {c.reason for side in gone.of(explained)[:3] for c in side} == {MISSING}  # type: ignore[union-attr]
        assert f"{n} of {n} image files were not found" in gone.troubles[0]
    finally:
        for name, content in kept.items():
            (folder / name).write_bytes(content)


def test_a_file_that_is_no_image_has_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    found = make_pictures(
        ImageFiles([tmp_path / "a.png", tmp_path / "b.png", None], ["", "", ""]),
        [Ranked([0], [1], [2])], Budget.of(3), Silent(),
    )  # fmt: skip
    assert found.reasons == {0: UNREADABLE, 1: MISSING, 2: MISSING}
    assert found.sheets == [None]


def test_without_the_cohorts_folder_it_is_said(
    made: tuple[Path, Path], explained: Explanation, tmp_path: Path
) -> None:
    cache = open_cache(made[0])
    elsewhere = replace(cache, tables=replace(cache.tables, source=str(tmp_path / "nowhere")))
    assert "is not where it was" in find_images(elsewhere).reason
    hidden = replace(cache, tables=replace(cache.tables, pseudonyms=True))
    assert "holds pseudonyms" in find_images(hidden).reason
    names = Names(tuple(cache.ids.astype(str).tolist()))
    cells = ExplainedCells(elsewhere, "morphology", names, [explained], Silent())
    assert len(cells.troubles) == 1
    found = cells.of(explained)
    assert {cell.reason for cell in (*found.malignant, *found.reactive)} == {"no picture"}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """30 images that do not compress well."""
    folder, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    paths: list[Path | None] = []
    for k in range(30):
        paths.append(folder / f"{k}.png")
        Image.fromarray(rng.integers(0, 255, (300, 280, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return ImageFiles(paths, [""] * 30)


@pytest.mark.parametrize("each", [0, 1, 3, None])
def test_as_many_of_either_side_are_large_as_the_budget_allows(noise: ImageFiles, each: int | None) -> None:
    patients = [
        Ranked([0, 1, 2, 3], [9, 8, 7], [5]),
        Ranked([10, 11, 12, 13, 14], [29]),
        Ranked([], [20, 21]),
    ]
    whole = make_pictures(noise, patients, Budget(10**9, 10**9), Silent())
    assert whole.each is None
    assert len(whole.full) == 16
    assert max(max(size) for _, *size in whole.full.values()) == 256
    if each is None:
        return
    rounds = [{0, 9, 10, 29, 20}, {1, 8, 11, 21}, {2, 7, 12}]
    large = set().union(*rounds[:each])
    bytes_of = sum(len(whole.full[row][0]) for row in large)
    found = make_pictures(noise, patients, Budget(bytes_of, 10**9), Silent())
    assert found.each == each
    assert set(found.full) == large
    places = [row for sheet in found.sheets if sheet is not None for row in sheet.places]
    assert sorted(places + list(large)) == sorted(whole.full)
    assert list(found.sheets[0].places) == [r for r in (0, 1, 2, 3, 5, 7, 8, 9) if r not in large]  # type: ignore[union-attr]


def test_small_pictures_are_coarser_where_they_would_be_too_large(noise: ImageFiles) -> None:
    patients = [Ranked(list(range(30)), [])]
    sizes = []
    for most in (10**9, 12_000):
        (sheet,) = make_pictures(noise, patients, Budget(0, most), Silent()).sheets
        assert sheet is not None
        assert (sheet.columns, sheet.lines) == (10, 3)
        assert Image.open(BytesIO(sheet.data)).size == (480, 144)
        sizes.append(len(sheet.data))
    assert sizes[1] < 0.75 * sizes[0]


def test_budgets_hold_for_cohorts_of_any_size() -> None:
    for n in (1, 2355, 9523, 200_000):
        budget = Budget.of(n)
        assert budget.full + budget.small <= 13e6
    small = Budget.of(2355)
    assert 4 / 3 * (small.full + small.small) < 4e6


def test_bars_add_up_and_stay_inside() -> None:
    bars = waterfall({"typical patient": 1.5, "images": -2.0, "clinical values": 0.25}, "log-odds")
    assert [bar.value for bar in bars] == [1.5, -2.0, 0.25, -0.25]
    for bar in (*bars, *scaled([("a", 2.0), ("b", -1.0), ("c", 0.0), ("d", float("nan"))])[:3]):
        assert -1e-9 <= bar.left <= 100
        assert bar.left + bar.width <= 100 + 1e-9
    assert bars[1].left == pytest.approx(bars[3].left - (0.25 / 2.0) * 100 + 0.0, abs=1e-9)
    assert [bar.words for bar in bars] == ["+1.50", "−2.00", "+0.25", "−0.25"]
    assert all(bar.width == 0 for bar in waterfall({"typical patient": 0.0}, "log-odds"))


def test_age_is_in_whole_years_and_the_interval_says_what_it_is(explained: Explanation) -> None:
    values = pd.DataFrame(
        [{"value": "age", "text": "76.89 years", "contribution": 0.4, "above_reactive": 0.9, "above_malignant": 0.6,
          "n_reactive": 10, "n_malignant": 10}]
    )  # fmt: skip
    page = page_of(replace(explained, values=values), "a", "Patient 1", CellsShown())
    assert [bar.label for bar in page.values] == [
        "age 77 years, larger than that of 90 % of reactive patients"
    ]
    assert f"The {len(explained.each)} selected heads give" in page.facts[0]
    assert "not a confidence interval" in page.facts[0]
    one = page_of(replace(explained, each=(explained.probability,)), "a", "Patient 1", CellsShown())
    assert "One head was selected" in one.facts[0]
    runs = page_of(explained, "a", "Patient 1", CellsShown(), ranging=(0.0, 1.0), facts=["Over 5 runs."])
    assert runs.facts == ["Over 5 runs."]
    assert (runs.gauge.low, runs.gauge.high) == (0.0, 1.0)
    plain = page_of(explained, "a", "Patient 1", CellsShown(), clinical=False)
    assert plain.values == []
    assert "clinical values" not in [bar.label for bar in plain.parts]


def test_the_rarest_values_of_a_cell_are_named_once(made: tuple[Path, Path]) -> None:
    encoding = open_cache(made[0]).encodings["morphology"]
    cells = CellsOfCohort.of(encoding)
    assert encoding.names is not None
    values = np.array(encoding.features, dtype=np.float64)
    shares = cells.shares(values)
    assert shares.min() >= 0
    assert shares.max() <= 1
    np.testing.assert_allclose(shares.mean(axis=0), 0.5)
    values[0, encoding.names.index("nucleus_area")] = 1e9
    values[0, encoding.names.index("nucleus_perimeter")] = 1e9
    found = most_unlike(cells, values)
    assert found[0][0] == Unlike("nucleus_area", larger=True, share=1.0)
    assert "nucleus_perimeter" not in [one.feature for one in found[0]]
    assert max(map(len, found)) <= 3
    assert all(one.share >= 0.9 for each in found for one in each)
    assert (
        Unlike("nucleus_area", larger=False, share=0.97).in_words
        == "nucleus area smaller than in 97 % of all cells"
    )
    assert "more than 99 %" in Unlike("nucleus_area", larger=True, share=1.0).in_words


def test_the_command_writes_a_page_or_a_table_and_nothing_else(
    made: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = runner(monkeypatch, capsys)
    patient = str(open_cache(made[0]).ids[0])
    command = ("explain", patient, "--cache", made[0], "--study", made[1])
    done = run(*command, "--out", tmp_path / "p.html")
    assert done.code == 0, done.err
    assert f"Wrote {tmp_path / 'p.html'}" in done.out
    assert f"<title>Patient {patient}" in (tmp_path / "p.html").read_text(encoding="utf-8")
    again = run(*command, "--out", tmp_path / "p.html")
    assert again.code == 2
    assert "exists already" in again.err
    other = run(*command, "--out", tmp_path / "p.pdf")
    assert other.code == 2
    assert "neither a table nor a page; name FILE.csv for a table, or FILE.html" in other.err
    assert not (tmp_path / "p.pdf").exists()

"""The map of all cells: what is on it, what it says, what it does without pictures, names or labels."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.extract import ExtractSettings, extract_frozen
from lymphofeat.cohort.read import read_cohort
from lymphofeat.explanation.cell_positions import sample_evenly
from lymphofeat.figures.saving import save_figures
from lymphofeat.page import cell_map
from lymphofeat.page.blocks import Section
from lymphofeat.page.cell_map import CellMap, cell_map_block
from lymphofeat.page.names import Names
from lymphofeat.page.render import render_page
from lymphofeat.page.sources import Places, Sources, find_sources
from lymphofeat.progress import Silent

from ..helpers.caches import features, frozen_cache, patients, tuned_cache
from ..helpers.tiny import tiny_cohort

SETTINGS = ExtractSettings(
    backbone="small-cnn", weights="none", seed=0, crop=64, n_folds=3, n_repeats=1, device="cpu"
)


def with_images(folder: Path) -> Path:
    """A cache of 16 patients with 3 images each, which lie beside it."""
    extract_frozen(read_cohort(tiny_cohort(folder / "data", 16, side=80)), folder / "c.h5", SETTINGS)
    return folder / "c.h5"


def images_of(cache: Path, patient: str) -> Path:
    return next((cache.parent / "data").glob(f"*set/{patient}"))


def sources_of(cache: Path, *, ids: bool = False) -> Sources:
    nowhere = cache.parent / "nothing"
    return find_sources(Places(cache, nowhere / "s.db", kept=nowhere), ids=ids)


def drawn(sources: Sources, contributions: dict[str, np.ndarray] | None = None) -> CellMap:
    found = cell_map_block(sources, contributions or {}, Silent())
    assert isinstance(found, CellMap)
    return found


def page(block: CellMap) -> str:
    return render_page("Report", [Section("cells", "Cells", [block])])


def read(data: dict[str, Any], name: str, kind: str) -> np.ndarray:
    return np.frombuffer(b64decode(data[name]), kind)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_images(tmp_path_factory.mktemp("map"))


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of 46 patients without images on the disk."""
    return frozen_cache(tmp_path_factory.mktemp("map") / "c.h5")


def test_every_cell_is_on_it_with_its_patient_and_contribution(frozen: Path) -> None:
    sources = sources_of(frozen)
    cache, ids = sources.cache, sources.cache.ids.astype(str)
    lengths = cache.patients["n_images"].to_numpy()
    given = {name: np.arange(n) + 100.0 * k for k, (name, n) in enumerate(zip(ids, lengths, strict=True))}
    block = drawn(sources, {name: values for name, values in given.items() if name != ids[3]})
    data, table = block.for_script, block.drawn.table
    assert len(table) == cache.tables.n_images
    owner, adds = read(data, "patient", "<u2"), read(data, "contribution", "<f4")
    for k, patient in enumerate(data["patients"]):
        mine = np.flatnonzero(owner == k)
        (name,) = [one for one in ids if sources.names.patient(one) == patient["name"]]
        assert len(mine) == lengths[ids.get_loc(name)]
        for cell in mine:
            position = int(data["images"][cell].removeprefix("image ")) - 1
            expected = np.nan if name == ids[3] else given[name][position]
            assert adds[cell] == pytest.approx(expected, nan_ok=True)
    xy = read(data, "xy", "<i2").reshape(-1, 2)
    assert np.corrcoef(xy[:, 0], table["x"])[0, 1] > 0.999
    assert np.corrcoef(-xy[:, 1], table["y"])[0, 1] > 0.999  # a canvas counts downwards
    assert [one.key for one in block.colourings] == ["class", "patient", "contribution"]
    assert "sheets" not in data


def test_no_more_cells_than_a_browser_draws_at_once(frozen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_map, "MOST_CELLS", 60)
    block = drawn(sources_of(frozen))
    n = sources_of(frozen).cache.tables.n_images
    assert len(block.drawn.table) == 60
    assert f"60 of {n} cells, sampled evenly over the patients, of 46 patients." in block.drawn.caption


def test_ids_and_file_names_are_there_only_when_asked_for(images: Path) -> None:
    cache = open_cache(images)
    hidden, shown = page(drawn(sources_of(images))), page(drawn(sources_of(images, ids=True)))
    for secret in (*(f'"{one}"' for one in cache.ids.astype(str)), "000000.jpg", str(images.parent)):
        assert secret not in hidden
    assert '"P7"' in shown
    assert "000001.jpg" in shown
    for name in re.findall(r'download="cell-map.csv" href="data:[^,]*,([^"]*)"', hidden):
        assert ".jpg" not in b64decode(name).decode()


def test_the_pictures_are_those_of_the_cells(images: Path) -> None:
    data = drawn(sources_of(images, ids=True)).for_script
    (sheet,) = (Image.open(BytesIO(b64decode(one))) for one in data["sheets"])
    pixels = np.asarray(sheet.convert("RGB"), dtype=float)
    np.testing.assert_array_equal(read(data, "place", "<u2"), np.arange(len(data["images"])))
    owner, side = read(data, "patient", "<u2"), data["side"]
    for cell in range(0, len(owner), 7):
        top, left = cell // data["columns"] * side, cell % data["columns"] * side
        tile = pixels[top : top + side, left : left + side]
        folder = images_of(images, data["patients"][owner[cell]]["name"])
        file = np.asarray(Image.open(folder / data["images"][cell]), dtype=float)
        assert np.abs(tile.mean(axis=(0, 1)) - file[14:65, 14:65].mean(axis=(0, 1))).max() < 6


def test_an_image_that_changed_or_went_is_not_shown_as_if_it_were_the_one(tmp_path: Path) -> None:
    cache = with_images(tmp_path)
    (images_of(cache, "P1") / "000000.jpg").unlink()
    Image.new("RGB", (80, 80)).save(images_of(cache, "P2") / "000001.jpg")
    (images_of(cache, "P3") / "000002.jpg").write_bytes(b"")
    data = drawn(sources_of(cache, ids=True)).for_script
    owner, place = read(data, "patient", "<u2"), read(data, "place", "<u2")
    gone = {(data["patients"][owner[k]]["name"], data["images"][k]) for k in np.flatnonzero(place == 65535)}
    assert gone == {("P1", "000000.jpg"), ("P2", "000001.jpg"), ("P3", "000002.jpg")}


def test_what_stands_on_the_patients_pages_is_taken_from_there(images: Path) -> None:
    sources = sources_of(images)
    rows = sample_evenly(sources.cache.patients["n_images"].to_numpy(), 5000).tolist()
    block = cell_map_block(sources, {}, Silent(), pictured=set(rows[:40]))
    assert isinstance(block, CellMap)
    expected = [65535] * 40 + list(range(len(rows) - 40))
    np.testing.assert_array_equal(read(block.for_script, "place", "<u2"), expected)
    (sheet,) = (Image.open(BytesIO(b64decode(one))) for one in block.for_script["sheets"])
    assert sheet.height == block.for_script["side"]  # one line of pictures
    everywhere = cell_map_block(sources, {}, Silent(), pictured=set(rows))
    assert isinstance(everywhere, CellMap)
    assert everywhere.for_script["sheets"] == []


def test_named_features_colour_the_cells(tmp_path: Path) -> None:
    table = patients(12, 2)
    values = features(table, dim=3)
    values[:, 1] = 4.0  # nothing to colour by
    save_cache(tmp_path / "c.h5", table, {"frozen": values}, n_folds=2)
    sources = sources_of(tmp_path / "c.h5")
    encoding = sources.cache.encodings["frozen"]
    about = encoding.spec.about | {"features": ["nucleus_area", "b", "c"]}
    named = replace(encoding, spec=replace(encoding.spec, about=about))
    block = drawn(replace(sources, cache=replace(sources.cache, encodings={"frozen": named})))
    one, other = block.colourings[2:]
    assert (one.title, one.group, one.unit) == ("nucleus area", "Shape", "px²")
    assert (other.title, other.group) == ("c", "Features")
    assert (one.low, one.high) == pytest.approx(tuple(np.quantile(values[:, 0], (0.01, 0.99))))
    steps = np.frombuffer(b64decode(one.values), np.uint8)
    assert len(steps) == len(values)
    assert (steps.min(), steps.max()) == (0, 254)


def test_an_encoder_that_saw_labels_is_said(tmp_path: Path) -> None:
    block = drawn(sources_of(tuned_cache(tmp_path / "c.h5", pairs=False)))
    assert "learnt from the labels of all patients outside fold 0" in block.drawn.caption
    assert "no evidence" in block.drawn.caption


@pytest.mark.parametrize("kind", ["one patient", "identical", "three cells", "no label"])
def test_odd_cohorts_have_a_map(tmp_path: Path, kind: str) -> None:
    table = patients(12, 2)
    if kind == "one patient":
        table = table.iloc[[12]].assign(n_images=14)
    if kind == "three cells":
        table = table.iloc[[12, 13]].assign(n_images=[1, 2])
    if kind == "no label":
        table = table.assign(label=-1, split="test")
    values = features(table)
    if kind == "identical":
        values[:] = 1.0
    save_cache(tmp_path / "c.h5", table, {"frozen": values}, n_folds=2)
    cache = open_cache(tmp_path / "c.h5")
    names = Names(tuple(cache.ids.astype(str)))
    block = drawn(Sources(Places(cache.path, Path("s.db")), cache, None, None, None, names))
    assert len(block.drawn.table) == table["n_images"].sum()
    assert 'class="cell-map"' in page(block)
    assert not any(
        re.search(r"\bnan\b", text) for text in (*block.findings, block.drawn.alt, block.drawn.caption)
    )
    assert json.dumps(block.for_script, allow_nan=False)


def test_the_numbers_of_the_table_and_of_the_sentences_are_one(frozen: Path) -> None:
    block = drawn(sources_of(frozen))
    whole = block.shares.frame.set_index("class").loc["all"]
    assert f"{100 * whole['same_patient']:.0f} % are of the same patient" in block.findings[0]
    assert f"{100 * whole['same_class']:.0f} % are of its class" in block.findings[1]


def test_the_map_is_a_figure_for_paper_as_well(frozen: Path, tmp_path: Path) -> None:
    sources = sources_of(frozen)
    ids = sources.cache.ids.astype(str)
    lengths = sources.cache.patients["n_images"]
    block = drawn(sources, {name: np.linspace(-1, 1, n) for name, n in zip(ids, lengths, strict=True)})
    assert Section("cells", "Cells", [block]).drawn == [block.drawn]
    files = save_figures([block.drawn], tmp_path / "figures")
    assert {path.name for path in files} == {f"cell-map.{suffix}" for suffix in ("pdf", "svg", "png", "csv")}
    assert len(block.svg) < 600_000
    assert "<image" in block.svg  # points are pixels, not thousands of shapes

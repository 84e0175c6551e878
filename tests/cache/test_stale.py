"""Encoders that were trained on clinical values which were corrected since: named everywhere, used nowhere."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.writer import CacheWriter
from lymphofeat.cohort.clinical_values import clinical_digest, clinical_values
from lymphofeat.comparison.compare import compare
from lymphofeat.errors import StaleCacheError
from lymphofeat.studies import tune

from ..helpers.caches import features, patients
from ..helpers.commands import runner
from ..helpers.compared import add_encoding

TABLE = patients(32, 4)
RECIPE = {"name": "moe", "clinical": {"use": "gate", "values": ["age", "count"]}}
IMAGES_ONLY = {"name": "pooled", "clinical": {"use": "none", "values": ["age", "count"]}}
WAY_OUT = (
    r"the encoder of moe-good-fold0 was trained on clinical values of patient .* that were corrected since; "
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A cache with `frozen`, with `pooled-good` and, as the default, `moe-good`, each trained on two folds."""
    path = tmp_path / "c.h5"
    save_cache(path, TABLE, {"frozen": features(TABLE)}, n_folds=2, n_repeats=1, reference=date(2021, 5, 6))
    seen = clinical_digest(clinical_values(TABLE, ("age", "count")))
    for encoder_family, about in (
        ("pooled-good", {"recipe": IMAGES_ONLY}),
        ("moe-good", {"recipe": RECIPE, "clinical": seen}),
    ):
        for fold in range(2):
            about = {
                "backbone": "resnet18",
                "weights": "file good.pth",
                "torch": "2.9",
                "device": "cuda",
                **about,
            }
            add_encoding(
                path,
                f"{encoder_family}-fold{fold}",
                features(TABLE, seed=fold),
                about,
                encoder_family=encoder_family,
                blind_to=[fold],
            )
    return path


def correct(path: Path, table: pd.DataFrame) -> None:
    """Bring other clinical values into the cache, with another encoding."""
    save_cache(path, table, {"other": features(TABLE)}, n_folds=2, n_repeats=1)


def test_the_family_is_set_aside_as_a_whole_and_comes_back(path: Path) -> None:
    assert open_cache(path).encoder_families == ["frozen", "moe-good", "pooled-good"]
    correct(path, TABLE.assign(sex="F"))  # which the encoders do not see
    assert not open_cache(path).stale
    correct(path, TABLE.assign(lymphocyte_count=TABLE["lymphocyte_count"] + 1))
    cache = open_cache(path)
    assert cache.encoder_families == ["frozen", "other", "pooled-good"]
    assert sorted(cache.stale) == ["moe-good-fold0", "moe-good-fold1"]
    with pytest.raises(
        StaleCacheError,
        match=WAY_OUT + r"train the encoders of moe-good anew .*recipe moe.*--retrain, or name",
    ):
        cache.split("moe-good", {0})
    correct(path, TABLE)
    assert "moe-good" in open_cache(path).encoder_families


def test_nothing_is_computed_with_it(path: Path, tmp_path: Path) -> None:
    correct(path, TABLE.assign(lymphocyte_count=TABLE["lymphocyte_count"] + 1))
    study = tmp_path / "s.db"
    with pytest.raises(StaleCacheError, match=WAY_OUT):
        tune(path, study, n_trials=2, encoding="moe-good", heads=["logistic"])
    with pytest.raises(StaleCacheError, match=WAY_OUT):
        compare(path, tmp_path / "r.jsonl", pipelines=["moe-good"])
    assert not study.exists()
    compared = compare(path, tmp_path / "r.jsonl", pipelines=["pooled-good"])
    assert any("moe-good" in note and "Left out" in note for note in compared.left_out)
    assert not any(m.pipeline.encoder_family == "moe-good" for m in compared.measured)


def test_a_default_that_is_stale_is_named_not_replaced(path: Path, tmp_path: Path) -> None:
    with CacheWriter(path, replace(open_cache(path).tables, patients=TABLE.assign(age=40.0))) as writer:
        writer.correct_values()
    with pytest.raises(StaleCacheError, match=WAY_OUT):
        tune(path, tmp_path / "s.db", n_trials=2, heads=["logistic"])
    assert tune(path, tmp_path / "s.db", n_trials=2, heads=["logistic"], encoding="frozen").n_trials == 2


def test_info_shows_it_and_what_encodings_were_computed_with(path, monkeypatch, capsys) -> None:
    run = runner(monkeypatch, capsys)
    shown = run("info", path)
    assert "ages     counted to 2021-05-06" in shown.out
    assert "computed with torch 2.9 on cuda: moe-good-fold0, moe-good-fold1, pooled-good-fold0" in shown.out
    assert "Stale" not in shown.out
    correct(path, TABLE.assign(lymphocyte_count=1.0))
    shown = run("info", path)
    assert "Stale: the encoder of moe-good-fold0" in shown.out

"""The one writer of a cache: what it holds from the first look to the last encoding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.spec import EncodingSpec
from lymphofeat.cache.tables import CohortTables
from lymphofeat.cache.writer import CacheWriter
from lymphofeat.errors import CacheError, StaleCacheError

from ..helpers.caches import frozen_cache


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return frozen_cache(tmp_path / "c.h5")


@pytest.fixture
def tables(path: Path) -> CohortTables:
    return open_cache(path).tables


def test_two_writers_do_not_meet(path: Path, tables: CohortTables) -> None:
    with CacheWriter(path, tables), pytest.raises(CacheError, match="written by another process"):  # noqa: SIM117
        with CacheWriter(path, tables):
            pass


def test_a_writer_that_is_refused_holds_no_lock(path: Path, tables: CohortTables) -> None:
    other = replace(tables, names=["other"] * tables.n_images)
    with pytest.raises(StaleCacheError, match="another state of the cohort"), CacheWriter(path, other):
        pass
    with CacheWriter(path, tables):
        pass


def test_what_was_finished_is_held_at_once(path: Path, tables: CohortTables) -> None:
    features = np.random.default_rng(0).normal(size=(tables.n_images, 4)).astype(np.float32)
    spec = EncodingSpec("b", "b", 4, tables.n_images)
    with CacheWriter(path, tables) as writer:
        assert not writer.holds(spec)
        partial = writer.begin(spec)
        partial.write(0, features)
        writer.finish(partial, default=False)
        assert writer.holds(spec)
        assert not partial.path.exists()
        with pytest.raises(StaleCacheError, match=r"b made with other settings"):
            writer.holds(replace(spec, about={"crop": 1}))
    with CacheWriter(path, tables, force=True) as writer:
        assert not writer.holds(spec)


def test_a_new_cache_is_there_with_its_first_encoding(tmp_path: Path, tables: CohortTables) -> None:
    new = tmp_path / "new" / "c.h5"
    with CacheWriter(new, tables) as writer:
        assert writer.found is None
        writer.correct_values()
        assert not new.exists()
        partial = writer.begin(EncodingSpec("b", "b", 1, tables.n_images))
        partial.write(0, np.ones((tables.n_images, 1), np.float32))
        writer.finish(partial)
        assert writer.found is not None
    np.testing.assert_array_equal(open_cache(new).encodings["b"].features, 1)

"""What is kept between fits: what costs most per byte, made once however many threads ask."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lymphofeat.heads.base import FitCache


class Maker:
    """Makes arrays of 48 bytes, slowly where asked, and tells which were made."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def of(self, key: str, seconds: float = 0.0) -> Callable[[], np.ndarray]:
        def make() -> np.ndarray:
            self.made.append(key)
            time.sleep(seconds)
            return np.zeros(6)

        return make


def test_what_took_long_stays_while_more_than_the_limit_of_cheap_ones_passes() -> None:
    fit_cache, maker = FitCache(limit=100), Maker()
    fit_cache.get("pass over all images", maker.of("pass over all images", 0.2))
    for fold in range(5):
        fit_cache.get(f"table {fold}", maker.of(f"table {fold}"))
        fit_cache.get("pass over all images", maker.of("pass over all images"))
    assert maker.made.count("pass over all images") == 1


def test_what_took_long_goes_when_it_is_no_longer_asked_for() -> None:
    fit_cache, maker = FitCache(limit=100), Maker()
    fit_cache.get("once", maker.of("once", 0.05))
    for number in range(20):  # each is worth as much as `once` was, a little later
        fit_cache.get(f"{number}", maker.of(f"{number}", 0.02))
    fit_cache.get("once", maker.of("once"))
    assert maker.made.count("once") == 2


def test_two_threads_that_ask_for_one_array_make_it_once() -> None:
    fit_cache, maker, both = FitCache(), Maker(), threading.Barrier(2)

    def ask(_: int) -> np.ndarray:
        both.wait()
        return fit_cache.get("pooled", maker.of("pooled", 0.1))

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(ask, range(2))
    assert one is other
    assert maker.made == ["pooled"]


def test_an_array_costs_its_own_time_and_not_that_of_what_it_is_made_from() -> None:
    """Tables of two folds are begun at once, and both wait for the pass that they are made from."""
    fit_cache, maker, both = FitCache(limit=100), Maker(), threading.Barrier(2)

    def of_pass() -> np.ndarray:
        return fit_cache.get("pass", maker.of("pass", 0.2))

    def table(fold: int) -> np.ndarray:
        both.wait()
        return fit_cache.get(fold, lambda: of_pass() + fold)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(table, range(2)))
    for fold in range(2, 5):
        fit_cache.get(fold, lambda fold=fold: of_pass() + fold)
    assert maker.made == ["pass"]


def test_an_array_that_could_not_be_made_is_made_by_who_asks_next() -> None:
    fit_cache, maker = FitCache(), Maker()

    def fails() -> np.ndarray:
        raise MemoryError

    with pytest.raises(MemoryError):
        fit_cache.get("pooled", fails)
    assert fit_cache.get("pooled", maker.of("pooled")).shape == (6,)

"""The grid against a plain enumeration of the tree."""

import itertools
from typing import Any

import numpy as np
import pytest

from lymphofeat.heads.registry import TrialLike
from lymphofeat.studies.grid import GRID_STEPS, GridWalk
from lymphofeat.studies.space import Space


def conditional(draws: TrialLike) -> None:
    if draws.suggest_categorical("kind", ["a", "b", None]) == "a":
        draws.suggest_float("x", 0.001, 1000.0, log=True)
        draws.suggest_int("n", 1, 3)
    elif draws.suggest_categorical("flag", [True, False]):
        draws.suggest_float("y", 0.0, 1.0)


def leaves() -> list[dict[str, Any]]:
    xs, ys = [0.001, 0.03162, 1.0, 31.62, 1000.0], [0.0, 0.25, 0.5, 0.75, 1.0]
    points: list[dict[str, Any]] = [
        {"kind": "a", "x": x, "n": n} for x, n in itertools.product(xs, (1, 2, 3))
    ]
    for kind in ("b", None):
        points += [{"kind": kind, "flag": True, "y": y} for y in ys]
        points.append({"kind": kind, "flag": False})
    return points


def key(params: dict[str, Any]) -> str:
    return repr(sorted(params.items()))


def drawn(walk: GridWalk, seed: int) -> list[dict[str, Any]]:
    rng, points = np.random.default_rng(seed), []
    while (point := walk.draw(rng)) is not None:
        points.append(point)
    return points


@pytest.mark.parametrize("seed", range(5))
def test_every_leaf_once_in_an_order_of_the_seed(seed: int) -> None:
    points = drawn(GridWalk(conditional), seed)
    assert sorted(map(key, points)) == sorted(map(key, leaves()))
    assert points == drawn(GridWalk(conditional), seed)
    assert points != drawn(GridWalk(conditional), seed + 1)


def test_points_that_were_taken_are_not_drawn() -> None:
    walk = GridWalk(conditional)
    taken = leaves()[::3]
    for point in [*taken, *taken, {"kind": "a", "x": 0.5, "n": 1}, {"kind": "c"}]:  # twice; off the grid
        walk.take(point)
    rest = [point for point in leaves() if point not in taken]
    assert sorted(map(key, drawn(walk, 0))) == sorted(map(key, rest))


def test_a_space_without_choices_has_one_point() -> None:
    walk = GridWalk(lambda draws: None)
    assert drawn(walk, 0) == [{}]


def test_numbers_go_from_end_to_end() -> None:
    def numbers(draws: TrialLike) -> None:
        draws.suggest_int("few", 2, 64, log=True)
        draws.suggest_float("one", 0.3, 0.3)

    points = drawn(GridWalk(numbers), 0)
    assert len(points) == GRID_STEPS
    assert sorted(p["few"] for p in points) == [2, 5, 11, 27, 64]
    assert {p["one"] for p in points} == {0.3}


def test_the_whole_space_can_be_walked() -> None:
    walk, rng = GridWalk(Space.of().suggest), np.random.default_rng(0)
    points = [walk.draw(rng) for _ in range(300)]
    assert len({key(p) for p in points if p is not None}) == 300

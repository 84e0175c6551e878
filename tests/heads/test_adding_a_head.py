"""The page that says how to add a head, followed to the letter."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
import pytest
from sklearn.base import clone

import lymphofeat.heads
from lymphofeat.cache.bags import Bags
from lymphofeat.errors import InputError
from lymphofeat.estimates.scores import roc_auc_score
from lymphofeat.heads import FitCache, Split, fit_predict, registry
from lymphofeat.heads.registry import HeadType, head_types
from lymphofeat.synthetic.features import simulate_features

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-head.md"


@pytest.fixture
def forest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeadType]:
    """The page's head type, its file as if it stood in the package."""
    text = PAGE.read_text(encoding="utf-8")
    (name,) = re.findall(r"This is `lymphofeat/heads/(\w+\.py)`, whole", text)
    code, *_ = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert code.count("\n") < 40
    (tmp_path / name).write_text(code, encoding="utf-8")
    assert "forest" not in head_types()
    monkeypatch.setattr(lymphofeat.heads, "__path__", [*lymphofeat.heads.__path__, str(tmp_path)])
    for kept in (registry._own_head_types, head_types):
        kept.cache_clear()
    yield head_types()["forest"]
    for kept in (registry._own_head_types, head_types):
        kept.cache_clear()
    del sys.modules["lymphofeat.heads.forest"]


def test_the_page_adds_a_head(forest: HeadType) -> None:
    cohort = simulate_features(80, (3, 9), 6, signal="mean", strength=3.0, seed=0)
    bags, table, y = Bags.from_list(cohort.bags), cohort.table, cohort.y
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    point = forest.suggest(trial, {"inputs": "image", "pooling": "mean"})
    names = {"class_weight", "scale", "reduce", "min_samples_leaf"}
    names |= {"pca"} if trial.params["forest.reduce"] else set()
    assert set(trial.params) == {f"forest.{name}" for name in names}
    head = forest.build(**point)
    split = Split(bags, "drawn", np.arange(0, 80, 2), np.arange(1, 80, 2))
    (p,) = fit_predict(head, [split], table, y, FitCache())
    plain = clone(head).fit(bags.select(split.train), table.iloc[split.train], y[split.train])
    expected = plain.predict_proba(bags.select(split.test), table.iloc[split.test])[:, 1]
    np.testing.assert_array_equal(p, expected)
    assert roc_auc_score(y[split.test], p) > 0.7
    with pytest.raises(
        InputError, match=r"design__scale must be True or False, not 1; design__pca must be .*, not 0"
    ):
        clone(head).set_params(design__scale=1, design__pca=0).fit(bags, table, y)
    with pytest.raises(ValueError, match="'min_samples_leaf' parameter of RandomForestClassifier must be"):
        clone(head).set_params(classifier__min_samples_leaf=0).fit(bags, table, y)

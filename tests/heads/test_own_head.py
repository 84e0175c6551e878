"""A head of another project: registered or by an entry point, searched by worker processes too, carried by export."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

import lymphofeat
from lymphofeat.bundle.codec import pack_object, unpack_object
from lymphofeat.errors import BundleError, InputError
from lymphofeat.heads import HeadType, head_types, register
from lymphofeat.heads import registry as registry_module

from ..helpers.caches import frozen_cache

OWN = """
from functools import partial

from sklearn.ensemble import RandomForestClassifier

from lymphofeat.heads import HeadType, pooled, register, suggest_pooled


def suggest(trial):
    return {**suggest_pooled(trial), "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 20, log=True)}


HEAD = HeadType(
    name="own_forest",
    summary="A random forest on pooled features and clinical values.",
    source="Breiman, Machine Learning 45, 2001",
    cost="moderate",
    space=suggest,
    build=partial(pooled, RandomForestClassifier, n_estimators=5, random_state=0),
    inputs=("clinical",),
)
"""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test registers is gone after it."""
    yield
    registry_module._registered.clear()
    registry_module._installed_heads.cache_clear()
    head_types.cache_clear()
    for name in ("own_module", "own_package"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen_cache(tmp_path_factory.mktemp("own") / "c.h5", n=40, n_folds=3)


def module_at(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.slow
def test_a_registered_head_is_tuned_in_processes_exported_and_loaded(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_at(tmp_path, monkeypatch, "own_module", OWN + "\nregister(HEAD)\n")
    import own_module  # type: ignore[import-not-found]

    assert head_types()["own_forest"] is own_module.HEAD
    one = lymphofeat.tune(cache, tmp_path / "one.db", n_trials=3, heads=["own_forest"], inputs=["clinical"])
    two = lymphofeat.tune(
        cache, tmp_path / "two.db", n_trials=3, heads=["own_forest"], inputs=["clinical"], jobs=2
    )
    assert not two.failed
    assert list(one.trials["value"]) == list(two.trials["value"])
    exported = lymphofeat.export(cache, tmp_path / "one.db", tmp_path / "model", trial=one.best.number)
    opened = lymphofeat.open_cache(cache)
    test = opened.patients[opened.patients["split"] == "test"]
    submitted = lymphofeat.submit(cache, tmp_path / "one.db", tmp_path / "s.csv", trial=one.best.number)
    predicted = lymphofeat.load_bundle(exported.path).predict(clinical=test)
    assert np.allclose(predicted["probability"], submitted.probabilities, atol=1e-12)
    code = f"import lymphofeat; lymphofeat.load_bundle({str(exported.path)!r})"
    foreign = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert "holds heads 'own_forest' of the package own_module; install it" in foreign.stderr


def test_an_entry_point_is_found_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module_at(tmp_path, monkeypatch, "own_package", OWN)
    about = tmp_path / "own_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[lymphofeat.heads]\nforest = own_package:HEAD\n")
    registry_module._installed_heads.cache_clear()
    head_types.cache_clear()
    assert head_types()["own_forest"].summary.startswith("A random forest")
    (about / "entry_points.txt").write_text("[lymphofeat.heads]\nforest = own_package:nothing\n")
    registry_module._installed_heads.cache_clear()
    head_types.cache_clear()
    with pytest.raises(InputError, match=r"entry point forest of own-package .* cannot be loaded"):
        head_types()


def a_type(name: str) -> HeadType:
    known = head_types()["logistic"]
    return HeadType(name, "One.", "None.", "cheap", known.space, known.build, inputs=known.inputs)


def test_what_cannot_be_registered_is_said() -> None:
    with pytest.raises(InputError, match="has heads 'logistic' already"):
        register(a_type("logistic"))
    with pytest.raises(InputError, match="not str"):
        register("forest")  # type: ignore[arg-type]
    register(a_type("mine"), "__main__")
    if not hasattr(sys.modules["__main__"], "__file__"):
        with pytest.raises(InputError, match="registered in a notebook"):
            registry_module.registered()
    register(a_type("mine"), "json")
    assert registry_module.registered() == (("mine", "json"),)
    registry_module._registered.clear()
    with pytest.raises(InputError, match="json does not register the heads 'mine'"):
        registry_module.register_again([("mine", "json")])
    with pytest.raises(InputError, match="cannot import no_such_module"):
        registry_module.register_again([("mine", "no_such_module")])


@pytest.mark.parametrize("forest", [RandomForestClassifier, ExtraTreesClassifier])
def test_a_forest_comes_back_bit_by_bit(forest: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), np.arange(60) % 2
    fitted = forest(7, random_state=0).fit(x, y, sample_weight=rng.random(60))
    packed = pack_object(fitted)
    assert all(array.dtype != object for array in packed.arrays.values())
    back = unpack_object(packed)
    np.testing.assert_array_equal(back.predict_proba(x), fitted.predict_proba(x))


def test_a_tree_that_leads_out_of_itself_is_refused() -> None:
    rng = np.random.default_rng(0)
    fitted = RandomForestClassifier(1, random_state=0).fit(rng.normal(size=(60, 5)), np.arange(60) % 2)
    for column, value in (("left_child", 10**6), ("right_child", 0), ("feature", 5), ("feature", -3)):
        packed = pack_object(fitted)
        key = next(key for key in packed.arrays if key.endswith(f"[nodes.{column}]"))
        packed.arrays[key] = packed.arrays[key].copy()
        packed.arrays[key][0] = value
        with pytest.raises(BundleError, match="leads out of itself"):
            unpack_object(packed)


ARRAYS = '''
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from lymphofeat.heads import HeadType, register


class Threshold(ClassifierMixin, BaseEstimator):
    """Age above its mean; keeps a function, which no bundle has a form for."""

    keeps = "statistics"

    def fit(self, bags, clinical, y):
        self.mean_ = float(np.nanmean(clinical["age"]))
        self.classes_ = np.array([0, 1])
        self.squash_ = lambda x: 1 / (1 + np.exp(-x))
        return self

    def predict_proba(self, bags, clinical):
        p = self.squash_(np.nan_to_num(clinical["age"].to_numpy(float) - self.mean_))
        return np.column_stack([1 - p, p])

    def to_arrays(self):
        return {"mean": np.array(self.mean_)}

    @classmethod
    def from_arrays(cls, arrays):
        made = cls()
        made.mean_, made.classes_ = float(arrays["mean"]), np.array([0, 1])
        made.squash_ = lambda x: 1 / (1 + np.exp(-x))
        return made


register(HeadType("age", "Age.", "None.", "cheap", lambda trial: {}, lambda: Threshold(), inputs=("clinical",)))
'''


def test_a_head_says_by_itself_which_arrays_it_is(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module_at(tmp_path, monkeypatch, "own_module", ARRAYS)
    import own_module

    opened = lymphofeat.open_cache(cache)
    X, y = opened.X_y()
    fitted = own_module.Threshold().fit(None, X, y)
    back = unpack_object(pack_object(fitted))
    np.testing.assert_array_equal(back.predict_proba(None, X), fitted.predict_proba(None, X))

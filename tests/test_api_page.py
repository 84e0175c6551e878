"""docs/api.md is what the docstrings say, and the examples in the docstrings run."""

import doctest
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lymphofeat

from .helpers.simulated import noise_cohort
from .helpers.tiny import tiny_cohort

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = {
    f"{name}{'.' + test.name.partition('.')[2] if '.' in test.name else ''}": test
    for name in lymphofeat._HOMES
    for test in doctest.DocTestFinder(exclude_empty=True).find(getattr(lymphofeat, name), name, globs={})
    if test.examples
}


def made_page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current() -> None:
    assert (DOCS / "api.md").read_text(encoding="utf-8") == made_page().page(), "run `make api`"


def test_every_public_function_has_an_example() -> None:
    assert set(EXAMPLES) >= set(lymphofeat._HOMES) - {"Head"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/, cache/features.h5 and studies/study.db, as the examples find them."""
    folder = tmp_path_factory.mktemp("examples")
    tiny_cohort(folder / "data", 16, images=2, side=48)
    cohort = noise_cohort(folder / "images", 40, 6, images=2)
    cache = folder / "cache" / "features.h5"
    lymphofeat.extract(cohort, cache, frozen=True, weights="none", seed=0, crop=32, n_folds=4)
    lymphofeat.tune(cache, folder / "studies" / "study.db", n_trials=3, heads=["logistic"])
    lymphofeat.export(cache, folder / "studies" / "study.db", folder / "model")
    return folder


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    test = EXAMPLES[name]
    shared: dict[str, Any] = {one: getattr(lymphofeat, one) for one in lymphofeat.__all__}
    test.globs.update(shared)
    said: list[str] = []
    found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append, clear_globs=False)
    assert found.failed == 0, "".join(said)

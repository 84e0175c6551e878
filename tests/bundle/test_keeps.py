"""What a bundle keeps of the training patients: every class answers, and the answers are true."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

from lymphofeat.bundle import export_bundle
from lymphofeat.bundle.classes import Keeps, Known, _own_classes, known_classes, most_of
from lymphofeat.bundle.codec import kept_in, pack_object
from lymphofeat.cache.bags import Bags
from lymphofeat.errors import BundleError
from lymphofeat.estimates import CALIBRATORS, split_conformal
from lymphofeat.heads.svm import SupportVectorMachine
from lymphofeat.studies import tune
from lymphofeat.synthetic.features import simulate_features

from .test_codec import DIM, HEADS


def _sizes(tree: Any, shapes: dict[str, tuple[int, ...]]) -> dict[str, list[tuple[int, ...]]]:
    """Per class, the shapes of the arrays among its own attributes, those of parts of another class not counted."""
    found: dict[str, list[tuple[int, ...]]] = {}

    def walk(node: Any, owner: str) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item, owner)
        if isinstance(node, dict):
            if node.get("$") in ("object", "spline", "trees"):
                owner = str(node.get("class", node["$"]))
                found.setdefault(owner, [])
            if "$" in node and "key" in node and node["key"] in shapes:
                found[owner].append(shapes[node["key"]])
            for value in node.values():
                walk(value, owner)

    walk(tree, "")
    return found


def _fitted(n: int) -> dict[str, list[list[tuple[int, ...]]]]:
    """Per class, the shapes of its arrays in every head of the space, and in calibrations, fitted on n patients."""
    cohort = simulate_features(n, (2, 7), DIM, signal="mean", strength=1.0, seed=3)
    bags, table = Bags.from_list(cohort.bags), cohort.table.copy()
    table.loc[::7, "age"] = np.nan
    heads = [head for name, head in HEADS.items() if name[-1] in "0123"]
    objects = [clone(head).fit(bags, table, cohort.y) for head in heads]
    p = np.clip(np.random.default_rng(n).random(n) * 0.6 + 0.3 * cohort.y, 0, 1)
    objects += [made().fit(p, cohort.y) for made in CALIBRATORS.values()]
    objects += [split_conformal(cohort.y, p, 0.2)]
    found: dict[str, list[list[tuple[int, ...]]]] = {}
    for one in objects:
        packed = pack_object(one)
        for name, shapes in _sizes(packed.tree, {k: a.shape for k, a in packed.arrays.items()}).items():
            found.setdefault(name, []).append(sorted(shapes))
    return found


def test_what_grows_with_the_patients_are_rows_and_is_said() -> None:
    """Statistics are as many for 30 patients as for 47; rows are more. Single values stay single: no table of them."""
    few, many = _fitted(30), _fitted(47)
    answers = {name: known.keeps for name, known in known_classes().items()}
    answers |= {"trees": "values", "spline": "values"}
    assert few.keys() == many.keys()
    assert few.keys() >= {name for name, keeps in answers.items() if keeps != "statistics"}
    for name, keeps in answers.items():
        if name not in few:
            continue
        if keeps == "statistics":
            assert few[name] == many[name], name
        elif keeps == "rows":
            assert few[name] != many[name], name
            assert any(len(shape) == 2 and shape[0] > 10 for shapes in many[name] for shape in shapes), name
        else:
            assert all(max(shape[1:], default=1) <= DIM for shapes in many[name] for shape in shapes), name


def test_every_head_of_the_registry_answers_for_itself() -> None:
    for name, head in HEADS.items():
        parts = [value for value in head.get_params().values() if hasattr(value, "get_params")]
        for one in map(type, [head, *parts]):
            assert f"{one.__module__}.{one.__qualname__}" in known_classes(), name
            assert vars(one)["keeps"] in get_args(Keeps), name


def test_without_an_answer_no_class_is_registered() -> None:
    with pytest.raises(TypeError):
        Known(KNeighborsClassifier)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"KNeighborsClassifier\.keeps is one of"):
        Known(KNeighborsClassifier, "nothing")  # type: ignore[arg-type]


def test_an_inherited_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who keeps more than its parent must say so; a head that says nothing is not exported."""
    from lymphofeat.heads import svm

    class Quiet(SupportVectorMachine):
        pass

    Quiet.__module__ = svm.__name__
    monkeypatch.setattr(svm, "Quiet", Quiet, raising=False)
    _own_classes.cache_clear()
    try:
        with pytest.raises(
            BundleError, match=r"say in `Quiet\.keeps` what it keeps of the training patients"
        ):
            pack_object(Quiet())
    finally:
        _own_classes.cache_clear()


def test_the_whole_keeps_what_its_parts_keep() -> None:
    assert most_of([]) == "statistics"
    assert most_of(["values", "statistics"]) == "values"
    assert most_of(get_args(Keeps)) == "rows"


@pytest.mark.parametrize(("head", "rows"), [("svm", True), ("gp", True), ("logistic", False)])
def test_card_model_and_manifest_agree(cache: Path, tmp_path: Path, head: str, *, rows: bool) -> None:
    study = tmp_path / "s.db"
    tune(cache, study, n_trials=1, encoding="tuned", heads=[head], inputs=["clinical"])
    export_bundle(cache, study, tmp_path / "m")
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    about = json.loads((tmp_path / "m" / "model.json").read_text())
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    packed = json.loads((tmp_path / "m" / "heads" / "member-0-fit-0.json").read_text())["tree"]
    assert about["keeps"] == kept_in(packed)
    kept = most_of(["values", *about["keeps"].values()])
    assert manifest["keeps"] == kept
    assert ("Treat the bundle like the patients' data" in card) is (kept == "rows")
    assert (kept == "rows") is rows

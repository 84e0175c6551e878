"""Fitted heads as JSON and arrays: every head type comes back and says the same."""

import json
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from optuna.trial import FixedTrial
from sklearn.base import clone

from lymphofeat.bundle.codec import Packed, pack_object, unpack_object
from lymphofeat.cache.bags import Bags
from lymphofeat.errors import BundleError
from lymphofeat.estimates import CALIBRATORS, split_conformal
from lymphofeat.heads.registry import head_types
from lymphofeat.synthetic.features import simulate_features

N, DIM = 30, 6
optuna.logging.set_verbosity(optuna.logging.WARNING)


def _shortened(head: Any) -> Any:
    short = {"epochs": 2, "trees": 10, "hidden": 8, "batch_size": 16}
    return head.set_params(
        **{k: short[k.split("__")[-1]] for k in head.get_params() if k.split("__")[-1] in short}
    )


def _heads() -> dict[str, Any]:
    found = {}
    for name, head_type in head_types().items():
        for number, point in enumerate(head_type.default_params):
            found[f"{name}-first-{number}"] = head_type.build(
                **head_type.suggest(FixedTrial(head_type.enqueued(point)))
            )
        for seed in range(2 if head_type.cost == "expensive" else 8):
            study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
            found[f"{name}-drawn-{seed}"] = head_type.build(**head_type.suggest(study.ask()))
    return {name: _shortened(head) for name, head in found.items()}


HEADS = _heads()


@pytest.fixture(scope="module")
def patients() -> tuple[Bags, Any, np.ndarray]:
    cohort = simulate_features(N, (2, 7), DIM, signal="mean", strength=2.0, seed=3)
    table = cohort.table.copy()
    table.loc[::7, "age"] = np.nan
    table.loc[1::9, "sex"] = ""
    return Bags.from_list(cohort.bags), table, cohort.y


def through_json(packed: Packed) -> Packed:
    """As files would bring it back."""
    copies = {key: np.array(array) for key, array in packed.arrays.items()}
    return Packed(json.loads(json.dumps(packed.tree, allow_nan=False)), copies, dict(packed.trees))


@pytest.mark.parametrize("name", HEADS)
def test_every_head_type_says_the_same_after_the_round_trip(name: str, patients: Any) -> None:
    bags, table, y = patients
    head = clone(HEADS[name]).fit(bags, table, y)
    again = unpack_object(through_json(pack_object(head)))
    assert type(again) is type(head)
    assert again.get_params(deep=False).keys() == head.get_params(deep=False).keys()
    p, q = head.predict_proba(bags, table), again.predict_proba(bags, table)
    np.testing.assert_allclose(q, p, rtol=0, atol=1e-9)


def test_nothing_of_the_table_but_numbers_is_kept(patients: Any) -> None:
    bags, table, y = patients
    for head in HEADS.values():
        packed = pack_object(clone(head).fit(bags, table, y))
        text = json.dumps(packed.tree) + "".join(packed.arrays)
        assert not any(str(value) in text for value in [*table["id"], *table["birth"]])


@pytest.mark.parametrize("name", CALIBRATORS)
def test_calibrators_and_prediction_sets(name: str) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80)
    p = np.clip(0.3 * y + 0.7 * rng.random(80), 0, 1)
    fitted = CALIBRATORS[name]().fit(p, y)
    again = unpack_object(through_json(pack_object(fitted)))
    np.testing.assert_allclose(again.transform(p), fitted.transform(p), atol=1e-12)
    sets = split_conformal(y, p, 0.1)
    np.testing.assert_array_equal(unpack_object(through_json(pack_object(sets))).decide(p), sets.decide(p))


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)
    | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(_PLAIN)
def test_values_come_back_as_they_are(value: Any) -> None:
    again = unpack_object(through_json(pack_object(value)))
    assert type(again) is type(value)
    assert repr(again) == repr(value)


@given(
    arrays(
        st.sampled_from(["f8", "f4", "i8", "i4", "u1", "?"]),
        st.sampled_from([(), (0,), (3,), (2, 0), (2, 3)]),
    )
)
def test_arrays_come_back_bit_by_bit(value: np.ndarray) -> None:
    again = unpack_object(through_json(pack_object({"x": value})))["x"]
    assert (again.dtype, again.shape) == (value.dtype, value.shape)
    assert again.tobytes() == value.tobytes()


@pytest.mark.parametrize("value", [print, object(), {1, 2}, np.array([object()]), np.array([1j]), json])
def test_what_has_no_form_is_refused(value: Any) -> None:
    with pytest.raises(BundleError, match="no form for"):
        pack_object({"x": value})


@pytest.mark.parametrize(
    "tree",
    [
        {"$": "object", "class": "os.system", "state": {}},
        {"$": "object", "class": "sklearn.FunctionTransformer", "state": {}},
        {"$": "object", "class": "builtins.eval", "state": {}},
        {"$": "call", "name": "os.system"},
        {"$": "unpack"},
        {"$": ["array"]},
        {"x": 1},
        {"$": "array", "key": "0"},
        {"$": "dtype", "name": "object"},
        {"$": "object", "class": "sklearn.StandardScaler", "state": 3},
        {"$": "trees", "key": "0", "jobs": 1},
    ],
)
def test_foreign_files_make_nothing(tree: Any) -> None:
    with pytest.raises(BundleError):
        unpack_object(Packed(tree, {}, {"0": b"no trees"}))


def test_a_bottomless_file_is_refused() -> None:
    tree: Any = 1
    for _ in range(200):
        tree = [tree]
    with pytest.raises(BundleError, match="too deep"):
        unpack_object(Packed(tree))

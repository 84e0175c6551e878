import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cache.spec import EncodingSpec
from lymphofeat.cache.writer import CacheWriter
from lymphofeat.errors import CacheError, LeakageError


def table(n: int = 12, n_images: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"P{i}" for i in range(n)],
            "split": ["train"] * (n - 2) + ["test"] * 2,
            "label": [i % 2 for i in range(n - 2)] + [-1, -1],
            "n_images": [n_images + i % 3 for i in range(n)],
            "birth": [f"19{40 + i}-03-04" for i in range(n)],
            "date_order": ["m/d/y"] * n,
            "sex": ["M", "F"] * (n // 2),
            "age": [60.0 + i for i in range(n)],
            "lymphocyte_count": [5.0 + i for i in range(n)],
        }
    )


def simulated(patients: pd.DataFrame, dim: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(patients["n_images"].sum(), dim)).astype(np.float32)


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    patients = table()
    features = {"a": simulated(patients), "b": simulated(patients, dim=7, seed=1)}
    save_cache(tmp_path / "c.h5", patients, features, n_folds=3, n_repeats=4, fold_seed=5)
    cache = open_cache(tmp_path / "c.h5")
    pd.testing.assert_frame_equal(cache.patients.drop(columns="fold"), patients, check_dtype=False)
    assert cache.folds.shape == (12, 4)
    assert cache.encoder_families == ["a", "b"]
    assert cache.default_encoder_family == "b"
    for name, array in features.items():
        bags = cache.bags(name)
        np.testing.assert_array_equal(np.concatenate(list(bags)), array)
        assert [len(bag) for bag in bags] == list(patients["n_images"])
    assert not list(tmp_path.glob("*.partial"))


def test_features_are_mapped_not_read(tmp_path: Path) -> None:
    patients = table()
    save_cache(tmp_path / "c.h5", patients, {"a": simulated(patients)}, n_folds=3)
    features = open_cache(tmp_path / "c.h5").bags("a").features
    assert isinstance(features.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        features[0] = 0


@given(
    lengths=st.lists(st.integers(1, 5), min_size=8, max_size=20),
    block=st.integers(1, 30),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=25, deadline=None)
def test_blocks_in_any_order_and_in_two_runs(tmp_path_factory, lengths, block, order) -> None:
    path = tmp_path_factory.mktemp("blocks") / "c.h5"
    patients = table(len(lengths) + len(lengths) % 2).assign()
    patients["n_images"] = (lengths + lengths)[: len(patients)]
    features = simulated(patients)
    save_cache(path, patients, {"other": features}, n_folds=2, n_repeats=1)
    tables = open_cache(path).tables
    spec = EncodingSpec("x", "x", 4, block, None, {"crop": 112})
    with CacheWriter(path, tables) as writer:
        first = writer.begin(spec)
        todo = first.pending
        order.shuffle(todo)
        for b in todo[: len(todo) // 2]:
            first.write(b, features[first.rows(b)])
        second = writer.begin(EncodingSpec("x", "x", 4, block + 1, None, {"crop": 112}))
        assert sorted(second.pending) == sorted(
            todo[len(todo) // 2 :]
        )  # the block size of the first run stays
        for b in second.pending:
            second.write(b, features[second.rows(b)])
        writer.finish(second)
    np.testing.assert_array_equal(open_cache(path).encodings["x"].features, features)
    np.testing.assert_array_equal(open_cache(path).encodings["other"].features, features)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_features_are_found_when_written(tmp_path: Path, value: float) -> None:
    patients = table()
    features = simulated(patients)
    features[4, 1] = value
    with pytest.raises(CacheError, match=r"patient P1, image P1/1.*NaN, infinite or all-zero"):
        save_cache(tmp_path / "c.h5", patients, {"a": features}, n_folds=3)
    assert not (tmp_path / "c.h5").exists()


def test_all_zero_features_are_found(tmp_path: Path) -> None:
    patients = table()
    features = simulated(patients)
    features[0] = 0
    with pytest.raises(CacheError, match="patient P0, image P0/0"):
        save_cache(tmp_path / "c.h5", patients, {"a": features}, n_folds=3)


def test_an_unfinished_encoding_is_not_taken_for_whole(tmp_path: Path) -> None:
    patients = table()
    path = tmp_path / "c.h5"
    save_cache(path, patients, {"a": simulated(patients)}, n_folds=3)
    with CacheWriter(path, open_cache(path).tables) as writer:
        partial = writer.begin(EncodingSpec("b", "b", 4, 5))
        partial.write(0, np.ones((5, 4), np.float32))
        with pytest.raises(CacheError, match="blocks are missing"):
            writer.finish(partial)
    assert list(open_cache(path).encodings) == ["a"]
    with pytest.raises(CacheError, match="encoding b is not complete"):
        open_cache(partial.path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.unlink(), "no such cache; make it with `lymphofeat extract"),
        (lambda p: p.write_bytes(b"not hdf5"), "is not a cache: it is a text file; name another --cache."),
        (lambda p: p.write_bytes(p.read_bytes()[:-500]), "is a damaged HDF5 file (truncated file"),
        (lambda p: h5py.File(p, "w").close(), "is an HDF5 file of another program, not a cache"),
    ],
)
def test_damaged_files_get_a_sentence(tmp_path: Path, damage, message: str) -> None:
    path = tmp_path / "c.h5"
    patients = table()
    save_cache(path, patients, {"a": simulated(patients)}, n_folds=3)
    damage(path)
    with pytest.raises(CacheError, match=re.escape(message)):
        open_cache(path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    patients = table()
    save_cache(path, patients, {"a": simulated(patients)}, n_folds=3)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = 3
    with pytest.raises(CacheError, match="has cache format 3, and this is lymphofeat"):
        open_cache(path)


def test_blind_encodings_are_chosen_and_others_refused(tmp_path: Path) -> None:
    patients = table()
    names = ["f0", "f1", "f2"]
    save_cache(
        tmp_path / "c.h5",
        patients,
        {name: simulated(patients, seed=i) for i, name in enumerate(names)} | {"frozen": simulated(patients)},
        n_folds=3,
        encoder_families=dict.fromkeys(names, "tuned"),
        blind_to={name: [i] for i, name in enumerate(names)},
    )
    cache = open_cache(tmp_path / "c.h5")
    for fold, name in enumerate(names):
        assert cache.blind_encoding("tuned", {fold}).name == name
    with pytest.raises(LeakageError, match=r"encoding tuned .* has seen labels of folds 0, 1"):
        cache.split("tuned", {0, 1})
    with pytest.raises(LeakageError, match="of repeat 1"):
        cache.split("tuned", {0}, repeat=1)
    assert cache.blind_encoding("frozen", {0, 1, 2}, repeat=3).name == "frozen"
    with pytest.raises(CacheError, match="holds no encoding 'nosuch'; it holds frozen, tuned"):
        cache.split("nosuch", {0})


def test_the_encoding_that_learnt_most_is_chosen(tmp_path: Path) -> None:
    patients = table()
    blind_to = {"a-0+1": [0, 1], "b-0": [0], "c-1": [1], "d-2": [2], "e-1+2": [1, 2], "f-0+2": [0, 2]}
    save_cache(
        tmp_path / "c.h5",
        patients,
        {name: simulated(patients, seed=i) for i, name in enumerate(blind_to)},
        n_folds=3,
        encoder_families=dict.fromkeys(blind_to, "tuned"),
        blind_to=blind_to,
    )
    cache = open_cache(tmp_path / "c.h5")
    assert [cache.blind_encoding("tuned", {k}).name for k in range(3)] == ["b-0", "c-1", "d-2"]
    assert cache.blind_encoding("tuned", {2, 1}).name == "e-1+2"


def test_the_probabilities_of_a_fine_tuned_network_are_kept(tmp_path: Path) -> None:
    patients = table()
    own = np.random.default_rng(0).random(12)
    save_cache(
        tmp_path / "c.h5",
        patients,
        {"tuned-fold0": simulated(patients), "frozen": simulated(patients, seed=1)},
        n_folds=3,
        blind_to={"tuned-fold0": [0]},
        end_to_end={"tuned-fold0": own},
    )
    save_cache(tmp_path / "c.h5", patients, {"later": simulated(patients, seed=2)}, n_folds=3)
    encodings = open_cache(tmp_path / "c.h5").encodings
    np.testing.assert_array_equal(encodings["tuned-fold0"].end_to_end, own)
    assert encodings["frozen"].end_to_end is None
    assert encodings["frozen"].made == {}


def test_what_became_known_on_the_way_is_kept(tmp_path: Path) -> None:
    patients = table()
    save_cache(tmp_path / "c.h5", patients, {"a": simulated(patients)}, n_folds=3)
    tables = open_cache(tmp_path / "c.h5").tables
    made = {"seconds": 1.5, "history": [{"epoch": 0, "loss": 0.7}]}
    with CacheWriter(tmp_path / "c.h5", tables) as writer:
        partial = writer.begin(EncodingSpec("b", "b", 4, tables.n_images))
        partial.write(0, simulated(patients))
        writer.finish(partial, made=made)
    assert open_cache(tmp_path / "c.h5").encodings["b"].made == made


@pytest.mark.parametrize(
    "own", [np.full(11, 0.5), np.full(12, np.nan), np.full(12, 1.5), np.full((12, 1), 0.5)]
)
def test_what_is_no_probability_per_patient_is_refused(tmp_path: Path, own: np.ndarray) -> None:
    patients = table()
    with pytest.raises(CacheError, match="end_to_end must hold a probability from 0 to 1 for each of the 12"):
        save_cache(tmp_path / "c.h5", patients, {"a": simulated(patients)}, n_folds=3, end_to_end={"a": own})
    assert not (tmp_path / "c.h5").exists()


@pytest.mark.parametrize("first", [None, [0]])
def test_a_family_does_not_mix_encoders_with_and_without_labels(
    tmp_path: Path, first: list[int] | None
) -> None:
    patients = table()
    second = [1] if first is None else None
    save_cache(tmp_path / "c.h5", patients, {"a": simulated(patients)}, n_folds=3, blind_to={"a": first})
    with pytest.raises(CacheError, match="would be mixed by b; give the new one another --name"):
        save_cache(
            tmp_path / "c.h5",
            patients,
            {"b": simulated(patients)},
            n_folds=3,
            encoder_families={"b": "a"},
            blind_to={"b": second},
        )
    assert list(open_cache(tmp_path / "c.h5").encodings) == ["a"]

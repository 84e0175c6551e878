"""Everything that stores arrays gives them back, in whatever order they lie in memory."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lymphofeat.bundle.codec import pack_object, unpack_object
from lymphofeat.bundle.manifest import BundleFiles, BundleFolder
from lymphofeat.bundle.out_of_distribution import ImageDistribution
from lymphofeat.cache.partial import features_digest
from lymphofeat.encoder.identity import identity_key
from lymphofeat.encoder.state_dict import state_digest
from lymphofeat.errors import BundleError
from lymphofeat.storage.arrays import STORED, array_bytes, load_arrays, save_arrays, save_tensors, storable
from lymphofeat.storage.blocks import RowPlan, open_rows
from lymphofeat.storage.json_arrays import pack, unpack
from lymphofeat.training.checkpoint import TrainingState, read_checkpoint, write_checkpoint


def _broadcast(array: np.ndarray) -> np.ndarray:
    return np.broadcast_to(array[:1], array.shape) if array.ndim else array


def _inside(array: np.ndarray) -> np.ndarray:
    """The same values as part of a larger array."""
    if not array.ndim:
        return array
    larger = np.zeros([3 * n + 2 for n in array.shape], array.dtype)
    part: np.ndarray = larger[tuple(slice(1, 1 + 3 * n, 3) for n in array.shape)]
    part[...] = array
    return part


# What makes of an array one that lies otherwise in memory; some change its values, and then those count.
LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "transposed": np.transpose,
    "strided": _inside,
    "reversed": np.flip,
    "broadcast": _broadcast,
    "axes swapped": lambda a: np.moveaxis(a, 0, -1) if a.ndim else a,
    "slice of Fortran": lambda a: np.asfortranarray(a)[: max(1, len(a) - 1)] if a.ndim else a,
    "other endianness": lambda a: a.astype(a.dtype.newbyteorder()),
    "read only and unaligned": lambda a: np.frombuffer(b"x" + a.tobytes() + b"x", a.dtype, a.size, 1).reshape(
        a.shape
    ),
}

ANY = st.builds(
    lambda array, layout: LAYOUTS[layout](array),
    arrays(st.sampled_from(sorted(STORED)), array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)),
    st.sampled_from(sorted(LAYOUTS)),
)


def assert_same(again: np.ndarray, array: np.ndarray) -> None:
    assert again.shape == array.shape
    assert again.dtype == array.dtype.newbyteorder("=")
    assert again.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


def through_codec(array: np.ndarray, folder: Path) -> Any:
    return unpack_object(pack_object({"x": array}))["x"]


def through_files(array: np.ndarray, folder: Path) -> Any:
    """Into a bundle's folder and out of it, as arrays and as an object's."""
    made = BundleFolder(folder)
    made.write_arrays("a.safetensors", {"x": array})
    made.write_packed("object", pack_object([array]))
    made.close()
    files = BundleFiles.open(folder)
    assert_same(unpack_object(files.read_packed("object"))[0], array)
    return files.read_arrays("a.safetensors")["x"]


def through_rows(array: np.ndarray, folder: Path) -> Any:
    """The array as two blocks of rows of a mapped file."""
    values = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 0 or 0 in array.shape:
        return values
    plan = RowPlan(folder / "rows", len(values), values.shape[1:], values.dtype.name, -(-len(values) // 2))
    rows = open_rows(
        plan, lambda which: values[which.start : which.stop], what="", unit="", workers=1
    )  # a slice keeps the layout
    return rows.take(np.arange(len(values)))


def through_hdf5(array: np.ndarray, folder: Path) -> Any:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("x", data=array)
        return np.asarray(file["x"][()])


PLACES = {
    "bytes": lambda a, _: np.frombuffer(array_bytes(a), storable(a).dtype).reshape(a.shape),
    "safetensors": lambda a, _: load_arrays(save_arrays({"x": a}))["x"],
    "a study's trial": lambda a, _: unpack(pack(a)),
    "an object in a bundle": through_codec,
    "a bundle's files": through_files,
    "rows of pixels and activations": through_rows,
    "HDF5": through_hdf5,
}


@pytest.mark.parametrize("place", PLACES)
@given(array=ANY)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arrays_come_back_whatever_their_layout(
    tmp_path_factory: pytest.TempPathFactory, place: str, array: np.ndarray
) -> None:
    again = PLACES[place](array, tmp_path_factory.mktemp("a"))
    if place == "HDF5":  # which keeps the byte order of the array
        again = again.astype(again.dtype.newbyteorder("="))
    assert_same(np.asarray(again), array)


@given(ANY)
def test_digests_are_of_values_not_of_layouts(array: np.ndarray) -> None:
    if array.dtype.isnative and array.size:
        assert features_digest(array) == features_digest(np.ascontiguousarray(array).reshape(array.shape))


def test_storable_copies_only_what_it_must() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert np.shares_memory(storable(array), array)
    assert storable(np.float64(3)[()].reshape(())).shape == ()


@pytest.mark.parametrize(
    "array",
    [np.array([1j]), np.array(["a"]), np.array([object()]), np.ma.masked_array([1.0, 2.0], [True, False])],
)
def test_what_has_no_form_is_refused(array: np.ndarray) -> None:
    with pytest.raises(TypeError):
        storable(array)
    with pytest.raises(BundleError, match="no form for"):
        pack_object([np.asanyarray(array)] if array.dtype.kind != "U" else [array.astype("S")])


def _tensors() -> dict[str, torch.Tensor]:
    """State dicts of awkward memory: strided, transposed, channels last, expanded, one storage for two, 16 bits."""
    base = torch.arange(48, dtype=torch.float32)
    square = base.reshape(6, 8)
    return {
        "plain": base.clone(),
        "transposed": square.T,
        "strided": square[::2, 1::3],
        "expanded": base[:3].expand(4, 3),
        "channels last": base.reshape(1, 3, 4, 4).to(memory_format=torch.channels_last),
        "tied": base,
        "part": base[5:9],
        "bfloat16": square.to(torch.bfloat16).T,
        "none": torch.empty(0, 3),
        "number": torch.tensor(7),
        "learnt": torch.nn.Parameter(square.T),
    }


def test_state_dicts_come_back_whatever_their_layout(tmp_path: Path) -> None:
    state = _tensors()
    again = safetensors.torch.load(save_tensors(state, {"about": "x"}))
    assert again.keys() == state.keys()
    for name, tensor in state.items():
        assert again[name].dtype == tensor.dtype, name
        assert torch.equal(again[name], tensor), name
    numbers = {name: tensor for name, tensor in state.items() if tensor.dtype != torch.bfloat16}
    assert state_digest({k: again[k] for k in numbers}) == state_digest(numbers)
    for name, tensor in numbers.items():
        assert torch.equal(unpack_object(pack_object(tensor)), tensor), name
    with pytest.raises(BundleError, match="no form for"):
        pack_object(state["bfloat16"])
    identity = {"seed": 1}
    write_checkpoint(
        tmp_path / "c.pt", TrainingState(identity_key(identity), 1, network=state, identity=identity)
    )
    kept = read_checkpoint(tmp_path / "c.pt", identity).network
    assert kept is not None
    assert all(torch.equal(kept[name], tensor) for name, tensor in state.items())


@given(st.integers(5, 30), st.integers(2, 12), st.integers(0, 100))
def test_the_training_summary_comes_back(n: int, dim: int, seed: int) -> None:
    """Principal axes are Fortran-ordered as scikit-learn leaves them."""
    x = np.random.default_rng(seed).normal(size=(n, dim))
    found = ImageDistribution.fit(x, np.empty((0, dim)))
    again = ImageDistribution.from_arrays(load_arrays(save_arrays(found.arrays("0"))), "0")
    np.testing.assert_array_equal(again.axes, found.axes)
    np.testing.assert_array_equal(again.distances(x), found.distances(x))

"""Fitted estimators as JSON and arrays, and back: no code is in the files, and none is found by their word.

JSON values stand for themselves; what JSON lacks is an object with the key "$":

    {"$": "array", "key": k}                      a numpy array, stored apart (safetensors)
    {"$": "tensor", "key": k}                     a torch tensor, likewise
    {"$": "scalar", "key": k}                     a numpy scalar, stored as an array of one
    {"$": "float", "value": "nan" | "inf" | "-inf"}
    {"$": "tuple", "items": […]}                  {"$": "dict", "items": [[key, value], …]}
    {"$": "dtype", "name": "float64"}             {"$": "texts", "items": […], "shape": […]}
    {"$": "spline", …}                            scipy's BSpline: t, c, k, extrapolate, axis
    {"$": "trees", "key": k, "jobs": 1}           an XGBoost classifier, stored apart (its own UBJSON)
    {"$": "tree", "features": p, …}               a decision tree of scikit-learn: its nodes as arrays, checked
    {"$": "arrays", "class": name, "arrays": {…}} what a known class gives by `to_arrays`, for its `from_arrays`
    {"$": "object", "class": name, "state": {…}}  an object of a class in `known_classes`, its attributes

Floats are written by `repr` and come back bit by bit; arrays keep dtype, shape and bits.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from sklearn.tree._tree import Tree

from ..errors import BundleError
from ..storage.arrays import STORED, storable
from .before_composition import FORMER
from .classes import FORMS_KEEP, Keeps, known_classes, name_of, unknown_class
from .trees import tree_from_arrays, tree_to_arrays

__all__ = ["Packed", "kept_in", "pack_object", "unpack_object"]

_DEEPEST = 64


@dataclass
class Packed:
    """An object taken apart.

    Attributes:
        tree: JSON values.
        arrays: by key.
        trees: XGBoost models by key, as UBJSON.
    """

    tree: Any = None
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    trees: dict[str, bytes] = field(default_factory=dict)


def pack_object(value: Any) -> Packed:
    """Take an object apart.

    Raises:
        BundleError: it holds something that bundles have no form for.
    """
    packed = Packed()
    packed.tree = _Packer(packed).pack(value, "", 0)
    return packed


def unpack_object(packed: Packed) -> Any:
    """The object of `pack_object`.

    Raises:
        BundleError: not what `pack_object` makes, or of a class that is not known here.
    """
    try:
        return _Unpacker(packed).unpack(packed.tree, 0)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"it holds an object that cannot be put together ({error!r})") from error


def kept_in(tree: Any) -> dict[str, Keeps]:
    """What each class, or form without a class, that a packed object is made of keeps of the training patients."""
    if isinstance(tree, list):
        return {name: keeps for item in tree for name, keeps in kept_in(item).items()}
    if not isinstance(tree, dict):
        return {}
    found = kept_in(list(tree.values()))
    form = str(tree.get("$"))
    if form in ("object", "arrays"):
        found[str(tree["class"])] = known_classes()[tree["class"]].keeps
    elif form in FORMS_KEEP:
        found[form] = FORMS_KEEP[form]
    return found


class _Packer:
    def __init__(self, packed: Packed) -> None:
        self.packed = packed

    def pack(self, value: Any, path: str, depth: int) -> Any:
        if depth > _DEEPEST:
            raise BundleError(f"{path} lies too deep to be exported.")
        if value is None or isinstance(value, bool | str) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"$": "float", "value": repr(value)}
        if isinstance(value, list):
            return [self.pack(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
        if type(value) is tuple:
            items = [self.pack(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
            return {"$": "tuple", "items": items}
        if isinstance(value, Mapping):
            pairs = [[self.pack(k, path, depth + 1), self.pack(v, f"{path}[{k}]", depth + 1)]
                     for k, v in value.items()]  # fmt: skip
            return {"$": "dict", "items": pairs}
        if isinstance(value, np.ndarray | np.generic | torch.Tensor | np.dtype):
            return self._array(value, path)
        return self._object(value, path, depth)

    def _array(self, value: Any, path: str) -> Any:
        if isinstance(value, np.dtype):
            return {"$": "dtype", "name": value.name}
        if isinstance(value, torch.Tensor):
            return {"$": "tensor", "key": self._keep(_as_array(value, path), path)}
        if isinstance(value, np.generic) and value.dtype.kind in "US":
            return str(value)
        if isinstance(value, np.generic):
            return {"$": "scalar", "key": self._keep(np.asarray(value).reshape(1), path)}
        if value.dtype.kind in "OU" and all(isinstance(item, str) for item in value.flat):
            return {"$": "texts", "items": [str(t) for t in value.flat], "shape": list(value.shape)}
        return {"$": "array", "key": self._keep(value, path)}

    def _keep(self, array: NDArray[Any], path: str) -> str:
        key = f"{len(self.packed.arrays)}{path}"
        try:
            self.packed.arrays[key] = storable(array)
        except TypeError as error:
            raise BundleError(f"{path} is {error}, which bundles have no form for.") from error
        return key

    def _object(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, BSpline):
            parts = {name: self.pack(getattr(value, name), f"{path}.{name}", depth + 1)
                     for name in ("t", "c", "k", "extrapolate", "axis")}  # fmt: skip
            return {"$": "spline", **parts}
        if type(value).__name__ == "XGBClassifier":
            key = str(len(self.packed.trees))
            self.packed.trees[key] = bytes(value.get_booster().save_raw("ubj"))
            return {"$": "trees", "key": key, "jobs": value.n_jobs}
        if type(value) is Tree:
            return {**self.pack(tree_to_arrays(value), path, depth + 1), "$": "tree"}
        name = name_of(type(value))
        known = known_classes().get(name)
        if known is None or known.type is not type(value):
            raise BundleError(
                f"{path or 'the head'} is a {type(value).__name__}, which bundles have no form for; "
                f"{unknown_class(type(value))}, or export another head."
            )
        if hasattr(known.type, "to_arrays"):
            given: Mapping[str, Any] = getattr(value, "to_arrays")()  # noqa: B009 - narrowed to `object` above
            arrays = {str(key): np.asarray(array) for key, array in given.items()}
            return {"$": "arrays", "class": name, "arrays": self.pack(arrays, path, depth + 1)}
        state = {key: self.pack(part, f"{path}.{key}", depth + 1)
                 for key, part in vars(value).items() if key not in known.dropped}  # fmt: skip
        return {"$": "object", "class": name, "state": state}


class _Unpacker:
    def __init__(self, packed: Packed) -> None:
        self.packed = packed

    def unpack(self, tree: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise BundleError("it holds an object that lies too deep")
        if isinstance(tree, list):
            return [self.unpack(item, depth + 1) for item in tree]
        if not isinstance(tree, dict):
            return tree
        make = getattr(self, f"_{tree['$']}", None) if tree.get("$") in _FORMS else None
        if make is None:
            raise BundleError(f"it holds a value of the unknown form {tree.get('$')!r}")
        return make(tree, depth)

    def _array(self, tree: dict[str, Any], depth: int) -> Any:
        return self.packed.arrays[tree["key"]]

    def _tensor(self, tree: dict[str, Any], depth: int) -> Any:
        return torch.from_numpy(self.packed.arrays[tree["key"]])

    def _scalar(self, tree: dict[str, Any], depth: int) -> Any:
        return self.packed.arrays[tree["key"]][0]

    def _float(self, tree: dict[str, Any], depth: int) -> Any:
        return float(tree["value"])

    def _tuple(self, tree: dict[str, Any], depth: int) -> Any:
        return tuple(self.unpack(item, depth + 1) for item in tree["items"])

    def _dict(self, tree: dict[str, Any], depth: int) -> Any:
        return {self.unpack(k, depth + 1): self.unpack(v, depth + 1) for k, v in tree["items"]}

    def _dtype(self, tree: dict[str, Any], depth: int) -> Any:
        if tree["name"] not in STORED:
            raise BundleError(f"it holds the unknown dtype {tree['name']!r}")
        return np.dtype(tree["name"])

    def _texts(self, tree: dict[str, Any], depth: int) -> Any:
        return np.array([str(item) for item in tree["items"]], dtype=object).reshape(tree["shape"])

    def _spline(self, tree: dict[str, Any], depth: int) -> Any:
        t, c, k, extrapolate, axis = (
            self.unpack(tree[name], depth + 1) for name in ("t", "c", "k", "extrapolate", "axis")
        )
        return BSpline(t, c, k, extrapolate, axis)

    def _trees(self, tree: dict[str, Any], depth: int) -> Any:
        from xgboost import XGBClassifier
        from xgboost.core import XGBoostError

        classifier = XGBClassifier(n_jobs=tree["jobs"])
        try:
            classifier.load_model(bytearray(self.packed.trees[tree["key"]]))
        except XGBoostError as error:
            raise BundleError(
                f"it holds trees that XGBoost cannot read ({str(error).splitlines()[0]})"
            ) from error
        return classifier

    def _tree(self, tree: dict[str, Any], depth: int) -> Any:
        return tree_from_arrays(self._dict(tree, depth))

    def _arrays(self, tree: dict[str, Any], depth: int) -> Any:
        known = known_classes().get(tree["class"])
        if known is None or not hasattr(known.type, "from_arrays"):
            raise BundleError(f"it holds arrays of the class {tree['class']!r}, which is not known here")
        return known.type.from_arrays(self.unpack(tree["arrays"], depth + 1))

    def _object(self, tree: dict[str, Any], depth: int) -> Any:
        known, former = known_classes().get(tree["class"]), FORMER.get(tree["class"])
        state = {str(key): self.unpack(part, depth + 1) for key, part in tree["state"].items()}
        if former is not None:
            return former(state)
        if known is None:
            raise BundleError(f"it holds an object of the class {tree['class']!r}, which is not known here")
        made: Any = object.__new__(known.type)
        vars(made).update(state)
        if known.finish is not None:
            known.finish(made)
        return made


def _as_array(tensor: torch.Tensor, path: str) -> NDArray[Any]:
    try:
        return np.asarray(tensor.detach().cpu().resolve_conj().resolve_neg().numpy())
    except (TypeError, RuntimeError) as error:  # a dtype that numpy lacks, or a sparse tensor
        raise BundleError(
            f"{path} is a tensor of {tensor.dtype}, {tensor.layout}, which bundles have no form for."
        ) from error


_FORMS = frozenset(
    {
        "array", "tensor", "scalar", "float", "tuple", "dict", "dtype", "texts", "spline", "tree", "trees", "arrays",
        "object",
    }
)  # fmt: skip

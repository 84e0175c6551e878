"""A decision tree of scikit-learn as arrays, and back: what random forests are made of.

Its nodes are a table that compiled code walks along without looking, so what comes from a file is checked: every child
is a node behind its parent, and every node asks for a feature that there is.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.tree._tree import Tree

from ..errors import BundleError

__all__ = ["tree_from_arrays", "tree_to_arrays"]

_LEAF = -1


def tree_to_arrays(tree: Tree) -> dict[str, Any]:
    """Numbers and arrays: features, classes, depth, values, and each column of the nodes by its name."""
    state = tree.__getstate__()
    _, (n_features, n_classes, n_outputs), _ = tree.__reduce__()
    nodes = {
        f"nodes.{name}": np.ascontiguousarray(state["nodes"][name]) for name in state["nodes"].dtype.names
    }
    return {
        "features": int(n_features),
        "classes": np.asarray(n_classes),
        "outputs": int(n_outputs),
        "depth": int(state["max_depth"]),
        "values": state["values"],
        **nodes,
    }


def tree_from_arrays(arrays: Mapping[str, Any]) -> Tree:
    """The tree of `tree_to_arrays`.

    Raises:
        BundleError: no tree, or one that leads out of itself.
        KeyError: a column that this scikit-learn needs is missing.
    """
    n_features, classes = int(arrays["features"]), np.asarray(arrays["classes"], dtype=np.intp)
    tree = Tree(n_features, classes, int(arrays["outputs"]))
    columns = tree.__getstate__()["nodes"].dtype
    n = len(arrays["nodes.left_child"])
    nodes = np.zeros(n, dtype=columns)
    for name in columns.names or ():
        nodes[name] = arrays[f"nodes.{name}"]
    left, right, feature = (nodes[name] for name in ("left_child", "right_child", "feature"))
    leaf, parent = left == _LEAF, np.arange(n)
    inside = (
        (left > parent)
        & (left < n)
        & (right > parent)
        & (right < n)
        & (feature >= 0)
        & (feature < n_features)
    )
    if n == 0 or not np.array_equal(leaf, right == _LEAF) or not (leaf | inside).all():
        raise BundleError("it holds a tree that leads out of itself")
    values = np.ascontiguousarray(arrays["values"], dtype=np.float64)
    if values.shape != (n, int(arrays["outputs"]), int(classes.max(initial=1))):
        raise BundleError("it holds a tree whose values are not those of its nodes")
    tree.__setstate__({"max_depth": int(arrays["depth"]), "node_count": n, "nodes": nodes, "values": values})
    return tree

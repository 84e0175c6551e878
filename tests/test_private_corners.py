"""Private corners of libraries: each that is used stands here, with where and for what, and fails when it changes.

A library may change what is private in any version. When a test here fails after an update, mend the place that it
names; when `test_no_other_private_corner_is_used` fails, use a public way, or add a canary.
"""

import ast
import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import optuna
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessClassifier
from torch import nn

import lymphofeat
from lymphofeat.storage.kinds import inspect_path

ROOT = Path(lymphofeat.__file__).parent
# Where → the private module, name or attribute of a library that is used there.
USED = {
    ("bundle/classes.py", "sklearn.gaussian_process._gpc"),
    ("bundle/codec.py", "sklearn.tree._tree"),
    ("bundle/trees.py", "sklearn.tree._tree"),
    ("encoder/optional_backbones.py", "_fc"),
    ("heads/neural/batched.py", "torch.optim.adamw"),
}
DOCUMENTED = {
    "_fields",
    "_asdict",
    "_replace",
    "_make",
    "_exit",
}  # of namedtuples and `os`, in spite of their names
# Documented modules of torch.optim and their classes are public; its modules of functions are not documented.
UNDOCUMENTED = {"torch.optim.adamw"}


def changed(where: str, what: str) -> str:
    return f"{what} is not what it was: lymphofeat/{where} uses it; mend that place."


def test_no_other_private_corner_is_used() -> None:
    trees = {p: ast.parse(p.read_text(encoding="utf-8")) for p in sorted(ROOT.rglob("*.py"))}
    own = {name for tree in trees.values() for name in names_defined(tree)}
    found = {
        (path.relative_to(ROOT).as_posix(), corner)
        for path, tree in trees.items()
        for corner in private_corners(tree, own)
    }
    assert found - USED == set(), "a private corner of a library without a canary in this file"
    assert USED - found == set(), "a corner that is used no longer: take its canary out"


def names_defined(tree: ast.Module) -> Iterator[str]:
    """Functions, classes and attributes of `self` that the package itself gives names to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def private_corners(tree: ast.Module, own: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            private = is_private(node.module) or any(is_private(alias.name) for alias in node.names)
            if private and node.module != "__future__":
                yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own | DOCUMENTED:
            yield node.attr


def is_private(dotted: str) -> bool:
    parts = dotted.split(".")
    return (
        dotted in UNDOCUMENTED
        or "experimental" in parts
        or any(part.startswith("_") and not part.startswith("__") for part in parts)
    )


def test_scikit_learn_keeps_the_binary_gaussian_process_in_its_place() -> None:
    """Bundles rebuild its objects, whose class scikit-learn gives no public name."""
    said = changed("bundle/classes.py", "scikit-learn's class of binary Gaussian processes")
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    fitted = GaussianProcessClassifier(optimizer=None).fit(x, [0, 0, 1, 1]).base_estimator_
    assert type(fitted).__qualname__ == "_BinaryGaussianProcessClassifierLaplace", said
    assert type(fitted).__module__ == "sklearn.gaussian_process._gpc", said
    kept = {"X_train_", "y_train_", "classes_", "kernel_", "pi_", "W_sr_", "L_", "f_cached"}
    assert kept - set(vars(fitted)) <= {"f_cached"}, said


def test_scikit_learn_tells_a_tree_as_a_table_of_nodes() -> None:
    from sklearn.tree import DecisionTreeClassifier
    from sklearn.tree._tree import Tree

    said = changed("bundle/trees.py", "sklearn.tree._tree.Tree")
    fitted = DecisionTreeClassifier(max_depth=2).fit(np.arange(12.0)[:, None], np.arange(12) % 3).tree_
    state, (kind, arguments, _) = fitted.__getstate__(), fitted.__reduce__()
    assert kind is Tree, said
    assert {"max_depth", "nodes", "values"} <= set(state), said
    assert {"left_child", "right_child", "feature", "threshold"} <= set(state["nodes"].dtype.names), said
    again = Tree(*arguments)
    again.__setstate__(state)
    points = np.linspace(-1, 13, 20, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(again.predict(points), fitted.predict(points), err_msg=said)


def test_torch_takes_the_step_of_adamw_as_a_function() -> None:
    """Many models' parameters in one array, without the optimiser class around it."""
    from torch.optim.adamw import adamw

    said = changed("heads/neural/batched.py", "torch.optim.adamw.adamw")
    start = torch.arange(6, dtype=torch.float32)
    gradient = torch.linspace(-1, 1, 6)
    one = nn.Parameter(start.clone())
    one.grad = gradient.clone()
    torch.optim.AdamW([one], lr=0.1, weight_decay=0.01).step()
    other, taken = start.clone(), torch.tensor(0.0)
    with torch.no_grad():
        adamw(
            [other], [gradient], [torch.zeros(6)], [torch.zeros(6)], [], [taken],
            fused=True, amsgrad=False, maximize=False, beta1=0.9, beta2=0.999, eps=1e-8, lr=0.1, weight_decay=0.01,
        )  # fmt: skip
    torch.testing.assert_close(other, one.detach(), msg=lambda text: f"{said} {text}")
    assert taken == 1, said


def test_efficientnet_lite_ends_in_the_layer_that_is_taken_off() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    network = package.EfficientNet.from_name("efficientnet-lite0", image_size=None)
    assert isinstance(network._fc, nn.Linear), changed(
        "encoder/optional_backbones.py", "efficientnet_lite_pytorch's _fc"
    )


def test_optuna_names_its_tables_as_they_are_recognised_by(tmp_path: Path) -> None:
    """A study's file is told from another SQLite database by the names of Optuna's tables."""
    path = tmp_path / "s.db"
    optuna.create_study(storage=f"sqlite:///{path}")
    assert inspect_path(path).name == "study", changed("storage/kinds.py", "a table of Optuna's SQLite files")


def test_hdf5_says_a_locked_file_s_error_number_in_its_text(tmp_path: Path) -> None:
    """h5py raises an OSError without `errno`; the number is read from HDF5's text."""
    path = tmp_path / "f.h5"
    h5py.File(path, "w").close()
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OSError) as refused:
            h5py.File(path, "r")
    assert f"errno = {errno.EAGAIN}," in str(refused.value), changed(
        "storage/kinds.py", "HDF5's text of errors"
    )

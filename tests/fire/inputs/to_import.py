"""What `import` may be given."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from .malformed import PICKLE, Malformed, text, zip_of_zeros

_IMPORT = ("import", "features", "--patients", "patients.csv", "--cache", "new.h5")


def _file(name: str, file: str, make: Callable[[Path], object], said: str) -> Malformed:
    """One file in the place of the folder of features."""
    return Malformed(
        f"import: {name}", ("import", file, "--patients", "patients.csv", "--cache", "new.h5"), make, said
    )


def _instead(name: str, make: Callable[[Path], object], said: str) -> Malformed:
    """A file in the place of the first patient's."""

    def made(folder: Path) -> None:
        (folder / "features/P0.h5").unlink()
        make(folder / "features")

    return Malformed(f"import: {name}", _IMPORT, made, said)


def _objects(folder: Path) -> None:
    np.save(folder / "P0.npy", np.array([{"a": 1}, None], dtype=object))


def _npy(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(100)


def _declared(folder: Path) -> None:
    """Declares 4 PB of numbers and holds none."""
    with h5py.File(folder / "P0.h5", "w") as file:
        file.create_dataset("features", (10**9, 10**6), "f4", chunks=(1000, 1000))


def _sparse(folder: Path) -> None:
    """A sparse matrix of one number, 10⁹ × 10⁶."""
    with h5py.File(folder / "f.h5ad", "w") as file:
        file.attrs["encoding-type"] = "anndata"
        group = file.create_group("X")
        group.attrs["encoding-type"], group.attrs["shape"] = "csr_matrix", (10**9, 10**6)
        group["data"], group["indices"], group["indptr"] = (
            np.ones(1, "f4"),
            np.zeros(1, int),
            np.zeros(2, int),
        )
        file.create_group("obs")["patient"] = np.array(["P0"], dtype=object)


def _tensor(folder: Path) -> None:
    import torch

    torch.save(torch.zeros(1).expand(10**9, 10**6), folder / "P0.pt")


def _spoilt(change: Callable[[h5py.File], object]) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        file = sorted((folder / "features").glob("*.h5"))[0]
        with h5py.File(file, "r+") as opened:
            change(opened)

    return make


def _features(values: object) -> Callable[[h5py.File], object]:
    def change(file: h5py.File) -> None:
        del file["feats"]
        file["feats"] = values

    return change


def _patients(**changes: object) -> Callable[[Path], object]:
    """Change columns of the table of patients; None takes one out."""

    def make(folder: Path) -> None:
        table = pd.read_csv(folder / "patients.csv", dtype=str)
        for column, value in changes.items():
            if value is None:
                table = table.drop(columns=column)
            else:
                table.loc[0, column] = value
        table.to_csv(folder / "patients.csv", index=False)

    return make


def _group_for_dataset(file: h5py.File) -> None:
    del file["feats"], file.attrs["encoder"]
    file.create_group("feats")


TO_IMPORT = [
    _file("nothing", "nowhere", lambda _: None, "nowhere: no such file or folder"),
    _file("an empty folder", "empty", lambda f: (f / "empty").mkdir(), "empty holds no file of features"),
    _file("a picture", "f.jpg", text("f.jpg", b"\xff\xd8\xff"), "f.jpg"),
    _instead("a pickle", text("P0.pt", PICKLE), "P0.pt"),
    _instead("a pickle in NumPy's name", text("P0.npy", PICKLE), "P0.npy"),
    _instead("objects", _objects, "only pickle can read: P0.npy"),
    _file("a list, pickled", "f.pt", text("f.pt", pickle.dumps([1, 2])), "f.pt"),
    _file("a ZIP bomb", "f.npz", text("f.npz", zip_of_zeros("f.npy", 10**15)), "more numbers than the memory"),
    _instead("petabytes of NumPy's", text("P0.npy", _npy("(1000000000, 1000000)")), "NumPy cannot read: P0.npy"),
    _instead("a shape that is code", text("P0.npy", _npy("__import__('os').mkdir('PWNED')")), "P0.npy"),
    _instead("petabytes of HDF5's", _declared, "more numbers than the memory has room for: P0.h5"),
    _file("petabytes of AnnData's", "f.h5ad", _sparse, "more numbers than the memory"),
    _instead("petabytes of torch's", _tensor, "more numbers than the memory has room for: P0.pt"),
    _file("torn HDF5", "f.h5", text("f.h5", b"\x89HDF\r\n\x1a\n" + bytes(50)), "f.h5"),
    _file("torn Parquet", "f.parquet", text("f.parquet", b"PAR1" + bytes(50) + b"PAR1"), "f.parquet"),
    _file("an empty table", "f.csv", text("f.csv", ""), "f.csv"),
    _file("a table of words", "f.csv", text("f.csv", "patient,label,f0\nP0,0,x\n"), "f.csv"),
    _file("JSON", "f.json", text("f.json", json.dumps({"P0": [1]})), "f.json"),
    Malformed("import: NaN", _IMPORT, _spoilt(_features(np.full((3, 6), np.nan))), "NaN or infinite numbers"),
    Malformed("import: another width", _IMPORT, _spoilt(_features(np.ones((3, 7)))), "more than one width"),
    Malformed("import: words", _IMPORT, _spoilt(_features(np.array([b"a"]))), "features of type"),
    Malformed("import: a group for a dataset", _IMPORT, _spoilt(_group_for_dataset), "no dataset features or feats"),
    Malformed("import: no column of labels", _IMPORT, _patients(label=None), "no column of labels"),
    Malformed("import: an unknown label", _IMPORT, _patients(label="perhaps"), "neither 0 nor 1"),
    Malformed("import: a line break in an ID", _IMPORT, _patients(id="P\n0"), "line break"),
    Malformed("import: a negative age", _IMPORT, _patients(age="-3"), "age that cannot be read"),
    Malformed("import: patients are a picture", _IMPORT, text("patients.csv", b"\xff\xd8\xff\x00\x01"), "patients.csv"),
    Malformed("import: patients with NUL", _IMPORT, text("patients.csv", b"id,label\nP\x00,1\n"), "NUL"),
    Malformed("import: no table", ("import", "features", "--patients", "no.csv"), lambda _: None, "no.csv"),
    Malformed("import: a name that is a path", (*_IMPORT, "--name", "../x"), lambda _: None, "../x"),
    Malformed("import: labels were seen", (*_IMPORT, "--saw-labels", "yes"), lambda _: None, "labels"),
]  # fmt: skip

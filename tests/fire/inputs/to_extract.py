"""What `check`, `extract`, `init`, `simulate` and `recipes` may be given."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ...helpers.tiny import edit
from .malformed import DEEP, PICKLE, Malformed, text, zip_of_zeros

_NEW = (
    "extract",
    "data",
    "--frozen",
    "--backbone",
    "small-cnn",
    "--crop",
    "64",
    "--folds",
    "3",
    "--cache",
    "new.h5",
)
_CNN = (
    "extract",
    "data",
    "--frozen",
    "--backbone",
    "small-cnn",
    "--seed",
    "0",
    "--crop",
    "64",
    "--folds",
    "3",
)
_TUNED = (
    "extract",
    "data",
    "--finetune",
    "--weights",
    "none",
    "--seed",
    "0",
    "--folds",
    "3",
    "--cache",
    "new.h5",
)

_SMALL = ("--recipe", "pooled-small-cnn", "--crop", "64")


def _weights(name: str, content: str | bytes, said: str, file: str = "w.pth") -> Malformed:
    return Malformed(f"weights: {name}", (*_NEW, "--weights", file), text(file, content), said)


def _state_dict(**tensors: object) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        import torch

        torch.save(tensors, folder / "w.pth")

    return make


def _cut_state_dict(folder: Path) -> None:
    import torch

    torch.save({"weight": torch.zeros(1000)}, folder / "w.pth")
    os.truncate(folder / "w.pth", 2000)


def _repeated_number(folder: Path) -> None:
    import torch

    torch.save({"weight": torch.zeros(1).expand(10**6, 10**6)}, folder / "w.pth")


_SAFETENSORS = json.dumps(
    {"w": {"dtype": "F32", "shape": [10**9, 10**6], "data_offsets": [0, 4 * 10**15]}}
).encode()

WEIGHTS = [
    Malformed("weights: none", (*_NEW, "--weights", "no.pth"), lambda _: None, "no such weights file"),
    Malformed("weights: a folder", (*_NEW, "--weights", "data"), lambda _: None, "no such weights file"),
    _weights("empty", b"", "w.pth"),
    _weights("text", "weights", "w.pth"),
    _weights("a pickle that runs code", PICKLE, "w.pth"),
    _weights("a pickle in a safetensors' name", PICKLE, "w.safetensors", "w.safetensors"),
    _weights("a ZIP bomb", zip_of_zeros("archive/data/0", 10**12, {"archive/data.pkl": PICKLE}), "w.pth"),
    _weights("a ZIP of nothing", zip_of_zeros("notes.txt", 0), "w.pth"),
    _weights("a pickle inside a ZIP", zip_of_zeros("archive/x", 0, {"archive/data.pkl": PICKLE}), "w.pth"),
    _weights("a header of 2⁶³ bytes", struct.pack("<Q", 1 << 63) + b"{}", "w.safetensors", "w.safetensors"),
    _weights("more bytes than there are", struct.pack("<Q", len(_SAFETENSORS)) + _SAFETENSORS, "w.safetensors",
             "w.safetensors"),
    _weights("a deep header", struct.pack("<Q", len(DEEP)) + DEEP.encode(), "w.safetensors", "w.safetensors"),
    Malformed("weights: cut", (*_NEW, "--weights", "w.pth"), _cut_state_dict, "w.pth"),
    Malformed("weights: a tensor that repeats one number", (*_NEW, "--weights", "w.pth"), _repeated_number, "w.pth"),
    Malformed("weights: a list", (*_NEW, "--weights", "w.pth"), _state_dict(a=[1, 2]), "w.pth"),
    Malformed("weights: without a seed", (*_NEW, "--weights", "none"), lambda _: None, "--seed"),
]  # fmt: skip


def _other_hdf5(folder: Path) -> None:
    with h5py.File(folder / "c.h5", "w") as file:
        file["x"] = np.arange(3)


def _cut_cache(folder: Path) -> None:
    os.truncate(folder / "c.h5", (folder / "c.h5").stat().st_size // 2)


_INTO = (*_CNN, "--weights", "none", "--cache")
CACHES = [
    Malformed("cache: a folder", (*_INTO, "data"), lambda _: None, "data is a folder"),
    Malformed("cache: text", (*_INTO, "c.h5"), text("c.h5", "features"), "c.h5"),
    Malformed("cache: another HDF5 file", (*_INTO, "c.h5"), _other_hdf5, "c.h5"),
    Malformed("cache: cut", (*_INTO, "c.h5"), _cut_cache, "c.h5 is a damaged HDF5 file"),
    Malformed("cache: in a file's place", (*_INTO, "data/lymphofeat.toml/c.h5"), text("data/lymphofeat.toml", ""),
              "data/lymphofeat.toml"),
]  # fmt: skip


def _recipe(name: str, content: str | bytes, said: str) -> Malformed:
    return Malformed(f"recipe: {name}", (*_TUNED, "--recipe", "r.toml"), text("r.toml", content), said)


RECIPES = [
    Malformed("recipe: unknown", ("recipes", "poolled"), lambda _: None, "did you mean 'pooled'"),
    Malformed("recipe: a path that is not there", ("recipes", "no/r.toml"), lambda _: None, "no/r.toml"),
    Malformed("recipe: a folder", ("recipes", "r.toml"), lambda f: (f / "r.toml").mkdir(), "r.toml"),
    _recipe("not TOML", "[training", "r.toml"),
    _recipe("bytes", b"\xff\xfe\x00", "r.toml"),
    _recipe("deep", f"x = {DEEP}", "r.toml"),
    _recipe("unknown section", "[trainings]\nepochs = 1\n", "trainings"),
    _recipe("a text for a number", '[training]\nepochs = "two"\n', "epochs"),
    _recipe("an infinite rate", "[optimiser]\nlr = inf\n", "lr"),
    _recipe("a number for a section", "training = 1\n", "training"),
    Malformed("name: a path", (*_TUNED, *_SMALL, "--name", "../../x"), lambda _: None, "../../x"),
    Malformed("name: absolute", (*_TUNED, *_SMALL, "--name", "/tmp/x"), lambda _: None, "/tmp/x"),
]  # fmt: skip


def _toml(name: str, content: str | bytes, said: str) -> Malformed:
    return Malformed(
        f"lymphofeat.toml: {name}", ("check", "data", "-q"), text("data/lymphofeat.toml", content), said
    )


LAYOUTS = [
    _toml("not TOML", "[columns", "lymphofeat.toml"),
    _toml("bytes", b"\x00\xff\x00", "lymphofeat.toml"),
    _toml("deep", f"x = {DEEP}", "lymphofeat.toml"),
    _toml("unknown key", '[columns]\nidd = "ID"\n', "idd"),
    _toml("a pattern without a patient", '[images]\npattern = "{cell}.jpg"\n', "pattern"),
    _toml("a part that is not there", '[folders]\ntrain = "../../../no/where"\n', "no/where: is not there"),
    _toml("a range of no numbers", "[clinical.hb]\nrange = [nan, inf]\n", "range"),
    _toml("a number for a text", "[columns]\nid = 1\n", "id"),
    _toml("a day that there is not", "[ages]\nreference = 2020-02-31\n", "lymphofeat.toml"),
]


def _config(name: str, content: str | bytes, said: str) -> Malformed:
    return Malformed(f"config: {name}", ("tune", "--config", "run.toml"), text("run.toml", content), said)


CONFIGS = [
    _config("not TOML", "tune = [", "run.toml"),
    _config("deep", f"x = {DEEP}", "run.toml"),
    _config("unknown command", "[tunne]\n", "did you mean 'tune'"),
    _config("unknown option", "[tune]\ntrails = 3\n", "did you mean 'trials'"),
    _config("a section for a value", "[tune.trials]\nx = 1\n", "run.toml"),
    _config("bytes", b"\xff\xff", "run.toml"),
    Malformed("config: a folder", ("tune", "--config", "data"), lambda _: None, "data"),
]


def _huge_jpeg(folder: Path) -> None:
    """Declares 60,000 × 60,000 pixels and holds none of them."""
    size = struct.pack(">HBHHB", 17, 8, 60_000, 60_000, 3) + bytes((1, 17, 0, 2, 17, 0, 3, 17, 0))
    scan = struct.pack(">HB", 12, 3) + bytes((1, 0, 2, 0, 3, 0, 0, 63, 0))
    image = b"\xff\xd8\xff\xc0" + size + b"\xff\xda" + scan + bytes(1000) + b"\xff\xd9"
    (folder / "data/trainset/P3/000001.jpg").write_bytes(image)


def _huge_png(folder: Path) -> None:
    """Unpacks to 10 GB of one colour."""
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    zeros = zlib.compress(bytes(10_000_000))
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zeros) + chunk(b"IEND", b"")
    (folder / "data/trainset/P3/000001.jpg").write_bytes(image)


COHORTS = [
    Malformed("image: a JPEG bomb", ("check", "data", "-q"), _huge_jpeg, "trainset/P3/000001.jpg: has too many pixels"),
    Malformed("image: a PNG bomb", ("check", "data", "-q"), _huge_png, "trainset/P3/000001.jpg: has too many pixels"),
    Malformed("image: a JPEG bomb to extract", (*_CNN, "--weights", "none", "--cache", "new.h5"), _huge_jpeg,
              "000001.jpg cannot be decoded (it has too many pixels"),
    Malformed("table: a workbook that is a bomb", ("check", "data", "-q"),
              text("data/trainset/trainset_true.csv", zip_of_zeros("xl/worksheets/sheet1.xml", 10**12)), "too much"),
    Malformed("table: lines without end", ("check", "data", "-q"),
              lambda f: edit(f / "data/trainset/trainset_true.csv", "P3,", '"P3' + "x" * 200_000 + '",'),
              "trainset_true.csv, row 5"),
    Malformed("cohort: a file", ("check", "data/clinical_annotation.csv"), lambda _: None, "a cohort is a folder"),
    Malformed("cohort: none", ("extract", "nowhere"), lambda _: None, "nowhere: no such folder"),
    Malformed("init: a file", ("init", "data/clinical_annotation.csv"), lambda _: None, "clinical_annotation.csv"),
    Malformed("init: there already", ("init", "data"), text("data/lymphofeat.toml", ""), "lymphofeat.toml"),
    Malformed("simulate: a folder in use", ("simulate", "data"), lambda _: None, "data exists already"),
    Malformed("simulate: no number", ("simulate", "new", "--overlap", "nan"), lambda _: None, "nan is no number"),
    Malformed("simulate: least above most", ("simulate", "new", "--images", "5", "1"), lambda _: None, "5"),
    Malformed("key of pseudonyms: another table",
              (*_CNN, "--weights", "none", "--cache", "new.h5", "--pseudonyms", "key.csv"),
              text("key.csv", "a,b\n1,2\n"), "key.csv"),
]  # fmt: skip

TO_EXTRACT = [*WEIGHTS, *CACHES, *RECIPES, *LAYOUTS, *CONFIGS, *COHORTS]

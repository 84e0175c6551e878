"""Features as other toolkits write them, of simulated patients: the layouts are described in lymphofeat/imports."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

DIM = 6


@dataclass(frozen=True)
class Elsewhere:
    """Simulated patients with slides and patches; the malignant ones' features are moved.

    Attributes:
        labels: by patient: 0, 1, or −1.
        slides: by slide, (n, DIM) float32 and its patient.
        places: by slide, (n, 2) coordinates of the patches.
    """

    labels: dict[str, int]
    slides: dict[str, tuple[str, np.ndarray]]
    places: dict[str, np.ndarray]

    def bag(self, patient: str) -> np.ndarray:
        """All rows of a patient, slides by name."""
        return np.concatenate([rows for _, (who, rows) in sorted(self.slides.items()) if who == patient])

    def bags(self) -> dict[str, np.ndarray]:
        """By patient."""
        return {patient: self.bag(patient) for patient in self.labels}

    def rows(self, cells: str = "f") -> pd.DataFrame:
        """A row per patch: patient, slide, label, x, y, and the features."""
        parts = [
            pd.DataFrame(rows, columns=[f"{cells}{i}" for i in range(DIM)]).assign(
                patient=who, slide=name, label=self.labels[who], x=self.places[name][:, 0], y=0
            )
            for name, (who, rows) in self.slides.items()
        ]
        return pd.concat(parts, ignore_index=True)


def simulated(n: int = 16, n_test: int = 2, seed: int = 0) -> Elsewhere:
    """`n` labelled patients, half of each class, and some without label; every third has two slides."""
    rng = np.random.default_rng(seed)
    labels = {f"P{i}": i % 2 if i < n else -1 for i in range(n + n_test)}
    slides, places = {}, {}
    for i, (patient, label) in enumerate(labels.items()):
        for k in range(2 if i % 3 == 0 else 1):
            rows = rng.normal(size=(3 + int(rng.integers(4)), DIM)) + 0.8 * (label == 1)
            name = f"S{i:02d}-{k}.DX"  # a name with a dot, as of TCGA
            slides[name] = (patient, rows.astype(np.float32))
            places[name] = np.stack([np.arange(len(rows)) * 256, np.full(len(rows), i)], axis=1)
    return Elsewhere(labels, slides, places)


def clam_table(path: Path, given: Elsewhere) -> Path:
    """A row per slide: case_id, slide_id, label in words."""
    words = {0: "normal_tissue", 1: "tumor_tissue", -1: ""}
    rows = [(who, name, words[given.labels[who]]) for name, (who, _) in given.slides.items()]
    pd.DataFrame(rows, columns=["case_id", "slide_id", "label"]).to_csv(path, index=False)
    return path


def plain_table(path: Path, given: Elsewhere, **columns: Any) -> Path:
    """A row per patient: id, label, and more."""
    labels = [label if label >= 0 else "" for label in given.labels.values()]
    pd.DataFrame({"id": list(given.labels), "label": labels, **columns}).to_csv(path, index=False)
    return path


def slide_table(path: Path, given: Elsewhere, ending: str = ".h5") -> Path:
    """STAMP's: PATIENT, FILENAME."""
    rows = [(who, f"{name}{ending}") for name, (who, _) in given.slides.items()]
    pd.DataFrame(rows, columns=["PATIENT", "FILENAME"]).to_csv(path, index=False)
    return path


def write_trident(job: Path, given: Elsewhere, encoder: str = "uni_v1", *, attribute: bool = True) -> Path:
    """A job's folder: patches/NAME_patches.h5 and features_ENCODER/NAME.h5; returns the latter's folder."""
    folder, patches = job / f"features_{encoder}", job / "patches"
    for one in (folder, patches):
        one.mkdir(parents=True, exist_ok=True)
    for name, (_, rows) in given.slides.items():
        with h5py.File(patches / f"{name}_patches.h5", "w") as file:
            file["coords"] = given.places[name]
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["features"], file["coords"] = rows, given.places[name]
            file["features"].attrs["name"] = name
            file["coords"].attrs["patch_size"] = 256
            if attribute:
                file["features"].attrs["encoder"] = encoder
    return folder


def write_trident_slides(job: Path, given: Elsewhere) -> Path:
    """slide_features_titan/NAME.h5: one vector of a slide, and the coordinates of its patches."""
    folder = job / "slide_features_titan"
    folder.mkdir(parents=True)
    for name, (_, rows) in given.slides.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["features"], file["coords"] = rows.mean(axis=0), given.places[name]
    return folder


def write_clam(folder: Path, given: Elsewhere, *, batched: bool = False, tensors: bool = True) -> Path:
    """h5_files/NAME.h5 and pt_files/NAME.pt with the same features."""
    import torch

    for one in ("h5_files", "pt_files"):
        (folder / one).mkdir(parents=True)
    for name, (_, rows) in given.slides.items():
        with h5py.File(folder / "h5_files" / f"{name}.h5", "w") as file:
            file["features"], file["coords"] = rows[None] if batched else rows, given.places[name]
        if tensors:
            torch.save(torch.from_numpy(rows), folder / "pt_files" / f"{name}.pt")
    return folder


def write_stamp(folder: Path, given: Elsewhere, unit: str = "tile") -> Path:
    """EXTRACTOR/NAME.h5 of tiles; of unit "patient" a file per patient."""
    folder.mkdir(parents=True)
    each = (
        {name: rows for name, (_, rows) in given.slides.items()}
        if unit == "tile"
        else {patient: bag.mean(axis=0, keepdims=True) for patient, bag in given.bags().items()}
    )
    for name, rows in each.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["feats"] = rows.astype(np.float16) if unit == "tile" else rows
            if unit == "tile":
                file["coords"] = given.places[name].astype(float)
                file.attrs["unit"] = "um"
            file.attrs["extractor" if unit == "tile" else "encoder"] = (
                "virchow2" if unit == "tile" else "cobra"
            )
            file.attrs["feat_type"] = unit
    return folder


def write_anndata(path: Path, given: Elsewhere, *, sparse: bool = False) -> Path:
    """An AnnData object as version 0.8 and later write it: X, obsm/X_half, obs with categories and text."""
    from scipy.sparse import csr_matrix

    rows = given.rows()
    features = rows[[f"f{i}" for i in range(DIM)]].to_numpy(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "anndata"
        if sparse:
            matrix = csr_matrix(features)
            group = file.create_group("X")
            group.attrs["encoding-type"], group.attrs["shape"] = "csr_matrix", features.shape
            group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        else:
            file["X"] = features
        file["obsm/X_half"] = features / 2
        obs = file.create_group("obs")
        codes, names = pd.factorize(rows["patient"])
        category = obs.create_group("patient")
        category.attrs["encoding-type"] = "categorical"
        category["codes"] = codes.astype(np.int8)
        category["categories"] = np.array(names, dtype=object)
        obs["slide"] = np.array(rows["slide"], dtype=object)
        obs["label"] = rows["label"].to_numpy()
        obs["area"] = rows["x"].to_numpy(float)
    return path

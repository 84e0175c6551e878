"""Every source of features becomes the same cache: each patient's rows, labels, and what a row is."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lymphofeat import import_features, open_cache
from lymphofeat.imports.importing import ImportSummary

from ..helpers.elsewhere import (
    DIM,
    clam_table,
    plain_table,
    simulated,
    slide_table,
    write_anndata,
    write_clam,
    write_stamp,
    write_trident,
    write_trident_slides,
)

GIVEN = simulated()
WORDS = {"reactive": "normal_tissue", "malignant": "Tumor_Tissue"}


def trident(at: Path) -> dict[str, Any]:
    write_trident(at, GIVEN)
    return {"source": at, "patients": clam_table(at / "t.csv", GIVEN), **WORDS}


def trident_without_attribute(at: Path) -> dict[str, Any]:
    folder = write_trident(at, GIVEN, attribute=False)
    return {"source": str(folder), "patients": str(clam_table(at / "t.csv", GIVEN)), **WORDS}


def clam(at: Path) -> dict[str, Any]:
    return {"source": write_clam(at / "f", GIVEN), "patients": clam_table(at / "t.csv", GIVEN), **WORDS}


def clam_batched(at: Path) -> dict[str, Any]:
    source = write_clam(at / "f", GIVEN, batched=True, tensors=False)
    return {"source": source, "patients": clam_table(at / "t.csv", GIVEN), **WORDS}


def clam_tensors(at: Path) -> dict[str, Any]:
    source = write_clam(at / "f", GIVEN) / "pt_files"
    return {"source": source, "patients": clam_table(at / "t.csv", GIVEN), "unit": "patch", **WORDS}


def stamp(at: Path) -> dict[str, Any]:
    source = write_stamp(at / "virchow2", GIVEN)
    slides = slide_table(at / "slide.csv", GIVEN)
    return {"source": source, "patients": plain_table(at / "clini.csv", GIVEN), "slides": slides}


def folders(at: Path) -> dict[str, Any]:
    """A folder per patient, in each a file per slide; no table of slides."""
    for name, (who, rows) in GIVEN.slides.items():
        (at / "f" / who).mkdir(parents=True, exist_ok=True)
        np.save(at / "f" / who / f"{name}.npy", rows)
    return {"source": at / "f", "patients": plain_table(at / "t.csv", GIVEN), "unit": "patch"}


def csv(at: Path) -> dict[str, Any]:
    GIVEN.rows("feat_").to_csv(at / "rows.csv", index=False)
    return {"source": at / "rows.csv", "unit": "patch"}


def csv_with_decimal_commas(at: Path) -> dict[str, Any]:
    table = GIVEN.rows().rename(columns={"patient": "Fallnummer", "label": "Diagnose"})
    table["Diagnose"] = table["Diagnose"].map({0: "reaktiv", 1: "CLL", -1: None})
    table.to_csv(at / "rows.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig")
    columns = {"patient_column": "fallnummer", "label_column": "Diagnose"}
    return {
        "source": at / "rows.csv",
        "unit": "patch",
        "reactive": "Reaktiv",
        "malignant": ["CLL", "MCL"],
        **columns,
    }


def frame(at: Path) -> dict[str, Any]:
    return {"source": GIVEN.rows(), "unit": "patch"}


def npz_of_slides(at: Path) -> dict[str, Any]:
    np.savez(at / "f.npz", **{name: rows for name, (_, rows) in GIVEN.slides.items()})
    return {"source": at / "f.npz", "patients": clam_table(at / "t.csv", GIVEN), "unit": "patch", **WORDS}


def npz_of_rows(at: Path) -> dict[str, Any]:
    table = GIVEN.rows()
    columns = {name: table[name].to_numpy(dtype=str) for name in ("patient", "slide")}
    features = table[[f"f{i}" for i in range(DIM)]].to_numpy()
    np.savez(at / "f.npz", features=features, label=table["label"].to_numpy(), **columns)
    return {"source": at / "f.npz", "unit": "patch"}


def anndata(at: Path) -> dict[str, Any]:
    return {"source": write_anndata(at / "a.h5ad", GIVEN), "unit": "patch"}


def anndata_sparse(at: Path) -> dict[str, Any]:
    return {"source": write_anndata(at / "a.h5ad", GIVEN, sparse=True), "unit": "patch"}


def arrays(at: Path) -> dict[str, Any]:
    return {
        "source": GIVEN.bags(),
        "patients": {"id": list(GIVEN.labels), "label": list(GIVEN.labels.values())},
    }


PATCHES: list[tuple[Callable[[Path], dict[str, Any]], str, str]] = [
    (trident, "uni_v1", "patch"),
    (trident_without_attribute, "uni_v1", "patch"),
    (clam, "", "patch"),
    (clam_batched, "", "patch"),
    (clam_tensors, "", "patch"),
    (stamp, "virchow2", "patch"),
    (folders, "", "patch"),
    (csv, "", "patch"),
    (csv_with_decimal_commas, "", "patch"),
    (frame, "", "patch"),
    (npz_of_slides, "", "patch"),
    (npz_of_rows, "", "patch"),
    (anndata, "", "patch"),
    (anndata_sparse, "", "patch"),
    (arrays, "", ""),
]


def imported(at: Path, arguments: dict[str, Any]) -> ImportSummary:
    return import_features(cache=at / "cache" / "c.h5", n_folds=2, **arguments)


@pytest.mark.parametrize(("source", "encoder", "unit"), PATCHES)
def test_patches_of_every_kind_of_source(
    tmp_path: Path, source: Callable[[Path], dict[str, Any]], encoder: str, unit: str
) -> None:
    found = imported(tmp_path, source(tmp_path))
    assert (found.encoder, found.unit, found.dim) == (encoder, unit, DIM)
    cache = open_cache(tmp_path / "cache" / "c.h5")
    assert dict(zip(cache.ids, cache.labels, strict=True)) == GIVEN.labels
    assert list(cache.patients["split"]) == ["train"] * 16 + ["test"] * 2
    assert cache.encodings[found.encoding].blind_to is None
    tolerance = 1e-2 if source is stamp else 1e-6  # STAMP keeps half precision
    for row, patient in enumerate(cache.ids):
        np.testing.assert_allclose(cache.bags(found.encoding)[row], GIVEN.bag(patient), atol=tolerance)
    if encoder:
        assert found.encoding == encoder
        assert cache.tables.names[1] == "S00-0.DX@256,0"
    assert [one.n_slides for one in found.patients[:3]] == ([2, 1, 1] if source is not arrays else [1, 1, 1])


def of_trident(at: Path) -> dict[str, Any]:
    source = write_trident_slides(at, GIVEN)
    return {"source": source, "patients": clam_table(at / "t.csv", GIVEN), **WORDS}


def of_stamp(at: Path) -> dict[str, Any]:
    source = write_stamp(at / "f", GIVEN, "patient")
    return {"source": source, "patients": plain_table(at / "t.csv", GIVEN)}


def of_one_file(at: Path) -> dict[str, Any]:
    """As STAMP's first versions: a dataset per patient."""
    import h5py

    with h5py.File(at / "f.h5", "w") as file:
        file.attrs["encoder"] = "cobra"
        for patient, bag in GIVEN.bags().items():
            file[patient] = bag.mean(axis=0)
    return {"source": at / "f.h5", "patients": plain_table(at / "t.csv", GIVEN)}


def of_table(at: Path) -> dict[str, Any]:
    means = GIVEN.rows().groupby(["patient", "label"], sort=False)[[f"f{i}" for i in range(DIM)]].mean()
    means.reset_index().assign(age=50, sex="f", lymphocyte_count="7.5", person="").to_csv(
        at / "f.csv", index=False
    )
    return {"source": at / "f.csv"}


@pytest.mark.parametrize(
    ("source", "encoder", "unit"),
    [
        (of_trident, "titan", "slide"),
        (of_stamp, "cobra", "patient"),
        (of_one_file, "cobra", "patient"),
        (of_table, "", "patient"),
    ],
)
def test_vectors_of_slides_and_patients(
    tmp_path: Path, source: Callable[[Path], dict[str, Any]], encoder: str, unit: str
) -> None:
    found = imported(tmp_path, source(tmp_path))
    assert (found.encoder, found.unit) == (encoder, unit)
    cache = open_cache(tmp_path / "cache" / "c.h5")
    bags = cache.bags(found.encoding)
    for row, patient in enumerate(cache.ids):
        slides = [rows.mean(axis=0) for _, (who, rows) in sorted(GIVEN.slides.items()) if who == patient]
        expected = slides if unit == "slide" else [GIVEN.bag(patient).mean(axis=0)]
        np.testing.assert_allclose(bags[row], expected, atol=1e-5)
    if source is of_table:
        assert cache.patients[["age", "sex", "lymphocyte_count"]].iloc[3].tolist() == [50, "F", 7.5]


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    GIVEN.rows().to_parquet(tmp_path / "rows.parquet")
    found = imported(tmp_path, {"source": tmp_path / "rows.parquet", "unit": "cell"})
    assert (found.unit, found.dim, len(found.patients)) == ("cell", DIM, 18)
    lists = GIVEN.rows()
    lists["embedding"] = list(lists[[f"f{i}" for i in range(DIM)]].to_numpy())
    lists[["patient", "slide", "label", "embedding"]].to_parquet(tmp_path / "lists.parquet")
    again = imported(tmp_path, {"source": tmp_path / "lists.parquet", "name": "again"})
    cache = open_cache(tmp_path / "cache" / "c.h5")
    assert np.array_equal(cache.encodings[found.encoding].features, cache.encodings[again.encoding].features)


def test_parquet_without_its_reader_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "rows.parquet").touch()
    with pytest.raises(ValueError, match=r"pip install 'lymphofeat\[import\]'"):
        imported(tmp_path, {"source": tmp_path / "rows.parquet"})


def test_a_matrix_of_an_anndata_object_is_named(tmp_path: Path) -> None:
    source = write_anndata(tmp_path / "a.h5ad", GIVEN)
    found = imported(tmp_path, {"source": source, "matrix": "obsm/X_half", "name": "half"})
    half = open_cache(tmp_path / "cache" / "c.h5").bags(found.encoding)[0]
    np.testing.assert_allclose(half, GIVEN.bag("P0") / 2)
    with pytest.raises(ValueError, match=r"no matrix obsm/pca .there are X, obsm/X_half."):
        imported(tmp_path, {"source": source, "matrix": "obsm/pca"})


def test_values_and_persons_of_the_table_reach_the_cache(tmp_path: Path) -> None:
    n = len(GIVEN.labels)
    table = plain_table(
        tmp_path / "t.csv", GIVEN, AGE=[61.5] * n, Gender=["m", "F"] * (n // 2), lymphocyte_count=[""] + [8] * (n - 1),
        person=[f"who{i // 4}" for i in range(n)],
    )  # fmt: skip
    imported(tmp_path, {"source": GIVEN.bags(), "patients": table})
    cache = open_cache(tmp_path / "cache" / "c.h5")
    assert set(cache.patients["age"]) == {61.5}
    assert list(cache.patients["sex"][:2]) == ["M", "F"]
    assert np.isnan(cache.patients["lymphocyte_count"][0])
    assert len(set(cache.folds[:4, 0])) == 1


def test_a_second_encoder_joins_the_cache(tmp_path: Path) -> None:
    table = clam_table(tmp_path / "t.csv", GIVEN)
    for encoder in ("uni_v1", "conch_v15"):
        imported(tmp_path, {"source": write_trident(tmp_path, GIVEN, encoder), "patients": table, **WORDS})
    with pytest.raises(ValueError, match="more than one encoder: conch_v15 ") as raised:
        imported(tmp_path, {"source": tmp_path, "patients": table, **WORDS})
    assert str(raised.value).count("\n") == 0, "what follows from two encoders is not told"
    assert open_cache(tmp_path / "cache" / "c.h5").encoder_families == ["conch_v15", "uni_v1"]


def test_columns_of_a_table_by_pattern(tmp_path: Path) -> None:
    rows = GIVEN.rows().rename(columns={"f0": "Area", "f1": "texture_a", "f2": "texture_b"})
    found = imported(tmp_path, {"source": rows, "features": "area,texture_*"})
    assert found.dim == 3
    assert "left out: f3, f4, f5, x and y" in found.notes[0]

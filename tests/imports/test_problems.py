"""What is wrong with an import is one sentence a cause, with the first files; nothing is written then."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lymphofeat import import_features
from lymphofeat.errors import InputError
from lymphofeat.imports.causes import Causes
from lymphofeat.imports.columns import ColumnNames
from lymphofeat.imports.matching import by_patient
from lymphofeat.imports.parts import Loaded, Part, slide_name
from lymphofeat.imports.tables import features_of_frame

from ..helpers.elsewhere import (
    DIM,
    clam_table,
    plain_table,
    simulated,
    write_clam,
    write_stamp,
    write_trident,
)

GIVEN = simulated()
PATIENTS = {"id": list(GIVEN.labels), "label": list(GIVEN.labels.values())}


def changed(folder: Path, name: str, features: Any, **attrs: str) -> None:
    with h5py.File(folder / f"{name}.h5", "r+") as file:
        if features is not None:
            del file["features"]
            file["features"] = features
        file["features"].attrs.update({"encoder": "uni_v1", **attrs})


def spoilt(folder: Path, *names: str, features: Any = None, **attrs: str) -> None:
    for name in names:
        changed(folder, name, features, **attrs)


S = ("S00-0.DX", "S01-0.DX")
GOOD = np.ones((3, DIM), np.float32)
SPOIL: list[tuple[Callable[[Path], None], list[str]]] = [
    (lambda f: spoilt(f, *S, features=GOOD * np.nan), [f"NaN or infinite numbers: {S[0]}.h5 and {S[1]}.h5; compute"]),
    (lambda f: spoilt(f, S[0], features=GOOD.astype(float) * 1e300), [f"NaN or infinite numbers: {S[0]}.h5; "]),
    (lambda f: spoilt(f, S[0], features=GOOD[:0]), [f"no features at all: {S[0]}.h5; "]),
    (lambda f: spoilt(f, S[0], features=GOOD * 0), [f"rows of zeros only, as of padding: {S[0]}.h5; "]),
    (lambda f: spoilt(f, S[0], features=np.ones((2, 2, 3))), ["features of shape (2, 2, 3): "]),
    (lambda f: spoilt(f, S[0], features=np.array([b"a"])), ["features of type "]),
    (lambda f: spoilt(f, S[0], features=np.ones((2, 4))), [f"more than one width: {DIM} (", f"4 ({S[0]}.h5); "]),
    (lambda f: spoilt(f, S[0], encoder="conch"), ["more than one encoder: uni_v1 (", f"conch ({S[0]}.h5)"]),
    (lambda f: spoilt(f, S[0], features=GOOD[0]),
     ["more than one kind of row: patches (", f"slide vectors ({S[0]}.h5)"]),
    (lambda f: spoilt(f, *S, features=GOOD),
     ["the same features at two patients: S01-0.DX.h5 (P1) and S00-0.DX.h5 (P0)"]),
    (lambda f: (f / f"{S[0]}.h5").write_bytes(b"torn"), [f"files that HDF5 cannot read: {S[0]}.h5; "]),
    (lambda f: (f / f"{S[1]}.h5").unlink(), ["patients without features: P1; "]),
    (lambda f: (f / f"{S[1]}.h5").rename(f / "other.h5"),
     ["features of no patient in the table: other.h5; ", "without features: P1; "]),
    (lambda f: (f / "again").mkdir() or (f / "again" / f"{S[1]}.h5").write_bytes((f / f"{S[1]}.h5").read_bytes()),
     [f"slides that are there twice: again/{S[1]}.h5 and {S[1]}.h5; "]),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "said"), SPOIL)
def test_each_cause_is_told_once_with_its_files(
    tmp_path: Path, spoil: Callable[[Path], None], said: list[str]
) -> None:
    folder = write_trident(tmp_path, GIVEN)
    table = clam_table(tmp_path / "t.csv", GIVEN)
    spoil(folder)
    with pytest.raises(InputError) as raised:
        import_features(
            folder, tmp_path / "c.h5", table, reactive="normal_tissue", malignant="tumor_tissue", n_folds=2
        )
    for part in said:
        assert part in str(raised.value)
    assert not list(tmp_path.glob("c.h5*"))


def test_several_causes_are_several_lines(tmp_path: Path) -> None:
    folder = write_trident(tmp_path, GIVEN)
    spoilt(folder, S[0], features=GOOD * np.nan)
    (folder / f"{S[1]}.h5").unlink()
    (folder / "S04-0.DX.h5").rename(folder / "other.h5")
    with pytest.raises(InputError) as raised:
        import_features(folder, tmp_path / "c.h5", clam_table(tmp_path / "t.csv", GIVEN), reactive="normal_tissue",
                        malignant="tumor_tissue")  # fmt: skip
    assert [line.split(": ")[1] for line in str(raised.value).splitlines()] == [
        "NaN or infinite numbers", "features of no patient in the table", "patients without features",
    ]  # fmt: skip


def test_what_is_not_there_may_be_left_out(tmp_path: Path) -> None:
    folder = write_stamp(tmp_path / "f", GIVEN, "patient")
    (folder / "P3.h5").unlink()
    (folder / "P4.h5").rename(folder / "P44.h5")
    table = plain_table(tmp_path / "t.csv", GIVEN)
    found = import_features(folder, tmp_path / "c.h5", table, leave_out=True, n_folds=2)
    assert len(found.patients) == 16
    assert found.left_out == (
        "P44.h5: its patient is not in the table", "P3: has no features", "P4: has no features",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("patients", "options", "said"),
    [
        ({"id": ["P0"]}, {}, "no column of labels: the table of patients has id; name it by --label-column"),
        ({"who": ["P0"], "label": [1]}, {}, "no column of patients: the table of patients has who and label"),
        ({**PATIENTS, "label": ["CLL"] * 17 + ["MCL"]}, {},
         "labels that are neither 0 nor 1: 'CLL' (17 times) and 'MCL'; say what the words mean by --reactive"),
        ({**PATIENTS, "id": ["P0"] * 18}, {}, "several rows of a patient that disagree in label: P0 ("),
        ({**PATIENTS, "id": ["", *PATIENTS["id"][1:]]}, {}, "rows without a patient: the table of patients, row 2"),
        ({**PATIENTS, "age": ["old"] + [50] * 17}, {}, "age that cannot be read (years from 0 to 130): 'old' ("),
        ({**PATIENTS, "sex": "x"}, {}, "sex that cannot be read (M or F): 'x' (the table of patients, row 2), "),
        ({**PATIENTS, "birth": "3/7/1950"}, {}, "birth that cannot be read (year-month-day"),
        (pd.DataFrame([["P0", 0, 1]], columns=["id", "label", "Label"]), {}, "columns that are there twice: label ("),
        (PATIENTS, {"label_column": "lable"}, "the column 'lable' of --label-column (did you mean 'label'?)"),
        (PATIENTS, {"saw_labels": "yes"}, "would be scored on what it was trained on"),
        (PATIENTS, {"unit": "patches"}, "A row cannot be 'patches' (did you mean 'patch'?)"),
        ({"id": ["Q1", "Q2"], "label": [0, 1]}, {"leave_out": True}, "no features of any patient of the table"),
        (None, {}, "give the table of patients by --patients"),
        ("nowhere.csv", {}, "nowhere.csv"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used(
    tmp_path: Path, patients: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as raised:
        import_features(GIVEN.bags(), tmp_path / "c.h5", patients, **{"n_folds": 2, **options})
    assert said in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (GIVEN.rows().drop(columns="patient").drop(columns="slide"), "no column says whose the rows are"),
        (GIVEN.rows()[["patient", "label", "f0", "f1"]], "which columns are the features is not certain (columns of "
         "numbers: f0 and f1); name them by --features"),
        (GIVEN.rows()[["patient", "label"]], "no column holds numbers"),
        (GIVEN.rows().join(GIVEN.rows("g")[[f"g{i}" for i in range(DIM)]]), "is not certain"),
    ],
)  # fmt: skip
def test_columns_that_are_not_certain_are_asked_for(tmp_path: Path, frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(InputError) as raised:
        import_features(frame, tmp_path / "c.h5", n_folds=2)
    assert said in str(raised.value)


def test_a_pickle_is_not_unpacked(tmp_path: Path) -> None:
    import torch

    source = write_clam(tmp_path / "f", GIVEN) / "pt_files"
    torch.save({"features": Path("x")}, source / "S00-0.DX.pt")
    np.savez(tmp_path / "f.npz", P0=np.array([{}], dtype=object))
    for one, said in (
        (source, "objects instead of plain numbers"),
        (tmp_path / "f.npz", "objects instead of plain"),
    ):
        with pytest.raises(InputError, match=said):
            import_features(
                one, tmp_path / "c.h5", PATIENTS | {"slide": [f"S{i:02d}-0.DX" for i in range(18)]}
            )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p.mkdir(), "holds no file of features; it takes a folder of .h5"),
        (lambda p: (p.mkdir(), (p / "rows.csv").touch()), "it holds rows.csv: name one of these"),
        (lambda p: None, "no such file or folder"),
        (lambda p: p.write_text("x"), "is none of the files that import reads"),
    ],
)
def test_a_source_that_is_none(tmp_path: Path, make: Callable[[Path], Any], said: str) -> None:
    make(tmp_path / "source")
    with pytest.raises(InputError) as raised:
        import_features(tmp_path / "source", tmp_path / "c.h5", PATIENTS)
    assert said in str(raised.value)


ids = st.lists(
    st.text("P1-_ .é", min_size=1, max_size=5).map(str.strip).filter(bool),
    min_size=1,
    max_size=8,
    unique=True,
)


@given(ids, st.data())
@settings(max_examples=60, deadline=None)
def test_ids_are_whole_words(names: list[str], data: st.DataObject) -> None:
    """P1 never takes what is P10's, whatever the IDs look like and in whichever way files say them."""
    whose = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=8))
    parts = [
        Part(f"{name}/s{k}" if k % 2 else f"sub{k}/{name}", f"file {k}", lambda: Loaded(np.ones((1, 2))))
        for k, name in enumerate(whose)
        if "/" not in name and name.strip(".")
    ]
    causes = Causes("x")
    found = by_patient(parts, names, {}, causes, [])
    for name, own in found.items():
        assert all(name in part.name.split("/") for part in own)
    assert sum(map(len, found.values())) == len(parts)


@given(
    st.lists(st.sampled_from([".h5", ".svs", ".ome.tif", ".pt", ".TIFF"]), max_size=3),
    st.text("aZ1.-", min_size=1),
)
def test_a_slide_is_known_with_and_without_endings(endings: list[str], name: str) -> None:
    plain = slide_name(name + ".x1")
    assert slide_name(name + ".x1" + "".join(endings)) == plain == name + ".x1"


def test_zeros_before_an_id_stay(tmp_path: Path) -> None:
    rows = GIVEN.rows()
    rows["patient"] = rows["patient"].str.replace("P", "00")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    found = import_features(tmp_path / "rows.csv", tmp_path / "c.h5", n_folds=2)
    assert found.patients[0].id == "000"
    source = features_of_frame(GIVEN.rows().assign(case_id=7.0), ColumnNames(patient="case_id"), "x")
    assert {part.patient for part in source.parts} == {"7"}

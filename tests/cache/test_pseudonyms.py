"""`extract --pseudonyms`: what the cache and all that is made from it hold of patients, and what it is worth."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lymphofeat import compare, extract, read_cohort
from lymphofeat.cache import open_cache, save_cache
from lymphofeat.cohort.persons import persons
from lymphofeat.errors import CacheError, InputError

from ..helpers.caches import features, patients
from ..helpers.commands import Run, runner
from ..helpers.tiny import edit_row, tiny_cohort, write_table


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    return runner(monkeypatch, capsys)


def named_cohort(root: Path, n: int = 24) -> Path:
    """A cohort whose IDs and image files have names that nothing else has; two visits of one person."""
    made = tiny_cohort(root / "plain", n=n, images=2)
    cohort = root / "export-of-the-ward"
    made.rename(cohort)
    for old in sorted(cohort.glob("*set/P*")):
        for image in old.iterdir():
            image.rename(image.with_name(f"smear-{old.name}-{image.name}"))
        old.rename(old.with_name(f"Muster{old.name}x"))
    for table in cohort.rglob("*.csv"):
        table.write_text(re.sub(r"\bP(\d+),", r"MusterP\1x,", table.read_text()))
    edit_row(cohort, "MusterP4x", "DOB", "1/1/1930")  # of MusterP0x
    edit_row(cohort, "MusterP4x", "GENDER", "M")
    return cohort


def traces(cohort: Path) -> set[bytes]:
    """IDs, dates of birth in each spelling, names of image files and of the folder."""
    read = read_cohort(cohort)
    found = {cohort.name} | {p.id for p in read.patients} | {image.name for image in read.images}
    for patient in read.patients:
        b = patient.birth
        assert b is not None
        found |= {b.isoformat(), f"{b.month}/{b.day}/{b.year}", f"{b.day:02d}-{b.month:02d}-{b.year}"}
    return {text.encode() for text in found}


def key_of(path: Path) -> dict[str, str]:
    """ID → pseudonym."""
    with path.open() as file:
        return {row["id"]: row["pseudonym"] for row in csv.DictReader(file)}


def test_no_trace_of_a_patient_from_extract_to_export_and_the_folds_are_the_same(
    run: Run, tmp_path: Path
) -> None:
    cohort = named_cohort(tmp_path)
    looked_for = traces(cohort)
    rows = ["MusterP7x,,the blood of musterP9x", "MusterP8x,smear-P8-000001.jpg,as smear-P8-000000.jpg"]
    write_table(cohort / "exclude.csv", ["patient,image,reason", *rows])
    work = ["--cache", "out/c.h5", "--study", "out/s.db"]
    for command in (
        ["extract", cohort, "--cache", "out/c.h5", "--pseudonyms", "key.csv", "--folds", "3"],
        ["tune", *work, "--trials", "3", "--heads", "logistic,lda"],
        ["export", "out/model", *work],
        ["submit", *work, "--out", "out/submission.csv"],
    ):
        ran = run(*command)
        assert ran.code == 0, ran.err
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {"c.h5", "s.db", "model.json", "submission.csv"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert [text for text in looked_for if text in content] == [], path
    said = run("info", "out/c.h5").out
    assert "IDs are pseudonyms" in said
    assert "excluded 1 patient, 1 image: the blood of P0" in said
    assert (
        "Excluded before training: 1 patient (1 malignant), 1 image"
        in Path("out/model/README.md").read_text()
    )

    extract(cohort, "plain.h5", n_folds=3)
    plain, hidden = open_cache("plain.h5"), open_cache("out/c.h5")
    assert any(text in Path("plain.h5").read_bytes() for text in looked_for), "the search finds what is there"
    np.testing.assert_array_equal(hidden.folds, plain.folds)
    np.testing.assert_array_equal(hidden.groups, plain.groups)
    np.testing.assert_array_equal(persons(hidden.patients), persons(plain.patients))
    assert len(set(plain.groups)) == len(plain.groups) - 1, "one person has two records"
    key = key_of(Path("key.csv"))
    assert [key[name] for name in plain.ids] == list(hidden.ids)
    for name, values in plain.encodings.items():
        np.testing.assert_array_equal(hidden.encodings[name].features, values.features)
    np.testing.assert_array_equal(hidden.patients["age"], plain.patients["age"].round())
    assert (hidden.patients["lymphocyte_count"] == plain.patients["lymphocyte_count"]).all()


def test_the_key_is_written_once_and_grows_by_patients_that_it_lacks(tmp_path: Path) -> None:
    cohort, key = tiny_cohort(tmp_path / "c", n=16, images=1), tmp_path / "key.csv"
    extract(cohort, tmp_path / "1.h5", n_folds=2, pseudonyms=key)
    first = key.read_text()
    assert key.stat().st_mode & 0o077 == 0
    names = key_of(key)
    order = [int(pseudonym[1:]) for pseudonym in names.values()]
    assert sorted(order) == list(range(1, 17))
    ids = [int(name[1:]) for name, _ in sorted(names.items(), key=lambda pair: pair[1])]
    assert ids != sorted(ids)
    extract(
        cohort,
        tmp_path / "1.h5",
        n_folds=2,
        pseudonyms=str(key),
        frozen=True,
        weights="none",
        seed=0,
        crop=32,
    )
    assert key.read_text() == first
    assert len(open_cache(tmp_path / "1.h5").encodings) == 2
    small = tmp_path / "small.csv"
    kept = [line for line in first.splitlines() if not line.endswith(",P3")]
    write_table(small, kept)
    extract(cohort, tmp_path / "2.h5", n_folds=2, pseudonyms=small)
    assert set(kept) < set(small.read_text().splitlines())
    assert key_of(small)["P3"] not in {line.split(",")[0] for line in kept}
    other = tmp_path / "other.csv"
    extract(cohort, tmp_path / "3.h5", n_folds=2, pseudonyms=other)
    assert key_of(other) != names, "two keys are two orders"


def test_a_pseudonym_is_never_another_patients_id(tmp_path: Path) -> None:
    cohort = tiny_cohort(tmp_path / "c", n=16, images=1)
    for old in sorted(cohort.glob("*set/P*")):
        old.rename(old.with_name(f"P{int(old.name[1:]):04d}"))
    for table in cohort.rglob("*.csv"):
        table.write_text(re.sub(r"\bP(\d+),", lambda found: f"P{int(found[1]):04d},", table.read_text()))
    extract(cohort, tmp_path / "1.h5", n_folds=2, pseudonyms=tmp_path / "key.csv")
    names = key_of(tmp_path / "key.csv")
    assert not set(names) & set(names.values())


def test_ids_and_pseudonyms_never_share_a_cache(tmp_path: Path) -> None:
    cohort, key = tiny_cohort(tmp_path / "c", n=16, images=1), tmp_path / "key.csv"
    extract(cohort, tmp_path / "plain.h5", n_folds=2)
    for force in (False, True):
        with pytest.raises(CacheError, match=r"plain\.h5 holds IDs and dates of birth"):
            extract(cohort, tmp_path / "plain.h5", n_folds=2, pseudonyms=key, force=force)
    assert not key.exists(), "refused before the key is written"
    extract(cohort, tmp_path / "c.h5", n_folds=2, pseudonyms=key)
    before = (tmp_path / "c.h5").read_bytes()
    for force in (False, True):
        with pytest.raises(CacheError, match=r"c\.h5 holds pseudonyms; give --pseudonyms"):
            extract(cohort, tmp_path / "c.h5", n_folds=2, force=force)
    with pytest.raises(CacheError, match="holds pseudonyms"):
        compare(tmp_path / "c.h5", tmp_path / "r.jsonl", cohort=cohort)
    table = patients(12, 0)
    with pytest.raises(CacheError, match="holds pseudonyms"):
        save_cache(tmp_path / "c.h5", table, {"mine": features(table)}, n_folds=2, force=True)
    with pytest.raises(InputError, match=r"their key is not at .*lost\.csv"):
        extract(cohort, tmp_path / "c.h5", n_folds=2, pseudonyms=tmp_path / "lost.csv")
    assert not (tmp_path / "lost.csv").exists()
    assert (tmp_path / "c.h5").read_bytes() == before


def test_compare_adds_control_experiments_under_the_same_key(run: Run, tmp_path: Path) -> None:
    cohort = tiny_cohort(tmp_path / "data", n=16, images=1)
    extract(cohort, "c.h5", n_folds=2, pseudonyms="key.csv")
    ran = run("compare", "data", "--cache", "c.h5", "--pseudonyms", "key.csv", "--device", "cpu")
    assert ran.code == 0, ran.err
    assert open_cache("c.h5").tables.pseudonyms
    assert len(open_cache("c.h5").encodings) > 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ID,LABEL\nP1,0\n",
        "pseudonym,id\nP0001,a\nP0001,b\n",
        "pseudonym,id\nP0001\n",
        "pseudonym,id\nx,a\n",
    ],
)
def test_another_file_is_no_key_and_stays_as_it_is(tmp_path: Path, text: str) -> None:
    cohort, key = tiny_cohort(tmp_path / "c", n=16, images=1), tmp_path / "table.csv"
    key.write_text(text)
    with pytest.raises(InputError, match=r"table\.csv is no key of pseudonyms .* never overwritten"):
        extract(cohort, tmp_path / "c.h5", n_folds=2, pseudonyms=key)
    assert key.read_text() == text
    assert not (tmp_path / "c.h5").exists()


def test_the_key_of_another_cohort_is_refused(tmp_path: Path) -> None:
    cohort, key = tiny_cohort(tmp_path / "c", n=16, images=1), tmp_path / "key.csv"
    key.write_text("pseudonym,id\nP0001,somebody\n")
    with pytest.raises(InputError, match="names none of the patients"):
        extract(cohort, tmp_path / "c.h5", n_folds=2, pseudonyms=key)
    assert key.read_text() == "pseudonym,id\nP0001,somebody\n"


def test_a_recipe_that_needs_births_is_refused_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    tiny_cohort(tmp_path / "data", n=16, images=1)
    asked = ["extract", "data", "--cache", "c.h5", "--pseudonyms", "key.csv", "--finetune"]
    ran = run(*asked, "--recipe", "pooled+clinical", "--weights", "none")
    assert ran.code == 2
    assert "takes birth_month and birth_year, and with --pseudonyms there are no dates of birth" in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_explain_says_why_it_draws_no_cells(run: Run, tmp_path: Path) -> None:
    cohort = tiny_cohort(tmp_path / "data", n=24, images=2)
    extract(cohort, "c.h5", n_folds=3, pseudonyms="key.csv")
    work = ["--cache", "c.h5", "--study", "s.db"]
    assert run("tune", *work, "--trials", "2", "--heads", "logistic").code == 0
    asked = pd.Series(key_of(Path("key.csv")))["P0"]
    explained = run("explain", asked, *work)
    assert explained.code == 0, explained.err
    ran = run("explain", asked, *work, "--outlines", "o.png")
    assert ran.code == 2
    assert "holds pseudonyms and does not know where images lie" in ran.err

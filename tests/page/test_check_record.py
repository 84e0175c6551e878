"""What `check` keeps: read back as it was, known by the patients' images, silent on who they are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lymphofeat.cache.extract import ExtractSettings, cohort_tables
from lymphofeat.cache.reader import Cache, open_cache
from lymphofeat.cohort.check import CheckReport, check_cohort
from lymphofeat.cohort.pseudonyms import pseudonymous
from lymphofeat.cohort.read import read_cohort
from lymphofeat.errors import InputError
from lymphofeat.page.records_check import read_check
from lymphofeat.page.sources import Places, Sources, find_sources
from lymphofeat.progress import Silent
from lymphofeat.report.check_record import kept_check

from ..helpers.caches import frozen_cache
from ..helpers.tiny import edit_row, tiny_cohort, write_table


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of 16 in which a patient and an image are excluded, two for one reason in two cases."""
    folder = tiny_cohort(tmp_path_factory.mktemp("cohort"), n=16)
    rows = ["P3,,Wrong stain", "P5,000001.jpg,blurred", "P6,000002.jpg,Blurred"]
    write_table(folder / "exclude.csv", ["id,image,reason", *rows])
    return folder


@pytest.fixture(scope="module")
def report(root: Path) -> CheckReport:
    return check_cohort(root)


@pytest.fixture(scope="module")
def cache(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache in memory with the tables of that cohort."""
    path = frozen_cache(tmp_path_factory.mktemp("cache") / "c.h5")
    return replace(open_cache(path), tables=cohort_tables(read_cohort(root), SETTINGS, Silent()))


SETTINGS = ExtractSettings(n_folds=2)


def test_what_was_kept_is_read_back(report: CheckReport, tmp_path: Path) -> None:
    path = tmp_path / "studies" / "check.json"
    assert kept_check(report, path) == ""
    found = read_check(path)
    assert report.summary is not None
    assert found.patients == report.bags
    assert dict(found.counts) == {
        "reactive": 6, "malignant": 5, "train": 11, "test": 4, "persons": report.summary.n_persons,
        "images": 43, "bytes": report.summary.n_bytes,
    }  # fmt: skip
    assert found.exclusions.to_dict("records") == [
        {"reason": "blurred", "patients": 0, "images": 2},
        {"reason": "Wrong stain", "patients": 1, "images": 3},
    ]
    assert list(found.audit["quantity"]) == [one.name for one in report.audit]
    for column in ("value", "low", "high"):
        assert list(found.audit[column]) == [getattr(one.auc, column) for one in report.audit]
    assert list(found.audit["separates"]) == [one.separates for one in report.audit]
    assert found.warnings["n"].sum() == len(report.warnings)


def test_no_id_no_date_and_no_file_is_kept(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path / "records", n=12)
    edit_row(root, "P7", "GENDER", "")
    write_table(root / "exclude.csv", ["id,image,reason", "P3,,Wrong stain", "P5,000001.jpg,taken for p7"])
    report = check_cohort(root)
    kept_check(report, tmp_path / "check.json")
    text = (tmp_path / "check.json").read_text(encoding="utf-8")
    for word in ('"P', "P3", "P5", "P7", "p7", "000001", "/193", "-193", str(root)):
        assert word not in text, word


def test_a_cohort_is_known_by_its_images_and_labels(
    root: Path, report: CheckReport, cache: Cache, tmp_path: Path
) -> None:
    cohort = read_cohort(root)
    assert report.bags == cache.tables.bags
    other_ids = cohort_tables(pseudonymous(cohort, tmp_path / "key.csv"), SETTINGS, Silent())
    assert other_ids.bags == report.bags
    turned = replace(cohort, patients=cohort.patients[::-1])
    assert cohort_tables(turned, SETTINGS, Silent()).bags == report.bags
    first, *others = cohort.patients
    for changed in (replace(first, label=1 - first.label), replace(first, images=first.images[1:])):
        tables = cohort_tables(replace(cohort, patients=(changed, *others)), SETTINGS, Silent())
        assert tables.bags != report.bags


def found_with(cache: Cache, kept: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    monkeypatch.setattr("lymphofeat.page.sources.open_cache", lambda _: cache)
    return find_sources(Places(cache.path, kept / "none.db", kept=kept))


def test_the_report_finds_the_check_of_its_cohort_only(
    report: CheckReport, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = found_with(cache, tmp_path, monkeypatch)
    assert none.check is None
    assert none.gap("check").command == "lymphofeat check COHORT"
    kept_check(report, tmp_path / "check.json")
    found = found_with(cache, tmp_path, monkeypatch)
    assert found.check is not None
    assert found.check.patients == report.bags
    kept_check(replace(report, bags="0" * 32), tmp_path / "check.json")
    another = found_with(cache, tmp_path, monkeypatch)
    assert another.check is None
    assert "another cohort" in another.gap("check").what


def test_imported_features_have_no_image_files_to_check(tmp_path: Path) -> None:
    path = frozen_cache(tmp_path / "c.h5")
    found = find_sources(Places(path, tmp_path / "none.db", kept=tmp_path))
    assert found.check is None
    assert "imported" in found.missing["check"]


def test_a_check_ends_well_where_it_cannot_be_kept(report: CheckReport, tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("a file")
    said = kept_check(report, tmp_path / "studies" / "check.json")
    assert "cannot be written" in said
    assert "will lack this check" in said
    (tmp_path / "check.json").mkdir()
    assert "it is a folder" in kept_check(report, tmp_path / "check.json")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"patients": "a", "counts": {"images": "x"}}', '{"counts": 3}']
)
def test_what_is_no_check_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "check.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="is not what `lymphofeat check` writes"):
        read_check(path)


def test_a_damaged_table_is_refused(report: CheckReport, tmp_path: Path) -> None:
    path = tmp_path / "check.json"
    kept_check(report, path)
    raw = json.loads(path.read_text(encoding="utf-8"))
    for row in raw["audit"]:
        row.pop("low", None)
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(InputError, match="is not what"):
        read_check(path)

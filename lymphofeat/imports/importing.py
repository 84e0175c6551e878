"""Features of other toolkits become a cache: `import_features`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache.imported import FoldSettings, ImportedEncoding, imported_tables, write_imported
from ..cache.imported_table import checked_table
from ..cache.roles import IMPORTED
from ..cache.spec import EncodingSpec
from ..cohort.folds import DEFAULT_FOLDS
from ..errors import InputError
from ..progress import Progress, Silent
from ..storage.paths import AnyPath
from ..wording import did_you_mean
from .columns import ColumnNames
from .inspection import Facts
from .parts import UNITS
from .patients import Labels
from .reading import FeatureSource, TableLike, read_features

__all__ = ["ImportSummary", "ImportedPatient", "import_features"]

_BLOCK = 4096  # rows written at a time


@dataclass(frozen=True)
class ImportedPatient:
    """What was imported of one patient."""

    id: str
    label: int  # 0 reactive, 1 malignant, -1 not known
    n_slides: int
    n_rows: int


@dataclass(frozen=True)
class ImportSummary:
    """What was imported.

    Attributes:
        cache: the cache file.
        encoding: the encoding's name in it.
        encoder: the encoder's name by the files; "" where they do not say it.
        unit: what a row is: "patch", "cell", "slide", "patient", or "" where nobody says it.
        dim: numbers a row.
        slides: whether the source holds slides.
        patients: in the cache's order.
        left_out: files and patients that were left out, in sentences.
        notes: what was passed over and what was taken for what, in sentences.
    """

    cache: Path
    encoding: str
    encoder: str
    unit: str
    dim: int
    slides: bool
    patients: tuple[ImportedPatient, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        rows = sum(one.n_rows for one in self.patients)
        return f"<ImportSummary {self.encoding}: {len(self.patients)} patients, {rows:,} rows × {self.dim}>"


def import_features(
    source: FeatureSource,
    cache: AnyPath,
    patients: TableLike | None = None,
    *,
    slides: TableLike | None = None,
    name: str | None = None,
    patient_column: str | None = None,
    slide_column: str | None = None,
    label_column: str | None = None,
    reactive: str | Sequence[str] = (),
    malignant: str | Sequence[str] = (),
    features: str | Sequence[str] = (),
    matrix: str = "X",
    unit: str | None = None,
    saw_labels: str = "no",
    leave_out: bool = False,
    n_folds: int = DEFAULT_FOLDS,
    fold_seed: int = 0,
    force: bool = False,
    progress: Progress | None = None,
) -> ImportSummary:
    """Put features that another toolkit computed into a cache, as of a frozen encoder.

    docs/import.md describes the sources. Everything is read and checked before anything is written; what is wrong is
    listed by cause.

    Args:
        source: a folder of .h5, .pt or .npy files, one a slide or patient (TRIDENT, CLAM, STAMP); one file: .h5, .pt
            or .npz with an array per slide or patient, .h5ad, or a table (.csv, .parquet, or a DataFrame) with a row
            per patch, cell or patient; or a dict of (n, D) arrays by slide or patient.
        cache: the cache file; encodings of the same patients and rows that it holds already stay in it.
        patients: the table of patients (a CSV, a DataFrame or a dict of columns): a column of patients, one of labels,
            and any of slide, age (years), sex, lymphocyte_count (10⁹/l), birth (ISO), person. A row per patient, or per
            slide. None: the source is a table that has these columns itself.
        slides: another table with a column of patients and one of slides, if `patients` has none.
        name: the encoding's name; by default the encoder's, else that of the source.
        patient_column, slide_column, label_column: names of columns that are not called patient, case_id or id;
            slide, slide_id or filename; label.
        reactive, malignant: the words for the labels, by default 0 and 1. A patient without a label is a test patient.
        features: names or patterns (`feat_*`) of the columns that are features, by default those that count on (f0, f1,
            …).
        matrix: of an .h5ad: "X", "obsm/NAME" or "layers/NAME".
        unit: what a row is ("patch", "cell", "slide", "patient"), where the files do not say it.
        saw_labels: "no" is your word that the encoder never saw labels of these patients. Features of an encoder that
            learnt from them are refused: every fold would be scored by what it was trained on.
        leave_out: leave out patients without features and files of nobody, which are errors otherwise.
        n_folds, fold_seed: how the folds are made.
        force: replace the cache of other patients, labels or rows.
        progress: told of files.

    Raises:
        InputError: a line for every cause: files that cannot be read, widths, encoders or kinds of rows that differ,
            NaN, empty files, slides of nobody, patients without features, labels and values that cannot be used.
        StaleCacheError: the cache holds other patients, labels or rows.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> patients = {"id": [f"P{i}" for i in range(12)], "label": ["healed", "CLL"] * 6}
        >>> bags = {name: rng.normal(size=(5, 8)) for name in patients["id"]}
        >>> import_features(
        ...     bags, "cache/elsewhere.h5", patients, name="mine", reactive="healed", malignant="CLL", n_folds=3
        ... )
        <ImportSummary mine: 12 patients, 60 rows × 8>
    """
    progress = progress or Silent()
    if saw_labels != "no":
        raise InputError(
            f"saw_labels is {saw_labels!r}: features of an encoder that learnt from these labels would be scored on "
            "what it was trained on; import those of an encoder that never saw them (saw_labels 'no'), or give "
            "save_cache one encoding per fold with blind_to."
        )
    if unit is not None and unit not in UNITS:
        raise InputError(f"A row cannot be {unit!r}{did_you_mean(unit, UNITS)}.")
    names = ColumnNames(
        patient_column or "",
        slide_column or "",
        label_column or "",
        _words(",".join(_words(features)).split(",")),
    )
    labels = Labels(_words(reactive), _words(malignant))
    found = read_features(
        source, patients, slides, names, labels, matrix=matrix, unit=unit, leave_out=leave_out, progress=progress
    )  # fmt: skip
    facts, first = found.facts, found.first
    table = checked_table(
        found.patients,
        None,
        {patient: sum(one.shape[0] for one in own) for patient, own in facts.items()},
    )
    tables = imported_tables(
        table,
        [name for own in facts.values() for one in own for name in one.names],
        FoldSettings(n_folds=n_folds, seed=fold_seed),
    )
    encoding = name or _encoding_name(first.encoder or _plain_name(source))
    about: dict[str, Any] = {
        "backbone": IMPORTED,
        "weights": first.encoder or "not known",
        "unit": found.unit,
    }
    if found.microns_per_pixel is not None:
        about["microns_per_pixel"] = found.microns_per_pixel
    spec = EncodingSpec(
        encoding,
        encoding,
        first.shape[1],
        min(_BLOCK, tables.n_images),
        about=about,
    )
    write_imported(Path(cache), tables, [ImportedEncoding(spec, _pieces(facts, progress))], force=force)
    return ImportSummary(
        Path(cache),
        spec.name,
        first.encoder,
        found.unit,
        spec.dim,
        found.slides,
        tuple(
            ImportedPatient(patient, label, len(facts[patient]), n_rows)
            for patient, label, n_rows in zip(
                table["id"].tolist(), table["label"].tolist(), table["n_images"].tolist(), strict=True
            )
        ),
        found.left_out,
        found.notes,
    )


def _words(given: str | Sequence[str]) -> tuple[str, ...]:
    words = (given,) if isinstance(given, str) else given
    return tuple(str(word).strip().lower() for word in words if str(word).strip())


def _plain_name(source: Any) -> str:
    return Path(source).name.partition(".")[0] if isinstance(source, str | PathLike) else ""


def _encoding_name(text: str) -> str:
    """A name that a cache takes, near to `text`."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-._+") or "imported"


def _pieces(facts: Mapping[str, Sequence[Facts]], progress: Progress) -> Iterator[NDArray[np.float32]]:
    """The rows of every patient, read again."""
    progress.start("writing features", sum(map(len, facts.values())), "files")
    try:
        for one in (one for own in facts.values() for one in own):
            yield one.rows()
            progress.advance()
    finally:
        progress.stop()

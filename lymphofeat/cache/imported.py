"""A cache from features that come from elsewhere: what a caller hands over is checked as a whole before any is kept."""

import math
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..cohort.model import TABLE_COLUMNS
from ..errors import CacheError
from ..storage.paths import AnyPath
from .layout import CohortTables, EncodingSpec, make_folds
from .partial import refuse_bad
from .writer import CacheWriter, own_probabilities

__all__ = ["save_cache"]

_Read = Callable[[Any], Any]


def save_cache(
    path: AnyPath,
    patients: pd.DataFrame,
    features: Mapping[str, ArrayLike],
    *,
    n_folds: int = 5,
    n_repeats: int = 10,
    fold_seed: int = 0,
    encoder_families: Mapping[str, str] | None = None,
    blind_to: Mapping[str, Collection[int] | None] | None = None,
    end_to_end: Mapping[str, NDArray[np.float64]] | None = None,
    reference: date | None = None,
    force: bool = False,
) -> None:
    """Write a cache from features that come from elsewhere (another toolkit, another kind of image).

    Everything is checked before anything is written.

    Args:
        path: the cache file; encodings of the same patients that it holds already stay in it, and an encoding of the
            same name is replaced.
        patients: one row per patient with the columns `lymphofeat.cohort.model.TABLE_COLUMNS`; others are left out.
            id: text or whole numbers, each once. split: "train" or "test". label: 0 reactive, 1 malignant, −1 not
            known (every test patient). n_images: ≥ 1. birth: ISO text or dates; sex: "M", "F"; date_order: text; age
            (years) and count (10⁹/l, ≥ 0): numbers. In the last five NaN, None and "" mean missing.
        features: per encoding, (n_images, D) float32, the images of each patient contiguous, patients in order.
        n_folds, n_repeats, fold_seed: how the folds are made.
        encoder_families: the encoder family of each encoding, by default its own name.
        blind_to: the folds whose labels each encoder never saw; None (the default): it saw no labels. This is
            the caller's word, and everything that is scored later rests on it.
        end_to_end: for encodings of fine-tuned networks, (n_patients,) the network's own probabilities.
        reference: the day that ages are counted to, if it is known.
        force: replace the cache of other patients, labels or folds; encodings that do not fit are lost.

    Raises:
        CacheError: a value of the table that cannot be used, with its row; arrays that do not fit the table, or hold
            NaN, infinite or all-zero rows; an encoding that `encoder_families`, `blind_to` or `end_to_end` name and
            `features` does not hold.
        StaleCacheError: `path` holds encodings of other patients, labels or folds.
        InputError: a class has fewer persons than there are folds.

    Example:
        >>> import numpy as np
        >>> patients = open_cache("cache/features.h5").patients
        >>> features = np.random.default_rng(0).normal(size=(patients["n_images"].sum(), 8))
        >>> save_cache("cache/mine.h5", patients, {"mine": features})
        >>> open_cache("cache/mine.h5").encodings["mine"]
        <Encoding mine: 115 images × 8, blind to all>
    """
    path = Path(path)
    encoder_families, blind_to, end_to_end = encoder_families or {}, blind_to or {}, end_to_end or {}
    table = _checked_table(patients)
    _check_names(
        features, n_folds, encoder_families=encoder_families, blind_to=blind_to, end_to_end=end_to_end
    )
    # Before anything is made of the counts: one that a slip made 10¹² would fill the memory. Python's own sum, since
    # NumPy's wraps.
    rows = sum(table["n_images"].tolist())
    arrays = {name: _checked_features(name, array, rows) for name, array in features.items()}
    names = [f"{i}/{k}" for i, n in zip(table["id"], table["n_images"], strict=True) for k in range(n)]
    tables = CohortTables(
        patients=table,
        folds=make_folds(table, n_folds, n_repeats, fold_seed),
        fold_seed=fold_seed,
        fingerprint=blake2b(table.to_csv(index=False).encode(), digest_size=16).hexdigest(),
        names=names,
        sizes=[0] * rows,
        digests=[""] * rows,
        reference="" if reference is None else reference.isoformat(),
    )
    specs = [_spec(name, array, encoder_families, blind_to) for name, array in arrays.items()]
    for name, array in arrays.items():
        refuse_bad(tables, array)
        if name in end_to_end:
            own_probabilities(tables, name, end_to_end[name])
    with CacheWriter(path, tables, force=force) as writer:
        for spec in specs:
            writer.forget(spec.name)
            partial = writer.begin(spec)
            partial.write(0, arrays[spec.name])
            writer.finish(partial, end_to_end.get(spec.name))


def _spec(
    name: str,
    array: NDArray[np.float32],
    encoder_families: Mapping[str, str],
    blind_to: Mapping[str, Collection[int] | None],
) -> EncodingSpec:
    blind = blind_to.get(name)
    return EncodingSpec(
        name,
        encoder_families.get(name, name),
        array.shape[1],
        len(array),
        None if blind is None else frozenset(int(k) for k in blind),
        {"backbone": "imported"},
    )


def _check_names(features: Mapping[str, ArrayLike], n_folds: int, **others: Mapping[str, Any]) -> None:
    """Refuse words about encodings that are not there: a misspelt `blind_to` would let an encoder score what it saw.

    Raises:
        CacheError: no encoding, one that `features` lacks, or a fold that there is not.
    """
    if not features:
        raise CacheError("features is empty; give at least one encoding, name → (n_images, D) array.")
    for argument, values in others.items():
        if unknown := sorted(set(values) - set(features)):
            raise CacheError(
                f"{argument} names the encoding {unknown[0]!r}, which features does not hold ({', '.join(features)})."
            )
    for name, folds in others["blind_to"].items():
        if bad := sorted(set(folds or ()) - set(range(n_folds))):
            raise CacheError(f"blind_to of {name} names fold {bad[0]}; there are 0 to {n_folds - 1}.")


def _checked_features(name: str, array: ArrayLike, rows: int) -> NDArray[np.float32]:
    try:
        plain = np.asarray(array)
        with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinite, with its image
            found = np.empty((0, 0), np.float32) if np.iscomplexobj(plain) else plain.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise CacheError(f"features of {name} are not an array of numbers ({error}).") from error
    if found.ndim != 2 or found.shape[1] == 0:
        raise CacheError(
            f"features of {name} are {plain.dtype} of shape {plain.shape}; give (n_images, D) floats."
        )
    if len(found) != rows:
        raise CacheError(
            f"features of {name} have {len(found)} rows, and n_images of the table adds up to {rows}; give one row "
            "per image, patients in the table's order."
        )
    return found


def _checked_table(patients: pd.DataFrame) -> pd.DataFrame:
    """The columns that a cache keeps, in its types.

    Raises:
        CacheError: a column is missing, or a value cannot be used.
    """
    if missing := [column for column in TABLE_COLUMNS if column not in patients.columns]:
        raise CacheError(
            f"the table of patients lacks the column {missing[0]!r}; it needs {', '.join(TABLE_COLUMNS)}."
        )
    if repeated := [c for c in TABLE_COLUMNS if not isinstance(patients[c], pd.Series)]:
        raise CacheError(f"the table of patients has the column {repeated[0]!r} more than once.")
    if not len(patients):
        raise CacheError("the table of patients is empty.")
    table = pd.DataFrame({c: _column(c, list(patients[c]), list(patients["id"])) for c in TABLE_COLUMNS})
    first: dict[str, int] = {}
    for row, name in enumerate(table["id"]):
        if first.setdefault(name, row) != row:
            raise CacheError(
                f"rows {first[name]} and {row} of the table (counted from 0) have the same id {name!r}; an id "
                "names one patient, so join their images or rename one."
            )
    for row, (split, label) in enumerate(zip(table["split"], table["label"], strict=True)):
        if split == "test" and label != -1:
            raise CacheError(
                f"{_row(row, table['id'][row])}: a test patient has the label {label}; give -1, or split 'train'."
            )
    return table


def _column(column: str, values: list[Any], ids: list[Any]) -> Any:
    read, wanted, dtype = _READ[column]
    found = []
    for row, value in enumerate(values):
        try:
            found.append(read(value))
        except (TypeError, ValueError, OverflowError):
            raise CacheError(f"{_row(row, ids[row])}: {column} is {value!r}; {wanted}.") from None
    return np.array(found, dtype=dtype)


def _row(row: int, name: Any) -> str:
    return f"row {row} of the table (counted from 0), patient {name}"


def _is_missing(value: Any) -> bool:
    return (
        value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))
    )


def _whole(value: Any) -> int:
    if isinstance(value, bool | np.bool_ | str) or int(value) != value:
        raise ValueError(value)
    return int(value)


def _id(value: Any) -> str:
    text = value if isinstance(value, str) else str(_whole(value)) if not isinstance(value, float) else ""
    if not text or text != text.strip() or "\0" in text:
        raise ValueError(value)
    return str(text)


def _one_of(*allowed: Any) -> _Read:
    def read(value: Any) -> Any:
        known = value if isinstance(value, str) else _whole(value)
        if known not in allowed:
            raise ValueError(value)
        return known

    return read


def _text(value: Any) -> str:
    if _is_missing(value):
        return ""
    if not isinstance(value, str):
        raise TypeError(value)
    return str(value)


def _sex(value: Any) -> str:
    text = _text(value)
    if text not in ("", "M", "F"):
        raise ValueError(value)
    return text


def _birth(value: Any) -> str:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if _is_missing(value) or value == "":
        return ""
    if isinstance(value, datetime):  # pandas' Timestamp is one
        value = value.date()
    day = value if isinstance(value, date) else date.fromisoformat(value)
    return day.isoformat()


def _n_images(value: Any) -> int:
    if not 1 <= (number := _whole(value)) <= np.iinfo(np.int64).max:
        raise ValueError(value)
    return number


def _number(value: Any) -> float:
    if _is_missing(value) or value == "":
        return math.nan
    number = float(value)
    if isinstance(value, str) or math.isinf(number):
        raise ValueError(value)
    return number


def _count(value: Any) -> float:
    number = _number(value)
    if number < 0:
        raise ValueError(value)
    return number


# How a value is read, what it must be, and the column's type.
_READ: dict[str, tuple[_Read, str, Any]] = {
    "id": (_id, "give text without blanks around it, or a whole number", object),
    "split": (_one_of("train", "test"), "give 'train' or 'test'", object),
    "label": (_one_of(0, 1, -1), "give 0 (reactive), 1 (malignant) or -1 (not known)", np.int64),
    "n_images": (_n_images, "give a whole number of at least 1, or leave the patient out", np.int64),
    "birth": (_birth, "give a date, or text such as 1950-02-11, or leave it empty", object),
    "date_order": (_text, "give text, or leave it empty", object),
    "sex": (_sex, "give 'M' or 'F', or leave it empty", object),
    "age": (_number, "give a number of years, or leave it empty", np.float64),
    "lymphocyte_count": (_count, "give a number of at least 0, in 10⁹/l, or leave it empty", np.float64),
}

"""A cache from features that come from elsewhere: what a caller hands over is checked as a whole before any is kept."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..cohort.folds import DEFAULT_FOLDS
from ..cohort.values import Declared
from ..errors import CacheError
from ..storage.paths import AnyPath
from .imported_table import checked_table
from .partial import refuse_bad
from .roles import IMPORTED
from .spec import EncodingSpec
from .tables import CohortTables, make_folds
from .writer import CacheWriter, own_probabilities

if TYPE_CHECKING:
    from ..cohort.declared import ClinicalColumn

__all__ = ["FoldSettings", "ImportedEncoding", "imported_tables", "save_cache", "write_imported"]

ByPatient = Mapping[Any, ArrayLike]
IMPORTED_BLOCK = 1024  # rows that are written together, with one checksum


@dataclass(frozen=True)
class FoldSettings:
    """How the folds of a new cache are made."""

    n_folds: int = DEFAULT_FOLDS
    n_repeats: int = 10
    seed: int = 0


@dataclass(frozen=True)
class ImportedEncoding:
    """Features from elsewhere, ready to be written.

    Attributes:
        spec: what they are.
        pieces: arrays (rows, D) float32, which one behind the other are the features of all images.
        end_to_end: (n_patients,) the network's own probabilities; None where it has none.
    """

    spec: EncodingSpec
    pieces: Iterable[NDArray[np.float32]]
    end_to_end: NDArray[np.float64] | None = None


def save_cache(
    path: AnyPath,
    patients: pd.DataFrame | Mapping[str, Any],
    features: Mapping[str, ArrayLike | ByPatient],
    *,
    groups: ArrayLike | None = None,
    clinical: Mapping[str, "ClinicalColumn"] | None = None,
    n_folds: int = DEFAULT_FOLDS,
    n_repeats: int = 10,
    fold_seed: int = 0,
    encoder_families: Mapping[str, str] | None = None,
    blind_to: Mapping[str, Collection[int] | None] | None = None,
    end_to_end: Mapping[str, NDArray[np.float64]] | None = None,
    reference: date | None = None,
    force: bool = False,
) -> None:
    """Write a cache from features that come from elsewhere (another toolkit, another kind of image).

    Everything is checked before anything is written. Files of other toolkits are read by `import_features`.

    Args:
        path: the cache file; encodings of the same patients that it holds already stay in it, and an encoding of the
            same name is replaced.
        patients: one row per patient, as a table or a dict of columns. Columns: id (text or whole numbers, each once)
            and label (0 reactive, 1 malignant, −1 not known); the others may be left out. split: "train" or "test"
            (default: "train" where the label is known, else "test"; a test patient has the label −1). n_images: ≥ 1
            (default: counted, where `features` has an array per patient). person: text or whole numbers, equal where
            two rows are of one person, whose rows then share a fold. birth: ISO text or dates; sex: "M", "F"; age
            (years) and lymphocyte_count (10⁹/l, ≥ 0): numbers; date_order: text. In the last six NaN, None and ""
            mean missing. Columns of other names are left out unless `clinical` declares them.
        features: per encoding, a dict of arrays by patient, {"P1": (n_images, D), …}; or one (n_images, D) array of
            all images, those of each patient contiguous, patients in the table's order. Kept as float32.
        groups: (n_patients,) text or whole numbers instead of the column person, as scikit-learn's `groups`.
        clinical: clinical columns beside age, sex and lymphocyte_count, by name: numbers; True and False, or 1 and 0,
            of kind "yes/no"; text of kind "category". NaN, None and "" mean missing.
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
        >>> rng = np.random.default_rng(0)
        >>> patients = {"id": [f"P{i}" for i in range(12)], "label": [0, 1] * 6}
        >>> bags = {name: rng.normal(size=(3, 8)) for name in patients["id"]}
        >>> save_cache("cache/mine.h5", patients, {"mine": bags}, n_folds=3)
        >>> open_cache("cache/mine.h5").encodings["mine"]
        <Encoding mine: 36 images × 8, blind to all>
    """
    encoder_families, blind_to, end_to_end = encoder_families or {}, blind_to or {}, end_to_end or {}
    _check_names(
        features, n_folds, encoder_families=encoder_families, blind_to=blind_to, end_to_end=end_to_end
    )
    bags = {name: _by_patient(name, given) for name, given in features.items() if isinstance(given, Mapping)}
    declared = dict(clinical or {})
    table = checked_table(patients, groups, _counts(bags), declared)
    arrays = {name: _of_all(name, features[name], bags.get(name), table) for name in features}
    tables = imported_tables(
        table,
        _image_names(table),
        FoldSettings(n_folds, n_repeats, fold_seed),
        reference=reference,
        declared=declared,
    )
    for name, array in arrays.items():
        refuse_bad(tables, array)
        if name in end_to_end:
            own_probabilities(tables, name, end_to_end[name])
    write_imported(
        Path(path),
        tables,
        [
            ImportedEncoding(_spec(name, array, encoder_families, blind_to), [array], end_to_end.get(name))
            for name, array in arrays.items()
        ],
        force=force,
    )


def imported_tables(
    table: pd.DataFrame,
    names: Sequence[str],
    folds: FoldSettings,
    *,
    source: str = "",
    reference: date | None = None,
    declared: Declared | None = None,
) -> CohortTables:
    """What a cache keeps of a cohort whose features come from elsewhere.

    Args:
        table: as of `checked_table`.
        names: one per image.
        folds: how the folds are made.
        source: where the features come from.
        reference: the day that ages are counted to, if it is known.
        declared: clinical columns beside age, sex and lymphocyte_count.

    Raises:
        InputError: a class has fewer persons than there are folds.
    """
    return CohortTables(
        patients=table,
        folds=make_folds(table, folds.n_folds, folds.n_repeats, folds.seed),
        fold_seed=folds.seed,
        fingerprint=blake2b(table.to_csv(index=False).encode(), digest_size=16).hexdigest(),
        names=list(names),
        sizes=[0] * len(names),
        digests=[""] * len(names),
        source=source,
        reference="" if reference is None else reference.isoformat(),
        layout=_layout_of(declared or {}),
    )


def _layout_of(declared: Declared) -> str:
    if not declared:
        return ""
    from ..cohort.layout import Layout, layout_text

    return layout_text(Layout(clinical=dict(declared)))


def write_imported(
    path: Path, tables: CohortTables, encodings: Iterable[ImportedEncoding], *, force: bool = False
) -> None:
    """Write encodings, piece by piece, into a cache that may hold others of the same patients.

    Raises:
        CacheError: features that are NaN, infinite or all zero, or as of `CacheWriter`.
        StaleCacheError: `path` holds encodings of other patients, labels or folds.
    """
    with CacheWriter(path, tables, force=force) as writer:
        for encoding in encodings:
            spec = encoding.spec
            partial = writer.begin(spec, anew=True)
            for block, rows in enumerate(_in_blocks(encoding.pieces, spec.block)):
                partial.write(block, rows)
            writer.finish(partial, encoding.end_to_end)


def _in_blocks(pieces: Iterable[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """The rows of all pieces, `size` at a time; the last block may be shorter."""
    waiting: list[NDArray[np.float32]] = []
    n = 0
    for piece in pieces:
        waiting.append(piece)
        n += len(piece)
        if n >= size:
            rows = np.concatenate(waiting) if len(waiting) > 1 else piece
            whole = n - n % size
            yield from (rows[start : start + size] for start in range(0, whole, size))
            waiting, n = [rows[whole:]], n - whole
    if n:
        yield np.concatenate(waiting)


def _image_names(table: pd.DataFrame) -> list[str]:
    return [f"{i}/{k}" for i, n in zip(table["id"], table["n_images"], strict=True) for k in range(n)]


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
        min(len(array), IMPORTED_BLOCK),
        None if blind is None else frozenset(int(k) for k in blind),
        {"backbone": IMPORTED},
    )


def _check_names(features: Mapping[str, Any], n_folds: int, **others: Mapping[str, Any]) -> None:
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


def _by_patient(name: str, given: ByPatient) -> dict[str, NDArray[np.float32]]:
    """The arrays of an encoding by the patients' IDs as text, each (n_images, D) float32 of one width.

    Raises:
        CacheError: an array that is not of this shape, has another width than the first, or an ID that is there twice.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for key, array in given.items():
        patient = str(key)
        if patient in found:
            raise CacheError(f"features of {name} have patient {patient} twice.")
        found[patient] = _as_features(f"{name}, patient {patient},", array)
    widths = {array.shape[1]: patient for patient, array in reversed(found.items())}
    if len(widths) > 1:
        (first, one), (second, other) = list(widths.items())[-2:]
        raise CacheError(
            f"features of {name} have {second} columns for patient {other} and {first} for patient {one}; give all "
            "patients' features by one encoder."
        )
    return found


def _counts(bags: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> dict[str, int]:
    """Images per patient by the first encoding that has an array per patient; empty if none has."""
    return next(({patient: len(array) for patient, array in one.items()} for one in bags.values()), {})


def _of_all(
    name: str, given: Any, bags: Mapping[str, NDArray[np.float32]] | None, table: pd.DataFrame
) -> NDArray[np.float32]:
    """(n_images, D) float32 of all patients, in the table's order."""
    # Before anything is made of the counts: one that a slip made 10¹² would fill the memory. Python's own sum, since
    # NumPy's wraps.
    rows = sum(table["n_images"].tolist())
    if bags is None:
        found = _as_features(name, given)
        if len(found) != rows:
            raise CacheError(
                f"features of {name} have {len(found)} rows, and n_images of the table adds up to {rows}; give one "
                "row per image, patients in the table's order."
            )
        return found
    if missing := [patient for patient in table["id"] if patient not in bags]:
        raise CacheError(
            f"features of {name} lack patient {missing[0]} ({len(missing)} of {len(table)} patients); give an array "
            "for each, or leave the patients out."
        )
    if unknown := sorted(set(bags) - set(table["id"])):
        raise CacheError(
            f"features of {name} have patient {unknown[0]}, whom the table lacks ({len(unknown)} of {len(bags)} "
            "arrays); add the patients' rows, or leave the arrays out."
        )
    for patient, n in zip(table["id"], table["n_images"], strict=True):
        if len(bags[patient]) != n:
            raise CacheError(
                f"features of {name} have {len(bags[patient])} rows for patient {patient}, who has {n} images by "
                "n_images or another encoding; give one row per image."
            )
    return np.concatenate([bags[patient] for patient in table["id"]])


def _as_features(whose: str, array: ArrayLike) -> NDArray[np.float32]:
    try:
        plain = np.asarray(array)
        with np.errstate(over="ignore"):  # what float32 cannot hold is found as infinite, with its image
            found = np.empty((0, 0), np.float32) if np.iscomplexobj(plain) else plain.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise CacheError(f"features of {whose} are not an array of numbers ({error}).") from error
    if found.ndim != 2 or found.shape[1] == 0:
        raise CacheError(
            f"features of {whose} are {plain.dtype} of shape {plain.shape}; give (n_images, D) floats."
        )
    return found

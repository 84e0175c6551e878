"""Several patients explained by the same fitted heads.

Of several heads whose probabilities are averaged, the log-odds, their parts and the images' contributions are the means
of the heads' own, weighted as the probabilities are: sums stay sums, so that the parts still add up. The log-odds of
the mean probability are another number, which differs the more, the more the heads disagree.

Each head is asked a few large questions instead of many small ones: what a call costs beside its arithmetic would be
most of the time.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.reader import Cache
from ..cohort.values import column_of
from ..errors import InputError
from ..final.refit import FinalFit, Member, predict_final
from ..final.selected_model import FinalModel
from ..parallel import one_thread
from .images import ImageContributions, contribution_table, image_contributions
from .measurements import measurement_contributions, measurement_tables
from .parts import PatientParts, parts_of_patients
from .result import Explanation
from .values import seen_columns, value_contributions, value_table

__all__ = ["explained_rows", "fits_without", "rows_of"]

Indices = NDArray[np.int64]
Shares = list[tuple[ImageContributions, float]]


def rows_of(cache: Cache, patients: Sequence[str]) -> Indices:
    """(n,) rows of the patients with these IDs.

    Raises:
        InputError: the cache holds no such patient.
    """
    ids = cache.ids.astype(str).tolist()
    row = {one: k for k, one in reversed(list(enumerate(ids)))}
    for patient in patients:
        if patient not in row:
            some = ", ".join(ids[:3])
            raise InputError(f"{cache.path} holds no patient {patient!r}; IDs are such as {some}.")
    return np.array([row[patient] for patient in patients], dtype=np.int64)


def fits_without(cache: Cache, encoder_family: str, rows: Indices, fold: int | None) -> list[FinalFit]:
    """What the heads are fitted on; none of it knows the patients.

    Args:
        cache, encoder_family: of the study.
        rows: (n,) of patients of one fold, or of patients without a label.
        fold: of the first repeat; None: they have no label.

    Raises:
        LeakageError: no encoder is blind to them.
    """
    splits = (
        cache.final_splits(encoder_family, rows) if fold is None else [cache.split(encoder_family, {fold})]
    )
    return [FinalFit(cache.behind(split), split) for split in splits]


def explained_rows(
    cache: Cache,
    model: FinalModel,
    fits: Sequence[FinalFit],
    members: Sequence[Member],
    rows: Indices,
    fold: int | None,
) -> list[Explanation]:
    """Explain patients by heads that did not see them.

    Args:
        cache: of the patients.
        model: the selected one.
        fits: of `fits_without`.
        members: its heads, fitted on `fits`.
        rows: (n,) of the patients.
        fold: theirs; None: they have no label.
    """
    each = np.stack([predict_final(cache, fits, [replace(one, weight=1.0)], rows) for one in members], axis=1)
    probabilities = each @ [one.weight for one in members]
    with one_thread():
        parts = _parts(cache, fits, members, rows)
        shares = _contributions(cache, fits, members, rows)
        measured = _measurements(cache, fits, members, rows)
        values = _values(cache, model, fits, members, rows)
    n_trained_on, threshold = min(len(fit.train) for fit in fits), _threshold(model, fold)
    names, found = _names(cache, rows), []
    for k, row in enumerate(rows.tolist()):
        images, positions = contribution_table(names[k], shares[k])
        found.append(
            Explanation(
                str(cache.ids[row]), int(cache.labels[row]) if fold is not None else -1, fold, model.members,
                model.reason, len(fits), n_trained_on, float(probabilities[k]), tuple(each[k].tolist()), threshold,
                parts[k], Counter(one.method for one, _ in shares[k]),
                sum(one.weights is not None for one, _ in shares[k]), images, positions, measured[k], values[k],
            )
        )  # fmt: skip
    return found


def _heads(fits: Sequence[FinalFit], members: Sequence[Member]) -> Iterator[tuple[FinalFit, Any, float]]:
    """Each fitted head with what it was fitted on, and its share of the whole."""
    for number, fit in enumerate(fits):
        for member in members:
            yield fit, member.heads[number], member.weight / len(fits)


def _parts(
    cache: Cache, fits: Sequence[FinalFit], members: Sequence[Member], rows: Indices
) -> list[PatientParts]:
    total = np.zeros((len(rows), 4))
    for fit, head, share in _heads(fits, members):
        found = parts_of_patients(head, fit.split.bags, cache.clinical, rows, fit.train)
        total += share * np.array([[one.logit, one.base, one.image, one.clinical] for one in found])
    return [PatientParts(*one) for one in total.tolist()]


def _contributions(
    cache: Cache, fits: Sequence[FinalFit], members: Sequence[Member], rows: Indices
) -> list[Shares]:
    """Per patient, of each fitted head, and its share of the whole."""
    found: list[Shares] = [[] for _ in rows]
    for fit, head, share in _heads(fits, members):
        each = image_contributions(head, fit.split.bags.select(rows), cache.clinical.iloc[rows])
        for one, of_patient in zip(each, found, strict=True):
            of_patient.append((one, share))
    return found


def _measurements(
    cache: Cache, fits: Sequence[FinalFit], members: Sequence[Member], rows: Indices
) -> list[pd.DataFrame | None]:
    """See `Explanation.measurements`."""

    def contributions(fit: FinalFit, head: Any) -> list[dict[str, float]]:
        return measurement_contributions(head, fit.split, fit.encodings, cache.clinical, rows, fit.train)

    def tables(totals: list[Counter[str]], some: Indices, train: Indices) -> list[pd.DataFrame]:
        bags, encodings = fits[0].split.bags, fits[0].encodings
        return measurement_tables(totals, bags, encodings, some, train, cache.labels)

    return _summed(fits, members, rows, contributions, tables)


def _values(
    cache: Cache, model: FinalModel, fits: Sequence[FinalFit], members: Sequence[Member], rows: Indices
) -> list[pd.DataFrame | None]:
    """See `Explanation.values`."""
    seen = {column_of(value)[0] for trial, _ in model.members for value in trial.clinical_values}
    columns = seen_columns(cache.tables.declared, tuple(seen))

    def contributions(fit: FinalFit, head: Any) -> list[dict[str, float]]:
        return value_contributions(head, fit.split.bags, cache.clinical, rows, fit.train, columns)

    def tables(totals: list[Counter[str]], some: Indices, train: Indices) -> list[pd.DataFrame]:
        return [
            value_table(total, cache.clinical, cache.tables.declared, row, train, cache.labels)
            for total, row in zip(totals, some.tolist(), strict=True)
        ]

    return _summed(fits, members, rows, contributions, tables)


def _summed(
    fits: Sequence[FinalFit],
    members: Sequence[Member],
    rows: Indices,
    contributions: Callable[[FinalFit, Any], list[dict[str, float]]],
    tables: Callable[[list[Counter[str]], Indices, Indices], list[pd.DataFrame]],
) -> list[pd.DataFrame | None]:
    """Per patient, the table of the heads' mean contributions by name; None where no head has any.

    Args:
        fits, members, rows: as of `explained_rows`.
        contributions: of a fitted head, per patient.
        tables: of the means of each patient, the rows of the patients and of the training patients.
    """
    totals: list[Counter[str]] = [Counter() for _ in rows]
    for fit, head, share in _heads(fits, members):
        for total, one in zip(totals, contributions(fit, head), strict=True):
            for name, value in one.items():
                total[name] += share * value  # type: ignore[assignment]
    if not all(totals):  # the names are the same of each patient
        return [None for _ in rows]
    return list(tables(totals, rows, np.unique(np.concatenate([fit.train for fit in fits]))))


def _names(cache: Cache, rows: Indices) -> list[list[str]]:
    """Per patient, the names of the images; they are read once."""
    lengths = cache.patients["n_images"].to_numpy(np.int64)[rows]
    firsts = cache.tables.offsets[rows]
    where = [np.arange(first, first + n) for first, n in zip(firsts, lengths, strict=True)]
    names, _, _ = cache.tables.images_at(np.concatenate(where))
    stops = np.cumsum(lengths)
    return [names[int(stop - n) : int(stop)] for stop, n in zip(stops, lengths, strict=True)]


def _threshold(model: FinalModel, fold: int | None) -> float:
    """For a labelled patient that of the fold's heads, as out-of-fold decisions take it; else that of a submission."""
    if fold is None:
        return model.threshold
    folds = np.unique(model.study.best.folds[:, 0])
    return float(model.chosen.fold_thresholds[0, int(np.searchsorted(folds, fold))])

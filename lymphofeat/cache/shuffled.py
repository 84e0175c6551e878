"""A cache whose labels mean nothing: the control experiment that every pipeline must score by chance."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..estimates.persons import Groups, repeating
from .reader import Cache
from .tables import make_folds

__all__ = ["shuffled"]


def shuffled(cache: Cache, seed: int) -> Cache:
    """The cache in memory with its labels dealt out anew among the labelled patients, and folds made for them.

    The records of one person are dealt labels that stood together, since labels that are alike within persons, as the
    true ones are, are easier to find again. As for the true labels, the folds are stratified by label and keep a
    person's records together; folds that are not stratified by the shuffled labels would push scores below chance. Only
    encodings that saw no labels are kept: those of encoders that were trained here are of the true ones.

    Args:
        cache: a cache with labelled patients.
        seed: ≥ 0, of the dealing and, together with the cache's own, of the folds.

    Raises:
        InputError: no encoding is left, or the shuffled labels cannot be divided into as many folds.
    """
    blind = {name: encoding for name, encoding in cache.encodings.items() if encoding.blind_to is None}
    if not blind:
        raise InputError(
            f"Every encoding of {cache.path} was made by encoders that have seen the true labels, so shuffled ones "
            "would prove nothing; add one that has not with `lymphofeat extract --frozen`."
        )
    tables = cache.tables
    rows = np.flatnonzero((tables.patients["split"] == "train").to_numpy() & (cache.labels >= 0))
    labels = np.full(len(cache.labels), -1, dtype=np.int8)
    labels[rows] = _dealt(cache.labels[rows], repeating(cache.groups[rows]), seed)
    patients = tables.patients.assign(label=labels)
    n_folds, n_repeats = int(cache.folds[rows, 0].max()) + 1, cache.folds.shape[1]
    fold_seed = int(np.random.SeedSequence((cache.fold_seed, seed)).generate_state(1)[0])
    folds = make_folds(patients, n_folds, n_repeats, fold_seed)
    tables = replace(tables, patients=patients, folds=folds, fold_seed=fold_seed)
    return replace(cache, tables=tables, encodings=blind)


def _dealt(labels: NDArray[np.int8], groups: Groups, seed: int) -> NDArray[np.int8]:
    """The labels in another order; by persons, if some have several: each takes labels of other persons in a row."""
    rng = np.random.default_rng([seed, 0])
    if groups is None:
        return rng.permutation(labels)
    takes, gives = (np.argsort(rng.permutation(groups.max() + 1)[groups], kind="stable") for _ in range(2))
    dealt = np.empty_like(labels)
    dealt[takes] = labels[gives]
    return dealt

"""What is scored by nested cross-validation: a pipeline, the runs of it, and where their searches are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..cache.reader import Cache
from ..errors import InputError
from ..estimates.scores import ClassWeights
from ..scoring.plan import labels_of
from ..studies.evaluate import StudySpec
from ..studies.space import Space
from ..studies.study import Tuning

__all__ = ["Pipeline", "Run", "check_label_free", "folds_of", "runs_of", "sees_labels"]


@dataclass(frozen=True)
class Run:
    """One nested cross-validation of a pipeline.

    Attributes:
        number: 0, 1, …
        repeat: of the folds, a column of `Cache.folds`.
        seed: of its searches.
    """

    number: int
    repeat: int
    seed: int


@dataclass(frozen=True)
class Pipeline:
    """Everything between a cohort's features and a fitted head.

    Attributes:
        name: what reports call it.
        cache: the cache's file.
        encoder_family: the encodings.
        space: the heads and inputs that are searched.
        trials: of each search.
        metric, class_weights: what a search maximises.
        shuffle: seed by which the labels are shuffled before everything; None: they are as they are.
        order: as of `StudySpec`.
    """

    name: str
    cache: Path
    encoder_family: str
    space: Space = field(repr=False)
    trials: int
    metric: str
    class_weights: ClassWeights = None
    shuffle: int | None = None
    order: tuple[str, ...] | None = field(default=None, repr=False)

    def search(self, folder: Path, run: Run, fold: int) -> Tuning:
        """The search inside one outer fold, kept below `folder`."""
        name = f"repeat{run.repeat}-seed{run.seed}-fold{fold}.db"
        spec = self._spec((run.repeat, fold))
        return Tuning(self.folder(folder) / name, spec, self.space, run.seed, evaluation=folder)

    def selected(self, folder: Path, seed: int) -> Tuning:
        """The search on all folds of the first repeat, whose best score was selected."""
        path = self.folder(folder) / f"selected-seed{seed}.db"
        return Tuning(path, self._spec(None), self.space, seed, evaluation=folder)

    def folder(self, folder: Path) -> Path:
        """Where the pipeline's searches are kept, below `folder`."""
        inputs = "+".join(self.space.inputs)
        return folder / (
            f"{self.encoder_family}-{inputs}" + ("" if self.shuffle is None else f"-shuffled{self.shuffle}")
        )

    def view(self, cache: Cache) -> Cache:
        """The cache as the pipeline sees it."""
        return self._spec(None).view(cache)

    def check(self, cache: Cache, runs: Sequence[Run]) -> None:
        """Make sure that every search of `runs` can be made, before any is.

        Raises:
            InputError: the shuffled labels or the folds cannot be searched on, or no encodings for shuffled labels.
            LeakageError: an outer fold and one of the others have no encoding that is blind to both.
        """
        if self.shuffle is not None:
            check_label_free(cache, self.encoder_family)
        view = self.view(cache)
        for repeat in {run.repeat for run in runs}:
            for fold in folds_of(view, repeat):
                self._spec((repeat, fold)).plan(view)

    def _spec(self, without: tuple[int, int] | None) -> StudySpec:
        return StudySpec(
            self.cache,
            self.encoder_family,
            1,
            self.metric,
            self.class_weights,
            without=without,
            shuffle=self.shuffle,
            order=self.order,
        )


def folds_of(cache: Cache, repeat: int) -> list[int]:
    """The folds of the labelled patients in a repeat.

    Raises:
        InputError: there is no such repeat.
    """
    n_repeats = cache.folds.shape[1]
    if not 0 <= repeat < n_repeats:
        raise InputError(
            f"{cache.path} holds {n_repeats} repeats of the folds, so not more than {n_repeats} --repeats."
        )
    return [int(k) for k in np.unique(cache.folds[labels_of(cache) >= 0, repeat])]


def sees_labels(cache: Cache, encoder_family: str) -> bool:
    """Whether the family's encoders were trained on the cohort's labels."""
    return any(member.blind_to is not None for member in cache.members(encoder_family))


def check_label_free(cache: Cache, encoder_family: str) -> None:
    """Refuse to shuffle labels below encoders that have seen the true ones.

    Raises:
        InputError: the encoders of the encoder family were trained on labels; names encoder families whose encoders
        were not.
    """
    if not sees_labels(cache, encoder_family):
        return
    free = [name for name in cache.encoder_families if not sees_labels(cache, name)]
    way = (
        f"give --encoding {' or '.join(free)}, which saw none"
        if free
        else "add one that saw none with `lymphofeat extract --frozen`"
    )
    raise InputError(
        f"The encoders of {encoder_family} were trained on the true labels, so a score with shuffled ones would prove "
        f"nothing; {way}."
    )


def runs_of(cache: Cache, encoder_family: str, repeats: int, seeds: int, seed: int) -> tuple[list[Run], str]:
    """The runs, repeats × seeds, and what the user should know of them, "" if nothing.

    Encoders that are trained per fold exist for the first repeat only: runs then differ by the seed alone.

    Raises:
        InputError: numbers outside their range.
    """
    if repeats < 1 or seeds < 1 or seed < 0:
        raise InputError(
            f"There must be at least 1 repeat, 1 seed and a seed ≥ 0, not {repeats}, {seeds} and {seed}."
        )
    if repeats > 1 and sees_labels(cache, encoder_family):
        note = (
            f"The encoders of {encoder_family} were trained on the first repeat of folds only, so the "
            f"{repeats * seeds} runs differ by the seed of the search, not by the folds; --seeds does the same."
        )
        repeats, seeds = 1, repeats * seeds
    else:
        note = ""
    folds_of(cache, repeats - 1)
    pairs = [(repeat, seed + s) for repeat in range(repeats) for s in range(seeds)]
    return [Run(number, *pair) for number, pair in enumerate(pairs)], note

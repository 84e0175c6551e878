"""Who may be learnt from and who predicted under which encoding: every fit on a cache gets its patients here."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from ..errors import InputError, LeakageError
from .bags import JoinedBags
from .contents import CacheContents, Indices
from .split import JOINT, Split

__all__ = ["SplittableCache"]


class SplittableCache(CacheContents):
    """A cache that divides its patients into those to learn from and those to predict, as their encoders allow."""

    def split(
        self,
        encoder_family: str | None,
        held_out: Collection[int],
        *,
        repeat: int = 0,
        without: Collection[int] = (),
    ) -> Split:
        """Learn from the labelled patients outside some folds and predict those inside.

        Every model that is fitted or scored on a cache gets its patients and its encoding here, or from `splits`,
        `final_splits` and `predicting`, which rest on this.

        Args:
            encoder_family: an encoder family; its encoding that is blind to all folds named is chosen. Several with
                `JOINT` between their names: their encodings side by side, each blind to all folds named. None: no
                images, all bags are of features of width 0.
            held_out: the folds that are predicted.
            repeat: the column of `folds` that they are of. Encoders are trained on column 0, so for any other one
                only encodings without labels qualify.
            without: folds that are neither learnt from nor predicted, and that the encoder must not have seen either
                (the outer fold of nested cross-validation).

        Returns:
            A split whose `train` and `test` are rows of labelled patients, ascending.

        Raises:
            InputError: no labelled patient is in a fold of `held_out`.
            CacheError: no such encoder family.
            LeakageError: every encoding of the encoder family saw a label of one of the folds.
        """
        unseen = {*held_out, *without}
        names = [] if encoder_family is None else encoder_family.split(JOINT)
        blind = {name: self.blind_encoding(name, unseen, repeat=repeat) for name in names}
        fold_of = self.folds[self.labelled, repeat]
        absent = set(held_out) - {int(k) for k in fold_of}
        if absent or not held_out:
            raise InputError(
                f"{self.path} has no fold {min(absent, default='')} of repeat {repeat} to hold out."
            )
        train = self.labelled[~np.isin(fold_of, list(unseen))]
        test = self.labelled[np.isin(fold_of, list(held_out))]
        if not blind:
            return Split(self._bags(np.empty((self.tables.n_images, 0), dtype=np.float32)), "", train, test)
        each = {name: self._bags(encoding.features) for name, encoding in blind.items()}
        split = Split(
            JoinedBags(each) if len(each) > 1 else each[names[0]],
            JOINT.join(encoding.digest for encoding in blind.values()),
            train,
            train[:0],
            JOINT.join(encoding.name for encoding in blind.values()),
        )
        return self.predicting(split, test)

    def splits(self, encoder_family: str | None, *, repeat: int = 0) -> dict[int, Split]:
        """Cross-validation: per fold of the labelled patients, ascending, `split` of this fold, with its raises."""
        folds = np.unique(self.folds[self.labelled, repeat])
        if not len(folds):
            raise InputError(f"{self.path} holds no labelled patient to train on.")
        return {int(k): self.split(encoder_family, {int(k)}, repeat=repeat) for k in folds}

    def final_splits(self, encoder_family: str, new: Indices | None = None) -> list[Split]:
        """The fits of a selected model; their probabilities are averaged.

        Under encoders that saw no labels, one fit on all labelled patients. Under encoders trained per fold, one fit
        for each encoder, on the encoder's training folds as in cross-validation.

        Args:
            encoder_family: an encoder family.
            new: (n,) rows of the patients to predict, who must be new to all of it: the test part, or patients without
                a label. None: nobody; `predicting` names them later.

        Raises:
            CacheError: no such encoder family.
            LeakageError: a fold has no encoding that is blind to it, or `new` names a patient that an encoder or a fit
                learns from.
        """
        each = list(self.splits(encoder_family).values())
        if all(encoding.blind_to is None for split in each for encoding in self.behind(split)):
            each = [replace(each[0], train=self.labelled)]
        nobody = np.empty(0, dtype=np.int64)
        return [
            self.predicting(replace(split, test=nobody), nobody if new is None else new) for split in each
        ]

    def predicting(self, split: Split, rows: Indices) -> Split:
        """The split with the patients at `rows` to predict in place of its `test`.

        Args:
            split: of this cache.
            rows: (n,) rows of patients, labelled or not.

        Raises:
            LeakageError: the encoder saw the label of one of them, or the fit learns from it.
        """
        known = np.isin(rows, split.train)
        for encoding in self.behind(split):
            if encoding.blind_to is not None:
                held_out = np.isin(self.folds[rows, 0], list(encoding.blind_to))
                known |= np.isin(rows, self.labelled) & ~held_out
        if known.any():
            patient = self.tables.patients["id"].iloc[rows[int(np.argmax(known))]]
            encoder = f" or its encoder {split.encoding}" if split.encoding else ""
            raise LeakageError(
                f"the model{encoder} learns from patient {patient} of {self.path}: a prediction there would measure "
                "memorisation; predict patients of a held-out fold or of the test part."
            )
        return replace(split, test=rows)

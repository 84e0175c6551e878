"""A head as a scikit-learn classifier: for `cross_val_score`, `GridSearchCV` and `Pipeline`, on a cache's folds.

scikit-learn hands an estimator rows of X and nothing else, and a bag is no row. So X says who is meant, and what is
known of them beside the images; the bags stay in the cache. That keeps the law of the package, too: the estimator sees
at every call whom it may not have learnt from, and takes the encoding that is blind to them.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from ..cache.reader import Cache, open_cache
from ..cache.split import Split
from ..cohort.clinical import CLINICAL_COLUMNS
from ..errors import InputError, LeakageError
from ..heads.base import Head
from ..heads.checks import check_both_classes
from ..parallel import one_thread
from ..storage.paths import AnyPath
from .score import weighs_equally
from .threshold import one_standard_error_threshold, prevalence_threshold

__all__ = ["HeadClassifier"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class HeadClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A head on the bags of a cache, as scikit-learn's estimators are used.

    X is a DataFrame with a row per patient, whose index holds IDs of the cache's patients: `cache.X_y()` gives it. Its
    columns age, sex, lymphocyte_count and the declared ones are the clinical values that the head is given, so that a
    step of a `Pipeline` may change them; a column that X lacks is taken from the cache. Other columns are refused.

    With the folds of `cache.cv()`, scores are those of `tune`: the same fits, and decisions under thresholds that are
    chosen inside the training folds.

    Args:
        head: unfitted, such as `summary.best.head()`; its parameters are `head__NAME`.
        cache: of `open_cache`, or its path.
        encoding: an encoder family; the cache's default one if None.
        threshold: malignant at this probability or above; "inner": chosen on out-of-fold predictions of the training
            patients, over their folds in the cache, as `tune` does it (a fit a fold more).
        repeat: the cache's repeat of folds behind "inner"; as of `cache.cv`.

    Attributes:
        head_: the fitted head.
        threshold_: malignant at this probability or above.
        encoding_: name of the encoding that it was fitted on.
        classes_: (2,) the labels 0 and 1.

    Raises:
        LeakageError: when it is asked for patients that it, or the encoder, learnt from.

    Example:
        >>> from sklearn.model_selection import cross_val_score
        >>> cache, head = open_cache("cache/features.h5"), load_study("studies/study.db").best.head()
        >>> X, y = cache.X_y()
        >>> len(cross_val_score(HeadClassifier(head, cache), X, y, cv=cache.cv()))
        4
    """

    def __init__(
        self,
        head: Head,
        cache: Cache | AnyPath,
        *,
        encoding: str | None = None,
        threshold: float | str = "inner",
        repeat: int = 0,
    ) -> None:
        self.head = head
        self.cache = cache
        self.encoding = encoding
        self.threshold = threshold
        self.repeat = repeat

    def __sklearn_clone__(self) -> "HeadClassifier":
        # scikit-learn would copy the cache, features and all.
        given = self.get_params(deep=False)
        return type(self)(**{**given, "head": clone(self.head)})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.two_d_array = False  # rows are patients of a cache, columns may be missing
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.no_validation = True  # scikit-learn's own, of arrays of numbers
        return tags

    def fit(self, X: pd.DataFrame, y: ArrayLike) -> Self:
        """Learn from n patients.

        Args:
            X: see the class.
            y: (n,) labels 0 and 1.

        Raises:
            InputError: X names somebody whom the cache does not hold, or labels that a head cannot learn from.
            LeakageError: no encoding is blind to the folds that X leaves out, or X holds a patient of the test part.
        """
        self.cache_ = self.cache if isinstance(self.cache, Cache) else open_cache(self.cache)
        rows, clinical = self._patients(X)
        labels = np.asarray(y)
        if labels.shape != (len(rows),) or not np.isin(labels, (0, 1)).all():
            raise InputError("Labels are 0 (reactive) and 1 (malignant), one for each patient.")
        check_both_classes(labels)
        labels = labels.astype(np.int8)
        split = self._split(rows)
        with one_thread():
            self.head_ = clone(self.head).fit(split.bags.select(rows), clinical, labels)
            self.threshold_ = self._threshold(rows, clinical, labels)
        self.encoding_ = split.encoding
        self.split_ = split
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, X: pd.DataFrame) -> Floats:
        """(n, 2) float64: probability of reactive, of malignant.

        Raises:
            InputError: X names somebody whom the cache does not hold.
            LeakageError: it, or the encoder, learnt from one of them.
        """
        check_is_fitted(self, "head_")
        rows, clinical = self._patients(X)
        bags = self.cache_.predicting(self.split_, rows).bags
        with one_thread():
            return np.asarray(self.head_.predict_proba(bags.select(rows), clinical), dtype=np.float64)

    def predict(self, X: pd.DataFrame) -> NDArray[np.int64]:
        """(n,) int64 0 reactive, 1 malignant, under `threshold_`; as `predict_proba`."""
        return (self.predict_proba(X)[:, 1] >= self.threshold_).astype(np.int64)

    def _patients(self, X: pd.DataFrame) -> tuple[Indices, pd.DataFrame]:
        """Rows of the cache, and clinical values as heads are given them."""
        if not isinstance(X, pd.DataFrame):
            raise InputError(
                f"X is a DataFrame whose index holds patients' IDs, as cache.X_y() gives it, not {type(X).__name__}."
            )
        known = (*CLINICAL_COLUMNS, *self.cache_.tables.declared)
        if unknown := [str(name) for name in X.columns if name not in known]:
            raise InputError(f"X has the column {unknown[0]!r}; a head is given {', '.join(known)} only.")
        rows = self.cache_.ids.get_indexer(X.index.astype(str)).astype(np.int64)
        if (rows < 0).any():
            absent = X.index[int(np.argmax(rows < 0))]
            raise InputError(
                f"{self.cache_.path} holds no patient {absent!r}; the index of X holds patients' IDs."
            )
        own = self.cache_.clinical.iloc[rows]
        return rows, own.assign(**{name: X[name].to_numpy() for name in X.columns})

    @property
    def _encoder_family(self) -> str:
        return self.cache_.default_encoder_family if self.encoding is None else self.encoding

    def _held_out(self, rows: Indices) -> set[int]:
        """The folds that have no patient among the rows."""
        folds = self.cache_.folds[:, self.repeat]
        return {int(k) for k in folds[self.cache_.labelled]} - {int(k) for k in folds[rows]}

    def _split(self, rows: Indices) -> Split:
        """Learn from the rows, under an encoding that is blind to the folds that have none of them.

        Raises:
            InputError: they are of all folds, and encoders were trained per fold.
            LeakageError: no encoding is blind to the folds, or a row is of no labelled patient.
        """
        held_out = self._held_out(rows)
        if held_out:
            return self.cache_.split(self._encoder_family, held_out, repeat=self.repeat).learning_from(rows)
        splits = self.cache_.final_splits(self._encoder_family)
        if len(splits) > 1:
            raise InputError(
                f"The encoders of {self._encoder_family} were trained per fold, so one head cannot learn from patients "
                "of all folds; leave a fold out (with GridSearchCV, refit=False), or use `submit` or `export`."
            )
        return splits[0].learning_from(rows)

    def _threshold(self, rows: Indices, clinical: pd.DataFrame, y: NDArray[np.int8]) -> float:
        if not isinstance(self.threshold, str):
            return float(self.threshold)
        if self.threshold != "inner":
            raise InputError(f"threshold is a number or 'inner', not {self.threshold!r}.")
        prior = prevalence_threshold(y, balanced=weighs_equally(self.head))
        inner = self._inner(rows, clinical, y)
        return prior if inner is None else one_standard_error_threshold(y, inner, prior=prior)

    def _inner(self, rows: Indices, clinical: pd.DataFrame, y: NDArray[np.int8]) -> Floats | None:
        """(n,) out-of-fold probabilities of the training patients; None where a class or an encoding is lacking."""
        fold_of, without = self.cache_.folds[rows, self.repeat], self._held_out(rows)
        inner = np.full(len(rows), np.nan)
        for fold in np.unique(fold_of).tolist():
            kept, mine = fold_of != fold, fold_of == fold
            if len(np.unique(y[kept])) < 2:
                return None
            try:
                split = self.cache_.split(self._encoder_family, {fold}, repeat=self.repeat, without=without)
            except LeakageError:  # fine-tuned without encoders blind to two folds
                return None
            learnt, predicted = split.learning_from(rows[kept]), rows[mine]
            head = clone(self.head).fit(learnt.bags.select(learnt.train), clinical[kept], y[kept])
            inner[mine] = head.predict_proba(split.bags.select(predicted), clinical[mine])[:, 1]
        return inner

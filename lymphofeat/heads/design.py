"""From bags and clinical rows to one table of numbers, learnt on the training patients: what pooled heads classify.

Blocks stand side by side: pooled features on their principal axes, products of the widest axes with age and count, the
size of the bag if asked for, clinical values last. Side by side is early fusion of image and clinical values. Of images
under several encodings (`JoinedBags`), each has principal axes of its own, and a weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from ..cache.bags import Bags, JoinedBags
from ..cache.pooling import POOLINGS, pool
from .axes import JoinedAxes, PrincipalAxes, check_finite, side_by_side
from .base import FitCache, Split
from .checks import Constrained, Legal, is_whole
from .clinical import SPLINES, ClinicalFeatures, clinical_constraints
from .contributions import Contributions
from .fitted_pooling import FITTED_POOLINGS

__all__ = ["ALL_POOLINGS", "CROSSED_AXES", "CROSSED_VALUES", "INPUTS", "Design"]

Floats = NDArray[np.float64]

INPUTS = ("image", "clinical", "both")
ALL_POOLINGS = tuple(sorted({*POOLINGS, *FITTED_POOLINGS}))
CROSSED_AXES = 16
CROSSED_VALUES = 2  # age and log count, the first clinical columns


class Design(Constrained, BaseEstimator):  # type: ignore[misc]
    """What the table holds, and how it is learnt.

    Args:
        pooling: one of `ALL_POOLINGS`; not looked at for inputs="clinical".
        inputs: "image", "clinical" or "both" (their columns side by side: early fusion).
        scale: whether pooled features are brought to unit variance before the axes are found.
        pca: the number of principal axes kept (of each encoding), at most n_train − 1 and the number of features; None:
            all.
        interaction: also products of the clinical values.
        spline: None, or "age" or "log_count": also splines of it.
        cross: also products of the 16 widest axes with age and log count; for inputs="both".
        bag_size: also the logarithm of the number of images. A shortcut: it follows the lymphocyte count and the
            laboratory's habits, not the cells; reports name it.
        clinical_values: declared clinical columns beside age, sex and count, as `Cache.clinical_values` names them.
        missing_indicator: also whether each clinical value is missing.
        rotate: turn the features onto their principal axes even if all are kept; without, and without `pca`, they
            stay as they are.

    Attributes:
        coordinates_: of the instances, for a fitted pooling; else None. Of several encodings, a tuple.
        axes_: `PrincipalAxes` of the pooled features, `JoinedAxes` of several encodings; None for inputs="clinical".
        clinical_: the pipeline of the clinical values; None for inputs="image".
        size_: the scaler of the logarithm of the bag size; None unless it is asked for.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    # Of designs stored before there were these arguments: no declared columns, and always the indicators.
    clinical_values: Sequence[str] = ()
    missing_indicator: bool = True
    _clinical_names: tuple[str, ...] | None = None

    def __init__(
        self,
        *,
        pooling: str = "mean",
        inputs: str = "both",
        scale: bool = True,
        pca: int | None = None,
        interaction: bool = False,
        spline: str | None = None,
        cross: bool = False,
        bag_size: bool = False,
        rotate: bool = True,
        clinical_values: Sequence[str] = (),
        missing_indicator: bool = False,
    ) -> None:
        self.pooling = pooling
        self.inputs = inputs
        self.scale = scale
        self.pca = pca
        self.interaction = interaction
        self.spline = spline
        self.cross = cross
        self.bag_size = bag_size
        self.rotate = rotate
        self.clinical_values = clinical_values
        self.missing_indicator = missing_indicator

    @property
    def clinical_names(self) -> tuple[str, ...]:
        """Names of the table's last columns: age, log_count, male, …; none without clinical values.

        With declared columns they are known of a design that `named_for` gives.
        """
        if self._clinical_names is not None:
            return self._clinical_names
        return () if self.inputs == "image" else tuple(self._clinical_features().get_feature_names_out())

    def named_for(self, clinical: pd.DataFrame) -> "Design":
        """The design as classifiers are given it: with the names of the columns that training patients give."""
        if self.inputs == "image" or not self.clinical_values:
            return self
        named: Design = clone(self)
        named._clinical_names = tuple(self._clinical_features().fit(clinical).get_feature_names_out())
        return named

    def fit(self, bags: Bags, clinical: pd.DataFrame) -> Self:
        """Learn from the training patients.

        Raises:
            InputError: an empty bag, a feature that is not finite, or a clinical column that is not there.
        """
        self.coordinates_ = self.axes_ = None
        if self.inputs != "clinical":
            everyone = Split(bags, "", np.arange(len(bags)), np.empty(0, dtype=np.int64))
            self.coordinates_ = self.coordinates([everyone], FitCache())[0]
            found = self._pooled(bags)
            each = [self._axes(pooled) for pooled in found]
            self.axes_ = self._joined(bags, each, found) if isinstance(bags, JoinedBags) else each[0]
        self.clinical_ = None if self.inputs == "image" else self._clinical_pipeline().fit(clinical)
        self.size_ = StandardScaler().fit(_log_size(bags)) if self.bag_size else None
        return self

    def transform(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, p) float64; each row from one patient alone."""
        check_is_fitted(self, "axes_")
        image = values = size = None
        if self.axes_ is not None:
            image = self.axes_.transform(np.hstack(self._pooled(bags)))
        if self.clinical_ is not None:
            values = self.clinical_.transform(clinical)
        if self.size_ is not None:
            size = self.size_.transform(_log_size(bags))
        return self._table(image, values, size, None if isinstance(bags, JoinedBags) else self.pca)

    def coordinates(self, splits: Sequence[Split], fit_cache: FitCache) -> Sequence[Any]:
        """Per split, the coordinates of the instances that a fitted pooling needs, or None."""
        if self.inputs == "clinical" or self.pooling not in FITTED_POOLINGS:
            return [None] * len(splits)
        from .neural.instances import coordinates_of_splits

        axes = FITTED_POOLINGS[self.pooling].axes
        parts = [split.parts for split in splits]
        # Encoding by encoding: what the splits of one share is summed once.
        found = [
            coordinates_of_splits(of_encoding, axes, fit_cache) for of_encoding in zip(*parts, strict=True)
        ]
        each = list(zip(*found, strict=True))
        return [one[0] if len(one) == 1 else one for one in each]

    def of_split(self, split: Split, coordinates: Any, clinical: pd.DataFrame, fit_cache: FitCache) -> Floats:
        """The table of all patients as `fit` on the training patients gives it; parts are kept in `fit_cache`.

        Args:
            coordinates: of the split, see `coordinates`.
        """
        trained_on = split.train.tobytes()

        def pooled(part: Split, coordinates: Any) -> Floats:
            def plainly(pooling: str) -> Floats:
                key = ("pooled", part.features_digest, pooling)
                return fit_cache.get(key, lambda: pool(part.bags, pooling))

            def fitted() -> Floats:
                pooling = FITTED_POOLINGS[self.pooling]
                prepended = plainly(pooling.prepended) if pooling.prepended else None
                return pooling.pool(coordinates, part.bags, prepended)

            if coordinates is None:
                return plainly(self.pooling)
            return fit_cache.get(("pooled", part.features_digest, self.pooling, trained_on), fitted)

        def on_axes(part: Split, coordinates: Any) -> Floats:
            def image() -> Floats:
                found = pooled(part, coordinates)
                return np.asarray(self._axes(found[split.train]).transform(found))

            rotated = self.rotate or self.pca is not None
            scaled = rotated and ("scale", self.scale)
            return fit_cache.get(("axes", part.features_digest, self.pooling, scaled, trained_on), image)

        def values() -> Floats:
            return np.asarray(self._clinical_pipeline().fit(clinical.iloc[split.train]).transform(clinical))

        image_block = clinical_block = size_block = None
        if self.inputs != "clinical":
            each = [on_axes(*one) for one in zip(split.parts, _each(coordinates, split.bags), strict=True)]
            image_block = self._side_by_side(split.bags, each)
        if self.inputs != "image":
            clinical_block = fit_cache.get(
                (
                    "clinical",
                    self.interaction,
                    self.spline,
                    tuple(self.clinical_values),
                    self.missing_indicator,
                    trained_on,
                ),
                values,
            )
        if self.bag_size:
            size = _log_size(split.bags)
            size_block = StandardScaler().fit(size[split.train]).transform(size)
        kept = None if isinstance(split.bags, JoinedBags) else self.pca
        return self._table(image_block, clinical_block, size_block, kept)

    def contributions(
        self, bags: Bags, clinical: pd.DataFrame, weights: Floats, intercept: float
    ) -> Contributions | None:
        """The parts of table @ weights + intercept, which are the log-odds of a linear classifier.

        With mean pooling, centring, axes A and weights w of the axes, (xⱼ − μ) A w / n is what image j adds, against
        the mean bag μ of the training patients. Products of axes with age and count are linear in the images too, at
        the patient's own age and count, and belong to the images here.

        Returns:
            None where pooling is no mean of the images' own axes.
        """
        rotated = isinstance(self.axes_, PrincipalAxes) or (
            isinstance(self.axes_, JoinedAxes)
            and all(isinstance(axes, PrincipalAxes) for axes in self.axes_.each)
        )
        averaged = rotated and self.pooling == "mean"
        if not (self.axes_ is None or averaged):
            return None
        values = np.empty((len(bags), 0)) if self.clinical_ is None else self.clinical_.transform(clinical)
        of_image, of_product, of_size, of_clinical = self._blocks(weights, values.shape[1])
        images = [np.zeros(n) for n in bags.lengths.tolist()]
        if self.axes_ is not None:
            for i, bag in enumerate(bags):
                own = of_image.copy()
                own[: len(of_product)] += of_product @ values[i, : of_product.shape[1]]
                images[i] = self.axes_.transform(bag.astype(np.float64)) @ own / len(bag)
        size = np.zeros(len(bags))
        if self.size_ is not None:
            size = self.size_.transform(_log_size(bags))[:, 0] * of_size[0]
        return Contributions("exact", images, values @ of_clinical, size, intercept)

    def _blocks(self, w: Floats, n_clinical: int) -> tuple[Floats, Floats, Floats, Floats]:
        """The weights of all axes (0 of those not kept), of products (axes × values), of the size, of the values."""
        first, of_image, of_product = 0, np.zeros(0), np.zeros((0, 0))
        if isinstance(self.axes_, PrincipalAxes | JoinedAxes):
            n_axes = first = self.axes_.n_axes
            if isinstance(self.axes_, PrincipalAxes) and self.pca is not None:
                first = min(self.pca, n_axes)
            of_image = np.zeros(n_axes)
            of_image[:first] = w[:first]
            if self.cross and n_clinical:
                crossed = min(CROSSED_AXES, n_axes)
                of_product = w[first : first + crossed * CROSSED_VALUES].reshape(crossed, CROSSED_VALUES)
                first += of_product.size
        return of_image, of_product, w[first : first + (self.size_ is not None)], w[len(w) - n_clinical :]

    def _table(
        self, image: Floats | None, clinical: Floats | None, size: Floats | None, kept: int | None
    ) -> Floats:
        """The blocks side by side; those that are not asked for are None. Of `image`, the first `kept` columns."""
        blocks = [] if image is None else [image[:, :kept]]
        if self.cross and image is not None and clinical is not None:
            products = image[:, :CROSSED_AXES, None] * clinical[:, None, :CROSSED_VALUES]
            blocks.append(products.reshape(len(image), -1))
        blocks += [block for block in (size, clinical) if block is not None]
        return np.hstack(blocks)

    def _pooled(self, bags: Bags) -> list[Floats]:
        """Per encoding, (n, P) pooled features."""
        parts = bags.parts.values() if isinstance(bags, JoinedBags) else [bags]
        return [
            pool(part, self.pooling)
            if coordinates is None
            else FITTED_POOLINGS[self.pooling].pool(coordinates, part)
            for part, coordinates in zip(parts, _each(self.coordinates_, bags), strict=True)
        ]

    def _axes(self, pooled: Floats) -> "PrincipalAxes | _AsTheyAre":
        if self.rotate or self.pca is not None:
            return PrincipalAxes.fit(pooled, scale=self.scale)
        return _AsTheyAre.fit(pooled)

    def _joined(self, bags: JoinedBags, each: Sequence[Any], pooled: Sequence[Floats]) -> JoinedAxes:
        widths = tuple(one.shape[1] for one in pooled)
        n_axes = [
            axes.n_axes if isinstance(axes, PrincipalAxes) else n
            for axes, n in zip(each, widths, strict=True)
        ]
        return JoinedAxes(tuple(each), widths, self._kept(n_axes), tuple(bags.weights.values()))

    def _side_by_side(self, bags: Bags, each: Sequence[Floats]) -> Floats:
        if not isinstance(bags, JoinedBags):
            return each[0]
        return side_by_side(each, self._kept([one.shape[1] for one in each]), tuple(bags.weights.values()))

    def _kept(self, n_axes: Sequence[int]) -> tuple[int, ...]:
        return tuple(n if self.pca is None else min(self.pca, n) for n in n_axes)

    def _parameter_constraints(self) -> Legal:
        flags = {
            name: (isinstance(getattr(self, name), bool), "True or False")
            for name in ("scale", "interaction", "cross", "bag_size", "rotate")
        }
        return (
            flags
            | clinical_constraints(self)
            | {
                "pooling": (self.pooling in ALL_POOLINGS, f"one of {', '.join(ALL_POOLINGS)}"),
                "inputs": (self.inputs in INPUTS, f"one of {', '.join(INPUTS)}"),
                "pca": (self.pca is None or is_whole(self.pca), "None or a whole number, 1 or more"),
                "spline": (self.spline in SPLINES, "None, 'age' or 'log_count'"),
            }
        )

    def _clinical_features(self) -> ClinicalFeatures:
        return ClinicalFeatures(
            interaction=self.interaction,
            spline=self.spline,
            clinical_values=self.clinical_values,
            missing_indicator=self.missing_indicator,
        )

    def _clinical_pipeline(self) -> Any:
        return make_pipeline(self._clinical_features(), StandardScaler())


@dataclass(frozen=True)
class _AsTheyAre:
    """Pooled features without any change."""

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    @classmethod
    def fit(cls, pooled: Floats) -> "_AsTheyAre":
        check_finite(pooled)
        return cls()

    def transform(self, pooled: Floats) -> Floats:
        check_finite(pooled)
        return pooled


def _each(coordinates: Any, bags: Bags) -> Sequence[Any]:
    """Per encoding of the bags, the coordinates of its instances, or None."""
    if not isinstance(bags, JoinedBags):
        return [coordinates]
    return [None] * len(bags.parts) if coordinates is None else list(coordinates)


def _log_size(bags: Bags) -> Floats:
    return np.log(bags.lengths.astype(np.float64))[:, None]

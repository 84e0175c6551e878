"""From bags and clinical rows to one table of numbers, learnt on the training patients: what pooled heads classify.

Blocks stand side by side: pooled features on their principal axes, products of the widest axes with age and count, the
size of the bag if asked for, clinical values last. Side by side is early fusion of image and clinical values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..cache.bags import Bags
from .axes import PrincipalAxes, check_finite
from .base import FitCache, Split
from .clinical import ClinicalFeatures
from .contributions import Contributions
from .fitted_pooling import FITTED_POOLINGS
from .pooling import POOLINGS, pool

__all__ = ["ALL_POOLINGS", "CROSSED_AXES", "CROSSED_VALUES", "INPUTS", "Design", "FittedDesign"]

Floats = NDArray[np.float64]

INPUTS = ("image", "clinical", "both")
ALL_POOLINGS = tuple(sorted({*POOLINGS, *FITTED_POOLINGS}))
CROSSED_AXES = 16
CROSSED_VALUES = 2  # age and log count, the first clinical columns


@dataclass(frozen=True)
class Design:
    """What the table holds; see `PooledHead` for the arguments.

    Attributes:
        rotate: turn the features onto their principal axes even if all are kept; without, and without `pca`, they
            stay as they are.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    pooling: str
    inputs: str
    scale: bool
    pca: int | None
    interaction: bool
    spline: str | None
    cross: bool
    bag_size: bool
    rotate: bool

    @property
    def clinical_names(self) -> tuple[str, ...]:
        """Names of the table's last columns: age, log_count, male, …; none without clinical values."""
        return () if self.inputs == "image" else tuple(self._clinical_features().get_feature_names_out())

    def fit(self, bags: Bags, clinical: pd.DataFrame) -> "FittedDesign":
        """Learn from the training patients.

        Raises:
            InputError: an empty bag, a feature that is not finite, or a clinical column that is not there.
        """
        coordinates = axes = None
        if self.inputs != "clinical":
            if self.pooling in FITTED_POOLINGS:
                from .neural.instances import coordinates_of

                coordinates = coordinates_of(bags, FITTED_POOLINGS[self.pooling].axes)
            axes = self._axes(self._pooled(bags, coordinates))
        values = None if self.inputs == "image" else self._clinical_pipeline().fit(clinical)
        size = StandardScaler().fit(_log_size(bags)) if self.bag_size else None
        return FittedDesign(self, coordinates, axes, values, size)

    def coordinates(self, splits: Sequence[Split], fit_cache: FitCache) -> Sequence[Any]:
        """Per split, the coordinates of the instances that a fitted pooling needs, or None."""
        if self.inputs == "clinical" or self.pooling not in FITTED_POOLINGS:
            return [None] * len(splits)
        from .neural.instances import coordinates_of_splits

        return coordinates_of_splits(splits, FITTED_POOLINGS[self.pooling].axes, fit_cache)

    def of_split(self, split: Split, coordinates: Any, clinical: pd.DataFrame, fit_cache: FitCache) -> Floats:
        """The table of all patients as `fit` on the training patients gives it; parts are kept in `fit_cache`.

        Args:
            coordinates: of the split, see `coordinates`.
        """
        trained_on = split.train.tobytes()

        def plainly(pooling: str) -> Floats:
            return fit_cache.get(("pooled", split.key, pooling), lambda: pool(split.bags, pooling))

        def fitted() -> Floats:
            pooling = FITTED_POOLINGS[self.pooling]
            temporary = plainly(pooling.temporary) if pooling.temporary else None
            return pooling.pool(coordinates, split.bags, temporary)

        def image() -> Floats:
            if coordinates is None:
                found = plainly(self.pooling)
            else:
                found = fit_cache.get(("pooled", split.key, self.pooling, trained_on), fitted)
            return self._axes(found[split.train]).transform(found)

        def values() -> Floats:
            return np.asarray(self._clinical_pipeline().fit(clinical.iloc[split.train]).transform(clinical))

        image_block = clinical_block = size_block = None
        if self.inputs != "clinical":
            rotated = self.rotate or self.pca is not None
            key = ("axes", split.key, self.pooling, rotated and ("scale", self.scale), trained_on)
            image_block = fit_cache.get(key, image)
        if self.inputs != "image":
            clinical_block = fit_cache.get(("clinical", self.interaction, self.spline, trained_on), values)
        if self.bag_size:
            size = _log_size(split.bags)
            size_block = StandardScaler().fit(size[split.train]).transform(size)
        return self.table(image_block, clinical_block, size_block)

    def table(self, image: Floats | None, clinical: Floats | None, size: Floats | None) -> Floats:
        """The blocks side by side; those that are not asked for are None."""
        blocks = [] if image is None else [image[:, : self.pca]]
        if self.cross and image is not None and clinical is not None:
            products = image[:, :CROSSED_AXES, None] * clinical[:, None, :CROSSED_VALUES]
            blocks.append(products.reshape(len(image), -1))
        blocks += [block for block in (size, clinical) if block is not None]
        return np.hstack(blocks)

    def _pooled(self, bags: Bags, coordinates: Any) -> Floats:
        if coordinates is None:
            return pool(bags, self.pooling)
        return FITTED_POOLINGS[self.pooling].pool(coordinates, bags)

    def _axes(self, pooled: Floats) -> "PrincipalAxes | _AsTheyAre":
        if self.rotate or self.pca is not None:
            return PrincipalAxes.fit(pooled, scale=self.scale)
        return _AsTheyAre.fit(pooled)

    def _clinical_features(self) -> ClinicalFeatures:
        return ClinicalFeatures(interaction=self.interaction, spline=self.spline)

    def _clinical_pipeline(self) -> Any:
        return make_pipeline(self._clinical_features(), StandardScaler())


@dataclass(frozen=True)
class FittedDesign:
    """What `Design.fit` learnt; parts that were not asked for are None.

    Attributes:
        design: what was fitted.
        coordinates: of the instances, for a fitted pooling.
        axes: `PrincipalAxes` of the pooled features.
        clinical: the pipeline of the clinical values.
        size: the scaler of the logarithm of the bag size.
    """

    keeps = "statistics"  # of the training patients: see bundle/classes.py

    design: Design
    coordinates: Any
    axes: "PrincipalAxes | _AsTheyAre | None"
    clinical: Any
    size: StandardScaler | None

    def transform(self, bags: Bags, clinical: pd.DataFrame) -> Floats:
        """(n, p) float64; each row from one patient alone."""
        image = values = size = None
        if self.axes is not None:
            image = self.axes.transform(self.design._pooled(bags, self.coordinates))
        if self.clinical is not None:
            values = self.clinical.transform(clinical)
        if self.size is not None:
            size = self.size.transform(_log_size(bags))
        return self.design.table(image, values, size)

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
        averaged = isinstance(self.axes, PrincipalAxes) and self.design.pooling == "mean"
        if not (self.axes is None or averaged):
            return None
        values = np.empty((len(bags), 0)) if self.clinical is None else self.clinical.transform(clinical)
        of_image, of_product, of_size, of_clinical = self._blocks(weights, values.shape[1])
        images = [np.zeros(n) for n in bags.lengths.tolist()]
        if self.axes is not None:
            for i, bag in enumerate(bags):
                own = of_image.copy()
                own[: len(of_product)] += of_product @ values[i, : of_product.shape[1]]
                images[i] = self.axes.transform(bag.astype(np.float64)) @ own / len(bag)
        size = np.zeros(len(bags))
        if self.size is not None:
            size = self.size.transform(_log_size(bags))[:, 0] * of_size[0]
        return Contributions("exact", images, values @ of_clinical, size, intercept)

    def _blocks(self, w: Floats, n_clinical: int) -> tuple[Floats, Floats, Floats, Floats]:
        """The weights of all axes (0 of those not kept), of products (axes × values), of the size, of the values."""
        first, of_image, of_product = 0, np.zeros(0), np.zeros((0, 0))
        if isinstance(self.axes, PrincipalAxes):
            n_axes = self.axes.axes.shape[1]
            first = n_axes if self.design.pca is None else min(self.design.pca, n_axes)
            of_image = np.zeros(n_axes)
            of_image[:first] = w[:first]
            if self.design.cross and n_clinical:
                crossed = min(CROSSED_AXES, n_axes)
                of_product = w[first : first + crossed * CROSSED_VALUES].reshape(crossed, CROSSED_VALUES)
                first += of_product.size
        return of_image, of_product, w[first : first + (self.size is not None)], w[len(w) - n_clinical :]


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


def _log_size(bags: Bags) -> Floats:
    return np.log(bags.lengths.astype(np.float64))[:, None]

"""New patients by features that another toolkit computed, for a bundle that does not hold their encoder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.bags import Bags
from ..cohort.problems import listing
from ..errors import InputError
from ..imports.columns import ColumnNames
from ..imports.inspection import Facts
from ..imports.reading import read_features
from ..progress import Progress
from .encoders import UNKNOWN, EncoderRecord
from .pixel_size import other_pixel_size

__all__ = ["NewFeatures", "read_new_features"]

_VALUES = ("sex", "age", "lymphocyte_count")


@dataclass(frozen=True)
class NewFeatures:
    """Whom to predict, by their features.

    Attributes:
        bags: one per patient.
        table: (n,) rows: id, sex, age (years), lymphocyte_count (10⁹/l), "" or NaN where missing.
        notes: what was passed over, in sentences.
    """

    bags: Bags
    table: pd.DataFrame
    notes: tuple[str, ...]


def read_new_features(
    source: Path,
    clinical: Path | None,
    record: EncoderRecord,
    progress: Progress,
    microns_per_pixel: float | None = None,
) -> NewFeatures:
    """The features of new patients, as `import_features` reads them.

    Args:
        source: a folder of feature files, or one file.
        clinical: the table of patients, without labels: patient, and any of slide, age, sex, lymphocyte_count; None:
            each file is a patient, or the source is a table that names them.
        record: what the bundle says of the encoder.
        progress: told of files.
        microns_per_pixel: of the training images, where it is known.

    Raises:
        InputError: a line for every cause; or features of another encoder than the bundle's.
    """
    found = read_features(
        source, clinical, None, ColumnNames(), None, leave_out=clinical is not None, progress=progress
    )
    encoder = found.first.encoder
    if encoder and record.backbone not in (UNKNOWN, encoder):
        raise InputError(
            f"{source}: the features are by the encoder {encoder}, and the bundle was made with {record.backbone}; "
            "compute them with that one."
        )
    table = found.patients.reindex(columns=["id", *_VALUES])
    table["sex"] = table["sex"].astype(object).fillna("")
    for column in ("age", "lymphocyte_count"):
        table[column] = table[column].astype(np.float64)
    bags = Bags.from_list([_bag(found.facts[name]) for name in table["id"]])
    left_out = [f"left out: {listing(found.left_out)}."] if found.left_out else []
    size = other_pixel_size(source, found.microns_per_pixel, microns_per_pixel)
    return NewFeatures(bags, table, (*found.notes, *left_out, *size))


def _bag(facts: list[Facts]) -> NDArray[np.float32]:
    return np.concatenate([one.rows() for one in facts])

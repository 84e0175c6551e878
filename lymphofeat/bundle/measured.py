"""Cells of new patients measured: images of any size, and what stands for a cell without a nucleus."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..cohort.model import Patient
from ..cohort.problems import counted, listing
from ..encoder.morphology.features import MORPHOLOGY
from ..encoder.morphology.quality import NO_NUCLEUS, impute
from ..encoder.pixels import read_block
from ..errors import InputError
from ..progress import Progress
from .encoders import EncoderRecord

__all__ = ["imputed", "least_side", "reader_of"]


def reader_of(record: EncoderRecord) -> Callable[..., Tensor]:
    """How an encoder's images are decoded: `read_block`, or, for measured cells, with a frame around small ones."""
    if record.kind != MORPHOLOGY:
        return read_block
    from ..encoder.morphology.encoder import read_framed

    return read_framed


def least_side(record: EncoderRecord) -> int:
    """Pixels that an image needs on each side."""
    if record.kind != MORPHOLOGY:
        return record.crop
    from ..encoder.morphology.encoder import LEAST_SIDE

    return min(LEAST_SIDE, record.crop)


def imputed(
    rows: NDArray[np.float32], patients: Sequence[Patient], progress: Progress
) -> NDArray[np.float32]:
    """(n_images, D) features, those of images without a nucleus as in the training cache; a note counts them.

    Args:
        rows: (n_images, D + 1) of `FlaggedMorphology`, patients in order.
        patients: theirs.
        progress: told how many failed.

    Raises:
        InputError: no nucleus was found in any image of a patient.
    """
    from ..encoder.morphology.encoder import split_flag

    features, quality = split_flag(rows)
    nobody = impute(
        features, quality, np.array([len(patient.images) for patient in patients], dtype=np.int64)
    )
    if len(nobody):
        raise InputError(
            f"No nucleus was found in any image of {listing([patients[i].id for i in nobody])}; look at the images, "
            "and replace them or leave the patient out."
        )
    failed = int(np.count_nonzero(quality == NO_NUCLEUS))
    if failed:
        progress.note(
            f"{counted(failed, 'image')} of {len(quality):,} without a nucleus; they have the median of the same "
            "patient's other cells."
        )
    return features

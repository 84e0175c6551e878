"""The learning curve joins an assessment: its table and its sentence."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..assess import Assessment
from ..assess.learning import Learning, Members, Params, learning_curve
from ..cache.reader import Cache
from ..errors import InputError
from ..progress import Progress
from ..wording import difference_text, metric_label

__all__ = ["learning_sentence", "measured_learning_curve", "with_learning_curve"]


def measured_learning_curve(
    assessment: Assessment,
    cache: Cache,
    encoder_family: str,
    params: Params | Sequence[Members],
    progress: Progress,
) -> Assessment:
    """The assessment with the learning curve of heads, or with a note that says why there is none.

    Args:
        cache, encoder_family, params, progress: as for `assess.learning.learning_curve`.
    """
    try:
        learning = learning_curve(cache, encoder_family, params, progress=progress)
    except InputError as error:  # too few patients, or a flawless score; the assessment itself stands
        return replace(assessment, notes=(*assessment.notes, f"There is no learning curve: {error}"))
    return with_learning_curve(assessment, learning)


def with_learning_curve(assessment: Assessment, learning: Learning) -> Assessment:
    """The assessment with the table `learning_curve` and the sentence on twice the patients among its notes."""
    return assessment.with_table("learning_curve", learning.table, learning_sentence(learning))


def learning_sentence(learning: Learning) -> str:
    """What twice the patients would add, and the assumption behind it."""
    gain = learning.gain
    types = Counter(learning.head_types)
    heads = f"the {learning.head_types[0]} head" if len(types) == 1 else f"heads of {len(types)} types"
    if learning.n_heads > 1:
        heads = f"the averages of up to {learning.n_heads} heads per fold ({', '.join(types)})"
    verdict = "" if gain.low > 0.001 else " The gain may be zero."
    return (
        f"Training on {2 * learning.n_now:.0f} patients instead of {learning.n_now:.0f} would change the "
        f"{metric_label(learning.metric)} by {difference_text(gain)}.{verdict} This extrapolates an inverse power law "
        f"through {int(learning.table['measured'].sum())} sizes, with the parameters of {heads} held fixed."
    )

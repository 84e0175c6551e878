"""The learning curve joins an assessment: its table and its sentence."""

from ..assess import Assessment
from ..assess.learning import Learning
from ..studies.summary import words
from .numbers import difference_text

__all__ = ["learning_sentence", "with_learning_curve"]


def with_learning_curve(assessment: Assessment, learning: Learning) -> Assessment:
    """The assessment with the table `learning_curve` and the sentence on twice the patients among its notes."""
    return assessment.with_table("learning_curve", learning.table, learning_sentence(learning))


def learning_sentence(learning: Learning) -> str:
    """What twice the patients would bring, and on what trust."""
    gain = learning.gain
    verdict = "" if gain.low > 0.001 else "; it may be nothing"
    return (
        f"Learning from {2 * learning.n_now:.0f} patients instead of {learning.n_now:.0f} would change the "
        f"{words(learning.metric)} by {difference_text(gain)}{verdict}: an inverse power law through "
        f"{int(learning.table['measured'].sum())} sizes, extrapolated, with the {learning.params['family']} head's "
        "parameters held fixed."
    )

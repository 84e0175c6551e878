"""Figures for the page and for the paper, by matplotlib: functions that take tables and return a `Drawn`.

The tables are those of an evaluation (`tables` of its assessment, or of `evaluate.json`) and of a comparison; nothing
here computes a score anew that they have. In the examples, `tables = lymphofeat.evaluate(…).assessment.tables`.
"""

from .calibration import calibration_figure
from .coverage import risk_coverage_figure, triage_figure
from .curves import precision_recall_figure, roc_figure
from .decision import decision_figure
from .drawn import Drawn
from .learning import learning_figure
from .optimism import optimism_figure
from .permutation import permutation_figure
from .saving import save_figures
from .scores import comparison_figure, differences_figure, pipelines_figure
from .stability import stability_figure
from .subgroups import subgroups_figure

__all__ = [
    "Drawn",
    "calibration_figure",
    "comparison_figure",
    "decision_figure",
    "differences_figure",
    "learning_figure",
    "optimism_figure",
    "permutation_figure",
    "pipelines_figure",
    "precision_recall_figure",
    "risk_coverage_figure",
    "roc_figure",
    "save_figures",
    "stability_figure",
    "subgroups_figure",
    "triage_figure",
]

"""Tables of an evaluation as the terminal shows them, each cell with its exact value."""

from collections.abc import Mapping
from types import MappingProxyType

from ..report.assess_cells import SHOWN, cells
from .blocks import Table
from .records import EvaluationRecord

__all__ = ["recorded_table"]

# Per table: title on the page → column, where they differ.
_VALUES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "pipelines": {
            "balanced accuracy": "balanced_accuracy", "AUC": "auc", "bal. accuracy, t": "balanced_accuracy_t",
        },
        "metrics": {"": "value"},
        "confusion": {
            "true": "label", "patients": "n", "called reactive": "called_reactive",
            "called malignant": "called_malignant",
        },
        "calibration": {
            "slope": "calibration_slope", "intercept": "calibration_intercept", "error ↓": "calibration_error",
            "if calibrated": "error_if_calibrated", "log loss ↓": "log_loss",
        },
        "thresholds": {"cost": "mean_cost"},
        "stability": {"": "what"},
    }
)  # fmt: skip


def recorded_table(found: EvaluationRecord, name: str, *, file: str = "", folded: bool = False) -> Table:
    """A table of `report.assess_cells.SHOWN`; all its rows are shown.

    Args:
        found: the evaluation, which has the table.
        name: of the table.
        file: stem of its CSV file, where `name` is taken on the page.
        folded: behind one click.
    """
    shown, frame = SHOWN[name], found.tables[name]
    rows = cells(shown, frame)
    titles = [" ".join(title.split("\n")) for title in shown.columns]
    words = {title: [row[k] for row in rows] for k, title in enumerate(titles)}
    return Table(
        file or name, shown.caption_for(found.n_persons), frame, words, values=_VALUES.get(name, {}), folded=folded
    )  # fmt: skip

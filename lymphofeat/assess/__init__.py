"""What nested predictions allow to be said: the answer, intervals, subgroups, calibration, triage, stability.

Pure functions of `Nested` results, but `learning_curve` and `evaluate`, which train; nothing here prints. How to
read the tables: docs/evaluate.md.
"""

from .assessment import Assessment, assess
from .learning import Learning, learning_curve
from .optimism import SelectedModels

__all__ = ["Assessment", "Learning", "SelectedModels", "assess", "learning_curve"]

"""What nested predictions allow to be said: the answer, intervals, subgroups, calibration, triage, stability.

Pure functions of `Nested` results; nothing here trains (but `learning_curve`), reads or prints. How to read the tables:
docs/evaluate.md.
"""

from .assessment import Assessment, assess
from .optimism import Tuned

__all__ = ["Assessment", "Tuned", "assess"]

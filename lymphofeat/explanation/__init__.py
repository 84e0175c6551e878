"""Which images drive the prediction, and what of a patient's probability is due to them: exact where the head allows
it.

How to read it: docs/evaluate.md.
"""

from .everyone import explain_everyone
from .images import ImageContributions, image_contributions
from .parts import PatientParts, patient_parts
from .patient import explain
from .result import Explanation
from .sanity import Sanity, randomisation_test

__all__ = [
    "Explanation",
    "ImageContributions",
    "PatientParts",
    "Sanity",
    "explain",
    "explain_everyone",
    "image_contributions",
    "patient_parts",
    "randomisation_test",
]

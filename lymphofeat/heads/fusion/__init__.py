"""Heads that join what the images say with what the clinical values say, other than side by side in one table."""

from .late import LateFusion
from .mixture import GatedExperts
from .stacked import StackedFusion

__all__ = ["GatedExperts", "LateFusion", "StackedFusion"]

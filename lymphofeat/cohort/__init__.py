"""Cohorts: reading, checking, splitting by patient."""

from .layout import Layout, read_layout
from .model import Cohort, Patient
from .read import read_cohort

__all__ = ["Cohort", "Layout", "Patient", "read_cohort", "read_layout"]

"""Where commands put their files by default."""

from pathlib import Path

__all__ = ["CACHE", "CHECK", "COHORT_FOLDER", "REPORT", "STUDIES", "STUDY", "SUBMISSION"]

COHORT_FOLDER = "data"
CACHE = Path("cache/features.h5")
STUDIES = Path("studies")
STUDY = "study"
SUBMISSION = Path("submission.csv")
REPORT = Path("report.html")
CHECK = "check.json"  # in STUDIES, for `report`

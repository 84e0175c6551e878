"""A cohort: what `check` finds."""

from pathlib import Path

from ..cohort.check import check_cohort
from ..cohort.problems import counted
from .findings import Fault, Findings

__all__ = ["verify_cohort"]


def verify_cohort(path: Path, findings: Findings) -> None:
    """Check tables, folders and every image. Errors are faults; warnings are only counted.

    Raises:
        InputError: the cohort's `lymphofeat.toml` cannot be used.
    """
    report = check_cohort(path, progress=findings.progress)
    for problem in report.errors:
        where = problem.where
        row = "" if where.row is None else f"row {where.row}: "
        findings.faults.append(Fault(where.path, f"{row}{problem.message}", problem.remedy))
    if report.summary is not None:
        s = report.summary
        findings.checked.append(
            f"tables and folders of {counted(s.n_train + s.n_test, 'patient')}; {counted(s.n_images, 'image')} decoded"
        )
    n = len(report.warnings)
    if n:
        findings.unchecked.append(
            f"{counted(n, 'warning')} of `lymphofeat check {path}` {'is' if n == 1 else 'are'} for you to judge."
        )

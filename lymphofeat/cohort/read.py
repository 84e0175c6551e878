"""Read a cohort's folder: list the images, parse the tables, and say all that is wrong with them at once.

No image is opened here; `lymphofeat.cohort.check` does that.
"""

from pathlib import Path

from ..storage.paths import AnyPath
from .ages import AgeRule
from .declared_values import unused_columns
from .layout import Layout, layout_of
from .model import Cohort
from .problems import Problem, Problems, raise_errors
from .scan import Scan

__all__ = ["read_cohort", "scan_cohort"]


def read_cohort(root: AnyPath, *, layout: Layout | None = None) -> Cohort:
    """Read the cohort at `root`.

    Patients come in the order of the training table, then of the test table; where such a table is absent,
    in the order of the clinical table. The label of every test patient is −1.

    Args:
        root: the cohort's folder.
        layout: its names and words; the folder's `lymphofeat.toml`, else the default, unless given.

    Raises:
        InputError: one line for every error of tables and folders.

    Example:
        >>> cohort = read_cohort("data")
        >>> cohort
        <Cohort data: 12 labelled patients (6 malignant), 4 of the test part, 32 images>
    """
    cohort, problems = scan_cohort(Path(root), layout)
    raise_errors(problems, rest="lymphofeat check --all lists them")
    assert cohort is not None, "a cohort without patients has an error"
    return cohort


def scan_cohort(
    root: Path,
    layout: Layout | None = None,
    *,
    ages: AgeRule | None = None,
    labelled: bool = True,
) -> tuple[Cohort | None, list[Problem]]:
    """Read as much of the cohort as can be read, and all problems of its tables and folders.

    Args:
        root: the cohort's folder.
        layout: as of `read_cohort`.
        ages: how ages are counted, where that is settled, as by a model; else as the tables allow.
        labelled: whether a column of labels is asked for; not where patients are to be predicted.

    Returns:
        Every patient that has at least one image (None when there is no such patient), with missing values
        and label −1 where the tables are wrong or silent; and the problems in the order of their discovery.

    Raises:
        InputError: the cohort's `lymphofeat.toml` cannot be used, so that nothing else can be judged.
    """
    problems = Problems()
    if not root.is_dir():
        problems.error(
            "no-cohort",
            root,
            None,
            "there is no cohort folder here",
            f"put the cohort here or name another folder, or simulate one with `lymphofeat simulate {root}`",
        )
        return None, problems.found
    scan = Scan(root, layout or layout_of(root), problems, ages, labelled)
    patients = scan.patients()
    if not patients and not any(problem.severity == "error" for problem in problems.found):
        remedy = "add a folder with images per patient (docs/cohort.md)"
        problems.error("no-patients", root, None, "has no patient with images", remedy)
    unused = unused_columns(scan.tables.values(), scan.layout)
    if not patients:
        return None, problems.found
    exclusions = scan.exclusions(patients)
    cohort = Cohort(root, tuple(patients), scan.reference, scan.layout, unused, exclusions=exclusions)
    return cohort, problems.found

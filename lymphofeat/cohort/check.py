"""Check a cohort before any work is done on it: all problems at once, a summary, the shortcut audit.

Every image is read and decoded once, in threads (Pillow frees the interpreter while it decodes); what the
audit and the comparison of files need is collected on the way.
"""

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..parallel import thread_pool, usable_cores
from ..progress import Progress, Silent
from .audit import Shortcut, audit_cohort
from .copies import report_copies
from .decoding import depth_of
from .duplicates import report_duplicates
from .exclusions import Exclusion
from .fingerprint import bags_digest
from .folds import DEFAULT_FOLDS, fewest_of_a_class
from .images import ImageFacts, inspect, scaled
from .layout import Layout, layout_of
from .model import Cohort, Patient
from .persons import persons
from .problems import Problem, Problems, beyond_the_first, counted
from .read import scan_cohort
from .reading import Seen, crop_notice, depth_notice, pages_notice
from .repeats import report_persons
from .summary import Summary, summarise

__all__ = ["CheckReport", "check_cohort"]

_CHUNK = 32  # images a task
# Where one of these was found, it is not known how many patients a class has.
_NO_CLASSES = ("no-table", "no-part", "missing-column", "table-malformed", "bad-label", "no-label")
_CONVERTED = {"RGB": "", "L": "grey", "1": "black and white", "P": "palette", "RGBA": "with transparency"}


@dataclass(frozen=True)
class CheckReport:
    """All that a check found.

    Attributes:
        root: the cohort's folder.
        problems: errors and warnings; tables and folders first, then images, in the cohort's order.
        summary: None when no patient could be read.
        audit: the shortcuts measured; () when a class has fewer than two patients.
        exclusions: patients and images that `exclude.csv` leaves out; none of them was looked at.
        bags: digest of the patients, as `lymphofeat.cohort.fingerprint.bags_digest`; "" when none could be read.
        ids: of the patients that could be read.
        folds: how many `extract` is to make: its default, or fewer where a class has fewer persons.
    """

    root: Path
    problems: tuple[Problem, ...]
    summary: Summary | None
    audit: tuple[Shortcut, ...]
    exclusions: tuple[Exclusion, ...] = ()
    bags: str = ""
    ids: tuple[str, ...] = ()
    folds: int = DEFAULT_FOLDS

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop the work."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that the work goes on with."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")


def check_cohort(
    root: Path,
    *,
    layout: Layout | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Check tables, folders and every image of the cohort at `root`.

    Args:
        root: the cohort's folder.
        layout: its names and words; the folder's `lymphofeat.toml`, else the default, unless given.
        workers: decoding threads; one per usable core unless given.
        progress: told of each decoded image, from the calling thread.

    Raises:
        InputError: the cohort's `lymphofeat.toml` cannot be used. All else is reported, not raised.
    """
    root = Path(root)
    if layout is None:
        layout = layout_of(root)
    cohort, found = scan_cohort(root, layout)
    if cohort is None:
        return CheckReport(root, tuple(found), None, ())
    problems = Problems(found)
    facts = _decode_all(cohort.images, workers or usable_cores(), progress or Silent())
    bags = _by_patient(cohort, facts)
    report_persons(cohort, problems)
    folds = _folds(cohort, problems)
    _check_files(bags, problems)
    _check_sizes(bags, facts, layout.images.smallest, problems)
    _check_modes(facts, problems)
    facts = _check_reading(facts, layout.images.smallest, problems)
    bags = _by_patient(cohort, facts)
    report_duplicates(cohort, [fact.digest for fact in facts], problems, root)
    report_copies(cohort, facts, problems)
    decoded = {p.id: [fact for fact in bag if not fact.failure] for p, bag in bags}
    return CheckReport(
        root,
        tuple(problems.found),
        summarise(cohort, facts),
        audit_cohort(cohort, decoded),
        cohort.exclusions,
        bags_digest((p.split, p.label, [bytes.fromhex(fact.digest) for fact in bag]) for p, bag in bags),
        tuple(p.id for p in cohort.patients),
        folds,
    )


def _folds(cohort: Cohort, problems: Problems) -> int:
    """As of `CheckReport.folds`; warns where there can be none."""
    if any(problem.code in _NO_CLASSES for problem in problems.found):
        return DEFAULT_FOLDS
    name, fewest = fewest_of_a_class(cohort.labels, persons(cohort.table()))
    if not (cohort.labels >= 0).any():
        message, remedy = "has no label, so that no head can be fitted", "features can be computed without"
        problems.warning("few-patients", cohort.root, None, message, remedy)
    elif fewest < 2:
        message = f"has {counted(fewest, f'{name} person')}, too few to fit and cross-validate a head"
        problems.warning("few-patients", cohort.root, None, message, "add patients of that class")
    return min(fewest, DEFAULT_FOLDS) if fewest > 1 else DEFAULT_FOLDS


def _decode_all(paths: Sequence[Path], workers: int, progress: Progress) -> list[ImageFacts]:
    facts: list[ImageFacts] = []
    progress.start("checking images", len(paths), "image")
    try:
        with warnings.catch_warnings():  # Pillow's doubts about metadata would be printed between the lines
            warnings.filterwarnings("ignore", module="PIL")
            for chunk in _in_threads(paths, workers):
                facts += chunk
                progress.advance(len(chunk))
    finally:
        progress.stop()
    return facts


def _in_threads(paths: Sequence[Path], workers: int) -> Iterator[list[ImageFacts]]:
    chunks = [paths[i : i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    with thread_pool(workers) as pool:
        yield from pool.map(lambda chunk: [inspect(path) for path in chunk], chunks)


Bags = list[tuple[Patient, Sequence[ImageFacts]]]


def _by_patient(cohort: Cohort, facts: Sequence[ImageFacts]) -> Bags:
    bags, start = [], 0
    for patient in cohort.patients:
        bags.append((patient, facts[start : start + len(patient.images)]))
        start += len(patient.images)
    return bags


def _check_files(bags: Bags, problems: Problems) -> None:
    for _, bag in bags:
        for fact in bag:
            if fact.failure:
                remedy = "replace or remove the file, or name it in exclude.csv"
                problems.error("bad-image", fact.path, None, fact.failure, remedy)


def _check_sizes(bags: Bags, facts: Sequence[ImageFacts], smallest: int, problems: Problems) -> None:
    """Per patient and size: too small to crop is an error, another size than most is a warning."""
    sizes = Counter((fact.width, fact.height) for fact in facts if not fact.failure)
    if not sizes:
        return
    commonest = sizes.most_common(1)[0][0]
    for patient, bag in bags:
        odd: dict[tuple[int, int], list[Path]] = defaultdict(list)
        for fact in bag:
            size = (fact.width, fact.height)
            if not fact.failure and (size != commonest or min(size) < smallest):
                odd[size].append(fact.path)
        for (width, height), paths in odd.items():
            more = beyond_the_first(len(paths) - 1, "image", patient.id)
            if min(width, height) < smallest:
                message = f"is {width} × {height} pixels, smaller than {smallest} × {smallest}{more}"
                remedy = "replace or remove it (enlarging invents detail)"
                problems.error("image-too-small", paths[0], None, message, remedy)
            else:
                usual = f"{commonest[0]} × {commonest[1]}"
                message = f"is {width} × {height} pixels, most images are {usual}{more}"
                remedy = "check that the scale is the same, for only the centre of an image is used"
                problems.warning("odd-size", paths[0], None, message, remedy)


def _check_reading(facts: Sequence[ImageFacts], crop: int, problems: Problems) -> list[ImageFacts]:
    """Warn of what a reader leaves out; the facts with colours of deep images as the encoder will scale them."""
    seen = [Seen(f.path, f.width, f.height, f.pages, f.deep) for f in facts if not f.failure]
    largest = max((fact.largest for fact in facts), default=0)
    bits = depth_of(largest)
    for code, notice in (
        ("crop", crop_notice(seen, crop)),
        ("pages", pages_notice(seen)),
        ("bit-depth", depth_notice(seen, bits, largest)),
    ):
        if notice is not None:
            problems.warning(code, notice.path, None, notice.message, notice.remedy)
    return [scaled(fact, bits) for fact in facts]


def _check_modes(facts: Sequence[ImageFacts], problems: Problems) -> None:
    """One warning per odd colour mode of the whole cohort; numbers of 32 bits have no agreed scale."""
    by_mode: dict[str, list[Path]] = defaultdict(list)
    for fact in facts:
        if not fact.failure and fact.mode != "RGB" and not fact.mode.startswith("I;16"):
            by_mode[fact.mode].append(fact.path)
    for mode, paths in by_mode.items():
        more = beyond_the_first(len(paths) - 1, "image", "the cohort")
        words = _CONVERTED.get(mode, "")
        message = f"is not RGB but {mode}{f' ({words})' if words else ''}{more}"
        if mode in ("I", "F"):
            problems.error("image-mode", paths[0], None, message, "save as 8-bit RGB")
        else:
            remedy = "it is converted to RGB; check that colours mean the same in all images"
            problems.warning("image-mode", paths[0], None, message, remedy)

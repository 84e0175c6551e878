"""What a report is made of: a cache, a study, and what `check`, `evaluate` and `compare` have kept."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..assess.record import KEPT
from ..cache.reader import Cache, open_cache
from ..errors import InputError
from ..scoring.scored import ScoredPatients
from ..storage.addresses import StudyPlace
from ..studies.continuing import check_belongs, searches_folder
from ..studies.load import load_study
from ..studies.store import study_exists
from ..studies.summary import StudySummary
from .blocks import Gap
from .names import Names
from .records import ComparisonRecord, EvaluationRecord, read_comparison, read_evaluation_record
from .records_check import CheckRecord, read_check

__all__ = ["CHECK", "COMPARISON", "KEPT", "SELECTED", "Places", "Selection", "Sources", "find_sources"]

COMPARISON = "compare.json"
CHECK = "check.json"
_ANOTHER = "The last `{}` was of another cohort, or of this one before it changed"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Places:
    """Where the sources lie.

    Attributes:
        cache: the cache's file; it must be there.
        study: the study's file, or its address.
        evaluation: folder or file of an evaluation; None: where `evaluate` keeps it, beside the study.
        comparison: folder or file of a comparison; None: compare.json in `kept`.
        kept: folder of what `check` and `compare` keep.
    """

    cache: Path
    study: StudyPlace
    evaluation: Path | None = None
    comparison: Path | None = None
    kept: Path = Path("studies")

    def command(self, name: str, *options: str) -> str:
        """A command line on these files, such as `lymphofeat evaluate --cache x.h5 --study y.db`."""
        own = {
            "tune": ["--cache", str(self.cache), "--study", str(self.study)],
            "evaluate": ["--cache", str(self.cache), "--study", str(self.study)],
            "compare": [str(self.cache)],
            "check": ["COHORT"],  # the folder's own path may name a patient
        }
        return shlex.join(["lymphofeat", name, *own.get(name, []), *options])


class Selection(NamedTuple):
    """Which heads of a study are selected; see `submit`."""

    select: str | None = None
    trial: int | None = None
    ensemble: int | None = None


SELECTED = Selection()  # as `submit` selects


@dataclass(frozen=True)
class Sources:
    """What was found, each belonging to the cache's cohort.

    Attributes:
        places: where it was looked for.
        cache: the cache.
        study: its study; None where there is none.
        evaluation, comparison, check: what was kept of these; None where there is nothing, or nothing of this cohort.
        names: what patients and images are called.
        selection: the heads whose contributions the cells have.
        missing: per command, why its part is not here.
    """

    places: Places
    cache: Cache
    study: StudySummary | None
    evaluation: EvaluationRecord | None
    comparison: ComparisonRecord | None
    names: Names
    selection: Selection = SELECTED
    missing: Mapping[str, str] = field(default_factory=dict)
    check: CheckRecord | None = None

    def __repr__(self) -> str:
        there = [
            name for name in ("study", "evaluation", "comparison", "check") if getattr(self, name) is not None
        ]
        return f"<Sources: {self.cache.path.name}, {', '.join(there) or 'nothing else'}>"

    def gap(self, command: str, *options: str, what: str = "") -> Gap:
        """A line for what is not here, with the command that makes it.

        Args:
            command: "check", "tune", "evaluate" or "compare".
            options: of that command, such as "--repeats", "5".
            what: what is not here; by default why the command's record is not.
        """
        return Gap(
            what or self.missing.get(command, f"`{command}` has not been run"),
            self.places.command(command, *options),
        )

    @cached_property
    def digest(self) -> str:
        """Of the labelled patients, as evaluations and comparisons keep it."""
        return ScoredPatients.of(self.cache).digest(ordered=False)


def find_sources(places: Places, *, ids: bool = False, selection: Selection = SELECTED) -> Sources:
    """Open what is there, and see that it is of the cache's cohort.

    Args:
        places: where to look.
        ids: whether patients' IDs may be shown.
        selection: the heads that are explained.

    Raises:
        InputError: an evaluation or comparison that was named and is not there, not one, or of another cohort.
        CacheError, StudyError: a cache or study that cannot be read, or a study of another cache.
    """
    cache = open_cache(places.cache)
    missing: dict[str, str] = {}
    digest = ScoredPatients.of(cache).digest(ordered=False)
    study = _study(places, cache, missing)
    evaluation = _kept(
        places.evaluation, searches_folder(places.study) / KEPT, KEPT, "evaluate",
        read_evaluation_record, lambda found: str(found.search.get("patients", "")), digest, missing,
    )  # fmt: skip
    comparison = _kept(
        places.comparison, places.kept / COMPARISON, COMPARISON, "compare",
        read_comparison, lambda found: found.patients, digest, missing,
    )  # fmt: skip
    check = _check(places.kept / CHECK, cache, missing)
    names = Names(tuple(cache.ids.astype(str).tolist()), shown=ids)
    return Sources(places, cache, study, evaluation, comparison, names, selection, missing, check)


def _study(places: Places, cache: Cache, missing: dict[str, str]) -> StudySummary | None:
    if not study_exists(places.study):
        missing["tune"] = f"No study {places.study.name} was found"
        return None
    study = load_study(places.study)
    check_belongs(study.path, cache, study.encoding, study.repeats)
    return study


def _check(path: Path, cache: Cache, missing: dict[str, str]) -> CheckRecord | None:
    """The last check, where it was of the patients and images of the cache."""
    if not cache.tables.has_digests:
        missing["check"] = "The features were imported, and `check` looks at image files"
    elif not path.exists():
        missing["check"] = "No `check` of this cohort was found"
    elif (found := read_check(path)).patients == cache.tables.bags:
        return found
    else:
        missing["check"] = _ANOTHER.format("check")
    return None


def _kept(
    given: Path | None,
    default: Path,
    file: str,
    command: str,
    read: Callable[[Path], Found],
    digest_of: Callable[[Found], str],
    digest: str,
    missing: dict[str, str],
) -> Found | None:
    """The record of a command; one that the user named must be there and of this cohort."""
    path = default if given is None else given / file if given.is_dir() else given
    if given is None and not path.exists():
        missing[command] = f"No `{command}` of this study was found"
        return None
    found = read(path)
    if digest_of(found) == digest:
        return found
    if given is not None:
        raise InputError(
            f"{path} was measured on other patients, labels, values or folds than the cache holds; give the one of "
            "this cache, or leave it out."
        )
    missing[command] = _ANOTHER.format(command)
    return None

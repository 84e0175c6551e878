"""`verify`: which checks a path gets."""

from pathlib import Path

from ..cohort.layout import is_cohort
from ..errors import InputError
from ..progress import Progress, Silent
from ..storage.addresses import StudyAddress, StudyPlace, study_place
from ..storage.kinds import inspect_path
from ..storage.paths import AnyPath
from .findings import Findings, Verification

__all__ = ["verify"]

_DAMAGED = ("damaged-hdf5", "damaged-sqlite", "unreadable", "empty")


def verify(
    path: AnyPath,
    *,
    sample: int = 0,
    repair: bool = False,
    cohort: AnyPath | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check everything that can be checked of a cache, a study, a bundle or a cohort.

    * A cache: its tables against each other, every block of features against its checksum, the image files where the
      cohort's folder is there, the trained encoders, and the stores of pixels and activations in its folder.
    * A study: the checks of SQLite for a file, every trial against its digest and its predictions, and the features
      that it was made from, where their cache lies in its folder or in `cache/` beside that.
    * A bundle: every file against the manifest, and the answers of the model to the patients in it.
    * A cohort: what `check` finds.

    Nothing is written without `repair`.

    Args:
        path: what to verify; the address of a study in PostgreSQL among them.
        sample: of a cache, how many images of each encoding are computed again from their files; 0: none.
        repair: of a cache, compute the blocks again that are not as they were written.
        cohort: of a cache, the cohort's folder, where it lies elsewhere than at the time of `extract`.
        progress: is told of what is read.

    Raises:
        InputError: there is nothing at `path`, or nothing that can be verified, or an argument that does not fit it.

    Example:
        >>> verify("cache/features.h5").faults
        ()
    """
    place, findings = study_place(path), Findings(progress or Silent())
    if sample < 0:
        raise InputError(f"A sample has 0 images or more, not {sample}.")
    if isinstance(place, StudyAddress):
        return _verify_on_server(place, findings, of_cache=bool(sample or repair or cohort is not None))
    path = place
    kind = inspect_path(path)
    if kind.name == "missing":
        raise InputError(f"{path} is {kind.phrase}; name a cache, a study, an exported model or a cohort.")
    if kind.name == "cache":
        from .cache import verify_cache

        verify_cache(
            path, findings, sample=sample, repair=repair, cohort=None if cohort is None else Path(cohort)
        )
        return findings.of(path, kind.phrase)
    if kind.name in _DAMAGED:
        cause = f" ({kind.cause})" if kind.cause else ""
        findings.fault(path, f"is {kind.phrase}{cause}", "restore a good copy")
        return findings.of(path, kind.phrase)
    if sample or repair or cohort is not None:
        raise InputError(_for_caches(path, kind.phrase))
    phrase = kind.phrase
    if kind.name == "study":
        from .study import verify_study

        verify_study(path, findings)
    elif kind.name == "bundle" or (path / "manifest.json").is_file():
        from .bundle import verify_bundle

        verify_bundle(path, findings)
        phrase = "a folder with an exported model"
    elif kind.name == "folder" and is_cohort(path):
        from .cohort import verify_cohort

        verify_cohort(path, findings)
        phrase = "a cohort's folder"
    else:
        raise InputError(
            f"{path} is {kind.phrase}, which cannot be verified; name a cache, a study, an exported model or a cohort."
        )
    return findings.of(path, phrase)


def _verify_on_server(address: StudyAddress, findings: Findings, *, of_cache: bool) -> Verification:
    phrase = "an Optuna study in PostgreSQL"
    if of_cache:
        raise InputError(_for_caches(address, phrase))
    from .study import verify_study

    verify_study(address, findings)
    return findings.of(address, phrase)


def _for_caches(path: StudyPlace, phrase: str) -> str:
    return f"{path} is {phrase}; --sample, --repair and --cohort are for a cache, whose features can be computed again."

"""A cache: its encodings, its images, and all that lies beside it."""

from pathlib import Path

from ..cache.disk import disk_use
from ..cache.encoding import Encoding
from ..cache.partial import features_digest
from ..cache.reader import Cache, open_cache
from ..cohort.problems import counted
from ..errors import CacheError
from .encoders import verify_checkpoint, verify_encoder
from .findings import Findings
from .images import verify_images
from .recompute import sample_images
from .stores import verify_store

__all__ = ["verify_cache"]


def verify_cache(
    path: Path, findings: Findings, *, sample: int = 0, repair: bool = False, cohort: Path | None = None
) -> None:
    """Check the cache, its images, then the trained encoders, checkpoints and stores that belong to it.

    Args:
        path: the cache's file.
        findings: are added to.
        sample, repair, cohort: as of `verify`.
    """
    cache = _opened(path, findings)
    if cache is not None:
        for encoding in (*cache.encodings.values(), *cache.stale.values()):
            _verify_features(cache, encoding, findings)
        paths = verify_images(cache, cohort, findings)
        if sample:
            sample_images(cache, paths, sample, findings)
    _verify_beside(path, findings, repair=repair)


def _opened(path: Path, findings: Findings) -> Cache | None:
    try:
        return open_cache(path)
    except CacheError as error:
        findings.error(path, error)
        return None


def _verify_features(cache: Cache, encoding: Encoding, findings: Findings) -> None:
    if features_digest(encoding.features) == encoding.digest:
        findings.checked.append(
            f"{encoding.name}: features of {counted(len(encoding.features), 'image')}, as written"
        )
        return
    findings.fault(
        cache.path,
        f"the features of {encoding.name} are not as they were written",
        "restore a good copy, or give `lymphofeat extract` its options again with --force",
    )


def _verify_beside(path: Path, findings: Findings, *, repair: bool) -> None:
    """What lies in the cache's folder and in that of its encoders."""
    for item in disk_use(path):
        if item.kind in ("pixels", "activations"):
            verify_store(item.path, findings, repair=repair)
        elif item.kind == "unfinished" and item.path.suffix == ".checkpoint":
            verify_checkpoint(item.path, findings)
        elif item.kind == "unfinished" and not item.path.name.startswith(f"{path.name}."):
            verify_store(item.path, findings)
        elif item.kind == "encoders" and verify_encoder(item.path, findings):
            findings.checked.append(
                f"{item.path.parent.name}/{item.path.name}: the weights that it was written with"
            )

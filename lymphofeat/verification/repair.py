"""Bad blocks of a cache computed again, into a new data file; what lies in the cache is never changed in place."""

from collections.abc import Mapping
from pathlib import Path

from ..cache.carry import network_of
from ..cache.encoding import Encoding
from ..cache.morphology import impute_failed
from ..cache.partial import PartialEncoding
from ..cache.reader import Cache
from ..cache.writer import CacheWriter
from ..cohort.problems import counted
from ..errors import CacheError, LymphofeatError
from .findings import Findings
from .recompute import Recomputation

__all__ = ["repair_encoding"]


def repair_encoding(cache: Cache, encoding: Encoding, paths: Mapping[str, Path], findings: Findings) -> bool:
    """Compute what is not as written again, and put the encoding into the cache anew.

    Args:
        cache: the cache.
        encoding: one of its encodings, with bad blocks.
        paths: by digest, the files of images that are as the cache knows them.
        findings: are added to.

    Returns:
        Whether the encoding is whole again; else `findings.unchecked` says why not.
    """
    try:
        same = _repaired(cache, encoding, paths, findings)
    except (LymphofeatError, OSError) as error:
        findings.unchecked.append(f"{encoding.name} was not repaired: {error}")
        return False
    bits = "bit by bit"
    if not same:
        bits = (
            "up to rounding: a study that was made from them goes on only with a good copy of the former file"
        )
    what = f"{encoding.name} was computed again where it was bad"
    findings.repaired.append(f"{cache.path}: {what}: the former features {bits}.")
    return True


def _repaired(cache: Cache, encoding: Encoding, paths: Mapping[str, Path], findings: Findings) -> bool:
    if encoding.name in cache.stale:
        raise CacheError("it is not of the cohort as it is now; give its `lymphofeat extract` command again.")
    compute = Recomputation(cache, encoding)
    with CacheWriter(cache.path, cache.tables) as writer:
        growing = writer.partial_path(encoding.name)
        if growing.exists():
            raise CacheError(
                f"{growing} is under way; finish it with its `lymphofeat extract` command first."
            )
        partial = writer.begin(encoding.spec, network=network_of(encoding))
        try:
            _fill(partial, cache, compute, paths, findings)
            same = partial.finished() == encoding.digest
        except BaseException:
            partial.close()
            writer.forget(encoding.name)
            raise
        writer.finish(partial, encoding.end_to_end, made=encoding.made, default=False)
    return same


def _fill(
    partial: PartialEncoding,
    cache: Cache,
    compute: Recomputation,
    paths: Mapping[str, Path],
    findings: Findings,
) -> None:
    _, _, digests = cache.tables.images_at()
    lost = [
        row for unit in partial.pending for row in partial.rows(unit).tolist() if digests[row] not in paths
    ]
    if lost:
        raise CacheError(
            f"{counted(len(lost), 'image')} of its bad blocks {'is' if len(lost) == 1 else 'are'} not there; name the "
            "cohort with --cohort FOLDER."
        )
    findings.progress.start("computing again", sum(len(partial.rows(u)) for u in partial.pending), "image")
    try:
        for unit in partial.pending:
            rows = partial.rows(unit)
            features, quality = compute([paths[digests[row]] for row in rows.tolist()], findings.progress)
            partial.write(unit, features, quality)
    finally:
        findings.progress.stop()
    if partial.spec.names is not None:
        impute_failed(partial, cache.tables)

"""A cache: its index, its encodings, its images, and all that lies beside it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..cache.carry import network_of
from ..cache.disk import disk_use
from ..cache.encoding import Encoding
from ..cache.layout import data_folder
from ..cache.reader import Cache, open_cache
from ..cache.trainings import encoders_folder
from ..cache.unlinked import unlinked
from ..cohort.problems import counted, listing
from ..errors import CacheError
from ..storage.trailing_digest import has_right_digest
from .encoders import verify_checkpoint, verify_encoder
from .encodings import WAY_OUT, verify_encoding, verify_partial
from .findings import Findings
from .images import verify_images
from .recompute import sample_images
from .repair import repair_encoding
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
        _verify_tables(cache, findings)
        paths = verify_images(cache, cohort, findings) if repair else None
        before = len(findings.faults)
        for encoding in cache.everything.values():
            _verify_or_repair(cache, encoding, findings, paths)
        as_written = len(findings.faults) == before
        _tell_unlinked(cache, findings)
        if paths is None:
            paths = verify_images(cache, cohort, findings)
        if sample and as_written:
            sample_images(open_cache(path) if findings.repaired else cache, paths, sample, findings)
        elif sample:
            findings.unchecked.append(
                "No image was computed again, since features are not as they were written."
            )
    _verify_beside(path, cache, findings, repair=repair)


def _opened(path: Path, findings: Findings) -> Cache | None:
    try:
        cache, right = open_cache(path), has_right_digest(path)
    except CacheError as error:
        findings.error(path, error)
        return None
    if right:
        findings.checked.append("tables and descriptions, as written")
    elif cache.format == 1:
        findings.unchecked.append(
            "Tables and descriptions have no digest, as format 1 has none; the next `lymphofeat extract` writes "
            "format 2."
        )
    else:
        what = "is not as it was written" if right is False else "was written by another program, or was cut"
        findings.fault(path, what, "restore a good copy")
    return cache


def _verify_tables(cache: Cache, findings: Findings) -> None:
    """The tables of patients, images and folds against each other."""
    tables, n = cache.tables, len(cache.patients)
    lengths = cache.patients["n_images"].to_numpy(np.int64)
    labels = cache.patients["label"].to_numpy(np.int64)
    folds = tables.folds[labels >= 0]
    wrong = [
        what
        for what, right in (
            ("bags", bool((lengths > 0).all())),
            ("images", len(tables.names) == len(tables.sizes) == len(tables.digests) == int(lengths.sum())),
            ("labels", bool(np.isin(labels, (-1, 0, 1)).all())),
            (
                "folds",
                len(tables.folds) == n
                and bool((folds >= 0).all() and (tables.folds[labels < 0] == -1).all()),
            ),
            ("IDs", cache.patients["id"].is_unique),
        )
        if not right
    ]
    if wrong:
        findings.fault(cache.path, f"the tables of {listing(wrong)} contradict the others", WAY_OUT)
    else:
        findings.checked.append(
            f"{counted(n, 'patient')}, {counted(tables.n_images, 'image')}: the tables fit each other"
        )


def _verify_or_repair(
    cache: Cache, encoding: Encoding, findings: Findings, paths: dict[str, Path] | None
) -> None:
    before = len(findings.faults)
    bad = verify_encoding(cache, encoding, findings)
    only_blocks = bool(bad) and len(findings.faults) == before + 1
    if paths is not None and only_blocks and repair_encoding(cache, encoding, paths, findings):
        del findings.faults[before:]
        now = open_cache(cache.path)
        verify_encoding(now, now.everything[encoding.name], findings)


def _tell_unlinked(cache: Cache, findings: Findings) -> None:
    left = [path.name for path in unlinked(cache.path)]
    if left:
        n = f"{counted(len(left), 'file')} in {data_folder(cache.path)} {'is' if len(left) == 1 else 'are'}"
        findings.unchecked.append(
            f"{n} not part of a cache ({listing(left)}); the next `lymphofeat extract` removes what a killed run left."
        )


def _verify_beside(path: Path, cache: Cache | None, findings: Findings, *, repair: bool) -> None:
    """What lies in the cache's folder and in that of its encoders."""
    digests = {}
    for item in disk_use(path):
        if item.kind in ("pixels", "activations"):
            verify_store(item.path, findings, repair=repair)
        elif item.kind == "unfinished" and item.path.suffix == ".checkpoint":
            verify_checkpoint(item.path, findings)
        elif item.kind == "unfinished" and item.path.name.startswith(f"{path.name}."):
            verify_partial(item.path, findings)
        elif item.kind == "unfinished":
            verify_store(item.path, findings)
        elif item.kind == "encoders":
            digests[item.path.name] = verify_encoder(item.path, findings)
    if cache is not None:
        _compare_encoders(cache, digests, findings)


def _compare_encoders(cache: Cache, digests: Mapping[str, str | None], findings: Findings) -> None:
    """The trained encoders that are there with those that the features were computed by.

    Args:
        cache: the cache.
        digests: by file name, of the network; None of a file that is damaged.
        findings: are added to.
    """
    folder, missing = encoders_folder(cache.path), []
    for encoding in cache.everything.values():
        if not encoding.spec.trained:
            continue
        name = str(encoding.made.get("encoder", f"{encoding.name}.safetensors"))
        if name not in digests:
            missing.append(encoding.name)
        elif (digest := digests[name]) is not None and digest != network_of(encoding):
            findings.fault(
                folder / name,
                f"holds another encoder than the one that the features of {encoding.name} were computed by",
                "put the files of this cache into that folder, or give `lymphofeat extract` its options with --force",
            )
        elif digest is not None:
            findings.checked.append(
                f"{folder.name}/{name}: the encoder that {encoding.name} was computed by, as written"
            )
    if missing:
        findings.unchecked.append(
            f"{folder} lacks the trained encoders of {listing(missing)}, without which no image can be computed again."
        )

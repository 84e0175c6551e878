"""Encodings of a cache, finished or growing: each block against its checksum, all else against its digest."""

from pathlib import Path

import numpy as np

from ..cache.data_file import DataFile
from ..cache.encoding import Encoding
from ..cache.layout import DATA_GROUP, open_checked, rows_of
from ..cache.partial import features_digest
from ..cache.reader import Cache
from ..cohort.problems import counted
from ..errors import CacheError
from ..storage.checked import FileDisk
from ..storage.hdf5 import open_to_read
from ..wording import listed
from .findings import Findings

__all__ = ["verify_encoding", "verify_partial"]

WAY_OUT = "restore a good copy, or give `lymphofeat extract` its options again with --force"
_REPAIR = "run `lymphofeat verify --repair`, which computes them again, or restore a good copy"
_UNREADABLE = (OSError, KeyError, ValueError, TypeError, RuntimeError)  # of h5py, by the damage


def verify_encoding(cache: Cache, encoding: Encoding, findings: Findings) -> list[int]:
    """Compare an encoding's rows with the blocks' checksums, the features with their digest, and the rest with its own.

    Args:
        cache: the cache.
        encoding: one of its encodings.
        findings: are added to.

    Returns:
        The blocks that are not as they were written; empty if none is, or if the file does not tell.
    """
    name, place = encoding.name, encoding.place
    if encoding.lost:
        findings.fault(
            place,
            f"is not there, and should hold the features of {name}",
            "put it back, or give the `lymphofeat extract` command that made them again",
        )
        return []
    try:
        data = _data_of(encoding)
        bad: list[int] = []
        if data is not None:
            with FileDisk.open(place) as disk:
                blocks = data.blocks(disk)
                findings.progress.start(f"reading {name}", blocks.n_blocks, "block")
                try:
                    bad = blocks.pending(findings.progress)
                finally:
                    findings.progress.stop()
                if encoding.frame and place != cache.path and data.frame(disk) != encoding.frame:
                    findings.fault(
                        place, f"{name}: what it says of its rows is not as it was written", WAY_OUT
                    )
                    return []
        as_written = features_digest(encoding.features) == encoding.digest
    except EOFError as error:
        findings.fault(place, f"{name}: {error}", WAY_OUT)
        return []
    except _UNREADABLE as error:
        findings.fault(place, f"{name} cannot be read ({error})", WAY_OUT)
        return []
    if bad:
        n = counted(len(data.keys), "image") if data is not None else ""
        findings.fault(
            place,
            f"{name}: {counted(len(bad), 'block')} of {n} not as written ({listed(bad, most=5)})",
            _REPAIR,
        )
    elif not as_written:
        findings.fault(place, f"the features of {name} are not as they were written", WAY_OUT)
    elif data is not None and not _are_of(cache, encoding, data):
        findings.fault(place, f"{name}: its rows are of other images than the cache says", WAY_OUT)
    else:
        blocks_of = "" if data is None else f" in {counted(-(-len(data.keys) // data.spec.block), 'block')}"
        n_images = counted(len(encoding.features), "image")
        findings.checked.append(f"{name}: features of {n_images}{blocks_of}, as written")
        if data is None:
            findings.unchecked.append(f"{name} has no checksum for each block, as format 1 has none.")
    return bad


def _data_of(encoding: Encoding) -> DataFile | None:
    """The rows with their checksums; None of format 1, which has none of what is whole."""
    with open_to_read(encoding.place) as file:
        group = rows_of(file, encoding.name)
        return DataFile.read(encoding.place, group) if "checks" in group and "origins" in group else None


def _are_of(cache: Cache, encoding: Encoding, data: DataFile) -> bool:
    """Whether the rows are of the images that the encoding is said to be of."""
    if encoding.images_key != cache.tables.images_key:
        return data.images_key == encoding.images_key
    return np.array_equal(data.keys, cache.tables.keys)


def verify_partial(path: Path, findings: Findings) -> None:
    """Count the blocks of an encoding that grows; those that did not reach the disk are computed again by `extract`."""
    way_out = "remove it: `lymphofeat extract` begins that encoding anew"
    try:
        with open_checked(path) as file:
            if DATA_GROUP not in file:
                findings.checked.append(f"{path.name}: begun by an earlier version")
                return
            data = DataFile.read(path, file[DATA_GROUP])
        with FileDisk.open(path) as disk:
            blocks = data.blocks(disk)
            written, pending = int(blocks.written().sum()), len(blocks.pending())
    except CacheError as error:
        findings.error(path, error)
        return
    except (EOFError, *_UNREADABLE) as error:
        findings.fault(path, f"cannot be read ({error})", way_out)
        return
    there = blocks.n_blocks - pending
    torn = (
        f"; {written - there} more did not reach the disk and are computed again" if written > there else ""
    )
    findings.checked.append(f"{path.name}: {there} of {blocks.n_blocks} blocks are there, as written{torn}")

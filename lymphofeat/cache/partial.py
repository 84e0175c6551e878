"""An encoding that grows in a file of its own, so that a kill at any moment loses at most the blocks in flight."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoder.identity import difference
from ..encoder.morphology.quality import NO_NUCLEUS
from ..errors import CacheError, StaleCacheError
from ..storage.arrays import array_bytes
from ..storage.atomic import atomic_write
from ..storage.checked import Disk, FileDisk
from .data_file import ROW_PARTS, DataFile, create_data_file, origin_of
from .known import find_rows
from .layout import DATA_GROUP, open_checked
from .learnt import Learnt
from .refusal import room_for, whole
from .source import RowSource, is_bad, source_of, source_of_format_1
from .spec import EncodingSpec
from .tables import CohortTables

__all__ = ["PartialEncoding", "features_digest", "refuse_bad"]


class PartialEncoding:
    """An encoding under way: which images are missing, and where to put their features.

    `CacheWriter.begin` makes one, and `CacheWriter.finish` puts it into the cache. Features of images that are known
    from `sources`, or from an earlier run of other images, are taken from there. The others are computed in units: the
    images that are missing of one block, or of some blocks one after another, together at most `spec.block`. `write`
    may be called from several threads, for different units.

    Args:
        path: the partial file; what an earlier run left there goes on.
        tables: of the cohort as it is now.
        spec: what is asked for.
        anew: begin from nothing, whatever lies there.
        sources: encodings of the same encoder.
        learnt: whom the encoder learnt from; kept in the file.
        network: digest of the trained network that computes the features; "" of one that is not trained here.
        disk: opens the file to be written; a test puts a disk that loses power in its place.

    Attributes:
        path, tables: as given.
        spec: of the file, which may differ from the one asked for in what is no identity only.
        note: what became of an earlier run's blocks, for people; "" if there is nothing to say.
        network: as given.
        n_known_before: images that the cache, or a run on other images, knew.
    """

    def __init__(
        self,
        path: Path,
        tables: CohortTables,
        spec: EncodingSpec,
        *,
        anew: bool = False,
        sources: Sequence[RowSource] = (),
        learnt: Learnt | None = None,
        network: str = "",
        disk: Callable[[Path], Disk] | None = None,
    ) -> None:
        self.path, self.tables, self.network, self._asked = path, tables, network, spec
        self._sources, self.note = list(sources), ""
        if anew:
            path.unlink(missing_ok=True)
        goes_on, before = self._left(network) if path.exists() else (False, None)
        if before is not None:
            self._sources.insert(0, before)
        if not goes_on:
            self._create(spec if before is None else before.spec, learnt, network)
        with whole(path), open_checked(path) as file:
            self._data = DataFile.read(path, file[DATA_GROUP])
        self.spec = self._data.spec
        self._held = ExitStack()
        self._disk = disk(path) if disk else self._held.enter_context(FileDisk.open(path, write=True))
        self._blocks = self._data.blocks(self._disk)
        self._open_units()
        self._origins: dict[str, int] = {}  # by their text
        self._origin = self._slot_of(origin_of(spec)) if self._units else 0
        if before is not None:
            self.note = self._what_became_of(before)

    def _left(self, network: str) -> tuple[bool, RowSource | None]:
        """What an earlier run left: whether it simply goes on, and else what rows are taken from.

        Raises:
            StaleCacheError: it was begun with other settings, or from another cohort.
        """
        with whole(self.path), open_checked(self.path) as file:
            if DATA_GROUP in file:
                found: DataFile | RowSource = DataFile.read(self.path, file[DATA_GROUP])
            else:
                found = source_of_format_1(file, next(iter(file["encodings"].values())))
        if differing := difference(found.spec.lasting, self._asked.lasting):
            raise StaleCacheError(
                f"{self.path} was begun with other settings ({differing}); "
                "give the settings of the first run to continue it, or --force to start again."
            )
        if (found.network if isinstance(found, DataFile) else "") != network:
            return False, None  # of another network of that name, or of one that the file does not tell
        same = isinstance(found, DataFile) and found.images_key == self.tables.images_key
        if same and np.array_equal(found.keys, self.tables.keys):  # a damaged key would stay in the data file
            return True, None
        shared = int((find_rows(found.keys, self.tables.keys) >= 0).sum())
        if 2 * shared < len(self.tables.keys):
            raise StaleCacheError(
                f"{self.path} was begun with another cohort: {shared:,} of the {len(self.tables.keys):,} images here "
                "are among its images; name another --cache, or give --force to start again."
            )
        return False, source_of(found) if isinstance(found, DataFile) else found

    def _create(self, spec: EncodingSpec, learnt: Learnt | None, network: str) -> None:
        """A new, empty partial file at `path`; what lay there stays mapped where it is a source."""
        kept = (
            "what an earlier run finished is kept there" if self.path.exists() else "nothing was computed yet"
        )
        with room_for(self.path, kept), atomic_write(self.path) as temporary:
            create_data_file(temporary, self.tables, spec, learnt=learnt, network=network)

    def _open_units(self) -> None:
        """Take what is known, and put what is missing into units."""
        pending = self._blocks.pending()
        torn = int(self._blocks.written().sum()) - (self._blocks.n_blocks - len(pending))
        if torn:
            self.note = f"{torn} blocks of {self.path} did not read back as written and are computed again"
        self._from = np.full(len(self._data.keys), -1, dtype=np.int64)  # which source knows a row
        self._at = self._from.copy()  # and where in it
        rows = np.concatenate([self._rows(block) for block in pending] or [self._from[:0]])
        for number, source in enumerate(self._sources):
            unknown = rows[self._from[rows] < 0]
            found = unknown if source.in_place else find_rows(source.keys, self._data.keys[unknown])
            there = found >= 0
            there[there] = source.usable[found[there]]
            self._from[unknown[there]], self._at[unknown[there]] = number, found[there]
        self._slots = [
            self._slots_for(source) if (self._from == n).any() else {}
            for n, source in enumerate(self._sources)
        ]
        self._units: dict[int, tuple[list[int], NDArray[np.int64]]] = {}
        last: list[int] = []
        for block in pending:
            wanted = self._rows(block)
            wanted = wanted[self._from[wanted] < 0]
            if not len(wanted):
                self._write_block(block, {})
            elif last and len(self._units[last[0]][1]) + len(wanted) <= self.spec.block:
                last.append(block)
                self._units[last[0]] = (last, np.concatenate([self._units[last[0]][1], wanted]))
            else:
                last = [block]
                self._units[block] = (last, wanted)
        self.n_known_before = int((self._from >= 0).sum())

    def _slots_for(self, source: RowSource) -> dict[int, int]:
        """The numbers that a source's origins have in this file."""
        used = np.unique(source.origin[source.usable])
        about = [source.origins[k] if k < len(source.origins) else {} for k in used.tolist()]
        return {int(k): self._data.add_origin(self._disk, a) for k, a in zip(used, about, strict=True)}

    def _what_became_of(self, before: RowSource) -> str:
        kept = (
            int(before.usable[np.unique(self._at[self._from == 0])].sum()) if (self._from == 0).any() else 0
        )
        lost = int(before.usable.sum()) - kept
        return (
            f"images changed: {kept:,} of {kept + lost:,} finished images of {self.path} are used"
            if lost
            else ""
        )

    @property
    def pending(self) -> list[int]:
        """Units not yet written, in order."""
        return sorted(self._units)

    @property
    def n_done(self) -> int:
        """Images whose features are there, or are known."""
        return len(self._data.keys) - sum(len(rows) for _, rows in self._units.values())

    @property
    def features(self) -> NDArray[np.float32]:
        """(n_images, D) float32, mapped; zeros where nothing was written yet."""
        return self._data.features

    @property
    def quality(self) -> NDArray[np.uint8]:
        """(n_images,) uint8 of named features, see `write`; 0 where nothing was written yet."""
        assert self._data.quality is not None, "the features have names"
        return self._data.quality

    def computed_with(self, found: Mapping[str, str]) -> None:
        """Say what computes the features that `write` is given next, where it is not this process.

        Args:
            found: as of `lymphofeat.encoder.frozen.computed_with`.
        """
        here = origin_of(self._asked)
        self._origin = self._slot_of({key: found.get(key, value) for key, value in here.items()})

    def _slot_of(self, origin: Mapping[str, Any]) -> int:
        text = json.dumps(origin, sort_keys=True)
        if text not in self._origins:
            self._origins[text] = self._data.add_origin(self._disk, origin)
        return self._origins[text]

    def rows(self, unit: int) -> NDArray[np.int64]:
        """The images of a unit, ascending: those that are missing."""
        return self._units[unit][1]

    def write(
        self, unit: int, features: NDArray[np.float32], quality: NDArray[np.uint8] | None = None
    ) -> None:
        """Store the features of a unit's images, (n, D) float32, block by block, each with its checksum.

        Named features come with their quality, (n,) uint8. Those of images without a nucleus may be NaN; until
        `replace_rows` gives them other values.

        A kill leaves what was written so far, in this order. A power cut may leave the pages in any order; a block
        whose rows are lost then fails its checksum, when the file is opened again.

        Raises:
            CacheError: an image's features are NaN, infinite or all zero; nothing of the unit is stored.
        """
        blocks, rows = self._units[unit]
        measured = features if quality is None else np.where(quality[:, None] == NO_NUCLEUS, 1, features)
        refuse_bad(self.tables, measured, rows)
        given: dict[str, NDArray[Any]] = {
            "features": features,
            "origin": np.full(len(rows), self._origin, np.uint8),
        }
        if quality is not None:
            given["quality"] = quality
        for block in blocks:
            of_block = np.isin(rows, self._rows(block))
            self._write_block(block, {part: values[of_block] for part, values in given.items()})
        del self._units[unit]

    def replace_rows(self, images: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Store other features, (n, D) float32, of some images of blocks that were written."""
        for block in np.unique(images // self.spec.block).tolist():
            rows = self._rows(block)
            parts = self._data.parts(rows)
            chosen = images // self.spec.block == block
            parts["features"][images[chosen] - rows[0]] = features[chosen]
            self._blocks.write(block, *self._bytes(parts))

    def _write_block(self, block: int, given: dict[str, NDArray[Any]]) -> None:
        """Put a block together from what is known and what was computed of it."""
        rows = self._rows(block)
        parts = self._data.empty_parts(len(rows))
        for name, values in given.items():
            parts[name][self._from[rows] < 0] = values
        for number, source in enumerate(self._sources):
            here = self._from[rows] == number
            if here.any():
                at = self._at[rows[here]]
                parts["features"][here] = source.features[at]
                slots = self._slots[number]
                parts["origin"][here] = [slots[k] for k in source.origin[at].tolist()]
                if "quality" in parts:
                    assert source.quality is not None, "the same encoder"
                    parts["quality"][here] = source.quality[at]
        self._blocks.write(block, *self._bytes(parts))

    def _rows(self, block: int) -> NDArray[np.int64]:
        rows = self._blocks.rows(block)
        return np.arange(rows.start, rows.stop)

    def _bytes(self, parts: dict[str, NDArray[Any]]) -> Iterator[bytes]:
        for name in ROW_PARTS:
            if name in parts:
                kind = "<f4" if name == "features" else np.uint8
                yield array_bytes(np.ascontiguousarray(parts[name], dtype=kind))

    def flush(self) -> None:
        """Bring what was written to the disk (a kill needs no flush; a power cut does)."""
        self._blocks.sync()

    def finished(self) -> str:
        """Bring the whole encoding to the disk: the digest of its features.

        Raises:
            CacheError: blocks are missing.
        """
        if self._units:
            raise CacheError(f"{self.path}: {len(self._units)} blocks are missing; run the command again.")
        self.flush()
        return self._data.digest(self._disk)

    def frame(self) -> str:
        """Digest of all of the file but the rows, see `DataFile.frame`."""
        return self._data.frame(self._disk)

    def close(self) -> None:
        """Give the file back."""
        self._held.close()


def refuse_bad(
    tables: CohortTables, features: NDArray[np.float32], rows: NDArray[np.int64] | None = None
) -> None:
    """Refuse features that no encoder gives for an image.

    Args:
        tables: whose images they are of.
        features: (n, D).
        rows: (n,) the images' numbers; all images if None.

    Raises:
        CacheError: an image's features are NaN, infinite or all zero.
    """
    bad = is_bad(features)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        row = first if rows is None else int(rows[first])
        raise CacheError(
            f"patient {tables.patients['id'].iloc[tables.owners[row]]}, image {tables.names[row]}: the "
            "encoder gave NaN, infinite or all-zero features; check the weights, or try --dtype float32."
        )


def features_digest(features: NDArray[Any]) -> str:
    """Hex digest of an array's bytes."""
    return blake2b(np.ascontiguousarray(features).data, digest_size=16).hexdigest()

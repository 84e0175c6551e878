"""An encoding that grows in a file of its own, so that a kill at any moment loses at most the blocks in flight."""

import zlib
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..encoder.identity import difference
from ..encoder.morphology.quality import NO_NUCLEUS
from ..errors import CacheError, StaleCacheError
from ..storage.atomic import atomic_write
from .changes import check_fresh, same_images
from .layout import (
    CohortTables,
    EncodingSpec,
    create_encoding,
    create_file,
    encoding_size,
    map_dataset,
    open_checked,
    read_tables,
)
from .refusal import room_for

__all__ = ["PartialEncoding", "features_digest", "refuse_bad"]


class PartialEncoding:
    """An encoding under way: which blocks are missing, and where to put them.

    `CacheWriter.begin` makes one, and `CacheWriter.finish` puts it into the cache. `write` may be called from several
    threads, for different blocks.

    Args:
        path: the partial file; what an earlier run left there goes on.
        tables: of the cohort as it is now.
        spec: what is asked for.
        anew: begin from nothing, whatever lies there.

    Attributes:
        path, tables: as given.
        spec: of the file, which may differ from the one asked for in what is no identity only.
        note: what became of an earlier run's blocks, for people; "" if there is nothing to say.
    """

    def __init__(self, path: Path, tables: CohortTables, spec: EncodingSpec, *, anew: bool = False) -> None:
        self.path, self.tables, self._asked = path, tables, spec
        self.note = ""
        if anew:
            self.path.unlink(missing_ok=True)
        self.spec = self._resumed(spec) if self.path.exists() else self._created(spec)
        with open_checked(self.path) as file:
            group = file["encodings"][spec.name]
            self._features, self._done, self._checks = _mapped(self.path, group, "r+")
            self._quality = map_dataset(self.path, group["quality"], "r+") if "quality" in group else None
        if torn := [b for b in np.flatnonzero(self._done) if not self._is_as_written(int(b))]:
            self._done[torn] = 0
            self.note = (
                f"{len(torn)} blocks of {self.path} did not read back as written and are computed again"
            )

    def _created(self, spec: EncodingSpec, old: Path | None = None) -> EncodingSpec:
        """A new partial file, with the blocks of `old` whose images are the same ones in the same order."""
        kept = "nothing was computed yet" if old is None else "what an earlier run finished is kept there"
        with room_for(self.path, kept), atomic_write(self.path) as temporary:
            create_file(temporary, self.tables, encoding_size(spec, self.tables.n_images))
            with h5py.File(temporary, "r+") as file:
                create_encoding(file, spec, self.tables.n_images)
                if old is not None:
                    self._carry_over(old, file["encodings"][spec.name], spec)
        return spec

    def _resumed(self, spec: EncodingSpec) -> EncodingSpec:
        """The spec of the file on disk, which may differ from the one asked for in what is no identity only.

        Features by an encoder that saw no labels depend on nothing but the image. When images were replaced or removed
        since (`extract` asks for it where one cannot be decoded), the blocks of the others are therefore kept.
        """
        with open_checked(self.path) as file:
            found = EncodingSpec.from_json(str(file["encodings"][spec.name].attrs["spec"]))
            tables = read_tables(file)
        if differing := difference(found.identity, spec.identity):
            raise StaleCacheError(
                f"{self.path} was begun with other settings ({differing}); "
                "give the settings of the first run to continue it, or --force to start again."
            )
        if spec.blind_to is not None or not _mostly_the_same(tables, self.tables):
            check_fresh(self.path, tables, self.tables)
        elif not same_images(tables, self.tables):
            self._created(found, old=self.path)
        return found

    def _carry_over(self, old: Path, new: h5py.Group, spec: EncodingSpec) -> None:
        with open_checked(old) as file:
            digests = read_tables(file).digests
            group = file["encodings"][spec.name]
            features, done, checks = _mapped(old, group, "r")
            quality = group["quality"][:] if "quality" in group else None
        wanted = {tuple(self.tables.digests[self._rows(spec, b)]): b for b in range(len(new["done"]))}
        kept = 0
        for b in np.flatnonzero(done):
            rows = self._rows(spec, int(b), len(digests))
            target = wanted.get(tuple(digests[rows]))
            flags = None if quality is None else quality[rows]
            if target is not None and _is_as_written(
                features[rows], None if checks is None else int(checks[b]), flags
            ):
                new["features"][self._rows(spec, target)] = features[rows]
                if flags is not None:
                    new["quality"][self._rows(spec, target)] = flags
                new["checks"][target], new["done"][target] = _check(features[rows], flags), 1
                kept += 1
        lost = int(np.count_nonzero(done)) - kept
        if lost:
            self.note = f"images changed: {lost} of {kept + lost} finished blocks of {old} are computed again"

    @property
    def pending(self) -> list[int]:
        """Blocks not yet written, in order."""
        return [int(b) for b in np.flatnonzero(self._done == 0)]

    @property
    def n_done(self) -> int:
        """Images already written."""
        return sum(self.rows(int(b)).stop - self.rows(int(b)).start for b in np.flatnonzero(self._done))

    @property
    def features(self) -> NDArray[np.float32]:
        """(n_images, D) float32, zeros where nothing was written yet."""
        return np.asarray(self._features)

    def rows(self, block: int) -> slice:
        """The images of a block."""
        return self._rows(self.spec, block)

    def _rows(self, spec: EncodingSpec, block: int, n_images: int | None = None) -> slice:
        return slice(block * spec.block, min((block + 1) * spec.block, n_images or self.tables.n_images))

    @property
    def quality(self) -> NDArray[np.uint8]:
        """(n_images,) uint8 of named features, see `write`; 0 where nothing was written yet."""
        assert self._quality is not None, "the features have names"
        return np.asarray(self._quality)

    def write(
        self, block: int, features: NDArray[np.float32], quality: NDArray[np.uint8] | None = None
    ) -> None:
        """Store a block's features, (rows, D) float32, then their checksum, then the block's flag.

        Named features come with their quality, (rows,) uint8. Those of images without a nucleus may be NaN; until
        `replace_rows` gives them other values.

        A kill leaves what was written so far, in this order. A power cut may leave the pages in any order, so that a
        block may be flagged whose rows are lost; its checksum tells, when the file is opened again.

        Raises:
            CacheError: an image's features are NaN, infinite or all zero; nothing of the block is stored.
        """
        rows = self.rows(block)
        measured = features if quality is None else np.where(quality[:, None] == NO_NUCLEUS, 1, features)
        refuse_bad(self.tables, measured, rows.start)
        if quality is not None:
            self.quality[rows] = quality
        self._features[rows] = features
        if self._checks is not None:
            self._checks[block] = _check(self._features[rows], self._flags(rows))
        self._done[block] = 1

    def replace_rows(self, images: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Store other features, (n, D) float32, of some images of blocks that were written."""
        self._features[images] = features
        for block in np.unique(images // self.spec.block).tolist():
            if self._checks is not None:
                rows = self.rows(block)
                self._checks[block] = _check(self._features[rows], self._flags(rows))

    def _is_as_written(self, block: int) -> bool:
        rows, checks = self.rows(block), self._checks
        return _is_as_written(
            self._features[rows], None if checks is None else int(checks[block]), self._flags(rows)
        )

    def _flags(self, rows: slice) -> NDArray[np.uint8] | None:
        return None if self._quality is None else self.quality[rows]

    def flush(self) -> None:
        """Bring what was written to the disk (a kill needs no flush; a power cut does)."""
        for part in (self._features, self._quality, self._checks, self._done):  # no flag before its rows
            if part is not None:
                part.flush()  # type: ignore[attr-defined]

    def finished(self) -> tuple[str, dict[str, Any]]:
        """Bring the whole encoding to the disk: the digest of its features, and its provenance if that is mixed.

        Raises:
            CacheError: blocks are missing.
        """
        if self.pending:
            raise CacheError(f"{self.path}: {len(self.pending)} blocks are missing; run the command again.")
        self.flush()
        mixed = self._asked.provenance != self.spec.provenance
        return features_digest(self._features), {"finished_with": self._asked.provenance} if mixed else {}

    def remove(self) -> None:
        """Unmap and remove the file."""
        del self._features, self._done, self._checks, self._quality
        self.path.unlink()


def refuse_bad(tables: CohortTables, features: NDArray[np.float32], first: int = 0) -> None:
    """Refuse features that no encoder gives for an image.

    Args:
        tables: whose images they are of.
        features: (rows, D) of the images from `first` on.
        first: the first image's number.

    Raises:
        CacheError: an image's features are NaN, infinite or all zero.
    """
    bad = _is_bad(features)
    if bad.any():
        row = first + int(np.flatnonzero(bad)[0])
        patient = int(np.searchsorted(np.cumsum(tables.patients["n_images"]), row, side="right"))
        raise CacheError(
            f"patient {tables.patients['id'].iloc[patient]}, image {tables.names[row]}: the "
            "encoder gave NaN, infinite or all-zero features; check the weights, or try --dtype float32."
        )


def features_digest(features: NDArray[Any]) -> str:
    """Hex digest of an array's bytes."""
    return blake2b(np.ascontiguousarray(features).data, digest_size=16).hexdigest()


def _mapped(
    path: Path, group: h5py.Group, mode: str
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Features, flags and checksums of a growing encoding; files of earlier versions have no checksums."""
    features, done = (map_dataset(path, group[name], mode) for name in ("features", "done"))
    return features, done, map_dataset(path, group["checks"], mode) if "checks" in group else None


def _check(features: NDArray[np.float32], quality: NDArray[np.uint8] | None = None) -> int:
    of_features = zlib.crc32(np.ascontiguousarray(features).data.cast("B"))
    return of_features if quality is None else zlib.crc32(quality.tobytes(), of_features)


def _is_as_written(
    features: NDArray[np.float32], check: int | None, quality: NDArray[np.uint8] | None = None
) -> bool:
    """By the checksum; without one, by what no block that was written can hold."""
    return not _is_bad(features).any() if check is None else _check(features, quality) == check


def _is_bad(features: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(rows,) whether a row holds what no encoder gives for an image."""
    return np.asarray(~np.isfinite(features).all(axis=1) | ~features.any(axis=1))


def _mostly_the_same(found: CohortTables, now: CohortTables) -> bool:
    """Whether most images are the same files: the same cohort, images of which were replaced or removed."""
    known = set(found.digests) - {""}
    return 2 * sum(digest in known for digest in now.digests) >= len(now.digests)

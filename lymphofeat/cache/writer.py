"""Writing an encoding so that a kill at any moment loses at most the blocks in flight."""

import contextlib
import glob
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..encoder.identity import difference
from ..errors import CacheError, StaleCacheError
from ..storage.atomic import atomic_write, check_place, leftovers
from ..storage.locks import locked
from .changes import check_fresh, same_folds, same_images, same_labels
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


def partial_path(cache: Path, name: str) -> Path:
    """Where encoding `name` grows until it is whole."""
    return cache.with_name(f"{cache.name}.{name}.partial")


def partials(cache: Path) -> Iterator[tuple[Path, int, int]]:
    """The encodings of this cache that were begun and not finished: file, blocks done, blocks in all."""
    for path in sorted(cache.parent.glob(f"{glob.escape(cache.name)}.*.partial")):
        with open_checked(path) as file:
            for group in file["encodings"].values():
                yield path, int(group["done"][:].sum()), len(group["done"])


@contextlib.contextmanager
def writing(cache: Path) -> Iterator[None]:
    """Hold the cache's write lock, which the system drops when the process ends, however it ends.

    Raises:
        InputError: `cache` is a folder.
        CacheError: another process holds it, or the folder cannot be written.
    """
    check_place(cache)
    with locked(cache, CacheError, way_out=", or name another --cache"):
        remove_leftovers(cache.parent, cache.name)
        yield


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what killed runs left of the cache `name` and of its partial files, or, if `name` is "", of all files.

    Nobody else writes them while the cache's lock is held.
    """
    for path, target in leftovers(folder):
        if not name or target == name or (target.startswith(f"{name}.") and target.endswith(".partial")):
            path.unlink(missing_ok=True)


class PartialEncoding:
    """An encoding under way: which blocks are missing, and where to put them.

    Use inside `writing(cache)`. `write` may be called from several threads, for different blocks.

    Attributes:
        note: what became of an earlier run's blocks, for people; "" if there is nothing to say.
    """

    def __init__(self, cache: Path, tables: CohortTables, spec: EncodingSpec, *, anew: bool = False) -> None:
        self.cache, self.tables, self._asked = cache, tables, spec
        self.path = partial_path(cache, spec.name)
        self.note = ""
        if anew:
            self.path.unlink(missing_ok=True)
        self.spec = self._resumed(spec) if self.path.exists() else self._created(spec)
        with open_checked(self.path) as file:
            self._features, self._done, self._checks = _mapped(self.path, file["encodings"][spec.name], "r+")
        if torn := [b for b in np.flatnonzero(self._done) if not self._is_as_written(int(b))]:
            self._done[torn] = 0
            self.note = (
                f"{len(torn)} blocks of {self.path} did not read back as written and are computed again"
            )

    def _created(self, spec: EncodingSpec, old: Path | None = None) -> EncodingSpec:
        """A new partial file, with the blocks of `old` whose images are the same ones in the same order."""
        self._check_encoder_family(spec)
        kept = "nothing was computed yet" if old is None else "what an earlier run finished is kept there"
        with _room(self.path, kept), atomic_write(self.path) as temporary:
            create_file(temporary, self.tables, encoding_size(spec, self.tables.n_images))
            with h5py.File(temporary, "r+") as file:
                create_encoding(file, spec, self.tables.n_images)
                if old is not None:
                    self._carry_over(old, file["encodings"][spec.name], spec)
        return spec

    def _check_encoder_family(self, spec: EncodingSpec) -> None:
        """Refuse an encoder family in which some encoders saw labels and others none: a fold would be given either."""
        if not self.cache.exists():
            return
        with open_checked(self.cache) as file:
            others = [EncodingSpec.from_json(str(g.attrs["spec"])) for g in file["encodings"].values()]
        for other in others:
            if other.encoder_family == spec.encoder_family and (other.blind_to is None) != (
                spec.blind_to is None
            ):
                raise CacheError(
                    f"{self.cache} holds an encoding {other.name} of the encoder family {spec.encoder_family}, in "
                    f"which encoders trained on labels and encoders that saw none would be mixed by {spec.name}; give "
                    "the new one another --name."
                )

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
                "give the settings of the first run to go on with it, or --force to begin anew."
            )
        if spec.blind_to is not None or not _mostly_the_same(tables, self.tables):
            check_fresh(self.path, tables, self.tables)
        elif not same_images(tables, self.tables):
            self._created(found, old=self.path)
        return found

    def _carry_over(self, old: Path, new: h5py.Group, spec: EncodingSpec) -> None:
        with open_checked(old) as file:
            digests = read_tables(file).digests
            features, done, checks = _mapped(old, file["encodings"][spec.name], "r")
        wanted = {tuple(self.tables.digests[self._rows(spec, b)]): b for b in range(len(new["done"]))}
        kept = 0
        for b in np.flatnonzero(done):
            rows = self._rows(spec, int(b), len(digests))
            target = wanted.get(tuple(digests[rows]))
            if target is not None and _is_as_written(
                features[rows], None if checks is None else int(checks[b])
            ):
                new["features"][self._rows(spec, target)] = features[rows]
                new["checks"][target], new["done"][target] = _check(features[rows]), 1
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

    def write(self, block: int, features: NDArray[np.float32]) -> None:
        """Store a block's features, (rows, D) float32, then their checksum, then the block's flag.

        A kill leaves what was written so far, in this order. A power cut may leave the pages in any order, so that a
        block may be flagged whose rows are lost; its checksum tells, when the file is opened again.

        Raises:
            CacheError: an image's features are NaN, infinite or all zero; nothing of the block is stored.
        """
        rows = self.rows(block)
        refuse_bad(self.tables, features, rows.start)
        self._features[rows] = features
        if self._checks is not None:
            self._checks[block] = _check(self._features[rows])
        self._done[block] = 1

    def _is_as_written(self, block: int) -> bool:
        return _is_as_written(
            self._features[self.rows(block)], None if self._checks is None else int(self._checks[block])
        )

    def flush(self) -> None:
        """Bring what was written to the disk (a kill needs no flush; a power cut does)."""
        for part in (self._features, self._checks, self._done):  # no flag before its rows
            if part is not None:
                part.flush()  # type: ignore[attr-defined]

    def finish(
        self,
        end_to_end: NDArray[np.float64] | None = None,
        *,
        made: Mapping[str, Any] | None = None,
        default: bool = True,
    ) -> None:
        """Verify the encoding, put it into the cache beside those already there, remove the partial file.

        Args:
            end_to_end: (n_patients,) the fine-tuned network's own probabilities of malignant, all patients in
                the cache's order; None for an encoder without a head of its own.
            made: what is known only afterwards, as JSON values of at most some 60 kB: `seconds` that it took in
                all runs together, `history` of the training, …
            default: whether its encoder family becomes the one that `tune` uses unless told otherwise; not so for
                control experiments. The first encoding of a cache is the default in any case.

        Raises:
            CacheError: blocks are missing, a probability is none, the disk is full, or what was written does not read
                back. The partial file stays, so that the same command only has to write the cache.
        """
        if self.pending:
            raise CacheError(f"{self.path}: {len(self.pending)} blocks are missing; run the command again.")
        own = None if end_to_end is None else own_probabilities(self.tables, self.spec.name, end_to_end)
        self.flush()
        digest = features_digest(self._features)
        name = self.spec.name
        made = dict(made or {})
        if self._asked.provenance != self.spec.provenance:
            made["finished_with"] = self._asked.provenance
        kept = f"all features are kept in {self.path}"
        with _room(self.cache, kept), atomic_write(self.cache) as temporary:
            create_file(temporary, self.tables, _size(self.cache) + _size(self.path))
            with h5py.File(temporary, "r+") as new, open_checked(self.path) as partial:
                _copy_encodings(self.cache, self.tables, new, without=name)
                partial.copy(f"encodings/{name}", new["encodings"])
                group = new["encodings"][name]
                if "checks" in group:
                    del group["checks"]
                group.attrs.update({"complete": True, "digest": digest, "made": json.dumps(made)})
                if own is not None:
                    group.create_dataset("end_to_end", data=own)
                if default or "latest" not in new.attrs:
                    new.attrs["latest"] = self.spec.encoder_family
            _verify(temporary, name, digest)
        del self._features, self._done, self._checks
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


def own_probabilities(
    tables: CohortTables, name: str, end_to_end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n_patients,) float64, checked.

    Raises:
        CacheError: not one probability per patient.
    """
    own = np.asarray(end_to_end, dtype=np.float64)
    n_patients = len(tables.patients)
    if own.shape != (n_patients,) or not ((own >= 0) & (own <= 1)).all():
        raise CacheError(
            f"{name}: end_to_end must hold a probability from 0 to 1 for each of the {n_patients} "
            f"patients; it is of shape {own.shape} or holds NaN or other values."
        )
    return own


def update_tables(cache: Path, tables: CohortTables) -> None:
    """Give a cache the clinical values of `tables`, which have the same fingerprint; encodings stay."""
    with _room(cache, "the cache is as it was"), atomic_write(cache) as temporary:
        create_file(temporary, tables, _size(cache))
        with h5py.File(temporary, "r+") as new:
            _copy_encodings(cache, tables, new)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _copy_encodings(cache: Path, tables: CohortTables, new: h5py.File, without: str = "") -> None:
    if not cache.exists():
        return
    with open_checked(cache) as old:
        found = read_tables(old)
        if not same_images(found, tables):
            return  # --force over the cache of another cohort
        as_it_was = same_labels(found, tables) and same_folds(found, tables)
        encoder_families = set()
        for name, group in old["encodings"].items():
            spec = EncodingSpec.from_json(str(group.attrs["spec"]))
            # --force over other labels or folds: encoders that saw no labels give the same features
            if name != without and (as_it_was or spec.blind_to is None):
                old.copy(f"encodings/{name}", new["encodings"])
                encoder_families.add(spec.encoder_family)
        new.attrs["created"] = old.attrs["created"]
        if as_it_was or old.attrs["latest"] in encoder_families:
            new.attrs["latest"] = old.attrs["latest"]


def _verify(path: Path, name: str, digest: str) -> None:
    with open_checked(path) as file:
        found = features_digest(map_dataset(path, file["encodings"][name]["features"], "r"))
    if found != digest:
        raise CacheError(f"{path}: encoding {name} did not read back as written; check the disk, run again.")


def features_digest(features: NDArray[Any]) -> str:
    """Hex digest of an array's bytes."""
    return blake2b(np.ascontiguousarray(features).data, digest_size=16).hexdigest()


def _mapped(
    path: Path, group: h5py.Group, mode: str
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Features, flags and checksums of a growing encoding; files of earlier versions have no checksums."""
    features, done = (map_dataset(path, group[name], mode) for name in ("features", "done"))
    return features, done, map_dataset(path, group["checks"], mode) if "checks" in group else None


def _check(features: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(features).data.cast("B"))


def _is_as_written(features: NDArray[np.float32], check: int | None) -> bool:
    """By the checksum; without one, by what no block that was written can hold."""
    return not _is_bad(features).any() if check is None else _check(features) == check


def _is_bad(features: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(rows,) whether a row holds what no encoder gives for an image."""
    return np.asarray(~np.isfinite(features).all(axis=1) | ~features.any(axis=1))


def _mostly_the_same(found: CohortTables, now: CohortTables) -> bool:
    """Whether most images are the same files: the same cohort, images of which were replaced or removed."""
    known = set(found.digests) - {""}
    return 2 * sum(digest in known for digest in now.digests) >= len(now.digests)


@contextlib.contextmanager
def _room(path: Path, kept: str) -> Iterator[None]:
    """Word what h5py and the system say of a disk that is full or cannot be written.

    Raises:
        CacheError: with what is `kept`.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise CacheError(
            f"{path} cannot be written ({_cause(error)}): {kept}; make room, or free the folder, and run the same "
            "command again."
        ) from error


def _cause(error: BaseException) -> str:
    """What the system said; h5py hides it in a long text, or in the error that was being handled."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        links.append(link)
        link = link.__cause__ or link.__context__
    for one in links:
        if isinstance(one, OSError) and one.errno:
            return os.strerror(one.errno)
        if found := re.search(r"error message = '([^']+)'", str(one)):
            return found[1]
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__

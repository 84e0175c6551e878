"""The one writer of a cache file, from the first look at it to the last encoding that is put into it."""

import glob
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from ..encoder.identity import difference
from ..errors import CacheError, StaleCacheError
from ..storage.atomic import atomic_write, check_place, leftovers
from ..storage.locks import locked
from .changes import check_fresh, same_folds, same_images, same_labels, with_kept_folds
from .layout import CohortTables, EncodingSpec, create_file, map_dataset, open_checked, read_tables
from .partial import PartialEncoding, features_digest
from .pseudonyms import refuse_other_ids
from .reader import Cache, open_cache
from .refusal import room_for

__all__ = ["CacheWriter", "own_probabilities", "partials", "remove_leftovers"]


def partials(cache: Path) -> Iterator[tuple[Path, int, int]]:
    """The encodings of this cache that were begun and not finished: file, blocks done, blocks in all."""
    for path in sorted(cache.parent.glob(f"{glob.escape(cache.name)}.*.partial")):
        with open_checked(path) as file:
            for group in file["encodings"].values():
                yield path, int(group["done"][:].sum()), len(group["done"])


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what killed runs left of the cache `name` and of its partial files, or, if `name` is "", of all files.

    Nobody else writes them while the cache's lock is held.
    """
    for path, target in leftovers(folder):
        if not name or target == name or (target.startswith(f"{name}.") and target.endswith(".partial")):
            path.unlink(missing_ok=True)


class CacheWriter:
    """Owns a cache file while a command writes it: the path, the lock, the partial files, the tables.

    A context that a command enters once. The system drops the lock when the process ends, however it ends; whoever is
    given the writer may therefore write, and nobody else does. The cache itself is never changed in place: a new one is
    written beside it and renamed over it.

    Args:
        path: the cache; it need not exist.
        tables: of the cohort as it is now.
        force: replace what is there and does not fit: the cache of another state of the cohort (what does not fit is
            left out when it is written next), an encoding of that name, a partial file.

    Attributes:
        path, force: as given.
        tables: inside the context, with the folds that are in use in the cache.

    Raises:
        InputError: on entering: `path` is a folder.
        CacheError: on entering: another process holds the lock, or the folder cannot be written.
        StaleCacheError: on entering: the cache is of another state of the cohort, and `force` is false; or it holds
            pseudonyms and the tables do not, or the reverse.
    """

    def __init__(self, path: Path, tables: CohortTables, *, force: bool = False) -> None:
        self.path, self.tables, self.force = path, tables, force
        self._found: Cache | None = None
        self._held = ExitStack()

    def __enter__(self) -> Self:
        check_place(self.path)
        with ExitStack() as entering:
            entering.enter_context(locked(self.path, CacheError, way_out=", or name another --cache"))
            remove_leftovers(self.folder, self.path.name)
            refuse_other_ids(self.path, pseudonyms=self.tables.pseudonyms)
            self._read()
            if self._found is not None:
                self.tables = with_kept_folds(self._found.tables, self.tables)
                if not self.force:
                    check_fresh(self.path, self._found.tables, self.tables)
            self._held = entering.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    @property
    def folder(self) -> Path:
        """Where the cache lies, and what belongs to it."""
        return self.path.parent

    @property
    def found(self) -> Cache | None:
        """The cache as it is now; None before the first encoding."""
        return self._found

    def partial_path(self, name: str) -> Path:
        """Where the encoding `name` grows until it is whole."""
        return self.path.with_name(f"{self.path.name}.{name}.partial")

    def holds(self, spec: EncodingSpec) -> bool:
        """Whether the cache holds this very encoding and may keep it; never so with `force`.

        Raises:
            StaleCacheError: it holds an encoding of that name with other settings.
        """
        if self.force or self._found is None:
            return False
        encoding = {**self._found.encodings, **self._found.stale}.get(spec.name)
        if encoding is None:
            return False
        if differing := difference(encoding.spec.identity, spec.identity):
            raise StaleCacheError(
                f"{self.path} holds an encoding {spec.name} made with other settings ({differing}); "
                "give another --cache, or --force to replace it."
            )
        return True

    def knows(self, spec: EncodingSpec) -> bool:
        """As `holds`; an encoding of that name with other settings does not count."""
        try:
            return self.holds(spec)
        except StaleCacheError:
            return False

    def begun(self, spec: EncodingSpec) -> bool:
        """Whether a partial file of that name would be gone on with or complained of; never so with `force`."""
        return not self.force and self.partial_path(spec.name).exists()

    def begin(self, spec: EncodingSpec) -> PartialEncoding:
        """The partial encoding of `spec`: what an earlier run left of it, or, with `force` or without one, a new one.

        Raises:
            StaleCacheError: the partial file was begun with other settings, or from another cohort.
            CacheError: the cache has an encoder family of that name in which encoders saw no labels, or these.
        """
        self._check_encoder_family(spec)
        return PartialEncoding(self.partial_path(spec.name), self.tables, spec, anew=self.force)

    def forget(self, name: str) -> None:
        """Remove what was begun of the encoding `name`."""
        self.partial_path(name).unlink(missing_ok=True)

    def finish(
        self,
        partial: PartialEncoding,
        end_to_end: NDArray[np.float64] | None = None,
        *,
        made: Mapping[str, Any] | None = None,
        default: bool = True,
    ) -> None:
        """Verify a whole encoding, put it into the cache beside those already there, remove its partial file.

        Args:
            partial: from `begin`, every block written.
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
        name = partial.spec.name
        digest, provenance = partial.finished()
        own = None if end_to_end is None else own_probabilities(self.tables, name, end_to_end)
        kept = f"all features are kept in {partial.path}"
        with room_for(self.path, kept), atomic_write(self.path) as temporary:
            create_file(temporary, self.tables, _size(self.path) + _size(partial.path))
            with h5py.File(temporary, "r+") as new, open_checked(partial.path) as grown:
                _copy_encodings(self.path, self.tables, new, without=name)
                grown.copy(f"encodings/{name}", new["encodings"])
                group = new["encodings"][name]
                if "checks" in group:
                    del group["checks"]
                about = json.dumps({**(made or {}), **provenance})
                group.attrs.update({"complete": True, "digest": digest, "made": about})
                if own is not None:
                    group.create_dataset("end_to_end", data=own)
                if default or "latest" not in new.attrs:
                    new.attrs["latest"] = partial.spec.encoder_family
            _verify(temporary, name, digest)
        partial.remove()
        self._read()

    def correct_values(self) -> None:
        """Bring corrected clinical values into the cache, which keeps its encodings: most encoders see images only.

        Encodings of those that were trained on the former values are stale from then on; see `Cache.stale`.
        """
        found = self._found
        if found is None or (found.fingerprint, found.tables.reference, found.tables.declared) == (
            self.tables.digest(),
            self.tables.reference,
            self.tables.declared,
        ):
            return
        with room_for(self.path, "the cache is unchanged"), atomic_write(self.path) as temporary:
            create_file(temporary, self.tables, _size(self.path))
            with h5py.File(temporary, "r+") as new:
                _copy_encodings(self.path, self.tables, new)
        self._read()

    def _read(self) -> None:
        self._found = open_cache(self.path) if self.path.exists() else None

    def _check_encoder_family(self, spec: EncodingSpec) -> None:
        """Refuse an encoder family in which some encoders saw labels and others none: a fold would be given either."""
        if self._found is None:
            return
        for encoding in (*self._found.encodings.values(), *self._found.stale.values()):
            other = encoding.spec
            if other.encoder_family == spec.encoder_family and (other.blind_to is None) != (
                spec.blind_to is None
            ):
                raise CacheError(
                    f"{self.path} holds an encoding {other.name} of the encoder family {spec.encoder_family}, in "
                    f"which encoders trained on labels and encoders that saw none would be mixed by {spec.name}; give "
                    "the new one another --name."
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
        raise CacheError(
            f"{path}: encoding {name} did not read back as written; check the disk and run again."
        )

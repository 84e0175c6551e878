"""Writing an encoding so that a kill at any moment loses at most the blocks in flight."""

import contextlib
import glob
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import CacheError, StaleCacheError
from ..files import check_place, leftovers, written_beside
from ..locks import locked
from .layout import (
    CohortTables,
    EncodingSpec,
    create_encoding,
    create_file,
    draw_folds,
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
    """

    def __init__(self, cache: Path, tables: CohortTables, spec: EncodingSpec, *, anew: bool = False) -> None:
        self.cache, self.tables = cache, tables
        self.path = partial_path(cache, spec.name)
        if anew:
            self.path.unlink(missing_ok=True)
        self.spec = self._resumed(spec) if self.path.exists() else self._created(spec)
        with open_checked(self.path) as file:
            group = file["encodings"][spec.name]
            self._features = map_dataset(self.path, group["features"], "r+")
            self._done = map_dataset(self.path, group["done"], "r+")

    def _created(self, spec: EncodingSpec) -> EncodingSpec:
        self._check_family(spec)
        with written_beside(self.path) as beside:
            create_file(beside, self.tables)
            with h5py.File(beside, "r+") as file:
                create_encoding(file, spec, self.tables.n_images)
        return spec

    def _check_family(self, spec: EncodingSpec) -> None:
        """Refuse a family in which some encoders saw labels and others none: a fold would be given either."""
        if not self.cache.exists():
            return
        with open_checked(self.cache) as file:
            others = [EncodingSpec.from_json(str(g.attrs["spec"])) for g in file["encodings"].values()]
        for other in others:
            if other.family == spec.family and (other.blind_to is None) != (spec.blind_to is None):
                raise CacheError(
                    f"{self.cache} holds an encoding {other.name} of the family {spec.family}, in which encoders "
                    f"trained on labels and encoders that saw none would be mixed by {spec.name}; give the new one "
                    "another --name."
                )

    def _resumed(self, spec: EncodingSpec) -> EncodingSpec:
        """The spec of the file on disk, which may differ from the one asked for in the block size only."""
        with open_checked(self.path) as file:
            found = EncodingSpec.from_json(str(file["encodings"][spec.name].attrs["spec"]))
            check_fresh(self.path, read_tables(file), self.tables)
        if replace(found, block=spec.block) != spec:
            raise StaleCacheError(
                f"{self.path} was begun with other settings ({describe_difference(found, spec)}); "
                "give the settings of the first run to go on with it, or --force to begin anew."
            )
        return found

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
        return slice(block * self.spec.block, min((block + 1) * self.spec.block, self.tables.n_images))

    def write(self, block: int, features: NDArray[np.float32]) -> None:
        """Store a block's features, (rows, D) float32, and then its flag.

        Raises:
            CacheError: an image's features are NaN, infinite or all zero; nothing of the block is stored.
        """
        rows = self.rows(block)
        self._check(features, rows.start)
        self._features[rows] = features
        self._done[block] = 1

    def _check(self, features: NDArray[np.float32], first: int) -> None:
        bad = ~np.isfinite(features).all(axis=1) | ~features.any(axis=1)
        if bad.any():
            row = first + int(np.flatnonzero(bad)[0])
            patient = int(np.searchsorted(np.cumsum(self.tables.patients["n_images"]), row, side="right"))
            raise CacheError(
                f"patient {self.tables.patients['id'].iloc[patient]}, image {self.tables.names[row]}: the "
                "encoder gave NaN, infinite or all-zero features; check the weights, or try --dtype float32."
            )

    def flush(self) -> None:
        """Bring what was written to the disk (a kill needs no flush; a power cut does)."""
        self._features.flush()  # type: ignore[attr-defined]
        self._done.flush()  # type: ignore[attr-defined]

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
            default: whether its family becomes the one that `tune` uses unless told otherwise; not so for controls.
                The first encoding of a cache is the default in any case.

        Raises:
            CacheError: blocks are missing, a probability is none, or what was written does not read back.
        """
        if self.pending:
            raise CacheError(f"{self.path}: {len(self.pending)} blocks are missing; run the command again.")
        own = None if end_to_end is None else self._own(end_to_end)
        self.flush()
        digest = features_digest(self._features)
        name = self.spec.name
        with written_beside(self.cache) as beside:
            create_file(beside, self.tables)
            with h5py.File(beside, "r+") as new, open_checked(self.path) as partial:
                _copy_encodings(self.cache, self.tables, new, without=name)
                partial.copy(f"encodings/{name}", new["encodings"])
                group = new["encodings"][name]
                group.attrs.update({"complete": True, "digest": digest, "made": json.dumps(dict(made or {}))})
                if own is not None:
                    group.create_dataset("end_to_end", data=own)
                if default or "latest" not in new.attrs:
                    new.attrs["latest"] = self.spec.family
            _verify(beside, name, digest)
        del self._features, self._done
        self.path.unlink()

    def _own(self, end_to_end: NDArray[np.float64]) -> NDArray[np.float64]:
        own = np.asarray(end_to_end, dtype=np.float64)
        n_patients = len(self.tables.patients)
        if own.shape != (n_patients,) or not ((own >= 0) & (own <= 1)).all():
            raise CacheError(
                f"{self.spec.name}: end_to_end must hold a probability from 0 to 1 for each of the {n_patients} "
                f"patients; it is of shape {own.shape} or holds NaN or other values."
            )
        return own


def update_tables(cache: Path, tables: CohortTables) -> None:
    """Give a cache the clinical values of `tables`, which have the same fingerprint; encodings stay."""
    with written_beside(cache) as beside:
        create_file(beside, tables)
        with h5py.File(beside, "r+") as new:
            _copy_encodings(cache, tables, new)


def _copy_encodings(cache: Path, tables: CohortTables, new: h5py.File, without: str = "") -> None:
    if not cache.exists():
        return
    with open_checked(cache) as old:
        found = read_tables(old)
        if found.fingerprint != tables.fingerprint or not np.array_equal(found.folds, tables.folds):
            return  # --force over a stale cache: its encodings are of other images, labels or folds
        new.attrs.update({"created": old.attrs["created"], "latest": old.attrs["latest"]})
        for name in old["encodings"]:
            if name != without:
                old.copy(f"encodings/{name}", new["encodings"])


def _verify(path: Path, name: str, digest: str) -> None:
    with open_checked(path) as file:
        found = features_digest(map_dataset(path, file["encodings"][name]["features"], "r"))
    if found != digest:
        raise CacheError(f"{path}: encoding {name} did not read back as written; check the disk, run again.")


def features_digest(features: NDArray[Any]) -> str:
    """Hex digest of an array's bytes."""
    return blake2b(np.ascontiguousarray(features).data, digest_size=16).hexdigest()


def describe_difference(found: EncodingSpec, asked: EncodingSpec) -> str:
    """Which settings differ, as `key: found, now asked`."""
    pairs = {**{k: (v, asked.about.get(k)) for k, v in found.about.items()},
             **{k: (found.about.get(k), v) for k, v in asked.about.items()},
             "dim": (found.dim, asked.dim), "blind_to": (found.blind_to, asked.blind_to)}  # fmt: skip
    return "; ".join(f"{k}: {a}, now {b}" for k, (a, b) in sorted(pairs.items()) if a != b)


def check_fresh(path: Path, found: CohortTables, now: CohortTables) -> None:
    """Refuse a file that was made from another cohort than the one given now.

    Raises:
        StaleCacheError: with the first thing that changed: patients, labels, images, or folds.
    """
    reason = _change(found, now)
    if reason:
        raise StaleCacheError(
            f"{path} was made from another state of the cohort: {reason}; "
            "give another --cache to keep both, or --force to replace it."
        )


def _change(found: CohortTables, now: CohortTables) -> str:
    if found.fingerprint == now.fingerprint:
        if found.folds.shape != now.folds.shape or (found.folds != now.folds).any():
            return "the folds were drawn with another seed, number of folds or number of repeats"
        return ""
    old_ids, new_ids = list(found.patients["id"]), list(now.patients["id"])
    if old_ids != new_ids:
        gone, new = sorted(set(old_ids) - set(new_ids)), sorted(set(new_ids) - set(old_ids))
        return f"patients gone: {gone[:3] or 'none'}, new: {new[:3] or 'none'}, or their order changed"
    for column in ("label", "n_images"):
        differ = np.flatnonzero(found.patients[column].to_numpy() != now.patients[column].to_numpy())
        if differ.size:
            i = int(differ[0])
            old, new_value = found.patients[column].iloc[i], now.patients[column].iloc[i]
            return f"{column} of patient {old_ids[i]} was {old} and is {new_value} now"
    for row, (old, new_name) in enumerate(zip(found.names, now.names, strict=True)):
        if old != new_name or found.digests[row] != now.digests[row]:
            return f"image {new_name} is not the one it was ({old})"
    return "its fingerprint differs"


def save_cache(
    path: Path,
    patients: pd.DataFrame,
    features: Mapping[str, NDArray[np.float32]],
    *,
    n_folds: int = 5,
    n_repeats: int = 10,
    fold_seed: int = 0,
    families: Mapping[str, str] | None = None,
    blind_to: Mapping[str, Collection[int] | None] | None = None,
    end_to_end: Mapping[str, NDArray[np.float64]] | None = None,
) -> None:
    """Write a cache from features that come from elsewhere (another toolkit, another kind of image).

    Args:
        path: the cache file; encodings of the same patients that it holds already stay in it.
        patients: columns `lymphofeat.cohort.model.TABLE_COLUMNS`.
        features: per encoding, (n_images, D) float32, the images of each patient contiguous, patients in order.
        n_folds, n_repeats, fold_seed: how the folds are drawn.
        families: the family of each encoding, by default its own name.
        blind_to: the folds whose labels each encoder never saw; None (the default): it saw no labels. This is
            the caller's word, and everything that is scored later rests on it.
        end_to_end: for encodings of fine-tuned networks, (n_patients,) the network's own probabilities.

    Raises:
        CacheError: the arrays do not fit the table, or hold NaN, infinite or all-zero rows.
    """
    rows = int(patients["n_images"].sum())
    fingerprint = blake2b(patients.to_csv(index=False).encode(), digest_size=16).hexdigest()
    folds = draw_folds(patients, n_folds, n_repeats, fold_seed)
    names = [f"{i}/{k}" for i, n in zip(patients["id"], patients["n_images"], strict=True) for k in range(n)]
    tables = CohortTables(patients, folds, fold_seed, fingerprint, names, [0] * rows, [""] * rows)
    with writing(path):
        for name, array in features.items():
            if array.shape[:1] != (rows,) or array.ndim != 2:
                raise CacheError(f"{name}: features of shape {array.shape} for a table of {rows} images.")
            blind = (blind_to or {}).get(name)
            spec = EncodingSpec(
                name,
                (families or {}).get(name, name),
                array.shape[1],
                max(rows, 1),
                None if blind is None else frozenset(blind),
                {"backbone": "imported"},
            )
            partial = PartialEncoding(path, tables, spec, anew=True)
            partial.write(0, np.asarray(array, np.float32))
            partial.finish((end_to_end or {}).get(name))

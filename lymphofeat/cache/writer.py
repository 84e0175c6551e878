"""The one writer of a cache, from the first look at it to the last encoding that is put into it."""

import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..cohort.model import Cohort
from ..encoder.identity import difference
from ..errors import CacheError, StaleCacheError
from ..progress import Progress
from ..storage.atomic import atomic_write, check_place, make_folder, sync
from ..storage.locks import locked, remove_lock
from ..storage.provenance import made_by
from .carry import carried_along, learnt_of, network_of, source_from
from .encoding import Encoding
from .growth import grown_tables, what_changed
from .index import Entry, write_index
from .layout import data_folder, new_data_path
from .learnt import learnt_from, why_stale
from .leftovers import remove_leftovers
from .partial import PartialEncoding
from .pseudonyms import refuse_other_ids
from .reader import Cache, open_cache
from .refusal import room_for
from .shares import remove_shares, share_files, share_sources, tasks_begun
from .spec import EncodingSpec
from .tables import CohortTables
from .unlinked import remove_unlinked

if TYPE_CHECKING:
    from .members import Member

__all__ = ["CacheWriter", "own_probabilities"]


class CacheWriter:
    """Owns a cache while a command writes it: the path, the lock, the partial files, the data files, the tables.

    A context that a command enters once. The system drops the lock when the process ends, however it ends; whoever is
    given the writer may therefore write, and nobody else does. No file that the cache holds is changed in place: data
    files are written once, and the index is written anew and renamed over the old one.

    Args:
        path: the cache; it need not exist.
        tables: of the cohort as it is now.
        force: replace what is there and does not fit: the cache of another cohort (what does not fit is left out when
            it is written next), an encoding of that name, a partial file.
        retrain: encoders that learnt from another state of the cohort are not kept.

    Attributes:
        path, force, retrain: as given.
        tables: inside the context, with the folds that are in use in the cache.

    Raises:
        InputError: on entering: `path` is a folder.
        CacheError: on entering: another process holds the lock, or the folder cannot be written.
        StaleCacheError: on entering: the cache is of another cohort, or has other folds, and `force` is false; or it
            holds pseudonyms and the tables do not, or the reverse.
    """

    def __init__(
        self, path: Path, tables: CohortTables, *, force: bool = False, retrain: bool = False
    ) -> None:
        self.path, self.tables, self.force, self.retrain = path, tables, force, retrain
        self._found: Cache | None = None
        self._held = ExitStack()
        self._told = False
        self._held_tasks: set[Path] = set()
        self._renewed: set[str] = set()  # encodings that this writer wrote

    def __enter__(self) -> Self:
        check_place(self.path)
        with ExitStack() as entering:
            entering.enter_context(locked(self.path, CacheError, way_out=", or name another --cache"))
            remove_leftovers(self.folder, self.path.name)
            remove_leftovers(data_folder(self.path), "")
            refuse_other_ids(self.path, pseudonyms=self.tables.pseudonyms)
            self._read()
            remove_unlinked(self.path)
            self._remove_first_names()
            if self._found is not None:
                try:
                    self.tables = grown_tables(self.path, self._found.tables, self.tables)
                except StaleCacheError:
                    if not self.force:
                        raise
            self._held = entering.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in self._held_tasks:  # a task that begins at this very moment may hold a lock that is gone
            remove_lock(place)
        self._held.close()

    @property
    def folder(self) -> Path:
        """Where the cache lies, and what belongs to it."""
        return self.path.parent

    @property
    def found(self) -> Cache | None:
        """The cache as it is now; None before the first encoding."""
        return self._found

    def tell(self, progress: Progress) -> None:
        """Say once what of the cohort changed since the cache was written."""
        if self._found is None or self._told:
            return
        self._told = True
        if self._found.tables.has_digests and (changed := what_changed(self._found.tables, self.tables)):
            progress.note(f"The cohort changed since {self.path} was written: {changed}.")

    def waiting(self) -> list[str]:
        """A sentence for each encoder family of the cache that cannot be used on the cohort as it is now."""
        if self._found is None:
            return []
        families = sorted({encoding.encoder_family for encoding in self._found.stale.values()})
        return [f"{self.path}: {self._found.why_stale(family)}" for family in families]

    def partial_path(self, name: str) -> Path:
        """Where the encoding `name` grows until it is whole."""
        return self.path.with_name(f"{self.path.name}.{name}.partial")

    def known(self, spec: EncodingSpec) -> Encoding | None:
        """The cache's encoding by this very encoder, though it may lack images of the cohort; never one with `force`.

        Raises:
            StaleCacheError: it holds an encoding of that name with other settings, or one whose encoder learnt from
                what has changed since.
        """
        if self._found is None or (self.force and spec.name not in self._renewed):
            return None
        encoding = self._found.everything.get(spec.name)
        if (
            encoding is None
            or encoding.lost
            or (self.retrain and spec.learns and spec.name not in self._renewed)
        ):
            return None
        if differing := difference(encoding.spec.lasting, spec.lasting):
            raise StaleCacheError(
                f"{self.path} holds an encoding {spec.name} made with other settings ({differing}); "
                "give another --cache, or --force to replace it."
            )
        if reason := why_stale(self.tables, encoding.spec, learnt_of(self._found, encoding)):
            raise StaleCacheError(
                f"{self.path}: the encoder of {spec.name} {reason}; put it right in the tables, or give --retrain to "
                "train the encoders anew."
            )
        return encoding

    def holds(self, spec: EncodingSpec) -> bool:
        """Whether the cache holds this very encoding, of all images of the cohort, and may keep it; see `known`.

        Raises:
            StaleCacheError: as `known`.
        """
        encoding = self.known(spec)
        if encoding is None or self._found is None:
            return False
        return (encoding.images_key or self._found.tables.images_key) == self.tables.images_key

    def knows(self, spec: EncodingSpec) -> bool:
        """Whether `known` knows it; an encoding of that name with other settings does not count."""
        return self._known_alike(spec) is not None

    def _known_alike(self, spec: EncodingSpec) -> Encoding | None:
        """As `known`; None where that raises."""
        try:
            return self.known(spec)
        except StaleCacheError:
            return None

    def begun(self, spec: EncodingSpec) -> bool:
        """Whether a partial or share file of it would be gone on with or complained of; never so with `force`."""
        if self.force:
            return False
        return self.partial_path(spec.name).exists() or bool(share_files(self.path, spec.name))

    def depth(self, cohort: Cohort) -> dict[str, int]:
        """How many bits of 16-bit images an encoding of the cohort uses; see `recorded_depth`."""
        from ..encoder.pixels import recorded_depth  # torch takes seconds to import

        return recorded_depth(cohort.images)

    def mine(self, members: "list[Member]") -> "list[Member]":
        """The encoders that are trained here: all."""
        return members

    def check_timed(self) -> None:
        """Whether a number format may be chosen by timing: it may."""

    def remove_leftovers_of(self, folder: Path) -> None:
        """Remove what killed runs left in a folder of the cache's own."""
        remove_leftovers(folder, "")

    def hold_tasks(self, label: str) -> None:
        """Make sure that no task of an array works on `label`, an encoding, until the context ends.

        Raises:
            CacheError: one does.
        """
        for place in tasks_begun(self.path, label):
            if place not in self._held_tasks:
                self._held.enter_context(locked(place, CacheError))
                self._held_tasks.add(place)

    def begin(self, spec: EncodingSpec, *, network: str = "", anew: bool = False) -> PartialEncoding:
        """The partial encoding of `spec`: what an earlier run left of it, or, with `force` or without one, a new one.

        Features of images that the cache, or a task's share file, knows by the same encoder are not computed again.

        Args:
            spec: of the encoding.
            network: digest of the trained network that computes it; "" of one that was not trained on the cohort.
            anew: nothing that is there already is used.

        Raises:
            StaleCacheError: the partial file was begun with other settings, or from another cohort.
            CacheError: the cache has an encoder family of that name in which encoders saw no labels, or these.
        """
        self._check_encoder_family(spec)
        self.hold_tasks(spec.name)
        known = None if anew else self._known_alike(spec)
        sources, learnt = [], learnt_from(self.tables, spec)
        if known is not None and self._found is not None and network_of(known) == network:
            sources, learnt = [source_from(self._found, known)], learnt_of(self._found, known)
            spec = replace(spec, block=known.spec.block, about=known.spec.about | spec.about)
        if not anew:
            sources += share_sources(self.path, spec, network)
        return PartialEncoding(
            self.partial_path(spec.name), self.tables, spec, anew=anew or self.force, sources=sources, learnt=learnt,
            network=network,
        )  # fmt: skip

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
        """Put a whole encoding into the cache beside those already there.

        Args:
            partial: from `begin`, every block written.
            end_to_end: (n_patients,) the fine-tuned network's own probabilities of malignant, all patients in
                the cache's order; None for an encoder without a head of its own.
            made: what is known only afterwards, as JSON values of at most some 50 kB: `seconds` that it took in
                all runs together, `history` of the training, …
            default: whether its encoder family becomes the one that `tune` uses unless told otherwise; not so for
                control experiments. The first encoding of a cache is the default in any case.

        Raises:
            CacheError: blocks are missing, a probability is none, or the disk is full. The partial file stays, so that
                the same command only has to write the cache.
        """
        name = partial.spec.name
        digest = partial.finished()
        own = None if end_to_end is None else own_probabilities(self.tables, name, end_to_end)
        entry = Entry(
            partial.spec, new_data_path(self.path, name), digest, self.tables.images_key, partial.network,
            made or {}, own, by=self._made_by(), frame=partial.frame(),
        )  # fmt: skip
        self._write(f"all features are kept in {partial.path}", partial, entry, default=default)
        partial.close()
        partial.path.unlink(missing_ok=True)
        remove_shares(self.path, name)
        self._renewed.add(name)

    def correct_values(self) -> None:
        """Bring the cohort as it is now into the cache, which keeps its encodings: clinical values, labels, images.

        Encodings of encoders that learnt from what has changed are stale from then on, and those that lack an image of
        the cohort wait for it; see `Cache.stale`.
        """
        if self._found is not None and not self._found.tables.same_state(self.tables):
            self._write("the cache is unchanged")

    def _write(
        self,
        kept: str,
        partial: PartialEncoding | None = None,
        new: Entry | None = None,
        *,
        default: bool = False,
    ) -> None:
        """A new index with the encodings that are there, and a new one in the place of another of its name."""
        with room_for(self.path, kept):
            found = self._found
            entries = [] if found is None else self._carried(found, "" if new is None else new.spec.name)
            latest = "" if found is None else found.default_encoder_family
            if new is not None:
                entries.append(new)
                default = default or latest not in {entry.spec.encoder_family for entry in entries}
                latest = new.spec.encoder_family if default else latest
            created = "" if found is None else found.created
            with atomic_write(self.path) as temporary:
                write_index(temporary, self.tables, entries, cache=self.path, created=created, latest=latest)
                if partial is not None and new is not None:
                    _link(partial.path, new.data)
        self._read()
        remove_unlinked(self.path)

    def _carried(self, found: Cache, without: str) -> list[Entry]:
        """The cache's encodings but one, as the next index has them."""
        others = [encoding for name, encoding in found.everything.items() if name != without]
        if not found.tables.has_digests and found.tables.images_key != self.tables.images_key:
            return []  # --force over features from elsewhere, of other images
        if not self._replaces(found):
            return [carried_along(found, encoding, self.tables) for encoding in others]
        free = [encoding for encoding in others if encoding.blind_to is None]
        entries = [carried_along(found, encoding, self.tables) for encoding in free]
        return [entry for entry in entries if entry.images_key == self.tables.images_key]

    def _replaces(self, found: Cache) -> bool:
        """Whether the tables replace those of another cohort, or other folds: `--force`."""
        if not self.force:
            return False
        try:
            return not np.array_equal(
                grown_tables(self.path, found.tables, self.tables).folds, self.tables.folds
            )
        except StaleCacheError:
            return True

    def _made_by(self) -> dict[str, str]:
        made = made_by()
        return {key: value for key, value in made.items() if key != "command" or not self.tables.pseudonyms}

    def _read(self) -> None:
        self._found = open_cache(self.path) if self.path.exists() else None

    def _remove_first_names(self) -> None:
        """Remove what a run that was killed between the index and the end left: partial files that are data files."""
        for encoding in [] if self._found is None else self._found.everything.values():
            first_name = self.partial_path(encoding.name)
            if first_name.exists() and first_name.samefile(encoding.place):
                first_name.unlink()

    def _check_encoder_family(self, spec: EncodingSpec) -> None:
        """Refuse an encoder family in which some encoders saw labels and others none: a fold would be given either."""
        if self._found is None:
            return
        for encoding in self._found.everything.values():
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


def _link(partial: Path, data: Path) -> None:
    """Give a whole partial file its name as a data file as well: it is not lost, wherever the process is killed."""
    make_folder(data.parent)
    try:
        os.link(partial, data)
    except OSError:  # a file system without hard links
        shutil.copyfile(partial, data)
        sync(data)
    sync(data.parent)

"""A task's writer: as the writer of a cache, but into share files beside it; the cache is only read."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..array_tasks import ArrayTask, share_of
from ..cohort.fingerprint import cohort_fingerprint, image_digests, image_sizes
from ..cohort.model import Cohort
from ..encoder.pixels import recorded_depth
from ..errors import CacheError, InputError, printable
from ..progress import Progress
from ..storage.atomic import check_place
from ..storage.locks import locked
from .carry import network_of, source_from
from .columns import Sizes
from .extract import ExtractSettings, check_settings, cohort_tables
from .growth import grown_tables
from .known import find_rows
from .learnt import learnt_from
from .members import Member
from .partial import PartialEncoding
from .shares import TRAINING, share_files, share_path, share_sources, task_place
from .spec import EncodingSpec
from .tables import CohortTables
from .writer import CacheWriter

__all__ = ["ExtractionShare", "ShareWriter", "share_writer"]


@dataclass(frozen=True)
class ExtractionShare:
    """What a task of `extract` did.

    Attributes:
        task: (I, N).
        encodings: that it computed, or found computed; none where there are more tasks than work.
        n_images: of the task, in each of them.
        n_before: images that were known before, of all encodings together.
        n_patients: whose images they are.
    """

    task: ArrayTask
    encodings: tuple[str, ...]
    n_images: int
    n_before: int
    n_patients: int

    def __repr__(self) -> str:
        number, count = self.task
        names = ", ".join(self.encodings) or "nothing"
        return f"<ExtractionShare {number} of {count}: {names}, {self.n_images:,} images>"


class ShareWriter(CacheWriter):
    """What computes an encoding finds in the place of the cache's writer, in a task.

    Args:
        path: the cache, which is read only and need not exist.
        tables: of the task's images.
        task: (I, N).
        whole: the cohort, whose images decide together how bright each of them is.
        trains: the task trains encoders on the whole cohort, so that `tables` are the cohort's.
    """

    def __init__(
        self, path: Path, tables: CohortTables, task: ArrayTask, whole: Cohort, *, trains: bool
    ) -> None:
        super().__init__(path, tables)
        self._task, self._whole, self._trains = task, whole, trains
        self._labels: set[str] = set()  # that are held
        self._before: dict[str, int] = {}  # encoding → images that were known

    def __enter__(self) -> Self:
        check_place(self.path)
        with ExitStack() as entering:
            self._held = entering
            if self._trains:
                self.hold_tasks(TRAINING)
            self._read()
            if self._trains and self._found is not None:
                self.tables = grown_tables(self.path, self._found.tables, self.tables)
            self._held = entering.pop_all()
        return self

    def hold_tasks(self, label: str) -> None:
        """Hold the task's own lock.

        Raises:
            CacheError: another process does the same task.
        """
        if label not in self._labels:
            place = task_place(self.path, label, self._task)
            self._held.enter_context(locked(place, CacheError, way_out=", or give another task"))
            self._labels.add(label)

    def tell(self, progress: Progress) -> None:
        """Nothing: the call that collects tells."""

    def waiting(self) -> list[str]:
        """Nothing: see `tell`."""
        return []

    def correct_values(self) -> None:
        """Nothing: the cache is not written."""

    def holds(self, spec: EncodingSpec) -> bool:
        """Whether the cache knows all images of the task.

        Raises:
            StaleCacheError: as `known`.
        """
        encoding = self.known(spec)
        if encoding is None or self._found is None:
            return False
        known = source_from(self._found, encoding)
        there = (find_rows(known.keys[known.usable], self.tables.keys) >= 0).all()
        if there:
            self._before[spec.name] = self.tables.n_images
        return bool(there)

    def begun(self, spec: EncodingSpec) -> bool:
        """Whether a task has begun the encoding."""
        return bool(share_files(self.path, spec.name)) or super().begun(spec)

    def depth(self, cohort: Cohort) -> dict[str, int]:
        """As of the writer, of the whole cohort."""
        return recorded_depth(self._whole.images)

    def mine(self, members: list[Member]) -> list[Member]:
        """The task's encoders."""
        return share_of(members, self._task, lambda member: 1)

    def check_timed(self) -> None:
        """Refuse to choose a number format by timing, which another task may decide otherwise.

        Raises:
            InputError: always.
        """
        raise InputError(
            "Tasks must compute in one number format, and each would choose the faster one by timing; give --dtype "
            "float32 or --dtype bfloat16 with --task."
        )

    def remove_leftovers_of(self, folder: Path) -> None:
        """Nothing: other tasks may be writing there."""

    def forget(self, name: str) -> None:
        """Remove the task's own share of an encoding."""
        share_path(self.path, name, self._task, self.tables).unlink(missing_ok=True)

    def begin(self, spec: EncodingSpec, *, network: str = "", anew: bool = False) -> PartialEncoding:
        """The task's share of `spec`: what it left of it, or a new one; see `CacheWriter.begin`.

        Raises:
            StaleCacheError: a share was made with other settings.
            CacheError: another process does the same task, or as `CacheWriter.begin`.
        """
        self._check_encoder_family(spec)
        self.hold_tasks(spec.name)
        path = share_path(self.path, spec.name, self._task, self.tables)
        sources, learnt, known = [], learnt_from(self.tables, spec), self._known_alike(spec)
        if known is not None and self._found is not None and network_of(known) == network:
            sources = [source_from(self._found, known)]
            spec = replace(spec, block=known.spec.block, about=known.spec.about | spec.about)
        sources += share_sources(self.path, spec, network, without=path)
        found = PartialEncoding(path, self.tables, spec, sources=sources, learnt=learnt, network=network)
        self._before[spec.name] = found.n_done
        return found

    def finish(
        self, partial: PartialEncoding, end_to_end: NDArray[np.float64] | None = None, **_: Any
    ) -> None:
        """Leave the share, whole, for the call that collects.

        Raises:
            CacheError: blocks are missing.
        """
        partial.finished()
        partial.close()

    @property
    def share(self) -> ExtractionShare:
        """What was done."""
        names, n_before = tuple(self._before), sum(self._before.values())
        return ExtractionShare(self._task, names, self.tables.n_images, n_before, len(self.tables.patients))


def share_writer(
    cohort: Cohort,
    cache: Path,
    settings: ExtractSettings,
    task: ArrayTask,
    *,
    trains: bool,
    progress: Progress,
) -> tuple[ShareWriter, Cohort]:
    """A task's writer, and the part of the cohort whose images it encodes.

    Encoders that are trained learn from the whole cohort, so that their tasks share the encoders, and every task reads
    all files. Other tasks share the patients, and each reads the files of its own.

    Raises:
        InputError: as `check_settings` and `cohort_tables`.
    """
    check_settings(settings)
    if trains:
        tables = cohort_tables(cohort, settings, progress)
        return ShareWriter(cache, tables, task, cohort, trains=True), cohort
    mine = share_of(cohort.patients, task, lambda patient: len(patient.images))
    part = replace(cohort, patients=tuple(mine))
    digests = image_digests(part.images, progress)
    tables = CohortTables(
        patients=part.table(),
        folds=np.full((len(mine), 1), -1, dtype=np.int8),  # nothing of a share depends on them
        fold_seed=settings.fold_seed,
        fingerprint=cohort_fingerprint(part, digests),
        names=[printable(name) for name in part.image_names],
        sizes=Sizes(image_sizes(part.images)),
        digests=digests,
    )
    return ShareWriter(cache, tables, task, cohort, trains=False), part

"""What `extract` and `info` say."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from ..cache.encoding import Encoding
from ..cache.reader import Cache
from ..cache.roles import is_adapted
from ..cache.trained_on import training_texts
from ..cohort.ages import ages_words
from ..cohort.exclusions import exclusions_from_text, exclusions_summary
from ..cohort.pixel_size import pixel_size_in, pixel_size_text
from ..cohort.problems import counted, listing
from ..encoder.morphology.quality import BORDER, GOOD, NO_CYTOPLASM, NO_NUCLEUS, counts_of
from ..encoder.preparation import preparation_text
from .printing import PlainTable, show

if TYPE_CHECKING:  # torch takes seconds to import, and what they made is shown without it
    from ..cache.extract import ExtractSummary
    from ..cache.share_writer import ExtractionShare
    from ..training.checkpoint import TrainingState

_FLAWS = {
    BORDER: "with the nucleus at the border of the image",
    NO_CYTOPLASM: "without visible cytoplasm",
    NO_NUCLEUS: "without a nucleus",
}


def render_share(share: "ExtractionShare", console: Console) -> None:
    """What a task of an array computed."""
    number, count = share.task
    task = f"Task {number} of {count}: "
    if not share.encodings:
        show(console, f"{task}there is no work for it; fewer tasks do.")
        return
    n_all = share.n_images * len(share.encodings)
    known = f"; {share.n_before:,} were known" if share.n_before else ""
    show(
        console,
        f"{task}{listing(share.encodings)}: {counted(n_all - share.n_before, 'image')} encoded{known}; kept beside "
        "the cache for the call that collects.",
        wrap=False,
    )


def render_extract(summary: "ExtractSummary", console: Console) -> None:
    """Where the features are, how fast they came, and what to know about them."""
    s = summary
    show(
        console,
        f"{s.cache}: encoding ",
        (s.encoding, "bold"),
        f", {s.n_images:,} images × {s.dim} features",
    )
    show(console, f"  weights: {s.origin}")
    if s.quality is not None:
        show(console, f"  {quality_text(s.quality)}")
    if s.n_before == s.n_images:
        show(console, "  already complete; nothing to do")
        return
    resumed = f"; {s.n_before:,} were known" if s.n_before else ""
    show(
        console, f"  {s.n_images - s.n_before:,} images in {s.seconds:.1f} s, {s.rate:.0f} images/s{resumed}"
    )
    if s.untrained:
        show(
            console,
            "  The encoder is untrained: its features are random projections of the pixels, "
            "a control experiment, not a pretrained encoder.",
        )
    if np.isfinite(s.bfloat16_error):
        show(
            console, f"  bfloat16 against float32 on the first images: relative error {s.bfloat16_error:.2%}"
        )
    if s.slow_bfloat16:
        show(console, "  This machine has no bfloat16 instructions; --dtype float32 is faster here.")


def quality_text(quality: Mapping[int, int], *, imputed: bool = True) -> str:
    """How many cells could be measured how far, in one sentence.

    Args:
        quality: quality → number of cells.
        imputed: whether cells without a nucleus were given other cells' values.
    """
    said = [f"{quality[GOOD]:,} of {sum(quality.values()):,} cells whole"]
    said += [f"{quality[key]:,} {text}" for key, text in _FLAWS.items() if quality[key]]
    given = ", which have the median of their patient's other cells"
    return "; ".join(said) + (given if imputed and quality[NO_NUCLEUS] else "")


def render_cache(cache: Cache, console: Console) -> None:
    """What a cache holds: the cohort, the folds, the encodings."""
    patients = cache.patients
    labelled = cache.labels >= 0
    show(
        console,
        (f"{cache.path}", "bold"),
        f": cache format {cache.format}, lymphofeat {cache.version}, made {cache.created}",
    )
    source = cache.tables.source or "imported features"
    if cache.tables.pseudonyms:
        source = "IDs are pseudonyms: no IDs, dates of birth or file names of the cohort; ages in whole years"
    show(console, f"  cohort   {source}")
    show(console, f"  ages     {ages_words(cache.tables.reference)}")
    show(
        console,
        f"  patients {len(patients)}: {(cache.labels == 1).sum()} malignant, {(cache.labels == 0).sum()} reactive, "
        f"{(~labelled).sum()} without label; {cache.tables.n_images:,} images",
    )
    if (size := pixel_size_in(cache.tables.layout)) is not None:
        show(console, f"  pixels   {pixel_size_text(size)}")
    if cache.tables.declared:
        declared = (
            f"{name} ({', '.join(filter(None, (column.decides, column.unit)))})"
            for name, column in cache.tables.declared.items()
        )
        show(console, f"  values   age, sex, count, {', '.join(declared)}")
    if cache.tables.exclusions:
        show(console, f"  excluded {exclusions_summary(exclusions_from_text(cache.tables.exclusions))}")
    sizes = np.bincount(cache.folds[labelled, 0])
    show(
        console,
        f"  folds    {len(sizes)} of {'/'.join(str(n) for n in sizes)} patients, seed {cache.fold_seed}, "
        f"{cache.folds.shape[1]} repeats",
    )
    table = PlainTable(padding=(0, 2))
    for column in ("encoding", "features", "weights", "dtype", "blind to"):
        table.add_column(column)
    encodings = cache.everything
    for name, encoding in sorted(encodings.items()):
        blind = "every fold" if encoding.blind_to is None else ", ".join(map(str, sorted(encoding.blind_to)))
        mark = " (default)" if encoding.encoder_family == cache.default_encoder_family else ""
        about = encoding.attrs
        table.add_row(
            name + mark, str(encoding.dim), str(about.get("weights", "")), str(about.get("dtype", "")), blind
        )
    show(console, table)
    for name, encoding in sorted(encodings.items()):
        if (size := encoding.attrs.get("microns_per_pixel")) is not None:
            show(console, f"  {name}: {pixel_size_text(float(size))}, by its files")
        if is_adapted(encoding):
            parts = encoding.attrs["learnt_parts"]
            show(console, f"  {name}: adapted without labels to the images of the {parts}")
        if encoding.quality is not None:
            show(console, f"  {name}: {quality_text(counts_of(encoding.quality))}")
    for what, each in (("images as", _prepared(encodings)), ("computed with", _computed_with(encodings))):
        for text, names in each.items():
            which = "" if len(names) == len(encodings) else f": {', '.join(names)}"
            show(console, f"  {what} {text}{which}")
    for encoder_family, text in training_texts(cache).items():
        show(console, f"  {encoder_family}: {text}")
    for encoder_family in sorted({e.encoder_family for e in cache.stale.values()}):
        show(console, f"  Stale: {cache.why_stale(encoder_family)}")


def _prepared(encodings: Mapping[str, Encoding]) -> dict[str, list[str]]:
    """Preparation of the images in words → names."""
    found: dict[str, list[str]] = {}
    for name, encoding in sorted(encodings.items()):
        recorded = encoding.attrs.get("preprocessing")
        if isinstance(recorded, Mapping) and "crop" in recorded:
            found.setdefault(preparation_text(recorded), []).append(name)
    return found


def _computed_with(encodings: Mapping[str, Encoding]) -> dict[str, list[str]]:
    """Torch version and device → names; all of them, with the numbers of their images, where there were several."""
    found: dict[str, list[str]] = {}
    for name, encoding in sorted(encodings.items()):
        counts: Counter[str] = Counter()
        for about, n in [] if encoding.lost else encoding.origins():
            counts[_machine(about)] += n
        words = [words for words in counts if words]
        if len(words) > 1:  # bits may differ between them
            words = [f"{each} ({counted(counts[each], 'image')})" for each in words]
        if words:
            found.setdefault(" and ".join(words), []).append(name)
    return found


def _machine(about: Mapping[str, str]) -> str:
    """Version and device in words: `torch 2.9 on cuda (NVIDIA H100)`; "" where nothing is recorded."""
    if "torch" not in about or "device" not in about:
        return ""
    model = f" ({about['processor']})" if about.get("processor") else ""
    return f"torch {about['torch']} on {about['device']}{model}"


def render_partials(waiting: Sequence[tuple[Path, int, int]], console: Console) -> None:
    """Encodings that were begun and wait for the same command; see `lymphofeat.cache.writer.partials`."""
    for path, done, total in waiting:
        show(
            console, f"{path}: incomplete, {done} of {total} blocks; run the same `lymphofeat extract` again."
        )


def render_trainings(trainings: "Iterable[tuple[Path, TrainingState]]", console: Console) -> None:
    """Encoders under way; see `lymphofeat.cache.trainings.trainings_under_way`."""
    for path, state in trainings:
        kept = state.history[state.best_epoch - 1]
        words = (
            f"the best with balanced accuracy {kept['balanced_accuracy']:.3f} on its validation patients"
            if "balanced_accuracy" in kept
            else f"the last with loss {kept['loss']:.3f}, without labels"
        )
        show(
            console,
            f"{path.stem}: in training, {counted(state.epoch, 'epoch')} done, {words}; the same `lymphofeat extract` "
            "continues it.",
        )

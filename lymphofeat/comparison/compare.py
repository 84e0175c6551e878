"""`compare`: every pipeline that a cache gives rise to, and the control experiments, on the same folds."""

from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..cache.adapt import AdaptSettings, extract_adapted
from ..cache.control_experiments import add_controls, missing_controls, with_folds_of
from ..cache.extract import ExtractSettings, extract_frozen
from ..cache.finetune import FinetuneSettings, extract_finetuned
from ..cache.pseudonyms import under_pseudonyms
from ..cache.reader import Cache, open_cache
from ..cohort.model import Cohort
from ..cohort.read import read_cohort
from ..errors import InputError, LeakageError, StudyError
from ..estimates.persons import repeating
from ..metric import find_metric
from ..progress import Progress, Silent
from ..scoring.failures import REASON, attrs_of, raise_if_all
from ..scoring.plan import labels_of
from ..scoring.scored import ScoredPatients
from ..storage.journal import Ledger, open_ledger
from ..storage.json_tables import write_json_record
from ..storage.paths import AnyPath
from ..training.recipe_file import find_recipe, recipe_names
from .elsewhere import predicted_elsewhere
from .out_of_fold import OutOfFold, encoder_seconds, identity, predict
from .pipelines import Pipeline, pipelines_of, select
from .record import comparison_json
from .result import Comparison, Measured, Patients

__all__ = ["compare", "compare_cohort"]


def compare(
    cache: AnyPath,
    record: AnyPath,
    *,
    cohort: Cohort | AnyPath | None = None,
    pipelines: Sequence[str] = (),
    metric: str = "balanced_accuracy",
    weights: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    emulate_bfloat16: bool = False,
    seed: int | None = None,
    pseudonyms: AnyPath | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measure every pipeline on the same folds, beside control experiments that know nothing of cells.

    The folds are the cache's first repeat, the one that encoders are trained on. Given a cohort, first adds what the
    cache lacks; see `compare_cohort`.

    Args:
        cache: a cache that `extract` or `save_cache` made.
        record: a file that keeps what is measured, so that an interrupted comparison goes on; made if need be. Beside
            it, the result is kept as NAME.json, for `write_report`.
        cohort: what the cache was made from, or its folder, to add what the cache lacks; None: only what it holds.
        pipelines: names of pipelines, encodings, recipes, heads or kinds of encoder; everything if empty. The controls
            are always measured.
        metric: what "best" means: "balanced_accuracy", "auc" or "log_loss".
        weights, device, dtype, emulate_bfloat16, seed: of what is added, with a cohort only; as of `extract`.
        pseudonyms: the key of the cache's pseudonyms, with a cohort only; as of `extract`.
        executor: measures the pipelines instead of this process, and trains and encodes what recipes and weights add;
            see `tune`. What is measured does not depend on it.
        progress: told of every pipeline.

    Raises:
        InputError: a name or metric that does not exist, or a cohort without one of the classes.
        CacheError: no usable cache.
        LeakageError: a pipeline that `pipelines` names has no encoding that is blind to one of the folds. A pipeline
            that was not named is left out instead, and the comparison says so.
        StaleCacheError: an encoding that `pipelines` names was trained on clinical values that were corrected since;
            likewise.
        StudyError: `record` is in use, damaged, or cannot be written; workers or the executor ended.

    Example:
        >>> found = compare("cache/features.h5", "studies/compare.jsonl", pipelines=["both"])
        >>> list(found.table)[:4]
        ['pipeline', 'balanced_accuracy', 'balanced_accuracy_low', 'balanced_accuracy_high']
    """
    find_metric(metric)
    if cohort is not None:
        settings = ExtractSettings(device=device, dtype=dtype, emulate_bfloat16=emulate_bfloat16, seed=seed)
        found = cohort if isinstance(cohort, Cohort) else read_cohort(cohort)
        return compare_cohort(
            under_pseudonyms(found, Path(cache), pseudonyms), Path(cache), Path(record),
            settings=settings, weights=weights, pipelines=pipelines, metric=metric, executor=executor,
            progress=progress,
        )  # fmt: skip
    opened = open_cache(cache)
    for name in pipelines:
        opened.check_not_stale(name)
    there = pipelines_of(opened)
    chosen = select(there, pipelines, recipe_names())
    _check_there(there, pipelines, opened.path)
    patients = _patients(opened)
    with open_ledger(Path(record)) as ledger:
        each = _each(opened, chosen, ledger, executor)
        measured, left_out = _measure(opened, chosen, each, set(pipelines), patients, progress or Silent())
    stale = [
        f"Left out: {opened.why_stale(encoder_family)}"
        for encoder_family in sorted({e.encoder_family for e in opened.stale.values()})
    ]
    digest = ScoredPatients.of(opened).digest(ordered=False)
    comparison = Comparison.of(
        measured, patients, metric, str(opened.path), [*left_out, *stale, *_missing(opened)], digest
    )
    write_json_record(comparison_json(comparison), Path(record).with_suffix(".json"))
    return comparison


def compare_cohort(
    cohort: Cohort,
    cache_path: Path,
    record: Path,
    *,
    settings: ExtractSettings | None = None,
    weights: str | None = None,
    pipelines: Sequence[str] = (),
    metric: str = "balanced_accuracy",
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """As `compare`, after adding what the cache lacks.

    These are the control experiments (colours, an untrained double of each encoder); with `weights`, their frozen
    encoding; and the encoders of every recipe that `pipelines` names and that the cache does not hold for all folds.

    Args:
        cohort: what the cache was made from, or is to be made from.
        settings: device, dtype, seed, crop and folds of what is added; the folds of a cache that is there win.
        weights: "imagenet" or a file; where they are not given, recipes start from ImageNet's.
        cache_path, record, pipelines, metric, executor, progress: as for `compare`.

    Raises:
        StaleCacheError: the cache was made from another state of the cohort.
        InputError, WeightsError, CacheError, LeakageError, StudyError: as `compare`, `extract_frozen` and
            `extract_finetuned`.
    """
    find_metric(metric)
    settings = with_folds_of(
        cache_path, replace(settings or ExtractSettings(), weights=weights or "imagenet")
    )
    cache = open_cache(cache_path) if cache_path.exists() else None
    select([] if cache is None else pipelines_of(cache), pipelines, recipe_names())
    named = [name for name in pipelines if name in recipe_names()]
    to_train = [name for name in named if cache is None or not _is_whole(cache, name)]
    for recipe in to_train:
        _check_folds(recipe, settings.n_folds)
    if weights is not None:
        extract_frozen(
            cohort, cache_path, settings, default=cache is None, executor=executor, progress=progress
        )
    for recipe in to_train:
        if find_recipe(recipe).label_free:
            adapt = AdaptSettings(recipe, settings)
            extract_adapted(cohort, cache_path, adapt, executor=executor, progress=progress)
        else:
            finetune = FinetuneSettings(recipe, settings)
            extract_finetuned(cohort, cache_path, finetune, executor=executor, progress=progress)
    add_controls(cohort, cache_path, settings, progress=progress)
    return compare(
        cache_path, record, pipelines=pipelines, metric=metric, executor=executor, progress=progress
    )


def _check_folds(recipe: str, n_folds: int) -> None:
    wanted = find_recipe(recipe).training.folds
    if wanted not in (0, n_folds):
        raise InputError(
            f"The recipe {recipe!r} divides the cohort into {wanted} folds, but here pipelines are compared on "
            f"{n_folds}; make a separate cache for it with `lymphofeat extract COHORT --finetune --recipe {recipe} "
            f"--folds {wanted} --cache FILE`."
        )


def _is_whole(cache: Cache, recipe: str) -> bool:
    """Whether the cache holds, for some weights, the recipe's encoders of all folds."""
    encoder_families = {s.encoder_family for s in pipelines_of(cache) if s.recipe == recipe}
    return any(
        _serves_all_folds(cache, encoder_family) for encoder_family in encoder_families if encoder_family
    )


def _serves_all_folds(cache: Cache, encoder_family: str) -> bool:
    try:
        cache.splits(encoder_family)
    except LeakageError:
        return False
    return True


def _check_there(pipelines: Sequence[Pipeline], wanted: Sequence[str], cache: Path) -> None:
    absent = [name for name in wanted if name in recipe_names() and name not in {s.recipe for s in pipelines}]
    if absent:
        way = "--adapt" if find_recipe(absent[0]).label_free else "--finetune"
        raise InputError(
            f"{cache} holds no encoders of the recipe {absent[0]!r}; train them with `lymphofeat extract COHORT "
            f"{way} --recipe {absent[0]} --cache {cache}`, or compare the cohort instead of the cache."
        )


def _patients(cache: Cache) -> Patients:
    labels = labels_of(cache)
    rows = np.flatnonzero(labels >= 0)
    counts = cache.patients["lymphocyte_count"].to_numpy(np.float64)
    return Patients(labels[rows], cache.folds[rows, 0], counts[rows], repeating(cache.groups[rows]))


def _measure(
    cache: Cache,
    chosen: Sequence[Pipeline],
    each: Generator[tuple[Pipeline, OutOfFold | Exception], None, None],
    wanted: set[str],
    patients: Patients,
    progress: Progress,
) -> tuple[list[Measured], list[str]]:
    """The pipelines' scores, and a sentence for each that cannot be scored, in the order in which they were chosen.

    Args:
        each: of `_each`.

    Raises:
        LeakageError: of a pipeline that is named.
        StudyError: no pipeline can be scored.
    """
    measured: dict[Pipeline, Measured] = {}
    reasons: dict[Pipeline, str] = {}
    progress.start("comparing", len(chosen), "pipelines")
    try:
        with closing(each):
            for pipeline, found in each:
                try:
                    if isinstance(found, Exception):
                        raise found
                    seconds = encoder_seconds(cache, pipeline)
                    measured[pipeline] = Measured(pipeline, found, patients, seconds)
                except LeakageError as error:
                    if wanted & {pipeline.name, pipeline.encoder_family, pipeline.recipe}:
                        raise
                    reasons[pipeline] = f"Left out: {error}"
                except Exception as error:  # noqa: BLE001 - whatever its head fails with, the others may not
                    raise_if_all(error)
                    reason = attrs_of(error)[REASON]
                    reasons[pipeline] = f"Left out: {pipeline.name} could not be fitted. {reason}"
                progress.advance()
    finally:
        progress.stop()
    left_out = list(dict.fromkeys(reasons[pipeline] for pipeline in chosen if pipeline in reasons))
    if not measured:
        raise StudyError("\n".join(["None of the pipelines could be measured.", *left_out]))
    return [measured[pipeline] for pipeline in chosen if pipeline in measured], left_out


def _each(
    cache: Cache, chosen: Sequence[Pipeline], ledger: Ledger, executor: Executor | None
) -> Generator[tuple[Pipeline, OutOfFold | Exception], None, None]:
    """What each pipeline predicts as soon as it is known and kept, or the error that it ends with."""
    missing: dict[Pipeline, str] = {}
    for pipeline in chosen:
        try:
            key = identity(cache, pipeline)
            found = _kept(pipeline, key, ledger)
            if found is None and executor is not None:
                missing[pipeline] = key
                continue
            if found is None:
                found = predict(cache, pipeline)
                _keep(pipeline, key, found, ledger)
        except Exception as error:  # noqa: BLE001 - whoever asked decides what becomes of the others
            yield pipeline, error
        else:
            yield pipeline, found
    if executor is not None and missing:
        for pipeline, result in predicted_elsewhere(executor, cache, list(missing)):
            if isinstance(result, OutOfFold):
                _keep(pipeline, missing[pipeline], result, ledger)
            yield pipeline, result


def _keep(pipeline: Pipeline, key: str, found: OutOfFold, ledger: Ledger) -> None:
    ledger.add(key, {"pipeline": pipeline.name, **found.to_json()})


def _kept(pipeline: Pipeline, key: str, ledger: Ledger) -> OutOfFold | None:
    entry = ledger.get(key)
    try:
        return None if entry is None else OutOfFold.from_json(entry)
    except (KeyError, ValueError, TypeError) as error:
        raise StudyError(
            f"{ledger.path} holds a damaged entry of {pipeline.name} ({error!r}); move the file away to start again."
        ) from error


def _missing(cache: Cache) -> list[str]:
    cohort = cache.tables.source or "COHORT"
    return [
        f"{cache.path} lacks the control experiment "
        f"{control if isinstance(control, str) else 'random encoder ' + control.backbone}; "
        f"`lymphofeat compare {cohort} --cache {cache.path}` makes it."
        for control in missing_controls(cache, ExtractSettings())
    ]

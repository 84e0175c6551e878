"""`extract`: a cohort in, an encoding in the cache out; goes on where an earlier run was stopped."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..cohort.ages import reference_text
from ..cohort.duplicates import report_duplicates
from ..cohort.exclusions import exclusions_text
from ..cohort.fingerprint import cohort_fingerprint, image_digests, image_sizes
from ..cohort.folds import DEFAULT_FOLDS
from ..cohort.layout import layout_text
from ..cohort.model import Cohort
from ..cohort.problems import Problems, raise_errors
from ..encoder.backbones import backbone_named
from ..encoder.frozen import (
    DTYPES,
    FrozenEncoder,
    choose_device,
    computed_with,
    has_fast_bfloat16,
    seconds_per_image,
)
from ..encoder.pixels import Preprocessing, read_block
from ..encoder.weights import LoadedWeights, load_weights
from ..errors import InputError, printable
from ..progress import Progress, Silent
from ..storage.paths import AnyPath
from .arithmetic import AUTO, KNOWN, TIMED, chosen_dtype, float32_instead, lacks_bfloat16
from .columns import Sizes
from .elsewhere import Elsewhere
from .encoder_plans import FrozenPlan, travelling_weights
from .filling import bits_of, fill, whole_seconds
from .spec import EncodingSpec
from .tables import CohortTables, make_folds
from .writer import CacheWriter


@dataclass(frozen=True)
class ExtractSettings:
    """How the frozen pass is run; the defaults are the command line's.

    Attributes:
        backbone: a name of `lymphofeat.encoder.backbones.BACKBONES`.
        weights: "imagenet", "none", or a file.
        seed: of the random weights; required with "none".
        crop: pixels, the side of the centre crop.
        input_size: pixels, the side that the crop is scaled to; None: what the backbone needs, else the crop as it is.
        dtype: "float32" or "bfloat16", of the arithmetic; features are stored as float32. Where the device has no
            bfloat16 instructions, "bfloat16" means float32 as well, and the encodings say so. "auto" goes on with what
            was begun, and else takes the faster by timing a few images; float32 without bfloat16 instructions.
        emulate_bfloat16: use bfloat16 even there, many times slower, as when another machine's run is to be repeated.
        device: "auto", "cpu", "cuda" or "mps".
        batch_size: images that go through the network together.
        n_folds, n_repeats, fold_seed: how the patients are divided; the same for all encodings of a cache.
    """

    backbone: str = "resnet18"
    weights: str = "imagenet"
    seed: int | None = None
    crop: int = 112
    input_size: int | None = None
    dtype: str = AUTO
    emulate_bfloat16: bool = False
    device: str = "auto"
    batch_size: int = 64
    n_folds: int = DEFAULT_FOLDS
    n_repeats: int = 10
    fold_seed: int = 0


@dataclass(frozen=True)
class ExtractSummary:
    """What an `extract` did.

    Attributes:
        cache, encoding: where the features are.
        n_images, n_before: all of them; those that an earlier run had done.
        dim: features per image.
        seconds: of decoding, encoding and writing in this run.
        origin: where the weights came from.
        untrained: the features are random projections.
        bfloat16_error: ‖bfloat16 − float32‖ / ‖float32‖ over the first block; NaN with float32.
        slow_bfloat16: bfloat16 was emulated, so that float32 would be faster.
        quality: of a morphology encoding, how many images could be measured how far, by the keys of
            `lymphofeat.encoder.morphology.quality.QUALITIES`; None of a network's.
    """

    cache: Path
    encoding: str
    n_images: int
    n_before: int
    dim: int
    seconds: float
    origin: str
    untrained: bool
    bfloat16_error: float = float("nan")
    slow_bfloat16: bool = False
    quality: Mapping[int, int] | None = None

    def __repr__(self) -> str:
        return f"<ExtractSummary {self.encoding}: {self.n_images:,} images × {self.dim} features in {self.cache.name}>"

    @property
    def rate(self) -> float:
        """Images per second of this run; 0 if there was nothing left to do."""
        return (self.n_images - self.n_before) / self.seconds if self.seconds else 0.0


def cohort_tables(cohort: Cohort, settings: ExtractSettings, progress: Progress) -> CohortTables:
    """What the cache keeps of the cohort: reads every image file once, for its digest.

    Raises:
        InputError: a file that cannot be read, one image in two patients, or a class with fewer persons than folds.
    """
    patients = cohort.table()
    images = cohort.images
    digests = image_digests(images, progress)
    problems = Problems()
    report_duplicates(cohort, digests, problems)
    raise_errors(problems.found)
    return CohortTables(
        patients=patients,
        folds=make_folds(patients, settings.n_folds, settings.n_repeats, settings.fold_seed),
        fold_seed=settings.fold_seed,
        fingerprint=cohort_fingerprint(cohort, digests),
        names=[printable(name) for name in cohort.image_names],
        sizes=Sizes(image_sizes(images)),
        digests=digests,
        source="" if cohort.pseudonyms else printable(str(cohort.root.resolve())),
        reference=reference_text(cohort.reference),
        layout=layout_text(cohort.layout),
        pseudonyms=cohort.pseudonyms,
        exclusions=exclusions_text(cohort.exclusions),
    )


def extract_frozen(
    cohort: Cohort,
    cache: AnyPath,
    settings: ExtractSettings | None = None,
    *,
    force: bool = False,
    default: bool = True,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> ExtractSummary:
    """Compute the frozen encoding of a cohort and put it into the cache file `cache`.

    An encoding that is there already is left as it is; one that was interrupted goes on, with the same result,
    bit for bit, as an unbroken run on the same machine and device. Where images were replaced or removed since, it
    goes on with the blocks that hold none of them.

    Args:
        cohort: patients and image files.
        cache: the HDF5 file, made if need be; its other encodings stay.
        settings: how.
        force: replace what is there and does not fit: another cohort's cache, a partial file of other settings.
        default: whether `tune` uses it unless told otherwise; see `CacheWriter.finish`.
        workers: threads, by default one per core.
        executor: its workers encode instead, reading images by their paths; see docs/cluster.md.
        progress: is told of blocks as they come.

    Raises:
        InputError: an image cannot be decoded, or a setting is not possible here.
        WeightsError: the weights cannot be had.
        StaleCacheError: the cache, or the partial file, was made from other images, labels or settings.
        CacheError: another process is writing, or features are NaN, infinite or all zero.
    """
    progress = progress or Silent()
    start = start_of(settings or ExtractSettings(), progress)
    with writer_for(cohort, Path(cache), start.settings, force=force, progress=progress) as writer:
        return encode_frozen(
            writer, cohort, start, default=default, workers=workers, executor=executor, progress=progress
        )


@dataclass(frozen=True)
class Start:
    """Where an encoding starts from, looked at before any file of the cohort is read.

    Attributes:
        settings: possible ones.
        device: theirs.
        weights: theirs.
    """

    settings: ExtractSettings
    device: torch.device
    weights: LoadedWeights


def start_of(settings: ExtractSettings, progress: Progress) -> Start:
    """Check the settings and load the weights.

    Raises:
        InputError: a setting is not possible here.
        WeightsError: the weights cannot be had.
    """
    check_settings(settings)
    device, backbone = choose_device(settings.device), backbone_named(settings.backbone)
    if backbone.input_size and settings.input_size not in (None, backbone.input_size):
        raise InputError(
            f"{backbone.name} takes images of {backbone.input_size} px only; leave --input-size out, and the crop is "
            "scaled to it."
        )
    weights = load_weights(backbone, settings.weights, settings.seed)
    if weights.note:
        progress.note(weights.note)
    return Start(settings, device, weights)


def writer_for(
    cohort: Cohort,
    cache: Path,
    settings: ExtractSettings,
    *,
    force: bool = False,
    retrain: bool = False,
    progress: Progress,
) -> CacheWriter:
    """The cohort's writer of the cache file `cache`; reads every image file once, for its digest.

    Raises:
        InputError: as `check_settings` and `cohort_tables`.
    """
    check_settings(settings)
    return CacheWriter(cache, cohort_tables(cohort, settings, progress), force=force, retrain=retrain)


def encode_frozen(
    writer: CacheWriter,
    cohort: Cohort,
    start: Start,
    *,
    default: bool = True,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress,
) -> ExtractSummary:
    """As `extract_frozen`, into the cache of a writer that was entered."""
    device, n_images, depth = start.device, writer.tables.n_images, writer.depth(cohort)
    writer.tell(progress)
    settings = _with_dtype(writer, cohort, start, depth, progress)
    spec = _spec(settings, start.weights, device, depth)
    there = writer.holds(spec)
    if not there and lacks_bfloat16(settings.dtype, device, emulate=settings.emulate_bfloat16):
        progress.note(float32_instead(spec.name))
        settings = replace(settings, dtype="float32")
        spec = _spec(settings, start.weights, device, depth)
        there = writer.holds(spec)
    if there:
        writer.correct_values()
        return _summary(writer.path, settings, spec, start.weights, n_images, n_images, 0.0)
    partial = writer.begin(spec)
    n_before = partial.n_done
    plan = FrozenPlan(
        settings.backbone, travelling_weights(settings.weights), settings.seed, start.weights.digest,
        _preprocessing(settings), device.type, settings.dtype, partial.spec.block,
    )  # fmt: skip
    if executor is None:
        encoder = plan.encoder(start.weights.network, device)
        seconds = fill(partial, cohort, encoder, workers, progress)
    else:
        seconds = fill(partial, cohort, Elsewhere(executor, plan), workers, progress)
    made = {"seconds": whole_seconds(seconds, n_before, n_images)} | _weights_file(settings)
    writer.finish(partial, made=made, default=default)
    summary = _summary(writer.path, settings, spec, start.weights, n_images, n_before, seconds)
    if settings.dtype == "float32":
        return summary
    if executor is not None:
        encoder = plan.encoder(start.weights.network, device)
    error = _bfloat16_error(cohort, settings, encoder, bits_of(spec))
    return replace(summary, bfloat16_error=error, slow_bfloat16=not has_fast_bfloat16(device))


def _with_dtype(
    writer: CacheWriter, cohort: Cohort, start: Start, depth: Mapping[str, int], progress: Progress
) -> ExtractSettings:
    """The settings with the number format that "auto" stands for."""
    settings = start.settings
    if settings.dtype != AUTO:
        return settings

    specs = {
        dtype: _spec(replace(settings, dtype=dtype), start.weights, start.device, depth) for dtype in DTYPES
    }
    finished = [dtype for dtype, spec in specs.items() if writer.knows(spec)]
    begun = [dtype for dtype, spec in specs.items() if writer.begun(spec)]

    def measure() -> dict[str, float]:
        writer.check_timed()
        pixels = read_block(
            cohort.images[: min(TIMED, settings.batch_size)], settings.crop, depth.get("bits", 16)
        )
        network, preprocessing = start.weights.network, _preprocessing(settings)
        return seconds_per_image(network, preprocessing, start.device, pixels, settings.batch_size)

    emulate = settings.emulate_bfloat16
    dtype = chosen_dtype(finished, begun, start.device, measure, progress, emulate=emulate)
    return replace(settings, dtype=dtype)


def _weights_file(settings: ExtractSettings) -> dict[str, str]:
    """Where the weights' file lay, so that an exported model finds it again; not part of what the encoding is."""
    if settings.weights in ("imagenet", "none"):
        return {}
    return {"weights_file": str(Path(settings.weights).resolve())}


def check_settings(settings: ExtractSettings) -> None:
    """Look at the settings before any work is done.

    Raises:
        InputError: one of them is not possible.
    """
    if settings.dtype not in KNOWN:
        raise InputError(f"dtype {settings.dtype!r} is not known; use one of {', '.join(KNOWN)}.")
    for name, least in (
        ("crop", 32),
        ("input_size", 32),
        ("batch_size", 1),
        ("n_folds", 2),
        ("n_repeats", 1),
    ):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise InputError(f"{name} is {value}; it must be at least {least}.")


def _preprocessing(settings: ExtractSettings) -> Preprocessing:
    backbone = backbone_named(settings.backbone)
    side = settings.input_size or backbone.input_size or settings.crop
    return Preprocessing(
        settings.crop, backbone.mean, backbone.std, input_size=None if side == settings.crop else side
    )


def _spec(
    settings: ExtractSettings, weights: LoadedWeights, device: torch.device, depth: Mapping[str, int]
) -> EncodingSpec:
    backbone, preprocessing = backbone_named(settings.backbone), _preprocessing(settings)
    label = weights.label.removeprefix(f"{backbone.name}-")
    crop = "" if settings.crop == ExtractSettings.crop else f"-crop{settings.crop}"
    if preprocessing.input_size:
        crop = f"-crop{settings.crop}-input{preprocessing.input_size}"
    name = f"{backbone.name}-{label}{crop}{'' if settings.dtype == 'float32' else '-' + settings.dtype}"
    about = {
        "recipe": "frozen",
        "backbone": backbone.name,
        "weights": weights.origin,
        "weights_digest": weights.digest,
        "preprocessing": {
            "crop": preprocessing.crop,
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
            **({"input_size": preprocessing.input_size} if preprocessing.input_size else {}),
            **depth,
        },
        "dtype": settings.dtype,
        **computed_with(device),
    }
    return EncodingSpec(name, name, backbone.dim, settings.batch_size, None, about)


def _summary(
    cache: Path,
    settings: ExtractSettings,
    spec: EncodingSpec,
    weights: LoadedWeights,
    n_images: int,
    n_before: int,
    seconds: float,
) -> ExtractSummary:
    untrained = settings.weights == "none"
    return ExtractSummary(cache, spec.name, n_images, n_before, spec.dim, seconds, weights.origin, untrained)


def _bfloat16_error(cohort: Cohort, settings: ExtractSettings, encoder: FrozenEncoder, bits: int) -> float:
    pixels = read_block(cohort.images[: settings.batch_size], settings.crop, bits)
    weights = load_weights(backbone_named(settings.backbone), settings.weights, settings.seed)
    exact = FrozenEncoder(weights.network, encoder.preprocessing, encoder.device, torch.float32)(pixels)
    return float(np.linalg.norm(encoder(pixels) - exact) / np.linalg.norm(exact))

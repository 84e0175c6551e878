"""What `--dtype auto` means for encoders that are trained: the format of those that are there, or the faster one."""

from collections.abc import Callable
from dataclasses import replace

from ..cohort.model import Cohort
from ..encoder.frozen import DTYPES, seconds_per_image
from ..encoder.identity import identity_key
from ..encoder.pixels import read_block
from ..progress import Progress
from ..training.checkpoint import inspect_checkpoint
from ..training.trained import trained_about
from .arithmetic import TIMED, chosen_dtype
from .encoder_family import EncoderFamily
from .extract import ExtractSettings
from .trainings import encoders_folder
from .writer import CacheWriter

__all__ = ["family_dtype"]


def family_dtype(
    writer: CacheWriter,
    cohort: Cohort,
    family_of: Callable[[ExtractSettings], EncoderFamily],
    settings: ExtractSettings,
    progress: Progress,
    *,
    nested: bool,
) -> str:
    """The number format that "auto" stands for; arguments as of `encode_encoder_family`.

    Without a format that an encoder is there in, forward passes of the start weights are timed.
    """
    families = {dtype: family_of(replace(settings, dtype=dtype)) for dtype in DTYPES}
    some = families["float32"]

    def measure() -> dict[str, float]:
        writer.check_timed()
        inference = some.augmenter.inference
        pixels = read_block(cohort.images[:TIMED], inference.crop, some.depth.get("bits", 16))
        return seconds_per_image(some.start().network, inference, some.device, pixels, settings.batch_size)

    there = [
        dtype
        for dtype, family in families.items()
        if any(writer.knows(family.spec(member)) for member in family.members(nested=nested))
    ]
    begun = [
        dtype
        for dtype, family in families.items()
        if not writer.force and _begun(family, writer, nested=nested)
    ]
    return chosen_dtype(there, begun, some.device, measure, progress, emulate=settings.emulate_bfloat16)


def _begun(encoders: EncoderFamily, writer: CacheWriter, *, nested: bool) -> bool:
    """Whether an encoder of the family was trained, or its training waits to go on."""
    folder = encoders_folder(writer.path)
    for member in encoders.members(nested=nested):
        keys = {identity_key(encoders.identity(member)), *encoders.former_keys(member)}
        trained, checkpoint = (folder / f"{member.name}.{end}" for end in ("safetensors", "checkpoint"))
        if trained.exists() and trained_about(trained).get("key") in keys:
            return True
        if checkpoint.exists() and inspect_checkpoint(checkpoint).key in keys:
            return True
    return False

"""The command `pack`."""

from pathlib import Path

import click

from .common import Output, cache_option, command
from .paths import NewFile


@command(example="lymphofeat pack --out cohort.h5")
@cache_option
@click.option("--out", type=NewFile("packed.h5"), required=True, metavar="FILE.h5", help="File to write.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def pack(output: Output, cache: Path, out: Path, *, force: bool) -> None:
    """Write a cache into one file, to send or to keep.

    A cache is an index, features.h5, and a folder beside it with the features of each encoding. Every command reads the
    one file as it reads the cache; h5py alone reads either. Trained encoders and studies are not part of it.
    """
    from ..cache.pack import pack as pack_cache
    from ..cohort.problems import counted
    from ..wording import size_text

    packed = pack_cache(cache, out, overwrite=force)
    images = counted(packed.tables.n_images, "image")
    output.line(
        f"{out}: {counted(len(packed.everything), 'encoding')} of {images}, {size_text(out.stat().st_size)}."
    )

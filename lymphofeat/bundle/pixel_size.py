"""Whether new patients' images have pixels of the size of the training images, where both say it."""

from pathlib import Path

from ..cohort.pixel_size import differ, pixel_size_text
from ..errors import printable

__all__ = ["other_pixel_size"]


def other_pixel_size(where: Path, own: float | None, of_model: float | None) -> tuple[str, ...]:
    """A note where the sizes differ by more than 5 %.

    Args:
        where: what says the new patients' size.
        own, of_model: µm per pixel, of the new patients and of the training images; None: not known.
    """
    if own is None or of_model is None or not differ(own, of_model):
        return ()
    seen = (
        f"{of_model / own:.2g} times as large" if own < of_model else f"{own / of_model:.2g} times as small"
    )
    return (
        printable(
            f"{where} says {pixel_size_text(own)}, and the model was trained on {pixel_size_text(of_model)}, so that "
            f"cells appear {seen}; give images of the training's scale."
        ),
    )

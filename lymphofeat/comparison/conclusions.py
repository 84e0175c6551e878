"""What a comparison allows to be said, in sentences that carry their intervals."""

from collections.abc import Iterator

from ..encoder.morphology.features import MORPHOLOGY
from ..wording import difference_text, interval_text, metric_label
from .result import Comparison, Measured

__all__ = ["conclusions"]

_TRAINED = ("frozen", "fine-tuned", "pair")
_ENCODERS = (*_TRAINED, "random")


def conclusions(comparison: Comparison) -> list[str]:
    """The best pipeline and its equals; whether encoders beat the random one; whether images add to clinical values."""
    return [
        _about_the_best(comparison),
        *_about_the_encoder(comparison, "image", "Images only"),
        *_about_the_encoder(comparison, "image+clinical", "With clinical values"),
        *_about_the_images(comparison),
    ]


def _about_the_best(comparison: Comparison) -> str:
    best, n = comparison.best, len(comparison.measured)
    score = best.all[comparison.metric].interval()
    sentence = (
        f"Best by {metric_label(comparison.metric)} is {best.pipeline.name} ({interval_text(score)}), selected among "
        f"{n} on these patients, so its score is optimistic"
    )
    if not comparison.tied:
        return f"{sentence}; every other pipeline is worse (the interval of the difference excludes zero)."
    names = ", ".join(m.pipeline.name for m in comparison.tied)
    return f"{sentence}; {len(comparison.tied)} of the others cannot be told apart from it (≈): {names}."


def _about_the_encoder(comparison: Comparison, inputs: str, where: str) -> Iterator[str]:
    """The best pipeline on a trained encoder, or on measured cells, against the best control experiments.

    These are its untrained double (any, where it has no network of its own), the colours, and the slide around the
    cells where that was measured.
    """
    trained = comparison.best_of(_TRAINED, inputs)
    if trained is None:
        if inputs == "image":
            yield "No pipeline with a trained encoder was compared, so nothing can be said about encoders."
        return
    backbone = trained.pipeline.backbone
    controls = {
        "the random encoder": comparison.best_of(
            ("random",), inputs, "" if backbone == MORPHOLOGY else backbone
        ),
        "the colours alone": comparison.best_of(("colour",), inputs),
    }
    if slide := comparison.best_of(("background",), inputs):
        controls["the slide around the cells"] = slide
    for name, control in controls.items():
        if control is None:
            own = trained.pipeline.name
            yield f"{where}: without {name} it cannot be said whether {own} sees anything of the cells."
        else:
            yield f"{where}: {_against(comparison, trained, control)}: {_end(comparison, trained, control, name)}."


def _end(comparison: Comparison, trained: Measured, control: Measured, name: str) -> str:
    end = {
        "better": f"it beats {name}",
        "worse": f"it is worse than {name}",
        "": f"it cannot be told apart from {name}, so nothing here shows that it sees more",
    }[comparison.verdict(trained, control)]
    return end + _other_verdict(comparison, trained, control)


def _about_the_images(comparison: Comparison) -> Iterator[str]:
    """The best pipeline on images and clinical values against the clinical values alone."""
    both, clinical = comparison.best_of(_ENCODERS, "image+clinical"), comparison.named("clinical")
    if both is None or clinical is None:
        return
    end = {
        "better": "images add to the clinical values",
        "worse": "adding images makes the prediction worse",
        "": "nothing here shows that images add to the clinical values",
    }[comparison.verdict(both, clinical)]
    other = _other_verdict(comparison, both, clinical)
    yield f"Images added to clinical values: {_against(comparison, both, clinical)}: {end}{other}."


def _against(comparison: Comparison, one: Measured, other: Measured) -> str:
    differences = ", ".join(
        f"{metric_label(metric)} {difference_text(comparison.difference(one, other, metric))}"
        for metric in (comparison.metric, _second(comparison))
    )
    return f"the best, {one.pipeline.name}, against {other.pipeline.name}: {differences}"


def _second(comparison: Comparison) -> str:
    """The metric that is shown beside the one that pipelines are ranked by."""
    return "balanced_accuracy" if comparison.metric == "auc" else "auc"


def _other_verdict(comparison: Comparison, one: Measured, other: Measured) -> str:
    """What the second metric says, where that is something and not the same."""
    second = _second(comparison)
    verdict = comparison.verdict(one, other, second)
    if not verdict or verdict == comparison.verdict(one, other):
        return ""
    return f" (by {metric_label(second)}, it is {verdict})"

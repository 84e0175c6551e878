"""What is searched unless told otherwise."""

from pathlib import Path

import pytest

from lymphofeat.cache import open_cache
from lymphofeat.cache.roles import default_encoding

from ..helpers.caches import features, patients
from ..helpers.compared import COLOUR, FROZEN, RANDOM, add_encoding, compared_cache

SLIDE = {"recipe": "frozen", "backbone": "morphology", "groups": ["background"]}


@pytest.mark.parametrize(
    ("last", "about", "expected"),
    [
        ("fine", FROZEN, "fine,good"),  # both saw no labels
        ("resnet18-random1", RANDOM, "resnet18-random1"),  # control experiments stand alone
        ("colour2", COLOUR, "colour2"),
        ("slide", SLIDE, "slide"),
    ],
)
def test_encodings_that_saw_no_labels_are_searched_together(
    tmp_path: Path, last: str, about: dict, expected: str
) -> None:
    path = compared_cache(tmp_path / "c.h5", n_folds=3, pairs=False)
    assert default_encoding(open_cache(path)) == "pooled+clinical-good"  # fine-tuned, computed last
    add_encoding(path, last, features(patients(), dim=3, seed=4), about)
    assert default_encoding(open_cache(path)) == expected

"""What a bundle tells of its predictions: the same as `explain` tells of the test patients."""

from pathlib import Path

import numpy as np
import pytest

from lymphofeat import explain
from lymphofeat.bundle import export_bundle
from lymphofeat.bundle.predict import predict_folder
from lymphofeat.bundle.writer import ExportOptions

Made = dict[str, Path]


@pytest.mark.parametrize("name", ["frozen", "tuned", "tuned-pair"])
def test_images_contribute_what_explain_says(
    cohort: Path, cache: Path, studies: Made, tmp_path: Path, name: str
) -> None:
    """Of the test patients, whom the final heads predict; under one encoder, one a fold, and several side by side."""
    export_bundle(cache, studies[name], tmp_path / "model", ExportOptions(ensemble=2))
    found = predict_folder(tmp_path / "model", cohort, tmp_path / "p.csv", explain=True)
    of_test = [one for one in found.explained if one.id in {"P18", "P21"}]
    assert len(of_test) == 2
    for one in of_test:
        expected = explain(cache, studies[name], one.id, ensemble=2)
        assert list(one.images["image"]) == list(expected.images["image"])
        np.testing.assert_allclose(one.images["contribution"], expected.images["contribution"], atol=1e-5)
        assert dict(one.methods) == dict(expected.methods)
        weights = [weight for _, weight in expected.members]
        assert np.dot(one.each, weights) == pytest.approx(expected.probability, abs=1e-6)


def test_a_model_of_clinical_values_has_no_images(
    cohort: Path, cache: Path, studies: Made, tmp_path: Path
) -> None:
    export_bundle(cache, studies["clinical"], tmp_path / "model")
    found = predict_folder(tmp_path / "model", cohort, tmp_path / "p.csv", explain=True)
    assert not any(one.sees_images or len(one.images) for one in found.explained)
    assert set(found.explained[0].values) == {"age", "sex", "lymphocyte_count"}


def test_nothing_is_explained_unless_asked_for(model: Path, cohort: Path, tmp_path: Path) -> None:
    assert predict_folder(model, cohort, tmp_path / "p.csv").explained == ()

import numpy as np
import pandas as pd
import pytest
import torch

from lymphofeat.cohort.clinical_values import clinical_values
from lymphofeat.encoder.backbones import backbone_named, untrained
from lymphofeat.errors import InputError
from lymphofeat.training.networks import (
    ClinicalScaler,
    PatientHead,
    PatientNetwork,
    bag_means,
)
from lymphofeat.training.recipe import ClinicalRecipe
from lymphofeat.training.recipe_file import find_recipe

TABLE = pd.DataFrame(
    {
        "birth": ["1950-03-02", "", "1999-12-31"],
        "sex": ["M", "F", ""],
        "age": [70.5, np.nan, 21.0],
        "lymphocyte_count": [8.0, 0.0, np.nan],
    }
)


def test_clinical_values_are_the_columns_asked_for() -> None:
    names = ("age", "count", "log_count", "male", "birth_month", "birth_year")
    values = clinical_values(TABLE, names)
    assert values.dtype == np.float32
    nan = np.nan
    expected = [
        [70.5, 8, np.log(8), 1, 3, 1950],
        [nan, 0, np.log(0.1), 0, nan, nan],
        [21, nan, nan, nan, 12, 1999],
    ]
    np.testing.assert_allclose(values, np.array(expected, np.float32))
    np.testing.assert_array_equal(clinical_values(TABLE, ("count",)), values[:, 1:2])


def test_the_scaler_standardises_and_fills_with_the_median() -> None:
    values = torch.tensor([[1.0, 5.0], [2.0, 5.0], [9.0, 5.0], [torch.nan, 5.0]])
    scaler = ClinicalScaler(2).fit(values)
    filled = np.array([1.0, 2.0, 9.0, 2.0])
    expected = (filled - filled.mean()) / filled.std()
    np.testing.assert_allclose(scaler(values)[:, 0], expected, rtol=1e-6)
    assert (scaler(values)[:, 1] == 0).all()  # a constant stays finite
    assert torch.isfinite(scaler(torch.full((1, 2), torch.nan))).all()


def test_bag_means_are_the_means_in_any_order() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(9, 4)).astype(np.float32)
    owner = np.array([2, 0, 1, 1, 2, 2, 0, 2, 2])
    means = bag_means(torch.from_numpy(features), torch.from_numpy(owner), 3)
    for p in range(3):
        np.testing.assert_allclose(means[p], features[owner == p].mean(0), rtol=1e-5)
    with pytest.raises(InputError, match="1 patients have no image"):
        bag_means(torch.from_numpy(features), torch.from_numpy(owner), 4)


def head_of(use: str, hidden: tuple[int, ...] = (3,)) -> PatientHead:
    torch.manual_seed(0)
    return PatientHead(6, (), 0.0, ClinicalRecipe(use=use, values=("age", "count"), hidden=hidden))


@pytest.mark.parametrize(("use", "outputs"), [("none", 1), ("branch", 2), ("gate", 2), ("apart", 1)])
def test_each_use_of_the_clinical_values_has_its_outputs(use: str, outputs: int) -> None:
    head = head_of(use)
    features, values = torch.randn(5, 6), torch.randn(5, 2)
    found = head(features, values)
    assert found.logits.shape == (5, outputs)
    assert (found.log_gate is not None) == (use == "gate")
    moved = head.predict(features, values + 1)
    assert torch.equal(moved, head.predict(features, values)) == (use == "none")


def test_a_clinical_network_apart_has_half_of_the_say() -> None:
    head = head_of("apart")
    features, values = torch.randn(5, 6), torch.randn(5, 2)
    image = torch.sigmoid(head.image(features))[:, 0]
    clinical = torch.sigmoid(head.clinical(head.scaler(values)))[:, 0]
    torch.testing.assert_close(head.predict(features, values), (image + clinical) / 2)


def test_the_gate_sees_features_and_values() -> None:
    head = head_of("gate")
    features, values = torch.randn(5, 6), torch.randn(5, 2)
    scores = head.gate(torch.cat([features, head.scaler(values)], 1))
    shares = torch.softmax(scores, 1)
    experts = torch.sigmoid(head(features, values).logits)
    torch.testing.assert_close(head.predict(features, values), (shares * experts).sum(1))


def test_dropout_follows_its_seed_and_keeps_the_mean() -> None:
    head = PatientHead(2000, (4,), 0.5, ClinicalRecipe()).train()
    ones = torch.ones(3, 2000)
    head.reseed(1)
    first = head.image[0](ones)
    again = head.image[0](ones)
    head.reseed(2)
    other = head.image[0](ones)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.mean()) == pytest.approx(1, abs=0.05)
    assert set(first.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(head.eval().image[0](ones), ones)


def test_the_head_is_drawn_from_its_seed_and_leaves_the_global_generator_alone() -> None:
    recipe = find_recipe("pooled+clinical")
    before = torch.get_rng_state()
    networks = [PatientNetwork(untrained(backbone_named("small-cnn"), 0), 128, recipe, s) for s in (1, 1, 2)]
    assert torch.equal(torch.get_rng_state(), before)
    first, again, other = (n.head.state_dict()["image.1.weight"] for n in networks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)

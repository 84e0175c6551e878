"""An adapted encoder in the commands that follow `extract`: found, exported, compared as one that saw no labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lymphofeat.bundle import ExportOptions, export_bundle, load_bundle
from lymphofeat.bundle.encoders import WhereWeights, find_network, rebuild, record_of
from lymphofeat.cache import open_cache
from lymphofeat.cache.adapt import extract_adapted
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.cache.roles import default_encoding
from lymphofeat.cache.trainings import encoders_folder
from lymphofeat.cohort.model import Cohort
from lymphofeat.comparison.pipelines import pipelines_of
from lymphofeat.encoder.pixels import read_block
from lymphofeat.errors import WeightsError
from lymphofeat.nested.control_experiments import frozen_twin, untrained_twin
from lymphofeat.studies import tune

from ..helpers.adapted import NAME, SETTINGS, adapted, features
from ..helpers.finetuned import BASE
from ..helpers.simulated import noise_cohort

UNTRAINED = "small-cnn-random0-crop32"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, Path]:
    folder = tmp_path_factory.mktemp("adapted")
    cohort, path = noise_cohort(folder / "cohort"), folder / "c.h5"
    extract_frozen(cohort, path, replace(BASE, backbone="small-cnn", crop=32))
    extract_adapted(cohort, path, replace(SETTINGS, with_test=True, name=NAME))
    return cohort, path


def test_the_kept_network_is_found_and_gives_the_features_again(made: tuple[Cohort, Path]) -> None:
    cohort, path = made
    cache, encoding = open_cache(path), adapted(path)
    network = find_network(cache, encoding, WhereWeights())
    assert network is not None
    record = record_of(cache, encoding, network)
    said = "adapted without labels to the images of the labelled part and test part"
    assert record.origin == f"untrained, random from seed 0, {said}"
    from safetensors.torch import save

    encoder = rebuild(record, save(network.state_dict()), Path("x"), torch.device("cpu"))
    first = cohort.patients[0].images
    np.testing.assert_allclose(
        encoder(read_block(first, 32)), features(path)[: len(first)], rtol=1e-3, atol=1e-4
    )


def test_without_its_folder_the_network_is_missed(made: tuple[Cohort, Path], tmp_path: Path) -> None:
    _, path = made
    with pytest.raises(WeightsError, match="--encoders DIR"):
        find_network(open_cache(path), adapted(path), WhereWeights(encoders=tmp_path))
    assert (encoders_folder(path) / f"{NAME}.safetensors").exists()


def test_a_bundle_says_what_its_encoder_learnt_from(made: tuple[Cohort, Path], tmp_path: Path) -> None:
    _, path = made
    tune(path, tmp_path / "s.db", n_trials=2, encoding=NAME, heads=["logistic"], inputs=["image"])
    export_bundle(path, tmp_path / "s.db", tmp_path / "model", ExportOptions())
    assert load_bundle(tmp_path / "model").sees_images
    card = " ".join((tmp_path / "model" / "README.md").read_text().split())
    assert "adapted without labels to the images of the labelled part and test part" in card


def test_comparisons_and_control_experiments_take_it_for_trained_and_label_free(
    made: tuple[Cohort, Path],
) -> None:
    cache = open_cache(made[1])
    kinds = {p.encoder_family: (p.encoder, p.recipe, p.is_control) for p in pipelines_of(cache)}
    assert kinds[NAME] == ("frozen", "adapt", False)
    assert kinds[UNTRAINED] == ("random", "", True)
    assert not any(p.encoder_family == NAME and p.head == "end-to-end" for p in pipelines_of(cache))
    assert cache.default_encoder_family == default_encoding(cache) == UNTRAINED
    assert untrained_twin(cache, NAME) == UNTRAINED
    assert frozen_twin(cache, NAME) == NAME  # labels may be shuffled on it

"""A bundle scales new patients' images as the training images were scaled."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from lymphofeat.bundle.encoders import EncoderRecord, WhereWeights, find_network, rebuild, record_of
from lymphofeat.cache import open_cache
from lymphofeat.cache.extract import extract_frozen
from lymphofeat.encoder.pixels import read_block
from lymphofeat.storage.arrays import save_tensors

from ..helpers.extracted import SETTINGS
from ..helpers.simulated import noise_cohort


def test_the_rebuilt_encoder_gives_the_features_of_the_cache(tmp_path: Path) -> None:
    cohort = noise_cohort(tmp_path / "images")
    extract_frozen(cohort, tmp_path / "c.h5", replace(SETTINGS, input_size=60))
    cache = open_cache(tmp_path / "c.h5")
    (encoding,) = cache.encodings.values()
    network = find_network(cache, encoding, WhereWeights())
    assert network is not None
    record = record_of(cache, encoding, network)
    assert record.input_size == 60
    raw = asdict(record)
    again = EncoderRecord.from_json(raw)
    assert again == record
    content = save_tensors(network.state_dict())
    encoder = rebuild(again, content, tmp_path / "encoder.safetensors", torch.device("cpu"))
    found = encoder(read_block(cohort.images[:5], 40))
    np.testing.assert_allclose(found, encoding.features[:5], rtol=1e-5, atol=1e-6)
    del raw["input_size"]  # as in bundles of before
    assert EncoderRecord.from_json(raw).input_size is None

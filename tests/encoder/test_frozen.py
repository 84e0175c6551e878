"""The fast pass against the plain one: a torchvision model in evaluation mode on ToTensor + Normalize images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lymphofeat.encoder import frozen
from lymphofeat.encoder.backbones import BACKBONES, untrained
from lymphofeat.encoder.frozen import FrozenEncoder, choose_device, encode_blocks, has_fast_bfloat16
from lymphofeat.encoder.pixels import Preprocessing
from lymphofeat.encoder.preparation import IMAGENET_MEAN, IMAGENET_STD
from lymphofeat.errors import InputError

from ..helpers.simulated import noise_cohort

CPU = torch.device("cpu")
CROP = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return noise_cohort(tmp_path_factory.mktemp("images"), n_train=4, n_test=0).images


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """Random weights, and batch norm statistics that are not the trivial 0 and 1."""
    network = untrained(BACKBONES["resnet18"], 0)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        network.train()
        for _ in range(3):
            network(torch.randn(8, 3, CROP, CROP))
    return network.eval()


def reference(network: torch.nn.Module, files: list[Path]) -> np.ndarray:
    transform = v2.Compose(
        [v2.CenterCrop(CROP), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
         v2.Normalize(list(IMAGENET_MEAN), list(IMAGENET_STD))]
    )  # fmt: skip
    with torch.no_grad():
        return np.concatenate([network(transform(Image.open(f).convert("RGB"))[None]).numpy() for f in files])


def encode(network, files, dtype=torch.float32, *, block=5, workers=2, device=CPU) -> np.ndarray:
    encoder = FrozenEncoder(network, Preprocessing(CROP, IMAGENET_MEAN, IMAGENET_STD), device, dtype)
    blocks = [(i, files[i * block : (i + 1) * block]) for i in range(-(-len(files) // block))]
    found: dict[int, np.ndarray] = {}
    encode_blocks(encoder, blocks, found.__setitem__, workers=workers)
    return np.concatenate([found[i] for i in sorted(found)])


def test_float32_equals_the_plain_pass(network, files) -> None:
    expected = reference(network, files)
    assert np.linalg.norm(encode(network, files) - expected) < 1e-4 * np.linalg.norm(expected)


def test_bfloat16_is_within_two_percent(network, files) -> None:
    expected = reference(network, files)
    assert np.linalg.norm(encode(network, files, torch.bfloat16) - expected) < 0.02 * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_number_of_threads_does_not_change_a_bit(network, files, dtype) -> None:
    one = encode(network, files, dtype, workers=1)
    np.testing.assert_array_equal(encode(network, files, dtype, workers=3), one)


def test_the_stream_for_accelerators_gives_the_same(network, files, monkeypatch) -> None:
    expected = encode(network, files)
    monkeypatch.setattr(frozen, "_core_by_core", frozen._stream)
    np.testing.assert_allclose(encode(network, files), expected, rtol=1e-4, atol=1e-4)


def test_the_callers_threads_and_network_are_left_alone(network, files) -> None:
    threads, state = torch.get_num_threads(), {k: v.clone() for k, v in network.state_dict().items()}
    encode(network, files, torch.bfloat16)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())


def test_a_bad_image_stops_the_pass_with_its_name(network, files, tmp_path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"bad\.jpg cannot be decoded"):
        encode(network, [*files[:7], bad, *files[7:]])


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="'tpu' is not available"):
        choose_device("tpu")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        ("", True), ("DEFAULT", True), ("AVX512_CORE_BF16", True), ("avx512_core_amx", True), ("AVX10_1_512", True),
        ("AVX2", False), ("avx2_vnni", False), ("SSE41", False), ("AVX512_CORE", False), ("AVX512_CORE_VNNI", False),
    ],
)  # fmt: skip
def test_bfloat16_is_fast_only_where_onednn_may_use_it(
    monkeypatch: pytest.MonkeyPatch, most: str, *, expected: bool
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", most)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert has_fast_bfloat16(CPU) is expected
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert not has_fast_bfloat16(CPU)

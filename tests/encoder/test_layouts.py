"""Blood encoders in their published layouts: random numbers, few blocks, timm's own network as judge."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from timm.models.vision_transformer import checkpoint_filter_fn

from lymphofeat.encoder import layouts
from lymphofeat.encoder.backbone import Backbone
from lymphofeat.encoder.backbones import BACKBONES, backbone_named
from lymphofeat.encoder.weights import load_weights
from lymphofeat.errors import WeightsError

State = dict[str, torch.Tensor]
SIZES = {"small": 4, "giant": 4}
DIM = 48


def few_blocks(size: str) -> Backbone:
    """The network of that name with two narrow blocks; the giant keeps its SwiGLU."""
    whole = backbone_named(f"vit_{size}_patch14_dinov2")
    build = partial(
        timm.create_model,
        whole.name,
        num_classes=0,
        img_size=224,
        depth=2,
        embed_dim=DIM,
        num_heads=SIZES[size],
    )
    return replace(whole, dim=DIM, build=build)


def dinov2_state(backbone: Backbone, seed: int = 0) -> State:
    """Random weights under DINOv2's own names."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in backbone.build().state_dict().items():
        if "giant" in backbone.name:
            name = name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3")
        state[name] = torch.randn(value.shape, generator=generator) * 0.3
    state["mask_token"] = torch.zeros(1, DIM)
    return state


def teacher(state: State) -> dict[str, State]:
    """As DinoBloom's .pth: the training's checkpoint."""
    heads = {"dino_head.mlp.0.weight": torch.ones(2, 2), "ibot_head.last_layer.weight_g": torch.ones(2)}
    return {"teacher": {f"backbone.{name}": value for name, value in state.items()} | heads}


def timm_names(backbone: Backbone, state: State) -> State:
    """By timm's own conversion."""
    return checkpoint_filter_fn(dict(state), backbone.build())


def expected(backbone: Backbone, state: State) -> torch.Tensor:
    network = backbone.build().eval()
    network.load_state_dict(timm_names(backbone, state), strict=True)
    return network(images())


def images(side: int = 224) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def save(folder: Path, form: str, backbone: Backbone, state: State) -> Path:
    """The file of a published form."""
    if form == "teacher":
        torch.save(teacher(state), folder / "Bloom.pth")
        return folder / "Bloom.pth"
    if form == "hub":
        torch.save(state, folder / "pytorch_model_s.bin")
        return folder / "pytorch_model_s.bin"
    folder = folder / "RedDino-tiny"
    folder.mkdir()
    config = {
        "architecture": backbone.name,
        "num_classes": 0,
        "pretrained_cfg": {
            "input_size": [3, 224, 224],
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    named = timm_names(backbone, state)
    if form == "timm":
        safetensors.torch.save_file(named, folder / "model.safetensors")
        return folder / "model.safetensors"
    torch.save(named, folder / "pytorch_model.bin")
    return folder / "pytorch_model.bin"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["teacher", "hub", "timm", "timm-bin"])
def test_every_published_layout_gives_timms_own_features(tmp_path: Path, size: str, form: str) -> None:
    backbone = few_blocks(size)
    state = dinov2_state(backbone)
    loaded = load_weights(backbone, str(save(tmp_path, form, backbone, state)))
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(images()), expected(backbone, state), rtol=0, atol=0)
    assert not loaded.network.training
    assert loaded.label == {"teacher": "Bloom", "hub": "pytorch_model_s"}.get(form, "RedDino-tiny")
    assert ("mask_token" in loaded.note) == (form in ("teacher", "hub"))
    assert ("dino_head.*, ibot_head.*, mask_token" in loaded.note) == (form == "teacher")
    again = load_weights(backbone, str(save(tmp_path / "..", "hub", backbone, state)))
    assert again.digest == loaded.digest  # the same weights, whatever file carried them


@pytest.mark.parametrize("form", ["teacher", "hub", "timm", "timm-bin"])
@pytest.mark.parametrize("lost", ["blocks.1.ls2.gamma", "norm.bias", "cls_token"])
def test_a_missing_weight_is_refused_by_name(tmp_path: Path, form: str, lost: str) -> None:
    backbone = few_blocks("small")
    state = dinov2_state(backbone)
    del state[lost]
    with pytest.raises(WeightsError, match=rf"missing: (backbone\.)?{lost} "):
        load_weights(backbone, str(save(tmp_path, form, backbone, state)))


def test_nothing_is_dropped_that_the_layout_does_not_name(tmp_path: Path) -> None:
    backbone = few_blocks("small")
    for extra in ("blocks.2.ls1.gamma", "mask_tokens", "register_tokens"):
        state = dinov2_state(backbone) | {extra: torch.zeros(1, DIM)}
        with pytest.raises(WeightsError, match=f"1 unexpected: {extra} "):
            load_weights(backbone, str(save(tmp_path, "teacher", backbone, state)))
    file = teacher(dinov2_state(backbone))
    file["teacher"]["koleo.scale"] = torch.zeros(1)
    torch.save(file, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"unexpected: koleo\.scale"):
        load_weights(backbone, str(tmp_path / "w.pth"))
    both = file["teacher"] | dinov2_state(backbone, seed=1)
    torch.save(both, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds two networks"):
        load_weights(backbone, str(tmp_path / "w.pth"))


def test_a_position_embedding_for_518_px_is_refused_with_both_shapes(tmp_path: Path) -> None:
    backbone = few_blocks("small")
    state = dinov2_state(backbone) | {"pos_embed": torch.zeros(1, 1370, DIM)}
    with pytest.raises(WeightsError, match=rf"pos_embed is \(1, 1370, {DIM}\), should be \(1, 257, {DIM}\)"):
        load_weights(backbone, str(save(tmp_path, "teacher", backbone, state)))


def test_weights_in_half_precision_run_in_float32(tmp_path: Path) -> None:
    backbone = few_blocks("small")
    half = {name: value.half() for name, value in dinov2_state(backbone).items()}
    network = load_weights(backbone, str(save(tmp_path, "teacher", backbone, half))).network
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}
    with torch.no_grad():
        assert torch.isfinite(network(images())).all()


def test_the_small_network_of_full_size_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a file with a known digest is named; the digest here stands for the published one."""
    backbone = backbone_named("vit_small_patch14_dinov2")
    torch.manual_seed(0)
    network = timm.create_model(backbone.name, num_classes=0, img_size=224).eval()
    torch.save(
        teacher(network.state_dict() | {"mask_token": torch.zeros(1, 384)}), tmp_path / "DinoBloom-S.pth"
    )
    assert backbone.dim == 384
    assert network.pos_embed.shape == (1, 257, 384)
    loaded = load_weights(backbone, str(tmp_path / "DinoBloom-S.pth"))
    assert loaded.origin == "file DinoBloom-S.pth"
    with torch.no_grad():
        tokens = network.forward_features(images())
        torch.testing.assert_close(loaded.network(images()), tokens[:, 0], rtol=0, atol=0)
    digest = layouts.sha256((tmp_path / "DinoBloom-S.pth").read_bytes()).hexdigest()
    monkeypatch.setitem(layouts._PUBLISHED, digest, "DinoBloom-S")
    known = load_weights(backbone, str(tmp_path / "DinoBloom-S.pth"))
    assert known.origin == "file DinoBloom-S.pth, DinoBloom-S as published"
    assert known.label == "DinoBloom-S"
    for other in (BACKBONES["resnet18"], backbone_named("vit_base_patch14_dinov2")):
        with pytest.raises(
            WeightsError, match=f"not a {other.name}; give --backbone vit_small_patch14_dinov2"
        ):
            load_weights(other, str(tmp_path / "DinoBloom-S.pth"))


@pytest.mark.parametrize("size", ["small", "base", "large", "giant"])
def test_dinov2_networks_are_described_without_being_filled(size: str) -> None:
    backbone = backbone_named(f"vit_{size}_patch14_dinov2.lvd142m")
    with torch.device("meta"):
        network = backbone.build()
    assert network.num_features == backbone.dim
    assert network.pos_embed.shape == (1, 257, backbone.dim)
    assert not list(network.buffers())  # which loading into a network without numbers would leave empty
    assert backbone.input_size == 224


def test_a_description_of_another_network_beside_the_file_is_refused(tmp_path: Path) -> None:
    backbone = few_blocks("small")
    path = save(tmp_path, "timm", backbone, dinov2_state(backbone))
    beside = path.with_name("config.json")
    config = json.loads(beside.read_text())
    config["pretrained_cfg"] |= {"mean": [0.5, 0.5, 0.5], "input_size": [3, 518, 518]}
    beside.write_text(json.dumps(config))
    note = load_weights(backbone, str(path)).note
    assert "asks for input size 518 (here 224), mean [0.5, 0.5, 0.5] (here [0.485, 0.456, 0.406])" in note
    config["architecture"] = "vit_large_patch14_dinov2"
    beside.write_text(json.dumps(config))
    with pytest.raises(
        WeightsError, match=r"config\.json says that .* give --backbone vit_large_patch14_dinov2"
    ):
        load_weights(backbone, str(path))
    beside.write_text("[1]")
    assert "is no description of a timm network" in load_weights(backbone, str(path)).note


def test_in_hugging_faces_cache_the_repository_names_the_file(tmp_path: Path) -> None:
    backbone = few_blocks("small")
    folder = tmp_path / "models--Snarcy--RedDino-small" / "snapshots" / "0123abc"
    folder.mkdir(parents=True)
    safetensors.torch.save_file(timm_names(backbone, dinov2_state(backbone)), folder / "model.safetensors")
    assert load_weights(backbone, str(folder / "model.safetensors")).label == "RedDino-small"

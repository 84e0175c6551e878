import copy
import urllib.error
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision

from lymphofeat.encoder.backbones import BACKBONES, backbone_named, untrained
from lymphofeat.encoder.state_dict import state_digest
from lymphofeat.encoder.weights import load_weights
from lymphofeat.errors import InputError, WeightsError

RESNET18 = BACKBONES["resnet18"]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return torchvision.models.resnet18(weights=None, num_classes=8).state_dict()


def images() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def expected(state: dict[str, torch.Tensor]) -> torch.Tensor:
    network = torchvision.models.resnet18(weights=None, num_classes=8)
    network.load_state_dict(state)
    network.fc = torch.nn.Identity()
    return network.eval()(images())


@pytest.mark.parametrize("form", ["plain", "module", "wrapped", "twice", "headless", "safetensors"])
def test_every_form_of_file_gives_the_same_encoder(tmp_path: Path, state, form: str) -> None:
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    prefixed = {f"module.{k}": v for k, v in state.items()}
    headless = {k: v for k, v in state.items() if not k.startswith("fc.")}
    content = {
        "plain": state,
        "module": prefixed,
        "wrapped": {"state_dict": state, "epoch": 3},
        "twice": {"model": {"state_dict": prefixed}},
        "headless": headless,
        "safetensors": dict(state),
    }[form]
    (safetensors.torch.save_file if form == "safetensors" else torch.save)(content, path)
    loaded = load_weights(RESNET18, str(path))
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(images()), expected(state), rtol=0, atol=0)
    assert loaded.label == "w"
    assert loaded.digest == state_digest(headless)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_what_torch_puts_before_names_is_taken_off_and_said(tmp_path: Path, state, prefix: str) -> None:
    path = tmp_path / "w.pth"
    torch.save({prefix + key: value for key, value in state.items()}, path)
    loaded = load_weights(RESNET18, str(path))
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(images()), expected(state), rtol=0, atol=0)
    assert f"{path}: the names of its weights are read without" in loaded.note
    assert loaded.origin == "file w.pth"  # part of what an encoding is: as before
    torch.save(state, path)
    assert load_weights(RESNET18, str(path)).note == ""


@pytest.mark.parametrize("prefix", ["backbone.", "encoder.", "model.net.", "features[0]."])
def test_another_prefix_is_named_with_the_way_out(tmp_path: Path, state, prefix: str) -> None:
    path = tmp_path / "w.pth"
    torch.save({prefix + key: value for key, value in state.items()} | {"head.weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError) as refused:
        load_weights(RESNET18, str(path))
    message = str(refused.value)
    assert f"under names that begin with {prefix!r}; save them without it" in message
    assert f"name.removeprefix({prefix!r})" in message
    assert len(message.splitlines()) <= 4
    kept = {name.removeprefix(prefix): w for name, w in torch.load(path).items() if name.startswith(prefix)}
    torch.save(kept, path)
    load_weights(RESNET18, str(path))


def test_of_two_networks_in_a_file_both_prefixes_are_named(tmp_path: Path, state) -> None:
    path = tmp_path / "w.pth"
    torch.save(
        {f"{part}.{key}": value for part in ("student", "teacher") for key, value in state.items()}, path
    )
    with pytest.raises(WeightsError, match=r"begin with 'student\.' \(others begin with teacher\.\)"):
        load_weights(RESNET18, str(path))
    both = dict(state) | {f"module.{key}": value for key, value in state.items()}
    torch.save(both, path)
    with pytest.raises(WeightsError, match=r"122 unexpected: module\."):
        load_weights(RESNET18, str(path))


def test_a_network_that_does_not_fit_is_told_in_a_few_lines(tmp_path: Path, state) -> None:
    path = tmp_path / "w.pth"
    torch.save({f"odd.{key}x": value for key, value in state.items()}, path)
    with pytest.raises(WeightsError, match="keys do not fit") as refused:
        load_weights(RESNET18, str(path))
    lines = str(refused.value).splitlines()
    assert len(lines) == 3
    assert lines[1] == "  100 missing: conv1.weight (64, 3, 7, 7), bn1.weight (64,), …"
    assert lines[2].startswith("  122 unexpected: odd.conv1.weightx (64, 3, 7, 7), ")


def test_random_weights_are_repeatable_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    a, b, c = (load_weights(RESNET18, "none", seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert a.digest == b.digest != c.digest
    assert a.label == "random0"


def test_random_weights_need_a_seed() -> None:
    with pytest.raises(WeightsError, match="needs a --seed"):
        load_weights(RESNET18, "none")


def test_a_mismatch_is_named_key_by_key(tmp_path: Path, state) -> None:
    wrong = copy.copy(state)
    wrong["extra.weight"] = torch.zeros(2)
    del wrong["layer1.0.conv1.weight"]
    wrong["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    torch.save(wrong, tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        load_weights(RESNET18, str(tmp_path / "w.pth"))
    message = str(caught.value)
    assert "3 keys do not fit" in message
    assert "\n  1 missing: layer1.0.conv1.weight (64, 64, 3, 3)\n" in message
    assert "\n  1 unexpected: extra.weight (2,)\n" in message
    assert message.endswith("\n  1 of another shape: conv1.weight is (64, 1, 7, 7), should be (64, 3, 7, 7)")


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("resnet34", lambda: torchvision.models.resnet34(num_classes=3)),
        ("resnet50", lambda: untrained(BACKBONES["resnet50"], 0)),
        ("small-cnn", lambda: untrained(BACKBONES["small-cnn"], 0)),
        ("resnext50_32x4d", lambda: torchvision.models.resnext50_32x4d()),
        ("efficientnet-lite0", lambda: untrained(backbone_named("efficientnet-lite0"), 0)),
    ],
)
def test_weights_of_another_network_are_recognised_in_one_line(tmp_path: Path, name: str, whole) -> None:
    path = tmp_path / "w.pth"
    torch.save(whole().state_dict(), path)
    with pytest.raises(WeightsError) as refused:
        load_weights(RESNET18, str(path))
    message = str(refused.value)
    assert message.startswith(f"{path} holds a {name}, not a resnet18: ")
    assert message.endswith(f"give --backbone {name}.")
    assert len(message.splitlines()) == 1


def test_any_file_of_wrong_weights_is_told_in_five_lines(tmp_path: Path, state) -> None:
    wrong = {key: torch.full((2, 2), torch.nan) for key in list(state)[:60]}
    wrong |= {f"x{number}": torch.zeros(1) for number in range(200)}
    path = tmp_path / "w.pth"
    torch.save(wrong, path)
    with pytest.raises(WeightsError) as refused:
        load_weights(RESNET18, str(path))
    assert len(str(refused.value).splitlines()) == 5


def test_weights_that_are_not_finite_are_refused(tmp_path: Path, state) -> None:
    bad = dict(state)
    bad["conv1.weight"] = torch.full_like(state["conv1.weight"], torch.nan)
    torch.save(bad, tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match=r"1 not finite: conv1\.weight"):
        load_weights(RESNET18, str(tmp_path / "nan.pth"))


@pytest.mark.parametrize("content", ["text", "network", "empty", "list"])
def test_files_without_weights_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "w.pth"
    if content == "text":
        path.write_text("hello")
    elif content == "network":  # a pickled module could run code when loaded: never unpickled
        torch.save(torchvision.models.resnet18(weights=None), path)
    else:
        torch.save({} if content == "empty" else [1, 2], path)
    with pytest.raises(WeightsError, match="save the network's state_dict"):
        load_weights(RESNET18, str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nosuch\.pth: no such weights file"):
        load_weights(RESNET18, str(tmp_path / "nosuch.pth"))


def test_a_failed_download_says_how_to_bring_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(WeightsError, match=r"could not fetch https://.*resnet18.*no route.*--weights FILE"):
        load_weights(RESNET18, "imagenet")


def test_imagenet_weights_come_through_torchvisions_own_loader(tmp_path, monkeypatch, state) -> None:
    """A file in torch.hub's folder is found, its hash checked, and loaded: torchvision's real path, no network."""
    thousand = dict(state)
    thousand["fc.weight"], thousand["fc.bias"] = torch.zeros(1000, 512), torch.zeros(1000)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    torch.save(thousand, folder / "resnet18-f37072fd.pth")
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    loaded = load_weights(RESNET18, "imagenet")
    with torch.no_grad():
        torch.testing.assert_close(loaded.network(images()), expected(state), rtol=0, atol=0)
    assert loaded.label == "imagenet"


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_gives_its_width(name: str) -> None:
    backbone = backbone_named(name)
    with torch.no_grad():
        assert untrained(backbone, 0).eval()(images()).shape == (2, backbone.dim)
    if backbone.imagenet:
        assert torchvision.models.get_weight(backbone.imagenet).meta["num_params"] > 0
    else:
        with pytest.raises(WeightsError, match=f"no ImageNet weights for {name}"):
            load_weights(backbone, "imagenet")


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(InputError, match="need no extra: resnet18, resnet34"):
        backbone_named("no-such-network")

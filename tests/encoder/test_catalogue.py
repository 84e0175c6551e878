"""The list of networks: held to what the networks are, and to what is installed and downloaded."""

import importlib.util
from pathlib import Path

import pytest
import torch
import torchvision

from lymphofeat.encoder.backbones import BACKBONES, backbone_named
from lymphofeat.encoder.catalogue import listed_backbones
from lymphofeat.encoder.layouts import DINOV2_LAYOUTS

from ..helpers.commands import runner


def test_every_network_of_the_program_is_listed_with_its_width() -> None:
    listed = {one.name: one for one in listed_backbones()}
    assert {*BACKBONES, "morphology", "efficientnet-lite0"} <= set(listed)
    for name, one in listed.items():
        if name not in ("morphology", "NAME"):
            assert one.width == str(backbone_named(name).dim), name
        if "DinoBloom" in one.source:
            assert backbone_named(name).layouts == DINOV2_LAYOUTS


def test_efficientnet_is_the_first_network_among_what_works_offline() -> None:
    offline = [one.name for one in listed_backbones() if one.offline]
    assert offline[:2] == ["morphology", "efficientnet-lite0"]


def test_what_is_not_installed_does_not_work_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    listed = {one.name: one for one in listed_backbones()}
    assert not listed["efficientnet-lite0"].offline
    assert "lymphofeat[efficientnet]" in listed["efficientnet-lite0"].way
    assert "lymphofeat[timm]" in listed["vit_small_patch14_dinov2"].way


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_a_downloaded_file_works_offline(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder where torchvision looks for it, under the name that it looks for."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("torch.hub._hub_dir", None)
    assert not _listed(name).offline
    url = torchvision.models.get_weight(BACKBONES[name].imagenet).url
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True)
    (folder / url.rpartition("/")[2]).touch()
    assert _listed(name).offline


def _listed(name: str):
    (one,) = [one for one in listed_backbones() if one.name == name]
    return one


def test_the_list_fits_eighty_columns_and_help_names_the_same_networks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runner(monkeypatch, capsys, columns=80)
    shown = run("backbones").out
    assert max(map(len, shown.splitlines())) <= 80
    words = {line.split()[0] for line in shown.splitlines() if line.strip()}
    assert {one.name for one in listed_backbones()} <= words
    assert "…" not in shown
    told = " ".join(run("extract", "--help").out.split())
    assert "`lymphofeat backbones`" in told
    for name in ("morphology", "efficientnet-lite0", *BACKBONES):
        assert name in told

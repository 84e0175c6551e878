"""Bundles that are refused: changed, cut short, foreign, newer, with other weights, or under other libraries."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lymphofeat.bundle import load_bundle, predict_folder
from lymphofeat.bundle.manifest import FORMAT, MANIFEST, _digest
from lymphofeat.errors import BundleError


def copied(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copy"))


def files_of(model: Path) -> list[str]:
    return [p.relative_to(model).as_posix() for p in sorted(model.rglob("*")) if p.is_file()]


def test_one_flipped_bit_anywhere_is_found(model: Path, tmp_path: Path) -> None:
    copy = copied(model, tmp_path)
    rng = np.random.default_rng(0)
    for name in files_of(copy):
        content = (copy / name).read_bytes()
        for _ in range(4 if name == MANIFEST else 1):
            changed = bytearray(content)
            changed[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
            (copy / name).write_bytes(changed)
            with pytest.raises(BundleError, match=re.escape(name)):
                load_bundle(copy)
        (copy / name).write_bytes(content)
    load_bundle(copy)


def test_every_file_cut_short_or_missing_is_named(model: Path, tmp_path: Path) -> None:
    copy = copied(model, tmp_path)
    for name in files_of(copy):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(BundleError, match=re.escape(name)):
            load_bundle(copy)
        (copy / name).unlink()
        with pytest.raises(BundleError, match=re.escape(name)):
            load_bundle(copy)
        (copy / name).write_bytes(content)


def rewritten(root: Path, change: Any) -> None:
    """A manifest with something else in it, its own digest right again."""
    manifest = json.loads((root / MANIFEST).read_text())
    change(manifest)
    del manifest["digest"]
    manifest["digest"] = _digest(manifest)
    (root / MANIFEST).write_text(json.dumps(manifest))


def test_foreign_folders_and_formats(model: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(BundleError, match="is not a bundle: there is no"):
            load_bundle(path)
    (tmp_path / MANIFEST).write_text('{"name": "another program"}')
    with pytest.raises(BundleError, match="not a bundle's manifest"):
        load_bundle(tmp_path)
    copy = copied(model, tmp_path)
    rewritten(copy, lambda m: m.update(format=FORMAT + 1, lymphofeat="9.0"))
    with pytest.raises(
        BundleError, match=rf"of bundle format {FORMAT + 1}.*install the version that wrote it \(9.0\)"
    ):
        load_bundle(copy)
    rewritten(copy, lambda m: m.update(format=FORMAT, files={**m["files"], "../x": {}}))
    with pytest.raises(BundleError, match="outside the bundle"):
        load_bundle(copy)


def test_a_file_too_many_is_named(model: Path, tmp_path: Path) -> None:
    copy = copied(model, tmp_path)
    (copy / ".DS_Store").write_bytes(b"x")
    load_bundle(copy)
    (copy / "heads" / "more.pkl").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"holds heads/more\.pkl"):
        load_bundle(copy)


def replaced(root: Path, name: str, content: bytes) -> None:
    """A file changed by somebody who knows how to write a manifest."""
    (root / name).write_bytes(content)
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    rewritten(root, lambda m: m["files"].update({name: entry}))


def test_another_backbone_or_head_behind_a_right_manifest(model: Path, cohort: Path, tmp_path: Path) -> None:
    copy = copied(model, tmp_path)
    about = json.loads((copy / "model.json").read_text())
    about["encoders"][0]["backbone"] = "resnet18"
    replaced(copy, "model.json", json.dumps(about).encode())
    with pytest.raises(BundleError, match=r"encoder-0\.safetensors does not hold the weights of a resnet18"):
        predict_folder(copy, cohort, tmp_path / "p.csv")
    assert not (tmp_path / "p.csv").exists()
    shutil.rmtree(copy)
    copy = copied(model, tmp_path)
    head = json.loads((copy / "heads/member-0-fit-0.json").read_text())
    head["tree"]["class"] = "subprocess.Popen"
    replaced(copy, "heads/member-0-fit-0.json", json.dumps(head).encode())
    with pytest.raises(BundleError, match=r"member-0-fit-0\.json cannot be used.*'subprocess.Popen'"):
        load_bundle(copy)


def test_libraries_that_compute_otherwise_are_noticed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.preprocessing import StandardScaler

    transform = StandardScaler.transform
    monkeypatch.setattr(
        StandardScaler, "transform", lambda self, X, copy=None: 1.01 * transform(self, X, copy)
    )
    with pytest.raises(BundleError, match="the installed libraries compute otherwise; install numpy"):
        load_bundle(model)

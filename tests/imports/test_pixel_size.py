"""The size of a pixel as files of features say it: taken where it is one in µm, never from a magnification."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from lymphofeat import import_features, open_cache
from lymphofeat.imports.hdf5 import load_hdf5

from ..helpers.elsewhere import plain_table, simulated, slide_table, write_stamp

STAMP = {"unit": "um", "tile_size_um": 256.0, "tile_size_px": 224}
TRIDENT = {
    "patch_size": 256,
    "patch_size_level0": 512,
    "level0_magnification": 40,
    "target_magnification": 20,
}


def written(path: Path, of_file: dict[str, object], of_coords: dict[str, object]) -> Path:
    with h5py.File(path, "w") as file:
        file["features"], file["coords"] = np.ones((3, 4), np.float32), np.zeros((3, 2))
        file.attrs.update(of_file)
        file["coords"].attrs.update(of_coords)
    return path


@pytest.mark.parametrize(
    ("of_file", "of_coords", "size"),
    [
        ({}, {}, None),
        (STAMP, {}, 256 / 224),
        ({**STAMP, "unit": "px"}, {}, None),
        ({"unit": "um", "tile_size": 256.0}, {}, None),  # STAMP before 2.1: the pixels are not said
        ({**STAMP, "tile_size_px": 0}, {}, None),
        ({**STAMP, "tile_size_um": float("nan")}, {}, None),
        ({**STAMP, "tile_size_um": 1.0}, {}, None),  # 0.004 µm: no micrometres
        ({**STAMP, "tile_size_um": "wide"}, {}, None),
        ({**STAMP, "tile_size_um": [256.0, 256.0]}, {}, None),
        ({}, TRIDENT, None),  # nominal magnifications
        ({}, {**TRIDENT, "mpp": 0.23}, 0.46),
        ({}, {**TRIDENT, "mpp": -1.0}, None),  # TRIDENT's word for "not known"
        ({"mpp": 0.23}, {}, None),  # of which level is not said
    ],
)
def test_only_micrometres_are_taken(
    tmp_path: Path, of_file: dict[str, object], of_coords: dict[str, object], size: float | None
) -> None:
    found = load_hdf5(written(tmp_path / "slide.h5", of_file, of_coords)).microns_per_pixel
    assert found == (None if size is None else pytest.approx(size))


@pytest.mark.parametrize(("odd", "kept"), [(256.0, True), (512.0, False), (None, False)])
def test_a_cache_keeps_what_all_files_say(tmp_path: Path, odd: float | None, *, kept: bool) -> None:
    given = simulated(12)
    folder = write_stamp(tmp_path / "virchow2", given)
    for k, path in enumerate(sorted(folder.glob("*.h5"))):
        with h5py.File(path, "a") as file:
            wide = odd if k == 3 else 256.0
            if wide is not None:
                file.attrs.update({"tile_size_um": wide, "tile_size_px": 224})
    table, slides = plain_table(tmp_path / "p.csv", given), slide_table(tmp_path / "s.csv", given)
    import_features(folder, tmp_path / "c.h5", table, slides=slides, n_folds=3)
    attrs = open_cache(tmp_path / "c.h5").encodings["virchow2"].attrs
    assert attrs.get("microns_per_pixel") == (pytest.approx(256 / 224) if kept else None)

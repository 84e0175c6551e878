"""What a simulated cell looks like before it is painted: its type and its continuous morphology."""

import numpy as np
import numpy.typing as npt

# One column each of a cell's morphology. Lengths are pixels of a 224-pixel image; the rest are relative.
MORPHOLOGY = (
    "radius",  # of the whole cell
    "nuclear_ratio",  # nuclear to cell radius
    "irregularity",  # waviness of the outline
    "corners",  # pointed, drawn-out corners of the cytoplasm
    "elongation",  # of the nucleus
    "lobes",  # depth of nuclear lobes
    "eccentricity",  # shift of the nucleus, in units of the room it has
    "density",  # nuclear stain
    "chromatin",  # contrast of the nuclear texture
    "nucleolus",  # contrast of a pale nucleolus
    "basophilia",  # blue of the cytoplasm
    "rim",  # deeper blue at the edge of the cell
    "granules",  # number of azurophilic granules
)
LOWEST = np.array([14, 0.35, 0, 0, 0, 0, 0, 0.45, 0.02, 0, 0.1, 0, 0], dtype=np.float64)
HIGHEST = np.array([66, 0.97, 0.3, 0.7, 0.45, 0.5, 1, 1.5, 0.6, 0.6, 2, 1.6, 16], dtype=np.float64)

# type: (mean, standard deviation), columns as in MORPHOLOGY
_TYPES: dict[str, tuple[list[float], list[float]]] = {
    "mature": (
        [30, 0.86, 0.03, 0.03, 0.08, 0.03, 0.4, 1.15, 0.16, 0.02, 0.75, 0.35, 0],
        [3, 0.05, 0.02, 0.04, 0.05, 0.02, 0.2, 0.10, 0.05, 0.03, 0.20, 0.15, 0.4],
    ),
    "granular": (
        [42, 0.66, 0.05, 0.12, 0.12, 0.04, 0.6, 1.0, 0.18, 0.04, 0.4, 0.2, 8],
        [5, 0.06, 0.03, 0.1, 0.06, 0.03, 0.2, 0.10, 0.05, 0.05, 0.12, 0.15, 3],
    ),
    "reactive": (
        [47, 0.64, 0.1, 0.32, 0.18, 0.06, 0.6, 0.92, 0.2, 0.12, 0.8, 0.9, 1],
        [7, 0.07, 0.05, 0.14, 0.08, 0.05, 0.2, 0.11, 0.06, 0.12, 0.3, 0.3, 1.5],
    ),
    "blast": (
        [43, 0.85, 0.05, 0.05, 0.1, 0.06, 0.4, 0.82, 0.11, 0.35, 1.1, 0.5, 0],
        [4, 0.04, 0.03, 0.05, 0.05, 0.05, 0.2, 0.09, 0.04, 0.1, 0.25, 0.2, 0.3],
    ),
    "smudge": (
        [36, 0.95, 0.22, 0.2, 0.2, 0.12, 0.1, 0.68, 0.2, 0.05, 0.15, 0.0, 0],
        [6, 0.02, 0.06, 0.1, 0.1, 0.06, 0.1, 0.08, 0.06, 0.05, 0.05, 0.0, 0.1],
    ),
    "flower": (
        [38, 0.80, 0.05, 0.05, 0.05, 0.38, 0.15, 1.15, 0.16, 0.03, 0.9, 0.4, 0],
        [3, 0.04, 0.02, 0.05, 0.03, 0.05, 0.1, 0.09, 0.05, 0.04, 0.2, 0.15, 0.3],
    ),
}
CELL_TYPES = tuple(_TYPES)
RARE_TYPE = CELL_TYPES.index("flower")  # the lobed cell of adult T-cell leukaemia
_MEAN = np.array([mean for mean, _ in _TYPES.values()])
_SD = np.array([sd for _, sd in _TYPES.values()])

_POLYCLONAL = np.array([0.32, 0.20, 0.34, 0.08, 0.06, 0.0])  # shares of the types among cells of no clone
_CLONAL = np.array([0.75, 0.0, 0.0, 0.25, 0.0, 0.0])  # how often a clone is of a type
_CENTRE_SPREAD, _CLONE_SPREAD = 0.8, 0.3  # in the type's standard deviations: between clones, within one


def simulate_cells(
    rng: np.random.Generator, n: int, clone_fraction: float, n_rare: int = 0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The cells of one bag, in random order.

    Every patient has a clone, drawn without regard to the label; how many of the cells belong to it is what differs.

    Returns:
        types: (n,) index into `CELL_TYPES`.
        morphology: (n, 13) float64, columns as in `MORPHOLOGY`, within `LOWEST` and `HIGHEST`.
        clonal: (n,) bool, the cell belongs to the clone.
    """
    clone = int(rng.choice(len(CELL_TYPES), p=_CLONAL))
    centre = rng.normal(_MEAN[clone], _CENTRE_SPREAD * _SD[clone])
    clonal = rng.random(n) < clone_fraction
    types = np.where(clonal, clone, rng.choice(len(CELL_TYPES), size=n, p=_POLYCLONAL))
    rare = rng.permutation(n)[:n_rare]
    types[rare], clonal[rare] = RARE_TYPE, False
    mean = np.where(clonal[:, None], centre, _MEAN[types])
    spread = np.where(clonal, _CLONE_SPREAD, 1.0)[:, None] * _SD[types]
    return types, np.clip(rng.normal(mean, spread), LOWEST, HIGHEST), clonal

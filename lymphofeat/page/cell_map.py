"""All cells on one plane: a canvas with the cell under the pointer, its colours to choose; a figure for paper."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cache.encoding import Encoding
from ..cache.reader import Cache
from ..cache.split import JOINT
from ..estimates.neighbours import NeighbourShares, neighbour_shares
from ..explanation.cell_positions import ITERATIONS, Positions, cell_positions, sample_evenly
from ..figures.cell_map import draw_cell_map
from ..progress import Progress
from ..studies.summary import StudySummary
from ..wording import CLASSES
from .blocks import Block, FigureBlock, Gap, Table, csv_link
from .cell_colours import Colouring, colourings, packed
from .image_files import ImageFiles, find_images
from .names import Names
from .sources import Sources
from .sprites import make_sprites

__all__ = ["MOST_CELLS", "CellMap", "cell_map_block"]

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_CELLS = 5000
_SPRITES = 3_000_000  # bytes, before base64
_NOWHERE = 65_535  # no sprite
_OF_CLASS = ("same_patient", "same_class", "same_class_chance")
_CLASSES = {**CLASSES, -1: "not known"}


@dataclass(frozen=True)
class CellMap(FigureBlock):
    """The map: `drawn` for paper and where no script runs, and what the canvas needs.

    Attributes:
        findings: what lies beside what, in sentences.
        shares: the same as a table, by class.
        colourings: what the cells can be coloured by; the first is shown at first.
        data: for the script, see templates/cell_map.js.
    """

    template = "cell_map.html.j2"
    findings: Sequence[str]
    shares: Table
    colourings: Sequence[Colouring]
    data: Mapping[str, Any]

    @property
    def csv(self) -> str:
        """Every point, as a `data:` address."""
        return csv_link(self.drawn.table)

    @property
    def for_script(self) -> dict[str, Any]:
        """All that the script reads, as JSON values."""
        return {**self.data, "colourings": [one.for_script() for one in self.colourings]}

    @cached_property
    def groups(self) -> dict[str, list[Colouring]]:
        """The colourings under their headings."""
        found: dict[str, list[Colouring]] = {}
        for one in self.colourings:
            found.setdefault(one.group, []).append(one)
        return found


def cell_map_block(
    sources: Sources,
    contributions: Mapping[str, Floats],
    progress: Progress,
    files: ImageFiles | None = None,
    pictured: Collection[int] = (),
) -> Block:
    """The map of all cells, or of 5,000 that are sampled evenly over the patients.

    Args:
        sources: the cache, and the study whose encoding is drawn; without a study, the cache's latest encoding.
        contributions: per patient, (n_images,) log-odds that each image adds, in the cache's order; patients may be
            missing, and values may be NaN.
        progress: told of the steps.
        files: of the images; None: they are looked for.
        pictured: rows of the images that stand on the page of their patient, from where the map takes them; the others
            get small pictures of their own.
    """
    cache, names = sources.cache, sources.names
    encoding = _encoding(cache, sources.study)
    if encoding is None:
        return Gap(f"{cache.path.name} holds no encoding that can be drawn, so there is no map of the cells")
    rows = sample_evenly(cache.patients["n_images"].to_numpy(np.int64), MOST_CELLS)
    owners, labels = cache.tables.owners[rows], np.full(len(cache.ids), -1, dtype=np.int8)
    labels[cache.labelled] = cache.labels[cache.labelled]
    progress.start("placing the cells on a map", 1, "map")
    try:
        placed = cell_positions(encoding.features[rows])
        beside = neighbour_shares(placed.reduced, owners, labels[owners])
        progress.advance()
    finally:
        progress.stop()
    points = _points(cache, names, rows, owners, labels, placed, contributions)
    findings = _findings(beside, len(np.unique(owners)))
    caption = _caption(encoding, placed, len(rows), cache.tables.n_images, len(np.unique(owners)))
    alt = f"{_counted(points)} {' '.join(findings)}"
    drawn = draw_cell_map(points, caption, alt)
    colours = colourings(points, rows, *_named(cache, encoding))
    data = _data(names, cache.ids.astype(str).to_numpy(), owners, labels, points)
    data |= _pictures(rows, files or find_images(cache), pictured, progress)
    return CellMap(drawn, findings, _shares(points, beside), colours, data)


def _encoding(cache: Cache, study: StudySummary | None) -> Encoding | None:
    """The study's encoding, if it can be one that saw no label, and has named features; else that of its first fold."""
    wanted = [cache.default_encoder_family] if study is None else study.encoding.split(JOINT)
    there = [one for _, one in sorted(cache.encodings.items())]
    members = [one for name in wanted for one in there if one.encoder_family == name] or there
    return min(members, key=lambda one: (len(one.blind_to or ()), one.names is None), default=None)


def _named(cache: Cache, encoding: Encoding) -> tuple[Encoding | None, str]:
    """An encoding with named features to colour by, and what to say where it is not the one that is drawn."""
    if encoding.names is not None:
        return encoding, ""
    free = [
        one for _, one in sorted(cache.encodings.items()) if one.blind_to is None and one.names is not None
    ]
    return (free[0], f"of encoding {free[0].name}") if free else (None, "")


def _points(
    cache: Cache, names: Names, rows: Indices, owners: Indices, labels: NDArray[np.int8], placed: Positions,
    contributions: Mapping[str, Floats],
) -> pd.DataFrame:  # fmt: skip
    """The table of `draw_cell_map`, in the order of `rows`, which is random: no patient lies on top."""
    files, _, _ = cache.tables.images_at(rows)
    positions = rows - cache.tables.offsets[owners]
    ids = cache.ids.astype(str).to_numpy()
    found = {
        "patient": [names.patient(ids[owner]) for owner in owners],
        "image": [names.image(int(k), file) for k, file in zip(positions, files, strict=True)],
        "class": [_CLASSES[int(labels[owner])] for owner in owners],
        "x": placed.plane[:, 0],
        "y": placed.plane[:, 1],
    }
    if contributions:
        found["contribution"] = [
            float(contributions[ids[owner]][k]) if ids[owner] in contributions else np.nan
            for owner, k in zip(owners, positions, strict=True)
        ]
    return pd.DataFrame(found)


def _caption(encoding: Encoding, placed: Positions, n: int, n_all: int, n_patients: int) -> str:
    which = (
        f"All {n:,} cells" if n == n_all else f"{n:,} of {n_all:,} cells, sampled evenly over the patients,"
    )
    axes = f"{encoding.dim:,} standardised features of encoding {encoding.name}"
    if placed.perplexity is None:
        how = f"They lie by the first two principal axes of the {axes}; too few differ for t-SNE."
    else:
        reduced = placed.reduced.shape[1]
        by = (
            f", reduced to {reduced} principal axes ({100 * placed.kept:.0f} % of the variance)"
            if reduced < encoding.dim
            else ""
        )
        how = (
            f"They lie by t-SNE (perplexity {placed.perplexity:.0f}, begun from the principal axes, {ITERATIONS} "
            f"iterations, seed 0) of the {axes}{by}."
        )
    patients = "1 patient" if n_patients == 1 else f"{n_patients:,} patients"
    return (
        f"{which} of {patients}. {how} Cells that lie close together are alike; distances between groups, their sizes "
        f"and the axes mean nothing. {_blindness(encoding)}"
    )


def _blindness(encoding: Encoding) -> str:
    if encoding.blind_to is None:
        return "The encoder saw no label."
    folds = ", ".join(str(k) for k in sorted(encoding.blind_to))
    return (
        f"The encoder learnt from the labels of all patients outside fold {folds}, so the positions carry labels: "
        "that classes lie apart on this map is no evidence."
    )


def _counted(points: pd.DataFrame) -> str:
    parts = [
        f"{len(some):,} of {some['patient'].nunique():,} {name} patients" if name != "not known"
        else f"{len(some):,} of {some['patient'].nunique():,} patients without a label"
        for name in _CLASSES.values()
        if len(some := points[points["class"] == name])
    ]  # fmt: skip
    return f"Cells as points on a plane: {', '.join(parts)}."


def _findings(beside: NeighbourShares, n_patients: int) -> list[str]:
    """Whether patients or classes lie apart, measured before the plane."""
    if n_patients < 2 or not beside.n:
        return ["With cells of one patient only, nothing can be said of what lies apart."]
    own, chance = 100 * beside.same_patient, 100 * beside.same_patient_chance
    found = [
        f"Of the {beside.n} cells most like a cell, {own:.0f} % are of the same patient; of cells at random it would "
        f"be {chance:.1f} %."
    ]
    if np.isnan(beside.same_class):
        return found
    mean, low, high = (100 * value for value in beside.same_class_chance)
    same = 100 * beside.same_class
    found.append(
        f"Of the {beside.n_others} most like it among other patients' cells, {same:.0f} % are of its class; of those "
        f"cells at random it would be {mean:.0f} % ({low:.0f} to {high:.0f} % in 95 % of permutations of the classes "
        "over the patients)."
    )
    if beside.same_class > beside.same_class_chance[2]:
        found.append(
            "So classes lie apart by more than chance, even where a patient's own cells do not count."
        )
    else:
        found.append(
            "So it cannot be seen here that classes lie apart once a patient's own cells do not count."
        )
    if beside.same_patient > 2 * beside.same_patient_chance:
        found.append(
            "Patients lie apart as well: a patient's cells share the slide, its stain and its camera, and part of what "
            "separates cells on this map may be those."
        )
    return found


def _shares(points: pd.DataFrame, beside: NeighbourShares) -> Table:
    """By class, and of all: patients, cells, centre, shares of neighbours, each with what chance gives."""
    mean, low, high = beside.same_class_chance
    rows = [
        _row(name, some) | dict(zip(_OF_CLASS, beside.by_class.get(label, (np.nan,) * 3), strict=True))
        for label, name in _CLASSES.items()
        if len(some := points[points["class"] == name])
    ]
    whole = dict(zip(_OF_CLASS, (beside.same_patient, beside.same_class, mean), strict=True))
    chances = {
        "same_patient_chance": beside.same_patient_chance,
        "same_class_low": low,
        "same_class_high": high,
    }
    frame = pd.DataFrame([*rows, _row("all", points) | whole | chances])
    titles = {
        "neighbours of the same patient": "same_patient",
        "by chance": "same_patient_chance",
        "of the same class, among other patients' cells": "same_class",
        "by chance, of the class": "same_class_chance",
    }
    shown = {
        "class": frame["class"].tolist(),
        "patients": [f"{n:,}" for n in frame["patients"]],
        "cells": [f"{n:,}" for n in frame["cells"]],
        "centre on the map": [_centre(*pair) for pair in zip(frame["x"], frame["y"], strict=True)],
        **{title: [_percent(v) for v in frame[name]] for title, name in titles.items()},
    }
    return Table("cell-map-shares", "What lies beside a cell, by its class", frame, shown, values=titles)


def _row(name: str, some: pd.DataFrame) -> dict[str, Any]:
    centre = {"x": float(some["x"].mean()), "y": float(some["y"].mean())}
    return {"class": name, "patients": some["patient"].nunique(), "cells": len(some)} | centre


def _percent(value: float) -> str:
    return "—" if np.isnan(value) else f"{100 * value:.1f} %"


def _centre(x: float, y: float) -> str:
    return f"{x:.1f}, {y:.1f}".replace("-", "−")


def _data(
    names: Names, ids: NDArray[Any], owners: Indices, labels: NDArray[np.int8], points: pd.DataFrame
) -> dict[str, Any]:
    """What the script reads: positions, whose cells, words."""
    there, patient = np.unique(owners, return_inverse=True)
    plane = points[["x", "y"]].to_numpy()
    middle = (plane.max(axis=0) + plane.min(axis=0)) / 2
    span = float(np.ptp(plane, axis=0).max()) or 1.0  # one scale for both axes
    return {
        "xy": packed((plane - middle) * [1, -1] / span * 65_534, np.int16),
        "patient": packed(patient, np.uint16),
        "patients": [
            {"name": names.patient(ids[k]), "anchor": names.anchor(ids[k]), "label": int(labels[k])}
            for k in there
        ],
        "images": points["image"].tolist(),
        "contribution": packed(points["contribution"], np.float32) if "contribution" in points else None,
    }


def _pictures(
    rows: Indices, files: ImageFiles, pictured: Collection[int], progress: Progress
) -> dict[str, Any]:
    """Small pictures of the cells that stand nowhere else on the page, and which of them is whose."""
    own = [k for k, row in enumerate(rows.tolist()) if row not in pictured and files.paths[row] is not None]
    if not own and not pictured:
        return {}
    mine = rows[own].tolist()
    sprites = make_sprites(
        [files.paths[row] for row in mine], [files.digests[row] for row in mine], _SPRITES, progress
    )
    place = np.full(len(rows), _NOWHERE)
    place[own] = np.where(sprites.shown, np.arange(len(own)), _NOWHERE)
    return {
        "side": sprites.side, "columns": sprites.columns, "each": sprites.each, "sheets": sprites.texts(),
        "place": packed(place, np.uint16),
    }  # fmt: skip

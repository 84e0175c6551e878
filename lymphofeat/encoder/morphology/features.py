"""What is measured of a cell: the names, units and meanings of all features, in groups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...errors import InputError

__all__ = [
    "BACKGROUND",
    "DEFAULT_GROUPS", "FEATURES", "GROUPS", "MORPHOLOGY", "SIDE", "VERSION", "Feature",
    "feature_named", "features_of", "parse_groups",
]  # fmt: skip

MORPHOLOGY = "morphology"  # stands in the place of a backbone
SIDE = 224  # pixels: the square that is looked at, unless told otherwise

VERSION = 1  # of the definitions: whoever changes what a name measures raises it
GROUPS = ("shape", "chromatin", "colour", "background")
DEFAULT_GROUPS = ("shape", "chromatin")
BACKGROUND = ("background",)  # a control experiment


@dataclass(frozen=True)
class Feature:
    """One number of a cell.

    Attributes:
        name: in the cache and in tables.
        group: one of `GROUPS`.
        unit: "px", "px²" or "" for a ratio.
        meaning: one line.
        higher, lower: what a cell is called that has more, or less, of it.
    """

    name: str
    group: str
    unit: str
    meaning: str
    higher: str
    lower: str


def _group(group: str, *rows: tuple[str, str, str, str, str]) -> tuple[Feature, ...]:
    return tuple(Feature(name, group, unit, meaning, high, low) for name, unit, meaning, high, low in rows)


_SHAPE = _group(
    "shape",
    ("nucleus_area", "px²", "area of the nucleus", "larger nuclei", "smaller nuclei"),
    ("nucleus_perimeter", "px", "length of the nucleus' outline", "longer nuclear outlines",
     "shorter nuclear outlines"),
    ("nucleus_form_factor", "", "4π × area / perimeter² of the nucleus; 1 for a circle", "smoother, rounder nuclei",
     "more irregular nuclei"),
    ("nucleus_eccentricity", "", "eccentricity of the ellipse with the nucleus' moments; 0 for a circle",
     "more elongated nuclei", "less elongated nuclei"),
    ("nucleus_major_axis", "px", "long axis of that ellipse", "longer nuclei", "shorter nuclei"),
    ("nucleus_minor_axis", "px", "short axis of that ellipse", "broader nuclei", "narrower nuclei"),
    ("nucleus_solidity", "", "area of the nucleus / area of its convex hull; less than 1 where it is notched or lobed",
     "less notched nuclei", "more notched or lobed nuclei"),
    ("nucleus_extent", "", "area of the nucleus / area of its upright box", "nuclei that fill their box more",
     "nuclei that fill their box less"),
    ("nucleus_convexity", "", "perimeter of the convex hull / perimeter of the nucleus", "smoother nuclear outlines",
     "more wavy nuclear outlines"),
    ("nucleus_cleft_depth", "", "deepest point of the outline below the convex hull / radius of a circle of that area",
     "deeper nuclear clefts", "shallower nuclear clefts"),
    ("nucleus_radius_cv", "", "variation of the outline's distance from the nucleus' centre / its mean",
     "less round nuclei", "rounder nuclei"),
    ("cell_area", "px²", "area of the cell", "larger cells", "smaller cells"),
    ("cell_perimeter", "px", "length of the cell's outline", "longer cell outlines", "shorter cell outlines"),
    ("cell_form_factor", "", "4π × area / perimeter² of the cell", "smoother, rounder cells", "more irregular cells"),
    ("cell_eccentricity", "", "eccentricity of the cell", "more elongated cells", "less elongated cells"),
    ("cell_solidity", "", "area of the cell / area of its convex hull; less where cytoplasm is drawn out or indented",
     "cells with fewer processes and dents", "cells with more processes and dents"),
    ("cell_cleft_depth", "", "deepest dent of the cell below its hull / radius of a circle of the cell's area",
     "more deeply indented cells", "less indented cells"),
    ("cell_radius_cv", "", "variation of the cell outline's distance from the cell's centre / its mean",
     "less round cells", "rounder cells"),
    ("cytoplasm_area", "px²", "area of the cell outside the nucleus", "more cytoplasm", "less cytoplasm"),
    ("nc_ratio", "", "N:C ratio: area of the nucleus / area of the cell", "higher N:C ratios", "lower N:C ratios"),
    ("nucleus_shift", "", "distance of the nucleus' centre from the cell's / radius of a circle of the cell's area",
     "more eccentric nuclei", "more central nuclei"),
)  # fmt: skip

DISTANCES = (1, 3, 5)  # pixels between the grey levels that are compared
SCALES = (1, 2, 4)  # pixels, standard deviation of the Gaussian below the Laplacian


def _glcm(distance: int) -> tuple[tuple[str, str, str, str, str], ...]:
    at = f"{distance} px apart"
    return (
        (f"chromatin_contrast_{distance}", "", f"mean squared difference of chromatin levels {at}",
         f"coarser contrast of chromatin at {distance} px", f"less contrast of chromatin at {distance} px"),
        (f"chromatin_homogeneity_{distance}", "", f"likeness of chromatin levels {at}, 1 / (1 + difference²)",
         f"more homogeneous chromatin at {distance} px", f"less homogeneous chromatin at {distance} px"),
        (f"chromatin_energy_{distance}", "", f"root of the summed squares of the shares of pairs of levels {at}",
         f"more uniform chromatin at {distance} px", f"more varied chromatin at {distance} px"),
        (f"chromatin_correlation_{distance}", "", f"correlation of chromatin levels {at}",
         f"larger clumps of chromatin (by correlation at {distance} px)",
         f"finer chromatin (by correlation at {distance} px)"),
    )  # fmt: skip


_CHROMATIN = _group(
    "chromatin",
    *(row for distance in DISTANCES for row in _glcm(distance)),
    ("chromatin_bright_points", "", "share of pixels lighter than their 8 neighbours",
     "more light points in the chromatin", "fewer light points in the chromatin"),
    ("chromatin_dark_points", "", "share of pixels denser than their 8 neighbours",
     "more dark points in the chromatin", "fewer dark points in the chromatin"),
    ("chromatin_lines", "", "share of pixels on ends and corners of light or dark parts",
     "more corners in the chromatin pattern", "fewer corners in the chromatin pattern"),
    ("chromatin_edges", "", "share of pixels on straight edges between light and dark",
     "more edges in the chromatin pattern", "fewer edges in the chromatin pattern"),
    ("chromatin_mixed", "", "share of pixels with neighbours in no simple pattern", "more speckled chromatin",
     "less speckled chromatin"),
    *((f"chromatin_detail_{scale}", "", f"power of the Laplacian of Gaussian at {scale} px, of stretched levels",
       f"more chromatin detail of {scale} px", f"less chromatin detail of {scale} px") for scale in SCALES),
    ("nucleoli_count", "", "number of light spots inside the nucleus", "more nucleoli (light spots)",
     "fewer nucleoli (light spots)"),
    ("nucleoli_area", "", "area of the light spots / area of the nucleus", "larger nucleoli (light spots)",
     "smaller nucleoli (light spots)"),
    ("chromatin_cv", "", "variation of the nucleus' green density / its mean", "more clumped chromatin",
     "more even chromatin"),
    ("chromatin_skewness", "", "skewness of the nucleus' green density", "rarer, denser clumps of chromatin",
     "rarer, lighter gaps in the chromatin"),
    ("chromatin_rim", "", "green density of the nucleus' outer 3 px / of the rest", "denser nuclear rims",
     "lighter nuclear rims"),
)  # fmt: skip


def _relative(part: str, noun: str) -> tuple[tuple[str, str, str, str, str], ...]:
    return (
        (f"{part}_lightness", "", f"CIE L* of the {noun} − of the red cells", f"lighter {noun}", f"darker {noun}"),
        (f"{part}_redness", "", f"CIE a* of the {noun} − of the red cells", f"redder {noun}", f"greener {noun}"),
        (f"{part}_yellowness", "", f"CIE b* of the {noun} − of the red cells", f"yellower {noun}", f"bluer {noun}"),
        *((f"{part}_{colour}_density", "", f"optical density of {colour} in the {noun} / in the red cells",
           f"{noun} absorbing more {colour}", f"{noun} absorbing less {colour}")
          for colour in ("red", "green", "blue")),
    )  # fmt: skip


_COLOUR = _group("colour", *_relative("nucleus", "nuclei"), *_relative("cytoplasm", "cytoplasm"))

_BACKGROUND = _group(
    "background",
    *((f"slide_{colour}", "", f"mean {colour} intensity of the bare slide / 255", f"more {colour} light on the slide",
       f"less {colour} light on the slide") for colour in ("red", "green", "blue")),
    *((f"slide_{colour}_noise", "", f"standard deviation of {colour} on the bare slide / 255",
       f"more uneven slides in {colour}", f"more even slides in {colour}") for colour in ("red", "green", "blue")),
    *((f"red_cell_{colour}_density", "", f"median optical density of {colour} in red cells",
       f"red cells absorbing more {colour}", f"red cells absorbing less {colour}")
      for colour in ("red", "green", "blue")),
    ("red_cell_share", "", "share of the image around the cell that red cells cover", "more crowded red cells",
     "less crowded red cells"),
    ("slide_sharpness", "", "mean gradient of green density at the red cells' edges", "sharper images",
     "less sharp images"),
)  # fmt: skip

FEATURES: tuple[Feature, ...] = (*_SHAPE, *_CHROMATIN, *_COLOUR, *_BACKGROUND)
_BY_NAME = {feature.name: feature for feature in FEATURES}


def features_of(groups: Iterable[str]) -> list[Feature]:
    """The features of some groups, in their order in the cache."""
    wanted = set(groups)
    return [feature for feature in FEATURES if feature.group in wanted]


def feature_named(name: str) -> Feature | None:
    """The feature of that name; None for a name of another encoder."""
    return _BY_NAME.get(name)


def parse_groups(text: str | Sequence[str]) -> tuple[str, ...]:
    """Groups as given on the command line, each once, in the order of `GROUPS`.

    Args:
        text: names with commas between, or a sequence of names.

    Raises:
        InputError: no name, or an unknown one.
    """
    given = [part.strip() for part in (text.split(",") if isinstance(text, str) else text)]
    unknown = [name for name in given if name not in GROUPS]
    if unknown or not given:
        raise InputError(
            f"There is no group of features {', '.join(map(repr, unknown)) or repr('')}; choose from "
            f"{', '.join(GROUPS)}, with commas between them."
        )
    return tuple(name for name in GROUPS if name in given)

"""Where a cohort keeps what: folders, tables, columns, vocabulary. The default is the public challenge's.

A file `lymphofeat.toml` in the cohort's folder changes any of it; docs/cohort.md lists the keys.
"""

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from ..errors import InputError
from ..validation import Settings, mistakes_in
from .dates import REFERENCE_DATE

__all__ = [
    "LAYOUT_FILE",
    "Ages",
    "Columns",
    "Folders",
    "Images",
    "Layout",
    "Tables",
    "Values",
    "layout_of",
    "read_layout",
]

LAYOUT_FILE = "lymphofeat.toml"


def _words(value: Any) -> tuple[str, ...]:
    words = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(word, str | int) for word in words):
        raise PydanticCustomError("texts", "not texts")
    return tuple(str(word).strip().lower() for word in words)


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class Folders(Settings):
    """Folders of the images."""

    train: str = "trainset"
    test: str = "testset"


class Tables(Settings):
    """CSV files."""

    clinical: str = "clinical_annotation.csv"  # both parts
    train: str = "trainset/trainset_true.csv"
    test: str = "testset/testset_data.csv"


class Columns(Settings):
    """Columns of the tables, in any case."""

    id: str = "ID"
    label: str = "LABEL"
    sex: str = "GENDER"
    birth: str = "DOB"
    count: str = "LYMPH_COUNT"


class Values(Settings):
    """Vocabulary, in any case; `1.0` counts as `1`."""

    reactive: Words = ("0",)
    malignant: Words = ("1",)
    unknown: Words = ("-1",)
    male: Words = ("m", "male")
    female: Words = ("f", "female")
    missing: Words = ("", "na", "n/a", "nan", "none", "null", "?", "-")


class Images(Settings):
    """Image files."""

    suffixes: Words = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
    smallest: int = Field(default=112, gt=0)  # px; a side shorter than this cannot be cropped for the encoder


class Ages(Settings):
    """How ages are counted."""

    reference: date = REFERENCE_DATE


class Layout(Settings):
    """Names and words of a cohort. Paths are relative to its folder; an empty name means "there is none"."""

    folders: Folders = Folders()
    tables: Tables = Tables()
    columns: Columns = Columns()
    values: Values = Values()
    images: Images = Images()
    ages: Ages = Ages()


def layout_of(root: Path) -> Layout:
    """The layout of the cohort at `root`: its `lymphofeat.toml`, else the default.

    Raises:
        InputError: as `read_layout`.
    """
    path = root / LAYOUT_FILE
    return read_layout(path) if path.is_file() else Layout()


def read_layout(path: Path) -> Layout:
    """Read a mapping file; keys that it leaves out keep their defaults.

    Raises:
        InputError: unreadable, not TOML, or with unknown keys or values of another type (all are listed).
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a TOML file ({error}); see docs/cohort.md.") from error
    try:
        return Layout.model_validate(document)
    except ValidationError as error:
        raise InputError(
            "\n".join(
                f"{path}: {clause}." for clause in mistakes_in(document, error, Layout, "docs/cohort.md")
            )
        ) from None

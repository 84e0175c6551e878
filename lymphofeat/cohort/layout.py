"""Where a cohort keeps what: folders, tables, columns, vocabulary. The default is the public challenge's.

A file `lymphofeat.toml` in the cohort's folder changes any of it; docs/cohort.md lists the keys.
"""

import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ..errors import InputError
from ..validation import Settings, Words, mistakes_in
from .dates import DATE_ORDERS, REFERENCE_DATE, order_text, parse_order
from .declared import DeclaredSection, column_of_others
from .patterns import FilePattern
from .pixel_size import LARGEST, SMALLEST

__all__ = [
    "LAYOUT_FILE",
    "Ages",
    "Columns",
    "Folders",
    "Images",
    "Layout",
    "Rows",
    "Tables",
    "Values",
    "is_cohort",
    "layout_of",
    "read_layout",
    "without_labels",
]

LAYOUT_FILE = "lymphofeat.toml"


def _orders(value: Any) -> tuple[str, ...]:
    formats = value if isinstance(value, list | tuple) else [value]
    try:
        return tuple(dict.fromkeys(order_text(parse_order(str(text))) for text in formats))
    except InputError as error:
        raise PydanticCustomError("date_formats", "{reason}", {"reason": str(error)}) from None


DateOrders = Annotated[tuple[str, ...], BeforeValidator(_orders)]


class Folders(Settings):
    """Folders of the images."""

    train: str = "trainset"
    test: str = "testset"


class Tables(Settings):
    """CSV files."""

    clinical: str = "clinical_annotation.csv"  # both parts
    train: str = "trainset/trainset_true.csv"
    test: str = "testset/testset_data.csv"
    exclude: str = "exclude.csv"  # patients and images that are left out, with reasons


class Columns(Settings):
    """Columns of the tables, in any case."""

    id: str = "ID"
    label: str = "LABEL"
    sex: str = "GENDER"
    birth: str = "DOB"
    count: str = "LYMPH_COUNT"
    age: str = "AGE"  # years, at the examination
    examined: str = ""  # date of the examination
    person: str = ""  # who the patient is, where one person has several records


class Values(Settings):
    """Vocabulary, in any case; `1.0` counts as `1`."""

    reactive: Words = ("0",)
    malignant: Words = ("1",)
    unknown: Words = ("-1",)
    male: Words = ("m", "male")
    female: Words = ("f", "female")
    missing: Words = ("", "na", "n/a", "nan", "none", "null", "?", "-")
    date_format: DateOrders = ()  # e.g. "dd.mm.yyyy"; none: as the dates themselves tell

    @property
    def date_orders(self) -> tuple[str, ...]:
        """The orders of `date_format` as `cohort.dates` names them; without one, those read by default."""
        return tuple(parse_order(text) for text in self.date_format) or DATE_ORDERS

    def word(self, meaning: Literal["reactive", "malignant", "unknown", "male", "female"]) -> str:
        """How a table says it, for a sentence: `1 (malignant)`, or `malignant` where it says just that."""
        words, plain = getattr(self, meaning), "not known" if meaning == "unknown" else meaning
        return plain if not words or words[0] == plain else f"{words[0]} ({plain})"


class Rows(Settings):
    """What is done with rows and folders that are not ready; what is left out or missing is counted and listed."""

    unlabelled: Literal["error", "leave out"] = "error"  # a training patient without a label
    without_images: Literal["error", "leave out"] = "error"
    without_row: Literal["error", "leave out"] = "error"  # images of a patient in no table
    unknown_sex: Literal["error", "missing"] = "error"  # a word that is neither male nor female
    below_limit: Literal["error", "missing", "limit"] = "error"  # `<0,5`: not a number; missing; or 0.5


class Images(Settings):
    """Image files."""

    suffixes: Words = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
    smallest: int = Field(default=112, gt=0)  # px; a side shorter than this cannot be cropped for the encoder
    pattern: str = ""  # of images that lie flat in a part's folder, e.g. "{patient}_{slide}_{cell}.png"
    table: str = ""  # a table that lists image files and their patients, instead of folders
    file: str = "FILE"  # its column of paths, relative to the cohort's folder
    microns_per_pixel: float | None = Field(default=None, ge=SMALLEST, le=LARGEST, allow_inf_nan=False)

    @field_validator("pattern")
    @classmethod
    def _tells_patients_apart(cls, pattern: str, known: ValidationInfo) -> str:
        try:
            if pattern and "suffixes" in known.data:
                FilePattern(pattern, known.data["suffixes"])
        except InputError as error:
            raise PydanticCustomError("pattern", "it {fault}", {"fault": str(error)}) from None
        return pattern

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.pattern and self.table:
            raise PydanticCustomError(
                "sources", "either `pattern` or `table` tells whose an image is, not both"
            )
        return self

    def file_pattern(self) -> FilePattern | None:
        """The pattern of image names, if there is one."""
        return FilePattern(self.pattern, self.suffixes) if self.pattern else None


class Ages(Settings):
    """How ages are counted where a patient has neither an age nor a date of examination."""

    reference: date = REFERENCE_DATE


class Layout(Settings):
    """Names and words of a cohort. Paths are relative to its folder; an empty name means "there is none"."""

    folders: Folders = Folders()
    tables: Tables = Tables()
    columns: Columns = Columns()
    values: Values = Values()
    rows: Rows = Rows()
    images: Images = Images()
    clinical: DeclaredSection = Field(default_factory=dict)
    ages: Ages = Ages()

    @model_validator(mode="after")
    def _one_meaning_a_column(self) -> "Layout":
        if clause := column_of_others(self.clinical, dict(self.columns)):
            raise PydanticCustomError("column", "{clause}", {"clause": clause})
        return self


def layout_of(root: Path, base: Layout | None = None) -> Layout:
    """The layout of the cohort at `root`: its `lymphofeat.toml`, else `base`, else the default.

    Raises:
        InputError: as `read_layout`.
    """
    path = root / LAYOUT_FILE
    return read_layout(path, base) if path.is_file() else base or Layout()


def with_date_format(layout: Layout, orders: tuple[str, ...]) -> Layout:
    """The layout with these orders of dates."""
    formats = tuple(order_text(order) for order in orders)
    return layout.model_copy(update={"values": layout.values.model_copy(update={"date_format": formats})})


def without_labels(layout: Layout) -> Layout:
    """The layout with no column of labels."""
    return layout.model_copy(update={"columns": layout.columns.model_copy(update={"label": ""})})


def layout_text(layout: Layout) -> str:
    """The keys that were set, as JSON, for a cache or a model."""
    return layout.model_dump_json(exclude_unset=True)


def layout_from_text(text: str) -> Layout:
    """The layout that `layout_text` wrote.

    Raises:
        ValueError: it did not, or another version did.
    """
    return Layout.model_validate_json(text)


def read_layout(path: Path, base: Layout | None = None) -> Layout:
    """Read a mapping file; keys that it leaves out are those of `base`, else keep their defaults.

    Raises:
        InputError: unreadable, not TOML, or with unknown keys or values of another type (all are listed).
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    except RecursionError as error:
        raise InputError(f"{path}: nests its values too deep to be read; see docs/cohort.md.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not a TOML file ({error}); see docs/cohort.md.") from error
    try:
        return _over(base, Layout.model_validate(document))
    except ValidationError as error:
        raise InputError(
            "\n".join(
                f"{path}: {clause}." for clause in mistakes_in(document, error, Layout, "docs/cohort.md")
            )
        ) from None


def _over(base: Layout | None, layout: Layout) -> Layout:
    """`base` with the keys that `layout` sets."""
    if base is None:
        return layout
    sections = {}
    for section in layout.model_fields_set:
        new = getattr(layout, section)
        if isinstance(new, dict):  # sections by name, of which each is one whole
            sections[section] = {**getattr(base, section), **new}
            continue
        keys = {key: getattr(new, key) for key in new.model_fields_set}
        sections[section] = getattr(base, section).model_copy(update=keys)
    return base.model_copy(update=sections)


def is_cohort(path: Path) -> bool:
    """Whether a folder looks like a cohort's: it has a `lymphofeat.toml`, or folders of the default names."""
    parts = Folders()
    return (path / LAYOUT_FILE).is_file() or any((path / name).is_dir() for name in (parts.train, parts.test))

"""Where a cohort keeps what: folders, tables, columns, vocabulary. The default is the public challenge's.

A file `lymphofeat.toml` in the cohort's folder changes any of it; docs/cohort.md lists the keys.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..wording import did_you_mean
from .dates import REFERENCE_DATE

__all__ = ["LAYOUT_FILE", "Layout", "layout_of", "read_layout"]

LAYOUT_FILE = "lymphofeat.toml"


@dataclass(frozen=True)
class Layout:
    """Names and words of a cohort. Paths are relative to its folder; an empty name means "there is none".

    Column names match in any case. Vocabulary matches in any case, and `1.0` counts as `1`.
    """

    folders_train: str = "trainset"
    folders_test: str = "testset"
    tables_clinical: str = "clinical_annotation.csv"  # both parts
    tables_train: str = "trainset/trainset_true.csv"
    tables_test: str = "testset/testset_data.csv"
    columns_id: str = "ID"
    columns_label: str = "LABEL"
    columns_sex: str = "GENDER"
    columns_birth: str = "DOB"
    columns_count: str = "LYMPH_COUNT"
    values_reactive: tuple[str, ...] = ("0",)
    values_malignant: tuple[str, ...] = ("1",)
    values_unknown: tuple[str, ...] = ("-1",)
    values_male: tuple[str, ...] = ("m", "male")
    values_female: tuple[str, ...] = ("f", "female")
    values_missing: tuple[str, ...] = ("", "na", "n/a", "nan", "none", "null", "?", "-")
    images_suffixes: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
    images_smallest: int = 112  # px; a side shorter than this cannot be cropped for the encoder
    ages_reference: date = REFERENCE_DATE


# "folders_train" is the key `train` of the section [folders]
_FIELDS = {(f.name.partition("_")[0], f.name.partition("_")[2]): f.name for f in fields(Layout)}
_SECTIONS = sorted({section for section, _ in _FIELDS})


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
    changes: dict[str, Any] = {}
    wrong: list[str] = []
    for section, keys in document.items():
        if section not in _SECTIONS or not isinstance(keys, Mapping):
            wrong.append(f"{path}: there is no section [{section}]{did_you_mean(section, _SECTIONS)}.")
            continue
        for key, value in keys.items():
            name = _FIELDS.get((section, key))
            if name is None:
                known = [k for s, k in _FIELDS if s == section]
                wrong.append(f"{path}: [{section}] has no key {key!r}{did_you_mean(key, known)}.")
                continue
            try:
                changes[name] = _value(value, getattr(Layout, name))
            except TypeError as error:
                wrong.append(f"{path}: [{section}] {key} = {value!r} must be {error}; see docs/cohort.md.")
    if wrong:
        raise InputError("\n".join(wrong))
    return replace(Layout(), **changes)


def _value(value: object, default: object) -> object:
    """`value` in the type of `default`; the `TypeError`'s text says which type that is."""
    if isinstance(default, str):
        if isinstance(value, str):
            return value
        raise TypeError("a text")
    if isinstance(default, tuple):
        words = value if isinstance(value, list) else [value]
        if all(isinstance(word, str | int) for word in words):
            return tuple(str(word).strip().lower() for word in words)
        raise TypeError("a list of texts")
    if isinstance(default, int):
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        raise TypeError("a positive whole number")
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise TypeError("a date such as 2020-01-01")

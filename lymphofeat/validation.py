"""Mistakes in settings that a pydantic model refused, in the words of this program."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .wording import did_you_mean

__all__ = ["Settings", "mistakes_in"]

_WANTED = {
    "string_type": "a text",
    "date_type": "a date such as 2020-01-01",
    "int_type": "a positive whole number",
    "greater_than": "a positive whole number",
    "texts": "a list of texts",
}


class Settings(BaseModel):
    """Values of a file or a section of it: fixed, of exactly the types named, and none beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def mistakes_in(document: Mapping[str, Any], error: ValidationError, model: type[Settings]) -> Iterator[str]:
    """One clause for each mistake in a file of sections, in the file's order, with section, key and value.

    Args:
        document: the file.
        error: what `model` said of it.
        model: its fields are sections, each a `Settings`.
    """
    sections: dict[str, Any] = {name: field.annotation for name, field in model.model_fields.items()}
    places = [(name, key) for name, keys in document.items() for key in ("", *_keys(keys))]

    def place(fault: Any) -> int:
        return places.index((*fault["loc"], "")[:2])

    for fault in sorted(error.errors(include_url=False), key=place):
        section, key = (*map(str, fault["loc"]), "")[:2]
        if section not in sections:
            yield f"there is no section [{section}]{did_you_mean(section, sections)}"
        elif not key:
            yield f"{section} = {fault['input']!r} must be a section [{section}] with keys; see docs/cohort.md"
        elif fault["type"] == "extra_forbidden":
            yield f"[{section}] has no key {key!r}{did_you_mean(key, sections[section].model_fields)}"
        else:
            yield f"[{section}] {key} = {fault['input']!r} must be {_WANTED[fault['type']]}; see docs/cohort.md"


def _keys(section: Any) -> Iterable[str]:
    return section if isinstance(section, Mapping) else ()

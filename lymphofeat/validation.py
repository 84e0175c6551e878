"""Mistakes in settings that a pydantic model refused, in the words of this program."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .wording import did_you_mean

__all__ = ["Settings", "mistakes_in"]

# What a value must be, by the type of pydantic's error; a bound comes from the error's context.
_WANTED = {
    "string_type": "a text",
    "date_type": "a date such as 2020-01-01",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "texts": "a list of texts",  # of our own
    "date_formats": "a format of dates: {reason}",
}


class Settings(BaseModel):
    """Values of a file or a section of it: fixed, of exactly the types named, and none beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def mistakes_in(
    document: Mapping[str, Any], error: ValidationError, model: type[Settings], page: str
) -> Iterator[str]:
    """One clause for each mistake in a file of sections, in the file's order, with section, key and value.

    Args:
        document: the file.
        error: what `model` said of it.
        model: its fields are sections, each a `Settings`.
        page: the page of the documentation that lists sections and keys.
    """
    sections: dict[str, Any] = {name: field.annotation for name, field in model.model_fields.items()}
    places = [(name, key) for name, keys in document.items() for key in ("", *_keys(keys))]

    def place(fault: Any) -> int:
        where = _place(fault)
        return places.index(where) if where in places else len(places)  # what is missing comes last

    for fault in sorted(error.errors(include_url=False), key=place):
        section, key = _place(fault)
        if fault["type"] == "extra_forbidden":
            if key:
                yield f"[{section}] has no key {key!r}{did_you_mean(key, sections[section].model_fields)}"
            else:
                yield f"there is no section [{section}]{did_you_mean(section, sections)}"
        elif fault["type"] == "missing":
            what = f"[{section}] lacks the key {key!r}" if key else f"the section [{section}] is missing"
            yield f"{what}; see {page}"
        elif key:
            yield f"[{section}] {key} = {fault['input']!r} {_refusal(fault)}; see {page}"
        elif section and not isinstance(document[section], Mapping):
            yield f"{section} = {fault['input']!r} must be a section [{section}] with keys; see {page}"
        else:  # a rule on several keys or sections
            yield f"{f'[{section}]' if section else 'the file'} {_refusal(fault)}; see {page}"


def _place(fault: Any) -> tuple[str, str]:
    """Section and key; empty where the mistake is not in one."""
    section, key = (*map(str, fault["loc"]), "", "")[:2]
    return section, key


def _refusal(fault: Any) -> str:
    wanted = _WANTED.get(fault["type"])
    if wanted is None:
        return f"is not accepted: {fault['msg']}"
    return f"must be {wanted.format(**fault.get('ctx', {}))}"


def _keys(section: Any) -> Iterable[str]:
    return section if isinstance(section, Mapping) else ()

"""Mistakes in settings that a pydantic model refused, in the words of this program."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from .wording import did_you_mean

__all__ = ["Settings", "Words", "mistakes_in"]

# What a value must be, by the type of pydantic's error; a bound comes from the error's context.
_WANTED = {
    "string_type": "a text",
    "date_type": "a date such as 2020-01-01",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "texts": "a list of texts",  # of our own
    "date_formats": "a format of dates: {reason}",
    "pair": "a list of two numbers",
}


def _words(value: Any) -> tuple[str, ...]:
    words = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(word, str | int) for word in words):
        raise PydanticCustomError("texts", "not texts")
    return tuple(str(word).strip().lower() for word in words)


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]  # in any case


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
        model: its fields are sections, each a `Settings`, or tables of sections, each a dict of `Settings` by name.
        page: the page of the documentation that lists sections and keys.
    """
    sections = _sections(document, model)
    places = [(name, key) for name, keys in _parts(document, model) for key in ("", *_keys(keys))]

    def place(fault: Any) -> int:
        where = _place(fault, model)
        return places.index(where) if where in places else len(places)  # what is missing comes last

    for fault in sorted(error.errors(include_url=False), key=place):
        section, key = _place(fault, model)
        if fault["type"] == "extra_forbidden":
            if key:
                yield f"[{section}] has no key {key!r}{did_you_mean(key, sections[section].model_fields)}"
            else:
                yield f"there is no section [{section}]{did_you_mean(section, model.model_fields)}"
        elif fault["type"] == "missing":
            what = f"[{section}] lacks the key {key!r}" if key else f"the section [{section}] is missing"
            yield f"{what}; see {page}"
        elif key:
            yield f"[{section}] {key} = {fault['input']!r} {_refusal(fault)}; see {page}"
        elif section and not isinstance(dict(_parts(document, model))[section], Mapping):
            yield f"{section} = {fault['input']!r} must be a section [{section}] with keys; see {page}"
        else:  # a rule on several keys or sections
            yield f"{f'[{section}]' if section else 'the file'} {_refusal(fault)}; see {page}"


def _table_of(model: type[Settings], name: str) -> Any:
    """The sections' class of a table of sections; None of a section, or of what there is not."""
    field = model.model_fields.get(name)
    annotation = None if field is None else field.annotation
    return get_args(annotation)[1] if get_origin(annotation) is dict else None


def _parts(document: Mapping[str, Any], model: type[Settings]) -> Iterator[tuple[str, Any]]:
    """The sections that a file has, those of a table of sections as "table.name", and what is in them."""
    for name, keys in document.items():
        if _table_of(model, name) is not None and isinstance(keys, Mapping):
            yield from ((f"{name}.{own}", inside) for own, inside in keys.items())
        else:
            yield name, keys


def _sections(document: Mapping[str, Any], model: type[Settings]) -> dict[str, Any]:
    """Section → its class."""
    found = {name: field.annotation for name, field in model.model_fields.items()}
    tables = ((name, _table_of(model, name.partition(".")[0])) for name, _ in _parts(document, model))
    return found | {name: table for name, table in tables if table is not None}


def _place(fault: Any, model: type[Settings]) -> tuple[str, str]:
    """Section and key; empty where the mistake is not in one."""
    section, key, inner = [*(str(part) for part in fault["loc"]), "", "", ""][:3]
    if key and _table_of(model, section) is not None:
        return f"{section}.{key}", "" if inner == "[key]" else inner  # pydantic's word for the name itself
    return section, key


def _refusal(fault: Any) -> str:
    wanted = _WANTED.get(fault["type"])
    if wanted is None:
        return f"is not accepted: {fault['msg']}"
    return f"must be {wanted.format(**fault.get('ctx', {}))}"


def _keys(section: Any) -> Iterable[str]:
    return section if isinstance(section, Mapping) else ()

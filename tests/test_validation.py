"""Mistakes in settings of any model: each is one clause with its place, its value, and what is wanted."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field, ValidationError, model_validator

from lymphofeat.validation import Settings, mistakes_in


def _refuse_even(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("even")
    return value


class Numbers(Settings):
    above: int = Field(default=1, gt=0)
    least: float = Field(default=1.0, ge=0.5)
    below: int = Field(default=1, lt=-2)
    most: float = Field(default=1.0, le=7.5)
    odd: Annotated[int, AfterValidator(_refuse_even)] = 1
    free: int = -3


class Others(Settings):
    flag: bool = True
    mode: Literal["fast", "slow"] = "fast"
    name: str = Field(default="x", min_length=2)


class Needed(Settings):
    key: str


class Sections(Settings):
    numbers: Numbers = Numbers()
    others: Others = Others()
    needed: Needed = Needed(key="x")

    @model_validator(mode="after")
    def _rule(self) -> "Sections":
        if self.numbers.free > 5 and self.others.flag:
            raise ValueError("free is above 5 with a flag")
        return self


def clauses(document: dict[str, Any], model: type[Settings] = Sections) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(document)
    return list(mistakes_in(document, raised.value, model, "docs/page.md"))


@pytest.mark.parametrize(
    ("section", "key", "value", "refusal"),
    [
        ("numbers", "above", 0, "must be above 0"),
        ("numbers", "least", 0.25, "must be at least 0.5"),
        ("numbers", "below", -2, "must be below -2"),
        ("numbers", "most", 8, "must be at most 7.5"),
        ("numbers", "free", 1.5, "must be a whole number"),
        ("numbers", "free", "1", "must be a whole number"),
        ("numbers", "least", "1", "must be a number"),
        ("others", "flag", 1, "must be true or false"),
        ("others", "name", 3, "must be a text"),
        ("others", "mode", "quick", "must be 'fast' or 'slow'"),
        ("others", "name", "", "is not accepted: String should have at least 2 characters"),
        ("numbers", "odd", 4, "is not accepted: Value error, even"),
    ],
)
def test_a_value_is_told_what_it_must_be(section: str, key: str, value: object, refusal: str) -> None:
    """Bounds are those of the field; what is not foreseen keeps pydantic's own words."""
    assert clauses({section: {key: value}}) == [f"[{section}] {key} = {value!r} {refusal}; see docs/page.md"]


def test_mistakes_outside_single_keys_have_clauses_too() -> None:
    assert clauses({"numbers": {"free": 6}}) == [
        "the file is not accepted: Value error, free is above 5 with a flag; see docs/page.md"
    ]
    assert clauses({"others": 3}) == ["others = 3 must be a section [others] with keys; see docs/page.md"]
    assert clauses({"needed": {"kee": "x"}}) == [
        "[needed] has no key 'kee' (did you mean 'key'?)",
        "[needed] lacks the key 'key'; see docs/page.md",
    ]

    class Whole(Settings):
        needed: Needed

    assert clauses({}, Whole) == ["the section [needed] is missing; see docs/page.md"]

"""The mapping file: every key can be set, unknown ones are refused with the nearest."""

from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest

from lymphofeat.cohort.layout import LAYOUT_FILE, Layout, layout_of, read_layout
from lymphofeat.errors import InputError


def written(path: Path, text: str) -> Path:
    target = path / LAYOUT_FILE
    target.write_text(text, encoding="utf-8")
    return target


def test_no_file_is_the_default(tmp_path: Path) -> None:
    assert layout_of(tmp_path) == Layout()


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert read_layout(written(tmp_path, "")) == Layout()


def test_every_key_can_be_set(tmp_path: Path) -> None:
    lines: dict[str, list[str]] = {}
    expected = {}
    for field in fields(Layout):
        section, _, key = field.name.partition("_")
        text, value = {
            str: ('"x"', "x"),
            tuple: ('["A", 7]', ("a", "7")),
            int: ("96", 96),
            date: ("2024-06-01", date(2024, 6, 1)),
        }[type(field.default)]
        lines.setdefault(section, []).append(f"{key} = {text}")
        expected[field.name] = value
    text = "\n".join(f"[{section}]\n" + "\n".join(keys) for section, keys in lines.items())
    written(tmp_path, text)
    assert layout_of(tmp_path) == Layout(**expected)


def test_wrong_keys_and_values_are_all_listed_with_the_nearest(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[colums]\nid = "x"\n[columns]\nlable = "y"\n[images]\nsmallest = "112"\nzzz = 1\n'
        "[folders]\ntrain = 3\n[ages]\nreference = 2020-01-01T10:00:00\n",
    )
    with pytest.raises(InputError) as raised:
        read_layout(path)
    lines = str(raised.value).splitlines()
    assert lines == [
        f"{path}: there is no section [colums] (did you mean 'columns'?).",
        f"{path}: [columns] has no key 'lable' (did you mean 'label'?).",
        f"{path}: [images] smallest = '112' must be a positive whole number; see docs/cohort.md.",
        f"{path}: [images] has no key 'zzz' (there are suffixes, smallest).",
        f"{path}: [folders] train = 3 must be a text; see docs/cohort.md.",
        f"{path}: [ages] reference = datetime.datetime(2020, 1, 1, 10, 0) must be a date such as 2020-01-01; "
        "see docs/cohort.md.",
    ]


def test_a_file_that_is_no_toml_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lymphofeat\.toml: is not a TOML file"):
        read_layout(written(tmp_path, "[columns\n"))
    with pytest.raises(InputError, match="cannot be read"):
        read_layout(tmp_path / "other.toml")

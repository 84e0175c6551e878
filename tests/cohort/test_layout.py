"""The mapping file: every key can be set, unknown ones are refused with the nearest."""

from datetime import date
from pathlib import Path

import pytest

from lymphofeat.cohort.layout import LAYOUT_FILE, Layout, layout_of, read_layout
from lymphofeat.errors import InputError

# Keys that take some words only.
OTHER: dict[tuple[str, str], tuple[str, object]] = {
    ("values", "date_format"): ('["DD.MM.YYYY", "%m/%d/%Y"]', ("d.m.yyyy", "m/d/yyyy")),
    ("rows", "unlabelled"): ('"leave out"', "leave out"),
    ("rows", "without_images"): ('"leave out"', "leave out"),
    ("rows", "without_row"): ('"leave out"', "leave out"),
    ("rows", "unknown_sex"): ('"missing"', "missing"),
    ("rows", "below_limit"): ('"limit"', "limit"),
    ("images", "pattern"): ('"{patient}_{cell}"', "{patient}_{cell}"),
    ("images", "table"): ('""', ""),  # not beside a pattern
    ("images", "microns_per_pixel"): ("0.25", 0.25),
}


def written(path: Path, text: str) -> Path:
    target = path / LAYOUT_FILE
    target.write_text(text, encoding="utf-8")
    return target


def test_no_file_is_the_default(tmp_path: Path) -> None:
    assert layout_of(tmp_path) == Layout()


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert read_layout(written(tmp_path, "")) == Layout()


def test_every_key_can_be_set(tmp_path: Path) -> None:
    lines: list[str] = []
    expected: dict[str, dict[str, object]] = {}
    for section, default in Layout():
        lines.append(f"[{section}]")
        expected[section] = {}
        for key, value in default:
            text, expected[section][key] = (
                OTHER.get((section, key))
                or {
                    str: ('"x"', "x"),
                    tuple: ('["A", 7]', ("a", "7")),
                    int: ("96", 96),
                    date: ("2024-06-01", date(2024, 6, 1)),
                }[type(value)]
            )
            lines.append(f"{key} = {text}")
    written(tmp_path, "\n".join(lines))
    assert layout_of(tmp_path).model_dump() == expected


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
        f"{path}: [images] smallest = '112' must be a whole number; see docs/cohort.md.",
        f"{path}: [images] has no key 'zzz' (there are suffixes, smallest, pattern, table, file, microns_per_pixel).",
        f"{path}: [folders] train = 3 must be a text; see docs/cohort.md.",
        f"{path}: [ages] reference = datetime.datetime(2020, 1, 1, 10, 0) must be a date such as 2020-01-01; "
        "see docs/cohort.md.",
    ]


def test_a_file_that_is_no_toml_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lymphofeat\.toml: is not a TOML file"):
        read_layout(written(tmp_path, "[columns\n"))
    with pytest.raises(InputError, match="cannot be read"):
        read_layout(tmp_path / "other.toml")


@pytest.mark.parametrize(
    "value",
    [
        '"x"',
        "1",
        "-1",
        "0",
        "1.0",
        "nan",
        "true",
        "[]",
        '["a", 1.5]',
        "[[1]]",
        "{a = 1}",
        "2020-01-01",
        "10:00:00",
    ],
)
def test_a_value_of_another_type_is_a_sentence_for_every_key(tmp_path: Path, value: str) -> None:
    for section, default in Layout():
        for key, _ in default:
            path = written(tmp_path, f"[{section}]\n{key} = {value}\n")
            try:
                read_layout(path)
            except InputError as error:
                line = str(error)
                assert line.startswith(f"{path}: [{section}] {key} = ")
                assert "\n" not in line
                assert (" must be " if key != "pattern" or value != '"x"' else "has no field") in line


def test_a_key_in_a_section_s_place_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"columns = 3 must be a section \[columns\] with keys"):
        read_layout(written(tmp_path, "columns = 3\n"))

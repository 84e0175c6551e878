"""Patterns of image names: whose image a file is, whole IDs only, and patterns that cannot tell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.cohort.patterns import FilePattern
from lymphofeat.errors import InputError

SUFFIXES = (".jpg", ".png")
SEPARATORS = "_- .+("


def patients(pattern: str, path: str, *ids: str) -> list[str]:
    return FilePattern(pattern, SUFFIXES).patients(path, set(ids), sorted({len(i) for i in ids}))


@pytest.mark.parametrize(
    ("pattern", "path", "ids", "expected"),
    [
        ("{patient}_{slide}_{cell}.png", "P10_1_3.png", ["P1", "P10"], ["P10"]),
        ("{patient}_{slide}_{cell}.png", "P1_0_1_3.png", ["P1_0"], ["P1_0"]),
        ("{patient}_{slide}_{cell}.png", "P1_0_1_3.png", ["P1_0", "P1"], ["P1", "P1_0"]),
        ("{patient}_{cell}.png", "P1_3.PNG", ["P1"], ["P1"]),
        ("{patient}_{cell}.png", "P1_3.jpg", ["P1"], []),
        ("{patient}_{cell}", "P1_3.jpg", ["P1"], ["P1"]),
        ("{patient}_{cell}.{kind}", "P1_3.raw.jpg", ["P1"], ["P1"]),
        ("{patient}", "P1.jpg", ["P1", "P1.jp"], ["P1"]),
        ("slides/{patient}/{slide}/{cell}.jpg", "slides/P1/a/3.jpg", ["P1"], ["P1"]),
        ("slides\\{patient}\\{cell}.jpg", "slides/P1/3.jpg", ["P1"], ["P1"]),
        ("{patient}_{cell}.jpg", "a/P1_3.jpg", ["P1", "a/P1"], ["a/P1"]),
        ("{patient}/{patient}_{cell}.jpg", "P1/P1_3.jpg", ["P1"], ["P1"]),
        ("{patient}/{patient}_{cell}.jpg", "P1/P2_3.jpg", ["P1", "P2"], []),
        ("{a}_{a}_{patient}.jpg", "x_x_P1.jpg", ["P1"], ["P1"]),
        ("{a}_{a}_{patient}.jpg", "x_y_P1.jpg", ["P1"], []),
        ("{}_{}_{patient}.jpg", "x_y_P1.jpg", ["P1"], ["P1"]),
        ("({patient})[{cell}].jpg", "(P.1)[3].jpg", ["P.1", "PX1"], ["P.1"]),
        ("({patient})[{cell}].jpg", "(PX1)[3].jpg", ["P.1"], []),
    ],
)
def test_whose_image(pattern: str, path: str, ids: list[str], expected: list[str]) -> None:
    assert patients(pattern, path, *ids) == expected


def test_without_ids_the_shortest_text_is_the_patient() -> None:
    pattern = FilePattern("{patient}_{slide}_{cell}.png", SUFFIXES)
    assert pattern.any_patient("P1_2_3_4.png") == "P1"
    assert pattern.any_patient("P1_2.png") is None
    assert pattern.any_patient("a/P1_2_3.png") is None


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("{slide}_{cell}.png", "no field {patient}"),
        ("P1.png", "no field {patient}"),
        ("{patient}{cell}.png", "nothing between {patient} and {cell}"),
        ("{patient}_{a}{b}.png", "nothing between {a} and {b}"),
        ("{patient}0_{cell}.png", "a digit beside {patient}"),
        ("{cell}_0{patient}.png", "a digit beside {patient}"),
        ("{patient}_{cell.png", "a brace without its partner"),
        ("{patient}_{a/b}.png", "a brace without its partner"),
        ("/data/{patient}_{cell}.png", "must be relative"),
        ("../{patient}_{cell}.png", "must be relative"),
        ("{patient}_{cell}.webp", "is not among the `suffixes`"),
    ],
)
def test_patterns_that_cannot_tell_patients_apart(pattern: str, fault: str) -> None:
    with pytest.raises(InputError) as raised:
        FilePattern(pattern, SUFFIXES)
    assert fault in str(raised.value)


IDS = st.text("P10aé" + SEPARATORS, min_size=1, max_size=5)
NAMES = st.text("10a" + SEPARATORS, min_size=1, max_size=4)


@given(ids=st.sets(IDS, min_size=1, max_size=6), slide=NAMES, cell=NAMES, data=st.data())
def test_an_image_is_of_its_patient_or_of_several_never_of_another_alone(
    ids: set[str], slide: str, cell: str, data: st.DataObject
) -> None:
    """IDs that begin others, and IDs with the pattern's own separators."""
    true = data.draw(st.sampled_from(sorted(ids)))
    found = patients("{patient}_{slide}_{cell}.png", f"{true}_{slide}_{cell}.png", *ids)
    assert true in found
    for other in found:
        assert f"{true}_{slide}_{cell}".startswith(f"{other}_")  # a whole word


@given(ids=st.sets(st.text("P10", min_size=1, max_size=5), min_size=1), cell=NAMES, data=st.data())
def test_ids_without_the_separator_are_never_taken_for_one_another(
    ids: set[str], cell: str, data: st.DataObject
) -> None:
    true = data.draw(st.sampled_from(sorted(ids)))
    for pattern, path in (
        ("{patient}_{cell}", f"{true}_{cell}.jpg"),
        ("{patient}/{cell}.jpg", f"{true}/{cell}.jpg"),
        ("x{patient}_{cell}.jpg", f"x{true}_{cell}.jpg"),
    ):
        assert patients(pattern, path, *ids) == [true]
        others = ids - {true}
        assert patients(pattern, path, *others) == []


@given(ids=st.sets(IDS, min_size=1), path=st.text("P10a/_.", max_size=12))
def test_looking_ids_up_finds_what_trying_each_finds(ids: set[str], path: str) -> None:
    pattern = FilePattern("{patient}_{cell}", SUFFIXES)
    lengths = sorted({len(i) for i in ids})
    assert pattern.patients(path, ids, lengths) == sorted(
        i for i in ids if pattern.patients(path, {i}, [len(i)])
    )

"""`init`: a hospital's export gets a layout that can be used, and what is not known is asked."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lymphofeat.cohort.check import check_cohort
from lymphofeat.cohort.guess.columns import label_of
from lymphofeat.cohort.guess.draft import draft_layout, write_draft
from lymphofeat.cohort.layout import LAYOUT_FILE, Layout, layout_of
from lymphofeat.cohort.read import read_cohort
from lymphofeat.errors import InputError

from ..helpers.commands import runner
from ..helpers.hospital import Arrangement, hospital_export
from ..helpers.tiny import tiny_cohort, write_table


def export(folder: Path, *rows: str, images: tuple[str, ...] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "export.csv", list(rows))
    for name in images:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\xff\xd8 not opened")
    return folder


def drafted(root: Path) -> Layout:
    (root / LAYOUT_FILE).write_text(draft_layout(root).text, encoding="utf-8")
    return layout_of(root)


@pytest.mark.parametrize("arrangement", ["flat", "folders", "table"])
def test_an_export_goes_in_as_it_is(arrangement: Arrangement, tmp_path: Path) -> None:
    given_ = hospital_export(tmp_path, arrangement)
    draft = write_draft(given_.root)
    assert len(draft.questions) == 1
    assert "may a model use?" in draft.questions[0]
    report = check_cohort(given_.root)
    assert report.errors == ()
    cohort = read_cohort(given_.root)
    assert [p.id for p in cohort.patients] == given_.ids
    assert {p.label for p in cohort.patients} == {0, 1}
    assert cohort.reference is None  # ages at the examination
    assert report.summary is not None
    assert report.summary.shared_persons == [["F3", "F5"]]
    told = "\n".join(p.message for p in report.warnings)
    assert "2 patients are left out, without a label: F8 and F12" in told
    assert "lymphocyte count of 1 row is taken as missing: '<0,5' (1 row)" in told


def test_the_challenge_s_layout_is_recognised(tmp_path: Path) -> None:
    root = tiny_cohort(tmp_path, n=12)
    before = read_cohort(root).table()
    layout = drafted(root)
    assert (layout.folders, layout.tables) == (Layout().folders, Layout().tables)
    assert layout.rows == Layout().rows
    assert read_cohort(root).table().drop(columns="date_order").equals(before.drop(columns="date_order"))


def test_an_existing_layout_is_never_replaced(tmp_path: Path) -> None:
    root = export(tmp_path, "ID,LABEL", "P1,0", "P2,1", images=("P1/a.png", "P2/a.png"))
    (root / LAYOUT_FILE).write_text("# mine\n")
    with pytest.raises(InputError, match="exists and is not replaced"):
        write_draft(root)
    assert (root / LAYOUT_FILE).read_text() == "# mine\n"


def test_what_is_not_known_is_asked(tmp_path: Path) -> None:
    root = export(
        tmp_path,
        "ID,Diagnosis,Sex,DOB",
        *(
            "P1,CLL,m,03/07/1950",
            "P2,reactive,f,04/08/1951",
            "P3,type X,m,05/09/1952",
            "P10,reactive,q,06/10/1953",
        ),
        images=tuple(f"pics/P{i}_{k}.png" for i in (1, 2, 3, 10) for k in range(3)),
    )
    draft = draft_layout(root)
    asked = "\n".join(draft.questions)
    assert "is it reactive, malignant or unknown: type X (1)?" in asked
    assert "what sex is q (1)?" in asked
    assert "is 03/07/1950 written day first or month first?" in asked
    layout = drafted(root)
    assert layout.images.pattern == "{patient}_{cell}.png"
    assert layout.values.date_format == ()


def test_rows_without_a_diagnosis_are_left_out_where_there_is_no_test_part(tmp_path: Path) -> None:
    rows = ("P1,CLL,m,11", "P2,reactive,f,9", "P3,,m,8", "P4,pending,f,7", "P5,CLL,f,")
    images = tuple(f"P{i}_{k}.png" for i in range(1, 6) for k in range(3))
    root = export(
        tmp_path, "ID,Diagnosis,Sex,Haemoglobin", *rows, images=tuple(f"pics/{name}" for name in images)
    )
    draft = draft_layout(root)
    assert 'unlabelled = "leave out"  # 2 rows without a diagnosis yet' in draft.text
    assert draft.questions == [
        "may a model use 'Haemoglobin'? Uncomment the section, unless the value follows from the diagnosis"
    ]
    parted = export(
        tmp_path / "parted", "ID,Diagnosis", "P1,CLL", "P2,reactive", "P3,",
        images=("trainset/P1/a.png", "trainset/P2/a.png", "testset/P3/a.png"),
    )  # fmt: skip
    assert drafted(parted).rows.unlabelled == "error"  # patients of the test part have no label


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        ("{i}_s1_{k}.jpg", "{patient}_s1_{cell}.jpg"),
        ("img-{i}-{k}.png", "img-{patient}-{cell}.png"),
        ("{k} {i}.tif", "{slide} {patient}.tif"),
    ],
)
def test_names_of_images_make_a_pattern(names: str, pattern: str, tmp_path: Path) -> None:
    ids = ["P_1", "P_10", "Q_1"] if "_" not in names and " " not in names else ["P1", "P10", "Q1"]
    images = tuple(names.format(i=i, k=k) for i in ids for k in range(4))
    root = export(tmp_path, "ID,LABEL", *(f"{i},{n % 2}" for n, i in enumerate(ids)), images=images)
    layout = drafted(root)
    assert layout.images.pattern == pattern
    found = {p.id: len(p.images) for p in read_cohort(root).patients}
    assert found == dict.fromkeys(ids, 4)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("CLL", "malignant"), ("B-CLL (Rai 0)", "malignant"), ("Mantelzell-Lymphom", "malignant"), ("1", "malignant"),
        ("Reaktiv", "reactive"), ("réactionnel", "reactive"), ("0", "reactive"), ("ausstehend", "unknown"),
        ("-1", "unknown"), ("?", "unknown"), ("reaktive Leukozytose", "reactive"), ("reaktiv, CLL ausgeschlossen", ""),
        ("A", ""), ("", ""),
    ],
)  # fmt: skip
def test_words_of_a_diagnosis(word: str, meaning: str) -> None:
    """A word that says both, or nothing known, is asked for."""
    assert label_of(word) == meaning


def test_an_empty_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds neither images nor tables"):
        write_draft(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        write_draft(tmp_path / "nosuch")
    assert list(tmp_path.iterdir()) == []


@given(
    st.lists(st.text("AIDdb0 1,;\"'äöN°()[]", max_size=8), min_size=1, max_size=5),
    st.lists(st.lists(st.text('P01mf./-<,?"CL', max_size=10), max_size=5), max_size=6),
)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_draft_is_a_layout(tmp_path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Whatever the table holds, its file can be read back."""
    lines = ["|".join(cells).replace(",", ".").replace("|", ",") for cells in [header, *rows]]
    root = export(tmp_path, *lines, images=("a/P1_1.png", "a/P0_2.png"))
    (root / LAYOUT_FILE).unlink(missing_ok=True)
    drafted(root)


def test_check_names_init_where_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = export(tmp_path / "x", "ID,LABEL", "P1,0", "P2,1", images=("P1/a.png", "P2/a.png"))
    run = runner(monkeypatch, capsys)
    assert f"`lymphofeat init {root}` writes a first lymphofeat.toml" in run("check", root, "-q").err
    ran = run("init", root)
    assert ran.code == 0
    assert "2 folders of patients in ." in ran.out
    assert f"then run `lymphofeat check {root}`" in ran.out
    assert (root / LAYOUT_FILE).is_file()
    assert run("init", root).code == 2

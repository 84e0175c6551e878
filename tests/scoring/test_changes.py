"""What changed between the patients of a score and those of now, in words."""

from dataclasses import replace

import pytest

from lymphofeat.scoring.changes import changes
from lymphofeat.scoring.scored import ScoredPatients

IDS = tuple(f"P{i}" for i in range(8))
BEFORE = ScoredPatients(
    ids=IDS,
    labels=(0, 1) * 4,
    folds=tuple((i // 2, i % 4) for i in range(8)),
    persons=(0, 0, 1, 2, 3, 4, 5, 6),
    columns=("age", "sex", "ldh (number, logarithm)"),
    values=tuple(f"v{i}" for i in range(8)),
    images=tuple(f"i{i}" for i in range(8)),
)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (BEFORE, []),
        (BEFORE.ordered(IDS[::-1]), []),
        (replace(BEFORE, images=("x",) * 8), []),  # the features tell
        (replace(BEFORE, labels=(1, 0) * 4), ["the labels of 8 patients (P0, P1, P2 and 5 more) changed"]),
        (replace(BEFORE, folds=((9, 9), *BEFORE.folds[1:])), ["the fold of P0 changed"]),
        (replace(BEFORE, persons=tuple(range(8))), ["other records than before may be of one person"]),
        (replace(BEFORE, values=("", *BEFORE.values[1:])), ["the clinical values of P0 changed"]),
        (
            replace(BEFORE, columns=("age", "sex")),
            ["the clinical columns changed (ldh (number, logarithm) gone)"],
        ),
        (
            replace(BEFORE, columns=(*BEFORE.columns, "cd5 (yes/no)"), values=("",) * 8),
            ["the clinical columns changed (cd5 (yes/no) new)"],
        ),
        (
            BEFORE.ordered(IDS[3:]),
            [
                "1 patient was excluded (P2: wrong stain)",
                "1 patient is gone (P0)",
                "1 patient has no training label now (P1)",
            ],
        ),
    ],
)
def test_every_change_is_a_phrase(now: ScoredPatients, words: list[str]) -> None:
    assert changes(BEFORE, now, others=["P1", "T1"], excluded={"P2": "wrong stain", "X": "blurred"}) == words


def test_what_a_version_did_not_keep_is_not_compared() -> None:
    old = ScoredPatients.from_json(
        {"ids": list(IDS), "labels": [0, 1] * 4, "folds": [list(f) for f in BEFORE.folds]}
    )
    assert not old.is_whole
    assert changes(old, replace(BEFORE, values=("",) * 8, persons=tuple(range(8)))) == []
    assert changes(old, BEFORE.ordered(IDS[1:])) == ["1 patient is gone (P0)"]


def test_patients_come_back_from_json_and_their_digest_may_leave_out_the_order() -> None:
    again = ScoredPatients.from_json(BEFORE.to_json())
    assert again == BEFORE
    single = replace(BEFORE, persons=tuple(range(8)))
    assert ScoredPatients.from_json(single.to_json()) == single
    other = BEFORE.ordered(IDS[::-1])
    assert other.digest() != BEFORE.digest()
    assert other.digest(ordered=False) == BEFORE.digest(ordered=False) != single.digest(ordered=False)

"""Digests and fingerprints change with what they stand for, and with nothing else."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from lymphofeat.cohort.fingerprint import cohort_fingerprint, image_digests, image_sizes
from lymphofeat.cohort.model import Cohort, Patient
from lymphofeat.errors import InputError


class Counter:
    """A progress that counts."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.stopped = False

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.done += n

    def note(self, text: str) -> None: ...

    def stop(self) -> None:
        self.stopped = True


def test_digests_are_blake2b_in_the_order_of_the_paths(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.bin" for i in range(150)]
    for i, path in enumerate(paths):
        path.write_bytes(bytes([i]) * (i + 1))
    progress = Counter()
    digests = image_digests(paths, progress, workers=3)
    assert digests == [hashlib.blake2b(p.read_bytes(), digest_size=16).hexdigest() for p in paths]
    assert (progress.total, progress.done, progress.stopped) == (150, 150, True)
    assert image_sizes(paths).tolist() == list(range(1, 151))
    assert image_digests([]) == []


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    progress = Counter()
    with pytest.raises(InputError, match=r"gone\.jpg cannot be read"):
        image_digests([tmp_path / "gone.jpg"], progress)
    assert progress.stopped
    with pytest.raises(InputError, match=r"gone\.jpg cannot be read"):
        image_sizes([tmp_path / "gone.jpg"])


def two_patients(root: Path) -> Cohort:
    first = Patient("P1", "train", 1, (root / "P1" / "a.jpg", root / "P1" / "b.jpg"), count=5.0)
    second = Patient("P2", "test", -1, (root / "P2" / "a.jpg",))
    return Cohort(root, (first, second))


def test_fingerprint_follows_patients_labels_names_and_digests_only() -> None:
    cohort, digests = two_patients(Path("/x")), ["aa", "bb", "cc"]
    first, second = cohort.patients
    base = cohort_fingerprint(cohort, digests)
    assert len(base) == 64

    same = [
        (two_patients(Path("/elsewhere")), digests),
        (Cohort(cohort.root, (replace(first, count=9.0), second)), digests),
    ]
    assert {cohort_fingerprint(*arguments) for arguments in same} == {base}

    changed = [
        (cohort, ["aa", "bb", "cd"]),
        (cohort, ["bb", "aa", "cc"]),
        (Cohort(cohort.root, (replace(first, label=0), second)), digests),
        (Cohort(cohort.root, (replace(first, id="P3"), second)), digests),
        (Cohort(cohort.root, (replace(first, split="test"), second)), digests),
        (Cohort(cohort.root, (replace(first, images=(Path("c.jpg"), Path("b.jpg"))), second)), digests),
        (
            Cohort(
                cohort.root,
                (
                    replace(first, images=first.images[:1]),
                    replace(second, images=(Path("b.jpg"), *second.images)),
                ),
            ),
            digests,
        ),
    ]
    assert len({base} | {cohort_fingerprint(*arguments) for arguments in changed}) == len(changed) + 1


def test_fingerprint_needs_one_digest_per_image() -> None:
    with pytest.raises(ValueError, match="2 digests for 3 images"):
        cohort_fingerprint(two_patients(Path("/x")), ["aa", "bb"])

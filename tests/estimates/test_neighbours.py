"""Who lies beside whom: against a naive count, and on arrangements whose answer is known."""

import numpy as np
import pytest

from lymphofeat.errors import InputError
from lymphofeat.estimates.neighbours import neighbour_shares


def naive(x: np.ndarray, patient: np.ndarray, label: np.ndarray, n: int) -> tuple[float, float]:
    """Same patient, and same class among other patients' labelled cells, one cell after another."""
    same, agree = [], []
    for i in range(len(x)):
        near = np.argsort(((x - x[i]) ** 2).sum(axis=1))
        same.append(np.mean(patient[[k for k in near if k != i][:n]] == patient[i]))
        if label[i] >= 0:
            others = [k for k in near if patient[k] != patient[i] and label[k] >= 0][:n]
            agree.append(np.mean(label[others] == label[i]))
    return float(np.mean(same)), float(np.mean(agree))


def cohort(n_patients: int = 20, cells: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    patient = rng.permutation(np.repeat(np.arange(n_patients), cells))
    return patient, rng.normal(size=(len(patient), 3))


def test_the_shares_are_those_of_a_naive_count() -> None:
    patient, x = cohort()
    label = np.array([-1, 0, 1, 1])[patient % 4]
    found = neighbour_shares(x + 0.3 * patient[:, None], patient, label, n=7)
    assert (found.same_patient, found.same_class) == pytest.approx(
        naive(x + 0.3 * patient[:, None], patient, label, 7)
    )
    assert (found.n, found.n_others) == (7, 7)
    assert found.same_patient_chance == pytest.approx(11 / (len(x) - 1))
    assert set(found.by_class) == {0, 1, -1}
    assert np.isnan(found.by_class[-1][1])


def test_slides_that_lie_apart_are_no_class() -> None:
    """Each patient a cloud of its own at a random place: nearly all neighbours are the patient's own."""
    patient, x = cohort()
    places = np.random.default_rng(1).normal(0, 30, (20, 3))
    found = neighbour_shares(x + places[patient], patient, patient % 2)
    assert found.same_patient > 0.7
    assert found.same_class_chance[1] < found.same_class < found.same_class_chance[2]


def test_classes_that_lie_apart_are_seen_beyond_the_patients() -> None:
    patient, x = cohort()
    found = neighbour_shares(x + 2.0 * (patient % 2)[:, None], patient, patient % 2)
    assert found.same_class > found.same_class_chance[2]
    assert found.same_class > 0.85


def test_patients_with_more_cells_of_one_class_are_no_finding() -> None:
    """Noise, but malignant patients have three times the cells: neighbours are malignant anywhere."""
    rng, beyond = np.random.default_rng(2), 0
    for _ in range(20):
        patient = rng.permutation(np.repeat(np.arange(16), np.where(np.arange(16) % 2, 30, 10)))
        found = neighbour_shares(rng.normal(size=(len(patient), 3)), patient, patient % 2, n_permutations=100)
        assert found.same_class_chance[0] > 0.55
        beyond += found.same_class > found.same_class_chance[2]
    assert beyond <= 3  # 2.5 % of 20 are expected, and up to 3 happen in all but 1 of 1,000


@pytest.mark.parametrize(
    ("patient", "label"),
    [([0], [1]), ([0, 0, 0], [1, 1, 1]), ([0, 1], [0, -1]), ([0, 1, 2], [-1, -1, -1]), ([0, 1], [1, 1])],
)
def test_cells_too_few_to_say(patient: list[int], label: list[int]) -> None:
    found = neighbour_shares(np.zeros((len(patient), 2)), patient, label)
    assert found.n == len(patient) - 1
    assert np.isnan(found.same_class) == (sum(k >= 0 for k in label) < 2 or len(set(patient)) < 2)


def test_arrays_of_other_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="a row per cell"):
        neighbour_shares(np.zeros((3, 2)), [0, 1], [0, 1])

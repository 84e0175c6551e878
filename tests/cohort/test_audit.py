"""The shortcut audit's figures against scikit-learn, its direction, and its silence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lymphofeat.cohort.audit import audit_cohort
from lymphofeat.cohort.images import ImageFacts
from lymphofeat.cohort.model import Cohort, Patient


def simulated(seed: int, n: int, shift: float) -> tuple[Cohort, dict[str, list[ImageFacts]], np.ndarray]:
    """A cohort in memory whose mean red differs between the classes by `shift` standard deviations."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    red = rng.normal(size=n) + shift * labels
    patients, facts = [], {}
    for i, label in enumerate(labels):
        images = tuple(Path(f"{i}_{k}.jpg") for k in range(3))
        patients.append(
            Patient(f"P{i}", "train", int(label), images, date_order="m/d/y" if i % 3 else "d-m-y")
        )
        offsets = (-1.0, 0.0, 1.0)
        facts[f"P{i}"] = [
            ImageFacts(
                path,
                100,
                width=9,
                height=9,
                mode="RGB",
                mean=(red[i] + o, 5.0, 5.0),
                deviation=(1.0, 1.0, 1.0),
            )
            for path, o in zip(images, offsets, strict=True)
        ]
    patients.append(Patient("T", "test", -1, (Path("t.jpg"),)))
    return Cohort(Path("/x"), tuple(patients)), facts, red


@pytest.mark.parametrize("shift", [1.5, -1.5])
def test_auc_is_of_the_mean_over_the_bag_and_turned_upwards(shift: float) -> None:
    cohort, facts, red = simulated(0, 60, shift)
    (found,) = [s for s in audit_cohort(cohort, facts) if s.name == "mean red"]
    expected = roc_auc_score(np.arange(60) % 2, red)
    assert found.auc.value == pytest.approx(max(expected, 1 - expected))
    assert found.higher_in == ("malignant" if shift > 0 else "reactive")
    assert 0.5 < found.auc.low < found.auc.value < found.auc.high <= 1
    assert found.separates
    assert found.sentence.startswith("Mean red alone separates the classes: AUC 0.")


def test_what_does_not_vary_is_not_measured() -> None:
    cohort, facts, _ = simulated(0, 60, 1.0)
    assert [s.name for s in audit_cohort(cohort, facts)] == ["mean red", "date of birth written d-m-y"]


def test_noise_separates_about_as_rarely_as_the_interval_says() -> None:
    hits = 0
    for seed in range(60):
        cohort, facts, _ = simulated(seed, 80, 0.0)
        hits += next(s for s in audit_cohort(cohort, facts) if s.name == "mean red").separates
    assert hits <= 9  # 5 % of 60 is 3; 9 and more has probability 0.004


def test_one_patient_of_a_class_is_too_few() -> None:
    cohort, facts, _ = simulated(0, 3, 1.0)  # labels 0, 1, 0
    assert audit_cohort(cohort, facts) == ()


def test_intervals_draw_persons_where_these_have_several_records() -> None:
    cohort, facts, _ = simulated(0, 60, 0.5)
    visits, facts_of_visits = [], dict(facts)
    for patient in cohort.patients:
        for visit in range(3):
            again = replace(patient, id=f"{patient.id}-{visit}", person=patient.id)
            visits.append(again)
            facts_of_visits[again.id] = facts.get(patient.id, [])
    (once,) = [s for s in audit_cohort(cohort, facts) if s.name == "mean red"]
    repeated = audit_cohort(replace(cohort, patients=tuple(visits)), facts_of_visits)
    (found,) = [s for s in repeated if s.name == "mean red"]
    assert tuple(found.auc) == pytest.approx(tuple(once.auc))
    assert (found.by_person, once.by_person) == (True, False)

"""The space over all head types: what it draws, where it begins, what narrows it, and its digest."""

import json
from typing import Any

import optuna
import pytest

from lymphofeat.errors import InputError
from lymphofeat.heads.registry import head_types
from lymphofeat.studies.space import INPUTS, Space, build_head, cost_of, head_type_of


def drawn(space: Space, n: int, seed: int = 0) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    points = []
    for _ in range(n):
        trial = study.ask()
        space.suggest(trial)
        points.append(trial.params)
    return points


def inputs_of(params: dict[str, Any], space: Space) -> str:
    return str(params.get(f"{params['family']}.inputs", space.takes[params["family"]][0]))


def test_every_point_builds_the_same_head_after_a_way_through_json() -> None:
    for params in drawn(Space.of(), 150) + Space.of().default_params():
        head, again = build_head(params), build_head(json.loads(json.dumps(params)))
        assert type(head) is type(again)
        assert repr(head) == repr(again)
        own = [name for name in params if name != "family"]
        assert all(name.startswith(f"{params['family']}.") for name in own)


def test_all_head_types_are_sampled() -> None:
    assert {params["family"] for params in drawn(Space.of(), 400)} == set(head_types())


@pytest.mark.parametrize("inputs", [("image",), ("clinical",), ("image", "both"), ("clinical", "both")])
def test_inputs_are_what_was_asked_for(inputs: tuple[str, ...]) -> None:
    space = Space.of(inputs=inputs)
    assert {inputs_of(params, space) for params in drawn(space, 300)} == set(inputs)
    assert {inputs_of(params, space) for params in space.default_params()} == set(inputs)
    assert set(space.head_types) == {name for name, f in head_types().items() if set(f.inputs) & set(inputs)}


def test_first_trials_begin_with_the_controls_and_then_take_turns() -> None:
    first = Space.of().default_params()
    assert [params["family"] for params in first[:3]] == ["logistic"] * 3
    assert {inputs_of(params, Space.of()) for params in first[:3]} == set(INPUTS)
    turn = [params["family"] for params in first if params["family"] != "logistic"]
    others = [name for name in head_types() if name != "logistic"]
    assert turn[: len(others)] == others
    assert len(first) <= 30  # so that a search of 20 trials has tried every head type
    assert len({json.dumps(p, sort_keys=True) for p in first}) == len(first)


def test_first_trials_are_points_of_the_space() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for params in Space.of().default_params():
        study.enqueue_trial(params)
        trial = study.ask()
        Space.of().suggest(trial)
        assert trial.params == params


def test_the_digest_knows_names_inputs_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Space.of(["lda", "logistic"])
    assert whole.digest == Space.of(["logistic", "lda"]).digest
    assert whole.digest != Space.of(["logistic"]).digest
    assert whole.digest != Space.of(["lda", "logistic"], ["image"]).digest
    lda = head_types()["lda"]

    def wider(draws: Any) -> dict[str, Any]:
        return lda.space(draws) | {"more": draws.suggest_float("more", 0.0, 1.0)}

    before = whole.digest
    changed = dict(head_types()) | {"lda": type(lda)(**(vars(lda) | {"space": wider}))}
    monkeypatch.setattr("lymphofeat.studies.space.head_types", lambda: changed)
    assert Space.of(["lda", "logistic"]).digest != before


def test_cost_and_head_type_of_a_trial() -> None:
    params = Space.of(["transformer"]).default_params()[0]
    assert (head_type_of(params).name, cost_of(params)) == ("transformer", "expensive")


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"family": "logistics"}, "no heads 'logistics' \\(did you mean 'logistic'"),
        ({"C": 1.0}, "no heads None"),
        ({"family": "logistic", "logistic.C": 1.0}, "not parameters of the heads 'logistic'"),
    ],
)
def test_what_is_no_trial_gets_a_sentence(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        build_head(params)


def test_declared_columns_are_a_choice_of_at_most_six() -> None:
    declared = ("haemoglobin", "log ldh", "cd5", "platelets", "lineage")
    space = Space.of(["logistic"]).on("frozen", declared)
    choices = {
        str(point["logistic.clinical_values"])
        for point in space.default_params()
        if point["logistic.inputs"] == "clinical"
    }
    built_in = "age, sex, count"
    assert choices == {
        built_in,
        ", ".join((built_in, *declared)),
        *(f"{built_in}, {one}" for one in declared[:4]),
    }
    both = [point for point in space.default_params() if point["logistic.inputs"] == "both"]
    assert {str(point["logistic.clinical_values"]) for point in both} == {", ".join((built_in, *declared))}
    images = [point for point in space.default_params() if point["logistic.inputs"] == "image"]
    assert not any("clinical_values" in name or "missing" in name for point in images for name in point)
    assert space.digest != Space.of(["logistic"]).on("frozen").digest


def test_a_point_says_what_its_head_sees_of_the_clinical_values() -> None:
    space = Space.of(["late"]).on("frozen", ("haemoglobin", "log ldh"))
    (point, *_) = space.default_params()
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial.enqueue_trial(point)
    asked = trial.ask()
    space.suggest(asked)
    assert asked.params == point
    design = build_head(asked.params).get_params()["clinical"].design
    assert (design.clinical_values, design.missing_indicator) == (("haemoglobin", "log ldh"), False)
    before = {
        name: value
        for name, value in point.items()
        if "clinical_values" not in name and "missing" not in name
    }
    design = build_head(before).get_params()["clinical"].design
    assert (design.clinical_values, design.missing_indicator) == ((), True)  # as all heads were

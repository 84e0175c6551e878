"""Every family draws heads that can be built and trained."""

import optuna
import pytest

from lymphofeat.heads.neural import additive, attention, deepsets, transformer
from lymphofeat.heads.neural.estimator import NeuralHead
from lymphofeat.heads.registry import HeadFamily

FAMILIES = [module.FAMILY for module in (additive, attention, deepsets, transformer)]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_points_build_heads(family: HeadFamily) -> None:
    for point in family.first:
        trial = optuna.trial.FixedTrial(family.enqueued(point))
        simulated = family.suggest(trial)
        assert simulated == dict(point)
        head = family.build(simulated)
        assert isinstance(head, NeuralHead)
        head._check_params()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        trial = study.ask()
        head = family.build(family.suggest(trial))
        head._check_params()
        again = family.build(family.suggest(optuna.trial.FixedTrial(trial.params)))
        assert again.get_params() == head.get_params()
    # A choice that is made for the trial is not drawn.
    assert family.suggest(study.ask(), {"inputs": "image"})["inputs"] == "image"

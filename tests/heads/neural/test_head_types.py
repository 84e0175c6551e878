"""Every head type draws heads that can be built and trained."""

import optuna
import pytest

from lymphofeat.heads.neural import additive, attention, deepsets, transformer
from lymphofeat.heads.neural.estimator import NeuralHead
from lymphofeat.heads.registry import HeadType

HEAD_TYPES = [module.HEAD_TYPE for module in (additive, attention, deepsets, transformer)]


@pytest.mark.parametrize("head_type", HEAD_TYPES, ids=lambda f: f.name)
def test_points_build_heads(head_type: HeadType) -> None:
    for point in head_type.default_params:
        trial = optuna.trial.FixedTrial(head_type.enqueued(point))
        simulated = head_type.suggest(trial)
        assert simulated == dict(point)
        head = head_type.build(**simulated)
        assert isinstance(head, NeuralHead)
        head._check_params()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        trial = study.ask()
        head = head_type.build(**head_type.suggest(trial))
        head._check_params()
        again = head_type.build(**head_type.suggest(optuna.trial.FixedTrial(trial.params)))
        assert again.get_params() == head.get_params()
    # A choice that is made for the trial is not drawn.
    assert head_type.suggest(study.ask(), {"inputs": "image"})["inputs"] == "image"

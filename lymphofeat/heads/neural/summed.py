"""Networks whose logit is a sum over the instances of a bag, so that each image's part of it is known.

    logit = Σ_j c_j + vᵀ(clinical) + o

with c_j weighed by attention among the bag's instances.
"""

from abc import abstractmethod

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ...cache.bags import Bags
from ..contributions import Contributions
from .estimator import NeuralHead
from .network import Network, Parameters
from .packing import Pack

__all__ = ["SummedHead", "SummedNetwork"]


class SummedNetwork(Network):
    """A network whose logit is the sum of `contributions` and of a linear part.

    The linear part has the parameters `clinical`, (c,) v, and `offset`, (1,) o.
    """

    @abstractmethod
    def contributions(self, parameters: Parameters, pack: Pack) -> tuple[Tensor, Tensor | None]:
        """(N,) c_j, and (N,) attention where the network tells it apart; of one model."""


class SummedHead(NeuralHead):
    """A head that tells what each image adds; arguments as `NeuralHead`."""

    @abstractmethod
    def _network(self) -> SummedNetwork:
        """The network that the parameters stand for."""

    def image_contributions(self, bags: Bags, clinical: pd.DataFrame) -> Contributions:
        """What each image adds to the log-odds, the mean over the members; see `ExplainsImages`."""
        check_is_fitted(self, "parameters_")
        data = self._tensors(self.coordinates_, self.clinical_, bags, clinical)
        network, views = self._network(), self._layout(data).views(self.parameters_)
        pack = data.take(np.arange(len(bags)))
        models = [{name: p[k : k + 1] for name, p in views.items()} for k in range(self.members)]
        with torch.no_grad():
            told = [network.contributions(model, pack) for model in models]
            clinical_part = torch.stack([pack.clinical @ model["clinical"][0] for model in models])
        ends = np.cumsum(bags.lengths)[:-1]
        weights = [attention for _, attention in told if attention is not None]
        return Contributions(
            "attention",
            np.split(_mean([values for values, _ in told]), ends),
            _mean(list(clinical_part)),
            np.zeros(len(bags)),
            float(_mean([model["offset"].flatten() for model in models])[0]),
            np.split(_mean(weights), ends) if weights else None,
        )


def _mean(of_members: list[Tensor]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(torch.stack(of_members).mean(dim=0).double().numpy())

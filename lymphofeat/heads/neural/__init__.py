"""Networks over the instances of a bag, trained on cached features, many models at once."""

from .additive import AdditiveAttention
from .attention import AttentionPooling, GatedAttention
from .deepsets import DeepSets
from .transformer import InstanceTransformer

__all__ = ["AdditiveAttention", "AttentionPooling", "DeepSets", "GatedAttention", "InstanceTransformer"]

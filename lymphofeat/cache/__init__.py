"""The HDF5 file between the expensive half and the cheap half."""

from .bags import Bags
from .encoding import Encoding
from .imported import save_cache
from .reader import Cache, open_cache

__all__ = ["Bags", "Cache", "Encoding", "open_cache", "save_cache"]

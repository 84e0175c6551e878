"""A trained model that leaves the building: `export` makes a folder that stands alone, `predict` asks it."""

from .encoders import WhereWeights
from .export import ExportSummary, export_bundle
from .load import load_bundle
from .model import Bundle
from .predict import PredictSummary, predict_folder
from .writer import ExportOptions

__all__ = [
    "Bundle",
    "ExportOptions",
    "ExportSummary",
    "PredictSummary",
    "WhereWeights",
    "export_bundle",
    "load_bundle",
    "predict_folder",
]

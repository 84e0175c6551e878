"""Patient-level diagnosis from bags of blood-cell images and a few clinical values."""

__version__ = "0.1.0"

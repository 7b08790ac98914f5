"""Noises: one way each in which data go bad."""

from hormesis.noise.base import CATALOGUE, Noise
from hormesis.noise.labels import LabelFlips
from hormesis.noise.table import (
    CategorySwap,
    GaussianNoise,
    Masking,
    MissingValues,
    Outliers,
    Shift,
    SwapNoise,
    Typos,
    UnitErrors,
)
from hormesis.noise.where import Where
from hormesis.noise.worst import WorstCase, WorstOf

__all__ = [
    "CATALOGUE",
    "CategorySwap",
    "GaussianNoise",
    "LabelFlips",
    "Masking",
    "MissingValues",
    "Noise",
    "Outliers",
    "Shift",
    "SwapNoise",
    "Typos",
    "UnitErrors",
    "Where",
    "WorstCase",
    "WorstOf",
]

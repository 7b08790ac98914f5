"""Noises: one way each in which data go bad."""

from hormesis.noise.base import CATALOGUE, Noise
from hormesis.noise.labels import LabelFlips, LabelSmoothing, RegressionLabelNoise
from hormesis.noise.numbers import (
    Clipping,
    GaussianNoise,
    MultiplicativeNoise,
    QuantileNoise,
    Shift,
    UniformNoise,
    UnitChange,
)
from hormesis.noise.readings import LowPrecision, Placeholders, Rounding, SignErrors, StuckColumn
from hormesis.noise.rows import CovariateShift, DropRows, DuplicateRows, PriorShift, ShuffledRows
from hormesis.noise.schema import (
    DateFormat,
    MissingColumn,
    NumbersAsText,
    RenamedColumn,
    ReorderedColumns,
    SwappedColumns,
)
from hormesis.noise.table import (
    CategorySwap,
    Masking,
    MissingValues,
    Outliers,
    SwapNoise,
    UnitErrors,
)
from hormesis.noise.where import Where
from hormesis.noise.worst import WorstCase, WorstOf
from hormesis.noise.writing import (
    CaseErrors,
    EncodingErrors,
    Homoglyphs,
    OCRErrors,
    Truncation,
    Typos,
    UnseenCategory,
    WhitespaceErrors,
)

__all__ = [
    "CATALOGUE",
    "CaseErrors",
    "CategorySwap",
    "Clipping",
    "CovariateShift",
    "DateFormat",
    "DropRows",
    "DuplicateRows",
    "EncodingErrors",
    "GaussianNoise",
    "Homoglyphs",
    "LabelFlips",
    "LabelSmoothing",
    "LowPrecision",
    "Masking",
    "MissingColumn",
    "MissingValues",
    "MultiplicativeNoise",
    "Noise",
    "NumbersAsText",
    "OCRErrors",
    "Outliers",
    "Placeholders",
    "PriorShift",
    "QuantileNoise",
    "RegressionLabelNoise",
    "RenamedColumn",
    "ReorderedColumns",
    "Rounding",
    "Shift",
    "ShuffledRows",
    "SignErrors",
    "StuckColumn",
    "SwapNoise",
    "SwappedColumns",
    "Truncation",
    "Typos",
    "UniformNoise",
    "UnitChange",
    "UnitErrors",
    "UnseenCategory",
    "Where",
    "WhitespaceErrors",
    "WorstCase",
    "WorstOf",
]

"""Statistics of stress: scores with influences, intervals, break points; arrays in, numbers out."""

from hormesis.statistics.intervals import (
    ALPHA,
    Z95,
    Drop,
    Floats,
    Sample,
    difference,
    drop_of,
    mean_difference,
    score_interval,
    t_quantile,
    unit_drops,
)
from hormesis.statistics.jackknife import BLOCKS, groups_of, jackknife, unseen_row
from hormesis.statistics.metrics import METRICS, Metric
from hormesis.statistics.runs import area, crossings, runs

__all__ = [
    "ALPHA",
    "BLOCKS",
    "METRICS",
    "Z95",
    "Drop",
    "Floats",
    "Metric",
    "Sample",
    "area",
    "crossings",
    "difference",
    "drop_of",
    "groups_of",
    "jackknife",
    "mean_difference",
    "runs",
    "score_interval",
    "t_quantile",
    "unit_drops",
    "unseen_row",
]

"""The noises of tab_err, as its documentation calls them."""

from typing import Any

import pandas as pd
from serve import TOUCHED, Task, serve
from tab_err import ErrorModel
from tab_err.api import mid_level
from tab_err.api.mid_level import MidLevelConfig
from tab_err.error_mechanism import ECAR
from tab_err.error_type import CategorySwap, MissingValue, Typo


def task(kind: str, error: Any) -> Task:
    """Return one error in every column of a kind."""

    def prepare(frame: pd.DataFrame, seed: int, level: float) -> Any:
        names = [c for c in frame if c[0] in TOUCHED[kind]]
        seeds = range(seed, seed + len(names))
        models = {
            c: [ErrorModel(ECAR(seed=i), error(seed=i), level)] for i, c in zip(seeds, names, strict=True)
        }
        return lambda: mid_level.create_errors(frame, MidLevelConfig(models))

    return prepare


serve(
    {
        "missing": task("missing", MissingValue),
        "missing numbers": task("missing numbers", MissingValue),
        "category": task("category", CategorySwap),
        "typos": task("typos", Typo),
    }
)

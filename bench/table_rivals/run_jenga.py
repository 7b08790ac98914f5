"""The noises of jenga, as its documentation calls them; it takes no seed, so the global ones are set."""

import random
from typing import Any

import numpy as np
import pandas as pd
from jenga.corruptions.generic import CategoricalShift, MissingValues
from jenga.corruptions.numerical import GaussianNoise
from serve import TOUCHED, Task, serve


def task(kind: str, corruption: Any, share: float = 0) -> Task:
    """Return one corruption after the other; Gaussian noise is asked for in every cell, its size is drawn by jenga."""

    def prepare(frame: pd.DataFrame, seed: int, level: float) -> Any:
        corruptions = [corruption(c, share or level) for c in frame if c[0] in TOUCHED[kind]]
        random.seed(seed)
        np.random.seed(seed)

        def call() -> pd.DataFrame:
            out = frame
            for one in corruptions:
                out = one.transform(out)
            return out

        return call

    return prepare


serve(
    {
        "missing": task("missing", MissingValues),
        "missing numbers": task("missing numbers", MissingValues),
        "gaussian": task("gaussian", GaussianNoise, share=1),
        "category": task("category", CategoricalShift),
    }
)

"""The noises of pucktrick, as its documentation calls them; it takes no seed, so the global ones are set."""

import random
from typing import Any

import numpy as np
import pandas as pd
from pucktrick.missing import missing
from pucktrick.noisy import noise
from serve import TOUCHED, Task, serve


def task(kind: str, inject: Any) -> Task:
    """Return one error in the columns of a kind; the rows hit are the same in all columns."""

    def prepare(frame: pd.DataFrame, seed: int, level: float) -> Any:
        strategy = {
            "affected_features": [c for c in frame if c[0] in TOUCHED[kind]],
            "selection_criteria": "all",
            "percentage": level,
            "mode": "new",
            "perturbate_data": {"sampling": "random"},
        }
        random.seed(seed)
        np.random.seed(seed)
        return lambda: inject(frame, strategy)[1]

    return prepare


serve(
    {
        "missing": task("missing", missing),
        "missing numbers": task("missing numbers", missing),
        "category": task("category", noise),
    }
)

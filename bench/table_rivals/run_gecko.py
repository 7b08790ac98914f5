"""The noises of gecko, as its documentation calls them; its mutators are made before the clock starts."""

from typing import Any

import numpy as np
import pandas as pd
from gecko import mutator
from serve import TOUCHED, Task, serve


def task(kind: str, make: Any) -> Task:
    """Return one mutator for each column of a kind."""

    def prepare(frame: pd.DataFrame, seed: int, level: float) -> Any:
        rng = np.random.default_rng(seed)
        names = [c for c in frame if c[0] in TOUCHED[kind]]
        mutators = [(c, (level, make(frame, c, rng))) for c in names]
        return lambda: mutator.mutate_data_frame(frame, mutators)

    return prepare


def missing(frame: pd.DataFrame, name: str, rng: Any) -> Any:  # noqa: ARG001
    return mutator.with_missing_value(value=np.nan, rng=rng)


def category(frame: pd.DataFrame, name: str, rng: Any) -> Any:
    return mutator.with_categorical_values(frame, value_column=name, rng=rng)


def typing(edit: Any) -> Any:
    return lambda frame, name, rng: edit(rng=rng)  # noqa: ARG005


serve(
    {
        "missing": task("missing", missing),
        "missing numbers": task("missing numbers", missing),
        "category": task("category", category),
        "typos": task("typos", typing(mutator.with_substitute)),
        "typos: delete": task("typos", typing(mutator.with_delete)),
        "typos: transpose": task("typos", typing(mutator.with_transpose)),
    }
)

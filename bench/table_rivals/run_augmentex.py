"""The typos of augmentex, a library of texts: a tenth of the cells is chosen here, each gets one edit."""

from typing import Any

import numpy as np
import pandas as pd
from augmentex import CharAug
from serve import Task, serve


def task(action: str) -> Task:
    """Return one edit in a tenth of the strings."""

    def prepare(frame: pd.DataFrame, seed: int, level: float) -> Any:
        augment = CharAug(min_aug=1, max_aug=1, lang="eng", platform="pc", random_seed=seed).augment
        names, rng = [c for c in frame if c[0] == "s"], np.random.default_rng(seed)

        def call() -> pd.DataFrame:
            out = frame.copy()
            for name in names:
                values = frame[name].to_numpy(object, copy=True)
                hit = np.flatnonzero(rng.random(len(values)) < level)
                values[hit] = [augment(text=text, action=action) for text in values[hit]]
                out[name] = values
            return out

        return call

    return prepare


serve({"typos": task("typo"), "typos: delete": task("delete")})

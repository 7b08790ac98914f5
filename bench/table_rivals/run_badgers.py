"""The noises of badgers, as its documentation calls them; arrays and lists that come back go into a table again."""

from typing import Any

import pandas as pd
from badgers.generators.tabular_data.missingness import MissingCompletelyAtRandom
from badgers.generators.tabular_data.noise import AdditiveNoiseGenerator
from badgers.generators.text.typos import SwapLettersGenerator
from numpy.random import default_rng
from scipy.stats import norm
from serve import serve


def missing(frame: pd.DataFrame, seed: int, level: float) -> Any:
    """Lose cells of all columns."""
    generator = MissingCompletelyAtRandom(default_rng(seed))

    def call() -> pd.DataFrame:
        array, _ = generator.generate(frame, None, percentage_missing=level)
        return pd.DataFrame(array, index=frame.index, columns=frame.columns)

    return call


def gaussian(frame: pd.DataFrame, seed: int, level: float) -> Any:
    """Add noise of `level` standard deviations to every number."""
    numbers = frame[[c for c in frame if c[0] != "s"]]
    generator, noise = AdditiveNoiseGenerator(default_rng(seed)), norm(scale=level * numbers.std().to_numpy())

    def call() -> pd.DataFrame:
        array, _ = generator.generate(numbers, None, distribution=noise)
        out = frame.copy(deep=False)
        out[list(numbers)] = array
        return out

    return call


def typos(frame: pd.DataFrame, seed: int, level: float) -> Any:
    """Swap two inner letters of a tenth of the strings."""
    generator, names = SwapLettersGenerator(default_rng(seed)), [c for c in frame if c[0] == "s"]

    def call() -> pd.DataFrame:
        new = {c: generator.generate(frame[c].tolist(), None, swap_proba=level)[0] for c in names}
        return frame.assign(**new)

    return call


serve({"missing": missing, "missing numbers": missing, "gaussian": gaussian, "typos": typos})

"""Our noises for the same tasks; the profile of the training data is learnt before the clock starts, as at training."""

from typing import Any

import pandas as pd
from serve import Task, serve

from hormesis.noise import CategorySwap, GaussianNoise, MissingValues, Noise, Typos
from hormesis.profile import Profile


def task(kind: type[Noise]) -> Task:
    """Return one noise in every column it applies to."""
    learnt: dict[int, tuple[pd.DataFrame, Profile]] = {}

    def prepare(frame: pd.DataFrame, seed: int, level: float) -> Any:
        if id(frame) not in learnt:
            if len(learnt) > 1:
                learnt.clear()
            learnt[id(frame)] = frame, Profile.learn(frame)
        profile = learnt[id(frame)][1]
        return lambda: kind(level).apply(frame, seed=seed, profile=profile)

    return prepare


def learn(frame: pd.DataFrame, seed: int, level: float) -> Any:  # noqa: ARG001
    return lambda: Profile.learn(frame)


serve(
    {
        "missing": task(MissingValues),
        "missing numbers": task(MissingValues),
        "gaussian": task(GaussianNoise),
        "category": task(CategorySwap),
        "typos": task(Typos),
        "learn": learn,
    }
)

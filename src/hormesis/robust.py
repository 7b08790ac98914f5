"""A scorer that looks under noise: a clean scorer always votes for no noise."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hormesis.frames import as_array
from hormesis.measure import Attackable
from hormesis.models import Answers, as_input, as_model, model_task
from hormesis.noise import WorstCase
from hormesis.plans import LEVELS, Noises, check_worst, plan_of
from hormesis.profile import Profile
from hormesis.recipe import noisy
from hormesis.scoring import Scoring, scorers
from hormesis.stressing import classes_of


def robust_scorer(
    scoring: Scoring = None, noises: Noises = None, *, levels: Sequence[float] | None = None, seed: int = 0
) -> Callable[[Any, Any, Any], float]:
    """Return a scorer for `cross_val_score` and `GridSearchCV`: the mean score over noises and levels.

    The noise is scaled by what the model learnt, where it has a `profile_` (as `NoisyTraining` does), else by the rows
    it is scored on.

    Parameters
    ----------
    scoring : str or callable, optional
        One scikit-learn scorer; None by the task, as in `stress`.
    noises : noises, their names, or a Recipe, optional
        None chooses by the kinds of columns.
    levels : list, optional
        Levels of every noise; None takes the second, fourth and sixth of each unit's usual grid.
    seed : int
        Seed of the noise.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> scorer = robust_scorer("accuracy", "GaussianNoise")
    >>> bool(cross_val_score(LogisticRegression(max_iter=1000), X, y, scoring=scorer).mean() < 0.96)
    True
    """

    def score(model: Any, X: Any, y: Any) -> float:
        values = as_array(y)
        X = as_input(X, [model])
        model = as_model(model, X, values)
        task = model_task(model, values)
        classes = classes_of(model, values, task)
        judge = scorers(scoring, model, values, classes, task, seed)[0]
        profile = getattr(model, "profile_", None) or Profile.learn(X)
        found = []
        plan = plan_of(noises, levels, profile)
        check_worst(plan, {"model": model})
        for step, grid in plan:
            for level in grid if levels is not None else LEVELS[step.noise.unit][1:6:2]:
                dosed = step.at(level)
                if isinstance(dosed.noise, WorstCase):
                    victim = Attackable(model, values, classes, task)
                    table = dosed.noise.against(victim, X, profile=profile, seed=seed)
                else:
                    table, _ = noisy(dosed, X, profile, seed=seed)
                found.append(judge.held(judge.sample(Answers(model, table, classes, task))).value)
        return float(np.mean(found))

    return score

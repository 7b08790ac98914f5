"""A scorer that looks under noise: a clean scorer always votes for no noise."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hormesis.engine.bench import Bench
from hormesis.engine.oracle import told_of
from hormesis.errors import HormesisError, ModelError, SettingError, nearest
from hormesis.models import Answers
from hormesis.noise.worst import Raised
from hormesis.recipe import Recipe
from hormesis.results import spoken, title
from hormesis.scoring import Scoring
from hormesis.step import Step
from hormesis.trials.plans import LEVELS, Noises, asked_of, check_worst, grid_of, noise_of, plan_of
from hormesis.trials.trial import prepared


@dataclasses.dataclass(frozen=True, repr=False)
class RobustScorer:
    """A scorer of scikit-learn's kind, `scorer(model, X, y)`, that pickles: what `robust_scorer` returns.

    Raises
    ------
    SettingError
        A scorer, noise or level that does not exist, said when it is made: scikit-learn turns what a scorer raises
        later into NaN and a warning.
    """

    scoring: Scoring = None
    noises: Noises = None
    levels: Sequence[float] | Mapping[str, Sequence[float]] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_scoring(self.scoring)
        for name in ("noises", "levels"):
            if isinstance(given := getattr(self, name), list):
                object.__setattr__(self, name, tuple(given))
        for step in _steps(self.noises):
            for level in grid_of(asked_of(self.levels, step), step):
                step.at(level)

    def __call__(self, model: Any, X: Any, y: Any) -> float:
        """Return the mean score of a fitted model over noises and levels; greater is better.

        Raises
        ------
        ModelError
            The model raises under a noise, which is no score.
        SettingError, DataError
            The scorer gives NaN, or does not fit the model or the target.
        """
        known = getattr(model, "profile_", None)
        bench = prepared(model, X, y, self.scoring, 1.0, 1, None, None, known, self.seed).bench
        plan = plan_of(self.noises, self.levels, bench.profile)
        check_worst(plan, bench.models)
        doses = [p.step.at(level) for p in plan for level in self._few(p.step, p.levels)]
        return float(np.mean([_scored(bench, step) for step in doses]))

    def _few(self, step: Step, grid: Sequence[float]) -> Sequence[float]:
        """Return the levels given, or three of the usual ones; noise of whole columns has one level."""
        return grid if self.levels is not None or len(grid) == 1 else LEVELS[step.noise.unit][1:6:2]

    def __repr__(self) -> str:
        said = [repr(v) for v in (self.scoring, self.noises)]
        said = said if self.noises is not None else said[: self.scoring is not None]
        said += [f"levels={self.levels!r}"] if self.levels is not None else []
        said += [f"seed={self.seed}"] if self.seed else []
        return f"robust_scorer({', '.join(said)})"


def robust_scorer(
    scoring: Scoring = None, noises: Noises = None, *, levels: Sequence[float] | None = None, seed: int = 0
) -> RobustScorer:
    """Return a scorer for `cross_val_score` and `GridSearchCV`: the mean score over noises and levels.

    The noise is scaled by what the model learnt, where it has a `profile_` (as `NoisyTraining` does), else by the rows
    it is scored on. Every candidate of a search meets the same noise.

    Parameters
    ----------
    scoring : str or callable, optional
        One scikit-learn scorer; None by the task, as in `stress`.
    noises : noises, their names, or a Recipe, optional
        None chooses by the kinds of columns.
    levels : list, optional
        Levels of every noise; None takes the second, fourth and sixth of each unit's usual grid, and level 1 for noise of
        whole columns.
    seed : int
        Seed of the noise.

    Raises
    ------
    SettingError
        A scorer, noise or level that does not exist.

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
    return RobustScorer(scoring, noises, levels, seed)


def _check_scoring(scoring: Any) -> None:
    from sklearn.metrics import get_scorer_names

    if scoring is None or callable(scoring):
        return
    if not isinstance(scoring, str):
        raise SettingError(
            f"`robust_scorer({scoring!r})`: it takes one scorer. For several give scikit-learn a dict of them: "
            "`scoring={'auc': robust_scorer('roc_auc'), 'loss': robust_scorer('neg_log_loss')}`."
        )
    if scoring not in (known := get_scorer_names()):
        raise SettingError(
            f"`robust_scorer({scoring!r})`: `{scoring}` is not a scorer of scikit-learn.{nearest(scoring, known)}"
        )


def _steps(noises: Any) -> Sequence[Step]:
    """Return the noises given as steps, before any table is known."""
    if noises is None or isinstance(noises, Recipe):
        return () if noises is None else noises.steps
    given = noises if isinstance(noises, tuple) else (noises,)
    return Recipe([noise_of(n) for n in given]).steps


def _scored(bench: Bench, step: Step) -> float:
    """Return the score of the one model under a noise; where all rows share a draw, of the draw and its mirror image."""
    ((name, model),) = bench.models.items()
    judge = bench.scorers[0]
    found = []
    try:
        for repeat in range(2 if step.noise.shared else 1):
            table, _ = bench.noisy(step, name, repeat)
            answers = Answers(model, table, bench.classes, bench.task)
            found.append(judge.held(judge.sample(answers)).value)
    except (HormesisError, MemoryError):
        raise
    except Exception as error:  # whatever the user's model raises is said with the noise that caused it
        what = str(error) if isinstance(error, Raised) else told_of(error)
        _check_clean(bench)
        raise ModelError(
            f"The model raises under {title(step.name)} at {spoken(step.noise.level, step.noise.unit)}: {what.rstrip('.')}. "
            "A crash has no score: give a model that takes such rows (an imputer or encoder in front), or leave that noise out."
        ) from error
    return float(np.mean(found))


def _check_clean(bench: Bench) -> None:
    """Say it where the model raises without any noise."""
    try:
        bench.scorers[0].sample(
            Answers(next(iter(bench.models.values())), bench.X, bench.classes, bench.task)
        )
    except HormesisError:
        raise
    except Exception as error:  # whatever the user's model raises
        raise ModelError(
            f"The model raises on the rows as they are, before any noise: {told_of(error)}"
        ) from error

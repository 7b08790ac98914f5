"""Where a model breaks, read from the drops at the levels of a curve and their intervals."""

from collections.abc import Mapping, Sequence

import numpy as np

from hormesis import statistics
from hormesis.results import BreakPoint
from hormesis.scoring import Scorer
from hormesis.statistics.search import Outcome, break_interval
from hormesis.step import Step


def break_point_of(
    levels: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
    errors: Sequence[str | None],
    *,
    model: str,
    noise: str,
    unit: str,
    scorer: Scorer,
    max_drop: float,
    whole: bool = False,
) -> BreakPoint:
    """Read passes from clean and failures from the top; a level at which the model raises has failed."""
    reason = scorer.too_few(max_drop)
    lower, upper = (np.array([np.inf if v is None else v for v in side]) for side in (low, high))
    passes, fails = statistics.runs(lower, upper, max_drop)
    a, b = statistics.crossings(np.array(levels), lower, upper, max_drop)
    broken = reason is None and fails < len(levels)
    return BreakPoint(
        model=model,
        noise=noise,
        scoring=scorer.name,
        unit=unit,
        tested_to=levels[-1],
        passes_to=levels[passes - 1] if passes and reason is None else 0.0,
        fails_from=levels[fails] if broken else None,
        low=a if reason is None else 0.0,
        high=b if broken else None,
        reason=reason,
        raises=errors[fails] if broken else None,
        failed_below=tuple(levels[i] for i in range(fails) if lower[i] > max_drop),
        whole=whole,
    )


def searched_point(
    levels: Sequence[float],
    outcome: Outcome,
    errors: Mapping[float, str | None],
    *,
    model: str,
    step: Step,
    scorer: Scorer,
    max_drop: float,
) -> BreakPoint:
    """Read what an early-stopped search knows; one that was cut short knows less, and no level passes by that."""
    reason = scorer.too_few(max_drop)
    low, high = break_interval(levels, outcome, max_drop)
    broken = reason is None and outcome.fails < len(levels)
    return BreakPoint(
        model=model,
        noise=step.name,
        scoring=scorer.name,
        unit=step.noise.unit,
        tested_to=levels[-1],
        passes_to=levels[outcome.passes] if outcome.passes >= 0 and reason is None else 0.0,
        fails_from=levels[outcome.fails] if broken else None,
        low=low if reason is None else 0.0,
        high=high if broken else None,
        reason=reason,
        raises=errors.get(levels[outcome.fails]) if broken else None,
        failed_below=tuple(
            levels[j]
            for j, seen in sorted(outcome.seen.items())
            if seen.word == "fails" and j < outcome.fails
        ),
        whole=step.noise.by_columns,
    )

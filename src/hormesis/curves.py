"""Measured cells as curves: scores and drops with intervals, and where a model breaks."""

from collections.abc import Sequence

import numpy as np

from hormesis import statistics
from hormesis.measure import Cell, Measured
from hormesis.recipe import Step
from hormesis.results import BreakPoint, Curve
from hormesis.scoring import Scorer
from hormesis.statistics import Sample

Row = tuple[float | None, ...]


def curve_of(done: Measured, step: Step, model: str, scorer: Scorer, max_drop: float) -> Curve:
    """Return the curve of one model and scorer under one noise."""
    clean, cells = done.clean[model, scorer.name], done.of(step.name)
    rows = [_row(cell.samples.get((model, scorer.name)), clean, scorer) for cell in cells]
    score, score_low, score_high, drop, drop_low, drop_high = zip(*rows, strict=True)
    start, start_low, start_high = _interval([clean], scorer)
    levels = tuple(c.level for c in cells)
    known = [s for s in score if s is not None]
    whole = len(known) == len(levels)
    return Curve(
        model=model,
        noise=step.name,
        step=step.to_dict(),
        unit=step.noise.unit,
        scoring=scorer.name,
        clean=start,
        clean_low=start_low,
        clean_high=start_high,
        levels=levels,
        score=score,
        score_low=score_low,
        score_high=score_high,
        drop=drop,
        drop_low=drop_low,
        drop_high=drop_high,
        changed=tuple(c.changed for c in cells),
        errors=tuple(c.errors.get(model) for c in cells),
        robustness=statistics.area(levels, known, start, scorer.floor) if whole else None,
        break_point=_break_point(step, model, cells, drop_low, drop_high, scorer, max_drop),
    )


def _interval(samples: Sequence[Sample], scorer: Scorer) -> tuple[float, float, float]:
    return statistics.score_interval(samples, share=scorer.share, smallest=scorer.smallest)


def _row(samples: Sequence[Sample] | None, clean: Sample, scorer: Scorer) -> Row:
    """Return score and drop with their intervals; None where the model raised."""
    if samples is None:
        return (None,) * 6
    return (*_interval(samples, scorer), *statistics.difference(clean, samples, scorer.unseen(clean)))


def _break_point(
    step: Step, model: str, cells: Sequence[Cell], low: Row, high: Row, scorer: Scorer, max_drop: float
) -> BreakPoint:
    """Read passes from clean and failures from the top; a level at which the model raises has failed."""
    levels = [c.level for c in cells]
    reason = scorer.too_few(max_drop)
    lower, upper = (np.array([np.inf if v is None else v for v in side]) for side in (low, high))
    passes, fails = statistics.runs(lower, upper, max_drop)
    a, b = statistics.crossings(np.array(levels), lower, upper, max_drop)
    broken = reason is None and fails < len(levels)
    return BreakPoint(
        model=model,
        noise=step.name,
        scoring=scorer.name,
        unit=step.noise.unit,
        tested_to=levels[-1],
        passes_to=levels[passes - 1] if passes and reason is None else 0.0,
        fails_from=levels[fails] if broken else None,
        low=a if reason is None else 0.0,
        high=b if broken else None,
        reason=reason,
        raises=cells[fails].errors.get(model) if broken else None,
        failed_below=tuple(levels[i] for i in range(fails) if lower[i] > max_drop),
    )

"""Measured cells as curves: scores and drops with intervals, and where a model breaks."""

from collections.abc import Sequence

from hormesis import statistics
from hormesis.breaks import break_point_of
from hormesis.measure import Measured
from hormesis.results import Curve
from hormesis.scoring import Scorer
from hormesis.statistics import Sample
from hormesis.step import Step

Row = tuple[float | None, ...]


def curve_of(done: Measured, step: Step, model: str, scorer: Scorer, max_drop: float) -> Curve:
    """Return the curve of one model and scorer under one noise."""
    clean, cells = done.clean[model, scorer.name], done.of(step.name)
    rows = [_row(cell.samples.get((model, scorer.name)), clean, scorer) for cell in cells]
    score, score_low, score_high, drop, drop_low, drop_high = zip(*rows, strict=True)
    start, start_low, start_high = _interval([clean], scorer)
    levels, errors = tuple(c.level for c in cells), tuple(c.errors.get(model) for c in cells)
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
        errors=errors,
        robustness=statistics.area(levels, known, start, scorer.floor) if whole else None,
        break_point=break_point_of(
            levels,
            drop_low,
            drop_high,
            errors,
            model=model,
            noise=step.name,
            unit=step.noise.unit,
            scorer=scorer,
            max_drop=max_drop,
        ),
    )


def _interval(samples: Sequence[Sample], scorer: Scorer) -> tuple[float, float, float]:
    return statistics.score_interval(samples, share=scorer.share, smallest=scorer.smallest)


def _row(samples: Sequence[Sample] | None, clean: Sample, scorer: Scorer) -> Row:
    """Return score and drop with their intervals; None where the model raised."""
    if samples is None:
        return (None,) * 6
    return (*_interval(samples, scorer), *statistics.difference(clean, samples, scorer.unseen(clean)))

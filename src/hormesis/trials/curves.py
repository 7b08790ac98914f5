"""Measured levels as curves: scores and drops with intervals, and where a model breaks."""

from collections.abc import Iterator, Sequence

from hormesis import statistics
from hormesis.breaks import break_point_of, searched_point
from hormesis.engine.levels import Level, Read
from hormesis.engine.measuring import Measured
from hormesis.engine.sweeps import Bisection, Grid
from hormesis.results import BreakPoint, Curve, Difference, Slice
from hormesis.statistics.paired import Condensed, break_difference, drop_difference
from hormesis.statistics.search import Outcome
from hormesis.statistics.slices import WorstSlice

Ends = tuple[float | None, float | None]


def curves_of(done: Measured, max_drop: float) -> list[Curve]:
    """Return the curve of every noise, model and scorer, in this order."""
    return [
        curve_of(done, sweep, model, i, max_drop)
        for sweep in done.sweeps
        for model in done.readers
        for i in range(len(done.bench.scorers))
        if sweep.of(model)
    ]


def curve_of(done: Measured, sweep: Grid | Bisection, model: str, i: int, max_drop: float) -> Curve:
    """Return the curve of one model and scorer under one noise."""
    scorer, step, found = done.bench.judges[i], sweep.step, sweep.of(model)
    outcome = sweep.outcome(i) if isinstance(sweep, Bisection) else None
    reads = [level.reads.get(scorer.name) for level in found]
    ends = [_ends(level, scorer.name, sweep) for level in found]
    clean = done.clean[model, scorer.name]
    start, low, high = statistics.score_interval([clean], share=scorer.share, smallest=scorer.smallest)
    levels = tuple(level.level for level in found)
    known = [start - r.drop.value for r in reads if r is not None]  # the score, where all rows were asked
    worse = [(None,) * 3 if x.worse is None else (x.worse.value, *x.worse.interval()) for x in found]
    return Curve(
        model=model,
        noise=step.name,
        step=step.to_dict(),
        unit=step.noise.unit,
        scoring=scorer.name,
        clean=start,
        clean_low=low,
        clean_high=high,
        levels=levels,
        score=tuple(None if r is None else r.score for r in reads),
        score_low=tuple(None if r is None else r.low for r in reads),
        score_high=tuple(None if r is None else r.high for r in reads),
        drop=tuple(None if r is None else r.drop.value for r in reads),
        drop_low=tuple(e[0] for e in ends),
        drop_high=tuple(e[1] for e in ends),
        changed=tuple(level.share for level in found),
        errors=tuple(level.error for level in found),
        robustness=statistics.area(levels, known, start, scorer.floor) if len(known) == len(found) else None,
        break_point=_point(done, sweep, found, ends, i, outcome, max_drop, model),
        rows=tuple(level.rows for level in found),
        flips=tuple(level.flips for level in found),
        calibration=tuple(level.calibration for level in found),
        clean_calibration=done.readers[model].clean_calibration,
        calibration_change=tuple(w[0] for w in worse),
        calibration_change_low=tuple(w[1] for w in worse),
        calibration_change_high=tuple(w[2] for w in worse),
        worst=tuple(None if r is None or r.worst is None else slice_of(r.worst) for r in reads),
    )


def _ends(level: Level, scorer: str, sweep: Grid | Bisection) -> Ends:
    """Return the interval of the drop: the repeated one where a search looked more than once."""
    read = level.reads.get(scorer)
    if read is None:
        return None, None
    return read.drop.interval(sweep.constant(level.rows) if isinstance(sweep, Bisection) else None)


def _point(
    done: Measured,
    sweep: Grid | Bisection,
    found: Sequence[Level],
    ends: Sequence[Ends],
    i: int,
    outcome: Outcome | None,
    max_drop: float,
    model: str,
) -> BreakPoint:
    scorer, step = done.bench.judges[i], sweep.step
    errors = [level.error for level in found]
    if outcome is not None:
        return searched_point(
            sweep.levels, outcome, {x.level: x.error for x in found}, model=model, step=step, scorer=scorer,
            max_drop=max_drop,
        )  # fmt: skip
    return break_point_of(
        [x.level for x in found], [e[0] for e in ends], [e[1] for e in ends], errors, model=model, noise=step.name,
        unit=step.noise.unit, scorer=scorer, max_drop=max_drop, whole=step.noise.by_columns,
    )  # fmt: skip


def slice_of(worst: WorstSlice) -> Slice:
    """Return a worst slice as a record."""
    return Slice(str(worst.column), worst.value, worst.rows, worst.drop, worst.low, worst.high)


def differences_of(done: Measured, max_drop: float) -> Iterator[Difference]:
    """Yield the paired difference of the first model to every other one, per noise and scorer."""
    first, *others = done.readers
    for sweep in done.sweeps:
        for other in others:
            for i in range(len(done.bench.scorers)):
                yield _difference(done, sweep, (first, other), i, max_drop)


def _difference(
    done: Measured, sweep: Grid | Bisection, pair: tuple[str, str], i: int, max_drop: float
) -> Difference:
    scorer, step = done.bench.judges[i].name, sweep.step
    one, other = (sweep.of(model) for model in pair)
    condensed = [[_condensed(x, scorer) for x in side] for side in (one, other)]
    levels = [x.level for x in one]
    drops = [
        None if a is None or b is None else drop_difference(a, b) for a, b in zip(*condensed, strict=True)
    ]
    ends = [(None, None) if d is None else d.interval() for d in drops]
    scores = [
        _score_difference(a.reads.get(scorer), b.reads.get(scorer)) for a, b in zip(one, other, strict=True)
    ]
    apart = break_difference(levels, condensed[1], condensed[0], max_drop)
    return Difference(
        one=pair[0],
        other=pair[1],
        noise=step.name,
        scoring=scorer,
        levels=tuple(levels),
        difference=tuple(None if d is None else d.value for d in drops),
        low=tuple(e[0] for e in ends),
        high=tuple(e[1] for e in ends),
        break_low=apart.low,
        break_value=apart.value,
        break_high=apart.high,
        unit=step.noise.unit,
        score=tuple(s[0] for s in scores),
        score_low=tuple(s[1] for s in scores),
        score_high=tuple(s[2] for s in scores),
    )


def _score_difference(
    one: Read | None, other: Read | None
) -> tuple[float | None, float | None, float | None]:
    if one is None or other is None:
        return None, None, None
    return statistics.mean_difference([other.sample], [one.sample], max(one.h, other.h))


def _condensed(level: Level, scorer: str) -> Condensed | None:
    read = level.reads.get(scorer)
    return None if read is None else read.condensed

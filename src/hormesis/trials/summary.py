"""The summary of a run: curves, break points, notes and what is needed to repeat it."""

import platform
import sys
import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from hormesis.engine.bench import Bench
from hormesis.engine.keys import fingerprint
from hormesis.engine.measuring import Measured
from hormesis.errors import listed
from hormesis.frames import library_of
from hormesis.key import SCHEME
from hormesis.noise import WorstCase
from hormesis.results import Curve, Provenance, StressResult, spoken, title
from hormesis.step import Step
from hormesis.trials.curves import differences_of
from hormesis.trials.pictures import distributions

MANY = 0.1  # of the predictions: worth saying where the score holds
UNITS = 50  # a score that is so many times the tolerated drop is hardly a share


def summarise(
    done: Measured,
    curves: Sequence[Curve],
    *,
    max_drop: float,
    sampled: str,
    started: float,
    notes: Sequence[str] = (),
    **found: Any,
) -> StressResult:
    """Return the result of a run; `found` are other findings, as `StressResult` names them."""
    bench, steps = done.bench, done.steps
    groups = None if bench.groups is None else int(bench.groups.max()) + 1
    shown = done.unless_stopped("pictures of columns", lambda: distributions(done, curves))
    said = [
        *notes,
        *done.notes,
        *widened_notes(done),
        *ranking_notes(bench, steps),
        *idle_notes(curves),
        *cut_notes(done),
    ]
    return StressResult(
        tuple(curves),
        max_drop,
        tuple(s.name for s in bench.scorers),
        provenance_of(
            bench.seed, bench.repeats, bench.X, bench.y, sampled, time.monotonic() - started, groups
        ),
        shown,
        tuple(said),
        finished=not done.left_out and not done.cut,
        differences=tuple(differences_of(done, max_drop)),
        cost=done.cost,
        library=library_of(bench.X),
        **found,
    )


def flip_notes(curves: Sequence[Curve]) -> list[str]:
    """Say where many predictions change although the score holds."""
    most: dict[str, tuple[float, str]] = {}
    for c in curves:
        changed = [(f or 0.0, spoken(x, c.unit)) for f, x in zip(c.flips, c.levels, strict=False)]
        if c.break_point.verdict == "holds" and changed and max(changed)[0] >= MANY:
            most[c.noise] = max(most.get(c.noise, (0.0, "")), *changed)
    if not most:
        return []
    found = [
        f"{title(noise)} changes {100 * share:.0f} % of them at {level}"
        for noise, (share, level) in most.items()
    ]
    return [
        f"the score holds, the predictions do not: {'; '.join(found)}. A score that counts them, such as accuracy, sees it"
    ]


def unit_notes(done: Measured, max_drop: float) -> list[str]:
    """Say that the tolerance is in the units of a score that is no share."""
    return [
        f"the tolerated drop of {max_drop:g} is in the units of {scorer.name}, which is {sample.value:.3g} without noise"
        for scorer in done.bench.scorers
        for sample in [done.clean[next(iter(done.readers)), scorer.name]]
        if not scorer.share and abs(sample.value) > UNITS * max_drop
    ]


def widened_notes(done: Measured) -> list[str]:
    """Say which columns models meet as floats."""
    widened = {
        name: how for sweep in done.sweeps for level in sweep.found for name, how in level.widened.items()
    }
    floats = sorted(str(n) for n, how in widened.items() if not how.endswith("object"))
    return (
        [f"models meet these columns as floats once they lose values: {listed(floats, 20)}"] if floats else []
    )


def cut_notes(done: Measured) -> list[str]:
    """Say what time or Ctrl-C cut off."""
    why = "interrupted" if done.interrupted else "the time budget was spent"
    short = [f"cut short ({why}), so that more is undecided: {', '.join(done.cut)}"] if done.cut else []
    return short + ([f"left out ({why}): {', '.join(done.left_out)}"] if done.left_out else [])


def idle_notes(curves: Sequence[Curve]) -> list[str]:
    """Say which levels changed nothing in these rows, so that passing them shows nothing."""
    idle: dict[str, str] = {}
    for c in curves:
        still = [level for level, share in zip(c.levels, c.changed, strict=True) if level and not share]
        if still:
            where = (
                "at any level"
                if len(still) == len(c.levels)
                else f"at level {', '.join(f'{x:g}' for x in still)}"
            )
            idle[c.noise] = (
                f"{title(c.noise)} changed nothing in these rows {where}: to pass there shows nothing"
            )
    return list(idle.values())


def ranking_notes(bench: Bench, steps: Sequence[Step]) -> list[str]:
    """Say where a score of ranks or probabilities is read under attacks, which stop at the first wrong label."""
    attacks = [title(s.name) for s in steps if isinstance(s.noise, WorstCase) and s.noise.stops]
    finer = [s.name for s in bench.scorers if s.metric is not None and s.metric.asks in ("score", "proba")]
    if not attacks or not finer or bench.task == "regression":
        return []
    return [
        f"attacks ({', '.join(attacks)}) stop where a label is wrong, so that {', '.join(finer)} could be made to fall "
        "further: scoring='accuracy' is what they measure in full"
    ]


def provenance_of(
    seed: int,
    repeats: int | None,
    X: Any,
    y: NDArray[Any],
    sampled: str,
    seconds: float,
    groups: int | None = None,
) -> Provenance:
    """Return what is needed to repeat a run."""
    return Provenance(
        seed, repeats, y.size, sampled, fingerprint(X, y), round(seconds, 2), _versions(), SCHEME, groups
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    packages = ("hormesis", "numpy", "pandas", "scikit-learn", "skrub")
    return {
        "python": platform.python_version(),
        **{p: version(p) for p in packages},
        "platform": sys.platform,
    }

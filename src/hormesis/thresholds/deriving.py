"""From break points to limits: what a batch may show where the model was shown to pass."""

import dataclasses
from collections.abc import Iterable, Set
from typing import Any

from hormesis.limits import Bound, Limit
from hormesis.noise.base import unit_of
from hormesis.notation import read_steps
from hormesis.profile import ColumnProfile, Profile
from hormesis.results import BreakPoint, Curve, spoken
from hormesis.step import Step
from hormesis.thresholds.observable import SEEN, UNSEEN, Sight, Unseen, sight

Memo = dict[tuple[str, str | int], Sight | str]
_ALL = "the model passes even where every cell is hit"


def limits_of(curves: Iterable[Curve], profile: Profile) -> tuple[Limit, ...]:
    """Turn measured break points into limits of data quality, one per curve.

    A batch is within a limit where it shows no more of the noise than the training data would at the last level that
    passed. For a noise that hits a fraction L of the cells, a quantity that training shows in a share b of the cells, and
    with every cell hit in a share f, may reach ``b + (f - b) * L``: for missing values ``m + (1 - m) * L``. A median may
    lie L spreads away. A whole column that is gone, renamed or of another type is a limit where the model fails by it.

    The statement is the break point's: one kind of noise at a time. What a batch of few rows shows scatters: of a share s, by
    ``sqrt(s * (1 - s) / rows)``.

    Source: Schelter et al. (2018), automating large-scale data quality verification, for checks of this kind.

    Parameters
    ----------
    curves : curves
        Of `stress`; steps on one column alone give the sharpest limits.
    profile : Profile
        Of the training data, by which the noise was scaled.
    """
    memo: Memo = {}
    made = [_limit(curve, profile, memo) for curve in curves]
    alone = {_who(limit, limit.columns[0]) for limit in made if len(limit.columns) == 1 and _measured(limit)}
    return tuple(_together(limit, alone) for limit in made)


def _limit(curve: Curve, profile: Profile, memo: Memo) -> Limit:
    steps, _ = read_steps({"steps": [curve.step]})
    step, b = (steps[0] if steps else None), curve.break_point
    kind = type(step.noise).__name__ if step else str(curve.step.get("noise"))
    limit = Limit(
        model=curve.model,
        scoring=curve.scoring,
        noise=curve.noise,
        step=curve.step,
        columns=tuple(n for n in step.noise.targets(profile)) if step else (),
        unit=curve.unit,
        passes_to=b.passes_to,
        fails_from=b.fails_from,
        quantity=SEEN.get(kind),
    )
    reason = _reason(curve, kind, step)
    if step is None or reason is not None:
        return dataclasses.replace(limit, reason=reason)
    return dataclasses.replace(
        limit,
        bounds=tuple(_bound(step, profile[n], _sight(step, profile, n, memo), b) for n in limit.columns),
    )


def _reason(curve: Curve, kind: str, step: Step | None) -> str | None:
    """Say why a curve gives no limit, if it does not."""
    b = curve.break_point
    if step is None:
        return "a worst case is made against the model: no batch shows how far it went"
    if kind not in SEEN:
        return UNSEEN.get(kind, f"what a batch shows of {kind} is not known")
    if b.reason is not None:
        return f"not measurable, {b.reason}"
    if not any(curve.changed):
        return f"{kind} changed nothing in the rows tested"
    if _whole(step):
        return None if b.fails_from is not None else f"{b.words} (of the columns hit whole)"
    if b.passes_to <= 0:
        fails = "" if b.fails_from is None else f", and it fails from {spoken(b.fails_from, b.unit)}"
        return f"no level was shown to pass{fails}: test lower levels or more rows"
    if b.unit == "fraction" and b.passes_to * step.probability >= 1:
        return _ALL
    return None


def _whole(step: Step) -> bool:
    """Tell a noise that hits a column whole or not at all."""
    return unit_of(type(step.noise)).of == "columns"


def _sight(step: Step, profile: Profile, name: str | int, memo: Memo) -> Sight | str:
    """Return what a column shows, or why nothing: read once for all models and scorers."""
    at = repr(step.to_dict()), name
    if at not in memo:
        try:
            memo[at] = sight(step, profile[name], profile)
        except Unseen as why:
            memo[at] = str(why)
    return memo[at]


def _bound(step: Step, column: ColumnProfile, seen: Sight | str, b: BreakPoint) -> Bound:
    """Return the bound of one column, or the reason why it has none."""
    if isinstance(seen, str):
        return Bound(column.name, column.kind, reason=seen)
    if _whole(step):
        return dataclasses.replace(seen.bound, limit=seen.at(0.0), fails_from=seen.at(1.0))
    limit = seen.at(b.passes_to)
    if limit <= (seen.bound.baseline or 0.0):
        return Bound(column.name, column.kind, reason="at the levels that pass, a batch shows nothing of it")
    fails, low, high = (None if v is None else seen.at(v) for v in (b.fails_from, b.low, b.high))
    return dataclasses.replace(seen.bound, limit=limit, fails_from=fails, low=low, high=high)


def _who(limit: Limit, column: str | int) -> tuple[Any, ...]:
    settings = {k: v for k, v in limit.step.items() if k not in ("name", "level", "columns")}
    return limit.model, limit.scoring, repr(sorted(settings.items())), column


def _measured(limit: Limit) -> bool:
    """Tell whether it is known how much one column may show: up to a limit, or all of it."""
    return bool(limit.checked) or limit.reason == _ALL


def _together(limit: Limit, alone: Set[Any]) -> Limit:
    """Where each column has a limit of its own, the limit of all together is about their average."""
    several = len(limit.checked) > 1 and limit.quantity not in ("absent", "retyped")
    if several and all(_who(limit, b.column) in alone for b in limit.checked):
        return dataclasses.replace(limit, over="mean")
    return limit

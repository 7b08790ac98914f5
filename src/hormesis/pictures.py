"""Columns that matter, before and after noise, as counts that a report can draw."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hormesis.columns import Table
from hormesis.frames import open_table, take
from hormesis.key import bits, key, lane
from hormesis.measure import Bench
from hormesis.models import Answers, single_thread
from hormesis.noise.worst import Raised
from hormesis.results import Curve, Distribution
from hormesis.step import Step

SHOWN = 4
BINS = 40
LABELS = 12
MOST_COLUMNS = 50


def importance(bench: Bench) -> dict[str | int, float]:
    """Return how much the first model's predictions move when a column is shuffled among at most 1,000 rows.

    Share of changed labels, or mean squared change of numbers; no true label is needed. Of a wide table only the first
    50 columns are tried, since each takes a prediction.
    """
    names = [c.name for c in bench.profile.columns if c.count]
    rows = np.arange(min(bench.y.size, max(100, min(1000, 50_000 // max(len(names), 1)))))
    X, model = take(bench.X, rows), next(iter(bench.models.values()))
    reply = Answers(model, X, bench.classes, bench.task).labels
    out = {}
    with single_thread(rows.size):
        for j, name in list(enumerate(open_table(X).names))[:MOST_COLUMNS]:
            said = Answers(model, _shuffled(X, j, bench.seed), bench.classes, bench.task).labels
            moved = (said - reply) ** 2 if bench.task == "regression" else said != reply
            out[name] = float(np.mean(moved))
    return out


def _shuffled(X: Any, j: int, seed: int) -> Any:
    table = open_table(X)
    rows = np.flatnonzero(~_gone(table, j))
    order = np.argsort(bits(lane(rows), key(seed, "importance", table.names[j])), kind="stable")
    if rows.size and table.dtype(j) != "other":
        table.put(j, rows, table.pick(j, rows)[order])
    return table.close()


def distributions(bench: Bench, steps: Sequence[Step], curves: Sequence[Curve]) -> Iterator[Distribution]:
    """Yield the columns that matter most, each under the applicable noise that hurts the first model most."""
    table = open_table(bench.X)
    ranked = sorted(importance(bench).items(), key=lambda item: -item[1])
    ranked = [(n, w) for n, w in ranked if not _gone(table, table.names.index(n)).all()]
    first = next(iter(bench.models))
    hurt = {c.noise: -(c.robustness or 0.0) for c in reversed(curves) if c.model == first}
    made: dict[str, Any] = {}  # one noise often hurts several columns most, and an attack takes long
    for name, weight in ranked[:SHOWN]:
        fitting = [s for s in steps if name in s.noise.targets(bench.profile)]
        if not fitting:
            continue
        step = max(fitting, key=lambda s: hurt.get(s.name, -9.0))
        curve = next(c for c in curves if c.noise == step.name)
        level = curve.break_point.fails_from or curve.levels[len(curve.levels) // 2]
        if step.name not in made:
            try:
                made[step.name] = bench.noisy(step.at(level), first)[0]
            except Raised:
                continue
        yield _distribution(open_table(bench.X), open_table(made[step.name]), name, step, level, weight)


def _distribution(
    before: Table, after: Table, name: str | int, step: Step, level: float, weight: float
) -> Distribution:
    clean, noisy_ = _present(before, name), _present(after, name)
    numeric = clean.dtype.kind in "iuf" and noisy_.dtype.kind in "iuf"
    if not numeric and clean.dtype.kind == "i" and before.dtype(before.names.index(name)) == "datetime":
        clean = clean.view("datetime64[ns]").astype("datetime64[s]")
    edges, labels, counts = _bins(clean, noisy_) if numeric else _bars(clean, noisy_)
    return Distribution(
        column=str(name),
        noise=step.name,
        level=level,
        unit=step.noise.unit,
        importance=weight,
        before=counts[0],
        after=counts[1],
        missing_before=before.rows - clean.size,
        missing_after=before.rows - noisy_.size,
        edges=edges,
        labels=labels,
    )


def _present(table: Table, name: str | int) -> Any:
    """Return the present values of a column; none where the table has lost it."""
    if name not in table.names:
        return np.empty(0)
    j = table.names.index(name)
    return table.pick(j, np.flatnonzero(~_gone(table, j)))


Counted = tuple[tuple[float, ...], tuple[str, ...], list[tuple[int, ...]]]


def _bins(*sides: Any) -> Counted:
    """Count numbers in bins over the range before, a quarter wider on each side; what lies beyond is in the last bins."""
    low, high = float(sides[0].min()), float(sides[0].max())
    margin = 0.25 * (high - low) or 1.0
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    counts = [np.histogram(np.clip(s.astype(float), edges[0], edges[-1]), edges)[0] for s in sides]
    return tuple(edges.tolist()), (), [tuple(c.tolist()) for c in counts]


def _bars(*sides: Any) -> Counted:
    """Count the commonest values before, and all others together."""
    words = [s.astype(str) for s in sides]
    labels, count = np.unique(words[0], return_counts=True)
    top = labels[np.argsort(-count, kind="stable")][:LABELS].tolist()
    bars = [[int((w == label).sum()) for label in top] for w in words]
    counts = [(*b, w.size - sum(b)) for b, w in zip(bars, words, strict=True)]
    return (), (*top, "any other value"), counts


def _gone(table: Table, j: int) -> Any:
    gone = table.missing(j)
    return np.zeros(table.rows, bool) if gone is None else gone

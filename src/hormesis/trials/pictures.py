"""Columns that matter, before and after noise, as counts that a report can draw."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hormesis.columns import Table
from hormesis.engine.blocks import Block, stacked
from hormesis.engine.measuring import Measured
from hormesis.frames import open_table, part
from hormesis.key import bits, key, lane
from hormesis.noise.worst import Raised
from hormesis.results import Curve, Distribution
from hormesis.step import Step

SHOWN = 4
BINS = 40
LABELS = 12
MOST_COLUMNS = 50
PICTURED = 5_000  # rows that are counted
SHUFFLED = 3_000  # rows, all columns together


def importance(done: Measured) -> dict[str | int, float]:
    """Return how much the first model's answers move when a column is shuffled among a few rows.

    Share of changed labels, or mean squared change of numbers; no true label is needed. All columns are tried in one
    prediction of about 3,000 rows where rows are answered one by one; of a wide table only the first 50.
    """
    bench, (reader, *_) = done.bench, done.readers.values()
    names = open_table(bench.looked).names[:MOST_COLUMNS]
    few = min(bench.rows, max(50, min(1000, SHUFFLED // max(len(names), 1))))
    X = part(bench.looked, 0, few) if bench.block is None else bench.block.part(0, few)
    reply = reader.oracle.decided(reader.first(few))
    tables = [_shuffled(X, j, bench.seed) for j in range(len(names))]
    if reader.oracle.row_wise:
        told = done.rounds.kept("shuffled", reader.name, lambda: reader.oracle.ask(stacked(tables)))
        answers = reader.oracle.decided(told)
        said = np.split(answers, len(names))
    else:
        said = [reader.oracle.decided(reader.oracle.ask(stacked([table]))) for table in tables]
    numbers = bench.task == "regression"
    moved = [(s - reply) ** 2 if numbers else s != reply for s in said]
    return {name: float(np.mean(m)) for name, m in zip(names, moved, strict=True)}


def _shuffled(X: Any, j: int, seed: int) -> Any:
    table = X.open() if isinstance(X, Block) else open_table(X)
    rows = np.flatnonzero(~_gone(table, j))
    order = np.argsort(bits(lane(rows), key(seed, "importance", table.names[j])), kind="stable")
    if rows.size and table.dtype(j) != "other":
        table.put(j, rows, table.pick(j, rows)[order])
    return replace(X, values=table.close()) if isinstance(X, Block) else table.close()


def distributions(done: Measured, curves: Sequence[Curve]) -> Iterator[Distribution]:
    """Yield the columns that matter most, each under the applicable noise that hurts the first model most."""
    bench, steps = done.bench, done.steps
    few = min(bench.rows, PICTURED)
    table = open_table(part(bench.looked, 0, few))
    try:
        weights = importance(done)
    except (
        Exception
    ):  # a model that raises where values of other rows stand in a column: there is nothing to rank
        return
    ranked = sorted(weights.items(), key=lambda item: -item[1])
    ranked = [(n, w) for n, w in ranked if not _gone(table, table.names.index(n)).all()]
    first = next(iter(bench.models))
    hurt = {c.noise: -(c.robustness or 0.0) for c in reversed(curves) if c.model == first}
    made: dict[str, Any] = {}  # one noise often hurts several columns most, and an attack takes long
    for name, weight in ranked[:SHOWN]:
        fitting = [s for s in steps if s.noise.changes != "schema" and name in s.noise.targets(bench.profile)]
        if not fitting:
            continue
        step = max(fitting, key=lambda s: hurt.get(s.name, -9.0))
        curve = next(c for c in curves if c.noise == step.name)
        level = curve.break_point.fails_from or curve.levels[len(curve.levels) // 2]
        if step.name not in made:
            try:
                made[step.name] = stacked([bench.some(step.at(level), 0, few, first, 0).table])
            except Raised:
                continue
        before = part(bench.looked, 0, few)
        yield _distribution(open_table(before), open_table(made[step.name]), name, step, level, weight)


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

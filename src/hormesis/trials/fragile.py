"""Fragile columns: what noise in one column alone costs, ranked, and in the strongest pairs of columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.engine.levels import Reader
from hormesis.engine.measuring import Measured
from hormesis.engine.rounds import OutOfTime, Running, wanted
from hormesis.errors import listed
from hormesis.noise import WorstCase
from hormesis.results import Curve, Estimate, Fragility
from hormesis.statistics.ranks import Interactions, Ranking, interactions, rank
from hormesis.step import Step

ROWS = 5_000  # rows of the ranking at most
PAIRED = 4  # columns that lose most, tried in pairs
HELD = 40_000  # rows of replies held at once
Floats = NDArray[np.float64]
Names = tuple[str | int, ...]


@dataclass
class Alone:
    """One noise at one level, in some columns alone at a time: the row drops of each model and scorer."""

    step: Step
    level: float
    columns: Sequence[Names]
    readers: Mapping[str, Reader]
    rows: int
    drops: dict[tuple[str, int], dict[Names, Floats]] = field(default_factory=dict)
    raised: dict[tuple[str, Names], str] = field(default_factory=dict)

    def run(self) -> Running:
        """Ask for the columns, several at a time."""
        bench = next(iter(self.readers.values())).bench
        draws, models = bench.draws(self.step), tuple(self.readers)
        most = max(1, HELD // (draws * self.rows))
        for first in range(0, len(self.columns), most):
            some = self.columns[first : first + most]
            steps = [replace(self.step, noise=self.step.noise.on(names)) for names in some]
            replies = yield [w for s in steps for w in wanted(s, self.level, (0, self.rows), models, draws)]
            for i, names in enumerate(some):
                self._take(names, [[r] for r in replies[i * draws : (i + 1) * draws]])

    def _take(self, names: Names, parts: Any) -> None:
        for model, reader in self.readers.items():
            own = [[r[model] for r in repeat] for repeat in parts]
            error = reader.error(own)
            if error is not None:
                self.raised[model, names] = error
                continue
            for i, d in enumerate(reader.row_drops(own, self.rows)):
                self.drops.setdefault((model, i), {})[names] = d


def fragile_columns(done: Measured, curves: Sequence[Curve]) -> Iterator[Fragility]:
    """Yield the columns by what noise in each alone costs, and the strongest pairs; what time cuts off is noted."""
    parted = done.bench.groups is None and all(r.oracle.row_wise for r in done.readers.values())
    rows = min(done.bench.rows, ROWS) if parted else done.bench.rows
    for step in done.steps:
        names = step.noise.targets(done.bench.profile)
        together = isinstance(step.noise, WorstCase) or step.noise.least > 1
        if together or "@" in step.name or len(names) < 2:
            continue
        level = _level(step, curves)
        sweep = Alone(step, level, [(n,) for n in names], done.readers, rows)
        pairs = Alone(step, level, (), done.readers, rows)
        try:
            done.rounds.drive([sweep], lambda _: None)
            pairs.columns = _strongest(sweep)
            done.rounds.drive([pairs], lambda _: None)
        except (OutOfTime, KeyboardInterrupt) as stopped:
            done.interrupted = isinstance(stopped, KeyboardInterrupt)
            done.left_out.append(f"the ranking of columns under {step.name}")
            return
        for model in done.readers:
            raised = {n[0]: error for (who, n), error in sweep.raised.items() if who == model}
            if raised and not step.noise.by_columns:  # those have curves of their own that say so
                first = next(iter(raised.values()))
                done.notes.append(f"{model} raises where {listed(raised)} alone has {step.name}: {first}")
        for (model, i), drops in sweep.drops.items():
            about = model, step, level, done.bench.scorers[i].name
            h = done.readers[model].clean_sample(i, rows)[2]
            yield from _ranked(drops, h, done.bench.seed, *about)
            yield from _pairs(pairs.drops.get((model, i), {}), drops, h, done.bench.seed, *about)


def _level(step: Step, curves: Sequence[Curve]) -> float:
    """Return the level at which columns are compared: where the first model surely fails under noise in all, else the top."""
    curve = next(c for c in curves if c.noise == step.name)
    return curve.break_point.fails_from or curve.levels[-1]


def _strongest(sweep: Alone) -> list[Names]:
    drops = next(iter(sweep.drops.values()), {})
    first = sorted(drops, key=lambda names: -float(drops[names].mean()))[:PAIRED]
    return [(a[0], b[0]) for a, b in combinations(first, 2)]


def _ranked(
    drops: Mapping[Names, Floats], h: float, seed: int, model: str, step: Step, level: float, scoring: str
) -> Iterator[Fragility]:
    names = list(drops)
    found: Ranking = rank(np.column_stack([drops[n] for n in names]), h, seed=seed)
    for j in np.argsort(-found.drop, kind="stable"):
        yield Fragility(
            model, step.name, scoring, level, step.noise.unit, str(names[j][0]), float(found.drop[j]), float(found.low[j]),
            float(found.high[j]), float(found.adjusted[j]), bool(found.matters[j]), int(found.rank_low[j]),
            int(found.rank_high[j]),
        )  # fmt: skip


def _pairs(
    pairs: Mapping[Names, Floats], drops: Mapping[Names, Floats], h: float, seed: int, model: str, step: Step,
    level: float, scoring: str,
) -> Iterator[Fragility]:  # fmt: skip
    names = [n for n in pairs if (n[0],) in drops and (n[1],) in drops]
    if not names:
        return
    joint, one, other = (
        np.column_stack(side)
        for side in (
            [pairs[n] for n in names],
            [drops[n[0],] for n in names],
            [drops[n[1],] for n in names],
        )
    )
    found: Interactions = interactions(joint, one, other, h, seed=seed)
    both: Ranking = rank(joint, h, seed=seed)
    for j in np.argsort(-both.drop, kind="stable"):
        extra = Estimate(float(found.excess[j]), float(found.low[j]), float(found.high[j]))
        yield Fragility(
            model, step.name, scoring, level, step.noise.unit, str(names[j][0]), float(both.drop[j]), float(both.low[j]),
            float(both.high[j]), float(found.adjusted[j]), bool(found.surely[j]), None, None, str(names[j][1]), extra,
        )  # fmt: skip

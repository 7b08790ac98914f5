"""One simulation per claim: how often an interval of `hormesis.statistics` holds the truth of a world that is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from coverage_worlds import LEVELS, Linear, Numbers
from hormesis.engine.sweeps import COARSEST
from hormesis.statistics import Drop, Sample, crossings, drop_of, groups_of, runs, score_interval
from hormesis.statistics.paired import break_difference, condense, drop_difference
from hormesis.statistics.ranks import rank
from hormesis.statistics.search import FIRST, Looks, Search, break_interval

TOLERANCE = 0.05
CASES = {"tiny": 0.005, "tol": 0.05, "large": 0.15}
A = Linear("A linear")


@dataclass
class Cell:
    """How many simulations of one case were covered, with medians of what else was noted.

    `refused` tables were drawn that `stress` calls not measurable: they have no interval and count for nothing.
    """

    what: str
    world: str
    metric: str
    n: int
    case: str
    hits: int = 0
    sims: int = 0
    refused: int = 0
    notes: dict[str, list[float]] = field(default_factory=dict)

    def note(self, *, held: bool, **notes: float) -> None:
        self.hits, self.sims = self.hits + bool(held), self.sims + 1
        for name, value in notes.items():
            self.notes.setdefault(name, []).append(value)

    @property
    def rate(self) -> float:
        return self.hits / self.sims

    def __str__(self) -> str:
        middle = [f"{name} {np.median(values):.3g}" for name, values in self.notes.items()]
        if self.refused > self.sims / 100:
            middle.append(f"refused {self.refused / (self.refused + self.sims):.0%}")
        return f"{self.rate:.3f}" + (f" ({', '.join(middle)})" if middle else "")


def repeats(n: int) -> int:
    """Return the default of `stress`: an antithetic pair up to 5,000 rows, else one repeat."""
    return 2 if n <= 5000 else 1


def holds(low: float | None, truth: float, high: float | None) -> bool:
    return (low is None or low <= truth) and (high is None or truth <= high)


def measurable(
    world: Any, r: np.random.Generator, n: int, metrics: Sequence[str], cells: Sequence[Cell]
) -> Any:
    """Draw tables until `stress` gives an interval for one."""
    while True:
        table = world.table(r, n)
        if not any(table.scorer(m).too_few(TOLERANCE) for m in metrics):
            return table
        for cell in cells:
            cell.refused += 1


def read(table: Any, score: Any) -> tuple[Sample, float]:
    """Return the clean sample and the influence of a row that went wrong unseen, as `stress` asks for them."""
    said = table.said(-1)
    clean = score.sample(said)
    return clean, score.unseen(clean, said)


def scores_and_drops(world: Any, metrics: Sequence[str], n: int, sims: int) -> list[Cell]:
    """Cover the clean score, and score and drop at a tiny, a tolerable and a large drop."""
    r, truths = np.random.default_rng([n, 1]), {m: world.truth(m) for m in metrics}
    at = {m: {c: int(np.abs(truths[m][1] - d).argmin()) for c, d in CASES.items()} for m in metrics}
    cells = {
        (m, what, c): Cell(what, world.name, m, n, c)
        for m in metrics
        for what, c in [("score", "clean"), ("score", "tol"), *(("drop", c) for c in CASES)]
    }
    for _ in range(sims):
        table = measurable(world, r, n, metrics, list(cells.values()))
        for m in metrics:
            score, (s0, drops) = table.scorer(m), truths[m]
            clean, h = read(table, score)
            _, low, high = score_interval([clean], share=score.share, smallest=score.smallest)
            cells[m, "score", "clean"].note(held=low <= s0 <= high)
            for case, j in at[m].items():
                noisy = [score.sample(table.said(j, k)) for k in range(repeats(table.y.size))]
                low, high = drop_of(clean, noisy, h).interval()
                cells[m, "drop", case].note(held=low <= drops[j] <= high)
                if case == "tol":
                    _, low, high = score_interval(noisy, share=score.share, smallest=score.smallest)
                    cells[m, "score", case].note(held=low <= s0 - drops[j] <= high)
    return list(cells.values())


def break_points(
    world: Any, metrics: Sequence[str], n: int, sims: int, *, between: bool = False
) -> list[Cell]:
    """Cover the break point of the full grid; it lies just below a level (the worst place) or half-way between two."""
    r, cells = np.random.default_rng([n, 2]), []
    places = {}
    for m in metrics:
        drops = world.truth(m)[1]
        j = int(np.abs(drops - TOLERANCE).argmin())
        levels = np.array(world.levels)
        truth = (levels[j - 1] + levels[j]) / 2 if between else levels[j] * (1 - 1e-9)
        tolerance = replace(world, levels=(truth,)).truth(m)[1][0] if between else drops[j] - 1e-9
        pair = [
            Cell(w, world.name, m, n, "between levels" if between else "just below a level")
            for w in ("grid", "continuous")
        ]
        places[m] = (j, levels, truth, tolerance, *pair)
        cells += pair
    for _ in range(sims):
        table = measurable(world, r, n, metrics, cells)
        for m, (j, levels, truth, tolerance, grid, continuous) in places.items():
            low, high = np.transpose([d.interval() for d in curve(table, m)])
            passes, fails = runs(low, high, tolerance)
            grid.note(held=passes <= j <= fails)
            a, b = crossings(levels, low, high, tolerance)
            continuous.note(held=holds(a, truth, b), width=math.inf if b is None else (b - a) / truth)
    return cells


def curve(table: Any, metric: str) -> list[Any]:
    """Return the drops of all levels on all rows."""
    score, times = table.scorer(metric), range(repeats(table.y.size))
    clean, h = read(table, score)
    return [
        drop_of(clean, [score.sample(table.said(j, k)) for k in times], h)
        for j in range(len(table.world.levels))
    ]


def searches(world: Any, metric: str, n: int, levels: int, sims: int, *, between: bool = False) -> list[Cell]:
    """Cover the early-stopped search; rows in multiples of the test set, clean predictions and both repeats included.

    The break point lies just below a level (the worst place), or half-way between two.
    """
    world = replace(world, levels=tuple(np.linspace(LEVELS[-1] / levels, LEVELS[-1], levels)))
    drops = world.truth(metric)[1]
    j = int(np.abs(drops - TOLERANCE).argmin())
    truth, tolerance, r = world.levels[j], drops[j] - 1e-9, np.random.default_rng([n, levels, 3])
    if between:
        truth = (world.levels[j - 1] + truth) / 2
        tolerance = replace(world, levels=(truth,)).truth(metric)[1][0]
    case = f"{levels} levels, between two" if between else f"{levels} levels"
    grid, continuous = (Cell(w, world.name, metric, n, case) for w in ("grid", "continuous"))
    for _ in range(sims):
        search, rows = searched(world.table(r, n), metric, tolerance)
        found = search.outcome(0)
        a, b = break_interval(world.levels, found, tolerance)
        checks = sum(rows[k] for k, seen in found.seen.items() if seen.checked)
        gap = min(found.fails, levels) - found.passes
        grid.note(
            held=found.passes < j <= found.fails, rows=1 + sum(rows.values()) - checks, checks=checks, gap=gap
        )
        width = math.inf if b is None else (b - a) / truth
        continuous.note(held=holds(a, truth, b), width=width)
    return [grid, continuous]


def searched(table: Any, metric: str, tolerance: float) -> tuple[Search, dict[int, float]]:
    """Run a search on a table; return it with the rows predicted at each level."""
    n, size, times = table.scorer(metric).units, table.y.size, repeats(table.y.size)
    looks = Looks.of(n, first=max(FIRST, n // COARSEST))
    ends = looks.units if table.group is None else np.searchsorted(table.group, looks.units)
    scores = [table.scorer(metric).on(int(end)) for end in ends]
    cleans = [s.sample(table.said(-1, rows=end)) for s, end in zip(scores, ends, strict=True)]
    early = [end < size and s.too_few(tolerance) is not None for s, end in zip(scores, ends, strict=True)]
    search, rows = Search(len(table.world.levels), looks, tolerance), {}
    asked = search.run()
    try:
        level, k = next(asked)
        while True:
            noisy = [scores[k].sample(table.said(level, repeat, ends[k])) for repeat in range(times)]
            rows[level] = float(ends[k] * times / size)
            known = drop_of(cleans[k], noisy, scores[k].unseen(cleans[k]))
            level, k = asked.send([Drop(math.nan, math.inf, 1.0) if early[k] else known])
    except StopIteration:
        return search, rows


def ways_to_repeat(n: int, sims: int) -> list[Cell]:
    """Cover one drop by several ways to repeat the noise."""
    ways = {"one": (0,), "two fresh": (0, 2), "antithetic pair": (0, 1), "five fresh": (0, 2, 4, 6, 8)}
    cells = {(m, way): Cell("drop", A.name, m, n, way) for m in ("accuracy", "roc_auc") for way in ways}
    r, truths = np.random.default_rng([n, 4]), {m: A.truth(m)[1] for m in ("accuracy", "roc_auc")}
    for _ in range(sims):
        table = A.table(r, n, pairs=5)
        for (m, way), cell in cells.items():
            score = table.scorer(m)
            clean, h = read(table, score)
            drop = drop_of(clean, [score.sample(table.said(4, k)) for k in ways[way]], h)
            low, high = drop.interval()
            cell.note(held=low <= truths[m][4] <= high, width=high - low)
    return list(cells.values())


def shared_noise(n: int, sims: int) -> list[Cell]:
    """Cover score and drop under a shift drawn once per repeat, in eight fresh draws, counted rightly and as if per row."""
    world, r = Linear("A, one draw for all rows", shared=True), np.random.default_rng([n, 5])
    ways, metrics = {"between draws": True, "rows alone": False}, ("accuracy", "neg_log_loss")
    cells = {
        (m, what, way): Cell(what, world.name, m, n, way)
        for m in metrics
        for what in ("score", "drop")
        for way in ways
    }
    truths = {m: world.truth(m) for m in metrics}
    for _ in range(sims):
        table = world.table(r, n, pairs=8)
        for m in metrics:
            score, (s0, drops) = table.scorer(m), truths[m]
            clean, h = read(table, score)
            noisy = [score.sample(table.said(4, k)) for k in range(0, 16, 2)]
            for way, shared in ways.items():
                low, high = drop_of(clean, noisy, h, shared=shared).interval()
                cells[m, "drop", way].note(held=low <= drops[4] <= high, width=high - low)
                _, low, high = score_interval(
                    noisy, share=score.share, smallest=score.smallest, shared=shared
                )
                cells[m, "score", way].note(held=low <= s0 - drops[4] <= high, width=high - low)
    return list(cells.values())


def any_scorer(n: int, sims: int) -> list[Cell]:
    """Cover the drops of scorers that are only callables, by the grouped jackknife."""
    asked = [
        (A, "accuracy", lambda model, X, y: np.mean(model.predict(X) == y)),
        (
            Numbers("D normal errors", heavy=False),
            "neg_mean_absolute_error",
            lambda model, X, y: -np.abs(model.predict(X) - y).mean(),
        ),
    ]
    r, cells = np.random.default_rng([n, 6]), []
    for world, metric, call in asked:
        drops = world.truth(metric)[1]
        at = {c: int(np.abs(drops - d).argmin()) for c, d in CASES.items()}
        row = {c: Cell("drop", f"{world.name}, jackknife", metric, n, c) for c in CASES}
        for _ in range(sims):
            table = world.table(r, n)
            score = table.scorer(metric, call)
            clean, h = read(table, score)
            for case, j in at.items():
                noisy = [score.sample(table.said(j, k)) for k in (0, 1)]
                low, high = drop_of(clean, noisy, h).interval()
                row[case].note(held=low <= drops[j] <= high)
        cells += row.values()
    return cells


def two_models(n: int, sims: int) -> list[Cell]:
    """Cover the differences of two linear models' drops and break points; the second has other weights."""
    r, levels, tilts = np.random.default_rng([n, 7]), np.array(LEVELS), (1.0, 0.8)

    def accuracy(level: Any, tilt: float) -> Any:
        return 1 - np.arccos(tilt / np.sqrt(1.25 * (1 + level * level))) / np.pi

    fine = np.linspace(0.01, 2, 200_001)
    one, other = (accuracy(0.0, t) - accuracy(levels, t) for t in tilts)
    ends = [np.interp(TOLERANCE, accuracy(0.0, t) - accuracy(fine, t), fine) for t in tilts]
    cells = [
        Cell("difference", "A, two models", "accuracy", n, c)
        for c in ("drop, level 1", "drop, level 5", "break point")
    ]
    for _ in range(sims):
        x, z = r.normal(size=(2, n, 2))
        y, block, both = x[:, 0] + r.normal(size=n) / 2 > 0, groups_of(n, 0), []
        for tilt in tilts:
            w = np.array([tilt, math.sqrt(1 - tilt**2)])
            s, e = x @ w, z @ w
            clean, *noisy = (
                _right(s + level * e > 0, y) for level in (0.0, *np.repeat(levels, 2) * np.tile((1, -1), 12))
            )
            both.append([condense(clean, noisy[2 * j : 2 * j + 2], 1.0, block) for j in range(12)])
        for cell, j in zip(cells, (0, 4), strict=False):
            low, high = drop_difference(both[0][j], both[1][j]).interval()
            cell.note(held=low <= one[j] - other[j] <= high, width=high - low)
        found = break_difference(LEVELS, *both, TOLERANCE)
        width = math.inf if found.low is None or found.high is None else found.high - found.low
        cells[2].note(held=holds(found.low, ends[0] - ends[1], found.high), width=width)
    return cells


def _right(said: Any, y: Any) -> Sample:
    right = (said == y).astype(float)
    return Sample(float(right.mean()), right - right.mean(), right.size)


def rankings(n: int, features: int, sims: int) -> list[Cell]:
    """Cover ranks of features drawn afresh one at a time; half of those that the model uses are worth nothing."""
    r, weights = np.random.default_rng([n, 8]), np.linspace(1.0, 0.3, features)
    true = np.where(np.arange(features) % 2, 0.0, weights)
    weights, true = weights / np.linalg.norm(weights), true / np.linalg.norm(true)
    accuracy = [
        1 - np.arccos((weights @ true - gone) / np.sqrt(1.25)) / np.pi for gone in (0.0, *weights * true)
    ]
    drops = accuracy[0] - np.array(accuracy[1:])
    best, worst = (
        (drops[:, None] < drops - 1e-12).sum(axis=1) + 1,
        features - (drops[:, None] > drops + 1e-12).sum(axis=1),
    )
    case = f"{features} features"
    cells = [Cell(w, "A", "accuracy", n, case) for w in ("all ranks", "all drops", "no false 'matters'")]
    for _ in range(sims):
        x, z = r.normal(size=(2, n, features))
        y, s = x @ true + r.normal(size=n) / 2 > 0, x @ weights
        clean = ((s > 0) == y).astype(float)
        found = rank(clean[:, None] - (((s[:, None] + (z - x) * weights) > 0) == y[:, None]), 1.0)
        width = (found.rank_high - found.rank_low).mean()
        cells[0].note(held=bool(((found.rank_low <= best) & (found.rank_high >= worst)).all()), width=width)
        cells[1].note(held=bool(((found.low <= drops) & (drops <= found.high)).all()))
        cells[2].note(held=not found.matters[drops == 0].any(), found=found.matters[drops > 0].mean())
    return cells

"""Worlds whose true scores under noise are known: drawn again and again, they show how often an interval holds the truth."""

import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import ndtr
from scipy.stats import t as student

from hormesis.models import Answers
from hormesis.scoring import Scorer
from hormesis.statistics import METRICS

CLASSES = np.array([0, 1])
LEVELS = tuple(np.linspace(0.1, 1.2, 12))


class Said(Answers):
    """The answers of a model of two classes, or of numbers, from one number per row."""

    def __init__(self, score: Any, cut: float, slope: float, classes: Any = CLASSES) -> None:
        super().__init__(None, None, classes, "classification" if classes.size else "regression")
        self.raw, self.cut, self.slope = score, cut, slope

    @functools.cached_property
    def labels(self) -> Any:
        return (self.raw > self.cut).astype(int) if self.classes.size else self.raw

    @functools.cached_property
    def proba(self) -> Any:
        second = ndtr(self.slope * (self.raw - self.cut)) if self.slope else self.raw
        return np.column_stack([1 - second, second])

    @property
    def score(self) -> Any:
        return self.raw


@dataclass(frozen=True, eq=False)
class Table:
    """Test rows with their noise: one draw per pair of repeats, the second repeat of a pair has the opposite draw."""

    world: Any
    y: Any
    clean: Any
    noise: Any
    group: Any = None

    def said(self, level: int, repeat: int = 0, rows: int | None = None) -> Answers:
        """Return the answers at a level (-1: clean) to the first rows."""
        return self.world.said(self, level, repeat, slice(rows))

    def scorer(self, name: str, call: Any = None) -> Scorer:
        """Return a scorer of the library on these rows."""
        metric = METRICS[name] if call is None else None
        return Scorer(name, metric, call, self.y, self.world.classes, self.world.task, 0, self.group)


@dataclass(frozen=True, eq=False)
class Linear:
    """A probit model of two classes that knows the truth, Gaussian noise on its input; all scores in closed form.

    `groups` gives rows random intercepts in the input, in the labels and in the noise (a share `tied` of each variance), with
    equal or unequal (geometric) sizes; then a table of n has n groups. `shared` noise has one draw for all rows.
    """

    name: str
    levels: tuple[float, ...] = LEVELS
    sharpness: float = 2.0
    cut: float = 0.0
    groups: Literal["equal", "unequal"] | None = None
    size: int = 10
    tied: float = 0.7
    shared: bool = False
    classes = CLASSES
    task = "classification"

    def table(self, r: np.random.Generator, n: int, pairs: int = 1) -> Table:
        group = None
        if self.groups:
            sizes = np.full(n, self.size) if self.groups == "equal" else r.geometric(1 / self.size, n)
            group = np.repeat(np.arange(n), sizes)
        rows = n if group is None else group.size

        def draw() -> Any:
            if group is None:
                return r.normal(size=rows)
            common = r.normal(size=n)[group]
            return np.sqrt(self.tied) * common + np.sqrt(1 - self.tied) * r.normal(size=rows)

        x = draw()
        y = (x + draw() / self.sharpness > self.cut).astype(int)
        return Table(self, y, x, [r.normal() if self.shared else draw() for _ in range(pairs)], group)

    def said(self, table: Table, level: int, repeat: int, rows: slice) -> Answers:
        x = table.clean[rows]
        if level >= 0:
            z = table.noise[repeat // 2]
            sign = -1.0 if repeat % 2 else 1.0
            x = x + sign * self.levels[level] * (z if self.shared else z[rows])
        return Said(x, self.cut, self.sharpness)

    def truth(self, metric: str) -> tuple[float, Any]:
        """Return the true clean score and the true drop at each level."""
        clean, *noisy = (self._score(metric, level) for level in (0.0, *self.levels))
        return clean, clean - np.array(noisy)

    def _score(self, metric: str, level: float) -> float:
        variance = 1 + level**2
        h = 8 * np.sqrt(variance) / 20_000
        t = self.cut + (np.arange(-25_000, 25_000) + 0.5) * h
        w = np.exp(-t * t / 2 / variance) * h / np.sqrt(2 * np.pi * variance)
        p = ndtr((t / variance - self.cut) / np.sqrt(1 + self.sharpness**-2 - 1 / variance))
        said, q = t > self.cut, np.clip(ndtr(self.sharpness * (t - self.cut)), 1e-6, 1 - 1e-6)
        if metric == "accuracy":
            return float(w @ np.where(said, p, 1 - p))
        if metric == "f1":
            return float(2 * (w * p) @ said / (w @ said + w @ p))
        if metric == "neg_log_loss":
            return float(w @ (p * np.log(q) + (1 - p) * np.log(1 - q)))
        below = np.cumsum(w * (1 - p)) - w * (1 - p) / 2
        return float((w * p) @ below / (w @ p) / (w @ (1 - p)))


@dataclass(frozen=True, eq=False)
class Numbers:
    """A linear regression that knows the truth, with normal or heavy-tailed errors and Gaussian noise on its input."""

    name: str
    heavy: bool
    levels: tuple[float, ...] = LEVELS
    sigma: float = 0.5
    classes = np.array([])
    task = "regression"

    def table(self, r: np.random.Generator, n: int, pairs: int = 1) -> Table:
        x = r.normal(size=n)
        e = r.standard_t(4, size=n) / np.sqrt(2) if self.heavy else r.normal(size=n)
        return Table(self, x + self.sigma * e, x, r.normal(size=(pairs, n)))

    def said(self, table: Table, level: int, repeat: int, rows: slice) -> Answers:
        x = table.clean[rows]
        if level >= 0:
            x = x + (-1) ** repeat * self.levels[level] * table.noise[repeat // 2][rows]
        return Said(x, 0.0, 0.0, self.classes)

    def truth(self, metric: str) -> tuple[float, Any]:
        clean, *noisy = (self._score(metric, level) for level in (0.0, *self.levels))
        return clean, clean - np.array(noisy)

    def _score(self, metric: str, level: float) -> float:
        squared = self.sigma**2 + level**2
        if metric == "neg_root_mean_squared_error":
            return float(-np.sqrt(squared))
        if metric == "r2":
            return float(1 - squared / (1 + self.sigma**2))
        if not self.heavy:
            return float(-np.sqrt(2 / np.pi * squared))
        share = (np.arange(400_000) + 0.5) / 400_000
        e = self.sigma * student.ppf(share, 4) / np.sqrt(2)
        if not level:
            return float(-np.abs(e).mean())
        far = np.sqrt(2 / np.pi) * level * np.exp(-((e / level) ** 2) / 2)
        return float(-(far + e * (1 - 2 * ndtr(-e / level))).mean())


@dataclass(frozen=True, eq=False)
class Trees:
    """Boosted trees with lost cells: rows are drawn from a population of rows with an antithetic pair of noises each."""

    name: str = "C trees"
    levels: tuple[float, ...] = tuple(np.linspace(0.04, 0.48, 12))
    population: int = 60_000
    classes = CLASSES
    task = "classification"

    @functools.cached_property
    def known(self) -> tuple[Any, Any, Any]:
        """Labels, clean probabilities and noisy ones (level, repeat, row) of the population."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        r = np.random.default_rng(0)
        x = r.normal(size=(self.population + 4000, 12))
        odds = (
            2 * np.sin(x[:, 0] * x[:, 1])
            + x[:, 2]
            + x[:, 3]
            + 0.5 * x[:, 4] ** 2
            - 0.5
            + x[:, 5] * (x[:, 6] > 0)
        )
        y = (r.random(odds.size) < 1 / (1 + np.exp(-2 * odds))).astype(int)
        model = HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(x[:4000], y[:4000])
        x, y, u = x[4000:], y[4000:], r.random((self.population, 12))
        noisy = [
            [model.predict_proba(np.where(lost < level, 0.0, x))[:, 1] for lost in (u, 1 - u)]
            for level in self.levels
        ]
        return y, model.predict_proba(x)[:, 1], np.array(noisy)

    def table(self, r: np.random.Generator, n: int, pairs: int = 1) -> Table:
        assert pairs == 1
        rows = r.integers(0, self.population, n)
        return Table(self, self.known[0][rows], self.known[1][rows], rows)

    def said(self, table: Table, level: int, repeat: int, rows: slice) -> Answers:
        score = table.clean[rows] if level < 0 else self.known[2][level, repeat][table.noise[rows]]
        return Said(score, 0.5, 0.0)

    def truth(self, metric: str) -> tuple[float, Any]:
        whole = Table(self, self.known[0], self.known[1], np.arange(self.population))
        score = whole.scorer(metric)
        clean = score.sample(whole.said(-1)).value
        noisy = [
            np.mean([score.sample(whole.said(j, k)).value for k in (0, 1)]) for j in range(len(self.levels))
        ]
        return clean, clean - np.array(noisy)

"""One noise on its way through the levels: all of them on all rows, or an early-stopped search for the break point."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hormesis.engine.bench import Bench
from hormesis.engine.levels import Judged, Level, Reader
from hormesis.engine.rounds import Replies, Reply, Running, Want, wanted
from hormesis.statistics import Drop
from hormesis.statistics.search import FIRST, Looks, Outcome, Search
from hormesis.step import Step

COARSEST = 64  # the first look is at least at this part of the rows: more looks cost more calls than rows
HELD = 40_000  # rows of replies that a grid holds at once


@dataclass
class Grid:
    """Every level on all rows, for one or several models on the very same noise."""

    step: Step
    levels: Sequence[float]
    readers: Mapping[str, Reader]
    bench: Bench
    advance: Callable[[], None]
    found: list[Level] = field(default_factory=list)

    @property
    def work(self) -> int:
        """How many levels it will look at."""
        return len(self.levels)

    def run(self) -> Running:
        """Ask for the levels, several at a time where they are small."""
        draws, models, n = self.bench.draws(self.step), tuple(self.readers), self.bench.rows
        most = max(1, HELD // (draws * n))
        for first in range(0, len(self.levels), most):
            levels = self.levels[first : first + most]
            replies = yield [w for x in levels for w in wanted(self.step, x, (0, n), models, draws)]
            for i, level in enumerate(levels):
                own = replies[i * draws : (i + 1) * draws]
                for name, reader in self.readers.items():
                    self.found.append(reader.level(self.step, level, [[r[name]] for r in own], n))
                self.advance()

    def of(self, model: str) -> list[Level]:
        """Return what was found for one model, from the lowest level."""
        return [level for level in self.found if level.model == model]


@dataclass
class Bisection:
    """The levels that the break point of one model depends on, each on as few rows as decide it."""

    step: Step
    levels: Sequence[float]
    reader: Reader
    bench: Bench
    advance: Callable[[], None]
    found: list[Level] = field(default_factory=list)

    def __post_init__(self) -> None:
        units, ends = unit_ends(self.bench)
        one = not self.reader.oracle.row_wise or self.bench.whole(self.step)
        self.looks = Looks.of(units, first=units if one else max(FIRST, units // COARSEST))
        self.ends = [int(ends[m - 1]) for m in self.looks.units]
        self.search = Search(len(self.levels), self.looks, self.reader.max_drop, len(self.bench.scorers))
        self._seen = 0
        self._judged: Sequence[Judged] | None = None

    @property
    def work(self) -> int:
        """How many levels it will look at, about."""
        return min(len(self.levels), math.ceil(math.log2(len(self.levels) + 1)) + 2)

    def run(self) -> Running:
        """Ask for more rows of a level until it is decided, then for the next level."""
        asked = self.search.run()
        current, parts = None, _none(self.bench.draws(self.step))
        try:
            level, look = next(asked)
            while True:
                if level != current:
                    self._done(current, parts)
                    current, parts = level, _none(len(parts))
                replies = yield from self._more(
                    level, sum(r.changed.size for r in parts[0]), self.ends[look], parts
                )
                for own, reply in zip(parts, replies, strict=True):
                    own.append(reply)
                self._judged = self.reader.judged(self.step, parts, self.ends[look])
                known = self._judged
                none: list[Drop | None] = [None] * len(self.bench.scorers)
                level, look = asked.send(none if known is None else [drop for drop, _ in known])
        except StopIteration:
            self._done(current, parts)
        except GeneratorExit:
            self._done(current, parts)  # cut short: the level that was looked at is known as far as it was
            raise
        for _ in range(self._seen, self.work):
            self.advance()

    def _more(
        self, level: int, start: int, stop: int, parts: list[list[Reply]]
    ) -> Generator[list[Want], list[Replies], list[Reply]]:
        name = self.reader.name
        replies = yield wanted(self.step, self.levels[level], (start, stop), (name,), len(parts))
        return [r[name] for r in replies]

    def _done(self, level: int | None, parts: list[list[Reply]]) -> None:
        if level is None or not parts[0]:
            return
        rows = sum(r.changed.size for r in parts[0])
        made = self.reader.level(self.step, self.levels[level], parts, rows, self._judged)
        self._seen += made.level not in (x.level for x in self.found)
        self.found = [x for x in self.found if x.level != made.level] + [
            made
        ]  # another scorer may need more rows
        if self._seen <= self.work:
            self.advance()

    def of(self, model: str) -> list[Level]:
        """Return what was found, from the lowest level."""
        return sorted((x for x in self.found if x.model == model), key=lambda x: x.level)

    def constant(self, rows: int) -> float:
        """Return the critical value of the look at so many rows."""
        return self.looks.c[self.ends.index(rows)]

    def outcome(self, scorer: int) -> Outcome:
        """Return what the search knows for one scorer, levels counted among those it was given."""
        return self.search.outcome(scorer)


def _none(draws: int) -> list[list[Reply]]:
    return [[] for _ in range(draws)]


def unit_ends(bench: Bench) -> tuple[int, np.ndarray]:
    """Return the number of units, rows or groups, and where each ends among the rows as they are looked at."""
    if bench.groups is None:
        return bench.rows, np.arange(1, bench.rows + 1)
    own = bench.groups[bench.order]
    ends = np.append(np.flatnonzero(own[1:] != own[:-1]), own.size - 1) + 1
    return int(ends.size), ends

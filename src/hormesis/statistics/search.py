"""Early-stopped search for the break point: which level to look at next, on how many rows, until every scorer knows."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log2, sqrt
from typing import Literal, Self

from hormesis.statistics.intervals import Drop

Word = Literal["passes", "fails", "undecided"]
FIRST = 156
GLANCES = 8
GLANCE_ROWS = 1000
FUTILITY = 0.2
FORESEEABLE = 0.2
# Two-sided boundary constants of Wang and Tsiatis with power 1/4, for looks each twice as large as the last.
BOUNDARY = {0.2: 1.475, 0.1: 1.78, 0.05: 2.06, 0.01: 2.62}


def _normal(x: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(x))


@dataclass(frozen=True)
class Looks:
    """How many units are looked at, one prefix after the other, and the critical value at each look.

    A test set has a known end, so the boundary `c = 2.06 (n / m) ** 0.25` keeps the chance of ever deciding wrongly
    below `alpha` however often one looks; a single look keeps the plain quantile.

    Source: Wang and Tsiatis (1987), Biometrics 43; Jennison and Turnbull (1989), repeated confidence intervals.

    >>> Looks.of(1000)
    Looks(units=(250, 500, 1000), c=(2.913..., 2.449..., 2.06))
    """

    units: tuple[int, ...]
    c: tuple[float, ...]

    @classmethod
    def of(cls, n: int, first: int = FIRST, alpha: float = 0.05) -> Self:
        """Return the looks at n, n/2, n/4 ... units, none smaller than `first`; `alpha` is 0.2, 0.1, 0.05 or 0.01."""
        units = [n]
        while units[0] // 2 >= first:
            units.insert(0, units[0] // 2)
        if len(units) == 1:
            from scipy.special import ndtri

            return cls((n,), (float(ndtri(1 - alpha / 2)),))
        return cls(tuple(units), tuple(BOUNDARY[alpha] * (n / m) ** 0.25 for m in units))

    @property
    def glance(self) -> int:
        """The look that checks unvisited levels: the nearest to a sixteenth of the units, at most 1,000 where it can be."""
        few = [k for k, m in enumerate(self.units) if m <= GLANCE_ROWS] or [0]
        return min(few, key=lambda k: abs(log2(self.units[k] / (self.units[-1] / 16))))


@dataclass(frozen=True)
class Seen:
    """What is known of one level: its drop (None where the model raised) with the repeated interval of its last look."""

    drop: Drop | None
    low: float
    high: float
    look: int
    word: Word
    checked: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a search knows: the last level that passes (-1: none) and the first that fails (number of levels: none).

    Levels that were only `checked` do not move the two; `warnings` are levels that surely fail below `passes`.
    """

    passes: int
    fails: int
    seen: dict[int, Seen]

    @property
    def warnings(self) -> tuple[int, ...]:
        """Levels that surely fail although a higher level passes: the curve is not monotone."""
        return tuple(sorted(j for j, s in self.seen.items() if s.word == "fails" and j < self.passes))


@dataclass(frozen=True)
class _Bracket:
    low: int
    high: int
    wanted: int | None


class Search:
    """Bisection over levels for several scorers at once: the last level that passes, then the first that fails.

    `run()` says what it wants to see and is sent one drop per scorer, None where the model raised. A drop that could
    not be measured has an infinite standard error and decides nothing. What was seen for one scorer serves all.

    >>> curve = [Drop(0.01 * j, 0.002, 999) for j in range(12)]
    >>> search = Search(12, Looks.of(1000), tolerance=0.05)
    >>> asked = search.run()
    >>> level, look = next(asked)
    >>> while True:
    ...     try:
    ...         level, look = asked.send([curve[level]])
    ...     except StopIteration:
    ...         break
    >>> found = search.outcome(0)
    >>> found.passes, found.fails, found.seen[5].word
    (4, 6, 'undecided')
    """

    def __init__(
        self, levels: int, looks: Looks, tolerance: float, scorers: int = 1, futility: float = FUTILITY
    ) -> None:
        self.levels, self.looks, self.tolerance, self.futility = levels, looks, tolerance, futility
        self._seen: list[dict[int, Seen]] = [{} for _ in range(scorers)]
        self._settled: list[dict[int, Word]] = [{} for _ in range(scorers)]

    def run(self) -> Generator[tuple[int, int], Sequence[Drop | None], None]:
        """Ask for drops, each as (level, look), until every scorer's search is over; then glance at the other levels."""
        while (level := self._wanted()) is not None:
            yield from self._visit(level)
        unvisited = [j for j in range(self.levels) if j not in self._seen[0]]
        for level in _evenly(unvisited, GLANCES):
            drops = yield level, self.looks.glance
            for seen, drop in zip(self._seen, drops, strict=True):
                seen[level] = self._read(drop, self.looks.glance, checked=True)

    def outcome(self, scorer: int) -> Outcome:
        """Return what is known so far; a search cut short only knows less."""
        first, second = self._brackets(scorer)
        return Outcome(first.low, second.high, dict(self._seen[scorer]))

    def _wanted(self) -> int | None:
        for scorer in range(len(self._seen)):
            for bracket in self._brackets(scorer):
                if bracket.wanted is not None:
                    return bracket.wanted
        return None

    def _brackets(self, scorer: int) -> tuple[_Bracket, _Bracket]:
        """Replay both searches on what is settled: the second begins when the first is over."""
        settled = self._settled[scorer]
        first = _halve(-1, self.levels, settled, up=("passes",))
        top = min(
            (j for j, word in settled.items() if word == "fails" and j > first.low), default=self.levels
        )
        if first.wanted is not None:
            return first, _Bracket(first.low, top, None)
        return first, _halve(first.low, top, settled, up=("passes", "undecided"))

    def _needs(self, scorer: int, level: int) -> bool:
        return any(b.wanted is not None and b.low < level < b.high for b in self._brackets(scorer))

    def _visit(self, level: int) -> Generator[tuple[int, int], Sequence[Drop | None], None]:
        """Look at a level, on more and more rows, until every scorer that needs it has settled it."""
        needing = {s for s in range(len(self._seen)) if self._needs(s, level)}
        before = max((seen[level].look for seen in self._seen if level in seen), default=-1)
        for look in range(before + 1, len(self.looks.units)):
            drops = yield level, look
            for scorer, drop in enumerate(drops):
                self._note(scorer, level, self._read(drop, look))
            needing -= {s for s in needing if self._over(self._seen[s][level])}
            if not needing:
                break
        for seen, settled in zip(self._seen, self._settled, strict=True):
            if self._over(seen[level]):
                settled[level] = seen[level].word

    def _note(self, scorer: int, level: int, now: Seen) -> None:
        """Keep the first decision; an undecided level takes the newest look."""
        before = self._seen[scorer].get(level)
        if before is None or before.word == "undecided":
            self._seen[scorer][level] = now

    def _read(self, drop: Drop | None, look: int, *, checked: bool = False) -> Seen:
        if drop is None:
            return Seen(None, inf, inf, look, "fails", checked)
        if not (isfinite(drop.value) and isfinite(drop.se)):
            return Seen(drop, -inf, inf, look, "undecided", checked)
        low, high = drop.interval(self.looks.c[look])
        word: Word = "passes" if high <= self.tolerance else "fails" if low > self.tolerance else "undecided"
        return Seen(drop, low, high, look, word, checked)

    def _over(self, seen: Seen) -> bool:
        """Whether a level is decided, at its last look, or hardly worth more rows."""
        if seen.word != "undecided" or seen.look == len(self.looks.units) - 1:
            return True
        share = self.looks.units[seen.look] / self.looks.units[-1]
        if seen.drop is None or not isfinite(seen.high) or share < FORESEEABLE or self.futility <= 0:
            return False
        return self._chance(seen, seen.drop, share) < self.futility

    def _chance(self, seen: Seen, drop: Drop, share: float) -> float:
        """Return the chance that the last look decides, were the drop as it now seems."""
        if drop.se == 0:
            return 1.0
        end = (seen.high - seen.low) / 2 * self.looks.c[-1] / self.looks.c[seen.look] * sqrt(share)
        left, gap = drop.se * sqrt(1 - share), self.tolerance - drop.value
        return _normal((-gap - end) / left) + _normal((gap - end) / left)


def _halve(low: int, high: int, settled: Mapping[int, Word], up: tuple[Word, ...]) -> _Bracket:
    """Bisect between two levels as far as settled levels reach; `up` are the words that send the search upwards."""
    while high - low > 1:
        middle = (low + high) // 2
        inside = [j for j in settled if low < j < high]
        if not inside:
            return _Bracket(low, high, middle)
        level = min(inside, key=lambda j: (abs(j - middle), j))
        low, high = (level, high) if settled[level] in up else (low, level)
    return _Bracket(low, high, None)


def _evenly(levels: list[int], most: int) -> list[int]:
    if len(levels) <= most:
        return levels
    return [levels[round(i * (len(levels) - 1) / (most - 1))] for i in range(most)]


def break_interval(levels: Sequence[float], outcome: Outcome, tolerance: float) -> tuple[float, float | None]:
    """Return where the repeated intervals of the visited levels, joined by straight lines, cross the tolerance.

    The ends lie between a visited level and its visited neighbour: never between the clean end and the first level,
    never across levels that nobody looked at. None: not broken up to the last level.
    """
    low, high, last = outcome.passes, outcome.fails, len(levels) - 1
    ends = {j: s for j, s in outcome.seen.items() if not s.checked}
    a = 0.0 if low < 0 else float(levels[low])
    if 0 <= low < last and low + 1 in ends:
        a = _cross(levels, low, ends[low].high, ends[low + 1].high, tolerance, beyond=a)
    if high > last:
        return a, None
    b = float(levels[high])
    if high > 0 and high - 1 in ends:
        b = _cross(levels, high - 1, ends[high - 1].low, ends[high].low, tolerance, beyond=b)
    return a, b


def _cross(
    levels: Sequence[float], k: int, before: float, after: float, tolerance: float, *, beyond: float
) -> float:
    """Return where the line from level k to the next crosses the tolerance, `beyond` where one end is unknown."""
    if not (isfinite(before) and isfinite(after)) or not before <= tolerance < after:
        return beyond
    return float(levels[k] + (tolerance - before) / (after - before) * (levels[k + 1] - levels[k]))

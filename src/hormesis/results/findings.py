"""What is read from several curves: differences of models, columns that the model hangs on."""

import functools

from pydantic.dataclasses import dataclass

from hormesis.results.base import STRICT, Measured, Numbers
from hormesis.results.curves import Estimate
from hormesis.results.words import apart, spoken, title, within


@dataclass(frozen=True, config=STRICT)
class Difference:
    """Two models under the same noise on the same rows, paired: above 0 always speaks for `other`.

    `difference` is the drop of `one` minus that of `other` at each level, `score` the noisy score of `other` minus that of
    `one`, each with its 95 % interval. `break_value` says how much further `other` holds, in the unit of the level; an end
    that was not reached is None.
    """

    one: str
    other: str
    noise: str
    scoring: str
    levels: tuple[float, ...]
    difference: Numbers
    low: Numbers
    high: Numbers
    break_low: Measured = None
    break_value: Measured = None
    break_high: Measured = None
    unit: str = "fraction"
    score: Numbers = ()
    score_low: Numbers = ()
    score_high: Numbers = ()

    def words_at(self, i: int) -> str:
        """Say the difference of the drops at the level of index `i`."""
        at, d, low, high = spoken(self.levels[i], self.unit), self.difference[i], self.low[i], self.high[i]
        if d is None or low is None or high is None:
            return f"not measured at {at}"
        if low > 0:
            return f"{self.other} loses {d:.3f} less at {at} {within(low, high)}"
        if high < 0:
            return f"{self.other} loses {-d:.3f} more at {at} {within(-high, -low)}"
        return f"not shown to differ at {at} {within(low, high)}"

    @property
    def sure(self) -> bool:
        """Whether the break points surely differ."""
        return (self.break_low is not None and self.break_low > 0) or (
            self.break_high is not None and self.break_high < 0
        )

    @property
    def words(self) -> str:
        """Say the difference of the break points."""
        low, high, say = self.break_low, self.break_high, functools.partial(apart, unit=self.unit)
        if low is not None and low > 0:
            return f"{self.other} holds {_further(low, self.break_value, high, say)} longer{self._span(low, high)}"
        if high is not None and high < 0:
            value = None if self.break_value is None else -self.break_value
            least = None if low is None else -low
            return (
                f"{self.other} breaks {_further(-high, value, least, say)} sooner{self._span(-high, least)}"
            )
        return "break points not shown to differ"

    def _span(self, low: float, high: float | None) -> str:
        if high is None or self.break_value is None:
            return ""
        scale = 1 if self.unit in ("sigma", "epsilon") else 100
        return f" [{scale * low:.3g}, {scale * high:.3g}]"

    def __str__(self) -> str:
        return f"{title(self.noise)}, {self.one} and {self.other}: {self.words}"


def _further(low: float, value: float | None, high: float | None, say: "functools.partial[str]") -> str:
    if value is not None and high is not None:
        return say(value)
    return f"at least {say(low)}" if high is None else f"{say(low)} to {say(high)}"


@dataclass(frozen=True, config=STRICT)
class Fragility:
    """What the model loses when one column alone goes bad (or one pair of columns: `pair_with`).

    `p` is the one-sided chance of such a drop from a harmless column; `matters` is Holm's answer over all columns,
    `rank_low` to `rank_high` the ranks that hold for all columns at once (1: loses most). `extra` is what a
    pair loses beyond the two columns alone, and of a pair `p` and `matters` are about that.
    """

    model: str
    noise: str
    scoring: str
    level: float
    unit: str
    column: str
    drop: float
    low: Measured
    high: Measured
    p: Measured
    matters: bool
    rank_low: int | None = None
    rank_high: int | None = None
    pair_with: str | None = None
    extra: Estimate | None = None

    def __str__(self) -> str:
        span = "" if self.low is None or self.high is None else f" {within(self.low, self.high)}"
        if self.pair_with is not None:
            return f"{self.column} and {self.pair_with}: {self._together} ({self.drop:.3f}{span} in all)"
        rank = ""
        if self.rank_low is not None and self.rank_high is not None:
            one = self.rank_low == self.rank_high
            rank = f", rank {self.rank_low}" if one else f", rank {self.rank_low} to {self.rank_high}"
        sure = "matters" if self.matters else "not shown to matter"
        if self.matters and self.p is not None and self.low is not None and self.low <= 0:
            sure = f"matters (one-sided, p {self.p:.2g} after Holm)"
        return f"{self.column}: loses {self.drop:.3f}{span}, {sure}{rank}"

    @property
    def _together(self) -> str:
        if self.extra is None:
            return "loses together"
        span = within(self.extra.low, self.extra.high)
        if self.matters and self.extra.value < 0:
            return f"together {-self.extra.value:.3f} {within(-self.extra.high, -self.extra.low)} less than the two apart"
        if self.matters:
            return f"together {self.extra.value:.3f} {span} more than the two apart"
        return f"not shown to lose more together than apart {span}"

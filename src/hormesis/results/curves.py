"""Curves of score against level: their intervals, break points, crashes and worst slices."""

import functools
from typing import Any, Literal

from pydantic.dataclasses import dataclass

from hormesis.results.base import STRICT, Measured, Numbers
from hormesis.results.words import spoken, title, within

Word = Literal["passes", "fails", "undecided", "not measurable"]


@dataclass(frozen=True, config=STRICT)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True, config=STRICT)
class BreakPoint:
    """Where a model stops passing: the unbroken run of passes from clean, and of failures from the top.

    `passes_to` is the last level of the passes (0: not even the first level passed), `fails_from` the first
    of the failures (None: none failed). `low` and `high` are where the interval's curves cross the tolerance. `whole` says
    that the noise hits a column whole or not at all, so that it has one level only.
    """

    model: str
    noise: str
    scoring: str
    unit: str
    tested_to: float
    passes_to: float
    fails_from: float | None
    low: float
    high: Measured
    reason: str | None = None
    raises: str | None = None
    failed_below: tuple[float, ...] = ()
    whole: bool = False

    @property
    def verdict(self) -> Literal["holds", "breaks", "undecided", "not measurable"]:
        """One word; an undecided level never counts as a pass."""
        if self.reason is not None:
            return "not measurable"
        if self.fails_from is not None:
            return "breaks"
        return "holds" if self.passes_to >= self.tested_to else "undecided"

    @property
    def words(self) -> str:
        """The verdict in words a manager understands, without the name of the noise."""
        say = functools.partial(spoken, unit=self.unit)
        if self.reason is not None:
            return f"not measurable: {self.reason}"
        if self.whole:
            loud = f"raises {self.raises}" if self.raises else "silently loses more than tolerated"
            return {"breaks": loud, "holds": "within the tolerance"}.get(self.verdict, self.verdict)
        passes = f"passes {say(self.passes_to)}" if self.passes_to > 0 else "no level passes"
        why = f" (the model raises {self.raises})" if self.raises else ""
        if self.fails_from is None:
            if self.verdict == "holds":
                return f"holds to {say(self.tested_to)}, the highest level tested"
            return f"{passes}, undecided from there to {say(self.tested_to)}"
        if self.passes_to == 0:
            return f"fails at {say(self.fails_from)}{why}, and no lower level was shown to pass"
        return f"{passes}, fails at {say(self.fails_from)}{why}"

    def __str__(self) -> str:
        return f"{title(self.noise)}: {self.words}"


@dataclass(frozen=True, config=STRICT)
class Slice:
    """The part of the test rows that loses most: one value, or one range of values, of one column."""

    column: str
    value: str
    rows: int
    drop: float
    low: Measured
    high: Measured

    def __str__(self) -> str:
        span = "" if self.low is None or self.high is None else f" {within(self.low, self.high)}"
        return f"{self.column} {self.value} ({self.rows:,} rows): loses {self.drop:.3f}{span}"


@dataclass(frozen=True, config=STRICT)
class Crash:
    """What a model raised at a level, and on which share of the rows asked."""

    kind: str
    message: str
    share: float = 1.0
    rows: int = 0

    def __str__(self) -> str:
        part = "" if self.share >= 1 else f" (on {100 * self.share:.3g} % of {self.rows:,} rows)"
        return f"raises {self.kind}: {self.message}{part}" if self.message else f"raises {self.kind}{part}"


@dataclass(frozen=True, config=STRICT)
class Curve:
    """Score against level for one model, noise and scorer, with 95 % intervals over new rows and new noise.

    Scores are scikit-learn's (greater is better); a drop is the clean score minus the noisy one. `changed` is the
    share of cells that really changed in the columns this noise applies to. A level at which the model raised has
    its error and None for numbers.

    Each of the last fields has one entry per level, or none at all where it was not measured: `rows` that the level
    was measured on (fewer than all: stopped early), `flips`, the share of predictions that changed (of numbers: moved by
    more than a tenth of the clean predictions' standard deviation), `calibration`, the expected calibration error
    (`calibration_change` with its interval: above 0 the noise made it worse), `worst`, the part of the rows that loses most, and
    `crashes`.
    """

    model: str
    noise: str
    step: dict[str, Any]
    unit: str
    scoring: str
    clean: float
    clean_low: float
    clean_high: float
    levels: tuple[float, ...]
    score: Numbers
    score_low: Numbers
    score_high: Numbers
    drop: Numbers
    drop_low: Numbers
    drop_high: Numbers
    changed: Numbers
    errors: tuple[str | None, ...]
    robustness: Measured
    break_point: BreakPoint
    rows: tuple[int, ...] = ()
    flips: Numbers = ()
    calibration: Numbers = ()
    clean_calibration: Measured = None
    calibration_change: Numbers = ()
    calibration_change_low: Numbers = ()
    calibration_change_high: Numbers = ()
    worst: tuple[Slice | None, ...] = ()
    crashes: tuple[Crash | None, ...] = ()

    def words_at(self, max_drop: float) -> tuple[Word, ...]:
        """Return the verdict of each level: passes, fails, undecided or not measurable."""
        judged = self.break_point.reason is None
        return tuple(
            _word(low, high, error, max_drop) if judged else "not measurable"
            for low, high, error in zip(self.drop_low, self.drop_high, self.errors, strict=True)
        )

    def crash(self, i: int) -> Crash | None:
        """Return what the model raised at the level of index `i`, if it did."""
        if self.crashes and self.crashes[i] is not None:
            return self.crashes[i]
        error = self.errors[i]
        if error is None:
            return None
        kind, _, message = error.partition(": ")
        return Crash(kind, message)


def _word(low: float | None, high: float | None, error: str | None, max_drop: float) -> Word:
    if error is not None or (low is not None and low > max_drop):
        return "fails"
    return "passes" if high is not None and high <= max_drop else "undecided"


@dataclass(frozen=True, config=STRICT)
class Distribution:
    """One column before and after a noise: counts per bin (`edges`) or per value (`labels`)."""

    column: str
    noise: str
    level: float
    unit: str
    importance: float
    before: tuple[int, ...]
    after: tuple[int, ...]
    missing_before: int
    missing_after: int
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()

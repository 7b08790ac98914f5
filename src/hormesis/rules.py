"""Rules that keep rows plausible under noise: ranges, orders and sums of columns."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from annotated_types import MinLen
from numpy.typing import NDArray
from pydantic import TypeAdapter, model_validator

from hormesis.columns import DType, Table, present_rows
from hormesis.errors import SettingError, listed, nearest
from hormesis.records import record

Name = str | int
Mask = NDArray[np.bool_]
Masked = Any  # numpy.ma.MaskedArray of numbers, masked where missing


class RuleWarning(UserWarning):
    """Rows that kept a rule break it after a noise, and could not be mended."""


class Rule(ABC):
    """What holds between the numbers or dates of every plausible row; unknown where one of them is missing."""

    kinds: ClassVar[tuple[DType, ...]] = ("number", "integer")

    @property
    @abstractmethod
    def columns(self) -> tuple[Name, ...]:
        """The columns that the rule speaks of."""

    def check(self, table: Table) -> None:
        """Refuse a table in which the rule has no meaning.

        Raises
        ------
        SettingError
            A column that does not exist, or holds other things than numbers (dates).
        """
        for name in self.columns:
            if name not in table.names:
                raise SettingError(
                    f"The rule `{self}` names the column `{name}`; columns are {listed(table.names)}."
                    f"{nearest(name, table.names)}"
                )
            held = table.dtype(table.names.index(name))
            if held not in self.kinds:
                raise SettingError(
                    f"The rule `{self}`: column `{name}` holds {held} values; it speaks of "
                    f"{' and '.join(self.kinds)} columns."
                )

    @abstractmethod
    def broken(self, values: Sequence[Masked]) -> Mask:
        """Return the rows that break the rule."""

    @abstractmethod
    def mend(self, before: Sequence[Masked], after: Sequence[Masked]) -> Sequence[Masked]:
        """Return values that keep the rule, for rows that broke it."""


@record
class Within(Rule):
    """A number stays in a range: what a noise throws beyond it comes to rest at its end.

    >>> print(Within("age", low=0, high=120))
    0 <= age <= 120
    """

    column: Name
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("a range has a low end, a high end or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the range from {self.low:g} to {self.high:g} is empty")
        return self

    @property
    def columns(self) -> tuple[Name, ...]:
        return (self.column,)

    def broken(self, values: Sequence[Masked]) -> Mask:
        return np.asarray((values[0] != np.ma.clip(values[0], self.low, self.high)).filled(fill_value=False))

    def mend(self, before: Sequence[Masked], after: Sequence[Masked]) -> Sequence[Masked]:  # noqa: ARG002
        return [np.ma.clip(after[0], self.low, self.high)]

    def __str__(self) -> str:
        low, high = ("" if x is None else f"{x:g}" for x in (self.low, self.high))
        return f"{low and f'{low} <= '}{self.column}{high and f' <= {high}'}"


@record
class AtMost(Rule):
    """One column is never above another, as a start and an end.

    Where a noise moved one of them past the other, it stops there; where it moved both, they change places.

    >>> print(AtMost("start", "end"))
    start <= end
    """

    lower: Name
    upper: Name
    kinds: ClassVar[tuple[DType, ...]] = ("number", "integer", "datetime")

    @property
    def columns(self) -> tuple[Name, ...]:
        return self.lower, self.upper

    def broken(self, values: Sequence[Masked]) -> Mask:
        return np.asarray((values[0] > values[1]).filled(fill_value=False))

    def mend(self, before: Sequence[Masked], after: Sequence[Masked]) -> Sequence[Masked]:
        moved = [(a != b).filled(fill_value=True) for a, b in zip(before, after, strict=True)]
        low, high = (v.copy() for v in after)
        low[moved[0]], high[moved[1]] = after[1][moved[0]], after[0][moved[1]]
        return [low, high]

    def __str__(self) -> str:
        return f"{self.lower} <= {self.upper}"


@record
class Sum(Rule):
    """A total is the sum of its parts: where a noise breaks that, the total is added up again.

    >>> print(Sum("total", ("net", "tax")))
    total = net + tax
    """

    total: Name
    parts: Annotated[tuple[Name, ...], MinLen(1)]

    @property
    def columns(self) -> tuple[Name, ...]:
        return self.total, *self.parts

    def broken(self, values: Sequence[Masked]) -> Mask:
        difference = np.ma.abs(values[0] - _added(values[1:]))
        exact = all(v.dtype.kind in "iu" for v in values)
        bound = 0 if exact else 1e-6 * np.ma.maximum(np.ma.abs(values[0]), 1e-6)
        return np.asarray((difference > bound).filled(fill_value=False))

    def mend(self, before: Sequence[Masked], after: Sequence[Masked]) -> Sequence[Masked]:  # noqa: ARG002
        return [_added(after[1:]), *after[1:]]

    def __str__(self) -> str:
        return f"{self.total} = {' + '.join(map(str, self.parts))}"


KINDS: dict[str, type[Rule]] = {"column": Within, "lower": AtMost, "total": Sum}


def _added(parts: Sequence[Masked]) -> Masked:
    return sum(parts[1:], start=parts[0])


def read_rule(given: Any) -> Rule:
    """Read plain data, such as ``{"column": "age", "low": 0}``.

    Raises
    ------
    SettingError
        Neither a range, nor an order, nor a sum; or one with a mistake.
    """
    if isinstance(given, Rule):
        return given
    kind = next((k for word, k in KINDS.items() if isinstance(given, Mapping) and word in given), None)
    if kind is None:
        raise SettingError(
            f"{given!r} was given; a rule is a range {{column, low, high}}, an order {{lower, upper}} "
            "or a sum {total, parts}."
        )
    return kind(**{str(word): value for word, value in given.items()})


def write_rule(rule: Rule) -> dict[str, Any]:
    """Return a rule as plain data."""
    data: dict[str, Any] = TypeAdapter(type(rule)).dump_python(rule, mode="json", exclude_none=True)
    return data


def numbers(table: Table, rule: Rule) -> list[Masked]:
    """Return the columns of a rule, masked where missing."""
    rule.check(table)
    out = []
    for name in rule.columns:
        j = table.names.index(name)
        rows = present_rows(table, j)
        picked = table.pick(j, rows)
        column: Masked = np.ma.MaskedArray(np.zeros(table.rows, picked.dtype), mask=True)
        column[rows] = picked
        out.append(column)
    return out


def broken(data: Any, rules: Sequence[Rule]) -> dict[str, int]:
    """Return how many rows of a table break each rule.

    >>> import pandas as pd
    >>> broken(pd.DataFrame({"start": [1, 5], "end": [2, 4]}), [AtMost("start", "end")])
    {'start <= end': 1}
    """
    from hormesis.frames import open_table

    table = open_table(data)
    return {str(rule): int(rule.broken(numbers(table, rule)).sum()) for rule in rules}


class Keeper:
    """The rules of a recipe around one step: what held before it holds after it, where that is possible."""

    def __init__(self, rules: Sequence[Rule], table: Table) -> None:
        self.rules = [r for r in rules if _speaks(r, table)]
        self.before = [numbers(table, rule) for rule in self.rules]

    def keep(self, table: Table, origin: NDArray[np.intp] | None, step: str) -> None:
        """Mend the rows of a noisy table that broke a rule, and warn of those that cannot be.

        `origin` says which row before the step each row is; None: its own.
        """
        before = [[v if origin is None else v[origin] for v in values] for values in self.before]
        whole = [(r, b) for r, b in zip(self.rules, before, strict=True) if _speaks(r, table)]
        for rule, old in whole:
            self._mend(table, rule, old)
        for rule, old in whole:
            left = int((rule.broken(numbers(table, rule)) & ~rule.broken(old)).sum())
            if left:
                warnings.warn(
                    f"{left:,} rows break the rule `{rule}` after `{step}` and cannot be mended.",
                    RuleWarning,
                    stacklevel=2,
                )

    @staticmethod
    def _mend(table: Table, rule: Rule, before: Sequence[Masked]) -> None:
        after = numbers(table, rule)
        rows = np.flatnonzero(rule.broken(after) & ~rule.broken(before))
        if not rows.size:
            return
        now = [v[rows] for v in after]
        mended = rule.mend([v[rows] for v in before], now)
        for name, old, new in zip(rule.columns, now, mended, strict=True):
            moved = np.flatnonzero((old != new).filled(fill_value=False))
            if moved.size:
                table.put(table.names.index(name), rows[moved], np.asarray(new[moved]))


def _speaks(rule: Rule, table: Table) -> bool:
    """Tell whether a table still holds what a rule speaks of; a noise may have renamed it or turned it into text."""
    return all(n in table.names and table.dtype(table.names.index(n)) in rule.kinds for n in rule.columns)

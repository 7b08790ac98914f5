"""Whether a table breaks limits, in sentences: each says what the table shows, and the limits beside it."""

from collections.abc import Iterable
from dataclasses import dataclass

from hormesis.columns import Table
from hormesis.errors import DataError
from hormesis.limits import Bound, Limit, mean, on_average, saying, surely, up_to
from hormesis.results import title
from hormesis.thresholds.measuring import reading

_ALMOST = 1e-12  # no limit is broken by the last bit of a share


@dataclass(frozen=True)
class Breach:
    """What a table shows beyond a limit: the sentence, the limit in words, where the model surely fails, and under what."""

    said: str
    limit: str = ""
    fails: str = ""
    noise: str = ""

    def __str__(self) -> str:
        sure = f", the model surely fails at {self.fails}" if self.fails else ""
        return f"{self.said}; the limit is {self.limit}{sure}" if self.limit else self.said


def broken(limit: Limit, table: Table) -> list[Breach]:
    """Return a breach for each bound of a limit that a table breaks, one for all where it is about their mean."""
    if limit.over == "mean":
        found = [mean_broken(limit, table)]
    else:
        found = [bound_broken(limit, bound, table) for bound in limit.checked]
    return [breach for breach in found if breach is not None]


def bound_broken(limit: Limit, bound: Bound, table: Table) -> Breach | None:
    """Return a breach where one column is beyond its bound."""
    assert limit.quantity is not None
    assert bound.limit is not None
    try:
        value = reading(limit.quantity, limit.step, bound, table)
    except DataError as error:
        return Breach(str(error))
    if value <= bound.limit + _ALMOST:
        return None
    noise = limit.noise.removesuffix(f"@{bound.column}")
    return _breach(limit, saying(limit.quantity, bound, value), bound.limit, bound.fails_from, noise)


def mean_broken(limit: Limit, table: Table) -> Breach | None:
    """Return a breach where several columns are beyond their bounds on average."""
    assert limit.quantity is not None
    try:
        value = mean([reading(limit.quantity, limit.step, b, table) for b in limit.checked])
    except DataError as error:
        return Breach(str(error))
    most = mean([b.limit or 0.0 for b in limit.checked])
    if value <= most + _ALMOST:
        return None
    fails = [b.fails_from for b in limit.checked if b.fails_from is not None]
    said = on_average(limit.quantity, limit.checked, value)
    return _breach(limit, said, most, mean(fails) if len(fails) == len(limit.checked) else None, limit.noise)


def sentences(found: Iterable[Breach]) -> list[str]:
    """Return a sentence for each thing that is seen; where several limits forbid it, with all of them by noise.

    >>> twice = Breach("90 % of `age` lies outside 0 to 99", "50 %", "", "outliers"), Breach(
    ...     "90 % of `age` lies outside 0 to 99", "46 %", "60 %", "unit errors")
    >>> sentences(twice)[0]
    '90 % of `age` lies outside 0 to 99; the limit is 50 % for outliers and 46 % for unit errors (the model surely fails at 60 %)'
    """
    by: dict[str, list[Breach]] = {}
    for breach in dict.fromkeys(found):
        by.setdefault(breach.said, []).append(breach)
    return [str(some[0]) if len(some) == 1 else _together(some) for some in by.values()]


def _together(some: list[Breach]) -> str:
    noises: dict[tuple[str, str], list[str]] = {}
    for b in some:
        noises.setdefault((b.limit, b.fails), []).append(b.noise)
    limits = [
        f"{limit} for {' and '.join(dict.fromkeys(names))}{f' (the model surely fails at {fails})' if fails else ''}"
        for (limit, fails), names in noises.items()
        if limit
    ]
    return some[0].said + (f"; the limit is {' and '.join(limits)}" if limits else "")


def _breach(limit: Limit, said: str, most: float, fails: float | None, noise: str) -> Breach:
    assert limit.quantity is not None
    if limit.quantity in ("absent", "retyped"):
        return Breach(said)
    sure = "" if fails is None else surely(limit.quantity, fails)
    return Breach(said, up_to(limit.quantity, most), sure, title(noise))

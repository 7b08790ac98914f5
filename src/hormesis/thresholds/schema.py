"""Limits of data quality as a pandera schema, for pandas or polars."""

import importlib
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from hormesis.columns import Table
from hormesis.errors import MissingExtraError, SettingError, listed
from hormesis.frames import open_table
from hormesis.limits import Bound, Limit, saying
from hormesis.thresholds.breaking import bound_broken, mean_broken

LIBRARIES = ("pandas", "polars")
_NAME = "hormesis limits"


def schema_of(limits: Iterable[Limit], library: str) -> Any:
    """Return a pandera `DataFrameSchema`: a check per limit and column, and the columns that are read must be there."""
    if library not in LIBRARIES:
        raise SettingError(f"`to_pandera(library={library!r})`: choose one of {listed(LIBRARIES)}.")
    pandera, limits = _pandera(library), list(limits)
    columns: dict[Any, list[Any]] = {bound.column: [] for limit in limits for bound in limit.checked}
    for limit in limits:
        for bound in limit.checked if limit.over == "each" and limit.quantity != "absent" else ():
            columns[bound.column].append(_check(pandera, limit, bound))
    whole = [_mean_check(pandera, limit) for limit in limits if limit.checked and limit.over == "mean"]
    if library == "polars":  # its report cannot hold a lost column beside the failed check of another
        there = [_presence(pandera, name) for name in columns]
        return pandera.DataFrameSchema(
            checks=[*there, *itertools.chain(*columns.values()), *whole], name=_NAME
        )
    fields = {name: pandera.Column(nullable=True, checks=checks) for name, checks in columns.items()}
    return pandera.DataFrameSchema(fields, checks=whole, name=_NAME)


def _pandera(library: str) -> Any:
    try:
        return importlib.import_module(f"pandera.{library}")
    except ImportError:
        raise MissingExtraError("A pandera schema needs pandera: pip install 'hormesis[checks]'.") from None


def _check(pandera: Any, limit: Limit, bound: Bound) -> Any:
    assert limit.quantity is not None

    def holds(table: Table) -> bool:
        return bound.column not in table.names or bound_broken(limit, bound, table) is None

    said = saying(limit.quantity, bound)
    return pandera.Check(_opened(holds), ignore_na=False, name=limit.noise, error=said)


def _mean_check(pandera: Any, limit: Limit) -> Any:
    holds = _opened(lambda table: mean_broken(limit, table) is None)
    return pandera.Check(holds, ignore_na=False, name=limit.noise, error=limit.words)


def _presence(pandera: Any, name: str | int) -> Any:
    holds = _opened(lambda table: name in table.names)
    return pandera.Check(holds, ignore_na=False, error=f"the column `{name}` is not there")


def _opened(holds: Callable[[Table], bool]) -> Callable[[Any], bool]:
    """Open what pandera hands to a check: a Series, a frame, or a lazy frame with the column's name."""

    def check(given: Any) -> bool:
        lazy = getattr(given, "lazyframe", None)
        if lazy is None:
            return holds(open_table(given))
        key = getattr(given, "key", None)
        return holds(open_table((lazy if key in (None, "*") else lazy.select(key)).collect()))

    return check

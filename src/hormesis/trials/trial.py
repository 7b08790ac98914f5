"""A trial: models, test rows and scorers, checked and put on the bench."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.engine.bench import Bench
from hormesis.errors import DataError, SettingError, listed, nearest
from hormesis.frames import as_array, open_table, take
from hormesis.key import bits, key, lane
from hormesis.models import Task, as_input, as_model, check_model, check_target, model_task
from hormesis.profile import Profile
from hormesis.scoring import Scoring, clusters, scorers


@dataclass(frozen=True)
class Trial:
    """A bench, and which rows it holds in words."""

    bench: Bench
    sampled: str


def prepared(
    model: Any, X: Any, y: Any, scoring: Scoring, max_drop: float, repeats: int | None, groups: Any,
    max_rows: int | None, profile: Profile | None, seed: int,
) -> Trial:  # fmt: skip
    """Return models, rows and scorers, all checked."""
    models = dict(model) if isinstance(model, Mapping) else {"model": model}
    X = as_input(X, models.values())
    check_models(models)
    check_settings(max_drop, repeats, max_rows)
    codes = None if groups is None else clusters(groups_in(X, groups), open_table(X).rows)
    rows, y, sampled = sampled_rows(X, y, max_rows, seed, codes)
    X = X if rows is None else take(X, rows)
    codes = codes if rows is None or codes is None else np.unique(codes[rows], return_inverse=True)[1]
    models = {name: as_model(m, X, y) for name, m in models.items()}
    first = next(iter(models.values()))
    task = model_task(first, y)
    y = check_target(y, task)
    classes = classes_of(first, y, task)
    profile = usable(Profile.learn(X)) if profile is None else _fits(profile, X)
    judges = scorers(scoring, first, y, classes, task, seed, groups=codes)
    bench = Bench(models, X, y, classes, task, judges, profile, seed, repeats, rows, codes)
    return Trial(bench, sampled)


def check_models(models: Mapping[str, Any]) -> None:
    """Refuse what cannot predict, and no model at all."""
    for model in models.values():
        check_model(model)
    if not models:
        raise SettingError("No model was given: give one, or a dict of name to model.")


def check_settings(max_drop: float, repeats: int | None, max_rows: int | None = None) -> None:
    """Refuse a tolerance, a number of draws or of rows that cannot be."""
    if not max_drop > 0:
        raise SettingError(
            f"`max_drop={max_drop}`: the tolerated loss of score is above 0, in the scorer's units."
        )
    if max_rows is not None and max_rows < 1:
        raise SettingError(f"`max_rows={max_rows}`: give at least 1 row, or None for all of them.")
    if repeats is not None and repeats < 1:
        raise SettingError(f"`repeats={repeats}`: the noise is drawn at least once.")


def groups_in(X: Any, groups: Any) -> Any:
    """Return the group of each row: what was given, or the column of that name.

    Raises
    ------
    SettingError
        No such column.
    """
    if not isinstance(groups, str):
        return as_array(groups)
    table = open_table(X)
    if groups not in table.names:
        raise SettingError(
            f"`groups={groups!r}`: no such column; columns are {listed(table.names)}.{nearest(groups, table.names)}"
        )
    values = np.full(table.rows, None, object)
    gone = table.missing(table.names.index(groups))
    rows = np.arange(table.rows) if gone is None else np.flatnonzero(~gone)
    values[rows] = table.pick(table.names.index(groups), rows)
    return values


def _fits(profile: Profile, X: Any) -> Profile:
    """Refuse a profile of other columns: noise would pass them by, and nothing would break."""
    names, known = open_table(X).names, [c.name for c in profile.columns]
    strange = [n for n in names if n not in profile] or [n for n in known if n not in names]
    if strange:
        raise DataError(
            f"The profile knows {listed(known)}, the table has {listed(names)}: column `{strange[0]}` is not in both. "
            "Learn the profile from training data of the same columns."
        )
    return profile


def sample_rows(X: Any, y: Any, max_rows: int | None, seed: int) -> tuple[Any, Any, str]:
    """Return at most `max_rows` rows, chosen at random and kept in order, and what was sampled in words."""
    rows, values, said = sampled_rows(X, y, max_rows, seed)
    return (X if rows is None else take(X, rows)), values, said


def sampled_rows(
    X: Any, y: Any, max_rows: int | None, seed: int, codes: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.intp] | None, Any, str]:
    """Return the positions of at most `max_rows` rows at random, whole groups where there are any; None: all rows."""
    table, values = open_table(X), as_array(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values.ravel()
    if values.ndim != 1 or values.size != table.rows:
        raise DataError(
            f"The target has shape {values.shape}; it needs one value for each of the {table.rows} rows."
        )
    if not table.rows or not table.names:
        raise DataError(
            f"The table has {table.rows} rows and {len(table.names)} columns: there is nothing to test."
        )
    if max_rows is None or table.rows <= max_rows:
        return None, values, f"all {table.rows:,} rows"
    who = np.arange(table.rows) if codes is None else codes
    order = np.argsort(bits(lane(who), key(seed, "sample")), kind="stable")
    last = max_rows if codes is None else _whole_groups(codes[order], max_rows)
    rows = np.sort(order[:last])
    return rows, values[rows], f"{rows.size:,} of {table.rows:,} rows, at random"


def _whole_groups(codes: NDArray[np.int64], most: int) -> int:
    """Return how many of the rows to take so that no group is cut; at least two groups."""
    ends = np.flatnonzero(np.append(codes[1:] != codes[:-1], True)) + 1
    return int(max(ends[ends <= most].max(initial=0), ends[:2].max()))


def classes_of(model: Any, y: NDArray[Any], task: Task) -> NDArray[Any]:
    """Return the classes in sorted order; none for a regression."""
    if task == "regression":
        return np.array([])
    known = np.unique(getattr(model, "classes_", y))
    strange = set(np.unique(y).tolist()) - set(known.tolist())
    if strange:
        raise DataError(
            f"The target holds classes that the model has not learnt: {listed(sorted(strange, key=str))}."
        )
    return known


def usable(profile: Profile) -> Profile:
    """Refuse training data in which a column holds nothing."""
    empty = [c.name for c in profile.columns if not c.count]
    if empty:
        raise DataError(
            f"No value in any row of {listed(empty)}: nothing can be learnt from an empty column. Drop it."
        )
    return profile

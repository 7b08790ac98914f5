"""The clean training and test rows of scenarios: sampled, split, groups kept whole."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from hormesis.errors import DataError
from hormesis.frames import as_table, open_table, repeated, take
from hormesis.models import Task, check_target
from hormesis.profile import Profile
from hormesis.scoring import clusters
from hormesis.trials.trial import groups_in, sample_rows, sampled_rows, usable

Codes = NDArray[np.int64] | None


@dataclasses.dataclass(frozen=True)
class Source:
    """The rows as they were given."""

    X: Any
    y: Any
    groups: Any
    X_test: Any
    y_test: Any


@dataclasses.dataclass(frozen=True)
class Rows:
    """Clean training and test rows, and what the training rows look like."""

    X: Any
    y: NDArray[Any]
    X_test: Any
    y_test: NDArray[Any]
    groups: Codes
    task: Task
    profile: Profile
    truth: Profile
    said: str
    repeated: int = 0

    @classmethod
    def of(cls, X: Any, y: Any, X_test: Any, y_test: Any, groups: Codes, task: Task, **told: Any) -> "Rows":
        """Learn what clean training rows look like."""
        y, y_test = check_target(y, task), check_target(y_test, task)
        profile = usable(Profile.learn(X))
        return cls(X, y, X_test, y_test, groups, task, profile, Profile.learn(y), **told)


def given_rows(source: Source, task: Task, max_rows: int | None, seed: int) -> Rows:
    """Return training and test rows as they were given apart."""
    X, y, said = sample_rows(source.X, source.y, max_rows, seed)
    X_test = as_table(source.X_test)[0]
    X_test, y_test, codes, tested = _sampled(X_test, source.y_test, source.groups, max_rows, seed)
    return Rows.of(X, y, X_test, y_test, codes, task, said=f"to train {said}, to test {tested}")


def split_rows(source: Source, task: Task, max_rows: int | None, seed: int, test_size: float) -> Rows:
    """Split rows at random: by class, or with groups whole."""
    X, y, codes, sampled = _sampled(source.X, source.y, source.groups, max_rows, seed)
    y = check_target(y, task)
    share = {"test_size": test_size, "random_state": seed % 2**32}
    try:
        if codes is None:
            kinds = y if task == "classification" else None
            train, test = train_test_split(np.arange(y.size), stratify=kinds, **share)
        else:
            train, test = next(GroupShuffleSplit(1, **share).split(y, groups=codes))
    except ValueError as error:
        raise DataError(f"{y.size} rows cannot be split with test_size={test_size}: {error}") from None
    train, test = np.sort(train), np.sort(test)
    said = f"{sampled}; {train.size:,} to train and {test.size:,} to test"
    tested = None if codes is None else codes[test]
    parts = take(X, train), y[train], take(X, test), y[test]
    return Rows.of(*parts, tested, task, said=said, repeated=repeated(X) if codes is None else 0)


def _sampled(X: Any, y: Any, groups: Any, max_rows: int | None, seed: int) -> tuple[Any, Any, Codes, str]:
    codes = None if groups is None else clusters(groups_in(X, groups), open_table(X).rows)
    rows, y, said = sampled_rows(X, y, max_rows, seed, codes)
    if rows is None:
        return X, y, codes, said
    return take(X, rows), y, None if codes is None else codes[rows], said

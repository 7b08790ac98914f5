"""What can go wrong, each error also a builtin kind, so that old `except` clauses keep working.

HormesisError
├── SettingError (ValueError)      a setting out of its range, an unknown word
│   └── RecipeError                every mistake of a recipe at once
├── DataError (ValueError)         a table that cannot be used
│   └── RowIdError                 row ids that do not identify rows
├── ModelError (RuntimeError)      a model that cannot be used
└── MissingExtraError (ImportError)  an optional package that is not installed
"""

import difflib
from collections.abc import Iterable


class HormesisError(Exception):
    """Any error that hormesis raises on purpose."""


class SettingError(HormesisError, ValueError):
    """A setting is out of its range, or a word is unknown."""


class RecipeError(SettingError):
    """A recipe holds mistakes; the message lists all of them."""


class DataError(HormesisError, ValueError):
    """A table cannot be used as it is."""


class RowIdError(DataError):
    """Row ids do not identify rows: floats, missing or repeated values."""


class ModelError(HormesisError, RuntimeError):
    """A model cannot be used as it is."""


class MissingExtraError(HormesisError, ImportError):
    """An optional package is needed and not installed."""


def nearest(word: object, words: Iterable[object]) -> str:
    """Return ``" Did you mean `x`?"`` for the nearest known word, or an empty string.

    >>> nearest("mechansim", ["mechanism", "driver"])
    ' Did you mean `mechanism`?'
    """
    known = {str(w).lower(): str(w) for w in words}
    found = difflib.get_close_matches(str(word).lower(), known, n=1, cutoff=0.6)
    return f" Did you mean `{known[found[0]]}`?" if found else ""


def listed(words: Iterable[object], most: int = 8) -> str:
    """Join words for a message, cut after `most` of them.

    >>> listed(["a", "b", "c"], most=2)
    '`a`, `b` and 1 more'
    """
    names = [f"`{w}`" for w in words]
    if len(names) > most:
        return ", ".join(names[:most]) + f" and {len(names) - most} more"
    return ", ".join(names)

"""The limits of a stress test in one place: as words, a frame, YAML, a pandera schema, and as a check of any table."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, overload

import yaml
from pydantic import TypeAdapter, ValidationError

from hormesis.errors import DataError
from hormesis.files.aside import write_aside
from hormesis.frames import open_table
from hormesis.limits import Limit
from hormesis.thresholds.breaking import broken, sentences
from hormesis.thresholds.schema import schema_of

_HEAD = "# Limits of data quality, measured by hormesis. `stop` is for people; the rest is what the check reads.\n"
_VERSION = 1
_A_FILE = ": its text, or the path of the file, which ends in .yaml or .yml or is a `pathlib.Path`"


class Thresholds(Sequence[Limit]):
    """Limits of data quality, one per curve of a stress test.

    Examples
    --------
    >>> import pandas as pd
    >>> from hormesis.limits import Bound
    >>> bound = Bound("income", "number", baseline=0.0, limit=0.12, fails_from=0.2)
    >>> limits = Thresholds([Limit("model", "roc_auc", "missing-values", {"noise": "MissingValues", "level": 0.0},
    ...     ("income",), "fraction", 0.12, 0.2, "missing", (bound,))])
    >>> limits
    Thresholds: 1 of 1 can be checked
      Stop the batch when more than 12 % of `income` is missing: the model surely fails at 20 %.
    >>> limits.check(pd.DataFrame({"income": [1.0, None, 3.0, 4.0]}))
    ['25 % of `income` is missing; the limit is 12 %, the model surely fails at 20 %']
    >>> Thresholds.from_yaml(limits.to_yaml()) == limits
    True
    """

    def __init__(self, limits: Iterable[Limit]) -> None:
        self._limits = tuple(limits)

    @overload
    def __getitem__(self, at: int) -> Limit: ...
    @overload
    def __getitem__(self, at: slice) -> "Thresholds": ...
    def __getitem__(self, at: int | slice) -> "Limit | Thresholds":
        return Thresholds(self._limits[at]) if isinstance(at, slice) else self._limits[at]

    def __len__(self) -> int:
        return len(self._limits)

    def __iter__(self) -> Iterator[Limit]:
        return iter(self._limits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thresholds) and self._limits == other._limits

    def check(self, table: Any) -> list[str]:
        """Return a sentence for each limit that a table breaks; none for a table within all of them.

        Any table that hormesis opens will do: pandas, polars, pyarrow, arrays, tensors. It needs no pandera. A
        table without rows shows nothing, and is told: an empty batch is no good batch.
        """
        opened = open_table(table)
        models = dict.fromkeys(limit.model for limit in self)
        found = [] if opened.rows else ["the table holds no rows: there is nothing to check but its columns"]
        for model in models:
            said = sentences(b for limit in self if limit.model == model for b in broken(limit, opened))
            found += [f"{model}: {one}" for one in said] if len(models) > 1 else said
        return found

    def to_frame(self) -> Any:
        """Return one row per limit and column, those without a limit too (pandas DataFrame)."""
        import pandas as pd

        names = ["model", "scoring", "noise", "column", "together", "quantity", "baseline", "limit", "fails_from",
                 "low", "high", "unit", "words"]  # fmt: skip
        return pd.DataFrame([row for limit in self for row in _rows(limit)], columns=names)

    def to_yaml(self, path: str | Path | None = None) -> str:
        """Return the limits as YAML that people can read; with `path`, write it there too (whole or not at all)."""
        kind = TypeAdapter(Limit)
        rows = [
            {"stop": limit.words} | kind.dump_python(limit, mode="json", exclude_defaults=True)
            for limit in self
        ]
        data = {"version": _VERSION, "limits": rows}
        text: str = _HEAD + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
        if path is not None:
            write_aside(path, text)
        return text

    @classmethod
    def from_yaml(cls, text: str | Path) -> Self:
        """Read what `to_yaml` wrote: its text, or the path of the file (a name that ends in .yaml or .yml).

        Raises
        ------
        DataError
            Text that is no list of limits or holds none, or a file that cannot be read.
        """
        try:
            rows = _read(yaml.safe_load(_text(text)), text)
            plain = [{k: v for k, v in row.items() if k != "stop"} for row in rows]
            return cls(TypeAdapter(tuple[Limit, ...]).validate_python(plain))
        except (yaml.YAMLError, ValidationError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"These are no limits of hormesis: {_first(error)}. `Thresholds.to_yaml` writes them."
            ) from None

    def to_pandera(self, library: Literal["pandas", "polars"] = "pandas") -> Any:
        """Return a pandera schema with a check for each limit and column; other columns are let through.

        Raises
        ------
        MissingExtraError
            pandera is not installed.
        """
        return schema_of(self, library)

    def __repr__(self) -> str:
        known = sum(bool(limit.checked) for limit in self)
        head = f"Thresholds: {known} of {len(self)} can be checked"
        return "\n".join([head, *("  " + said for said in dict.fromkeys(limit.words for limit in self))])

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, na_rep=""))


def _rows(limit: Limit) -> Iterator[dict[str, Any]]:
    shared = {"model": limit.model, "scoring": limit.scoring, "noise": limit.noise, "words": limit.words}
    unit = "sd" if limit.quantity == "shifted" else "share"
    bounds = limit.bounds if limit.reason is None else ()
    for b in bounds or (None,):
        numbers = (
            {}
            if b is None
            else {k: getattr(b, k) for k in ("baseline", "limit", "fails_from", "low", "high")}
        )
        column = b.column if b is not None else limit.columns[0] if len(limit.columns) == 1 else None
        known = {} if b is None or b.reason is None else {"words": f"No limit for `{b.column}`: {b.reason}."}
        yield (
            shared
            | {
                "column": column,
                "together": len(limit.columns),
                "quantity": limit.quantity,
                "unit": unit,
            }
            | numbers
            | known
        )


def _read(data: Any, given: str | Path) -> list[dict[str, Any]]:
    """Return the rows of limits in what a text holds."""
    rows = data.get("limits") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        what = f"`{given}`" if given and "\n" not in str(given) else "This text"
        file = "" if isinstance(given, Path) or what == "This text" else _A_FILE
        raise DataError(f"{what} holds no limits of hormesis. Give what `Thresholds.to_yaml` wrote{file}.")
    if data.get("version") != _VERSION:
        raise DataError(
            f"The limits have version {data.get('version')}; this hormesis reads version {_VERSION}."
        )
    if not rows:
        raise DataError("The list of limits is empty: a check by it would let every table through.")
    return rows


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        one = error.errors()[0]
        return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
    return " ".join(str(error).split()) or type(error).__name__


def _text(given: str | Path) -> str:
    """Return a text as it is, and what a file holds for its path."""
    if isinstance(given, str) and ("\n" in given or not given.endswith((".yaml", ".yml"))):
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The limits `{given}` cannot be read: {error}.") from None

"""How the columns of a table go bad: lost, renamed, moved, swapped, or in another type."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import MinLen
from numpy.typing import NDArray
from pydantic import AfterValidator

from hormesis.columns import Cells, Table, present_rows
from hormesis.errors import SettingError
from hormesis.key import Draw, lane
from hormesis.noise.base import EVERY, NUMERIC, ColumnFraction, Columns, SchemaNoise, noise
from hormesis.noise.edits import misspell
from hormesis.profile import ColumnProfile, Kind, Profile
from hormesis.reshape import arranged, has_names, native_types, with_texts

Names = list[str | int]
Rename = Literal["any", "upper", "lower", "snake", "camel", "kebab", "spaces", "prefix", "typo"]


@noise
class MissingColumn(SchemaNoise):
    """Drop columns, as a field that left an export, a renamed source and a failed join do.

    A hit column is not in the table any more; all others, their types and the index stay. An array gets narrower, so that
    the columns behind a lost one move up. Unit of `level`: fraction of columns.

    Source: Breck et al. (2019), data validation for machine learning.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": [31, 45], "city": ["Bern", "Genf"]})
    >>> list(MissingColumn(1.0, columns=("age",)).apply(frame).columns)
    ['city']
    """

    level: ColumnFraction = 0.1
    columns: Columns = "any"
    applies_to: ClassVar[tuple[Kind, ...]] = EVERY

    def alter(self, table: Table, chosen: list[int], hit: list[int], profile: Profile, draw: Draw) -> Table:  # noqa: ARG002
        lost = set(hit)
        return arranged(table, [j for j in range(len(table.names)) if j not in lost])


@noise
class RenamedColumn(SchemaNoise):
    """Rename columns, as another export, another team's convention and a slip in a schema do.

    A hit column keeps its contents and its place. `style` says how names change: another case, snake_case, camelCase,
    kebab-case, words set apart by spaces (or a space behind), `prefix` in front, one typing mistake, or any of these.
    A style that would change nothing, or make two columns of one name, gives way to another one. A numbered column
    becomes text. Arrays have no names. Unit of `level`: fraction of columns.

    Source: Breck et al. (2019), data validation for machine learning.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"capital_gain": [0, 99], "city": ["Bern", "Genf"]})
    >>> list(RenamedColumn(1.0, style="camel").apply(frame, seed=1).columns)
    ['capitalGain', 'City']
    """

    level: ColumnFraction = 0.1
    columns: Columns = "any"
    style: Rename = "any"
    prefix: Annotated[str, MinLen(1)] = "data."
    applies_to: ClassVar[tuple[Kind, ...]] = EVERY

    def alter(self, table: Table, chosen: list[int], hit: list[int], profile: Profile, draw: Draw) -> Table:  # noqa: ARG002
        names = list(table.names)
        if not has_names(table):
            raise SettingError(
                "`RenamedColumn`: the columns of an array or a tensor have no names to change: give a data frame."
            )
        renamed = self._renamed(names, draw)
        changing = set(hit)
        return arranged(
            table, range(len(names)), [renamed[n] if j in changing else n for j, n in enumerate(names)]
        )

    def _renamed(self, names: Names, draw: Draw) -> dict[str | int, str]:
        """Return the other name of every column, whatever the level and the order, so that more of them agree with fewer."""
        taken = {str(n) for n in names}
        out: dict[str | int, str] = {}
        for name in sorted(names, key=str):
            out[name] = next(n for n in self._candidates(str(name), draw.within(name)) if n not in taken)
            taken.add(out[name])
        return out

    def _candidates(self, name: str, draw: Draw) -> Iterator[str]:
        one = dataclasses.replace(draw, lanes=lane([0]), ids=None, origin=None)
        styles = sorted(STYLES, key=lambda style: one.within(style).coin("style"))
        for style in styles if self.style == "any" else [self.style, *styles]:
            yield STYLES[style](name, self.prefix, one)
        for number in range(1, 1_000_000):
            yield f"{name}_{number}"


@noise
class ReorderedColumns(SchemaNoise):
    """Move columns to other places, as another query, another exporter and a hand in a spreadsheet do.

    The hit columns change places in one circle, in an order drawn by name, so that each of them moves; names and contents
    go along. A hit column that is alone has nobody to change with and stays. It harms what reads columns by place; a
    model that reads them by name does not notice. Unit of `level`: fraction of columns.

    Source: Breck et al. (2019), data validation for machine learning.

    Examples
    --------
    >>> ReorderedColumns(1.0).apply(np.array([[1, 2, 3], [4, 5, 6]]), seed=1)
    array([[2, 3, 1],
           [5, 6, 4]])
    """

    level: ColumnFraction = 0.3
    columns: Columns = "any"
    applies_to: ClassVar[tuple[Kind, ...]] = EVERY
    least: ClassVar[int] = 2

    def alter(self, table: Table, chosen: list[int], hit: list[int], profile: Profile, draw: Draw) -> Table:  # noqa: ARG002
        circle = _shuffled(table, hit, draw)
        order = list(range(len(table.names)))
        for place, j in zip(circle, circle[1:] + circle[:1], strict=True):
            order[place] = j
        return arranged(table, order)


@noise
class SwappedColumns(SchemaNoise):
    """Exchange the contents of two columns under unchanged names, as a shifted paste and a wrong mapping do.

    The chosen columns of one type are paired at random, an odd one joins a pair as a third; one coin per pair decides.
    The column names, their order and all types that models check stay, which makes this fault silent. A column that is
    the only one of its type stays. Unit of `level`: fraction of columns.

    Source: Sculley et al. (2015), hidden technical debt in machine learning systems, unstable data dependencies.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"length": [4.1, 5.2], "width": [1.3, 1.4], "city": ["Bern", "Genf"]})
    >>> SwappedColumns(1.0).apply(frame).length.tolist()
    [1.3, 1.4]
    """

    level: ColumnFraction = 0.1
    columns: Columns = "any"
    applies_to: ClassVar[tuple[Kind, ...]] = EVERY
    least: ClassVar[int] = 2

    def alter(self, table: Table, chosen: list[int], hit: list[int], profile: Profile, draw: Draw) -> Table:  # noqa: ARG002
        order, swapped = list(range(len(table.names))), set(hit)
        for group in self._groups(table, chosen, draw):
            if group[0] in swapped:
                for place, j in zip(group, group[1:] + group[:1], strict=True):
                    order[place] = j
        return arranged(table, order, table.names if has_names(table) else None)

    def _groups(self, table: Table, chosen: list[int], draw: Draw) -> Iterator[list[int]]:
        """Yield pairs of columns of one type, whatever the level; the last of an odd number are three."""
        by_type: dict[str, list[int]] = {}
        for j in _shuffled(table, chosen, draw):
            by_type.setdefault(table.dtype(j), []).append(j)
        for js in by_type.values():
            pairs = [js[i : i + 2] for i in range(0, len(js) - 1, 2)]
            if pairs and len(js) % 2:
                pairs[-1].append(js[-1])
            yield from pairs


@noise
class NumbersAsText(SchemaNoise):
    """Turn numeric columns into text, as a comma for a decimal point, a currency sign or a unit in the cell does.

    A hit column of 1234.5 becomes, by `style`, ``1234.5`` (plain), ``1234,5`` (decimal comma), ``1,234.5`` (thousands),
    ``$1234.5`` (currency, with `symbol`) or ``1234.5 oz`` (unit, with `suffix`). Numbers are written as briefly as they can be
    read back, integers without decimals; missing stays missing. An array of numbers becomes one of objects.
    Unit of `level`: fraction of columns.

    Source: Kim et al. (2003), a taxonomy of dirty data.

    Examples
    --------
    >>> NumbersAsText(1.0, style="unit", suffix="oz").apply(np.array([[12.0], [7.25]])).ravel().tolist()
    ['12.0 oz', '7.25 oz']
    """

    level: ColumnFraction = 0.1
    columns: Columns = "numeric"
    style: Literal["plain", "decimal comma", "thousands", "currency", "unit"] = "decimal comma"
    symbol: str = "$"
    suffix: str = "oz"
    applies_to: ClassVar[tuple[Kind, ...]] = NUMERIC

    def alter(self, table: Table, chosen: list[int], hit: list[int], profile: Profile, draw: Draw) -> Table:  # noqa: ARG002
        types = [str(t).lower() for t in native_types(table)]
        numeric = [j for j in hit if table.dtype(j) in NUMERIC]
        return with_texts(table, {j: _column_of(table, j, self._texts, types[j]) for j in numeric})

    def _texts(self, values: Cells, held: str) -> list[str]:
        numbers = _shortest(values, held).tolist()
        if self.style == "thousands":
            return [f"{v:,}" for v in numbers]
        if self.style == "decimal comma":
            return [repr(v).replace(".", ",") for v in numbers]
        if self.style == "currency":
            return [f"-{self.symbol}{-v!r}" if v < 0 else f"{self.symbol}{v!r}" for v in numbers]
        return [f"{v!r} {self.suffix}" if self.style == "unit" else repr(v) for v in numbers]


DATES = {"iso": "%Y-%m-%d", "us": "%m/%d/%Y", "eu": "%d.%m.%Y", "compact": "%Y%m%d"}
EPOCH = "epoch seconds"
SECOND = 10**9
DAY = 86_400 * SECOND


def _date_format(text: str) -> str:
    if text not in (*DATES, EPOCH) and "%" not in text:
        raise ValueError("iso, us, eu, compact, epoch seconds, or a strftime format such as '%d %b %Y'")
    return text


@noise
class DateFormat(SchemaNoise):
    """Write dates as text in another format, as another country's export and a spreadsheet do.

    A hit column of datetimes becomes text by `format`: ``iso`` 2020-12-31, ``us`` 12/31/2020, ``eu`` 31.12.2020,
    ``compact`` 20201231, each with the time of day where the training data have one (whole seconds) and with the offset of
    the column's zone; ``epoch seconds`` since 1970 in UTC; or any strftime format. Missing stays missing.
    Unit of `level`: fraction of columns.

    Source: Kim et al. (2003), a taxonomy of dirty data.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"since": pd.to_datetime(["2020-12-31", "2021-02-01"])})
    >>> DateFormat(1.0, format="us").apply(frame).since.tolist()
    ['12/31/2020', '02/01/2021']
    """

    level: ColumnFraction = 0.1
    columns: Columns = "any"
    format: Annotated[str, AfterValidator(_date_format)] = "us"
    applies_to: ClassVar[tuple[Kind, ...]] = ("datetime",)

    def alter(self, table: Table, chosen: list[int], hit: list[int], profile: Profile, draw: Draw) -> Table:  # noqa: ARG002
        types = native_types(table)
        zones = {j: getattr(types[j], "time_zone", None) for j in hit if table.dtype(j) == "datetime"}
        patterns = {j: self._pattern(profile[table.names[j]], zone) for j, zone in zones.items()}
        return with_texts(
            table, {j: _column_of(table, j, _formatted, patterns[j], zone) for j, zone in zones.items()}
        )

    def _pattern(self, column: ColumnProfile, zone: str | None) -> str:
        if self.format not in DATES:
            return self.format
        clock = " %H:%M:%S" if (column.points % DAY).any() else ""
        return DATES[self.format] + clock + ("%z" if zone else "")


def _shuffled(table: Table, js: list[int], draw: Draw) -> list[int]:
    """Return columns in an order that depends on their names alone, the same in the mirror."""
    draw = dataclasses.replace(draw, mirror=False)
    return sorted(js, key=lambda j: (draw.within(table.names[j]).coin("place"), str(table.names[j])))


def _words(name: str) -> list[str]:
    """Return the words of a name: apart by signs, spaces or a capital after a small letter."""
    apart = re.sub(r"(?<=[^\W\d_])(?<![A-Z])(?=[A-Z])", " ", name)
    return [w.lower() for w in re.split(r"[\W_]+", apart) if w] or [name]


def _camel(name: str, *_: Any) -> str:
    first, *rest = _words(name)
    return first + "".join(w.capitalize() for w in rest) if rest else first.capitalize()


def _spaced(name: str, *_: Any) -> str:
    words = " ".join(re.split(r"[\W_]+", name))
    return words if words != name else f"{name} "


def _misspelled(name: str, _: str, draw: Draw) -> str:
    return str(misspell(np.array([name], object), draw.within("typo"))[0]) if name else " "


STYLES: dict[str, Callable[[str, str, Draw], str]] = {
    "upper": lambda name, *_: name.upper(),
    "lower": lambda name, *_: name.lower(),
    "snake": lambda name, *_: "_".join(_words(name)),
    "camel": _camel,
    "kebab": lambda name, *_: "-".join(_words(name)),
    "spaces": _spaced,
    "prefix": lambda name, prefix, _: prefix + name,
    "typo": _misspelled,
}


def _column_of(table: Table, j: int, write: Callable[..., Any], *settings: Any) -> NDArray[Any]:
    """Return the present cells of a column as text, None where missing."""
    rows = present_rows(table, j)
    out = np.full(table.rows, None, object)
    out[rows] = write(table.pick(j, rows), *settings) if rows.size else []
    return out


def _shortest(values: Cells, held: str) -> Cells:
    """Return numbers that were held in half or single precision as doubles that are written as briefly."""
    if held not in ("float16", "float32"):
        return values
    return values.astype(held).astype(str).astype(np.float64)


def _formatted(nanoseconds: Cells, pattern: str, zone: str | None) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pattern == EPOCH:
        return list(map(str, (nanoseconds // SECOND).tolist()))
    seconds = pa.array(nanoseconds // SECOND).cast(pa.timestamp("s", "UTC" if zone else None))
    local = seconds.cast(pa.timestamp("s", zone)) if zone else seconds
    return np.asarray(pc.strftime(local, format=pattern).to_numpy(zero_copy_only=False))

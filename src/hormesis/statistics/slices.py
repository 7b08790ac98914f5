"""The worst slice: the group of rows, by value or by decile of one column, that noise costs most."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hormesis.errors import DataError
from hormesis.statistics.intervals import ALPHA, Floats

SMALLEST = 30
DECILES = 10
MOST = 200  # values of a column that are slices of their own
NONE = 255  # code of rows in no slice
CELLS = 1 << 22  # of slices and clusters held at a time
RARER, MISSING = "rarer values", "missing"
Codes = NDArray[np.uint8]
Coded = tuple[Codes, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class WorstSlice:
    """The slice that noise costs most, out of `tried` slices.

    `low` and `high` hold for all slices tried together, so that the choice of the largest is paid for; `surely` says that the
    slice is worse than the rest of the rows, whose drop is `rest`.
    """

    column: str | int
    value: str
    words: str
    rows: int
    drop: float
    low: float
    high: float
    rest: float
    surely: bool
    tried: int


@dataclass(frozen=True, eq=False)
class _Side:
    """Row drops of many slices, or of their rests: mean, squared standard error, degrees of freedom."""

    mean: Floats
    square: Floats
    degrees: Floats

    @classmethod
    def of(cls, sums: Floats, h: float) -> Self:
        """Weigh rows, units, sums and squared deviations of slices with two pseudo-rows."""
        rows, units, total, squares = sums
        square = (np.maximum(squares, 0.0) + 2 * h * h) / (units + 2) ** 2
        return cls(total / rows * units / (units + 2), np.maximum(square, 1e-300), units - 1)


@dataclass(frozen=True, eq=False)
class Slices:
    """The slices of a table, coded once: per column one code per row, and per code what it says.

    Slices are the values of categories, and of numbers with at most ten different values, that at least 30 rows have; all
    rarer values of a column together; deciles of other numbers and of dates; missing cells.

    Examples
    --------
    >>> city, age = np.array(["Bern", "Genf"] * 200, object), np.arange(400)
    >>> slices = Slices.of([("city", city, None), ("age", age, None)])
    >>> found = slices.worst((age < 40).astype(float), 1.0)
    >>> found.words, found.rows, round(found.drop, 2), found.surely, found.tried
    ('age 0 to 39', 40, 0.95, True, 12)
    """

    rows: int
    names: tuple[str | int, ...]
    codes: tuple[Codes, ...]
    values: tuple[tuple[str, ...], ...]  # "Bern", "17 to 22", "missing"
    phrases: tuple[tuple[str, ...], ...]  # " = Bern", " 17 to 22", " missing"

    @classmethod
    def of(cls, columns: Iterable[tuple[str | int, NDArray[Any], NDArray[np.bool_] | None]]) -> Self:
        """Code columns given as name, values (numbers, dates or objects) and mask of missing cells (None: none known).

        Rows are in the order of the row drops to come. NaN, NaT and None count as missing with or without a mask.

        Raises
        ------
        DataError
            Columns differ in length.
        """
        names: list[str | int] = []
        coded: list[Coded] = []
        rows = -1
        for name, values, missing in columns:
            if rows not in (-1, len(values)):
                raise DataError(f"Column `{name}` has {len(values)} rows, the columns before it have {rows}.")
            rows = len(values)
            column = _coded(values, missing)
            if column[1]:
                names.append(name)
                coded.append(column)
        codes, said, phrases = (tuple(c[k] for c in coded) for k in range(3))
        return cls(max(rows, 0), tuple(names), codes, said, phrases)  # type: ignore[arg-type]

    def worst(
        self,
        d: Floats,
        h: float,
        *,
        rows: int | slice | NDArray[Any] | None = None,
        cluster: NDArray[np.int64] | None = None,
    ) -> WorstSlice | None:
        """Return the slice with the largest mean of row drops; of slices surely worse than the rest, if there are any.

        Mean, standard error and pseudo-rows are those of the drop of a whole test set; Student's t with the slice's own
        degrees of freedom, alpha over the number of slices tried (Bonferroni). "Surely worse than the rest" is Welch's
        one-sided test against all other rows, alpha over the slices tried. For a score that is no mean over rows (AUC, F1,
        R2) a row's drop is what the row adds to the drop.

        Parameters
        ----------
        d : array (rows,)
            Paired row drops, whose mean is the drop.
        h : float
            Influence of one row like the worst that was not sampled yet.
        rows : int, slice or array, optional
            The rows of the table that `d` is about (a number: the first ones); None for the first ``len(d)``.
        cluster : array (rows,), optional
            Rows that belong together, numbered from 0: clusters are what is sampled then (inside one cluster, rows).

        Returns
        -------
        WorstSlice or None
            None where no slice and its rest have 30 rows each.

        Raises
        ------
        DataError
            `d` and `rows` differ in number, or drops are not numbers.

        References
        ----------
        Welch (1947); Chung, Kraska, Polyzotis, Tae, Whang (2019), Slice Finder.
        """
        part = rows if isinstance(rows, slice | np.ndarray) else slice(len(d) if rows is None else rows)
        if not np.isfinite(d.sum()):
            raise DataError("Some row drops are not numbers: slices of them cannot be compared.")
        column, code, count, total, squares = self._sums(d, part)
        if not column.size:
            return None
        sides = _sides(count, total, squares, d)
        if cluster is not None:
            for k in np.unique(column):
                some = column == k
                sides[:, :, some] = _clustered(sides[:, :, some], self.codes[k][part], code[some], d, cluster)
        own, rest = (_Side.of(side, h) for side in sides)
        return self._largest(column, code, count, own, rest)

    def _sums(self, d: Floats, part: slice | NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Return column, code, rows, sum and sum of squares of each slice that is large enough, and not too large."""
        squares, tables = d * d, [np.empty((5, 0))]
        for k, (code, values) in enumerate(zip(self.codes, self.values, strict=True)):
            some = code[part].astype(np.intp)
            if some.size != d.size:
                raise DataError(f"{d.size} row drops for {some.size} rows: give one for each.")
            count = np.bincount(some, minlength=NONE + 1)[: len(values)]
            tried = np.flatnonzero((count >= SMALLEST) & (d.size - count >= SMALLEST))
            sums = (
                [np.bincount(some, w, NONE + 1)[tried] for w in (d, squares)]
                if tried.size
                else [tried, tried]
            )
            tables.append(np.stack([np.full(tried.size, k), tried, count[tried], *sums]))
        found = np.concatenate(tables, axis=1)
        return (*found[:2].astype(np.intp), *found[2:])

    def _largest(
        self, column: NDArray[np.intp], code: NDArray[np.intp], count: Floats, own: _Side, rest: _Side
    ) -> WorstSlice:
        from scipy.special import stdtr, stdtrit

        tried = column.size
        both = own.square + rest.square
        degrees = both**2 / (own.square**2 / own.degrees + rest.square**2 / np.maximum(rest.degrees, 1))
        surely = stdtr(degrees, (rest.mean - own.mean) / np.sqrt(both)) <= ALPHA / tried
        best = int(np.argmax(np.where(surely | ~surely.any(), own.mean, -np.inf)))
        drop = float(own.mean[best])
        half = float(stdtrit(own.degrees[best], 1 - ALPHA / 2 / tried) * np.sqrt(own.square[best]))
        k, c = column[best], code[best]
        return WorstSlice(
            column=self.names[k],
            value=self.values[k][c],
            words=f"{self.names[k]}{self.phrases[k][c]}",
            rows=int(count[best]),
            drop=drop,
            low=drop - half,
            high=drop + half,
            rest=float(rest.mean[best]),
            surely=bool(surely[best]),
            tried=tried,
        )


def _sides(count: Floats, total: Floats, squares: Floats, d: Floats) -> Floats:
    """Return (2, 4, slices): of slices and of their rests the rows, independent units, sum, squared deviations."""
    others, left = d.size - count, float(d.sum()) - total
    own = (count, count, total, squares - total**2 / count)
    return np.array([own, (others, others, left, float(d @ d) - squares - left**2 / others)])


def _clustered(
    sides: Floats, code: Codes, tried: NDArray[np.intp], d: Floats, cluster: NDArray[np.int64]
) -> Floats:
    """Return the sides of one column's slices with clusters as units; rows stay the units where there is but one cluster."""
    groups = int(cluster.max()) + 1
    sizes, sums = np.bincount(cluster, minlength=groups), np.bincount(cluster, d, groups)
    out = sides.copy()
    for block in np.array_split(np.arange(tried.size), -(-tried.size * groups // CELLS)):
        at = np.full(NONE + 1, -1)
        at[tried[block]] = np.arange(block.size)
        inside = at[code] >= 0
        cell, shape = at[code[inside]] * groups + cluster[inside], (block.size, groups)
        count, total = (np.bincount(cell, w, block.size * groups).reshape(shape) for w in (None, d[inside]))
        for side, n, t in zip(out, (count, sizes - count), (total, sums - total), strict=True):
            side[1::2, block] = _units(side[:, block], n, t)
    return out


def _units(side: Floats, count: NDArray[Any], total: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return how many clusters the slices have, and the squared deviations of their clusters' sums."""
    rows, units, whole, squares = side
    clusters: NDArray[np.intp] = np.count_nonzero(count, axis=1)
    off = (total - (whole / rows)[:, None] * count) * (clusters / rows)[:, None]
    alone = clusters == 1
    return np.where(alone, units, clusters), np.where(alone, squares, (off**2).sum(axis=1))


def _coded(values: NDArray[Any], missing: NDArray[np.bool_] | None) -> Coded:
    """Return the code of each row, and per code its value and the phrase that follows the column's name."""
    lost = _lost(values) if missing is None else missing | _lost(values)
    present = values[~lost]
    code = np.full(len(values), NONE, np.uint8)
    if present.dtype.kind in "iufM" and (cuts := _cuts(present)) is not None:
        code[~lost], said = cuts
        phrases = [f" {s}" if " to " in s else f" = {s}" for s in said]
    else:
        code[~lost], said = _categories(present)
        phrases = [f": {s}" if s == RARER else f" = {s}" for s in said]
    if np.count_nonzero(lost) >= SMALLEST:
        code[lost] = len(said)
        said, phrases = [*said, MISSING], [*phrases, f" {MISSING}"]
    return code, tuple(said), tuple(phrases)


def _lost(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind in "fcmM":
        return np.asarray(np.isnat(values) if values.dtype.kind in "mM" else np.isnan(values))
    if values.dtype.kind == "O":
        return np.fromiter(
            (v is None or (isinstance(v, float) and np.isnan(v)) for v in values), bool, len(values)
        )
    return np.zeros(len(values), bool)


def _cuts(present: NDArray[Any]) -> tuple[Codes, list[str]] | None:
    """Return deciles, fewer of them where they would hold less than 30 rows; None for ten different numbers or fewer."""
    parts = min(DECILES, present.size // SMALLEST)
    ordered = np.sort(present)
    if parts < 2 or np.count_nonzero(ordered[1:] != ordered[:-1]) < DECILES:
        return None
    edges = np.unique(ordered[np.arange(1, parts) * present.size // parts])
    edges = edges[edges > ordered[0]]
    start = np.searchsorted(ordered, edges, "left")
    first, last = ordered[np.append(0, start)], ordered[np.append(start, present.size) - 1]
    said = [_said(a) if a == b else f"{_said(a)} to {_said(b)}" for a, b in zip(first, last, strict=True)]
    return np.searchsorted(edges, present, "right").astype(np.uint8), said


def _categories(present: NDArray[Any]) -> tuple[Codes, list[str]]:
    """Return the values that at least 30 rows have, the most frequent first, and all rarer ones as one."""
    cells = present.tolist() if present.dtype.kind != "M" else list(present)
    try:
        index = {v: i for i, v in enumerate(dict.fromkeys(cells))}
    except TypeError:  # lists, dicts and the like are no categories
        return np.full(len(cells), NONE, np.uint8), []
    seen = np.fromiter(map(index.__getitem__, cells), np.intp, len(cells))
    count = np.bincount(seen, minlength=len(index))
    order = np.argsort(-count, kind="stable")[:MOST]
    order = order[count[order] >= SMALLEST]
    if not order.size:
        return np.full(len(cells), NONE, np.uint8), []
    code = np.full(len(index), order.size, np.uint8)
    code[order] = np.arange(order.size)
    names = list(index)
    said = [_said(names[i]) for i in order]
    return code[seen], [*said, RARER] if order.size < len(index) else said


def _said(value: Any) -> str:
    """Return a value in words: whole numbers without a point, dates without a midnight."""
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[s]")).removesuffix("T00:00:00").replace("T", " ")
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.5g}"
    return str(value)

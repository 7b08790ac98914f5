"""Noise on a table file of any size in constant memory, with the result of doing it in one piece."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from hormesis.errors import DataError, RecipeError, SettingError, listed, nearest
from hormesis.files.aside import aside, check_writable
from hormesis.files.csv import CsvSink, piece_rows
from hormesis.files.parquet import ParquetSink, ParquetTable
from hormesis.files.sources import Pieces, open_pieces
from hormesis.frames import column_changed, open_table, stack, take
from hormesis.noise import PriorShift
from hormesis.noise.base import draw_of
from hormesis.profile import Profile
from hormesis.progress import track
from hormesis.recipe import Recipe
from hormesis.repeats import Repeats
from hormesis.sampling import learn, placed
from hormesis.step import Step


@dataclasses.dataclass(frozen=True)
class Applied:
    """What noise did to a file: rows before and after, the share of really changed cells by column, notes."""

    rows: int
    rows_after: int
    changed: dict[str, float]
    notes: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """Return a line for each column that changed, and one where rows came or went."""
        lines = [f"{name}: {100 * share:.2f} % of cells changed" for name, share in self.changed.items()]
        moved = [f"rows: {self.rows:,} -> {self.rows_after:,}"] if self.rows != self.rows_after else []
        return lines + moved


def apply_file(
    source: str,
    recipe: Recipe,
    out: str | Path,
    *,
    seed: int | None = None,
    profile: Profile | None = None,
    train: str | None = None,
    row_id: str | None = None,
    target: str | None = None,
    piece: int | None = None,
    progress: bool | None = None,
) -> Applied:
    """Add a recipe's noise to a .csv or .parquet file of any size, piece by piece, into another file.

    Positions, where no `row_id` is given, are those in the file, so the result is that of `Recipe.apply` on the
    whole table. The file is written whole or not at all.

    Parameters
    ----------
    source : str
        The file, or ``sklearn:NAME``.
    recipe : Recipe
        Noises in order.
    out : str or Path
        The noisy file, .csv or .parquet.
    seed : int, optional
        Default: the recipe's.
    profile, train : optional
        The profile that scales the noise, or the file that it is learnt from. None learns it from the source:
        from all rows up to a million (20 million cells), else from as many rows chosen by address.
    row_id : str, optional
        The column that says who a row is; ids must be unique over the whole file.
    target : str, optional
        The column that only noise on labels changes.
    piece : int, optional
        Rows in memory at once; the result does not depend on it.
    progress : bool, optional
        True shows progress on the error output; None only on a terminal.

    Raises
    ------
    DataError
        A table that cannot be read or written, repeated ids.
    SettingError
        A recipe that does not fit the table, an output that is no table or is the input, `train` beside `profile`.
    """
    path = Path(out)
    _check_out(source, path)
    if train is not None and profile is not None:
        raise SettingError(
            "The noise is scaled by a training table or by a profile: give one of them, not both."
        )
    with aside(path) as hidden:
        table = open_pieces(source, piece, show=progress)
        _check_names(table, row_id, target)
        rows = piece or piece_rows(len(table.names))
        notes = list(table.notes)
        learnt_from = open_pieces(train, piece, show=progress) if train else table
        profile = profile or learn(learnt_from, rows, notes, show=progress)
        notes += _unknown(table, profile, row_id)
        recipe = recipe if target is None else spared(recipe, profile, target)
        whole = [s.name for s in recipe.steps if s.noise.whole and s.noise.level]
        if whole and table.rows > rows:
            rows = table.rows
            notes.append(f"{listed(whole)} needs all rows at once: the table was read in one piece")
        stream = _Stream(recipe, profile, seed, row_id, table, rows)
        _write(stream, hidden, path.suffix, show=progress)
    return stream.said(notes)


def spared(recipe: Recipe, profile: Profile, target: str) -> Recipe:
    """Return the recipe that leaves a column to the noise on labels, which takes it where it names no other.

    Raises
    ------
    RecipeError
        A step names the target among its columns.
    """
    return Recipe([_spared(step, profile, target) for step in recipe.steps], recipe.seed, recipe.rules)


def _spared(step: Step, profile: Profile, target: str) -> Step:
    noise = step.noise
    named = noise.columns if isinstance(noise.columns, tuple) else (noise.columns,)
    if noise.changes == "labels" or isinstance(noise, PriorShift):
        return step if named != ("any",) else _aimed(step, (target,))
    if target in named:
        raise RecipeError(
            f"`{step.name}` names the target `{target}` among its columns: take it out, or leave out --target."
        )
    chosen = noise.targets(profile)
    return _aimed(step, tuple(n for n in chosen if n != target)) if target in chosen else step


def _aimed(step: Step, columns: tuple[str | int, ...]) -> Step:
    return dataclasses.replace(step, noise=step.noise.on(columns))


def _check_out(source: str, out: Path) -> None:
    if out.suffix not in (".csv", ".parquet"):
        raise DataError(f"`{out}`: a table is written as .csv or .parquet.")
    check_writable(out)
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise SettingError(
            f"`--out {out}` is the table itself: the noise would overwrite it. Give another file."
        )


def _check_names(table: Pieces, row_id: str | None, target: str | None) -> None:
    for word, name in (("Row id column", row_id), ("Target", target)):
        if name is not None and name not in table.names:
            raise DataError(
                f"{word} `{name}` is not a column of `{table.name}`.{nearest(name, table.names)} "
                f"Columns are {listed(table.names, 20)}."
            )


def _unknown(table: Pieces, profile: Profile, row_id: str | None) -> list[str]:
    strange = [n for n in table.names if n not in profile]
    if len(strange) == len(table.names):
        raise DataError(
            f"`{table.name}` shares no column with the training data, which have "
            f"{listed(c.name for c in profile.columns)}: nothing says how its columns would go bad."
        )
    left = listed(n for n in strange if n != row_id)
    return [f"columns that the training data do not have stay as they are: {left}"] if left else []


def _write(stream: "_Stream", path: Path, suffix: str, *, show: bool | None) -> None:
    like = stream.table if isinstance(stream.table, ParquetTable) else None
    sink: CsvSink | ParquetSink = CsvSink(path) if suffix == ".csv" else ParquetSink(path, like)
    pieces = -(-stream.table.rows // stream.rows)
    with closing(stream.ids), closing(sink):
        with track("noise", pieces, show=show and pieces > 1) as advance:
            for noisy in stream.noisy(keep=suffix == ".parquet"):
                sink.write(noisy)
                advance()
        stream.ids.check(stream.row_id)


class _Stream:
    """A recipe on a table in pieces, and the count of what it changed."""

    def __init__(
        self, recipe: Recipe, profile: Profile, seed: int | None, row_id: str | None, table: Pieces, rows: int
    ) -> None:
        self.recipe, self.profile, self.row_id = recipe, profile, row_id
        self.seed = recipe.seed if seed is None else seed
        self.table, self.rows, self.ids = table, rows, Repeats()
        self._changed: Counter[str] = Counter()
        self._compared: Counter[str] = Counter()
        self._after = 0
        self._gone: set[str] = set()
        self._new: set[str] = set()
        self._moved = False

    def noisy(self, *, keep: bool) -> Iterator[Any]:
        """Yield the noisy pieces; `keep` puts the columns back that are carried along."""
        before: Any = None
        for start, piece in placed(self.table.pieces(self.rows)):
            held = self.table.held
            clean = piece.drop_columns(list(held)) if held else piece
            both = clean if before is None else stack([before, clean])
            back = len(both) - len(clean)
            noisy, rows = self._piece(both, start - back, back)
            self._count(clean, noisy, rows)
            yield _put_back(piece, noisy, rows, held) if held and keep else noisy
            if self.recipe.history:
                before = take(both, np.arange(max(0, len(both) - self.recipe.history), len(both)))

    def _piece(self, clean: Any, start: int, back: int) -> tuple[Any, NDArray[np.intp] | None]:
        """Return the noisy piece without its first `back` rows, and where its rows were, None for unmoved ones."""
        opened = open_table(clean)
        draw = draw_of(opened, self.seed, self.row_id, start=start)
        if self.row_id is not None and self.table.rows > self.rows:
            self.ids.add(draw.lanes[back:])
            self._check_order(draw.ids)
        table, draw = self.recipe.touch(opened, self.profile, draw, self.row_id)
        noisy = _same_categories(table.close(), clean)
        first = back if draw.origin is None else int(np.searchsorted(draw.origin, back))
        noisy = _rows(noisy, first, len(noisy)) if first else noisy
        return noisy, None if draw.origin is None else draw.origin[first:] - back

    def _check_order(self, ids: NDArray[np.int64] | None) -> None:
        if self.recipe.history and ids is not None and (ids[1:] < ids[:-1]).any():
            needy = listed(s.name for s in self.recipe.steps if s.noise.history)
            raise DataError(
                f"{needy} needs the rows before each row, and `{self.table.name}` is not sorted by `{self.row_id}`: "
                "sort it, or take positions as row ids."
            )

    def _count(self, clean: Any, noisy: Any, rows: NDArray[np.intp] | None) -> None:
        self._after += len(noisy)
        a, b = (nw.from_native(t, eager_only=True) for t in (clean, noisy))
        both = [n for n in a.columns if n in set(b.columns)]
        self._moved |= both != [n for n in b.columns if n in set(both)]
        self._gone |= set(a.columns) - set(both)
        self._new |= set(b.columns) - set(both)
        old, new = a[both].to_native(), b[both].to_native()
        before, after = open_table(old if rows is None else take(old, rows)), open_table(new)
        for j, name in enumerate(both):
            self._changed[name] += int(np.count_nonzero(column_changed(before, after, j)))
            self._compared[name] += len(noisy)

    def said(self, notes: list[str]) -> Applied:
        """Return what was done."""
        shares = {n: c / self._compared[n] for n, c in self._changed.items() if c}
        if self._gone or self._new:
            gone, new = (listed(sorted(names)) or "none" for names in (self._gone, self._new))
            notes = [*notes, f"columns that are gone: {gone}; new: {new}"]
        elif self._moved:
            notes = [*notes, "columns stand in another order"]
        elif not shares and self._after == self.table.rows:
            notes = [*notes, "nothing changed"]
        return Applied(self.table.rows, self._after, shares, tuple(notes))


def _rows(frame: Any, start: int, stop: int) -> Any:
    return nw.from_native(frame, eager_only=True)[start:stop].to_native()


def _put_back(piece: Any, noisy: Any, rows: NDArray[np.intp] | None, held: tuple[str, ...]) -> Any:
    """Return an Arrow table with the columns that were carried along, last as pandas writes its index."""
    for name in held:
        column = piece.column(name)
        noisy = noisy.append_column(piece.field(name), column if rows is None else column.take(rows))
    return noisy


def _same_categories(noisy: Any, clean: Any) -> Any:
    """Return an Arrow table whose categories are those of the clean one in their order, then new ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(noisy, pa.Table):
        return noisy
    for j, field in enumerate(clean.schema):
        k = noisy.schema.get_field_index(field.name)
        if not pa.types.is_dictionary(field.type) or k < 0 or noisy.schema.field(k).type != field.type:
            continue
        known = clean.column(j).unify_dictionaries().combine_chunks()
        known = known.chunk(0).dictionary if isinstance(known, pa.ChunkedArray) else known.dictionary
        plain = noisy.column(k).cast(known.type).combine_chunks()
        unseen = plain.unique().drop_null().filter(pc.invert(pc.is_in(plain.unique().drop_null(), known)))
        known = pa.concat_arrays([known, unseen]) if len(unseen) else known
        codes = pc.index_in(plain, known).cast(field.type.index_type)
        coded = pa.DictionaryArray.from_arrays(codes, known, ordered=field.type.ordered)
        noisy = noisy.set_column(k, noisy.schema.field(k), coded)
    return noisy

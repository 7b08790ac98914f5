"""Fitted models on one test set, and its rows under noise."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.columns import Table
from hormesis.engine.blocks import Block, other_cells
from hormesis.engine.oracle import told_of
from hormesis.engine.victim import Attackable
from hormesis.errors import HormesisError
from hormesis.frames import column_changed, is_tensor, open_table, part, take
from hormesis.key import Draw, bits, key, lane
from hormesis.models import Task
from hormesis.noise.worst import Raised, WorstCase
from hormesis.profile import Profile
from hormesis.recipe import noisy, repeat_seed
from hormesis.scoring import Scorer
from hormesis.step import Step

Widened = Mapping[str | int, str]
PAIRED = 5_000  # up to so many rows the noise is drawn as an antithetic pair
SHARED = 8  # draws of a noise that all rows share, not in pairs: both ends of a pair do about the same harm


@dataclass(frozen=True)
class Rows:
    """Some rows under one repeat of a noise: the table, which rows changed, the share of cells, columns widened."""

    table: Any
    changed: NDArray[np.bool_]
    share: float
    widened: Widened


@dataclass(frozen=True)
class Bench:
    """Fitted models on one test set.

    `ids` says who each row is in the user's table; `groups` are codes 0, 1, ... of rows that belong together. Rows are
    looked at in the order of a hash of id (of group) and seed, so that any first part is a random sample.
    """

    models: Mapping[str, Any]
    X: Any
    y: NDArray[Any]
    classes: NDArray[Any]
    task: Task
    scorers: Sequence[Scorer]
    profile: Profile
    seed: int
    repeats: int | None = 1
    ids: NDArray[np.int64] | None = None
    groups: NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        """Test rows."""
        return int(self.y.size)

    @functools.cached_property
    def known(self) -> NDArray[np.int64]:
        """The id of each row."""
        return np.arange(self.rows, dtype=np.int64) if self.ids is None else self.ids

    @functools.cached_property
    def order(self) -> NDArray[np.intp]:
        """The order in which rows are looked at; groups stay together."""
        own = key(self.seed, "look")
        if self.groups is None:
            return np.argsort(bits(lane(self.known), own), kind="stable")
        return np.lexsort((self.groups, bits(lane(self.groups), own)))

    @functools.cached_property
    def looked(self) -> Any:
        """The table in the order in which it is looked at."""
        return take(self.X, self.order)

    @functools.cached_property
    def block(self) -> Block | None:
        """The same as a block, where it is a data frame of floats alone."""
        return Block.of(self.looked)

    @functools.cached_property
    def judges(self) -> list[Scorer]:
        """The scorers, on the rows in the order in which they are looked at."""
        return [s.on(self.order) for s in self.scorers]

    def draws(self, step: Step) -> int:
        """Return how often the noise of a step is drawn."""
        noise = step.noise
        if self.repeats is not None:
            return self.repeats
        if isinstance(noise, WorstCase) or not noise.random:
            return 1
        if noise.shared:
            return SHARED if self._differs(step) else 1
        return 2 if self.rows <= PAIRED else 1

    def _differs(self, step: Step) -> bool:
        """Tell whether two draws of a noise that all rows share differ: a shift upwards, say, draws nothing."""
        told = repr(step)
        if told not in self._differing:
            self._differing[told] = self._drawn_apart(step)
        return self._differing[told]

    @functools.cached_property
    def _differing(self) -> dict[str, bool]:
        return {}

    def _drawn_apart(self, step: Step) -> bool:
        few = part(self.looked, 0, 20)
        ids = self.known[self.order[:20]]
        dosed = step.at(1.0) if step.noise.by_columns else step
        one, *others = (
            noisy(dosed, few, self.profile, seed=self.seed, repeat=2 * r, ids=ids)[0] for r in range(4)
        )
        return any(not same(one, other) for other in others)

    def touched(self, step: Step, level: float) -> float:
        """Return the share of rows that a noise is expected to change, at most."""
        if (
            step.noise.unit != "fraction"
            or step.noise.changes != "cells"
            or isinstance(step.noise, WorstCase)
        ):
            return 1.0
        return 1.0 - (1.0 - min(level, 1.0)) ** len(step.noise.targets(self.profile))

    def whole(self, step: Step) -> bool:
        """Tell whether the noise of a row needs other rows, so that it is made for all at once."""
        noise = step.noise
        return isinstance(noise, WorstCase) or noise.whole or noise.history > 0

    def noisy(self, step: Step, model: str, repeat: int = 0) -> tuple[Any, Widened]:
        """Return the test table under one repeat of a step, and the columns that it widened.

        Raises
        ------
        Raised
            The noise is a worst case, and the model raised on a table that was tried.
        """
        if not isinstance(step.noise, WorstCase):
            return noisy(step, self.X, self.profile, seed=self.seed, repeat=repeat, ids=self.known)
        victim = Attackable(self.models[model], self.y, self.classes, self.task)
        try:
            X = step.noise.against(victim, self.X, profile=self.profile, seed=self.seed, repeat=repeat)
        except (HormesisError, Raised):
            raise
        except Exception as error:  # a model's crash is a result: any error of the user's code is recorded
            raise Raised(told_of(error)) from error
        return X, {}

    def some(self, step: Step, start: int, stop: int, model: str, repeat: int) -> Rows:
        """Return the rows from `start` to before `stop`, as they are looked at, under one repeat of a step."""
        repeat = 2 * repeat if step.noise.shared else repeat  # the first of each antithetic pair
        if self.block is not None and step.noise.changes == "cells" and not self.whole(step):
            return self._in_block(self.block.part(start, stop), step, start, repeat)
        clean, before = self._opened(start, stop)
        if self.whole(step):
            table, widened = self.noisy(step, model, repeat)
            table = take(table, self.order[start:stop])
        else:
            ids = self.known[self.order[start:stop]]
            table, widened = noisy(step, clean, self.profile, seed=self.seed, repeat=repeat, ids=ids)
        return Rows(table, *self._changed(step, clean, before, table), widened)

    def _opened(self, start: int, stop: int) -> tuple[Any, Any]:
        """Return some clean rows, and the same as an open table; kept, since every noise and level is compared with them."""
        if (start, stop) not in self._parts:
            clean = part(self.looked, start, stop)
            self._parts[start, stop] = clean, None if is_tensor(clean) else open_table(clean)
        return self._parts[start, stop]

    @functools.cached_property
    def _parts(self) -> dict[tuple[int, int], tuple[Any, Any]]:
        return {}

    def _in_block(self, clean: Block, step: Step, start: int, repeat: int) -> Rows:
        """Return rows of floats under a noise of cells."""
        table = clean.open()
        selected = step.noise.selected(table, self.profile)
        ids = self.known[self.order[start : start + table.rows]]
        seed, mirror = repeat_seed(self.seed, repeat)
        touched, _ = step.touch(table, self.profile, Draw(lane(ids), seed, mirror=mirror, ids=ids))
        values = touched.close()
        cells = other_cells(clean.values, values)
        chosen = cells if len(selected) == cells.shape[1] else cells[:, selected]
        share = np.count_nonzero(chosen) / chosen.size if chosen.size else 0.0
        return Rows(replace(clean, values=values), np.asarray(cells.any(axis=1)), share, {})

    def _changed(self, step: Step, clean: Any, before: Any, table: Any) -> tuple[NDArray[np.bool_], float]:
        """Return which rows changed, and the mean share of changed cells over the columns of the noise."""
        if is_tensor(clean):
            return _changed_in_tensors(clean, table)
        after = open_table(table)
        every = np.ones(before.rows, bool)
        selected = step.noise.selected(before, self.profile)
        if not selected:
            return ~every, 0.0
        if (
            isinstance(clean, np.ndarray)
            and clean.dtype.kind == table.dtype.kind == "f"
            and clean.shape == table.shape
            and len(clean)
        ):
            cells = other_cells(clean, table)
            return np.asarray(cells.any(axis=1)), float(cells[:, selected].mean())
        if step.noise.changes == "schema":
            return _changed_columns(before, after, selected)
        rows, share = ~every, 0.0
        for j in range(len(before.names)) if step.rules else selected:
            cells = column_changed(before, after, j)
            rows |= cells
            share += float(cells.mean()) if j in selected else 0.0
        return rows, share / len(selected)


def _changed_columns(before: Table, after: Table, selected: Sequence[int]) -> tuple[NDArray[np.bool_], float]:
    """Return which rows meet another table, and the share of columns that have another name, place, type or content."""
    places = dict(zip(after.names, _types(after), strict=True))
    moved = list(before.names) != list(after.names)
    retyped = [n for n, kind in zip(before.names, _types(before), strict=True) if places.get(n) != kind]
    rows, shares = np.full(before.rows, moved or bool(retyped)), []
    for j in selected:
        name, there = before.names[j], j < len(after.names) and after.names[j] == before.names[j]
        cells = column_changed(before, after, j)
        rows |= cells
        shares.append(1.0 if not there or name in retyped else float(cells.mean()))
    return rows, float(np.mean(shares))


def _types(table: Table) -> list[str]:
    return [table.dtype(j) for j in range(len(table.names))]


def _changed_in_tensors(clean: Any, table: Any) -> tuple[NDArray[np.bool_], float]:
    """Return which rows of a tensor changed, and the share of its cells."""
    other = (clean != table) & ~((clean != clean) & (table != table))
    cells = other.reshape(len(clean), -1)
    return cells.any(dim=1).cpu().numpy(), float(cells.double().mean()) if cells.numel() else 0.0


def same(one: Any, other: Any) -> bool:
    """Tell whether two tables have equal names, types and cells."""
    if is_tensor(one):
        return not _changed_in_tensors(one, other)[0].any()
    a, b = open_table(one), open_table(other)
    return (
        a.names == b.names
        and _types(a) == _types(b)
        and not any(column_changed(a, b, j).any() for j in range(len(a.names)))
    )


def signature(table: Any) -> Any:
    """Return the names and the native types of a table: only tables that share them are stacked."""
    if isinstance(table, Block):
        return table.values.dtype
    if isinstance(table, np.ndarray):
        return (str(table.dtype), table.shape[1])
    dtypes = getattr(table, "dtypes", None)
    if dtypes is not None and hasattr(table, "iloc"):
        return tuple(table.columns), tuple(dtypes)
    if hasattr(table, "schema"):
        return repr(table.schema)
    return (tuple(open_table(table).names), str(getattr(table, "dtype", "")))

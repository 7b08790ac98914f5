"""Rounds: what several searches want to know, made, stacked, predicted once and given back."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hormesis.engine.bench import Bench, Rows, Widened, signature
from hormesis.engine.blocks import rows_of, stacked
from hormesis.engine.keys import Keys
from hormesis.engine.oracle import Oracle, Told, told_of
from hormesis.engine.store import Cell, Store
from hormesis.frames import for_models, part
from hormesis.noise.worst import Raised, WorstCase
from hormesis.step import Step

STACK = 10_000  # rows up to which tables are stacked: above, one call more costs nothing
TABLES = 50_000  # rows of tables that are held while they are stacked
WINDOW = 32  # searches that run side by side, fewer where the test set is large
TYPED = 64  # clean rows on which a model shows whether it minds a column's type
MOSTLY = 0.9  # share of changed rows from which all rows are asked


@dataclass(frozen=True)
class Want:
    """Some rows (as they are looked at) under one repeat of a step at a level, for some models."""

    step: Step
    level: float
    repeat: int
    start: int
    stop: int
    models: tuple[str, ...]


@dataclass(frozen=True)
class Reply:
    """What one model answers to the rows of a want, or what it raised."""

    told: Told | None
    error: str | None
    share: float
    widened: Widened
    changed: NDArray[np.bool_]


Replies = Mapping[str, Reply]
Running = Generator[list[Want], list[Replies], None]


class Sweep(Protocol):
    """One noise on its way through the levels."""

    def run(self) -> Running:
        """Yield what is to be predicted, and be sent the replies."""


class OutOfTime(Exception):  # noqa: N818 (not an error: what was measured so far is the answer)
    """The budget of seconds is spent."""


@dataclass
class Rounds:
    """Everything that answers wants: oracles, clean answers, threads, the store and the clock."""

    bench: Bench
    oracles: Mapping[str, Oracle]
    clean: Mapping[str, Told]
    n_jobs: int | None = None
    store: Store | None = None
    keys: Keys | None = None
    deadline: float | None = None
    from_store: int = 0
    first: bool = field(default=True, init=False)
    minded: dict[tuple[int, frozenset[str | int]], bool] = field(default_factory=dict, init=False)

    def drive(self, sweeps: Sequence[Sweep], ended: Callable[[Sweep], None]) -> None:
        """Run the sweeps side by side to their end, a window of them at a time; tell of each that ended.

        Raises
        ------
        OutOfTime
            The budget is spent.
        """
        queue = iter(sweeps)
        running: dict[int, tuple[Sweep, Running, list[Want]]] = {}
        while True:
            for sweep in queue:
                started = sweep.run()
                self._next(running, sweep, started, None, ended)
                if len(running) >= self.window:
                    break
            if not running:
                return
            asked = [running[k] for k in sorted(running)]
            replies, stopped = self._round([want for _, _, wants in asked for want in wants])
            for sweep, run, wants in asked:
                own, replies = replies[: len(wants)], replies[len(wants) :]
                if len(own) == len(wants):
                    self._next(running, sweep, run, own, ended)
            if stopped is not None:
                for _, run, _ in running.values():
                    run.close()
                raise stopped
            self.first = False

    def _round(self, wants: Sequence[Want]) -> tuple[list[Replies], BaseException | None]:
        """Return the replies, or as many as there were when time ran out or the user stopped it."""
        got: list[Replies] = []
        try:
            for reply in self.fulfil(wants):
                got.append(reply)
        except (OutOfTime, KeyboardInterrupt) as stopped:
            return got, stopped
        return got, None

    @property
    def window(self) -> int:
        """How many searches run side by side: what they hold is in proportion to the rows."""
        return max(8, min(WINDOW, WINDOW * STACK // self.bench.rows))

    @staticmethod
    def _next(
        running: dict[int, tuple[Sweep, Running, list[Want]]],
        sweep: Sweep,
        run: Running,
        replies: list[Replies] | None,
        ended: Callable[[Sweep], None],
    ) -> None:
        place = next((k for k, (s, _, _) in running.items() if s is sweep), max(running, default=-1) + 1)
        try:
            running[place] = sweep, run, next(run) if replies is None else run.send(replies)
        except StopIteration:
            running.pop(place, None)
            ended(sweep)

    def fulfil(self, wants: Sequence[Want]) -> Iterator[Replies]:
        """Yield the replies to wants; how they are stacked depends on the wants alone, not on the number of threads."""
        batches = list(self._batches(wants))
        if self.n_jobs in (None, 1):
            found: Iterable[list[Replies]] = map(self._batch, batches)
        else:
            from joblib import Parallel, delayed

            parallel = Parallel(n_jobs=self.n_jobs, require="sharedmem", return_as="generator")
            found = parallel(delayed(self._batch)(batch) for batch in batches)
        for replies in found:
            yield from replies

    def _batches(self, wants: Sequence[Want]) -> Iterator[list[Want]]:
        """Yield wants in order, together as long as few rows will have changed and rows are answered one by one."""
        batch: list[Want] = []
        asked = held = 0.0
        for want in wants:
            rows = want.stop - want.start
            alone = not all(self.oracles[m].row_wise for m in want.models)
            changing = STACK if alone else rows * self.bench.touched(want.step, want.level)
            if batch and (alone or asked + changing > STACK or held + rows > TABLES):
                yield batch
                batch, asked, held = [], 0.0, 0.0
            batch.append(want)
            asked, held = asked + changing, held + rows
        if batch:
            yield batch

    def _batch(self, batch: list[Want]) -> list[Replies]:
        """Return the replies to wants that are predicted together; the store keeps all of them or none."""
        if self.deadline is not None and not self.first and time.monotonic() > self.deadline:
            raise OutOfTime
        known = self._read(batch)
        fresh = dict(self._asked(batch, known))
        if fresh and self.store is not None and self.keys is not None:
            self.store.put({self.keys.of(batch[i], m): cell_of(reply) for (i, m), reply in fresh.items()})
        found = known | fresh
        return [{m: self._spliced(want, m, found[i, m]) for m in want.models} for i, want in enumerate(batch)]

    def kept(self, name: str, model: str, ask: Callable[[], Told]) -> Told:
        """Return answers by name, from the store where it has them."""
        if self.store is None or self.keys is None:
            return ask()
        key = self.keys.named(model, name)
        found = self.store.get([key])
        if key in found:
            return dict(found[key].arrays)
        told = ask()
        self.store.put({key: Cell({}, told)})
        return told

    def _read(self, batch: list[Want]) -> dict[tuple[int, str], Reply]:
        if self.store is None or self.keys is None:
            return {}
        keys = {self.keys.of(want, m): (i, m) for i, want in enumerate(batch) for m in want.models}
        found = self.store.get(list(keys))
        replies = {keys[k]: reply_of(cell) for k, cell in found.items()}
        self.from_store += sum(int(r.changed.sum()) for r in replies.values())
        return replies

    def _asked(
        self, batch: list[Want], known: Mapping[tuple[int, str], Reply]
    ) -> Iterator[tuple[tuple[int, str], Reply]]:
        """Yield what each model answers to the changed rows of the wants that are not known yet."""
        made: dict[tuple[int, str], Rows] = {}  # several models meet one table, but for worst cases
        for model in dict.fromkeys(m for want in batch for m in want.models):
            mine: dict[int, Rows] = {}
            for i, want in enumerate(batch):
                if model not in want.models or (i, model) in known:
                    continue
                who = model if isinstance(want.step.noise, WorstCase) else ""
                try:
                    if (i, who) not in made:
                        made[i, who] = self._rows(want, model)
                    mine[i] = made[i, who]
                except Raised as error:
                    yield (i, model), Reply(None, str(error), 0.0, {}, np.ones(want.stop - want.start, bool))
            for i, reply in self._answered(self.oracles[model], mine, self.clean[model]):
                yield (i, model), reply

    def _rows(self, want: Want, model: str) -> Rows:
        return self.bench.some(want.step.at(want.level), want.start, want.stop, model, want.repeat)

    def _answered(self, oracle: Oracle, made: dict[int, Rows], clean: Told) -> Iterator[tuple[int, Reply]]:
        """Yield the answers of one model to several tables, those that are alike in one call."""
        moved = {i: self._with_types(oracle, rows, clean) for i, rows in made.items() if rows.changed.any()}
        for i in made.keys() - moved.keys():
            yield (
                i,
                Reply(
                    {k: v[:0] for k, v in clean.items()},
                    None,
                    made[i].share,
                    made[i].widened,
                    made[i].changed,
                ),
            )
        for members in _alike(moved, together=oracle.row_wise):
            yield from _predicted(oracle, {i: moved[i] for i in members})

    def _with_types(self, oracle: Oracle, rows: Rows, clean: Told) -> Rows:
        """Return rows of which all changed, where columns have another type and the model minds that."""
        if not rows.widened or not oracle.row_wise:
            return rows
        who = id(oracle), frozenset(rows.widened)
        if who not in self.minded:
            few = part(self.bench.looked, 0, TYPED)
            array = isinstance(few, np.ndarray)
            self.minded[who] = oracle.minds(
                few.astype(rows.table.dtype) if array else for_models(few, rows.widened), clean
            )
        return replace(rows, changed=np.ones(rows.changed.size, bool)) if self.minded[who] else rows

    def _spliced(self, want: Want, model: str, reply: Reply) -> Reply:
        """Return the reply with the clean answers where nothing changed."""
        if reply.told is None or reply.changed.all():
            return reply
        out = {}
        for kind, clean in self.clean[model].items():
            whole = clean[want.start : want.stop].astype(_common(clean.dtype, reply.told[kind].dtype))
            whole[reply.changed] = reply.told[kind]
            out[kind] = whole
        return Reply(out, None, reply.share, reply.widened, reply.changed)


def _predicted(oracle: Oracle, made: dict[int, Rows]) -> Iterator[tuple[int, Reply]]:
    """Ask for the changed rows of several tables at once; one by one where that raises."""
    needed = {i: _needed(rows, row_wise=oracle.row_wise) for i, rows in made.items()}
    tables = [table for table, _ in needed.values()]
    try:
        told = oracle.ask(stacked(tables))
    except Exception as error:  # a model's crash is a result: any error of the user's code is recorded
        for i, rows in made.items():
            if len(made) == 1:
                yield i, Reply(None, told_of(error), rows.share, rows.widened, rows.changed)
            else:
                yield from _predicted(oracle, {i: rows})
        return
    start = 0
    for i, (_, mask) in needed.items():
        stop = start + int(mask.sum())
        own = {kind: values[start:stop] for kind, values in told.items()}
        yield i, Reply(own, None, made[i].share, made[i].widened, mask)
        start = stop


def _common(one: np.dtype[Any], other: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that holds answers of both types as they are: no longer label is cut."""
    plain = {one.kind, other.kind} <= set("biuf") or one.kind == other.kind
    return np.result_type(one, other) if plain else np.dtype(object)


def _needed(rows: Rows, *, row_wise: bool) -> tuple[Any, NDArray[np.bool_]]:
    """Return the rows to ask for, and which ones they are."""
    if not row_wise or rows.changed.mean() > MOSTLY:
        return rows.table, np.ones(rows.changed.size, bool)
    return rows_of(rows.table, np.flatnonzero(rows.changed)), rows.changed


def _alike(made: Mapping[int, Rows], *, together: bool) -> list[list[int]]:
    """Return which tables can be stacked without any of them changing its types."""
    kinds: dict[Any, list[int]] = {}
    for i, rows in made.items():
        kinds.setdefault(signature(rows.table) if together else i, []).append(i)
    return list(kinds.values())


def cell_of(reply: Reply) -> Cell:
    """Return a reply as the store keeps it."""
    meta = {
        "error": reply.error,
        "share": reply.share,
        "widened": [[name, how] for name, how in reply.widened.items()],
        "rows": int(reply.changed.size),
    }
    return Cell(meta, {"changed": np.packbits(reply.changed), **(reply.told or {})})


def reply_of(cell: Cell) -> Reply:
    """Return a reply that the store kept."""
    arrays = dict(cell.arrays)
    changed = np.unpackbits(arrays.pop("changed"), count=cell.meta["rows"]).astype(bool)
    told = None if cell.meta["error"] is not None else arrays
    return Reply(told, cell.meta["error"], cell.meta["share"], dict(cell.meta["widened"]), changed)


def wanted(
    step: Step, level: float, rows: tuple[int, int], models: tuple[str, ...], draws: int
) -> list[Want]:
    """Return the wants of all repeats of some rows."""
    return [Want(step, level, repeat, *rows, models) for repeat in range(draws)]

"""A plan measured: every noise of it at its levels, on as few predicted rows as the answer needs."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.engine.bench import Bench
from hormesis.engine.keys import Keys
from hormesis.engine.levels import Level, Reader
from hormesis.engine.oracle import Meter, Oracle, Told, refused
from hormesis.engine.rounds import OutOfTime, Rounds
from hormesis.engine.store import Cell, Store
from hormesis.engine.sweeps import Bisection, Grid
from hormesis.frames import take
from hormesis.models import Answers, single_thread
from hormesis.progress import Advance, track
from hormesis.results import Cost
from hormesis.statistics import Sample
from hormesis.statistics.slices import Slices
from hormesis.step import Step

Who = tuple[str, str]
ASKED = 30  # rows of each class on which scorers are tried before anything else


@dataclass(frozen=True)
class Planned:
    """One noise, its levels, and whether they are searched for the break point or all measured."""

    step: Step
    levels: tuple[float, ...]
    search: bool = False


Plan = Sequence[Planned]


@dataclass
class Measured:
    """All that was measured so far; `left_out` names noises that time or Ctrl-C cut off."""

    bench: Bench
    readers: Mapping[str, Reader]
    sweeps: list[Grid | Bisection]
    clean: dict[Who, Sample]
    rounds: Rounds
    started: float
    left_out: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    interrupted: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def cost(self) -> Cost:
        """What it cost so far."""
        meters: list[Meter] = [o.meter for o in self.rounds.oracles.values()]
        draws = sum(len(s.levels) * self.bench.draws(s.step) for s in self.sweeps)
        return Cost(
            rows=sum(m.rows for m in meters),
            clean_rows=self.bench.rows * len(meters),
            calls=sum(m.calls for m in meters),
            predict_seconds=round(sum(m.seconds for m in meters), 4),
            seconds=round(time.monotonic() - self.started, 4),
            test_rows=self.bench.rows,
            from_store=self.rounds.from_store,
            grid_rows=(1 + draws) * self.bench.rows * len(meters),
        )

    def unless_stopped(self, what: str, find: Callable[[], Iterable[Any]]) -> tuple[Any, ...]:
        """Return further findings; none where the user or the clock stopped the run, which is noted."""
        if not self.interrupted:
            try:
                return tuple(find())
            except OutOfTime:
                pass
            except KeyboardInterrupt:
                self.interrupted = True
        self.left_out.append(what)
        return ()

    def of(self, step: str, model: str) -> list[Level]:
        """Return the levels of one noise for one model, from the lowest."""
        return [x for sweep in self.sweeps if sweep.step.name == step for x in sweep.of(model)]

    @property
    def steps(self) -> list[Step]:
        """The noises of which something is known, in the order of the plan."""
        return list({s.step.name: s.step for s in self.sweeps}.values())


def ask_of(bench: Bench, *, row_wise: bool | None) -> dict[str, Oracle]:
    """Return what each model is to be asked.

    Raises
    ------
    ModelError
        A model raises on clean rows: there is nothing to compare with.
    """
    few = _some_of_each_class(bench)
    X, judges = take(bench.looked, few), [s.on(few) for s in bench.judges]
    out = {}
    for name, model in bench.models.items():
        answers = Answers(model, X, bench.classes, bench.task)
        needed = {kind for s in judges for kind in refused(s.asks, answers)}
        out[name] = refused(
            Oracle.of, model, bench.looked, bench.classes, bench.task, needed, row_wise=row_wise,
            order=bench.order,
        )  # fmt: skip
    return out


def _some_of_each_class(bench: Bench) -> NDArray[np.intp]:
    """Return the first rows, as they are looked at, of each class."""
    y = bench.y[bench.order]
    if bench.task == "regression":
        return np.arange(min(ASKED, y.size))
    return np.sort(np.concatenate([np.flatnonzero(y == c)[:ASKED] for c in bench.classes]))


def clean_answers(
    bench: Bench, oracles: Mapping[str, Oracle], store: Store | None, keys: Keys | None
) -> dict[str, Told]:
    """Return each model's answers to all rows as they are, in the order in which they are looked at."""
    out: dict[str, Told] = {}
    for name, oracle in oracles.items():
        key = b"" if keys is None else keys.named(name, "clean")
        kept = {} if store is None else store.get([key])
        out[name] = kept[key].arrays if key in kept else refused(oracle.ask, bench.looked)
        if store is not None and key not in kept:
            store.put({key: Cell({}, out[name])})
    return out


def begun(
    bench: Bench, oracles: Mapping[str, Oracle], store: Store | None
) -> tuple[Mapping[str, Oracle], Keys | None, dict[str, Told]]:
    """Return the keys of a run and the clean answers; asked anew where they show that rows depend on each other."""
    keys = None if store is None else Keys.of_run(bench, oracles)
    clean = clean_answers(bench, oracles, store, keys)
    found = {name: oracle.confirmed(clean[name]) for name, oracle in oracles.items()}
    if all(found[name] is oracles[name] for name in found):
        return oracles, keys, clean
    return begun(bench, found, store)


def measure(
    bench: Bench,
    plan: Plan,
    *,
    max_drop: float = 0.05,
    n_jobs: int | None = None,
    budget: float | None = None,
    store: Store | None = None,
    row_wise: bool | None = None,
    slices: Slices | None = None,
    label: str = "stress",
    progress: bool | None = None,
) -> Measured:
    """Measure a plan; what time or Ctrl-C cut off is told, and what is there can be used."""
    started = time.monotonic()
    with single_thread(bench.rows):
        oracles, keys, clean = begun(bench, ask_of(bench, row_wise=row_wise), store)
        readers = {name: Reader(name, bench, o, clean[name], max_drop, slices) for name, o in oracles.items()}
        deadline = None if budget is None else started + budget
        rounds = Rounds(bench, oracles, clean, n_jobs, store, keys, deadline)
        run = _Run(bench, readers, plan)
        run.go(rounds, label, progress=progress)
    samples = {
        (name, s.name): reader.clean_sample(i, bench.rows)[1]
        for name, reader in readers.items()
        for i, s in enumerate(bench.scorers)
    }
    done = Measured(bench, readers, run.known, samples, rounds, started)
    run.tell(done)
    done.notes += [] if store is None else store.notes
    done.notes += _notes(oracles)
    return done


def _notes(oracles: Mapping[str, Oracle]) -> list[str]:
    """Say which models cannot be asked row by row, and why."""
    several = len(oracles) > 1
    said = []
    for name, oracle in oracles.items():
        who = f"{name}: " if several else ""
        if not oracle.steady:
            said.append(f"{who}the model answers at random: the same rows get other answers when asked again")
        if not oracle.row_wise:
            why = "the answer to a row depends on the rows beside it: " if oracle.steady else ""
            said.append(f"{who}{why}every table was predicted whole")
    return said


class _Run:
    """The sweeps of one plan, and how far each came."""

    def __init__(self, bench: Bench, readers: Mapping[str, Reader], plan: Plan) -> None:
        self.ended: set[int] = set()
        self.interrupted = False
        self.advance: Advance = _nothing
        self.sweeps: list[Grid | Bisection] = [
            Bisection(p.step, p.levels, next(iter(readers.values())), bench, self._advance)
            if p.search and len(readers) == 1
            else Grid(p.step, p.levels, readers, bench, self._advance)
            for p in plan
        ]

    def _advance(self) -> None:
        self.advance()

    def go(self, rounds: Rounds, label: str, *, progress: bool | None) -> None:
        """Run all sweeps, or as many as time and the user allow."""
        with track(label, sum(s.work for s in self.sweeps), show=progress) as self.advance:
            try:
                rounds.drive(self.sweeps, lambda sweep: self.ended.add(id(sweep)))
            except OutOfTime:
                pass
            except KeyboardInterrupt:
                if not self.known:
                    raise
                self.interrupted = True

    @property
    def known(self) -> list[Grid | Bisection]:
        """The sweeps that found something."""
        return [s for s in self.sweeps if s.found]

    def tell(self, done: Measured) -> None:
        """Say what was cut off."""
        done.interrupted = self.interrupted
        done.left_out = [s.step.name for s in self.sweeps if not s.found]
        done.cut = [s.step.name for s in self.known if id(s) not in self.ended]


def _nothing() -> None:
    """Stand in where no progress is shown."""

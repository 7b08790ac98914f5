"""Scores under noise: one cell per noise and level, each with a sample per model and scorer."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.errors import HormesisError, ModelError
from hormesis.frames import open_table, share_changed
from hormesis.models import Answers, Task, single_thread
from hormesis.noise.worst import Raised, WorstCase
from hormesis.profile import Profile
from hormesis.progress import track
from hormesis.recipe import noisy
from hormesis.scoring import Scorer
from hormesis.statistics import Sample
from hormesis.step import Step

Who = tuple[str, str]
TINY = 1e-300
Plan = Sequence[tuple[Step, Sequence[float]]]


@dataclass(frozen=True)
class Cell:
    """One noise at one level: samples per (model, scorer), or what a model raised."""

    step: str
    level: float
    samples: dict[Who, tuple[Sample, ...]]
    errors: dict[str, str]
    changed: float
    widened: dict[str | int, str]


@dataclass(frozen=True)
class Bench:
    """Fitted models on one test set."""

    models: Mapping[str, Any]
    X: Any
    y: NDArray[Any]
    classes: NDArray[Any]
    task: Task
    scorers: Sequence[Scorer]
    profile: Profile
    seed: int
    repeats: int = 1

    def clean(self) -> dict[Who, Sample]:
        """Return each model's score on the rows as they are.

        Raises
        ------
        ModelError
            A model raises on clean rows: there is nothing to compare with.
        """
        out: dict[Who, Sample] = {}
        for name, model in self.models.items():
            samples, error = self._sample(model, self.X)
            if error:
                raise ModelError(f"The model raises on the rows as they are, before any noise: {error}")
            out |= {(name, s): sample for s, sample in samples.items()}
        return out

    def cell(self, step: Step, level: float) -> Cell:
        """Measure one noise at one level: all repeats, all models."""
        dosed = step.at(level)
        samples: dict[Who, list[Sample]] = {}
        errors: dict[str, str] = {}
        shares: list[float] = []
        widened: dict[str | int, str] = {}
        for repeat in range(self.repeats):
            for name, X, wider in self._tables(dosed, repeat, shares, errors):
                widened |= wider
                found, error = self._sample(self.models[name], X)
                if error:
                    errors[name] = error
                for scorer, sample in found.items():
                    samples.setdefault((name, scorer), []).append(sample)
        kept = {who: tuple(s) for who, s in samples.items() if who[0] not in errors}
        return Cell(step.name, level, kept, errors, float(np.mean(shares or [0.0])), widened)

    def _tables(
        self, step: Step, repeat: int, shares: list[float], errors: dict[str, str]
    ) -> Iterator[tuple[str, Any, dict[str | int, str]]]:
        """Yield the noisy table of each model: one for all, or where the noise is a worst case one each."""
        if not isinstance(step.noise, WorstCase):
            X, widened = self.noisy(step, "", repeat)
            shares.append(self._changed(step, X))
            yield from ((name, X, widened) for name in self.models)
            return
        for name in self.models:
            try:
                X, widened = self.noisy(step, name, repeat)
            except Raised as error:
                errors[name] = str(error)
                continue
            shares.append(self._changed(step, X))
            yield name, X, widened

    def noisy(self, step: Step, model: str, repeat: int = 0) -> tuple[Any, dict[str | int, str]]:
        """Return the test table under one repeat of a step, and the columns that it widened.

        Raises
        ------
        Raised
            The noise is a worst case, and the model raised on a table that was tried.
        """
        if not isinstance(step.noise, WorstCase):
            return noisy(step, self.X, self.profile, seed=self.seed, repeat=repeat)
        victim = Attackable(self.models[model], self.y, self.classes, self.task)
        try:
            X = step.noise.against(victim, self.X, profile=self.profile, seed=self.seed, repeat=repeat)
        except (HormesisError, Raised):
            raise
        except Exception as error:  # a model's crash is a result: any error of the user's code is recorded
            raise Raised(_told(error)) from error
        return X, {}

    def _sample(self, model: Any, X: Any) -> tuple[dict[str, Sample], str | None]:
        answers = Answers(model, X, self.classes, self.task)
        try:
            return {s.name: s.sample(answers) for s in self.scorers}, None
        except Exception as error:  # a model's crash is a result: any error of the user's code is recorded
            return {}, _told(error)

    def _changed(self, step: Step, X: Any) -> float:
        return share_changed(self.X, X, step.noise.selected(open_table(self.X), self.profile))


@dataclass(frozen=True)
class Attackable:
    """A model as a worst case sees it: losses and log probabilities of any table."""

    model: Any
    y: NDArray[Any]
    classes: NDArray[Any]
    task: Task

    def losses(self, table: Any) -> NDArray[np.float64]:
        """Return each row's log margin, best other class over the true one; of numbers the error; of labels 0 or 1."""
        said = self._ask(table)
        if self.task == "regression":
            error: NDArray[np.float64] = np.abs(said - self.y)
            return error
        true = np.searchsorted(self.classes, self.y)
        if said.ndim == 1:
            return np.asarray(said != self.y, np.float64)
        own = np.take_along_axis(said, true[:, None], axis=1)[:, 0]
        others = said.copy()
        np.put_along_axis(others, true[:, None], -np.inf, axis=1)
        best: NDArray[np.float64] = others.max(axis=1) - own
        return best

    def logits(self, table: Any) -> NDArray[np.float64]:
        """Return log probabilities (rows, classes), or numbers (rows,)."""
        said = self._ask(table)
        if said.ndim == 1 and self.task == "classification":
            raise ModelError(
                f"{type(self.model).__name__} answers labels only, and an attack climbs probabilities: use WorstOf."
            )
        return said

    def _ask(self, table: Any) -> NDArray[Any]:
        answers = Answers(self.model, table, self.classes, self.task)
        try:
            if self.task == "regression" or not answers.probable:
                return np.asarray(answers.labels)
            return np.asarray(np.log(np.maximum(np.asarray(answers.proba, np.float64), TINY)))
        except Exception as error:  # a model's crash is a result: any error of the user's code is recorded
            raise Raised(_told(error)) from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


@dataclass
class Measured:
    """All cells measured so far; `left_out` names noises that time or Ctrl-C cut off."""

    clean: dict[Who, Sample]
    cells: list[Cell] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    interrupted: bool = False

    def of(self, step: str) -> list[Cell]:
        """Return the cells of one noise, by level."""
        return [c for c in self.cells if c.step == step]


def measure(
    bench: Bench,
    plan: Plan,
    *,
    n_jobs: int | None = None,
    budget: float | None = None,
    label: str = "stress",
    progress: bool | None = None,
) -> Measured:
    """Measure every noise and level of a plan; whole noises only, so that what is there can be used."""
    started, total = time.monotonic(), sum(len(levels) for _, levels in plan)
    with single_thread(bench.y.size), track(label, total, show=progress) as advance:
        done = Measured(bench.clean())
        for i, (step, levels) in enumerate(plan):
            rest = [s.name for s, _ in plan[i:]]
            if budget is not None and i and time.monotonic() - started > budget:
                done.left_out = rest
                break
            try:
                cells = []
                for cell in _cells(bench, step, levels, n_jobs):
                    cells.append(cell)
                    advance()
                done.cells += cells
            except KeyboardInterrupt:
                if not done.cells:
                    raise
                done.left_out, done.interrupted = rest, True
                break
    return done


def _cells(bench: Bench, step: Step, levels: Sequence[float], n_jobs: int | None) -> Iterator[Cell]:
    if n_jobs in (None, 1):
        return (bench.cell(step, level) for level in levels)
    from joblib import Parallel, delayed

    jobs = (delayed(bench.cell)(step, level) for level in levels)
    found: Iterator[Cell] = Parallel(n_jobs=n_jobs, require="sharedmem", return_as="generator")(jobs)
    return found

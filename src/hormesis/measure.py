"""Scores under noise: one cell per noise and level, each with a sample per model and scorer."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.errors import ModelError
from hormesis.frames import column_changed, open_table
from hormesis.models import Answers, Task, single_thread
from hormesis.profile import Profile
from hormesis.progress import track
from hormesis.recipe import Step, noisy
from hormesis.scoring import Scorer
from hormesis.statistics import Sample

Who = tuple[str, str]
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
            X, wider = noisy(dosed, self.X, self.profile, seed=self.seed, repeat=repeat)
            shares.append(self._changed(dosed, X))
            widened |= wider
            for name, model in self.models.items():
                found, error = self._sample(model, X)
                if error:
                    errors[name] = error
                for scorer, sample in found.items():
                    samples.setdefault((name, scorer), []).append(sample)
        kept = {who: tuple(s) for who, s in samples.items() if who[0] not in errors}
        return Cell(step.name, level, kept, errors, float(np.mean(shares)), widened)

    def _sample(self, model: Any, X: Any) -> tuple[dict[str, Sample], str | None]:
        answers = Answers(model, X, self.classes, self.task)
        try:
            return {s.name: s.sample(answers) for s in self.scorers}, None
        except Exception as error:  # a model's crash is a result: any error of the user's code is recorded
            return {}, f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"

    def _changed(self, step: Step, X: Any) -> float:
        before, after = open_table(self.X), open_table(X)
        columns = step.noise.selected(before, self.profile)
        return float(np.mean([column_changed(before, after, j).mean() for j in columns])) if columns else 0.0


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

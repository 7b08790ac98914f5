"""The dose ladder: each noise from a small dose upwards while robustness rises, then the best ones combined.

Everything here is cross-validated inside the training part. The yardstick is the mean score over all searched noises:
a clean scorer always votes for no noise. A candidate may cost half of the clean budget here; the other half is left
for the interval of the proof.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from hormesis.errors import HormesisError, ModelError, SettingError
from hormesis.frames import stack, take
from hormesis.guard import Guard
from hormesis.key import key
from hormesis.models import Answers, Part, Task, single_thread
from hormesis.noise import MissingValues
from hormesis.profile import Profile
from hormesis.proof import Trial
from hormesis.recipe import Recipe, noisy
from hormesis.results import spoken, title
from hormesis.scoring import Scorer, Scoring, scorers
from hormesis.step import Step
from hormesis.training import NoisyTraining

DOSES: dict[str, tuple[float, ...]] = {
    "fraction": (0.05, 0.15, 0.3),
    "sigma": (0.1, 0.3, 0.6),
    "relative": (0.05, 0.15, 0.3),
    "rank": (0.05, 0.15, 0.3),
}
TESTED: dict[str, tuple[float, ...]] = {
    "fraction": (0.1, 0.3),
    "sigma": (0.3, 1.0),
    "relative": (0.1, 0.3),
    "rank": (0.1, 0.3),
}
LEAST_GAIN = 0.001
PATIENCE = 2
TOO_DEAR = "costs more than half of the clean budget"
TOGETHER = 0.5


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What might harden a model: a recipe to train with, and a guard in front."""

    recipe: Recipe
    guard: Literal["missing", "median"] | None = None

    def build(self, model: Any, copies: int, seed: int) -> Any:
        """Return the unfitted model."""
        made = clone(model)
        if self.guard:
            made = Pipeline([("guard", Guard(beyond=self.guard)), ("model", made)])
        return (
            NoisyTraining(made, self.recipe, copies=copies, random_state=seed) if self.recipe.steps else made
        )

    def __str__(self) -> str:
        said = [f"{title(s.name)} {spoken(s.noise.level, s.noise.unit)}" for s in self.recipe.steps]
        return " and ".join((["guard"] if self.guard else []) + said) or "no noise"


@dataclasses.dataclass(frozen=True)
class Measure:
    """Cross-validated scores of a candidate."""

    clean: float
    robust: float


@dataclasses.dataclass(frozen=True)
class Fold:
    """One split of the training part, its validation rows clean and under every searched noise."""

    X: Any
    y: Any
    tables: Sequence[Any]
    scorer: Scorer
    task: Task

    def score(self, fitted: Any) -> list[float]:
        """Return the score on each table: all in one prediction, one by one where that raises."""
        n = self.scorer.y.size
        try:
            whole = Answers(fitted, stack(self.tables), self.scorer.classes, self.task)
            return [self._value(Part(whole, slice(i * n, (i + 1) * n))) for i in range(len(self.tables))]
        except Exception:  # a model that raises on one noise is scored on the others
            return [self._alone(fitted, table) for table in self.tables]

    def _alone(self, fitted: Any, table: Any) -> float:
        try:
            return self._value(Answers(fitted, table, self.scorer.classes, self.task))
        except Exception:  # raising under noise counts as the score of no skill
            return self.scorer.no_skill.value

    def _value(self, answers: Answers) -> float:
        return self.scorer.held(self.scorer.sample(answers)).value


def folds_of(
    model: Any,
    X: Any,
    y: Any,
    steps: Sequence[Step],
    *,
    scoring: Scoring,
    task: Task,
    classes: Any,
    cv: int,
    seed: int,
) -> list[Fold]:
    """Split the training part; noise is scaled by each split's own training rows."""
    kind = StratifiedKFold if task == "classification" else KFold
    made = []
    for train, valid in kind(cv, shuffle=True, random_state=seed % 2**32).split(np.zeros(y.size), y):
        clean, profile = take(X, valid), Profile.learn(take(X, train))
        tables = [clean]
        for step in steps:
            for level in TESTED[step.noise.unit]:
                tables.append(noisy(step.at(level), clean, profile, seed=key(seed, "search"))[0])
        scorer = scorers(scoring, model, y[valid], classes, task, seed)[0]
        made.append(Fold(take(X, train), y[train], tables, scorer, task))
    return made


class OutOfTime(Exception):  # noqa: N818 (not an error: the search ends with what it has)
    """The search's budget is spent."""


class Ladder:
    """The search: remembers every trial, and the best candidate so far."""

    def __init__(
        self, model: Any, *, copies: int, max_clean_drop: float, seed: int, budget: float | None = None
    ) -> None:
        if not max_clean_drop >= 0:
            raise SettingError(
                f"`max_clean_drop={max_clean_drop}`: the clean score that may be lost is 0 or more."
            )
        self.model, self.copies, self.seed, self.budget = model, copies, seed, budget
        self.max_clean_drop = max_clean_drop
        self.deadline = np.inf
        self.folds: Sequence[Fold] = ()
        self.trials: list[Trial] = []
        self.best = Candidate(Recipe([]))
        self.notes: list[str] = []
        self.interrupted = False
        self.plain = Measure(0.0, 0.0)
        self.fitted: Any = None
        self.advance: Callable[[], None] = lambda: None

    def measure(self, candidate: Candidate) -> Measure:
        """Cross-validate one candidate."""
        scores = []
        for i, fold in enumerate(self.folds):
            if self.trials and time.monotonic() > self.deadline:
                raise OutOfTime
            fitted = candidate.build(self.model, self.copies, key(self.seed, "fold", i) >> 1).fit(
                fold.X, fold.y
            )
            scores.append(fold.score(fitted))
            self.fitted = fitted
        self.advance()
        clean, *robust = np.mean(scores, axis=0).tolist()
        return Measure(clean, float(np.mean(robust)))

    def _try(self, candidate: Candidate, above: float, dose: float | None = None) -> Measure | None:
        """Return the scores of a candidate that is worth keeping, else None; either way it is a trial."""
        try:
            found = self.measure(candidate)
        except OutOfTime:
            raise
        except Exception as error:  # a model that cannot learn from this noise is a trial that failed
            said = f"raises {type(error).__name__}: {' '.join(str(error).split())[:120]}"
            self.trials.append(Trial(str(candidate), dose, None, None, kept=False, note=said))
            return None
        note = ""
        if found.clean < self.plain.clean - self.max_clean_drop / 2:
            note = TOO_DEAR
        elif found.robust < above + LEAST_GAIN * abs(self.plain.clean):
            note = "no more robust"
        self.trials.append(Trial(str(candidate), dose, found.clean, found.robust, kept=not note, note=note))
        return None if note else found

    def climb(
        self, steps: Sequence[Step], doses: dict[str, tuple[float, ...]], advance: Callable[[], None]
    ) -> None:
        """Search; what is found when time runs out stands."""
        self.advance = advance
        self.deadline = time.monotonic() + self.budget if self.budget is not None else np.inf
        try:
            with single_thread():
                self._climb(steps, doses)
        except KeyboardInterrupt:
            self.interrupted = True
        except OutOfTime:
            self.notes.append(
                f"the search stopped after its budget of seconds, {len(self.trials)} candidates tried"
            )

    def _climb(self, steps: Sequence[Step], doses: dict[str, tuple[float, ...]]) -> None:
        try:
            self.plain = self.measure(self.best)
        except (OutOfTime, HormesisError):
            raise
        except Exception as error:
            raise ModelError(
                f"The model cannot learn from these rows: {type(error).__name__}: {error}"
            ) from error
        self.trials.append(
            Trial("no noise", None, self.plain.clean, self.plain.robust, kept=False, note="your model")
        )
        top = self.plain.robust
        guard = Candidate(Recipe([]), "missing" if self._takes_missing() else "median")
        guarded = self._try(guard, top)
        if guarded:
            self.best, top = guard, guarded.robust
        base, singles = self.best, []
        for step in steps:
            found = self._one(step, doses[step.noise.unit], base, top)
            singles += [found] if found else []
        singles.sort(key=lambda pair: -pair[0])
        if singles:
            top, step = singles[0]
            self.best = Candidate(Recipe([step]), base.guard)
            self._combine([s for _, s in singles], top)

    def _takes_missing(self) -> bool:
        """Tell whether the fitted model answers rows with missing numbers."""
        fold = self.folds[-1]
        step = Step(MissingValues(0.5, columns="numeric"))
        gaps, _ = noisy(step, fold.tables[0], Profile.learn(fold.X), seed=self.seed)
        try:
            _ = Answers(self.fitted, gaps, fold.scorer.classes, fold.task).labels
        except Exception:  # whatever it raises, it does not take them
            return False
        return True

    def _one(
        self, step: Step, doses: Sequence[float], base: Candidate, above: float
    ) -> tuple[float, Step] | None:
        """Raise the dose of one noise while it helps (a first dose may be too weak to show); return the best."""
        best, failed = None, 0
        for dose in doses:
            found = self._try(Candidate(Recipe([step.at(dose)]), base.guard), above, dose)
            if found is None:
                failed += 1
                if failed == PATIENCE or self.trials[-1].note == TOO_DEAR:
                    break
            else:
                best, above, failed = (found.robust, step.at(dose)), found.robust, 0
        return best

    def _combine(self, ranked: Sequence[Step], top: float) -> None:
        """Add the noises that helped, best first, each on half of the rows, while robustness rises."""
        chosen = [ranked[0]]
        for step in ranked[1:]:
            together = [dataclasses.replace(s, probability=TOGETHER) for s in (*chosen, step)]
            candidate = Candidate(Recipe(together), self.best.guard)
            found = self._try(candidate, top)
            if found:
                chosen, top, self.best = [*chosen, step], found.robust, candidate

    @staticmethod
    def most(steps: Sequence[Step], doses: dict[str, tuple[float, ...]]) -> int:
        """Return the largest number of candidates that a search can try."""
        return 1 + sum(len(doses[s.noise.unit]) for s in steps) + len(steps)

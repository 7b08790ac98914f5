"""One model learnt from clean and from noisy training rows, asked about clean and noisy test rows."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from hormesis.engine.oracle import told_of
from hormesis.errors import ModelError
from hormesis.frames import open_table, share_changed
from hormesis.key import key
from hormesis.models import Answers, single_thread
from hormesis.recipe import Recipe, noisy
from hormesis.results import Estimate
from hormesis.scenario.plans import IN_TRAINING_ONLY, Plan
from hormesis.scenario.rows import Rows
from hormesis.scenario.table import Cell, Place, Scenarios
from hormesis.scoring import Scorer, Scoring, scorers
from hormesis.statistics import Sample, difference, mean_difference, score_interval, t_quantile
from hormesis.step import Step
from hormesis.training import Plan as TrainingPlan
from hormesis.trials.trial import classes_of

Samples = Sequence[Sample]
Asked = dict[str, Sample] | str  # the samples of all scorers, or what the model raised


@dataclasses.dataclass(frozen=True)
class Study:
    """One unfitted model, its clone learnt from clean rows, and the rows that both are tried on."""

    model: Any
    fitted: Any
    rows: Rows
    scorers: Sequence[Scorer]
    clean: dict[str, Sample]
    repeats: int
    seed: int

    @classmethod
    def of(cls, model: Any, rows: Rows, scoring: Scoring, repeats: int, seed: int) -> "Study":
        """Fit and score without noise.

        Raises
        ------
        ModelError
            The model cannot learn from the rows as they are, or not answer them.
        """
        try:
            with single_thread(rows.y.size):
                fitted = clone(model).fit(rows.X, rows.y)
        except Exception as error:  # any error of the user's model is told
            raise ModelError(f"The model cannot learn from these rows: {told_of(error)}") from error
        classes = classes_of(fitted, rows.y_test, rows.task)
        made = scorers(scoring, fitted, rows.y_test, classes, rows.task, seed, groups=rows.groups)
        clean = _ask(fitted, rows.X_test, made)
        if isinstance(clean, str):
            raise ModelError(f"The model raises on the rows as they are, before any noise: {clean}")
        return cls(model, fitted, rows, made, clean, repeats, seed)

    def rehearse(self, plan: Plan) -> None:
        """Make every noise once, so that a noise that cannot be made says so before hours of fits."""
        for step, level in plan:
            self.corrupted(step.at(level), 0)

    def corrupted(self, step: Step, repeat: int) -> tuple[Any, Any]:
        """Return noisy training rows and their labels; rows that are repeated or dropped keep their label."""
        recipe, seed = Recipe([step]), key(self.seed, "scenarios", "training")
        if step.noise.changes == "schema":
            X = recipe.training_copy(self.rows.X, copy=repeat, profile=self.rows.profile, seed=seed)
            return X, self.rows.y
        # One label per row: what LabelSmoothing spreads over weights in NoisyTraining is drawn here.
        plan = dataclasses.replace(
            TrainingPlan.of(recipe, labelled=True), labels=recipe.labels, smoothing=0.0
        )
        made = plan.copy(self.rows.X, self.rows.y, repeat, seed, self.rows.profile, self.rows.truth)
        return made.X, made.y

    def cells(self, step: Step, level: float) -> list[Scenarios]:
        """Measure one noise at one level."""
        dosed = step.at(level)
        random = step.noise.random or step.probability < 1
        tries = [self._try(dosed, repeat) for repeat in range(self.repeats if random else 1)]
        asked = {place: [found[place] for found, _ in tries] for place in tries[0][0]}
        shares = [share for _, share in tries if share is not None]
        share = float(np.mean(shares)) if shares else None
        return [self._cell(dosed, asked, scorer, share) for scorer in self.scorers]

    def _try(self, step: Step, repeat: int) -> tuple[dict[Place, Asked], float | None]:
        """Return what is scored under one draw of the noise, and the share of test cells that changed."""
        found: dict[Place, Asked] = {}
        fitted = self._fit(*self.corrupted(step, repeat))
        tables: dict[Place, Any] = {"training": self.rows.X_test}
        share = None
        if step.noise.changes not in IN_TRAINING_ONLY:
            own = key(self.seed, "scenarios", "test", repeat)
            tables["both"], _ = noisy(step, self.rows.X_test, self.rows.profile, seed=own)
            found["test"] = _ask(self.fitted, tables["both"], self.scorers)
            columns = step.noise.selected(open_table(self.rows.X_test), self.rows.profile)
            share = share_changed(self.rows.X_test, tables["both"], columns)
        for place, table in tables.items():
            found[place] = fitted if isinstance(fitted, str) else _ask(fitted, table, self.scorers)
        return found, share

    def _fit(self, X: Any, y: Any) -> Any:
        try:
            return clone(self.model).fit(X, y)
        except Exception as error:  # a model that cannot learn from this noise is a result
            return f"{told_of(error)} in fit"

    def _cell(
        self, step: Step, asked: dict[Place, list[Asked]], scorer: Scorer, share: float | None
    ) -> Scenarios:
        found = {place: _all_of(several, scorer.name) for place, several in asked.items()}
        absent = Cell(absent=IN_TRAINING_ONLY.get(step.noise.changes))
        cells = {place: self._scored(step, place, several, scorer) for place, several in found.items()}
        both, test = found.get("both", ""), found.get("test", "")
        gain = None if isinstance(both, str) or isinstance(test, str) else self._gain(scorer, both, test)
        return Scenarios(
            noise=step.name,
            step=step.to_dict(),
            unit=step.noise.unit,
            level=step.noise.level,
            scoring=scorer.name,
            test=cells.get("test", absent),
            training=cells["training"],
            both=cells.get("both", absent),
            gain=gain,
            changed=share,
        )

    def _scored(self, step: Step, place: Place, found: Samples | str, scorer: Scorer) -> Cell:
        """Return a score and its drop; all test rows share a draw that a model was trained on, or that is one for all."""
        if isinstance(found, str):
            return Cell(raises=found)
        clean = self.clean[scorer.name]
        drop = difference(clean, found, scorer.unseen(clean))
        if place == "test" and not step.noise.shared:
            return Cell(self.score(scorer, found), Estimate(*drop))
        drops = [clean.value - s.value for s in found]
        return Cell(self.score(scorer, found, shared=True), _over_draws(drop, drops, clean))

    def score(self, scorer: Scorer, samples: Samples, *, shared: bool = False) -> Estimate:
        """Return a score with its interval; `shared`: all rows share a draw, so that what differs between draws counts."""
        found = score_interval(samples, share=scorer.share, smallest=scorer.smallest)
        if not shared:
            return Estimate(*found)
        made = _over_draws(found, [s.value for s in samples], samples[0])
        return Estimate(made.value, max(made.low, 0.0), min(made.high, 1.0)) if scorer.share else made

    def _gain(self, scorer: Scorer, ours: Samples, theirs: Samples) -> Estimate:
        clean = self.clean[scorer.name]
        found = mean_difference(ours, theirs, scorer.unseen(clean))
        return _over_draws(found, [a.value - b.value for a, b in zip(ours, theirs, strict=True)], clean)

    def notes(self, max_drop: float) -> list[str]:
        """Return what a reader should know of the rows and the noise."""
        said = [
            f"{self.rows.said}; noise at the scale of the clean training rows, drawn apart for training and test"
        ]
        if self.repeats == 1:
            said.append("one draw of the noise: intervals are over test rows alone, not over other draws")
        if self.rows.repeated:
            said.append(
                f"{self.rows.repeated:,} rows repeat another row: copies on both sides make every score too kind"
            )
        few = {s.name: s.too_few(max_drop) for s in self.scorers}
        return said + [f"{name} shows little: {why}" for name, why in few.items() if why]


def _all_of(several: Sequence[Asked], scorer: str) -> Samples | str:
    """Return the samples of one scorer over draws, or what the model raised in one of them."""
    raised = [asked for asked in several if isinstance(asked, str)]
    return raised[0] if raised else [asked[scorer] for asked in several if not isinstance(asked, str)]


def _over_draws(found: tuple[float, float, float], values: Sequence[float], like: Sample) -> Estimate:
    """Widen an interval over rows by what differs between draws of the noise: Student's t, degrees by Satterthwaite."""
    value, low, high = found
    draws, degrees = len(values), like.influence.size - 1
    between = float(np.var(values, ddof=1)) / draws if draws > 1 else 0.0
    halves = []
    for half in (value - low, high - value):
        rows = (half / t_quantile(degrees)) ** 2
        both = rows + between
        free = both**2 / (rows**2 / degrees + between**2 / (draws - 1)) if between else degrees
        halves.append(t_quantile(free) * both**0.5 if between else half)
    return Estimate(value, value - halves[0], value + halves[1])


def _ask(model: Any, X: Any, judges: Sequence[Scorer]) -> Asked:
    """Return the score of a model under all scorers, or what it raises."""
    try:
        answers = Answers(model, X, judges[0].classes, judges[0].task)
        found = {scorer.name: scorer.sample(answers) for scorer in judges}
    except Exception as error:  # a model's crash is a result: any error of the user's code is recorded
        return told_of(error)
    strange = [name for name, sample in found.items() if not np.isfinite(sample.value)]
    return f"no number: {strange[0]} is NaN or infinite" if strange else found

"""Which noises at which levels scenarios try: those of tests, and those that only training rows can have."""

from collections.abc import Sequence
from typing import Any

from hormesis.errors import SettingError
from hormesis.noise import CATALOGUE, LabelFlips, Noise, RegressionLabelNoise, WorstCase
from hormesis.recipe import Recipe
from hormesis.scenario.rows import Rows
from hormesis.step import Step
from hormesis.trials.plans import Noises, asked_of, check_words, grid_of
from hormesis.trials.plans import steps_of as tested_steps_of

LEVELS: dict[str, tuple[float, ...]] = {
    "fraction": (0.05, 0.2, 0.4),
    "sigma": (0.2, 0.5, 1.0),
    "relative": (0.05, 0.2, 0.5),
    "rank": (0.05, 0.2, 0.4),
}
IN_TRAINING_ONLY = {"labels": "a test needs true labels", "rows": "a test compares the same rows"}
Plan = Sequence[tuple[Step, float]]


def steps_of(noises: Noises, rows: Rows) -> list[Step]:
    """Return the noises asked for, or a battery: those of tests, and wrong labels."""
    if noises is None:
        wrong = LabelFlips() if rows.task == "classification" else RegressionLabelNoise()
        return [*tested_steps_of(None, rows.profile), Step(wrong)]
    several: Any = noises.steps if isinstance(noises, Recipe) else noises
    single = isinstance(several, str | Noise | Step) or hasattr(several, "as_noise")
    steps = [_step(given, rows) for given in ([several] if single else several)]
    for step in steps:
        if isinstance(step.noise, WorstCase):
            raise SettingError(f"`{step.name}` is made against one fitted model: give it to `stress`.")
        if isinstance(step.noise, RegressionLabelNoise) and rows.task == "classification":
            raise SettingError("`RegressionLabelNoise` moves numbers, and these are classes: use LabelFlips.")
    return list(Recipe(steps).steps)


def _step(given: Any, rows: Rows) -> Step:
    named = isinstance(given, str) and given in CATALOGUE
    made = CATALOGUE[given]() if named else given
    inner = made.noise if isinstance(made, Step) else made
    if isinstance(inner, Noise) and inner.changes in IN_TRAINING_ONLY:
        return Recipe([made]).steps[0]
    return tested_steps_of([made], rows.profile)[0]


def plan_of(steps: Sequence[Step], levels: Any) -> Plan:
    """Return each noise with each of its levels, all of them checked."""
    check_words(levels, steps)
    plan = [(step, level) for step in steps for level in grid_of(asked_of(levels, step), step, LEVELS)]
    for step, level in plan:
        step.at(level)
    return plan

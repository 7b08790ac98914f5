"""Which noises at which levels a test tries: what was asked for, or the battery that fits the columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hormesis.errors import SettingError, listed, nearest
from hormesis.measure import Plan
from hormesis.noise import CATALOGUE, Noise, WorstCase
from hormesis.noise.base import unit_of
from hormesis.profile import Profile
from hormesis.recipe import Recipe
from hormesis.step import Step

BATTERY = (
    "MissingValues",
    "GaussianNoise",
    "Shift",
    "Outliers",
    "UnitErrors",
    "SwapNoise",
    "CategorySwap",
    "Typos",
)
LEVELS: dict[str, tuple[float, ...]] = {
    "fraction": (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    "sigma": (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0),
    "relative": (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0),
    "rank": (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    "epsilon": (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
}
_NOT_IN_TESTS = {
    "labels": "changes labels, and a test needs true labels: use it in training.",
    "rows": "changes which rows there are, and a test compares the same rows with and without noise: "
    "train with it (NoisyTraining), or apply it to the test table and its target first, then stress that.",
}
Noises = Recipe | Noise | str | Sequence[Noise | Step | str] | None


def steps_of(noises: Noises, profile: Profile) -> list[Step]:
    """Return the steps asked for, or the battery that applies to the columns."""
    if noises is None:
        made = [CATALOGUE[name]() for name in BATTERY]
        return [Step(n) for n in made if n.targets(profile)]
    several: Any = noises.steps if isinstance(noises, Recipe) else noises
    single = isinstance(noises, str | Noise | Step) or hasattr(noises, "as_noise")
    given = [noises] if single else list(several)
    steps = list(Recipe([_noise(n) for n in given]).steps)
    for step in steps:
        if step.noise.changes in _NOT_IN_TESTS:
            raise SettingError(f"`{type(step.noise).__name__}` {_NOT_IN_TESTS[step.noise.changes]}")
        if not step.noise.targets(profile):
            kinds = " and ".join(step.noise.applies_to)
            raise SettingError(
                f"`{type(step.noise).__name__}` changes {kinds} columns; this table has none to change."
            )
    return steps


def _noise(given: Any) -> Any:
    """Return a noise for its name or for an attack, which knows itself as one; anything else as it is."""
    if isinstance(given, str):
        return _named(given)
    if isinstance(given, type):
        raise SettingError(f"The class {given.__name__} was given; give an instance, {given.__name__}().")
    if isinstance(given, Step) and hasattr(given.noise, "as_noise"):
        return replace(given, noise=given.noise.as_noise())
    return given.as_noise() if hasattr(given, "as_noise") else given


def check_worst(plan: Plan, models: Mapping[str, Any]) -> None:
    """Refuse a worst case that cannot work against one of the models, before anything is measured."""
    for step, _ in plan:
        if isinstance(step.noise, WorstCase):
            for model in models.values():
                step.noise.check(model)


def _named(name: str) -> Noise:
    if name in ("FGSM", "PGD", "APGD", "Square", "Ensemble"):
        raise SettingError(
            f"`{name}` is an attack: give it as an object, `hormesis.torch.{name}()`, not as a name."
        )
    if name not in CATALOGUE:
        raise SettingError(
            f"Noise `{name}` is unknown.{nearest(name, CATALOGUE)} Known: {listed(CATALOGUE, most=20)}."
        )
    made: Noise = CATALOGUE[name]()
    return made


def plan_of(noises: Noises, levels: Any, profile: Profile) -> Plan:
    """Return each step with its levels, all of them checked."""
    plan = []
    steps = steps_of(noises, profile)
    words = {w for s in steps for w in (s.name, type(s.noise).__name__, s.noise.unit)}
    for word in levels if isinstance(levels, Mapping) else ():
        if word not in words:
            raise SettingError(
                f"`levels` names `{word}`, which is no unit or noise of this test.{nearest(word, words)}"
            )
    for step in steps:
        grid = _grid(levels, step)
        for level in grid:
            step.at(level)
        plan.append((step, grid))
    return plan


def _by_column(noise: Noise) -> bool:
    """Tell a noise that hits a column whole or not at all: below level 1, one coin decides, and nothing is measured."""
    return not isinstance(noise, WorstCase) and unit_of(type(noise)).of == "columns"


def _grid(levels: Any, step: Step) -> tuple[float, ...]:
    if isinstance(levels, Mapping):
        levels = levels.get(step.name, levels.get(type(step.noise).__name__, levels.get(step.noise.unit)))
    if levels is None:
        return (1.0,) if _by_column(step.noise) else LEVELS[step.noise.unit]
    levels = [levels] if isinstance(levels, int | float) else list(levels)
    grid = tuple(sorted({float(v) for v in levels}))
    if not grid or grid[0] <= 0:
        raise SettingError(f"`levels={levels}`: give at least one level, all above 0 (0 is no noise).")
    return grid

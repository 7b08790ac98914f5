"""Which noises at which levels a test tries: what was asked for, or the battery that fits the columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from hormesis.engine.measuring import Plan, Planned
from hormesis.errors import SettingError, listed, nearest
from hormesis.noise import CATALOGUE, Noise, WorstCase
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
SCHEMA = ("RenamedColumn", "ReorderedColumns", "SwappedColumns", "NumbersAsText")
SCHEMA_OF_ARRAYS = ("ReorderedColumns",)
SEARCHED: dict[str, tuple[float, ...]] = {
    "fraction": (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
    "sigma": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0),
    "relative": (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0),
    "rank": (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
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
    steps = list(Recipe([noise_of(n) for n in given]).steps)
    for step in steps:
        if step.noise.changes in _NOT_IN_TESTS:
            raise SettingError(f"`{type(step.noise).__name__}` {_NOT_IN_TESTS[step.noise.changes]}")
        if not step.noise.targets(profile):
            kinds = " and ".join(step.noise.applies_to)
            raise SettingError(
                f"`{type(step.noise).__name__}` changes {kinds} columns; this table has none to change."
            )
    return steps


def noise_of(given: Any) -> Any:
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
    for planned in plan:
        if isinstance(planned.step.noise, WorstCase):
            for model in models.values():
                planned.step.noise.check(model)


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


def plan_of(
    noises: Noises,
    levels: Any,
    profile: Profile,
    *,
    resolution: int | None = None,
    by_column: bool = False,
    schema: Sequence[str] = (),
) -> Plan:
    """Return each step with its levels, all of them checked.

    With a `resolution`, levels that nobody gave are searched; with `by_column`, every column is tested alone too; `schema`
    names noises of whole columns that a battery nobody chose is to have.
    """
    steps = steps_of(noises, profile)
    if noises is None:
        whole = [Step(CATALOGUE[name]()) for name in schema]
        steps += [s for s in whole if len(s.noise.targets(profile)) >= s.noise.least]
    check_words(levels, steps)
    alone = [s for one in steps for s in _columns_of(one, profile)] if by_column else []
    return [_planned(step, asked_of(levels, step), resolution) for step in [*steps, *alone]]


def check_words(levels: Any, steps: Sequence[Step]) -> None:
    """Refuse levels for a unit or a noise that is not there."""
    words = {w for s in steps for w in (s.name, type(s.noise).__name__, s.noise.unit)}
    for word in levels if isinstance(levels, Mapping) else ():
        if word not in words:
            raise SettingError(
                f"`levels` names `{word}`, which is no unit or noise of this test.{nearest(word, words)} "
                f"Known: {listed(sorted(words), 20)}."
            )


def _columns_of(step: Step, profile: Profile) -> list[Step]:
    """Return a step for each of several columns alone; none for a worst case, and for noise that needs two columns."""
    names = step.noise.targets(profile)
    if isinstance(step.noise, WorstCase) or step.noise.least > 1 or len(names) < 2:
        return []
    return [replace(step, noise=step.noise.on((n,)), name=f"{step.name}@{n}") for n in names]


def _planned(step: Step, asked: Any, resolution: int | None) -> Planned:
    searched = asked is None and resolution is not None and not isinstance(step.noise, WorstCase)
    grid = _finer(step, resolution or 0) if searched else grid_of(asked, step)
    for level in grid:
        step.at(level)
    return Planned(step, grid, searched)


def _finer(step: Step, resolution: int) -> tuple[float, ...]:
    """Return the levels among which a break point is searched: the usual twelve, or more of them in between, or fewer."""
    if step.noise.by_columns:
        return (1.0,)
    usual = (0.0, *SEARCHED[step.noise.unit])
    if resolution == len(usual) - 1:
        return usual[1:]
    places = np.linspace(0, len(usual) - 1, resolution + 1)[1:]
    return tuple(float(f"{x:.4g}") for x in np.interp(places, np.arange(len(usual)), usual))


def asked_of(levels: Any, step: Step) -> Any:
    """Return the levels that were asked for one step; None where nobody gave any."""
    if isinstance(levels, Mapping):
        return levels.get(step.name, levels.get(type(step.noise).__name__, levels.get(step.noise.unit)))
    return levels


def grid_of(
    levels: Any, step: Step, usual: Mapping[str, Sequence[float]] = MappingProxyType(LEVELS)
) -> tuple[float, ...]:
    """Return levels as a grid, from the lowest; None: the usual ones of the unit, and 1 for noise of whole columns."""
    if levels is None or (step.noise.by_columns and "@" in step.name):
        levels = (1.0,) if step.noise.by_columns else usual[step.noise.unit]
    levels = [levels] if isinstance(levels, int | float | str) else list(levels)
    try:
        grid = tuple(sorted({float(v) for v in levels}))
    except (TypeError, ValueError):
        raise SettingError(f"`levels={levels}`: give numbers, as in [0.05, 0.1, 0.2].") from None
    if not grid or grid[0] <= 0:
        raise SettingError(f"`levels={levels}`: give at least one level, all above 0 (0 is no noise).")
    return grid

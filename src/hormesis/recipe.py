"""Noises in order, applied to tables; to and from YAML and JSON."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from hormesis.columns import Table
from hormesis.errors import RecipeError, listed
from hormesis.frames import for_models, open_table
from hormesis.key import Draw, key, lane
from hormesis.noise import Noise
from hormesis.noise.base import Opened, draw_of, profile_for
from hormesis.notation import read_steps
from hormesis.profile import Profile
from hormesis.rules import Rule, read_rule, write_rule
from hormesis.step import Step


class Recipe:
    """Named noises in order, each with the probability that it touches a row at all.

    Parameters
    ----------
    steps : sequence of Noise or Step, or one Noise
        Names are unique: the default is the class in kebab case.
    seed : int
        The seed that `apply` uses unless it is given another.
    rules : sequence of Rule or plain data, or one of them
        What keeps rows plausible (`hormesis.rules`): a row that kept a rule keeps it after each step, or a warning says
        how many rows do not. None given: those that the steps bring along from another recipe.

    Raises
    ------
    RecipeError
        Two steps of one name, or something that is not a noise.

    Examples
    --------
    >>> from hormesis.noise import GaussianNoise, MissingValues
    >>> recipe = Recipe([GaussianNoise(0.1), MissingValues(0.2, columns=["income"])])
    >>> print(recipe.to_yaml())
    seed: 0
    steps:
    - noise: GaussianNoise
      level: 0.1
    - noise: MissingValues
      level: 0.2
      columns:
      - income
    """

    def __init__(
        self,
        steps: "Noise | Step | Recipe | Sequence[Noise | Step]",
        seed: int = 0,
        rules: Rule | Mapping[str, Any] | Sequence[Rule | Mapping[str, Any]] = (),
    ) -> None:
        several = [rules] if isinstance(rules, Rule | Mapping | str) else rules
        said = tuple(read_rule(rule) for rule in several)
        made: list[Step] = []
        for step in _given(steps):
            if not isinstance(step, Noise | Step):
                raise RecipeError(f"A recipe holds noises such as GaussianNoise(0.1); {step!r} was given.")
            made.append(step if isinstance(step, Step) else Step(step))
        names = [s.name for s in made]
        repeated = sorted({n for n in names if names.count(n) > 1})
        if repeated:
            raise RecipeError(
                f"Two steps are named {listed(repeated)}: give each its own name, as it addresses the noise."
            )
        self.rules = said or tuple(dict.fromkeys(rule for step in made for rule in step.rules))
        self.steps = tuple(dataclasses.replace(s, rules=s.rules or self.rules) for s in made)
        self.seed = seed

    def apply(
        self,
        data: Any,
        *,
        seed: int | None = None,
        profile: Profile | None = None,
        row_id: str | int | None = None,
        allow_duplicate_ids: bool = False,
    ) -> Any:
        """Return a noisy copy of a table, all steps in order; arguments as in `Noise.apply`."""
        table = open_table(data)
        used = self.seed if seed is None else seed
        draw = draw_of(table, used, row_id, allow_duplicate_ids=allow_duplicate_ids)
        return self.touch(table, profile_for(data, profile), draw, row_id)[0].close()

    def training_copy(
        self, data: Any, *, copy: int, profile: Profile | None = None, seed: int | None = None
    ) -> Any:
        """Return fresh noise for one training copy or epoch, as models take it: its number is part of the address."""
        return self.training_rows(data, copy=copy, profile=profile, seed=seed)[0]

    def training_rows(
        self, data: Any, *, copy: int, profile: Profile | None = None, seed: int | None = None
    ) -> tuple[Any, NDArray[np.intp]]:
        """Return a training copy, and the row of `data` that each of its rows comes from."""
        table = open_table(data)
        draw = draw_of(table, key(self.seed if seed is None else seed, "copy", copy))
        table, draw = self.touch(table, profile_for(data, profile), draw)
        rows = np.arange(table.rows) if draw.origin is None else draw.origin
        return for_models(table.close(), table.widened), rows

    def touch(self, table: Table, profile: Profile, draw: Draw, row_id: str | int | None = None) -> Opened:
        """Add all steps to an open table; return the table and its rows' randomness."""
        for rule in self.rules:
            rule.check(table)
        altered = False
        for step in self.steps:
            here = step.where_left(table, profile) if altered else step
            table, draw = here.touch(table, profile, draw, row_id)
            altered = altered or step.noise.changes == "schema"
        return table, draw

    @property
    def history(self) -> int:
        """Rows before its own that a row's noise needs."""
        return sum(s.noise.history for s in self.steps)

    @property
    def features(self) -> "Recipe":
        """The steps that change features."""
        return Recipe([s for s in self.steps if s.noise.changes != "labels"], self.seed, self.rules)

    @property
    def labels(self) -> "Recipe":
        """The steps that change labels, without the rules, which speak of features."""
        labels = [s for s in self.steps if s.noise.changes == "labels"]
        return Recipe([dataclasses.replace(s, rules=()) for s in labels], self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain data."""
        rules = {"rules": [write_rule(r) for r in self.rules]} if self.rules else {}
        return {"seed": self.seed, "steps": [s.to_dict() for s in self.steps], **rules}

    def to_yaml(self) -> str:
        """Return the recipe as YAML."""
        data = self.to_dict()
        readable = json.dumps(data, ensure_ascii=False).isprintable()  # PyYAML breaks lines at odd characters
        return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=readable))

    def to_json(self) -> str:
        """Return the recipe as JSON."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read plain data; all mistakes are reported at once, each with its path and the nearest valid word."""
        steps, mistakes = read_steps(data)
        if mistakes:
            raise RecipeError("\n".join(mistakes))
        return cls(steps, data.get("seed", 0), data.get("rules") or ())

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read YAML."""
        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RecipeError(f"The recipe is not YAML: {' '.join(str(error).split())}") from None
        return cls.from_dict(data)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read JSON."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise RecipeError(f"The recipe is not JSON: {error}.") from None
        return cls.from_dict(data)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a recipe file: JSON where its name ends so, else YAML."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"The recipe `{path}` cannot be read: {error}.") from None
        return cls.from_json(text) if Path(path).suffix == ".json" else cls.from_yaml(text)

    def __repr__(self) -> str:
        rules = f", rules={list(self.rules)!r}" if self.rules else ""
        return f"Recipe([{', '.join(map(_shown, self.steps))}], seed={self.seed}{rules})"

    def __eq__(self, other: object) -> bool:
        parts = (self.steps, self.seed, self.rules)
        return isinstance(other, Recipe) and parts == (other.steps, other.seed, other.rules)

    def __hash__(self) -> int:
        return hash(repr(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda v: v if isinstance(v, Recipe) else cls.from_dict(v),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda r: r.to_dict()),
        )


def _given(steps: Any) -> Iterable[Any]:
    if isinstance(steps, Recipe):
        return steps.steps
    return steps if isinstance(steps, Iterable) and not isinstance(steps, str) else [steps]


def _shown(step: Step) -> str:
    plain = step.name == step.noise.name and step.probability == 1
    return repr(step.noise) if plain else repr(step)


def repeat_seed(seed: int, repeat: int) -> tuple[int, bool]:
    """Return the seed and the mirror of a repeat: repeats come in antithetic pairs (0 and 1, 2 and 3, ...)."""
    return (seed if repeat < 2 else key(seed, "repeat", repeat // 2)), bool(repeat % 2)


def noisy(
    step: Step,
    data: Any,
    profile: Profile,
    *,
    seed: int,
    repeat: int = 0,
    ids: NDArray[np.int64] | None = None,
) -> tuple[Any, dict[str | int, str]]:
    """Return one repeat of one step as models take it, rows known by `ids` or by position, and the columns that it widened."""
    table = open_table(data)
    own, mirror = repeat_seed(seed, repeat)
    draw = draw_of(table, own, mirror=mirror) if ids is None else Draw(lane(ids), own, mirror=mirror, ids=ids)
    table, _ = step.touch(table, profile, draw)
    return for_models(table.close(), table.widened), table.widened

"""Noises in order, each with a name and a probability; to and from YAML and JSON."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from hormesis.columns import Table
from hormesis.errors import RecipeError, listed, nearest
from hormesis.frames import for_models, open_table
from hormesis.key import Draw, key
from hormesis.noise import CATALOGUE, Noise
from hormesis.noise.base import Mistakes, row_lanes
from hormesis.noise.worst import WorstCase
from hormesis.profile import Profile

_STEP_WORDS = ("noise", "name", "probability")


@dataclasses.dataclass(frozen=True)
class Step:
    """One noise of a recipe: its name is part of the address of its randomness."""

    noise: Noise
    name: str = ""
    probability: float = 1.0

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.noise.name)
        if isinstance(self.probability, bool) or not 0 <= self.probability <= 1:
            raise RecipeError(
                f"`{self.name}`: probability is {self.probability}; it is a share of rows, 0 to 1."
            )

    def at(self, level: float) -> "Step":
        """Return the same step at another dose."""
        return dataclasses.replace(self, noise=self.noise.at(level))

    def touch(self, table: Table, profile: Profile, draw: Draw, row_id: str | int | None = None) -> None:
        """Add the step's noise to an open table."""
        here = draw.within(self.name)
        only = here.below(self.probability, "row") if self.probability < 1 else None
        self.noise.touch(table, profile, here, row_id=row_id, only=only)

    def to_dict(self) -> dict[str, Any]:
        """Return the step as plain data, defaults left out (the level is always said)."""
        kind = type(self.noise)
        if isinstance(self.noise, WorstCase):
            settings = self.noise.settings()
        else:
            settings = TypeAdapter(kind).dump_python(self.noise, mode="json", exclude_defaults=True)
        out: dict[str, Any] = {"noise": kind.__name__}
        if self.name != self.noise.name:
            out["name"] = self.name
        out |= {"level": self.noise.level} | settings
        if self.probability < 1:
            out["probability"] = self.probability
        return out


class Recipe:
    """Named noises in order, each with the probability that it touches a row at all.

    Parameters
    ----------
    steps : sequence of Noise or Step, or one Noise
        Names are unique: the default is the class in kebab case.
    seed : int
        The seed that `apply` uses unless it is given another.

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

    def __init__(self, steps: "Noise | Step | Recipe | Sequence[Noise | Step]", seed: int = 0) -> None:
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
        self.steps = tuple(made)
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
        lanes = row_lanes(table, row_id, allow_duplicate_ids=allow_duplicate_ids)
        draw = Draw(lanes, self.seed if seed is None else seed)
        self.touch(table, profile or Profile.of(table), draw, row_id)
        return table.close()

    def training_copy(
        self, data: Any, *, copy: int, profile: Profile | None = None, seed: int | None = None
    ) -> Any:
        """Return fresh noise for one training copy or epoch, as models take it: its number is part of the address."""
        table = open_table(data)
        draw = Draw(row_lanes(table, None), key(self.seed if seed is None else seed, "copy", copy))
        self.touch(table, profile or Profile.of(table), draw)
        return for_models(table.close(), table.widened)

    def touch(self, table: Table, profile: Profile, draw: Draw, row_id: str | int | None = None) -> None:
        """Add all steps to an open table."""
        for step in self.steps:
            step.touch(table, profile, draw, row_id)

    @property
    def features(self) -> "Recipe":
        """The steps that change features."""
        return Recipe([s for s in self.steps if not s.noise.changes_labels], self.seed)

    @property
    def labels(self) -> "Recipe":
        """The steps that change labels."""
        return Recipe([s for s in self.steps if s.noise.changes_labels], self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain data."""
        return {"seed": self.seed, "steps": [s.to_dict() for s in self.steps]}

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
        steps, mistakes = _read(data)
        if mistakes:
            raise RecipeError("\n".join(mistakes))
        return cls(steps, data.get("seed", 0))

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
        return f"Recipe([{', '.join(map(_shown, self.steps))}], seed={self.seed})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and (self.steps, self.seed) == (other.steps, other.seed)

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


def _read(data: Any) -> tuple[list[Step], list[str]]:
    if not isinstance(data, Mapping) or not isinstance(data.get("steps"), list):
        return [], ["A recipe is a mapping with a list of `steps`, each with a `noise` and its settings."]
    mistakes = [
        f"{w}: unknown word; a recipe has `seed` and `steps`.{nearest(w, ['seed', 'steps'])}"
        for w in data
        if w not in ("seed", "steps")
    ]
    if isinstance(data.get("seed", 0), bool) or not isinstance(data.get("seed", 0), int):
        mistakes.append(f"seed: {data['seed']!r} was given; a seed is a whole number.")
    steps: list[Step] = []
    seen: set[str] = set()
    for i, given in enumerate(data["steps"]):
        step, wrong = _read_step(given)
        mistakes += [f"steps[{i}]: {w}" for w in wrong]
        if step is not None:
            steps.append(step)
            if step.name in seen:
                mistakes.append(
                    f"steps[{i}].name: `{step.name}` is taken by an earlier step; names address noise and are unique."
                )
            seen.add(step.name)
    return steps, mistakes


def _read_step(given: Any) -> tuple[Step | None, list[str]]:
    if not isinstance(given, Mapping) or "noise" not in given:
        return None, [f"{given!r} was given; a step is a mapping with a `noise` and its settings."]
    kind = CATALOGUE.get(given["noise"]) if isinstance(given["noise"], str) else None
    if kind is None:
        return None, [
            f"noise `{given['noise']}` is unknown.{nearest(given['noise'], CATALOGUE)} `hormesis noises` lists them."
        ]
    wrong: list[str] = []
    probability = given.get("probability", 1.0)
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        wrong.append(f"probability: {probability!r} was given; it is the share of rows touched, 0 to 1.")
    if not isinstance(given.get("name", ""), str):
        wrong.append(f"name: {given['name']!r} was given; a name is text.")
    try:
        made = kind(**{str(k): v for k, v in given.items() if k not in _STEP_WORDS})
    except Mistakes as error:
        return None, wrong + error.said
    return (None if wrong else Step(made, given.get("name", ""), float(probability))), wrong


def schema() -> dict[str, Any]:
    """Return the JSON schema of recipe files, from the same types that check the settings."""
    steps = []
    definitions: dict[str, Any] = {}
    for name, kind in sorted(CATALOGUE.items()):
        made = TypeAdapter(kind).json_schema()
        definitions |= made.pop("$defs", {})
        made["title"] = name
        made["description"] = (kind.__doc__ or "").split("\n")[0]
        made["properties"] = {
            "noise": {"const": name},
            "name": {"type": "string", "default": kind().name},
            **made["properties"],
            "probability": {"type": "number", "minimum": 0, "maximum": 1, "default": 1.0},
        }
        made["required"] = ["noise"]
        steps.append(made)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hormesis recipe",
        "type": "object",
        "properties": {
            "seed": {"type": "integer", "default": 0},
            "steps": {"type": "array", "items": {"oneOf": steps}},
        },
        "required": ["steps"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def repeat_seed(seed: int, repeat: int) -> tuple[int, bool]:
    """Return the seed and the mirror of a repeat: repeats come in antithetic pairs (0 and 1, 2 and 3, ...)."""
    return (seed if repeat < 2 else key(seed, "repeat", repeat // 2)), bool(repeat % 2)


def noisy(
    step: Step, data: Any, profile: Profile, *, seed: int, repeat: int = 0
) -> tuple[Any, dict[str | int, str]]:
    """Return one repeat of one step as models take it, rows known by position, and the columns that it widened."""
    table = open_table(data)
    own, mirror = repeat_seed(seed, repeat)
    step.touch(table, profile, Draw(row_lanes(table, None), own, mirror=mirror))
    return for_models(table.close(), table.widened), table.widened


def rates(before: Any, after: Any) -> dict[str | int, float]:
    """Return the share of really changed cells of each column that changed at all."""
    from hormesis.frames import column_changed

    a, b = open_table(before), open_table(after)
    shares = (
        {a.names[j]: float(np.mean(column_changed(a, b, j))) for j in range(len(a.names))} if a.rows else {}
    )
    return {name: share for name, share in shares.items() if share}

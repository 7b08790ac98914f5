"""Recipes in plain data: every mistake at once, and the schema of the files."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from hormesis.errors import SettingError, nearest
from hormesis.noise import CATALOGUE
from hormesis.noise.base import Mistakes
from hormesis.rules import KINDS, read_rule
from hormesis.step import Step

_WORDS = ("seed", "steps", "rules")
_STEP_WORDS = ("noise", "name", "probability")


def read_steps(data: Any) -> tuple[list[Step], list[str]]:
    """Return the steps of plain data, and every mistake with its path."""
    if not isinstance(data, Mapping) or not isinstance(data.get("steps"), list):
        return [], ["A recipe is a mapping with a list of `steps`, each with a `noise` and its settings."]
    mistakes = [
        f"{w}: unknown word; a recipe has `seed`, `steps` and `rules`.{nearest(w, _WORDS)}"
        for w in data
        if w not in _WORDS
    ]
    mistakes += _wrong_rules(data.get("rules"))
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


def _wrong_rules(given: Any) -> list[str]:
    if not isinstance(given, list | None):
        return [f"rules: {given!r} was given; rules are a list."]
    wrong = []
    for i, rule in enumerate(given or ()):
        try:
            read_rule(rule)
        except SettingError as error:
            wrong.append(f"rules[{i}]: {error}")
    return wrong


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
    steps = [_step_schema(name, kind) for name, kind in sorted(CATALOGUE.items())]
    definitions = {word: made for step in steps for word, made in step.pop("$defs", {}).items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hormesis recipe",
        "type": "object",
        "properties": {
            "seed": {"type": "integer", "default": 0},
            "steps": {"type": "array", "items": {"oneOf": steps}},
            "rules": {
                "type": "array",
                "items": {"oneOf": [TypeAdapter(k).json_schema() for k in KINDS.values()]},
            },
        },
        "required": ["steps"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _step_schema(name: str, kind: type[Any]) -> dict[str, Any]:
    made = TypeAdapter(kind).json_schema()
    made["title"] = name
    made["description"] = (kind.__doc__ or "").split("\n")[0]
    made["properties"] = {
        "noise": {"const": name},
        "name": {"type": "string", "default": kind().name},
        **made["properties"],
        "probability": {"type": "number", "minimum": 0, "maximum": 1, "default": 1.0},
    }
    made["required"] = ["noise"]
    return made

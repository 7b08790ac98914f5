"""The catalogue in words: every noise in a line, or one with its settings, ranges and source."""

from inspect import cleandoc
from typing import Any

from hormesis.errors import SettingError, nearest


def all_noises() -> list[str]:
    """Return a line for each noise: name, unit of the level, what it does."""
    from hormesis.noise import CATALOGUE
    from hormesis.noise.base import unit_of

    wide = max(map(len, CATALOGUE)) + 2
    return [
        f"{name:<{wide}}{unit_of(kind).name:<10}{(kind.__doc__ or '').splitlines()[0]}"
        for name, kind in sorted(CATALOGUE.items())
    ]


def one_noise(name: str) -> list[str]:
    """Return the description of a noise, then a line for each of its settings.

    Raises
    ------
    SettingError
        No such noise.
    """
    from pydantic import TypeAdapter

    from hormesis.noise import CATALOGUE

    found = {n.lower(): n for n in CATALOGUE}.get(name.lower())
    if found is None:
        raise SettingError(
            f"Noise `{name}` is unknown.{nearest(name, CATALOGUE)} `hormesis noises` lists them."
        )
    settings = TypeAdapter(CATALOGUE[found]).json_schema()["properties"]
    head = f"{found}\n\n{cleandoc(CATALOGUE[found].__doc__ or '')}\n\nSettings"
    wide = max(map(len, settings)) + 2
    rules = {name: _rule(rule) for name, rule in settings.items()}
    return [head, *(f"  {n:<{wide}}{r:<33} default {settings[n].get('default')}" for n, r in rules.items())]


def _rule(rule: dict[str, Any]) -> str:
    if "anyOf" in rule:
        return " or ".join(_rule(r) for r in rule["anyOf"])
    if "enum" in rule:
        return " or ".join(map(repr, rule["enum"]))
    said = str(rule.get("type") or rule.get("$ref", "").split("/")[-1])
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<="}
    return ", ".join([said, *(f"{sign} {rule[word]:g}" for word, sign in bounds.items() if word in rule)])

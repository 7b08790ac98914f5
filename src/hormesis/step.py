"""A step of a recipe: one noise with a name, a probability and the rules that rows keep under it."""

import dataclasses
from numbers import Real
from typing import Any

from pydantic import TypeAdapter

from hormesis.columns import Table
from hormesis.errors import RecipeError
from hormesis.key import Draw
from hormesis.noise import Noise
from hormesis.noise.base import Opened
from hormesis.noise.worst import WorstCase
from hormesis.profile import Profile
from hormesis.rules import Keeper, Rule


@dataclasses.dataclass(frozen=True)
class Step:
    """One noise of a recipe: its name is part of the address of its randomness."""

    noise: Noise
    name: str = ""
    probability: float = 1.0
    rules: tuple[Rule, ...] = dataclasses.field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.noise.name)
        share: Any = self.probability
        if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= float(share) <= 1:
            raise RecipeError(f"`{self.name}`: probability is {share!r}; it is a share of rows, 0 to 1.")

    def at(self, level: float) -> "Step":
        """Return the same step at another dose."""
        return dataclasses.replace(self, noise=self.noise.at(level))

    def where_left(self, table: Table, profile: Profile) -> "Step":
        """Return the step on those of its columns that an earlier noise left: for cells, in their type too."""
        if self.noise.changes not in ("cells", "schema"):
            return self
        typed = self.noise.changes == "cells"
        left = [n for n in self.noise.targets(profile) if n in table.names]
        kept = tuple(n for n in left if not typed or _as_learnt(table, n, profile))
        return dataclasses.replace(self, noise=self.noise.on(kept))

    def touch(self, table: Table, profile: Profile, draw: Draw, row_id: str | int | None = None) -> Opened:
        """Add the step's noise to an open table; return the table and its rows' randomness."""
        here = dataclasses.replace(draw.within(self.name), origin=None)
        only = here.below(self.probability, "row") if self.probability < 1 else None
        keeper = Keeper(self.rules, table)
        table, after = self.noise.touch(table, profile, here, row_id=row_id, only=only)
        keeper.keep(table, after.origin, self.name)
        first = after.origin if draw.origin is None or after.origin is None else draw.origin[after.origin]
        return table, dataclasses.replace(
            after, path=draw.path, origin=draw.origin if first is None else first
        )

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


def _as_learnt(table: Table, name: str | int, profile: Profile) -> bool:
    numeric = table.dtype(table.names.index(name)) in ("number", "integer", "datetime")
    return numeric == (profile[name].kind in ("number", "integer", "datetime"))

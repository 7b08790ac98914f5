"""Units of levels: what a dose counts, said in the type of the level."""

import dataclasses
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval, Predicate
from pydantic import AfterValidator


@dataclasses.dataclass(frozen=True)
class Unit:
    """What a level counts; carried by the level's type."""

    name: str
    of: str

    @property
    def rule(self) -> str:
        """The unit and its range, as messages and help say it."""
        if self.name in ("fraction", "rank"):
            return f"a fraction of {self.of}, 0 to 1"
        return f"a number of {self.of}, 0 or more"

    def mend(self, value: object) -> str:
        """Return a question after the level that was meant, where it seems to be given in percent."""
        if self.name != "fraction" or not isinstance(value, int | float) or not 1 < value <= 100:
            return ""
        return f" Did you mean {value / 100:g}?"


def _scales(factor: float) -> bool:
    return factor != 1


def _checked(factor: float) -> float:
    if not _scales(factor):
        raise ValueError("a factor other than 1, which changes nothing")
    return factor


Fraction = Annotated[float, Interval(ge=0, le=1), Unit("fraction", "cells")]
LabelFraction = Annotated[float, Interval(ge=0, le=1), Unit("fraction", "labels")]
RowFraction = Annotated[float, Interval(ge=0, le=1), Unit("fraction", "rows")]
ColumnFraction = Annotated[float, Interval(ge=0, le=1), Unit("fraction", "columns")]
Ranks = Annotated[float, Interval(ge=0, le=1), Unit("rank", "the training ranks")]
Sigmas = Annotated[float, Ge(0), Unit("sigma", "robust standard deviations of the training data")]
Relative = Annotated[float, Ge(0), Unit("relative", "relative standard deviations")]
Epsilons = Annotated[float, Ge(0), Unit("epsilon", "spreads of the training data")]
Positive = Annotated[float, Gt(0)]
Factor = Annotated[float, Gt(0), AfterValidator(_checked), Predicate(_scales)]
Columns = str | tuple[str | int, ...]


def unit_of(kind: Any) -> Unit:
    """Return the unit of a noise class, read from the type of its level."""
    level: Any = kind.__dataclass_fields__["level"].type
    return next(m for m in level.__metadata__ if isinstance(m, Unit))

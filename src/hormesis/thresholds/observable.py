"""What of each noise can be seen in one batch: the quantity, its value in training, its value at any level."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from hormesis.columns import Table
from hormesis.frames import open_table
from hormesis.limits import Bound, Quantity, Side
from hormesis.noise import Noise, Where
from hormesis.profile import ColumnProfile, Profile
from hormesis.step import Step
from hormesis.thresholds.measuring import reading

SEEN: dict[str, Quantity] = {
    "MissingValues": "missing",
    "Masking": "equal",
    "Placeholders": "equal",
    "Outliers": "outside",
    "UnitErrors": "outside",
    "SignErrors": "outside",
    "UnseenCategory": "unknown",
    "Typos": "unknown",
    "OCRErrors": "unknown",
    "Homoglyphs": "unknown",
    "CaseErrors": "unknown",
    "WhitespaceErrors": "unknown",
    "Truncation": "unknown",
    "EncodingErrors": "unknown",
    "Rounding": "coarse",
    "LowPrecision": "coarse",
    "Clipping": "pinned",
    "Shift": "shifted",
    "UnitChange": "shifted",
    "MissingColumn": "absent",
    "RenamedColumn": "absent",
    "NumbersAsText": "retyped",
    "DateFormat": "retyped",
}
_SPREAD = "a batch shows values and noise together: its spread grows for other reasons too"
_PLAUSIBLE = "each cell it writes is one that training holds: no single batch shows which are wrong"
UNSEEN: dict[str, str] = {
    "GaussianNoise": _SPREAD,
    "UniformNoise": _SPREAD,
    "MultiplicativeNoise": _SPREAD,
    "QuantileNoise": _PLAUSIBLE,
    "SwapNoise": _PLAUSIBLE,
    "CategorySwap": _PLAUSIBLE,
    "ShuffledRows": _PLAUSIBLE,
    "StuckColumn": "how often a value follows itself is not known of the training data",
    "SwappedColumns": "the columns it swaps are of one type: no name and no type tells",
    "ReorderedColumns": "it is no matter of how much: pandera's `DataFrameSchema(ordered=True)` holds the order",
}
_LEAST = 0.1  # of the hit cells must show, or a limit drowns in what training shows already
_ROWS = 1024
_FENCE = 0.9  # of the way to where outliers are thrown: integers are rounded there


@dataclasses.dataclass(frozen=True)
class Sight:
    """What one column of a batch shows under a noise: its bound yet without limits, and its value at a level.

    Of a noise that hits a column whole or not at all, level 0 is the most that can pass for a column not hit.
    """

    bound: Bound
    at: Callable[[float], float]


class Unseen(Exception):  # noqa: N818 (no error: a reason that is told)
    """Nothing of a noise can be seen in a column; the message says why."""


def sight(step: Step, column: ColumnProfile, profile: Profile) -> Sight:
    """Return what a column shows under a step.

    Raises
    ------
    Unseen
        Nothing, and why.
    """
    quantity = SEEN[type(step.noise).__name__]
    bare = Bound(column.name, column.kind, baseline=0.0)
    if quantity in ("absent", "retyped"):
        return Sight(bare, lambda level: level)
    if quantity == "missing":
        return _linear(dataclasses.replace(bare, baseline=column.missing_rate), 1.0, step.probability)
    if not column.count:
        raise Unseen("training holds no value of it")
    if quantity == "shifted":
        return _shifted(step, column)
    if quantity == "pinned":
        return _pinned(step, column, profile)
    return _share(step, column, profile, quantity)


def training_column(column: ColumnProfile) -> Any:
    """Return 1,024 values distributed as a column of the training data, as a frame of that column."""
    import pandas as pd

    ranks = (np.arange(_ROWS) + 0.5) / _ROWS
    if column.kind in ("category", "text", "boolean"):
        ends = np.cumsum(column.counts)
        code = np.searchsorted(ends, ranks * ends[-1], "right")
        values: Any = [column.categories[i] for i in code]
        values = pd.Categorical(values) if column.kind == "category" else values
    else:
        points = column.points[(ranks * column.points.size).astype(int)]
        values = pd.to_datetime(points) if column.kind == "datetime" else points
    return pd.DataFrame({column.name: values})


def _linear(bound: Bound, full: float, probability: float) -> Sight:
    """Each cell is hit by itself: the share goes in a straight line from the baseline to all cells hit."""
    start = bound.baseline or 0.0
    return Sight(bound, lambda level: start + (full - start) * level * probability)


def _everywhere(noise: Noise, name: str | int) -> Noise:
    """Return the noise at level 1 on one column."""
    found: dict[str, Any] = {f.name: getattr(noise, f.name) for f in dataclasses.fields(noise)}
    if "where" in found:
        found["where"] = Where()
    return type(noise)(**found | {"level": 1.0, "columns": (name,)})


def _share(step: Step, column: ColumnProfile, profile: Profile, quantity: Quantity) -> Sight:
    """Read the share before noise and with every cell hit, on values distributed as in training."""
    frame = training_column(column)
    noisy = open_table(_everywhere(step.noise, column.name).apply(frame, profile=profile))
    clean, plain = open_table(frame), step.to_dict()
    listed = sum(column.counts) / column.count if column.kind in ("category", "text") else 1.0
    rest = 1 - listed if quantity == "unknown" else 0.0  # values too rare for the profile's list
    best: tuple[float, Bound, float] | None = None
    for bound in _candidates(step.noise, column, quantity, noisy):
        before = rest + listed * reading(quantity, plain, bound, clean)
        full = rest + (1 - rest) * reading(quantity, plain, bound, noisy)
        if best is None or full - before > best[0] + 1e-9:
            best = full - before, dataclasses.replace(bound, baseline=before), full
    assert best is not None
    gap, bound, full = best
    if gap < _LEAST:
        raise Unseen("what it makes of this column cannot be told from the training data")
    where = getattr(step.noise, "where", Where())
    if where.mechanism == "MNAR" and not where.flat and gap < 0.99:
        raise Unseen("which cells go bad depends on their own values, and not all of them show it")
    return _linear(bound, full, step.probability)


def _candidates(noise: Noise, column: ColumnProfile, quantity: Quantity, noisy: Table) -> list[Bound]:
    """Return bounds that may show a noise, the plainest first."""
    bare = Bound(column.name, column.kind)
    if quantity == "unknown":
        if column.kind != "category":
            raise Unseen("free text has no list of known values")
        return [dataclasses.replace(bare, known=column.categories)]
    if quantity == "equal":
        value = noisy.pick(0, np.arange(1)).tolist()[0]
        return [dataclasses.replace(bare, value=value)]
    ends = [(float(column.points[0]), float(column.points[-1]))]
    if quantity == "outside" and hasattr(noise, "magnitude") and column.spread and column.center is not None:
        far = _FENCE * noise.magnitude * column.spread
        ends.append((column.center - far, column.center + far))
    return [dataclasses.replace(bare, smallest=low, largest=high) for low, high in ends]


def _pinned(step: Step, column: ColumnProfile, profile: Profile) -> Sight:
    """Clipping is the same for every seed: read the share at each level."""
    frame, plain = training_column(column), step.to_dict()
    bare = Bound(column.name, column.kind)

    def at(level: float) -> float:
        noise = step.noise.on((column.name,)).at(min(level, 1.0))
        return reading("pinned", plain, bare, open_table(noise.apply(frame, profile=profile)))

    if step.probability < 1 or at(1.0) - at(0.0) < _LEAST:
        raise Unseen(
            "the ends of a column that is clipped in some rows alone, or has few values, do not tell"
        )
    return Sight(dataclasses.replace(bare, baseline=at(0.0)), at)


def _shifted(step: Step, column: ColumnProfile) -> Sight:
    center, spread = column.center, column.spread
    if step.probability < 1 or not spread or center is None:
        raise Unseen("the median of a column that is constant, or moves in some rows alone, does not tell")
    bound = Bound(column.name, column.kind, baseline=0.0, center=center, spread=spread)
    if hasattr(step.noise, "factor"):
        moved = (step.noise.factor - 1) * center / spread
        if abs(moved) < 1:
            raise Unseen("the change of unit moves its median by less than one spread")
        bound = dataclasses.replace(bound, side="up" if moved > 0 else "down")
        return Sight(bound, lambda level: abs(moved) * (1 + level) / 2)  # stop half the way to the other unit
    sides: dict[str, Side] = {"random": "both", "up": "up", "down": "down"}
    bound = dataclasses.replace(bound, side=sides[getattr(step.noise, "direction", "random")])
    whole = column.kind == "integer"
    return Sight(bound, lambda level: round(level * spread) / spread if whole else level)

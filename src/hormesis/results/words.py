"""Levels, intervals and names of noises, said in words."""

from collections.abc import Sequence

_OF = {"rank": " of ranks", "relative": " of the value"}


def spoken(level: float, unit: str) -> str:
    """Say a level with its unit.

    >>> spoken(0.125, "fraction"), spoken(0.5, "sigma"), spoken(0.1, "epsilon"), spoken(0.2, "rank")
    ('12.5 %', '0.5 sd', 'epsilon 0.1', '20 % of ranks')
    """
    if unit == "epsilon":
        return f"epsilon {level:.3g}"
    return f"{level:.3g} sd" if unit == "sigma" else f"{100 * level:.3g} %{_OF.get(unit, '')}"


def apart(size: float, unit: str) -> str:
    """Say how far two levels lie apart; levels in percent differ by points.

    >>> apart(0.08, "fraction"), apart(0.01, "rank"), apart(0.4, "sigma"), apart(0.05, "epsilon")
    ('8 points', '1 point', '0.4 sd', '0.05 in epsilon')
    """
    if unit in ("sigma", "epsilon"):
        return f"{size:.3g} {'sd' if unit == 'sigma' else 'in epsilon'}"
    points = f"{100 * size:.3g}"
    return f"{points} point{'' if points == '1' else 's'}"


def within(low: float, high: float) -> str:
    """Say an interval of scores or drops.

    >>> within(0.0041, 0.038)
    '[0.004, 0.038]'
    """
    return f"[{low:.3f}, {high:.3f}]"


def title(name: str) -> str:
    """Say the name of a step: ``missing-values`` is `missing values`."""
    return name.replace("-", " ")


def fewer(rows: Sequence[int], every: int) -> str | None:
    """Say that some levels were measured on fewer than all rows; None where none was.

    >>> fewer((312, 10_000, 156), 10_000), fewer((100, 400), 400), fewer((400, 400), 400)
    ('measured on 156 to 10,000 of 10,000 rows', 'measured on 100 to 400 of 400 rows', None)
    """
    if not rows or min(rows) >= every:
        return None
    span = f"{min(rows):,}" if min(rows) == max(rows) else f"{min(rows):,} to {max(rows):,}"
    return f"measured on {span} of {every:,} rows"

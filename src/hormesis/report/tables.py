"""The tables of a report: break points, the dose ladder and everything measured."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from hormesis.proof import HardenResult, Trial
from hormesis.report.words import cut, interval, level_verdict, number, share, verdict
from hormesis.results import BreakPoint, Curve, Numbers, StressResult, spoken, title
from hormesis.results.tables import idle
from hormesis.results.words import fewer

MOST_ROWS = 600
MOST_FOUND = 200


@dataclass(frozen=True)
class Cell:
    """A text of a table, with the verdict that its mark shows."""

    text: str
    verdict: str = ""


@dataclass(frozen=True)
class Table:
    """Columns and rows, and how many rows were left out."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left: int

    @classmethod
    def of(
        cls, items: Iterable[Any], row: Callable[[Any], dict[str, str | Cell]], most: int = MOST_FOUND
    ) -> "Table":
        """Make a row of each of the first items; a column that is empty everywhere is left out."""
        found = list(items)
        shown = [{name: _cell(c) for name, c in row(item).items()} for item in found[:most]]
        head = tuple(name for name in (shown[0] if shown else ()) if any(line[name].text for line in shown))
        rows = tuple(tuple(line[name] for name in head) for line in shown)
        return cls(head, rows, len(found) - len(rows))


def _cell(content: str | Cell) -> Cell:
    return content if isinstance(content, Cell) else Cell(content)


def _verdict(point: BreakPoint) -> Cell:
    return Cell(verdict(point), point.verdict)


class Named(Protocol):
    """Anything about one noise, model and scorer."""

    @property
    def noise(self) -> str:
        """Name of the noise."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def scoring(self) -> str:
        """Name of the scorer."""


def naming(result: StressResult) -> Callable[[Named], dict[str, str | Cell]]:
    """Return what names the noise of a row, and its model and scorer where there are several."""
    models, scorers = len(result.models) > 1, len(result.scoring) > 1

    def who(found: Named) -> dict[str, str | Cell]:
        return {
            "noise": cut(title(found.noise), 60),
            "model": cut(found.model, 60) if models else "",
            "scorer": found.scoring if scorers else "",
        }

    return who


def break_points(result: StressResult) -> Table:
    """Where each model stops passing, one row per curve."""
    who = naming(result)

    def row(c: Curve) -> dict[str, str | Cell]:
        part = fewer(c.rows, result.provenance.rows) or ""
        return who(c) | {
            "verdict": Cell(verdict(c.break_point) + idle(c), c.break_point.verdict),
            "robustness": number(c.robustness),
            "rows": part.removeprefix("measured on "),
        }

    return Table.of(result.curves, row)


def at_break(result: StressResult) -> Table:
    """Say what happens at the first level that fails, or at the highest where none does."""
    who = naming(result)

    def row(measured: tuple[Curve, int]) -> dict[str, str | Cell]:
        c, i = measured
        return who(c) | {
            "level": "whole" if c.break_point.whole else spoken(c.levels[i], c.unit),
            "drop": interval(c.drop[i], c.drop_low[i], c.drop_high[i], signed=True),
            "predictions changed": _share(c.flips, i),
            "calibration error": _calibration(c, i),
            "rows that lose most": _worst(c, i),
        }

    return Table.of(((c, i) for c in result.curves for i in _place(c)), row)


def _place(curve: Curve) -> list[int]:
    """Return the index of the first level that fails, or of the highest; none where nothing was measured there."""
    fails = curve.break_point.fails_from
    level = fails if fails in curve.levels else curve.levels[-1]
    i = curve.levels.index(level)
    return [] if curve.drop[i] is None else [i]


def _worst(curve: Curve, i: int) -> str:
    """Say the part of the rows that loses most, where it is shown to lose."""
    worst = curve.worst[i] if curve.worst else None
    if worst is None:
        return ""
    return "no part shown to lose" if worst.low is None or worst.low <= 0 else cut(str(worst), 140)


def _share(numbers: Numbers, i: int) -> str:
    return share(numbers[i]) if numbers and numbers[i] is not None else ""


def _calibration(curve: Curve, i: int) -> str:
    """Say the calibration error on clean rows, and how much it grows at a level."""
    change = _change(curve, i)
    return f"{number(curve.clean_calibration)} clean, {change}" if change else ""


def before_and_after(result: HardenResult) -> Table:
    """Where the plain and the hardened model, if there is one, stop passing: a row per noise and scorer."""

    def row(before: Curve) -> dict[str, str | Cell]:
        after = next(result.proof.select("hardened", before.noise, before.scoring), None)
        return {
            "noise": title(before.noise),
            "trained on": result.part_of(before.noise),
            "scorer": before.scoring if len(result.proof.scoring) > 1 else "",
            "before": _verdict(before.break_point),
            "after": _verdict(after.break_point) if after else "",
            "robustness before": number(before.robustness),
            "robustness after": number(after.robustness) if after else "",
        }

    return Table.of(result.proof.select(model="plain"), row)


def ladder(result: HardenResult) -> Table:
    """Every recipe and dose that was tried inside the training part."""

    def row(trial: Trial) -> dict[str, str | Cell]:
        return {
            "recipe": cut(trial.recipe, 120),
            "dose": "" if trial.dose is None else f"{trial.dose:.3g}",
            "clean score": number(trial.clean),
            "robust score": number(trial.robust),
            "kept": Cell("kept", "passes") if trial.kept else Cell("no"),
            "note": cut(trial.note),
        }

    return Table.of(result.trials, row)


def everything(result: StressResult) -> Table:
    """Every level measured, what passed included."""
    who = naming(result)

    def row(measured: tuple[Curve, int]) -> dict[str, str | Cell]:
        c, i = measured
        said = level_verdict(c, i, result.max_drop)
        return who(c) | {
            "level": spoken(c.levels[i], c.unit),
            "verdict": Cell(said, said),
            "score": interval(c.score[i], c.score_low[i], c.score_high[i]),
            "drop": interval(c.drop[i], c.drop_low[i], c.drop_high[i], signed=True),
            "rows": f"{c.rows[i]:,}" if c.rows and min(c.rows) < result.provenance.rows else "",
            "cells changed": share(c.changed[i]),
            "predictions changed": _share(c.flips, i),
            "calibration error": _change(c, i),
            "error": cut(c.errors[i] or "", 120),
        }

    return Table.of(((curve, i) for curve in result.curves for i in range(len(curve.levels))), row, MOST_ROWS)


def _change(curve: Curve, i: int) -> str:
    ends = curve.calibration_change, curve.calibration_change_low, curve.calibration_change_high
    value, low, high = (side[i] if side else None for side in ends)
    return "" if value is None else interval(value, low, high, signed=True)

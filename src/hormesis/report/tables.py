"""The tables of a report: break points, the dose ladder and everything measured."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hormesis.proof import HardenResult, Trial
from hormesis.report.words import cut, interval, level_verdict, number, share, verdict
from hormesis.results import BreakPoint, Curve, StressResult, spoken, title

MOST_ROWS = 600


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
    def of(cls, items: Iterable[Any], row: Callable[[Any], dict[str, str | Cell]]) -> "Table":
        """Make a row of each of the first items; a column that is empty everywhere is left out."""
        found = list(items)
        shown = [{name: _cell(c) for name, c in row(item).items()} for item in found[:MOST_ROWS]]
        head = tuple(name for name in (shown[0] if shown else ()) if any(line[name].text for line in shown))
        rows = tuple(tuple(line[name] for name in head) for line in shown)
        return cls(head, rows, len(found) - len(rows))


def _cell(content: str | Cell) -> Cell:
    return content if isinstance(content, Cell) else Cell(content)


def _verdict(point: BreakPoint) -> Cell:
    return Cell(verdict(point), point.verdict)


def _who(curve: Curve, result: StressResult) -> dict[str, str | Cell]:
    return {
        "noise": cut(title(curve.noise), 60),
        "model": cut(curve.model, 60) if len(result.models) > 1 else "",
        "scorer": curve.scoring if len(result.scoring) > 1 else "",
    }


def break_points(result: StressResult) -> Table:
    """Where each model stops passing, one row per curve."""

    def row(c: Curve) -> dict[str, str | Cell]:
        return _who(c, result) | {"verdict": _verdict(c.break_point), "robustness": number(c.robustness)}

    return Table.of(result.curves, row)


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

    def row(measured: tuple[Curve, int]) -> dict[str, str | Cell]:
        c, i = measured
        said = level_verdict(c, i, result.max_drop)
        return _who(c, result) | {
            "level": spoken(c.levels[i], c.unit),
            "verdict": Cell(said, said),
            "score": interval(c.score[i], c.score_low[i], c.score_high[i]),
            "drop": interval(c.drop[i], c.drop_low[i], c.drop_high[i], signed=True),
            "cells changed": share(c.changed[i]),
            "error": cut(c.errors[i] or "", 120),
        }

    return Table.of(((curve, i) for curve in result.curves for i in range(len(curve.levels))), row)

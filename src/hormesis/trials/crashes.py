"""Crashes: on which share of the rows a model raises, found by asking about single rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hormesis.engine.blocks import rows_of, stacked
from hormesis.engine.measuring import Measured
from hormesis.engine.oracle import told_of
from hormesis.noise import WorstCase
from hormesis.results import Crash, Curve
from hormesis.step import Step

FIRST = 200  # rows in which changed ones are sought
ASKED = 20  # changed rows that are asked one at a time


def with_crashes(done: Measured, curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves with what each model raised, and on which share of the changed rows at the lowest level it did."""
    steps = {s.name: s for s in done.steps}
    known: dict[tuple[str, str], Crash] = {}
    out = []
    for curve in curves:
        raised = [i for i, error in enumerate(curve.errors) if error is not None]
        if not raised:
            out.append(curve)
            continue
        who = curve.model, curve.noise
        if who not in known:
            first = raised[0]
            known[who] = _crash(
                done, steps[curve.noise], curve.levels[first], curve.model, str(curve.errors[first])
            )
        out.append(replace(curve, crashes=tuple(_told(e, known[who]) for e in curve.errors)))
    return out


def _told(error: str | None, like: Crash) -> Crash | None:
    """Return a level's own error; the share is known where it is the error that was looked into."""
    if error is None:
        return None
    kind, _, message = error.partition(": ")
    return like if (kind, message) == (like.kind, like.message) else Crash(kind, message)


def _crash(done: Measured, step: Step, level: float, model: str, error: str) -> Crash:
    """Ask about changed rows one at a time."""
    kind, _, message = error.partition(": ")
    oracle, bench = done.readers[model].oracle, done.bench
    if not oracle.row_wise or isinstance(step.noise, WorstCase) or step.noise.changes == "schema":
        return Crash(kind, message)
    rows = bench.some(step.at(level), 0, min(bench.rows, FIRST), model, 0)
    raised, few = 0, np.flatnonzero(rows.changed)[:ASKED]
    for i in few:
        try:
            oracle.ask(stacked([rows_of(rows.table, np.array([i]))]))
        except Exception as caught:  # a model's crash is a result: any error of the user's code is recorded
            raised += told_of(caught).partition(": ")[0] == kind
    return Crash(kind, message, raised / few.size, int(few.size)) if raised else Crash(kind, message)

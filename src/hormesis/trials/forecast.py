"""A forecast of a run: which noises at which levels, how many predicted rows, about how long."""

import math
import time
from typing import Any

import numpy as np
from pydantic.dataclasses import dataclass

from hormesis.engine.bench import Bench
from hormesis.engine.measuring import Plan, Planned, ask_of
from hormesis.frames import library_of, part
from hormesis.models import single_thread
from hormesis.noise import WorstCase
from hormesis.results import STRICT, framed, spoken, title
from hormesis.results.tables import Columns, Library
from hormesis.trials.fragile import PAIRED, ROWS

TIMED = 1_000  # rows on which the models are timed
# Rows that an early-stopped search over 12 levels took in simulations, clean rows left out, in multiples of the test set.
TAKEN = {200: 7.2, 1_000: 4.5, 10_000: 1.9, 100_000: 0.7}
FRAME: Columns = {
    "noise": "text",
    "unit": "text",
    "levels": "whole",
    "from": "number",
    "to": "number",
    "how": "text",
    "draws": "whole",
    "rows_expected": "whole",
    "rows_at_most": "whole",
}


@dataclass(frozen=True, config=STRICT)
class PlannedNoise:
    """One noise of a plan: its levels, how they are gone through, and how many rows that takes, models together."""

    noise: str
    unit: str
    levels: tuple[float, ...]
    searched: bool
    draws: int
    rows_expected: int
    rows_at_most: int

    def __str__(self) -> str:
        low, high = spoken(self.levels[0], self.unit), spoken(self.levels[-1], self.unit)
        span = f"at {high}" if len(self.levels) == 1 else f"{len(self.levels)} levels from {low} to {high}"
        how = ", searched" if self.searched else ""
        draws = f", {self.draws} draws" if self.draws > 1 else ""
        return f"{title(self.noise)}: {span}{how}{draws}, about {self.rows_expected:,} rows"


@dataclass(frozen=True, config=STRICT)
class StressPlan:
    """What `stress` would run: `dry_run=True` returns it and runs nothing.

    Rows are predicted rows, clean ones included, models together; `ranking_rows` of them are for columns one at a time and in
    pairs; `seconds` are for the rows expected, from timing the models on few rows.
    """

    noises: tuple[PlannedNoise, ...]
    models: tuple[str, ...]
    scoring: tuple[str, ...]
    test_rows: int
    rows_expected: int
    rows_at_most: int
    seconds: float
    ranking_rows: int = 0
    library: Library = "pandas"

    def to_frame(self) -> Any:
        """Return one row per noise, in the user's library."""
        rows = (
            {
                "noise": n.noise,
                "unit": n.unit,
                "levels": len(n.levels),
                "from": n.levels[0],
                "to": n.levels[-1],
                "how": "search" if n.searched else "grid",
                "draws": n.draws,
                "rows_expected": n.rows_expected,
                "rows_at_most": n.rows_at_most,
            }
            for n in self.noises
        )
        return framed(rows, FRAME, self.library)

    def words(self) -> list[str]:
        """Return the plan line by line, the sum last."""
        multiple = self.rows_expected / max(self.test_rows, 1)
        ranked = (
            [f"columns ranked one at a time: about {self.ranking_rows:,} rows"] if self.ranking_rows else []
        )
        return [
            *map(str, self.noises),
            *ranked,
            f"about {self.rows_expected:,} predicted rows ({multiple:.1f} times the {self.test_rows:,} test rows), "
            f"{self.rows_at_most:,} at most; about {_lasting(self.seconds)}",
        ]

    def __repr__(self) -> str:
        return "\n".join(["StressPlan: nothing was run", *("  " + line for line in self.words())])


def forecast(bench: Bench, plan: Plan, *, row_wise: bool | None) -> StressPlan:
    """Return what a plan would take; the models are asked about a few clean rows to time them."""
    models = len(bench.models)
    noises = tuple(_noise(bench, p, models) for p in plan)
    clean = bench.rows * models
    fixed, slope = _pace(bench, row_wise=row_wise)
    ranking = _ranking(bench, plan) * models
    expected = clean + ranking + sum(n.rows_expected for n in noises)
    calls = sum(len(n.levels) for n in noises)
    return StressPlan(
        noises,
        tuple(bench.models),
        tuple(s.name for s in bench.scorers),
        bench.rows,
        expected,
        clean + ranking + sum(n.rows_at_most for n in noises),
        round(fixed * calls + slope * expected, 1),
        ranking,
        library_of(bench.X),
    )


def _ranking(bench: Bench, plan: Plan) -> int:
    """Return the rows that ranking columns takes at most, where they are tested alone."""
    if not any("@" in p.step.name for p in plan):
        return 0
    rows = min(bench.rows, ROWS)
    joint = [p.step for p in plan if "@" not in p.step.name and not isinstance(p.step.noise, WorstCase)]
    columns = [(s, len(s.noise.targets(bench.profile))) for s in joint if s.noise.least == 1]
    pairs = PAIRED * (PAIRED - 1) // 2
    return sum((n + pairs) * bench.draws(s) * rows for s, n in columns if n > 1)


def _noise(bench: Bench, planned: Planned, models: int) -> PlannedNoise:
    draws = bench.draws(planned.step)
    most = len(planned.levels) * draws * bench.rows * models
    expected = most
    if planned.search:
        taken = float(np.interp(math.log(bench.rows), [math.log(n) for n in TAKEN], list(TAKEN.values())))
        expected = min(most, round(taken * (len(planned.levels) / 12) ** 0.75 * draws**0.7 * bench.rows))
    return PlannedNoise(
        planned.step.name, planned.step.noise.unit, planned.levels, planned.search, draws, expected, most
    )


def _pace(bench: Bench, *, row_wise: bool | None) -> tuple[float, float]:
    """Return seconds per call and per row, the models together and averaged, from two sizes of tables."""
    with single_thread(bench.rows):
        oracles = ask_of(bench, row_wise=row_wise)
        few, more = part(bench.looked, 0, 50), part(bench.looked, 0, min(TIMED, bench.rows))
        taken = []
        for table in (few, more):
            started = time.perf_counter()
            for oracle in oracles.values():
                oracle.ask(table)
            taken.append((time.perf_counter() - started) / len(oracles))
    slope = max(taken[1] - taken[0], 0.0) / max(min(TIMED, bench.rows) - 50, 1)
    return max(taken[0] - 50 * slope, 0.0), slope


def _lasting(seconds: float) -> str:
    """Say a time.

    >>> _lasting(0.4), _lasting(75), _lasting(7300)
    ('1 s', '75 s', '122 min')
    """
    return f"{max(1, round(seconds))} s" if seconds < 120 else f"{round(seconds / 60)} min"

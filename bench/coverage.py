"""How often the intervals of stress hold the truth, in worlds where it is known, as tables in markdown.

`python bench/coverage.py` takes about ten minutes on a free core, `--quick` runs a twentieth of the simulations.
Everything is measured on the functions that `stress` uses: `hormesis.statistics` and `hormesis.scoring`.
"""

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from coverage_cells import (
    A,
    Cell,
    any_scorer,
    break_points,
    rankings,
    scores_and_drops,
    searches,
    shared_noise,
    two_models,
    ways_to_repeat,
)
from coverage_worlds import Linear, Numbers, Trees

TWO = ("accuracy", "roc_auc", "f1", "neg_log_loss")
REAL = ("neg_root_mean_squared_error", "r2", "neg_mean_absolute_error")
B = Linear("B rare, near perfect", tuple(np.linspace(0.03, 0.36, 12)), 10.0, 1.18)
C = Trees()
D = (Numbers("D normal errors", heavy=False), Numbers("D t4 errors", heavy=True))
G = (Linear("G equal groups", groups="equal"), Linear("G unequal groups", groups="unequal"))


def pivot(cells: Sequence[Cell]) -> str:
    """Return cells as a table: a line for each size and case, a column for each world and metric."""
    columns = list(dict.fromkeys((c.world, c.metric) for c in cells))
    lines = list(dict.fromkeys((c.what, c.n, c.case, c.sims) for c in cells))
    known = {(c.what, c.n, c.case, c.sims, c.world, c.metric): str(c) for c in cells}
    one = len({world for world, _ in columns}) == 1
    said = [metric if one else f"{world}: {metric}" for world, metric in columns]
    heads = ["of", "n", "case", "simulations", *said]
    body = [
        [line[0], f"{line[1]:,}", line[2], f"{line[3]:,}", *(known.get((*line, *c), "") for c in columns)]
        for line in lines
    ]
    marks = ["---"] * 4 + ["--:"] * len(said)
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, marks, *body])


def tables(share: float) -> dict[str, Callable[[], list[Cell]]]:
    """Return the tables by title; `share` of the simulations are run."""
    sizes = {n: max(int(sims * share), 20) for n, sims in ((200, 2000), (1000, 2000), (10_000, 600))}
    groups = {n: max(int(sims * share), 20) for n, sims in ((20, 2000), (100, 2000), (1000, 600))}
    far = {n: max(int(sims * share), 10) for n, sims in ((1000, 1000), (10_000, 600), (100_000, 300))}
    return {
        f"Score and drop, {w.name}": lambda w=w, ms=ms, ns=ns: [
            c for n in ns for c in scores_and_drops(w, ms, n, ns[n])
        ]
        for w, ms, ns in [
            *((w, TWO, sizes) for w in (A, B, C)),
            *((w, REAL, sizes) for w in D),
            *((w, TWO, groups) for w in G),
        ]
    } | {
        "Break point on all rows, worst place": lambda: [
            c
            for w, ms in ((A, TWO), (C, TWO[:2]), *((w, REAL[1:]) for w in D))
            for n in sizes
            for c in break_points(w, ms, n, sizes[n] // 2)
        ],
        "Break point on all rows, between two levels": lambda: [
            c
            for w, ms in ((A, TWO[:2]), (D[0], REAL[1:]))
            for n in sizes
            for c in break_points(w, ms, n, sizes[n] // 2, between=True)
        ],
        "Break point on all rows, grouped rows": lambda: [
            c for w in G for n in groups for c in break_points(w, TWO[:2], n, groups[n] // 2)
        ],
        "Early-stopped search": lambda: [
            c
            for k in (12, 64)
            for n in far
            for m in TWO[:2]
            for c in searches(A, m, n, k, far[n] // (3 if m == "roc_auc" and n > 10_000 else 1))
        ],
        "Early-stopped search, between two levels": lambda: [
            c
            for w, m in ((A, "accuracy"), *((D[0], m) for m in REAL[1:]))
            for c in searches(w, m, 10_000, 12, sizes[10_000] // 2, between=True)
        ],
        "Early-stopped search, grouped rows": lambda: [
            c for w in G for c in searches(w, "accuracy", 1000, 12, sizes[1000] // 4)
        ],
        "Ways to repeat": lambda: [c for n in (200, 1000) for c in ways_to_repeat(n, sizes[n] // 2)],
        "Noise shared by all rows": lambda: [
            c for n in (1000, 10_000) for c in shared_noise(n, sizes[n] // 2)
        ],
        "Any other scorer": lambda: [c for n in (200, 1000) for c in any_scorer(n, sizes[n] // 4)],
        "Two models": lambda: [c for n in sizes for c in two_models(n, sizes[n] // 2)],
        "Ranking of features": lambda: (
            [c for n in sizes for c in rankings(n, 10, sizes[n] // 4)] + rankings(1000, 30, sizes[1000] // 8)
        ),
    }


def main() -> None:
    """Print every table, or those whose title contains the words given."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--share", type=float, default=1.0, help="the share of the simulations to run")
    asked.add_argument(
        "--quick", action="store_const", dest="share", const=0.05, help="a twentieth of the simulations"
    )
    asked.add_argument("--only", default="", help="titles that match a regular expression")
    asked = asked.parse_args()
    for title, run in tables(asked.share).items():
        if re.search(asked.only, title, re.IGNORECASE):
            start = time.process_time()
            cells = run()
            print(
                f"\n## {title}\n\n{pivot(cells)}\n\n{time.process_time() - start:.0f} s of CPU.", flush=True
            )


if __name__ == "__main__":
    sys.path.pop(0)  # numba looks for the package `coverage`, and would find this file
    main()

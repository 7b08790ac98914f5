"""What the extra `fast` buys: draws and whole noises by compiled loops beside plain NumPy, as ratios in one run.

Every round times both engines, one after the other, on the same rows; the tables give medians over rounds of the CPU
time of the process. The last table says what loading the loops costs in a fresh process, and when that is paid back.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from apply import NOISES, make
from hormesis import key as k
from hormesis.profile import Profile

K = k.key(0, "gaussian", "age")
ENGINES = {"NumPy": k.Engine(float("inf")), "compiled": k.Engine(0)}
LOADING = """
import time
from hormesis import key
start = time.process_time()
import numba
numba_is_there = time.process_time()
from hormesis import fast
print(numba_is_there - start, time.process_time() - numba_is_there)
"""


def race(work: Callable[[], Any], repeats: int, times: int = 1) -> tuple[float, float, float]:
    """Return CPU seconds of a call by NumPy and by the compiled loops, and their ratio."""
    rounds = []
    for _ in range(repeats + 1):
        sides = []
        for engine in ENGINES.values():
            k.ENGINE = engine
            start = time.process_time()
            for _ in range(times):
                work()
            sides.append((time.process_time() - start) / times)
        rounds.append(sides)
    ours, theirs = (statistics.median(side) for side in zip(*rounds[1:], strict=True))
    return ours, theirs, statistics.median(a / b for a, b in rounds[1:])


def draws(rows: int) -> dict[str, Callable[[], Any]]:
    """Return the draws of one column."""
    ids, lanes = np.arange(rows), k.lane(np.arange(rows))
    text = pa.array([f"user_{i:07d}" for i in range(rows)], pa.large_string())
    _, offsets, data = text.buffers()
    ends, chars = np.frombuffer(offsets, np.int64)[: rows + 1], np.frombuffer(data, np.uint8)
    return {
        "lane": lambda: k.lane(ids),
        "lane of a string of 12": lambda: k.text_lane(ends, chars),
        "bits": lambda: k.bits(lanes, K),
        "below": lambda: k.below(lanes, K, 0.1),
        "uniform": lambda: k.uniform(lanes, K),
        "integers": lambda: k.integers(lanes, K, 1000),
        "normal": lambda: k.normal(lanes, K),
    }


def draw_table(rows: int, repeats: int) -> None:
    """Print CPU time per value: of a long column, of one that fits a cache, of one value."""
    print("| draw | rows | NumPy, CPU | compiled, CPU | NumPy / compiled |\n|---|--:|--:|--:|--:|")
    for n, times in ((rows, 1), (10_000, 100), (1, 1000)):
        for name, draw in draws(n).items():
            numpy, compiled, ratio = race(draw, repeats, times)
            cells = (f"{1e9 * t / n:,.2f} ns" for t in (numpy, compiled))
            print(f"| {name} | {n:,} |", " | ".join(cells), f"| {ratio:.1f} |", flush=True)


def apply_table(rows: int, repeats: int) -> None:
    """Print CPU time of whole noises."""
    data = make(rows, 20)
    profile = Profile.learn(data)
    print(f"\n| `apply`, pandas {rows:,} x 20 | NumPy, CPU | compiled, CPU | NumPy / compiled |")
    print("|---|--:|--:|--:|")
    for name, noise in NOISES.items():
        times = race(lambda: noise.apply(data, seed=1, profile=profile), repeats)  # noqa: B023
        print(f"| {name} | {times[0]:.3f} s | {times[1]:.3f} s | {times[2]:.2f} |", flush=True)


def load_table(rows: int, repeats: int) -> None:
    """Print what loading costs, and how many normals or uniforms pay it back."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        runs = []
        for _ in range(repeats + 1):
            done = subprocess.run(
                [sys.executable, "-c", LOADING], check=True, capture_output=True, text=True, env=environment
            )
            runs.append([float(word) for word in done.stdout.split()])
    numba, kept = (statistics.median(side) for side in zip(*runs[1:], strict=True))
    print("\n| loading, CPU | s |\n|---|--:|")
    print(f"| numba | {numba:.2f} |\n| loops, compiled for the first time | {runs[0][1]:.2f} |")
    print(f"| loops, kept on disk | {kept:.2f} |")
    for name in ("uniform", "normal"):
        before, after, _ = race(draws(rows)[name], repeats)
        million = (numba + kept) / (before - after) * rows / 1e6
        print(f"| paid back by millions of {name} values | {million:.0f} |")
    print(f"| loaded after millions of values | {k.Engine().pays / 1e6:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, three rounds")
    options = parser.parse_args()
    rows, repeats = (options.rows // 10, 3) if options.quick else (options.rows, options.repeats)
    draw_table(rows, repeats)
    apply_table(rows, min(repeats, 5))
    load_table(rows, min(repeats, 5))


if __name__ == "__main__":
    main()

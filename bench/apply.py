"""How fast `apply` is beside plain NumPy doing the same to the same table, as ratios in one run.

Every round times both sides, one after the other, and the table gives medians over rounds: CPU time of the process and
wall time. Both sides take a table and return a table. Peak memory is measured in fresh processes (Linux only).
"""

import argparse
import ctypes
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from hormesis.noise import CategorySwap, GaussianNoise, MissingValues, Noise, SwapNoise, Typos
from hormesis.profile import Profile

WORDS = [
    "engineering",
    "management",
    "sales force",
    "customer care",
    "finance",
    "legal dept",
    "operations",
    "research",
]
NOISES: dict[str, Noise] = {
    "Gaussian noise": GaussianNoise(0.1),
    "Missing values": MissingValues(0.1),
    "Swap noise": SwapNoise(0.1),
    "Category swap": CategorySwap(0.1),
    "Typos": Typos(0.1),
}
Arrays = Iterator[tuple[str, Any]]


def make(rows: int, columns: int) -> pd.DataFrame:
    """Return a table of 60 % floats, 20 % integers and 20 % short strings."""
    rng = np.random.default_rng(0)
    words = np.array(WORDS, dtype=object)
    fifth = columns // 5
    data = {f"f{i}": rng.normal(50, 10, rows) for i in range(columns - 2 * fifth)}
    data |= {f"i{i}": rng.integers(0, 1000, rows) for i in range(fifth)}
    data |= {f"s{i}": words[rng.integers(0, 8, rows)] for i in range(fifth)}
    return pd.DataFrame(data)


def gaussian(name: str, values: Any, rng: np.random.Generator, profile: Profile) -> Any:
    """Add a tenth of a standard deviation of noise."""
    noise = rng.standard_normal(len(values))
    noise *= 0.1 * profile[name].spread
    noise += values
    return np.rint(noise, out=noise).astype(np.int64) if values.dtype.kind == "i" else noise


def swap(values: Any, rng: np.random.Generator) -> Any:
    """Redraw a tenth of the cells from random rows."""
    new = values.copy()
    hit = np.flatnonzero(rng.random(len(values)) < 0.1)
    new[hit] = values[rng.integers(0, len(values), hit.size)]
    return new


def donors(n: int, rng: np.random.Generator) -> Any:
    """Return the row that each cell is read from, where a tenth reads another one."""
    rows = np.arange(n)
    hit = np.flatnonzero(rng.random(n) < 0.1)
    rows[hit] = rng.integers(0, n, hit.size)
    return rows


def other(codes: Any, n: int, rng: np.random.Generator) -> Any:
    """Move a tenth of the codes to another category."""
    hit = np.flatnonzero(rng.random(len(codes)) < 0.1)
    codes[hit] = (codes[hit] + rng.integers(1, n, hit.size)) % n
    return codes


def typed(strings: Any, rng: np.random.Generator) -> Any:
    """Overwrite one character of each string by a random letter."""
    letters = np.array(strings, dtype=str)
    points = letters.view(np.uint32).reshape(len(letters), -1)
    at = (rng.random(len(letters)) * np.maximum((points > 0).sum(axis=1), 1)).astype(np.int64)
    points[np.arange(len(letters)), at] = rng.integers(97, 123, len(letters))
    return letters.astype(object)


def pandas_columns(kind: str, data: pd.DataFrame, profile: Profile) -> Arrays:
    """Yield the columns that plain NumPy changes in a pandas table."""
    rng = np.random.default_rng(1)
    for name, series in data.items():
        text, n = name[0] == "s", len(series)
        if kind == "Gaussian noise" and not text:
            yield name, gaussian(name, series.to_numpy(), rng, profile)
        elif kind == "Missing values" and name[0] == "i":
            yield name, pd.arrays.IntegerArray(series.to_numpy().copy(), rng.random(n) < 0.1)
        elif kind == "Missing values":
            lost = rng.random(n) < 0.1
            yield name, series.mask(lost).array if text else np.where(lost, np.nan, series.to_numpy())
        elif kind == "Swap noise":
            yield name, series.array.take(donors(n, rng)) if text else swap(series.to_numpy(), rng)
        elif kind == "Category swap" and text:
            codes, words = pd.factorize(series)
            yield name, words.array.take(other(codes, len(words), rng))
        elif kind == "Typos" and text:
            hit = np.flatnonzero(rng.random(n) < 0.1)
            new = series.array.copy()
            new[hit] = typed(series.array[hit].to_numpy(), rng)
            yield name, new


def polars_columns(kind: str, data: pl.DataFrame, profile: Profile) -> Arrays:
    """Yield the columns that plain NumPy changes in a polars table."""
    rng = np.random.default_rng(1)
    for series in data:
        name, n, text = series.name, len(series), series.name[0] == "s"
        if kind == "Gaussian noise" and not text:
            yield name, gaussian(name, series.to_numpy(), rng, profile)
        elif kind == "Missing values":
            lost = pl.Series(rng.random(n) < 0.1)
            yield name, data.select(pl.when(~lost).then(pl.col(name)).alias(name)).to_series()
        elif kind == "Swap noise":
            yield name, series.gather(donors(n, rng)) if text else swap(series.to_numpy(), rng)
        elif kind == "Category swap" and text:
            words = series.unique(maintain_order=True)
            codes = series.cast(pl.Enum(words)).to_physical().to_numpy().astype(np.int64)
            yield name, words.gather(other(codes, len(words), rng))
        elif kind == "Typos" and text:
            hit = np.flatnonzero(rng.random(n) < 0.1)
            yield name, series.scatter(hit, pl.Series(typed(series.gather(hit).to_list(), rng).tolist()))


def plain(kind: str, data: Any, profile: Profile) -> Any:
    """Return the table with plain NumPy's noise, of the kind that came in."""
    if isinstance(data, pl.DataFrame):
        return data.with_columns([pl.Series(n, v) for n, v in polars_columns(kind, data, profile)])
    new = dict(pandas_columns(kind, data, profile))
    return pd.DataFrame({n: new.get(n, s.array) for n, s in data.items()}, index=data.index, copy=False)


def clock(work: Callable[[], Any]) -> tuple[float, float]:
    """Return CPU and wall seconds of one call."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def race(kind: str, data: Any, profile: Profile, repeats: int) -> str:
    """Return one row of the table of ratios."""
    sides = (
        lambda: NOISES[kind].apply(data, seed=1, profile=profile),
        lambda: plain(kind, data, profile),
    )
    rounds = [[clock(side) for side in sides] for _ in range(repeats + 1)][1:]
    cpu, wall = ([[side[t] for side in r] for r in rounds] for t in (0, 1))
    ours, theirs = (statistics.median(side) for side in zip(*cpu, strict=True))
    ratios = [statistics.median(a / b for a, b in times) for times in (cpu, wall)]
    return f"{ours:.3f} s | {theirs:.3f} s | {ratios[0]:.2f} | {ratios[1]:.2f} |"


def type_table(rows: int, repeats: int) -> None:
    """Print the ratios of CPU time by type of column."""
    print("\n| ratio, CPU | floats | integers | strings |\n|---|--:|--:|--:|")
    data = make(rows, 20)
    profile = Profile.learn(data)
    for kind in ("Missing values", "Swap noise"):
        parts = [data[[c for c in data if c[0] == first]] for first in "fis"]
        ratios = [race(kind, part, profile, repeats).split(" | ")[2] for part in parts]
        print(f"| {kind} |", " | ".join(ratios), "|", flush=True)


def resident(field: str) -> int:
    """Return `VmRSS` or `VmHWM` (its peak) of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def peak(kind: str, side: str, rows: int, columns: int) -> float:
    """Return the peak memory of one call, in this fresh process, as a multiple of the bytes of the changed columns."""
    data = make(rows, columns)
    profile, noise = Profile.learn(data), NOISES[kind]
    for table in (data.head(1000), data.head(1000)):
        noise.apply(table, seed=1, profile=profile), plain(kind, table, profile)
    bytes_changed = sum(
        data.iloc[:, j].memory_usage(index=False) for j in noise.selected(_Names(data), profile)
    )
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    out = noise.apply(data, seed=1, profile=profile) if side == "ours" else plain(kind, data, profile)
    assert len(out) == rows
    return (resident("VmHWM") - before) / bytes_changed


class _Names:
    """What `Noise.selected` reads of a table."""

    def __init__(self, data: pd.DataFrame) -> None:
        self.names = list(data.columns)


def fresh_peak(kind: str, side: str, rows: int, columns: int) -> str:
    """Return the peak of a fresh process."""
    command = [sys.executable, __file__, "--peak", kind, side, "--rows", str(rows), "--columns", str(columns)]
    environment = os.environ | {"MALLOC_ARENA_MAX": "1"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def speed_table(rows: int, repeats: int) -> None:
    """Print the ratios of time."""
    print(
        "| noise | table | hormesis, CPU | plain NumPy, CPU | ratio, CPU | ratio, wall |\n|---|---|--:|--:|--:|--:|"
    )
    tall, wide = make(rows, 20), make(rows // 50, 400)
    tables = {
        f"pandas {rows:,} x 20": tall,
        f"pandas {rows // 50:,} x 400": wide,
        f"polars {rows:,} x 20": pl.from_pandas(tall),
    }
    for label, data in tables.items():
        profile = Profile.learn(data)
        for kind in NOISES:
            print(f"| {kind} | {label} |", race(kind, data, profile, repeats), flush=True)


def memory_table(rows: int) -> None:
    """Print peak memory."""
    print("\n| noise | peak memory, hormesis | plain NumPy |\n|---|--:|--:|")
    for kind in NOISES:
        ours, theirs = (fresh_peak(kind, side, rows, 20) for side in ("ours", "plain"))
        print(f"| {kind} | {ours} x the columns changed | {theirs} x |", flush=True)


def width_table(rows: int, repeats: int) -> None:
    """Print time per column as tables grow wider."""
    widths = (50, 100, 200, 400)
    print("\n| CPU µs per column |", " | ".join(f"{w} columns" for w in widths), "|\n|---|--:|--:|--:|--:|")
    tables = [make(rows, w) for w in widths]
    profiles = [Profile.learn(t) for t in tables]
    for kind in NOISES:
        rounds = [
            [per_column(kind, *both) for both in zip(tables, profiles, strict=True)]
            for _ in range(repeats + 1)
        ]
        medians = [statistics.median(times) for times in zip(*rounds[1:], strict=True)]
        print(f"| {kind} |", " | ".join(f"{1e6 * m:.0f}" for m in medians), "|", flush=True)


def per_column(kind: str, data: pd.DataFrame, profile: Profile) -> float:
    """Return CPU seconds of one call per column of the table."""
    return clock(lambda: NOISES[kind].apply(data, seed=1, profile=profile))[0] / data.shape[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, three rounds")
    parser.add_argument(
        "--peak", nargs=2, metavar=("NOISE", "SIDE"), help="only measure memory, in this process"
    )
    options = parser.parse_args()
    if options.peak:
        print(f"{peak(*options.peak, options.rows, options.columns):.2f}")
        return
    rows, repeats = (options.rows // 10, 3) if options.quick else (options.rows, options.repeats)
    speed_table(rows, repeats)
    type_table(rows, repeats)
    memory_table(rows)
    width_table(rows // 50, repeats)


if __name__ == "__main__":
    main()

"""How fast `hormesis apply` streams a Parquet file, and how much memory it takes at 1, 5 and 20 million rows.

The files are generated piece by piece. Each run is the command line in a process of its own; peak memory is its VmHWM
as the kernel gives it to the parent (Linux: ru_maxrss in KiB).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUP = 500_000
RECIPE = """
seed: 1
steps:
- {noise: MissingValues, level: 0.05}
- {noise: GaussianNoise, level: 0.1}
- {noise: CategorySwap, level: 0.05}
- {noise: Typos, level: 0.05, columns: [name]}
"""


def generate(path: Path, rows: int) -> None:
    """Write a table of an id, two floats, an integer, a category and a string, a row group at a time."""
    rng = np.random.default_rng(0)
    cities = pa.array(["Bern", "Genf", "Basel", "Lausanne", "Zug"])
    writer = None
    for start in range(0, rows, GROUP):
        n = min(GROUP, rows - start)
        table = pa.table(
            {
                "id": np.arange(start, start + n) * 3,
                "income": rng.normal(5000, 900, n),
                "score": rng.random(n),
                "age": rng.integers(18, 90, n),
                "city": cities.take(pa.array(rng.integers(0, 5, n))),
                "name": pa.array(rng.integers(0, 10**8, n)).cast(pa.string()),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def measured(words: list[str], folder: Path) -> tuple[float, float]:
    """Return the wall seconds and the peak MiB of a command line."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "hormesis", *words], cwd=folder, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"hormesis {' '.join(words)} failed")
    return time.perf_counter() - started, used.ru_maxrss / 1024


def main() -> None:
    """Print a line for each size and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000])
    parser.add_argument("--row-id", action="store_true", help="rows by id: looks for repeats as well")
    given = parser.parse_args()
    print("| rows | file MB | s | rows per s | peak MiB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "recipe.yaml").write_text(RECIPE)
        for rows in given.rows:
            generate(folder / "in.parquet", rows)
            size = (folder / "in.parquet").stat().st_size / 1e6
            words = ["apply", "in.parquet", "--recipe", "recipe.yaml", "--out", "out.parquet"]
            seconds, peak = measured(words + ["--row-id", "id"] * given.row_id, folder)
            print(
                f"| {rows:,} | {size:.0f} | {seconds:.1f} | {rows / seconds:,.0f} | {peak:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()

"""Answer the questions of `table_peers.py` about one library: how fast, how much memory, how true, which error rate.

Each library has its own Python and its own small script, which gives `serve` a dictionary of tasks. A task takes the
table, a seed and a level, prepares what is done once, and returns the call that is measured. Questions and answers are
lines of JSON.
"""

from __future__ import annotations  # jenga installs on Python 3.9 alone

import ctypes
import functools
import gc
import hashlib
import json
import operator
import random
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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
TOUCHED = {"missing": "fis", "missing numbers": "f", "gaussian": "fi", "category": "s", "typos": "s"}
Task = Callable[[pd.DataFrame, int, float], Callable[[], Any]]


@functools.lru_cache(2)
def make(rows: int, columns: int, strings: str, kinds: str = "fis") -> pd.DataFrame:
    """Return a table of 60 % floats, 20 % integers, 20 % short strings; `strings` is their dtype, or "default"."""
    rng = np.random.default_rng(0)
    words = np.array(WORDS, dtype=object)
    fifth = columns // 5
    data: dict[str, Any] = {f"f{i}": rng.normal(50, 10, rows) for i in range(columns - 2 * fifth)}
    data |= {f"i{i}": rng.integers(0, 1000, rows) for i in range(fifth)}
    data |= {f"s{i}": words[rng.integers(0, 8, rows)] for i in range(fifth)}
    data = {name: values for name, values in data.items() if name[0] in kinds}
    frame = pd.DataFrame(data)
    named = [c for c in frame if c[0] == "s"]
    return frame if strings == "default" else frame.astype(dict.fromkeys(named, strings))


def parts(out: Any) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the noisy table, and the mask of changes where the library gives one."""
    return out if isinstance(out, tuple) else (out, None)


def digest(frame: pd.DataFrame) -> str:
    """Return a hash of all values and dtypes, the same in every process and release of pandas."""
    found = hashlib.sha256()
    for name, series in frame.items():
        values = series.astype(object).where(series.notna(), None).tolist()
        found.update(f"{name} {values}".encode())
    return found.hexdigest()[:16]


def clock(call: Callable[[], Any]) -> dict[str, float]:
    """Return wall and CPU seconds of one call."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def resident(field: str) -> int:
    """Return `VmRSS` or `VmHWM` (its peak) of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def peak(task: Task, frame: pd.DataFrame, touched: str, level: float) -> dict[str, float]:
    """Return bytes above those before the call, and the bytes of the columns changed."""
    for seed in (1, 2):
        task(frame.head(1000).copy(), seed, level)()
    call = task(frame, 1, level)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    out = call()
    top = resident("VmHWM")
    columns = [c for c in frame if c[0] in touched]
    size = int(frame[columns].memory_usage(index=False).sum())
    return {"peak": top - before, "size": size, "rows": len(parts(out)[0])}


def change(old: pd.Series, new: pd.Series) -> Any:
    """Return which cells really hold something else."""
    a, b = old.to_numpy(object), new.to_numpy(object)
    gone = pd.isna(b)
    return np.where(gone, ~pd.isna(a), np.fromiter(map(operator.ne, a, b), bool, len(a)))


def truth(kind: str, task: Task, frame: pd.DataFrame, level: float) -> dict[str, Any]:
    """Return what one call does to the table, and to what it should leave alone."""
    before, state = digest(frame), (random.getstate(), np.random.get_state()[1].tobytes())
    out, mask = parts(task(frame, 1, level)())
    left = state == (random.getstate(), np.random.get_state()[1].tobytes())
    again, _ = parts(task(frame, 1, level)())
    names = [c for c in frame if c[0] in TOUCHED[kind]]
    real = {c: out[c].isna().to_numpy() if "missing" in kind else change(frame[c], out[c]) for c in names}
    return {
        "rates": [float(np.mean(hit)) for hit in real.values()],
        "reached": reached(frame[names], out[names]) if kind == "category" else None,
        "mask": None if mask is None else all(np.array_equal(mask[c].to_numpy(), real[c]) for c in names),
        "same": digest(out) == digest(again),
        "digest": digest(out),
        "dtypes": sorted(
            {f"{frame[c].dtype} to {out[c].dtype}" for c in frame if frame[c].dtype != out[c].dtype}
        ),
        "input": digest(frame) == before,
        "random": left,
    }


def reached(frame: pd.DataFrame, out: pd.DataFrame) -> float:
    """Return how many other categories the cells of one category became, on average."""
    pairs = [{(x, y) for x, y in zip(frame[c], out[c]) if x != y} for c in frame]  # noqa: B905
    return sum(map(len, pairs)) / (frame.shape[1] * len(WORDS))


def edits(a: str, b: str) -> int:
    """Return insertions, deletions, substitutions and swaps of neighbours between two strings (Damerau 1964)."""
    while a and b and a[0] == b[0]:
        a, b = a[1:], b[1:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            least = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                least = min(least, rows[-2][j - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]


def error_rate(out: pd.DataFrame, frame: pd.DataFrame) -> dict[str, float]:
    """Return edits per character of the original strings, and the share of strings that changed."""
    names = [c for c in frame if c[0] == "s"]
    pairs = [pair for c in names for pair in zip(map(str, frame[c]), map(str, out[c]))]  # noqa: B905
    changed = [edits(x, y) for x, y in pairs if x != y]
    return {"cer": sum(changed) / sum(len(x) for x, _ in pairs), "share": len(changed) / len(pairs)}


def answer(tasks: dict[str, Task], question: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one question."""
    ask, name = question["ask"], question.get("task", "")
    kind = name.split(":")[0]
    if ask == "versions":
        return {p: version(p) for p in question["packages"]}
    if ask == "tasks":
        return {"tasks": list(tasks)}
    kinds = "f" if kind == "missing numbers" else "fis"
    frame = make(question["rows"], question["columns"], question["strings"], kinds)
    if ask == "digest":
        return {"digest": digest(frame)}
    task, level = tasks[name], question["level"]
    if ask == "truth":
        return truth(kind, task, frame.copy(), level)
    if ask == "peak":
        return peak(task, frame, TOUCHED[kind], level)
    call = task(frame, question["seed"], level)
    return clock(call) if ask == "time" else error_rate(parts(call())[0], frame)


def serve(tasks: dict[str, Task]) -> None:
    """Answer lines of questions by lines of answers; what a library itself prints goes to standard error."""
    warnings.simplefilter("ignore")
    say, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            found = answer(tasks, json.loads(line))
        except Exception as error:  # a library that fails is a result
            found = {"error": f"{type(error).__name__}: {error}".split("\n")[0][:300]}
        print(json.dumps(found), file=say, flush=True)

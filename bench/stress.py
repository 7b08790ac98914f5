"""What a stress test costs: beside the predict calls it makes, a grid of all levels, and a loop that corrupts and predicts.

Prints the tables of docs/cost.md. Each case is a process of its own with one thread; a wrapper around the model counts rows and
seconds, so that no figure rests on what hormesis says of itself. Peak memory is read from the kernel (Linux only).
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hormesis
from hormesis.models import as_estimator
from hormesis.profile import Profile
from hormesis.trials.plans import plan_of

COLUMNS, TRAIN, TEST, LEVELS, WARM = 30, 30_000, 100_000, 64, 2_000
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
TIMED = 4  # levels of the plain loop that are timed, for one noise after the other; the others are counted like them
SLOW = {"RandomForest": 10}  # the grid of all levels counts its rows so many times
QUICK = ("HistGradientBoosting", "LightGBM", "LogisticRegression")
COST = (
    "model", "rows", "rows predicted, one noise", "four noises", "calls", "CPU s", "in predict",
    "total / predict, CPU", "wall", "rows by its own count", "total / predict by its own count",
)  # fmt: skip
RIVALS = (
    "CPU s, four noises", "rows", "search", f"grid of {LEVELS}", "plain loop, 12 levels", f"{LEVELS} levels",
    "12 / search", f"{LEVELS} / search", "loop's own total / predict",
)  # fmt: skip
Numbers = Any


def hit(values: Numbers, level: float, rng: np.random.Generator, other: Numbers) -> Numbers:
    """Put other values into a share of the cells."""
    return np.where(rng.random(values.shape) < level, other, values)


def donors(values: Numbers, rng: np.random.Generator) -> Numbers:
    """Return for each cell that of a random row."""
    return np.take_along_axis(values, rng.integers(0, len(values), values.shape), axis=0)


def far(values: Numbers, rng: np.random.Generator, spread: Numbers) -> Numbers:
    """Return for each cell six spreads off the middle."""
    return np.median(values, axis=0) + 6 * spread * rng.choice([-1.0, 1.0], values.shape)


NOISES: dict[str, Callable[..., Numbers]] = {
    "MissingValues": lambda v, level, rng, _: hit(v, level, rng, np.nan),
    "GaussianNoise": lambda v, level, rng, spread: v + level * spread * rng.standard_normal(v.shape),
    "Outliers": lambda v, level, rng, spread: hit(v, level, rng, far(v, rng, spread)),
    "SwapNoise": lambda v, level, rng, _: hit(v, level, rng, donors(v, rng)),
}


class Counted:
    """A model that counts the rows, the calls and the seconds of what it is asked; its pickle is that of the model."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.forget()

    def forget(self) -> None:
        self.rows, self.calls, self.cpu, self.wall = 0, 0, 0.0, 0.0

    def __getattr__(self, name: str) -> Any:
        if name == "model" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.model, name)

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model}

    def _ask(self, question: Callable[[Any], Any], X: Any) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            return question(X)
        finally:
            self.cpu += time.process_time() - cpu
            self.wall += time.perf_counter() - wall
            self.rows, self.calls = self.rows + len(X), self.calls + 1

    def predict(self, X: Any) -> Any:
        return self._ask(self.model.predict, X)

    def predict_proba(self, X: Any) -> Any:
        return self._ask(self.model.predict_proba, X)


def perceptron(X: pd.DataFrame, y: Numbers) -> Any:
    """Return a fitted net of two layers of 128."""
    import torch

    torch.manual_seed(0)
    relu, linear = torch.nn.ReLU, torch.nn.Linear
    net = torch.nn.Sequential(linear(COLUMNS, 128), relu(), linear(128, 128), relu(), linear(128, 2))
    return make_pipeline(SimpleImputer(), StandardScaler(), as_estimator(net, (COLUMNS,), y, 0)).fit(X, y)


def models() -> dict[str, Callable[[pd.DataFrame, Numbers], Any]]:
    """Return how to fit each model that is installed."""
    linear = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
    out = {
        "RandomForest": RandomForestClassifier(100, random_state=0, n_jobs=1).fit,
        "HistGradientBoosting": HistGradientBoostingClassifier(random_state=0).fit,
        "LogisticRegression": linear.fit,
    }
    if find_spec("lightgbm"):
        from lightgbm import LGBMClassifier

        out["LightGBM"] = LGBMClassifier(n_jobs=1, verbose=-1, random_state=0).fit
    return out | ({"MLP 128x128": perceptron} if find_spec("skorch") else {})


def data() -> tuple[pd.DataFrame, Numbers]:
    """Return rows of 30 numbers, of which 10 say something, 5 repeat it and 15 say nothing: for training, then for tests."""
    X, y = make_classification(
        TRAIN + TEST, COLUMNS, n_informative=10, n_redundant=5, flip_y=0.05, class_sep=0.8, random_state=0
    )
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(COLUMNS)]), y


def resident(name: str) -> int:
    """Return a memory figure of this process in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith(name)))


class Watch:
    """CPU and wall seconds, and peak memory above that before, of what happens inside `with`."""

    def __enter__(self) -> "Watch":
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        self.before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        self.cpu, self.wall = -time.process_time(), -time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu += time.process_time()
        self.wall += time.perf_counter()
        self.peak = resident("VmHWM") - self.before


def case(route: str, name: str, rows: int, folder: Path) -> dict[str, Any]:
    """Measure one model on one test set by one route, in this process."""
    model = Counted(joblib.load(folder / f"{name}.model"))
    X, y = joblib.load(folder / f"{rows}.data")
    if route == "predict":
        model.predict_proba(X[:WARM])
        with Watch() as watch:
            model.predict_proba(X)
        return told(watch, X)
    if route == "loop":
        return loop(model, X, y)
    return stressed(model, X, y, route)


def stressed(model: Counted, X: pd.DataFrame, y: Numbers, route: str) -> dict[str, Any]:
    """Measure one stress test: a search, or the grid of the same levels."""
    settings: dict[str, Any] = {"noises": list(NOISES), "max_rows": None, "progress": False}
    hormesis.stress(model, X[:WARM], y[:WARM], **settings, levels=[0.1])
    plan = plan_of(list(NOISES), None, Profile.learn(X), resolution=LEVELS)
    grid = {"levels": {planned.step.name: planned.levels for planned in plan}}
    settings |= {"resolution": LEVELS} if route == "search" else grid
    model.forget()
    with Watch() as watch:
        result = hormesis.stress(model, X, y, **settings)
    breaks = {c.noise: [c.break_point.passes_to, c.break_point.fails_from] for c in result.curves}
    said = [result.cost.rows, result.cost.predict_seconds, result.cost.seconds]
    counted = {"rows": model.rows, "calls": model.calls, "predict_cpu": model.cpu, "predict_wall": model.wall}
    return told(watch, X) | counted | {"said": said, "breaks": breaks}


def told(watch: Watch, X: pd.DataFrame) -> dict[str, Any]:
    """Return what a watch saw, memory in tables."""
    size = int(X.memory_usage(index=False).sum())
    return {"cpu": watch.cpu, "wall": watch.wall, "peak": watch.peak / size}


def loop(model: Counted, X: pd.DataFrame, y: Numbers) -> dict[str, Any]:
    """Time the loop that one writes by hand, per level and noise."""
    rng, spread = np.random.default_rng(0), X.to_numpy().std(axis=0)
    roc_auc_score(y[:WARM], model.predict_proba(X[:WARM])[:, 1])
    model.forget()
    with Watch() as watch:
        for corrupt in NOISES.values():
            for level in np.linspace(0.1, 0.4, TIMED):
                noisy = pd.DataFrame(corrupt(X.to_numpy(), level, rng, spread), columns=X.columns)
                roc_auc_score(y, model.predict_proba(noisy)[:, 1])
    return told(watch, X) | {"cpu": watch.cpu / TIMED, "ratio": watch.cpu / model.cpu}


def prepare(folder: Path, sizes: Sequence[int], chosen: Sequence[str]) -> None:
    """Fit the models and write them and the test sets down; what is there already stays."""
    X, y = data()
    for rows in sizes:
        test = slice(TRAIN, TRAIN + rows)
        joblib.dump((X[test].reset_index(drop=True), y[test]), folder / f"{rows}.data")
    for name in chosen:
        if not (folder / f"{name}.model").exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                joblib.dump(models()[name](X[:TRAIN], y[:TRAIN]), folder / f"{name}.model")


def fresh(route: str, name: str, rows: int, folder: Path) -> dict[str, Any]:
    """Return what a case says in a fresh process."""
    command = [sys.executable, __file__, "--case", route, name, "--rows", str(rows), "--folder", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    if done.returncode:
        raise SystemExit(f"{route} of {name} on {rows} rows failed:\n{done.stderr}")
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


Cases = dict[tuple[str, int], dict[str, dict[str, Any]]]


def measured(options: argparse.Namespace, folder: Path) -> Cases:
    """Run all cases; the grid of all levels on many rows only where predicting is quick."""
    prepare(folder, options.rows, options.models)
    out: Cases = {}
    for rows in options.rows:
        for name in options.models:
            routes = ["predict", "search", "loop"]
            routes += ["grid"] * (rows * SLOW.get(name, 1) <= options.grid_rows)
            print(f"{name}, {rows:,} rows: {', '.join(routes)}", file=sys.stderr, flush=True)
            out[name, rows] = {route: fresh(route, name, rows, folder) for route in routes}
    return out


def table(head: Sequence[str], lines: Iterator[Sequence[str]], words: int = 1) -> None:
    """Print a table whose first columns are words."""
    print(f"\n| {' | '.join(head)} |")
    print("|" + "---|" * words + "--:|" * (len(head) - words))
    for line in lines:
        print(f"| {' | '.join(line)} |")


def cost_lines(cases: Cases) -> Iterator[Sequence[str]]:
    """Yield rows and seconds of the search."""
    for (name, rows), seen in cases.items():
        s = seen["search"]
        said_rows, said_predict, said_wall = s["said"]
        alone = 1 + (s["rows"] / rows - 1) / len(NOISES)  # clean rows, and a noise's share of the others
        yield (
            name, f"{rows:,}", f"{alone:.2f}", f"{s['rows'] / rows:.1f}", f"{s['calls']}",
            f"{s['cpu']:.2f}", f"{s['predict_cpu']:.2f}", f"{s['cpu'] / s['predict_cpu']:.2f}",
            f"{s['wall'] / s['predict_wall']:.2f}", f"{said_rows / s['rows']:.3f}", f"{said_wall / said_predict:.2f}",
        )  # fmt: skip


def rival_lines(cases: Cases) -> Iterator[Sequence[str]]:
    """Yield the CPU seconds of each way."""
    for (name, rows), seen in cases.items():
        search, level = seen["search"]["cpu"], seen["loop"]["cpu"]
        grid = f"{seen['grid']['cpu']:.1f}" if "grid" in seen else "-"
        times = [f"{level * n:.1f}" for n in (12, LEVELS)]
        ratios = [f"{level * n / search:.1f}" for n in (12, LEVELS)]
        yield (name, f"{rows:,}", f"{search:.2f}", grid, *times, *ratios, f"{seen['loop']['ratio']:.2f}")


def break_lines(cases: Cases) -> Iterator[Sequence[str]]:
    """Yield the break points that search and grid found."""
    for (name, rows), seen in cases.items():
        for noise, found in seen["search"]["breaks"].items() if "grid" in seen else ():
            whole = seen["grid"]["breaks"][noise]
            words = (f"{low or 0:.3g} to {high or np.inf:.3g}" for low, high in (found, whole))
            yield (name, f"{rows:,}", noise, *words, meet(found, whole))


def meet(one: Sequence[float | None], other: Sequence[float | None]) -> str:
    """Tell whether two break points are equal, overlap or contradict each other."""
    (a, b), (c, d) = ((low or 0.0, np.inf if high is None else high) for low, high in (one, other))
    return "equal" if (a, b) == (c, d) else "overlap" if a < d and c < b else "**contradict**"


def memory_lines(cases: Cases) -> Iterator[Sequence[str]]:
    """Yield peak memory in tables."""
    for (name, rows), seen in cases.items():
        routes = ("predict", "search", "grid", "loop")
        peaks = (f"{seen[r]['peak']:.2f} x" if r in seen else "-" for r in routes)
        yield (name, f"{rows:,}", *peaks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--models", nargs="+", default=list(models()), choices=list(models()))
    parser.add_argument("--quick", action="store_true", help="10,000 rows, three models: one minute")
    parser.add_argument("--grid-rows", type=int, default=100_000, help="most rows for the grid of all levels")
    parser.add_argument("--folder", type=Path, help="where fitted models are kept from run to run")
    parser.add_argument("--case", nargs=2, metavar=("ROUTE", "MODEL"), help="one case, in this process")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(case(*options.case, options.rows[0], options.folder)))
        return
    if options.quick:
        options.rows, options.models = [10_000], [m for m in options.models if m in QUICK]
    with tempfile.TemporaryDirectory() as name:
        cases = measured(options, options.folder or Path(name))
    table(COST, cost_lines(cases))
    table(RIVALS, rival_lines(cases))
    table(["model", "rows", "noise", "search", "grid", "they"], break_lines(cases), words=6)
    table(["model", "rows", "one predict_proba", "search", "grid", "plain loop"], memory_lines(cases))


if __name__ == "__main__":
    main()

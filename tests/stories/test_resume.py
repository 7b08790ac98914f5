"""A run that is killed goes on where it stood and ends with the same result, byte for byte."""

import importlib
import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

KILLS = 20
PAUSE = 0.02
PATIENCE = 60  # seconds after which a run that does nothing is a failure of its own
MEANT = {
    "noises": ["MissingValues", "GaussianNoise", "SwapNoise", "CategorySwap", "Outliers"],
    "scoring": ["roc_auc", "neg_log_loss"],
    "resolution": 64,
}

MODULE = '''
"""A slow model and one run of it, for processes that may be killed at any moment."""

import os
import time

import numpy as np
import pandas as pd

import hormesis

ROWS, CITIES = 6000, {"Bern": 0.0, "Genf": 1.0, "Zug": 2.0}
rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(ROWS, 2)), columns=[f"x{i}" for i in range(2)])
X["city"] = pd.Categorical(rng.choice(list(CITIES), ROWS))


class Slow:
    """A net of one hidden layer: each call takes its time and leaves a byte behind.

    Matrix products round in another way in batches of another size, so that another stacking of the rows would show.
    """

    classes_ = np.array(["no", "yes"])

    def __init__(self):
        rng = np.random.default_rng(1)
        self.first, self.last = rng.normal(size=(3, 64)), rng.normal(size=64)

    def predict_proba(self, table):
        with open(os.environ["CALLS"], "ab") as log:
            log.write(b".")
        time.sleep(float(os.environ["PAUSE"]))
        city = table["city"].astype(object).map(CITIES).to_numpy(float)
        numbers = np.column_stack([table.drop(columns="city").to_numpy(float), city])
        hidden = np.tanh(np.nan_to_num(numbers) @ self.first / 3)
        yes = 1 / (1 + np.exp(-(hidden @ self.last)))
        return np.column_stack([1 - yes, yes])

    def predict(self, table):
        return self.classes_[self.predict_proba(table).argmax(axis=1)]


os.environ |= {"CALLS": os.devnull, "PAUSE": "0"}
y = np.where(Slow().predict_proba(X)[:, 1] > 0.2 + 0.6 * rng.random(ROWS), "yes", "no")


def run(out, calls, pause, settings):
    os.environ |= {"CALLS": str(calls), "PAUSE": str(pause)}
    result = hormesis.stress(Slow(), X, y, progress=False, **settings)
    with open(out, "w", encoding="utf-8") as file:
        file.write(result.to_json())
'''


@dataclass
class Run:
    """One run in a process of its own, and the files it leaves."""

    process: Any
    out: Path
    log: Path

    @property
    def calls(self) -> int:
        """Calls of the model until now."""
        return self.log.stat().st_size if self.log.exists() else 0

    def kill(self, at: int, later: float) -> None:
        """Kill it some time after it has called the model `at` times."""
        limit = time.monotonic() + PATIENCE
        while self.calls < at and self.process.is_alive():
            assert time.monotonic() < limit, f"{self.calls} calls, where {at} were awaited"
            time.sleep(0.001)
        time.sleep(later)
        self.process.kill()
        self.process.join()
        assert self.process.exitcode < 0, "the run was over before it could be killed"

    def end(self) -> str:
        """Wait for its end; return the result without what is of the clock and of the work done."""
        self.process.join(PATIENCE)
        assert self.process.exitcode == 0
        result = json.loads(self.out.read_text(encoding="utf-8"))
        del result["provenance"]["seconds"]
        result["cost"] = result["cost"]["test_rows"]
        return json.dumps(result)


class Lab:
    """Starts runs of the slow model, each in a fresh process."""

    def __init__(self, folder: Path) -> None:
        (folder / "slow_runs.py").write_text(MODULE, encoding="utf-8")
        self.folder, self.runs = folder, 0
        self.target = importlib.import_module("slow_runs").run
        forks = "forkserver" in multiprocessing.get_all_start_methods()
        self.context = multiprocessing.get_context("forkserver" if forks else "spawn")
        if forks:
            heavy = ["hormesis.stressing", "pandas", "sklearn.metrics", "scipy.stats", "joblib"]
            self.context.set_forkserver_preload(heavy)

    def start(self, *, pause: float = 0, **settings: Any) -> Run:
        self.runs += 1
        out, log = (self.folder / f"{self.runs}.{kind}" for kind in ("json", "calls"))
        process = self.context.Process(target=self.target, args=(out, log, pause, MEANT | settings))
        process.start()
        return Run(process, out, log)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("runs")
        patch.syspath_prepend(folder)
        patch.setenv("CALLS", "")
        patch.setenv("PAUSE", "")
        yield Lab(folder)


@pytest.fixture(scope="module")
def uninterrupted(lab: Lab) -> tuple[str, int]:
    """What a run says that nothing disturbs and nothing stores, and how often it asks the model."""
    run = lab.start()
    return run.end(), run.calls


@pytest.fixture(scope="module")
def repeated(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], int]:
    """What a run with a store and its repetition say, and how often the repetition asks the model."""
    store = tmp_path_factory.mktemp("full") / "store.sqlite"
    runs = [lab.start(store=store).end()]
    again = lab.start(store=store)
    return [*runs, again.end()], again.calls


def test_a_store_changes_nothing_and_spares_the_repetition_the_model(uninterrupted, repeated):
    expected, calls = uninterrupted
    said, again = repeated
    assert said == [expected, expected]
    assert again < calls / 5


def test_a_run_killed_twenty_times_ends_with_the_identical_result(lab, uninterrupted, repeated, tmp_path):
    """Each attempt gets at most one call further than meant, and loses at most one: hence 20 calls off and twice 20."""
    expected, calls = uninterrupted
    work, opening = calls - repeated[1], repeated[1]
    assert work > 3 * KILLS
    chance, store = random.Random(5), tmp_path / "store.sqlite"
    moments = sorted(chance.randrange(work - KILLS) for _ in range(KILLS))
    for before, moment in zip([0, *moments], moments, strict=False):
        at = opening + moment - before if moment > before else chance.randrange(opening + 1)
        lab.start(pause=PAUSE, store=store).kill(at, chance.uniform(0, PAUSE))
    last = lab.start(store=store)
    assert last.end() == expected
    assert last.calls <= calls - (moments[-1] - KILLS)


def test_two_processes_on_one_store_end_with_equal_results(lab, uninterrupted, tmp_path):
    both = [lab.start(pause=PAUSE / 4, store=tmp_path / "store.sqlite") for _ in range(2)]
    assert [run.end() for run in both] == [uninterrupted[0]] * 2


def test_parallel_equals_sequential_with_and_without_a_store(lab, uninterrupted, tmp_path):
    store = tmp_path / "store.sqlite"
    assert lab.start(n_jobs=2).end() == uninterrupted[0]
    assert lab.start(n_jobs=2, store=store).end() == uninterrupted[0]
    assert lab.start(n_jobs=1, store=store).end() == uninterrupted[0]

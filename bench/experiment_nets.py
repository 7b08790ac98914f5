"""Noise vs. no noise on a net: every technique, four data sets, three seeds; prints the tables of docs/experiments.

Usage: python bench/experiment_nets.py [digits breast_cancer mnist adult] [--seeds 3] [--json FILE]
`mnist` and `adult` need the folder that HORMESIS_DATA names (default ../shared/data).
"""

import argparse
import dataclasses
import functools
import gzip
import json
import os
import statistics
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skrub import TableVectorizer

import hormesis as hz
from hormesis.noise import GaussianNoise, MissingValues, SwapNoise
from hormesis.torch import PGD, Space, TabularNetClassifier

DATA = Path(os.environ.get("HORMESIS_DATA", Path(__file__).parents[2] / "shared" / "data"))
MAX_DROP = 0.05
SHARES = [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5]


@dataclasses.dataclass
class Task:
    """A data set with the doses that suit its units: image pixels from 0 to 1, or robust spreads of a column."""

    X: object
    y: np.ndarray
    epochs: int
    sigma: float
    epsilon: float
    sigmas: list
    epsilons: list
    test_size: float = 0.4
    image: bool = False


def digits():
    X, y = load_digits(return_X_y=True)
    sigmas, sizes = [0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8], [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3]
    return Task((X / 16).astype(np.float32), y, 30, 0.4, 0.1, sigmas, sizes, image=True)


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    sigmas, sizes = [0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0], [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5]
    return Task(X, y, 30, 1.0, 0.3, sigmas, sizes)


def mnist():
    folder = DATA / "images"
    raw = {p.name: gzip.decompress(p.read_bytes()) for p in folder.glob("mnist-t10k-*.gz")}
    images = next(np.frombuffer(b, np.uint8, offset=16) for n, b in raw.items() if "images" in n)
    labels = next(np.frombuffer(b, np.uint8, offset=8) for n, b in raw.items() if "labels" in n)
    sigmas, sizes = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8], [0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2]
    X = (images.reshape(-1, 784) / 255).astype(np.float32)
    return Task(X, labels.astype(np.int64), 15, 0.4, 0.1, sigmas, sizes, 0.3, image=True)


def adult():
    """The raw table: Gaussian noise, missing values and swaps fall on it; PGD moves the numbers of the encoded table."""
    table = pd.read_csv(DATA / "adult" / "clean.csv")
    y = (table.pop(table.columns[-1]).astype(str).str.contains(">")).to_numpy().astype(np.int64)
    sigmas, sizes = [0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0], [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5]
    return Task(table, y, 10, 0.5, 0.1, sigmas, sizes, 0.25)


TASKS = {"digits": digits, "breast_cancer": breast_cancer, "mnist": mnist, "adult": adult}


def techniques(task, unit):
    """Return each technique's settings; `unit` turns the task's sizes into the net's own."""
    sigma, epsilon = task.sigma * unit, task.epsilon * unit
    attack = {"epsilon": epsilon}
    return {
        "baseline": {},
        "Gaussian": {"gaussian_noise": sigma},
        "dropout 0.3": {"dropout": 0.3},
        "label smoothing 0.1": {"label_smoothing": 0.1},
        "mixup Beta(1,1)": {"mixup": 1.0},
        "masking 30 %": {"masking": 0.3},
        "swap noise 30 %": {"swap_noise": 0.3},
        "FGSM, random start": {"adversarial": "fgsm", **attack},
        "PGD-7": {"adversarial": "pgd", **attack},
        "weight noise 10 %": {"weight_noise": 0.1},
        "Gaussian + masking + swap": {"gaussian_noise": sigma / 2, "masking": 0.15, "swap_noise": 0.15},
        "Gaussian + FGSM": {"gaussian_noise": sigma / 2, "adversarial": "fgsm", **attack},
    }


def unit_of(task):
    """Return how many of the net's units one unit of the task is: pixels over their deviation, else 1."""
    return float(1 / task.X.std()) if task.image else 1.0


def profile_of(X, task):
    """Return the training profile; for images every pixel has spread 1, so that sigma and epsilon are in pixel units."""
    profile = hz.Profile.learn(X)
    if not task.image:
        return profile
    return dataclasses.replace(
        profile, columns=tuple(dataclasses.replace(c, spread=1.0) for c in profile.columns)
    )


def still(profile, names):
    """Return a profile in which some columns have no spread: an attack leaves them alone."""
    kept = tuple(dataclasses.replace(c, spread=0.0) if c.name in names else c for c in profile.columns)
    return dataclasses.replace(profile, columns=kept)


def measure(task, name, settings, seed):
    """Train one net and test it; return its numbers."""
    X, X_test, y, y_test = train_test_split(
        task.X, task.y, test_size=task.test_size, stratify=task.y, random_state=seed
    )
    X_test, y_test = X_test[:3000], y_test[:3000]
    net = TabularNetClassifier(
        hidden=(128, 128), epochs=task.epochs, batch_size=64 if len(y) < 5000 else 128,
        standardise="whole" if task.image else "columns", random_state=seed, **settings,
    )  # fmt: skip
    words = [c for c in X if not pd.api.types.is_numeric_dtype(X[c])] if isinstance(X, pd.DataFrame) else []
    encoder = (
        TableVectorizer(numeric="passthrough").set_params(high_cardinality__random_state=0).fit(X)
        if words
        else FunctionTransformer()
    )
    clear, clear_test = encoder.fit_transform(X), encoder.transform(X_test)
    started = time.process_time()
    net.fit(clear, y)
    seconds = time.process_time() - started
    test = functools.partial(hz.stress, scoring="accuracy", max_drop=MAX_DROP, seed=seed, progress=False)
    model = make_pipeline(encoder, net) if words else net
    plain = test(
        model, X_test, y_test, noises=[GaussianNoise(), MissingValues(), SwapNoise()],
        levels={"sigma": task.sigmas, "fraction": SHARES}, profile=profile_of(X, task),
    )  # fmt: skip
    profile = profile_of(clear, task)
    profile = still(profile, set(clear) - set(X)) if words else profile
    attack = PGD(steps=20).as_noise(space=Space.image() if task.image else None)
    worst = test(net, clear_test, y_test, noises=[attack], levels=task.epsilons, profile=profile)
    found = {"technique": name, "seed": seed, "seconds": seconds, "clean": plain.curves[0].clean}
    for curve in (*plain.curves, *worst.curves):
        b = curve.break_point
        scores = dict(zip(map(str, curve.levels), curve.score, strict=True))
        found[curve.noise] = {"passes": b.passes_to, "fails": b.fails_from, "scores": scores}
    return found


def table(word, task, rows):
    """Return the Markdown tables of one data set: break levels, then scores at one level of each noise."""
    noises = [n for n in rows[0] if isinstance(rows[0][n], dict)]
    at = dict(zip(noises, (task.sigma, 0.3, 0.3, task.epsilon), strict=True))
    first = [
        f"\n### {word}: {len(task.y)} rows, passes / fails (median of {len({r['seed'] for r in rows})} seeds)\n"
    ]
    first.append(
        "| technique | clean | "
        + " | ".join(noises)
        + " | training CPU |\n|---|--:|"
        + "--:|" * (len(noises) + 1)
    )
    second = [
        "\n| technique | " + " | ".join(f"{n} {at[n]:g}" for n in noises) + " |\n|---|" + "--:|" * len(noises)
    ]
    base = statistics.median(r["seconds"] for r in rows if r["technique"] == "baseline")
    for name in dict.fromkeys(r["technique"] for r in rows):
        own = [r for r in rows if r["technique"] == name]
        cells = [
            f"{middle(r[n]['passes'] for r in own)} / {middle(r[n]['fails'] for r in own)}" for n in noises
        ]
        cost = statistics.median(r["seconds"] for r in own) / base
        first.append(
            f"| {name} | {spread(r['clean'] for r in own)} | " + " | ".join(cells) + f" | {cost:.1f}x |"
        )
        scores = [spread(r[n]["scores"][str(at[n])] for r in own) for n in noises]
        second.append(f"| {name} | " + " | ".join(scores) + " |")
    return "\n".join(first + second)


def middle(values):
    """Return the median, where None (never fails) is beyond every level."""
    found = sorted(np.inf if v is None else v for v in values)
    found = found[len(found) // 2]
    return "never" if np.isinf(found) else f"{found:g}"


def spread(values):
    """Return mean and standard deviation over seeds."""
    found = list(values)
    return f"{statistics.mean(found):.3f} ± {statistics.stdev(found) if len(found) > 1 else 0:.3f}"


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("tasks", nargs="*", default=["digits", "breast_cancer"])
    ask.add_argument("--seeds", type=int, default=3)
    ask.add_argument("--json", type=Path)
    ask.add_argument("--only", nargs="*")
    given = ask.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    everything = {}
    for word in given.tasks:
        task, rows = TASKS[word](), []
        measure(dataclasses.replace(task, epochs=1), "warm-up", {}, 0)
        for name in techniques(task, 1.0):
            if given.only and name not in given.only:
                continue
            for seed in range(given.seeds):
                rows.append(measure(task, name, techniques(task, unit_of(task))[name], seed))
            print(f"{word}: {name}", file=sys.stderr, flush=True)
        everything[word] = rows
        print(table(word, task, rows))
        if given.json:
            given.json.write_text(json.dumps(everything))


if __name__ == "__main__":
    main()

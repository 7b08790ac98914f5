"""Harden: find the noise and the dose, train with it, and prove on untouched rows what it bought."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from hormesis.engine.bench import Bench
from hormesis.engine.measuring import measure
from hormesis.errors import DataError, SettingError, listed, nearest
from hormesis.frames import as_array, as_table, repeated, take
from hormesis.judge import judged, unproven
from hormesis.ladder import DOSES, Candidate, Ladder, folds_of
from hormesis.models import (
    Task,
    as_estimator,
    check_target,
    default_model,
    single_thread,
    task_of,
    task_to_train,
    without_early_stopping,
)
from hormesis.noise import CATALOGUE, WorstCase
from hormesis.profile import Profile
from hormesis.progress import track
from hormesis.proof import HardenResult
from hormesis.recipe import Recipe
from hormesis.scoring import Scoring, clusters, scorers
from hormesis.step import Step
from hormesis.trials.curves import curves_of
from hormesis.trials.plans import Noises, check_worst, plan_of, steps_of
from hormesis.trials.summary import provenance_of, summarise
from hormesis.trials.trial import groups_in, sample_rows, usable

HELD_OUT = ("UnitErrors", "SwapNoise", "Shift")
PROOF_ROWS = 1_000


@dataclass(frozen=True)
class Split:
    """Training and proof rows; nothing of the search sees the proof rows."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any
    task: Task
    classes: Any
    profile: Profile
    sampled: str
    repeated: str = ""


def harden(
    model: Any,
    X: Any,
    y: Any,
    *,
    noises: Noises = None,
    held_out: Noises = None,
    doses: Mapping[str, Sequence[float]] | None = None,
    levels: Any = None,
    scoring: Scoring = None,
    max_clean_drop: float = 0.01,
    max_drop: float = 0.05,
    copies: int = 3,
    cv: int = 3,
    test_size: float | None = None,
    max_rows: int | None = 20_000,
    search_rows: int | None = 5_000,
    budget: float | None = None,
    n_jobs: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> HardenResult:
    """Find the dose of noise that makes a model robust, train with it, and prove it; or say: keep your model.

    The rows are split first. On the training part a ladder of doses is climbed for each noise, by cross-validation and
    scored under noise, and the noises that help are combined. On the untouched part the plain and the hardened model
    are put under the searched noises and under others held out. The answer is "harden" only when the gain under the
    searched noises is above 0 and the clean cost within `max_clean_drop`, both by the bounds of 95 % intervals.

    Parameters
    ----------
    model : unfitted estimator, torch module or None
        A module or skorch net starts every training from the weights it is given with. None takes skrub's tabular pipeline with gradient-boosted trees. Early stopping inside it is turned off, for the
        plain model too: its validation rows would be copies of training rows.
    X, y : table, array
        All rows, shape (rows, columns) and (rows,), or tensors (rows, ...); the split is made here.
    noises, held_out : noises, their names, or a Recipe, optional
        What is searched, and what only the proof sees, worst cases and attacks among them. None: chosen by the kinds of
        columns.
    doses : dict of unit to doses, optional
        Rungs of the ladder for `fraction` and `sigma`, from small.
    levels : list or dict, optional
        Levels of the proof, as in `stress`.
    scoring : str or callable, optional
        One scikit-learn scorer, as in `stress`.
    max_clean_drop : float
        Clean score that robustness may cost, in the scorer's units.
    max_drop : float
        Tolerated loss of score under noise, for the break points.
    copies : int
        Noisy copies of the training rows.
    cv : int
        Folds of the search.
    test_size : float, optional
        Share of the rows kept for the proof. None: a quarter, and up to half where that is less than 1,000 rows.
    max_rows, search_rows : int, optional
        Rows used in all, and training rows used by the search, random samples; None uses all.
    budget : float, optional
        Seconds for the search; the best candidate so far is then proven.
    n_jobs, seed, progress
        As in `stress`.

    Returns
    -------
    HardenResult
        `model` (fitted), `recipe`, `verdict`, `table()`, `proof`.

    Raises
    ------
    DataError, SettingError, ModelError
        Each with one sentence: what was given, the rule, the mend.
    """
    started = time.monotonic()
    if copies < 1:
        raise SettingError(f"`copies={copies}`: training with noise needs 1 noisy copy or more.")
    X, shape = as_table(X)
    y = as_array(y)
    model = as_estimator(model, shape, y, seed)
    task = task_to_train(model, y, "harden")
    model, stopped = without_early_stopping(default_model(task) if model is None else model)
    split = _split(X, y, task, max_rows, test_size, seed)
    searched, others = _noises(noises, held_out, split.profile)
    plan = plan_of([*searched, *others], levels, split.profile)
    check_worst(plan, {"model": model})
    judge, *more = scorers(scoring, model, split.y_test, split.classes, task, seed)
    if more:
        raise SettingError(
            f"`scoring={scoring}`: one scorer decides what hardening is for; `stress` takes several."
        )
    ladder = Ladder(model, copies=copies, max_clean_drop=max_clean_drop, seed=seed, budget=budget)
    if stopped:
        ladder.notes.append(
            f"early stopping is off ({', '.join(stopped)}): its validation rows would be copies"
        )
    if split.repeated:
        ladder.notes.append(split.repeated)
    _search(ladder, split, searched, doses, scoring=scoring, cv=cv, rows=search_rows, progress=progress)
    seen = provenance_of(seed, 1, split.X_test, split.y_test, split.sampled, time.monotonic() - started)
    if ladder.interrupted:
        return unproven(ladder, searched, others, judge.name, max_drop, seen, when="search")
    try:
        models = _fitted(ladder, split)
        bench = Bench(models, split.X_test, split.y_test, split.classes, task, [judge], split.profile, seed)
        done = measure(bench, plan, max_drop=max_drop, n_jobs=n_jobs, label="proof", progress=progress)
    except KeyboardInterrupt:
        return unproven(ladder, searched, others, judge.name, max_drop, seen, when="proof")
    proof = summarise(
        done,
        curves_of(done, max_drop),
        max_drop=max_drop,
        sampled=split.sampled,
        started=started,
        notes=ladder.notes,
    )
    return judged(bench, done, ladder, searched, others, proof)


def _fitted(ladder: Ladder, split: Split) -> dict[str, Any]:
    """Return the plain model, and the hardened one where the search found it, trained on the whole training part."""
    with single_thread(split.y.size * (ladder.copies + 1)):
        models = {"plain": clone(ladder.model).fit(split.X, split.y)}
        if ladder.best != Candidate(Recipe([])):
            made = ladder.best.build(ladder.model, ladder.copies, ladder.seed)
            models["hardened"] = made.fit(split.X, split.y)
    return models


def train_default(X: Any, y: Any, seed: int, groups: str | None = None) -> tuple[Any, Any, Any, Profile, str]:
    """Return the default model trained on a part of the rows (whole groups), the others, and the training profile."""
    codes = None if groups is None else clusters(groups_in(X, groups), len(y))
    split = _split(X, y, task_of(y), None, None, seed, codes)
    with single_thread(split.y.size):
        model = default_model(split.task).fit(split.X, split.y)
    said = f"model: gradient-boosted trees on the raw table, trained on {len(split.y):,} rows, tested on the others"
    return model, split.X_test, split.y_test, split.profile, said


def _split(
    X: Any,
    y: Any,
    task: Task,
    max_rows: int | None,
    test_size: float | None,
    seed: int,
    groups: NDArray[Any] | None = None,
) -> Split:
    X, y, sampled = sample_rows(X, y, max_rows, seed)
    y = check_target(y, task)
    usable(Profile.learn(X))
    counts = np.unique(y, return_counts=True)
    if task == "classification" and counts[1].min() < 8:
        rare = counts[0][counts[1].argmin()]
        raise DataError(
            f"Class `{rare}` has {counts[1].min()} rows; splitting and testing need at least 8 of every class."
        )
    if test_size is None:
        test_size = max(0.25, min(0.5, PROOF_ROWS / y.size))
    try:
        if groups is not None:
            splitter = GroupShuffleSplit(1, test_size=test_size, random_state=seed % 2**32)
            train, test = next(splitter.split(y, y, groups))
        else:
            train, test = train_test_split(
                np.arange(y.size),
                test_size=test_size,
                stratify=y if task == "classification" else None,
                random_state=seed % 2**32,
            )
    except ValueError as error:
        raise DataError(f"{y.size} rows cannot be split with test_size={test_size}: {error}") from None
    train, test = np.sort(train), np.sort(test)
    said = f"{sampled}; {train.size:,} to train and {test.size:,} untouched rows for the proof"
    rows, classes = take(X, train), np.unique(y) if task == "classification" else np.array([])
    twice = repeated(X)
    again = (
        f"{twice:,} of {y.size:,} rows repeat another row: copies on both sides make the proof too kind"
        if twice
        else ""
    )
    return Split(rows, y[train], take(X, test), y[test], task, classes, Profile.learn(rows), said, again)


def _noises(noises: Noises, held_out: Noises, profile: Profile) -> tuple[list[Step], list[Step]]:
    """Return the searched and the held-out noises: never the same."""
    battery = steps_of(None, profile)
    others = [] if held_out is None else steps_of(held_out, profile)
    kept = {type(s.noise) for s in others} or {CATALOGUE[name] for name in HELD_OUT}
    searched = (
        [s for s in battery if type(s.noise) not in kept] if noises is None else steps_of(noises, profile)
    )
    kinds = {type(s.noise) for s in searched}
    for step in searched:
        if isinstance(step.noise, WorstCase):
            raise SettingError(
                f"`{step.name}` is made against one model, so no copy of it can be trained on: give it as `held_out`."
            )
        if step.noise.changes == "schema":
            raise SettingError(
                f"`{step.name}` changes whole columns, so no copy of it can be trained on: give it as `held_out`."
            )
    both = kinds & {type(s.noise) for s in others}
    if both:
        name = both.pop().__name__
        raise SettingError(
            f"`{name}` is searched and held out: a held-out noise is one that training never saw."
        )
    if held_out is None:
        others = [s for s in battery if type(s.noise) not in kinds]
    if not searched:
        raise SettingError("No noise applies to these columns: there is nothing to harden against.")
    return searched, others


def _search(
    ladder: Ladder,
    split: Split,
    searched: Sequence[Step],
    doses: Mapping[str, Sequence[float]] | None,
    *,
    scoring: Scoring,
    cv: int,
    rows: int | None,
    progress: bool | None,
) -> None:
    X, y, sampled = sample_rows(split.X, split.y, rows, ladder.seed)
    fewest = np.unique(y, return_counts=True)[1].min() if split.task == "classification" else y.size
    if not 2 <= cv <= fewest:
        raise SettingError(
            f"`cv={cv}`: the search needs 2 folds or more, and at most {fewest}, the rows of the rarest class."
        )
    ladder.notes.append(f"searched on {sampled} of the training part, {cv} folds")
    strange = [unit for unit in doses or {} if unit not in DOSES]
    if strange:
        raise SettingError(
            f"`doses` names the unit `{strange[0]}`; units are {listed(DOSES)}.{nearest(strange[0], DOSES)}"
        )
    rungs = {unit: tuple(sorted(d)) for unit, d in (DOSES | dict(doses or {})).items()}
    ladder.folds = folds_of(
        ladder.model,
        X,
        y,
        searched,
        scoring=scoring,
        task=split.task,
        classes=split.classes,
        cv=cv,
        seed=ladder.seed,
    )
    with track("search", Ladder.most(searched, rungs), show=progress) as advance:
        ladder.climb(searched, rungs, advance)

"""Stress: the score of models against the level of each noise, and where they break."""

import hashlib
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.columns import present_rows
from hormesis.curves import curve_of
from hormesis.errors import DataError, SettingError, listed
from hormesis.frames import as_array, open_table, take
from hormesis.key import SCHEME, bits, key, lane
from hormesis.measure import Bench, Measured, Plan, measure
from hormesis.models import Task, as_input, as_model, check_model, check_target, model_task
from hormesis.noise import WorstCase
from hormesis.pictures import distributions
from hormesis.plans import Noises, check_worst, plan_of
from hormesis.profile import Profile
from hormesis.results import Curve, Provenance, StressResult, title
from hormesis.scoring import Scoring, scorers
from hormesis.step import Step


def stress(
    model: Any,
    X: Any,
    y: Any,
    *,
    noises: Noises = None,
    levels: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    scoring: Scoring = None,
    max_drop: float = 0.05,
    repeats: int = 1,
    max_rows: int | None = 10_000,
    budget: float | None = None,
    n_jobs: int | None = None,
    profile: Profile | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> StressResult:
    """Measure a model's score under every noise and level, and say where it breaks.

    Parameters
    ----------
    model : fitted estimator, torch module, callable of a table, or dict of name to model
        Anything with `predict`, or a net: a module answers logits (rows, classes), one logit or one number. Several models are measured on the very same noise. A callable returns labels,
        numbers, the second class's probability, or probabilities of the classes in sorted order.
    X : table
        Test features: pandas or polars DataFrame, pyarrow Table, NumPy array (rows, columns), or a tensor (rows, ...),
        whose flattened features are the columns; on a GPU its noise is made there.
    y : array
        True labels or numbers, shape (rows,).
    noises : noises, their names, attacks, or a Recipe, optional
        None chooses a battery by the kinds of columns. A worst case (`WorstOf`, or an attack such as `hormesis.torch.PGD`)
        is made against each model; an attack's level is epsilon, in spreads of the training data.
    levels : list, or dict of unit or noise name to list, optional
        The grid of levels, in the unit of each noise. None: eight per unit, and level 1 alone for noise of whole columns.
    scoring : str, callable, list or dict, optional
        Any scikit-learn scorers. None: roc_auc for two classes, accuracy for more, r2 for numbers.
    max_drop : float
        Tolerated loss of score, in the scorer's units.
    repeats : int
        Draws of the noise per level, averaged inside each row; they come in antithetic pairs.
    max_rows : int, optional
        Test rows used at most, a random sample; None uses all.
    budget : float, optional
        Seconds after which no further noise is started; what was left out is said in the result.
    n_jobs : int, optional
        Threads over levels; None leaves threads to the model (up to 100,000 rows OpenMP is held to one, where waiting
        threads cost more than they bring). Results are equal.
    profile : Profile, optional
        What the training data look like; it scales the noise. None learns it from `X`.
    seed : int
        Seed of the noise and of the sample of rows.
    progress : bool, optional
        Show progress; None shows it on a terminal.

    Returns
    -------
    StressResult
        Curves with intervals, break points, robustness; Ctrl-C returns the noises finished so far.

    Raises
    ------
    DataError, SettingError, ModelError
        Each with one sentence: what was given, the rule, the mend.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> print(stress(model, X, y, noises="GaussianNoise", max_drop=0.1).verdicts()[0])
    gaussian noise: passes 0.1 sd, fails at 0.5 sd
    """
    started = time.monotonic()
    models = dict(model) if isinstance(model, Mapping) else {"model": model}
    X = as_input(X, models.values())
    X, y, sampled = _prepare(models, X, y, max_rows, max_drop, repeats, seed)
    models = {name: as_model(m, X, y) for name, m in models.items()}
    first = next(iter(models.values()))
    task = model_task(first, y)
    y = check_target(y, task)
    classes = classes_of(first, y, task)
    profile = usable(Profile.learn(X)) if profile is None else _fits(profile, X)
    bench = Bench(
        models, X, y, classes, task, scorers(scoring, first, y, classes, task, seed), profile, seed, repeats
    )
    plan = plan_of(noises, levels, profile)
    check_worst(plan, models)
    done = measure(bench, plan, n_jobs=n_jobs, budget=budget, progress=progress)
    return summarise(
        bench, plan, done, max_drop=max_drop, sampled=sampled, seconds=time.monotonic() - started
    )


def _prepare(
    models: Mapping[str, Any], X: Any, y: Any, max_rows: int | None, max_drop: float, repeats: int, seed: int
) -> tuple[Any, Any, str]:
    for model in models.values():
        check_model(model)
    if not models:
        raise SettingError("No model was given: give one, or a dict of name to model.")
    if not max_drop > 0:
        raise SettingError(
            f"`max_drop={max_drop}`: the tolerated loss of score is above 0, in the scorer's units."
        )
    if repeats < 1:
        raise SettingError(f"`repeats={repeats}`: the noise is drawn at least once.")
    return sample_rows(X, y, max_rows, seed)


def _fits(profile: Profile, X: Any) -> Profile:
    """Refuse a profile of other columns: noise would pass them by, and nothing would break."""
    names, known = open_table(X).names, [c.name for c in profile.columns]
    strange = [n for n in names if n not in profile] or [n for n in known if n not in names]
    if strange:
        raise DataError(
            f"The profile knows {listed(known)}, the table has {listed(names)}: column `{strange[0]}` is not in both. "
            "Learn the profile from training data of the same columns."
        )
    return profile


def sample_rows(X: Any, y: Any, max_rows: int | None, seed: int) -> tuple[Any, Any, str]:
    """Return at most `max_rows` rows, chosen at random and kept in order, and what was sampled in words."""
    table, values = open_table(X), as_array(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values.ravel()
    if values.ndim != 1 or values.size != table.rows:
        raise DataError(
            f"The target has shape {values.shape}; it needs one value for each of the {table.rows} rows."
        )
    if not table.rows or not table.names:
        raise DataError(
            f"The table has {table.rows} rows and {len(table.names)} columns: there is nothing to test."
        )
    if max_rows is None or table.rows <= max_rows:
        return X, values, f"all {table.rows:,} rows"
    order = np.argsort(bits(lane(np.arange(table.rows)), key(seed, "sample")), kind="stable")
    rows = np.sort(order[:max_rows])
    return take(X, rows), values[rows], f"{max_rows:,} of {table.rows:,} rows, at random"


def classes_of(model: Any, y: NDArray[Any], task: Task) -> NDArray[Any]:
    """Return the classes in sorted order; none for a regression."""
    if task == "regression":
        return np.array([])
    known = np.unique(getattr(model, "classes_", y))
    strange = set(np.unique(y).tolist()) - set(known.tolist())
    if strange:
        raise DataError(
            f"The target holds classes that the model has not learnt: {listed(sorted(strange, key=str))}."
        )
    return known


def summarise(
    bench: Bench,
    plan: Plan,
    done: Measured,
    *,
    max_drop: float,
    sampled: str,
    seconds: float,
    notes: Sequence[str] = (),
) -> StressResult:
    """Turn measured cells into curves, break points and what is needed to repeat them."""
    steps = [s for s, _ in plan if done.of(s.name)]
    curves = tuple(
        curve_of(done, step, model, scorer, max_drop)
        for step in steps
        for model in bench.models
        for scorer in bench.scorers
    )
    floats = {n for cell in done.cells for n, how in cell.widened.items() if not how.endswith("object")}
    widened = sorted(map(str, floats))
    said = (
        [f"models meet these columns as floats once they lose values: {listed(widened, 20)}"]
        if widened
        else []
    )
    said += [*ranking_notes(bench, steps), *idle_notes(curves)]
    if done.left_out:
        said.append(
            f"left out ({'interrupted' if done.interrupted else 'the time budget was spent'}): {', '.join(done.left_out)}"
        )
    provenance = provenance_of(bench.seed, bench.repeats, bench.X, bench.y, sampled, seconds)
    shown = tuple(distributions(bench, steps, curves))
    names = tuple(s.name for s in bench.scorers)
    return StressResult(
        curves, max_drop, names, provenance, shown, (*notes, *said), finished=not done.left_out
    )


def idle_notes(curves: Sequence[Curve]) -> list[str]:
    """Say which levels changed nothing in these rows, so that passing them shows nothing."""
    idle: dict[str, str] = {}
    for c in curves:
        still = [level for level, share in zip(c.levels, c.changed, strict=True) if level and not share]
        if still:
            where = (
                "at any level"
                if len(still) == len(c.levels)
                else f"at level {', '.join(f'{x:g}' for x in still)}"
            )
            idle[c.noise] = (
                f"{title(c.noise)} changed nothing in these rows {where}: to pass there shows nothing"
            )
    return list(idle.values())


def ranking_notes(bench: Bench, steps: Sequence[Step]) -> list[str]:
    """Say where a score of ranks or probabilities is read under attacks, which stop at the first wrong label."""
    attacks = [title(s.name) for s in steps if isinstance(s.noise, WorstCase) and s.noise.stops]
    finer = [s.name for s in bench.scorers if s.metric is not None and s.metric.asks in ("score", "proba")]
    if not attacks or not finer or bench.task == "regression":
        return []
    return [
        f"attacks ({', '.join(attacks)}) stop where a label is wrong, so that {', '.join(finer)} could be made to fall "
        "further: scoring='accuracy' is what they measure in full"
    ]


def provenance_of(
    seed: int, repeats: int, X: Any, y: NDArray[Any], sampled: str, seconds: float
) -> Provenance:
    """Return what is needed to repeat a run."""
    return Provenance(
        seed, repeats, y.size, sampled, fingerprint(X, y), round(seconds, 2), _versions(), SCHEME
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    packages = ("hormesis", "numpy", "pandas", "scikit-learn", "skrub")
    return {
        "python": platform.python_version(),
        **{p: version(p) for p in packages},
        "platform": sys.platform,
    }


def usable(profile: Profile) -> Profile:
    """Refuse training data in which a column holds nothing."""
    empty = [c.name for c in profile.columns if not c.count]
    if empty:
        raise DataError(
            f"No value in any row of {listed(empty)}: nothing can be learnt from an empty column. Drop it."
        )
    return profile


def fingerprint(X: Any, y: NDArray[Any]) -> str:
    """Return a short hash of a table and its target, equal for equal values in any library."""
    digest, table = hashlib.blake2b(digest_size=8), open_table(X)
    for j, name in enumerate(table.names):
        rows = present_rows(table, j)
        values = table.pick(j, rows)
        digest.update(f"{name}\x1f".encode() + rows.astype(np.int64).tobytes())
        if values.dtype.kind == "f":
            digest.update(values.astype(np.float64).tobytes())
        else:
            digest.update("\x1f".join(map(str, values.tolist())).encode())
    digest.update("\x1f".join(map(str, y.tolist())).encode())
    return digest.hexdigest()

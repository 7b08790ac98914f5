"""Stress: the score of models against the level of each noise, and where they break."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hormesis.columns import present_rows
from hormesis.engine.bench import Bench
from hormesis.engine.measuring import Measured, measure
from hormesis.engine.store import Store
from hormesis.errors import SettingError
from hormesis.frames import open_table, part
from hormesis.limits import Checked
from hormesis.models import single_thread
from hormesis.noise import WorstCase
from hormesis.noise.worst import Raised
from hormesis.profile import Profile
from hormesis.reshape import has_names
from hormesis.results import Curve
from hormesis.scoring import Scoring
from hormesis.statistics.slices import Slices
from hormesis.thresholds import limits_of
from hormesis.trials.crashes import with_crashes
from hormesis.trials.curves import curves_of
from hormesis.trials.forecast import forecast
from hormesis.trials.fragile import fragile_columns
from hormesis.trials.plans import SCHEMA, SCHEMA_OF_ARRAYS, Noises, check_worst, plan_of
from hormesis.trials.summary import flip_notes, summarise, unit_notes
from hormesis.trials.trial import prepared
from hormesis.validating import Validation

SLICED = 10_000  # rows in which the worst slice is sought, at most


def stress(
    model: Any,
    X: Any,
    y: Any,
    *,
    noises: Noises = None,
    levels: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    resolution: int = 12,
    scoring: Scoring = None,
    max_drop: float = 0.05,
    repeats: int | None = None,
    groups: Any = None,
    by_column: bool = False,
    validator: Any = None,
    row_wise: bool | None = None,
    max_rows: int | None = 10_000,
    budget: float | None = None,
    n_jobs: int | None = None,
    store: str | Path | None = None,
    dry_run: bool = False,
    profile: Profile | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Any:
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
        The grid of levels, in the unit of each noise, all measured on all rows. None: the break point of one model is
        searched by bisection, each level on as few rows as decide it; several models, and worst cases, get eight levels
        each; noise of whole columns is tested at level 1.
    resolution : int
        How many levels the search tells apart.
    scoring : str, callable, list or dict, optional
        Any scikit-learn scorers. None: roc_auc for two classes where the model is an estimator that ranks them, else accuracy;
        r2 for numbers.
    max_drop : float
        Tolerated loss of score, in the scorer's units.
    repeats : int, optional
        Draws of the noise per level, averaged inside each row; they come in antithetic pairs. None: a pair up to 5,000
        rows, else one; eight fresh draws where all rows share one, as under `Shift`.
    groups : array or column name, optional
        Rows that belong together (a patient, a shop), shape (rows,): groups are then the sample, and the intervals speak
        of new groups.
    by_column : bool
        Test every column alone: `fragility()` ranks them, `thresholds()` gives a limit for each.
    validator : callable or pandera schema, optional
        Accepts or rejects a table: `noticed()` says which harm goes by unnoticed.
    row_wise : bool, optional
        Whether the answer to a row depends on no other row, so that only changed rows are predicted. None: found out.
    max_rows : int, optional
        Test rows used at most, a random sample; None uses all.
    budget : float, optional
        Seconds after which nothing new is predicted; what was left out or cut short is said in the result.
    n_jobs : int, optional
        Threads over tables; None leaves threads to the model (up to 100,000 rows OpenMP is held to one, where waiting
        threads cost more than they bring). Results are equal.
    store : path, optional
        A file that keeps every answer: a run that was killed goes on from there, and ends with the same result. Runs of
        another plan share answers; where a model's last bits depend on the rows beside, theirs may differ in them.
    dry_run : bool
        Return what would be run, how many rows would be predicted and about how long it takes, and run nothing.
    profile : Profile, optional
        What the training data look like; it scales the noise. None learns it from `X`.
    seed : int
        Seed of the noise and of the sample of rows.
    progress : bool, optional
        Show progress; None shows it on a terminal.

    Returns
    -------
    StressResult
        Curves with intervals, break points, robustness; Ctrl-C returns what was measured so far. With `dry_run`, a
        `StressPlan`.

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
    gaussian noise: passes 0.2 sd, fails at 0.5 sd
    """
    started = time.monotonic()
    trial = prepared(model, X, y, scoring, max_drop, repeats, groups, max_rows, profile, seed)
    bench = trial.bench
    _check(bench, resolution=resolution, n_jobs=n_jobs, max_drop=max_drop, budget=budget)
    searched = resolution if len(bench.models) == 1 else None
    named = SCHEMA if has_names(open_table(bench.X)) else SCHEMA_OF_ARRAYS
    plan = plan_of(noises, levels, bench.profile, resolution=searched, by_column=by_column, schema=named)
    check_worst(plan, bench.models)
    if dry_run:
        return forecast(bench, plan, row_wise=row_wise)
    validation = None if validator is None else Validation(validator, bench.X)
    with opened(store) as kept:
        done = measure(
            bench, plan, max_drop=max_drop, n_jobs=n_jobs, budget=budget, store=kept, row_wise=row_wise,
            slices=slices_of(bench), progress=progress,
        )  # fmt: skip
        with single_thread(bench.rows):
            curves: Sequence[Curve] = curves_of(done, max_drop)
            curves = (
                done.unless_stopped("the share of rows that raise", lambda: with_crashes(done, curves))
                or curves
            )
            found = _found(done, curves, max_drop, by_column=by_column, validation=validation)
            return summarise(done, curves, max_drop=max_drop, sampled=trial.sampled, started=started, **found)


def _check(
    bench: Bench, *, resolution: int, n_jobs: int | None, max_drop: float, budget: float | None
) -> None:
    if resolution < 1:
        raise SettingError(f"`resolution={resolution}`: a search tells 1 level or more apart.")
    if n_jobs == 0:
        raise SettingError("`n_jobs=0`: give a number of threads, -1 for all cores, or None for one.")
    if max_drop >= 1 and any(s.share for s in bench.scorers):
        raise SettingError(
            f"`max_drop={max_drop:g}`: {bench.scorers[0].name} lies between 0 and 1, and so does a tolerated drop of it."
        )
    if budget is not None and not budget >= 0:
        raise SettingError(f"`budget={budget}`: give seconds, 0 or more, or None for no limit.")


def _found(
    done: Measured,
    curves: Sequence[Curve],
    max_drop: float,
    *,
    by_column: bool,
    validation: Validation | None,
) -> dict[str, Any]:
    """Return what is found beside the curves, by its name in a result."""
    worst = {s.name for s in done.steps if isinstance(s.noise, WorstCase)}
    found: dict[str, Any] = {
        "limits": limits_of([c for c in curves if c.noise not in worst], done.bench.profile)
    }
    if by_column:
        found["fragile"] = done.unless_stopped(
            "the ranking of columns", lambda: fragile_columns(done, curves)
        )
    if validation is not None:
        found["checked"] = done.unless_stopped(
            "what the validator says", lambda: noticed(done, curves, max_drop, validation)
        )
    flips = flip_notes([c for c in curves if "@" not in c.noise])
    return found | {"notes": [*unit_notes(done, max_drop), *flips]}


def noticed(
    done: Measured, curves: Sequence[Curve], max_drop: float, validation: Validation
) -> Iterator[Checked]:
    """Yield what a validator says of the whole test table under each noise and level that was measured."""
    steps = {s.name: s for s in done.steps}
    for curve in curves:
        for level, word in zip(curve.levels, curve.words_at(max_drop), strict=True):
            try:
                table, _ = done.bench.noisy(steps[curve.noise].at(level), curve.model)
            except Raised:
                continue
            yield validation.look(
                curve.noise, level, curve.unit, word, table, model=curve.model, scoring=curve.scoring
            )


@contextlib.contextmanager
def opened(path: str | Path | None) -> Iterator[Store | None]:
    """Open the store, where one is asked for."""
    if path is None:
        yield None
        return
    with Store.open(path) as store:
        yield store


def slices_of(bench: Bench) -> Slices:
    """Return the parts of the test rows by value and by decile of each column."""
    table = open_table(part(bench.looked, 0, SLICED))

    def columns() -> Iterator[Any]:
        for j, name in enumerate(table.names):
            if table.dtype(j) != "other":
                rows = present_rows(table, j)
                values = table.pick(j, rows)
                whole = np.zeros(table.rows, values.dtype)
                whole[rows] = values
                gone = np.ones(table.rows, bool)
                gone[rows] = False
                yield name, whole, gone

    return Slices.of(columns())

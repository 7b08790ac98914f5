"""`scenarios`: split the rows, fit and score with noise in each place, and say whether training on it helps."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from hormesis.errors import SettingError
from hormesis.frames import as_array, as_table, library_of
from hormesis.models import as_estimator, default_model, single_thread, task_to_train
from hormesis.progress import track
from hormesis.scenario.plans import Plan, plan_of, steps_of
from hormesis.scenario.rows import Source, given_rows, split_rows
from hormesis.scenario.study import Study
from hormesis.scenario.table import Scenarios, ScenariosResult
from hormesis.scoring import Scoring
from hormesis.trials.plans import Noises
from hormesis.trials.summary import provenance_of
from hormesis.trials.trial import check_settings


def scenarios(
    model: Any,
    X: Any,
    y: Any,
    *,
    noises: Noises = None,
    levels: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    scoring: Scoring = None,
    test_size: float = 0.25,
    X_test: Any = None,
    y_test: Any = None,
    groups: Any = None,
    repeats: int = 3,
    max_drop: float = 0.05,
    max_rows: int | None = 20_000,
    n_jobs: int | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> ScenariosResult:
    """Measure what noise costs in the test rows only, in the training rows only, and in both.

    Does training on a noise help against it? Noisy training rows *replace* the clean ones here, as where bad data were
    collected from the start; to train on clean rows and noisy copies of them on purpose, use `harden` or
    `NoisyTraining`. Both parts are made noisy at the scale of the clean training rows, with draws of their own.

    Parameters
    ----------
    model : unfitted estimator, torch module or None
        Clones are fitted. None takes skrub's tabular pipeline with gradient-boosted trees. A model that is random itself
        should be given its `random_state`: the differences would hold its luck.
    X, y : table, array
        All rows, which are split here; or the training rows, where `X_test` and `y_test` are given.
    noises : noises, their names, or a Recipe, optional
        Noises of labels and of rows are for training alone: a test needs true labels and the same rows. None: a battery
        by the kinds of columns, and wrong labels.
    levels : list, or dict of unit or noise name to list, optional
        None: three per unit, and level 1 alone for noise of whole columns.
    scoring : str, callable, list or dict, optional
        As in `stress`.
    test_size : float
        Share of the rows that are tested, stratified by class.
    X_test, y_test : table, array, optional
        Test rows of your own.
    groups : array or column name, optional
        Which rows belong together (patients, shops), one label per row of `X`, or of `X_test` where that is given; or the
        name of a column that says so. A group is never split, and intervals count groups.
    repeats : int
        Draws of the noise, each with a fit of its own. What differs between draws is in the intervals wherever all test
        rows share it: the luck of one training set, or of a noise that moves whole columns. Few draws make them wide.
    max_drop : float
        Tolerated loss of score, in the scorer's units.
    max_rows : int, optional
        Rows of `X` (and of `X_test`) used at most, a random sample; None uses all.
    n_jobs : int, optional
        Threads over noises and levels; results are equal.
    seed, progress
        As in `stress`.

    Returns
    -------
    ScenariosResult
        Scores, drops and gains with 95 % intervals, paired by test row; Ctrl-C returns the levels finished so far.

    Raises
    ------
    DataError, SettingError, ModelError
        Each with one sentence: what was given, the rule, the mend.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000)
    >>> found = scenarios(model, X, y, noises="LabelFlips", levels=[0.3], repeats=2)
    >>> found.cells[0].test.words
    'not applicable (a test needs true labels)'
    """
    started = time.monotonic()
    _check(repeats, max_drop, X_test, y_test)
    X, shape = as_table(X)
    y = as_array(y)
    model = as_estimator(model, shape, y, seed)
    task = task_to_train(model, y, "scenarios")
    model = default_model(task) if model is None else model
    source = Source(X, y, groups, X_test, y_test)
    if X_test is None:
        rows = split_rows(source, task, max_rows, seed, test_size)
    else:
        rows = given_rows(source, task, max_rows, seed)
    plan = plan_of(steps_of(noises, rows), levels)
    study = Study.of(model, rows, scoring, repeats, seed)
    study.rehearse(plan)
    cells, left = _measured(study, plan, n_jobs=n_jobs, progress=progress)
    notes = [*study.notes(max_drop), *([f"left out (interrupted): {', '.join(left)}"] if left else [])]
    return ScenariosResult(
        cells=tuple(cells),
        clean={s.name: study.score(s, [study.clean[s.name]]) for s in study.scorers},
        max_drop=max_drop,
        training_rows=rows.y.size,
        provenance=provenance_of(
            seed, repeats, rows.X_test, rows.y_test, rows.said, time.monotonic() - started
        ),
        notes=tuple(notes),
        library=library_of(X),
        finished=not left,
    )


def _check(repeats: int, max_drop: float, X_test: Any, y_test: Any) -> None:
    check_settings(max_drop, repeats)
    if (X_test is None) != (y_test is None):
        given, other = ("y_test", "X_test") if X_test is None else ("X_test", "y_test")
        raise SettingError(
            f"`{given}` was given without `{other}`: give both, or none and the rows are split."
        )


def _measured(
    study: Study, plan: Plan, *, n_jobs: int | None, progress: bool | None
) -> tuple[list[Scenarios], list[str]]:
    """Measure a plan; return what is finished, and the names of the noises that Ctrl-C cut off."""
    from joblib import Parallel, delayed

    done: list[list[Scenarios]] = []
    with single_thread(study.rows.y.size), track("scenarios", len(plan), show=progress) as advance:
        try:
            found = (
                (study.cells(*pair) for pair in plan)
                if n_jobs in (None, 1)
                else Parallel(n_jobs=n_jobs, require="sharedmem", return_as="generator")(
                    delayed(study.cells)(*pair) for pair in plan
                )
            )
            for cells in found:
                done.append(cells)
                advance()
        except KeyboardInterrupt:
            if not done:
                raise
    left = dict.fromkeys(f"{s.name} {level:g}" for s, level in plan[len(done) :])
    return [cell for cells in done for cell in cells], list(left)

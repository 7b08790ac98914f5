"""Any scikit-learn scorer as a value with influences, so that it gets an interval."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.errors import SettingError, nearest
from hormesis.models import Answered, Answers, NoSkill, Task
from hormesis.statistics import METRICS, Metric, Sample, groups_of, jackknife, pseudo_row

WEIGHED = ("roc_auc", "f1", "balanced_accuracy")
Scoring = str | Callable[..., float] | Sequence[str] | Mapping[str, Any] | None


@dataclass(frozen=True)
class Scorer:
    """One scorer on one set of true labels."""

    name: str
    metric: Metric | None
    call: Callable[..., float]
    y: NDArray[Any]
    classes: NDArray[Any]
    group: NDArray[np.int64]
    task: Task

    def sample(self, answers: Answers) -> Sample:
        """Return the score of a model's answers with one influence per row or group."""
        if self.metric is None:
            return jackknife(
                lambda rows: float(self.call(Answered(answers, rows), rows[:, None], self.y[rows])),
                self.group,
            )
        value, influence = self.metric.measure(self.truth, self._said(answers, self.metric.asks))
        return Sample(value, influence, self.y.size)

    @property
    def truth(self) -> Any:
        """The labels as the metric wants them."""
        asks = self.metric.asks if self.metric else "labels"
        if asks in ("positive", "score"):
            return self.y == self.classes[1]
        return np.searchsorted(self.classes, self.y) if asks == "proba" else self.y

    def _said(self, answers: Answers, asks: str) -> Any:
        if asks == "positive":
            return answers.labels == self.classes[1]
        if asks == "proba":
            return answers.proba
        return answers.score if asks == "score" else answers.labels

    def unseen(self, clean: Sample) -> float:
        """Return the influence of one row that went wrong and was not sampled."""
        return pseudo_row(self.metric, self.truth, clean)

    @property
    def share(self) -> bool:
        """Whether the score is a share, 0 to 1."""
        return self.metric is not None and self.metric.share

    @functools.cached_property
    def no_skill(self) -> Sample:
        """The score of one who does not look at the rows."""
        return self.sample(NoSkill(self.y, self.classes, self.task))

    @property
    def floor(self) -> float | None:
        """The score of no skill, where scores are unbounded below: further below, useless is useless."""
        return self.no_skill.value if self.task == "regression" else None

    def held(self, sample: Sample) -> Sample:
        """Return a sample held at the floor."""
        return sample if self.floor is None or sample.value >= self.floor else self.no_skill

    @property
    def smallest(self) -> int:
        """Rows that a perfect score rests on: of the smallest class where the score weighs classes alike."""
        if self.classes.size < 2 or self.name not in WEIGHED:
            return int(self.y.size)
        return int(np.unique(self.y, return_counts=True)[1].min())

    def too_few(self, max_drop: float) -> str | None:
        """Say why these rows cannot carry an interval, None where they can."""
        n = self.y.size
        if self.name in WEIGHED and self.smallest < 10:
            return f"only {self.smallest} test rows of the rarest class; {self.name} needs 10"
        if self.name == "accuracy" and 2.77 / (n + 2) > max_drop:
            return f"only {n} test rows; a drop of {max_drop:g} needs {int(2.77 / max_drop)} even if none changes"
        if n < 20:
            return f"only {n} test rows"
        return None


def scorers(
    scoring: Scoring, model: Any, y: NDArray[Any], classes: NDArray[Any], task: Task, seed: int
) -> list[Scorer]:
    """Return the scorers asked for: a name, a callable, several of them, or None for the default of the task."""
    asked = _asked(scoring, model, classes, task)
    group = groups_of(y.size, seed)
    return [_scorer(name, call, y, classes, group, task) for name, call in asked.items()]


def _asked(scoring: Scoring, model: Any, classes: NDArray[Any], task: Task) -> dict[str, Any]:
    if scoring is None:
        ranks = hasattr(model, "predict_proba") or hasattr(model, "decision_function")
        binary = "roc_auc" if classes.size == 2 and ranks else "accuracy"
        return dict.fromkeys(["r2" if task == "regression" else binary])
    if isinstance(scoring, str):
        return {scoring: None}
    if isinstance(scoring, Mapping):
        return dict(scoring)
    if callable(scoring):
        return {getattr(getattr(scoring, "_score_func", scoring), "__name__", "score"): scoring}
    if not scoring:
        raise SettingError("`scoring=[]`: name at least one scorer, or None for the default of the task.")
    return dict.fromkeys(scoring)


def _scorer(
    name: str, call: Any, y: NDArray[Any], classes: NDArray[Any], group: NDArray[np.int64], task: Task
) -> Scorer:
    from sklearn.metrics import get_scorer, get_scorer_names

    word = name if call is None else call
    if isinstance(word, str):
        if word not in get_scorer_names():
            raise SettingError(
                f"`{word}` is not a scorer of scikit-learn.{nearest(word, get_scorer_names())} "
                "Common ones: roc_auc, accuracy, f1, r2, neg_mean_absolute_error."
            )
        _fits(word, task)
        call = get_scorer(word)
    metric = METRICS.get(word) if isinstance(word, str) else None
    if metric is not None and metric.asks in ("positive", "score") and classes.size != 2:
        raise SettingError(
            f"`{word}` compares two classes; the target has {classes.size}. Use accuracy or balanced_accuracy."
        )
    return Scorer(name, metric, call, y, classes, group, task)


_NUMBERS = (
    "r2",
    "explained_variance",
    "max_error",
    "d2_absolute",
    "neg_mean",
    "neg_median",
    "neg_root",
    "neg_max",
)


def _fits(word: str, task: Task) -> None:
    numbers = word.startswith(_NUMBERS)
    if numbers and task == "classification":
        raise SettingError(f"`{word}` scores numbers; this is a classification. Use roc_auc or accuracy.")
    if (
        not numbers
        and task == "regression"
        and (word in METRICS or word.startswith(("roc_auc", "f1_", "precision", "recall")))
    ):
        raise SettingError(
            f"`{word}` scores classes; this is a regression. Use r2 or neg_mean_absolute_error."
        )

"""One scorer on one set of true labels: any answers in, a value with influences out."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.errors import HormesisError, SettingError
from hormesis.key import bits, key, lane
from hormesis.models import Answered, Answers, NoSkill, Part, Task
from hormesis.statistics import Metric, Sample, groups_of, jackknife, unseen_row

FEW = 10  # rows of the rarest class, and groups, below which there is no interval
SWAPPED = 24  # pairs of rows with each other's answers


class Recording(Part):
    """Answers that note which questions were asked, and which the model could not answer."""

    def __init__(self, whole: Answers) -> None:
        super().__init__(whole, slice(None))
        self.asked: set[str] = set()
        self.failed: Exception | None = None

    @property
    def labels(self) -> Any:
        """Predicted labels or numbers."""
        return self._ask("labels")

    @property
    def proba(self) -> Any:
        """Probabilities of the classes."""
        return self._ask("proba")

    @property
    def decision(self) -> Any:
        """The model's own decision function."""
        return self._ask("decision")

    @property
    def score(self) -> Any:
        """One number per row that ranks the second class higher."""
        ranks = hasattr(self.model, "predict_proba") or not hasattr(self.model, "decision_function")
        self.asked.add("proba" if ranks else "decision")
        return self.whole.score

    def _ask(self, kind: str) -> Any:
        self.asked.add(kind)
        try:
            return getattr(self.whole, kind)
        except Exception as error:
            self.failed = error
            raise


@dataclass(frozen=True, eq=False)
class Scorer:
    """One scorer on one set of true labels; `group` are codes 0, 1, ... of rows that belong together."""

    name: str
    metric: Metric | None
    call: Callable[..., float]
    y: NDArray[Any]
    classes: NDArray[Any]
    task: Task
    seed: int = 0
    group: NDArray[np.int64] | None = None

    def on(self, rows: int | slice | NDArray[Any]) -> "Scorer":
        """Return the same scorer on some rows: the first so many, a slice, positions or a mask."""
        chosen = slice(rows) if isinstance(rows, (int, np.integer)) else rows
        group = None if self.group is None else _codes(self.group[chosen])
        return dataclasses.replace(self, y=self.y[chosen], group=group)

    @property
    def units(self) -> int:
        """How many rows, or groups of rows, were sampled independently."""
        return int(self.y.size if self.group is None else self.group.max(initial=-1) + 1)

    def asks(self, answers: Answers) -> set[str]:
        """Return which answers are needed: "labels", "proba", "decision"; an unknown scorer is asked once to find out."""
        noted = Recording(answers)
        try:
            if self.metric is None:
                self._called(noted, every := np.arange(self.y.size), every)
            else:
                self._said(noted, self.metric.asks)
        except Exception:
            if not noted.asked or noted.failed is not None:
                raise
        return noted.asked

    def sample(self, answers: Answers) -> Sample:
        """Return the score of a model's answers with one influence per row, group of rows or block of a jackknife.

        Raises
        ------
        SettingError
            The scorer raises, or gives no number.
        """
        if self.metric is None:
            noted = Recording(answers)
            return jackknife(lambda rows: self._called(noted, rows, rows), self.block)
        value, influence = self.metric.measure(self.truth, self._said(answers, self.metric.asks))
        if not np.isfinite(value):
            raise self._not_a_number(value)
        if self.group is not None:
            share = np.bincount(self.group) / self.y.size
            # a group's own rows pull the score towards it, the more so the larger it is
            influence = np.bincount(self.group, influence) * self.units / self.y.size / np.sqrt(1 - share)
        return Sample(value, influence, self.y.size)

    def _called(self, noted: Recording, rows: NDArray[np.intp], said: NDArray[np.intp]) -> float:
        """Ask a scorer that knows nothing of influences for some rows, as if they were answered like the rows `said`."""
        try:
            value = float(self.call(Answered(noted, said), rows[:, None], self.y[rows]))
        except HormesisError:
            raise
        except Exception as error:
            if noted.failed is not None:
                raise
            told = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}".rstrip(".")
            raise SettingError(f"The scorer `{self.name}` raises on the model's answers: {told}.") from error
        if not np.isfinite(value):
            raise self._not_a_number(value)
        return value

    def _not_a_number(self, value: float) -> SettingError:
        given = f"The scorer `{self.name}` gives {value:g} for {self.y.size} rows"
        if self.task == "classification" and np.unique(self.y).size < 2:
            return SettingError(
                f"{given} of one class only ({self.y[0]}): score rows of two classes or more."
            )
        return SettingError(f"{given}: a score is a finite number. Choose a scorer that is defined on them.")

    @functools.cached_property
    def block(self) -> NDArray[np.int64]:
        """The block of each row, for a jackknife: rows at random, groups as a whole."""
        block = groups_of(self.units, self.seed)
        return block if self.group is None else block[self.group]

    @functools.cached_property
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

    def unseen(self, clean: Sample, answers: Answers | None = None) -> float:
        """Return the influence of one unit that went wrong and was not sampled: of a row, or of a whole group.

        A scorer with no known influence is asked what it makes of rows that got each other's answers, where the answers
        are given; else the scatter of the blocks has to tell. Measured at 200 and 1,000 rows: the first covers .92 to
        1.0, the second as well but for near-perfect models, where an area under the ROC curve falls to .42.
        """
        if self.metric is not None:
            return self.metric.unseen(self.truth, clean.influence)
        row = unseen_row(clean) if answers is None else self._mistaken(answers)
        return row * clean.influence.size / self.units

    def _mistaken(self, answers: Answers) -> float:
        """Return the largest influence among rows that were given each other's answers."""
        noted, rows = Recording(answers), np.arange(self.y.size)
        whole, largest = self._called(noted, rows, rows), 0.0
        order = np.argsort(bits(lane(rows), key(self.seed, "mistaken")), kind="stable")
        for one in order[:SWAPPED].tolist():
            others = order[self.y[order] != self.y[one]]
            if others.size:
                said = rows.copy()
                said[[one, others[one % others.size]]] = others[one % others.size], one
                largest = max(largest, abs(whole - self._called(noted, rows, said)))
        return largest * rows.size / 2

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

    @functools.cached_property
    def smallest(self) -> int:
        """Rows (groups) that a perfect score rests on: of the rarest class where the score weighs classes alike."""
        if self.classes.size < 2 or self.metric is None or not self.metric.weighs:
            return self.units
        if self.group is None:
            return int(np.unique(self.y, return_counts=True)[1].min())
        return min(np.unique(self.group[self.y == c]).size for c in np.unique(self.y))

    def too_few(self, max_drop: float) -> str | None:
        """Say why these rows cannot carry an interval, None where they can."""
        n, units = self.y.size, self.units
        if self.group is not None:
            alike = 1 / float(((np.bincount(self.group) / n) ** 2).sum())
            if units < FEW:
                return f"only {units} groups; an interval over groups needs {FEW}"
            if alike < FEW:
                return f"{units} groups so unequal in size that they count like {alike:.1f}; an interval over groups needs {FEW}"
        if self.metric is not None and self.metric.weighs:
            return self._too_rare()
        if self.name == "accuracy" and 2.77 / (n + 2) > max_drop:
            return f"only {n} test rows; a drop of {max_drop:g} needs {int(2.77 / max_drop)} even if none changes"
        return f"only {n} test rows" if n < 20 else None

    def _too_rare(self) -> str | None:
        what = "test rows" if self.group is None else "groups with test rows"
        if np.unique(self.y).size < 2:
            return f"only one class in {self.y.size} test rows; {self.name} compares classes"
        if self.smallest < FEW:
            return f"only {self.smallest} {what} of the rarest class; {self.name} needs {FEW}"
        return f"only {self.y.size} test rows" if self.y.size < 2 * FEW else None


def _codes(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return codes as 0, 1, ... without gaps."""
    return np.unique(group, return_inverse=True)[1].astype(np.int64)

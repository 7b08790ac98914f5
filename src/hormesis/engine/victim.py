"""A model as a worst case sees it: losses and log probabilities of any table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.engine.oracle import told_of
from hormesis.errors import ModelError
from hormesis.models import Answers, Task
from hormesis.noise.worst import Raised

TINY = 1e-300


@dataclass(frozen=True)
class Attackable:
    """A model as a worst case sees it: losses and log probabilities of any table."""

    model: Any
    y: NDArray[Any]
    classes: NDArray[Any]
    task: Task

    def losses(self, table: Any) -> NDArray[np.float64]:
        """Return each row's log margin, best other class over the true one; of numbers the error; of labels 0 or 1."""
        said = self._ask(table)
        if self.task == "regression":
            error: NDArray[np.float64] = np.abs(said - self.y)
            return error
        true = np.searchsorted(self.classes, self.y)
        if said.ndim == 1:
            return np.asarray(said != self.y, np.float64)
        own = np.take_along_axis(said, true[:, None], axis=1)[:, 0]
        others = said.copy()
        np.put_along_axis(others, true[:, None], -np.inf, axis=1)
        best: NDArray[np.float64] = others.max(axis=1) - own
        return best

    def logits(self, table: Any) -> NDArray[np.float64]:
        """Return log probabilities (rows, classes), or numbers (rows,)."""
        said = self._ask(table)
        if said.ndim == 1 and self.task == "classification":
            raise ModelError(
                f"{type(self.model).__name__} answers labels only, and an attack climbs probabilities: use WorstOf."
            )
        return said

    def _ask(self, table: Any) -> NDArray[Any]:
        answers = Answers(self.model, table, self.classes, self.task)
        try:
            if self.task == "regression" or not answers.probable:
                return np.asarray(answers.labels)
            return np.asarray(np.log(np.maximum(np.asarray(answers.proba, np.float64), TINY)))
        except Exception as error:  # a model's crash is a result: any error of the user's code is recorded
            raise Raised(told_of(error)) from error

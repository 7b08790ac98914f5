"""One model, asked for what the scorers need and counted while it answers."""

import functools
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.errors import ModelError, SettingError
from hormesis.frames import column_changed, is_tensor, open_table, part, take
from hormesis.models import Answers, Task

PROBED = 64
DERIVED = 300  # rows on which labels are compared with probabilities: those nearest to a tie among
BORDER = 3_000
Told = dict[str, NDArray[Any]]  # labels, proba or decision, one entry per row


class Held(Answers):
    """Answers that are there already, as the scorers read them."""

    def __init__(self, model: Any, told: Told, classes: Any, task: Task) -> None:
        super().__init__(model, None, classes, task)
        for kind, values in told.items():
            self.__dict__[kind] = values  # where `Answers` keeps what was asked

    @functools.cached_property
    def labels(self) -> Any:
        """The likeliest class of each row."""
        return self.classes[self.proba.argmax(axis=1)] if "proba" in self.__dict__ else super().labels


@dataclass
class Meter:
    """What asking cost: rows, calls and seconds inside the models."""

    rows: int = 0
    calls: int = 0
    seconds: float = 0.0
    lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, rows: int, seconds: float) -> None:
        """Count one call."""
        with self.lock:
            self.rows, self.calls, self.seconds = self.rows + rows, self.calls + 1, self.seconds + seconds

    def __getstate__(self) -> dict[str, Any]:
        return {"rows": self.rows, "calls": self.calls, "seconds": self.seconds}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"lock": threading.Lock()}


@dataclass(frozen=True)
class Oracle:
    """A model with the kinds of answer that the scorers need.

    `row_wise`: the answer to a row depends on no other row; `steady`: it is the same when asked again; `spoils`: the model
    changes the table that it is given, so that it gets copies. `order` says where the rows of the whole test table lie in
    the user's, in whose order they are asked where they are not answered one by one.
    """

    model: Any
    classes: NDArray[Any]
    task: Task
    kinds: tuple[str, ...]
    row_wise: bool = True
    meter: Meter = field(default_factory=Meter, compare=False)
    order: NDArray[np.intp] | None = field(default=None, compare=False)
    spoils: bool = False
    steady: bool = True
    few: Told | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls, model: Any, X: Any, classes: Any, task: Task, needed: Iterable[str], *, row_wise: bool | None,
        order: NDArray[np.intp] | None = None,
    ) -> "Oracle":  # fmt: skip
        """Find out on a few clean rows what the model is to be asked, and whether rows are answered one by one."""
        meter, few = Meter(), part(X, 0, PROBED)
        kinds = cls._kinds(model, X, classes, task, set(needed), meter)
        asked, own = cls(model, classes, task, kinds, meter=meter), _copied(few)
        first = asked.ask(own)
        asked = replace(asked, spoils=not _untouched(few, own))
        together = asked.ask(few)
        steady = asked._alike(together, asked.ask(few) if asked.spoils else first)
        alone = asked._probe(few, together) if row_wise is None else row_wise
        found = replace(asked, row_wise=alone, steady=steady, order=order)
        return replace(found, few=together) if row_wise is None else found

    def confirmed(self, clean: Told) -> "Oracle":
        """Return the same, or one that is asked about whole tables where few rows were answered otherwise than among all."""
        few = self.few
        if not self.row_wise or few is None:
            return self
        among = {kind: clean[kind][: len(values)] for kind, values in few.items()}
        return self if self._alike(few, among) else replace(self, row_wise=False)

    @staticmethod
    def _kinds(
        model: Any, X: Any, classes: Any, task: Task, needed: set[str], meter: Meter
    ) -> tuple[str, ...]:
        """Return what to ask for: probabilities alone where the labels follow from them, so that one call serves all."""
        several = _copied(part(X, 0, BORDER))
        answers = Answers(model, several, classes, task)
        if "labels" in needed and task == "classification" and _probable(answers):
            started = time.perf_counter()
            try:
                near = _nearest_ties(answers.proba)
                few = Answers(model, take(X, near), classes, task)
                agree = np.array_equal(classes[answers.proba[near].argmax(axis=1)], few.labels)
            except (
                Exception
            ):  # a model whose probabilities do not come is asked for labels, as the scorers want
                agree = False
            meter.add(_rows(several) + min(DERIVED, _rows(several)), time.perf_counter() - started)
            if agree:
                needed = needed - {"labels"} | {"proba"}
        return tuple(sorted(needed))

    def _probe(self, few: Any, together: Told) -> bool:
        """Tell whether rows are answered alike alone and among others, in another order."""
        for some in (np.arange(0, _rows(few), 3)[::-1].copy(), np.array([0])):
            try:
                alone = self.ask(take(few, some))
            except Exception:  # few rows are too few for this model, which answered them among others
                return False
            if not self._alike({kind: values[some] for kind, values in together.items()}, alone):
                return False
        return True

    def _alike(self, one: Told, other: Told) -> bool:
        return all(_close(one[kind], other[kind]) for kind in self.kinds)

    def ask(self, X: Any) -> Told:
        """Return the model's answers to all rows of a table; what it raises comes through."""
        rows, started = _rows(X), time.perf_counter()
        moved = None if self.row_wise or self.order is None or rows != self.order.size else self.order
        X = X if moved is None else take(X, np.argsort(moved))
        try:
            told = self._asked(X, rows)
        finally:
            self.meter.add(rows, time.perf_counter() - started)
        return told if moved is None else {kind: values[moved] for kind, values in told.items()}

    def _asked(self, X: Any, rows: int) -> Told:
        answers, out = Answers(self.model, X, self.classes, self.task), {}
        for kind in self.kinds:
            if self.spoils:
                answers = Answers(self.model, _copied(X), self.classes, self.task)
            out[kind] = _per_row(kind, getattr(answers, kind), rows, self.classes.size)
        return out

    def minds(self, X: Any, clean: Told) -> bool:
        """Tell whether rows that are equal but for their types get other answers than the clean ones, or none."""
        try:
            return not self._alike({k: v[: _rows(X)] for k, v in clean.items()}, self.ask(X))
        except Exception:  # the whole table will be asked and raise, in the model's own words
            return True

    def held(self, told: Told) -> Held:
        """Return answers as the scorers read them."""
        return Held(self.model, told, self.classes, self.task)

    def decided(self, told: Told) -> NDArray[Any]:
        """Return what the model decides per row: the label (or its place among the classes), or the number."""
        if "labels" in told:
            return told["labels"]
        if "proba" in told:
            return np.asarray(told["proba"].argmax(axis=1))
        decision = told["decision"]
        return np.asarray(decision > 0 if decision.ndim == 1 else decision.argmax(axis=1))


def _probable(answers: Answers) -> bool:
    try:
        return answers.probable
    except Exception:  # the model raises on clean rows: the first real question says so in its own words
        return False


def _nearest_ties(proba: NDArray[Any]) -> NDArray[np.intp]:
    """Return the rows whose two likeliest classes are nearest to each other: where labels differ first."""
    if proba.shape[1] < 2:
        return np.arange(min(DERIVED, len(proba)))
    top = np.partition(proba, -2, axis=1)[:, -2:]
    return np.sort(np.argsort(top[:, 1] - top[:, 0], kind="stable")[:DERIVED])


def _per_row(kind: str, said: Any, rows: int, classes: int) -> NDArray[Any]:
    """Return answers as an array, refused where they are not one per row."""
    values = np.asarray(said)
    shapes = {"labels": (rows,), "proba": (rows, classes)}
    if values.shape[:1] != (rows,) or values.shape != shapes.get(kind, values.shape):
        raise ModelError(
            f"the model gives {kind} of shape {values.shape} for {rows} rows and {classes} classes"
        )
    return values


def _copied(X: Any) -> Any:
    return take(X, np.arange(_rows(X)))


def _untouched(before: Any, after: Any) -> bool:
    """Tell whether a table is as it was."""
    if is_tensor(before):
        return bool(((before == after) | (before != before)).all())
    a, b = open_table(before), open_table(after)
    if list(a.names) != list(b.names) or a.rows != b.rows:
        return False
    known = [j for j in range(len(a.names)) if a.dtype(j) != "other"]
    return not any(column_changed(a, b, j).any() for j in known)


def _close(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype.kind in "fc":
        scale = float(np.abs(one).max(initial=1e-12))
        return bool(np.allclose(one, other, rtol=1e-3, atol=1e-5 * scale))
    return bool(np.array_equal(one, other))


def _rows(X: Any) -> int:
    return int(X.shape[0])


def joined(parts: Iterable[Mapping[str, NDArray[Any]]]) -> Told:
    """Return the answers to consecutive parts of the rows as one."""
    told = list(parts)
    return dict(told[0]) if len(told) == 1 else {k: np.concatenate([t[k] for t in told]) for k in told[0]}


def told_of(error: BaseException) -> str:
    """Say what a model raised, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= 160 else text[:156] + ' ...'}"


def refused(ask: Any, *given: Any, **settings: Any) -> Any:
    """Return what a question about clean rows brings.

    Raises
    ------
    ModelError
        The model raises: there is nothing to compare with.
    """
    try:
        return ask(*given, **settings)
    except SettingError:
        raise
    except Exception as error:
        raise ModelError(
            f"The model raises on the rows as they are, before any noise: {told_of(error)}"
        ) from error

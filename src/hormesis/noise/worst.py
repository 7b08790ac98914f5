"""Worst-case noise: the noise that hurts one given model most, row by row; for tests, never for training."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from hormesis.columns import Table
from hormesis.errors import SettingError
from hormesis.frames import for_models, open_table, stack, take
from hormesis.key import key
from hormesis.noise.base import Noise, Opened, draw_of
from hormesis.profile import Kind, Profile


class Raised(Exception):  # noqa: N818 (a model's crash is a result)
    """The model raised on a table that the search tried; says what."""


class Victim(Protocol):
    """The model a worst case is made against, with the true labels of its rows."""

    @property
    def model(self) -> Any:
        """The model, as `stress` was given it."""

    @property
    def y(self) -> NDArray[Any]:
        """True labels or numbers, shape (rows,)."""

    @property
    def classes(self) -> NDArray[Any]:
        """The classes in sorted order; none for a regression."""

    def losses(self, table: Any) -> NDArray[np.float64]:
        """Return the loss of each row of a noisy version of the test table; higher is worse."""

    def logits(self, table: Any) -> NDArray[np.float64]:
        """Return log probabilities (rows, classes), or numbers (rows,), for any rows."""


class WorstCase(Noise):
    """A noise that looks at the model: its table differs for every model, and only a stress test can make it.

    `stops` says that it leaves a row alone once its label is wrong.
    """

    stops: ClassVar[bool] = False

    def against(self, victim: Victim, data: Any, *, profile: Profile, seed: int, repeat: int = 0) -> Any:
        """Return the table, within the level, that is worst for this model; never mutates `data`."""
        raise NotImplementedError

    @property
    def by_columns(self) -> bool:
        """Whether it hits a column whole or not at all: it works on cells."""
        return False

    def check(self, model: Any) -> None:
        """Refuse a model that this noise cannot work against."""

    def settings(self) -> dict[str, Any]:
        """Return the settings, without the level, as plain data."""
        raise NotImplementedError

    def touch(self, *given: Any, **settings: Any) -> Opened:  # noqa: ARG002
        """Refuse to be applied without a model."""
        raise SettingError(
            f"`{self.name}` is made against a model: give it to `stress`, and train with another noise."
        )

    def _touch_column(self, *given: Any) -> None:
        self.touch(*given)


@dataclasses.dataclass(frozen=True, init=False)
class WorstOf(WorstCase):
    """The worst of several draws of a noise for each row: what bad luck does, for any model that predicts.

    Draws the table `k` times and keeps, row by row, the draw with the largest loss: the log margin of the true class,
    or the error of a number. No gradient is needed; it takes k predictions. Level and unit are those of the noise.

    Parameters
    ----------
    noise : Noise
        Any noise of a table.
    k : int
        Number of draws.

    Raises
    ------
    SettingError
        `k` below 1, or a noise that is a worst case already or changes labels.

    Source: Engstrom et al. (2019), worst-of-k attacks.

    Examples
    --------
    >>> from hormesis.noise import GaussianNoise
    >>> WorstOf(GaussianNoise(0.3), k=10).name
    'worst of 10 gaussian-noise'
    """

    noise: Noise
    k: int = 10

    def __init__(self, noise: Noise, k: int = 10, *, level: float | None = None) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise SettingError(f"`WorstOf(k={k!r})`: the number of draws is a whole number, 1 or more.")
        if not isinstance(noise, Noise) or isinstance(noise, WorstCase) or noise.changes != "cells":
            raise SettingError(
                f"`WorstOf({noise!r})`: give a noise that changes features, such as WorstOf(GaussianNoise(0.1))."
            )
        object.__setattr__(self, "noise", noise if level is None else noise.at(level))
        object.__setattr__(self, "k", k)

    @property
    def level(self) -> float:  # type: ignore[override]
        """The level of the noise."""
        return self.noise.level

    @property
    def columns(self) -> Any:  # type: ignore[override]
        """The columns of the noise."""
        return self.noise.columns

    @property
    def applies_to(self) -> tuple[Kind, ...]:  # type: ignore[override]
        """Kinds of columns that the noise changes."""
        return self.noise.applies_to

    @property
    def name(self) -> str:
        return f"worst of {self.k} {self.noise.name}"

    @property
    def unit(self) -> str:
        return self.noise.unit

    def at(self, level: float) -> "WorstOf":
        return WorstOf(self.noise, self.k, level=level)

    def settings(self) -> dict[str, Any]:
        return {"k": self.k, "of": type(self.noise).__name__}

    def targets(self, profile: Profile) -> list[str | int]:
        return self.noise.targets(profile)

    def selected(self, table: Table, profile: Profile) -> list[int]:
        return self.noise.selected(table, profile)

    def against(self, victim: Victim, data: Any, *, profile: Profile, seed: int, repeat: int = 0) -> Any:
        return worst_of(
            lambda i: self._drawn(data, profile, key(seed, "worst", repeat, i)), victim.losses, self.k
        )

    def _drawn(self, data: Any, profile: Profile, seed: int) -> Any:
        table = open_table(data)
        table, _ = self.noise.touch(table, profile, draw_of(table, seed).within(self.noise.name))
        return for_models(table.close(), table.widened)


def worst_of(draw: Callable[[int], Any], losses: Callable[[Any], NDArray[np.float64]], k: int) -> Any:
    """Return the table whose every row is the one of `k` tables with the largest loss; the first of equals."""
    worst = draw(0)
    if k == 1:
        return worst
    height, n = losses(worst), len(worst)
    for i in range(1, k):
        table = draw(i)
        loss = losses(table)
        better = loss > height
        if better.any():
            worst = take(stack([worst, table]), np.arange(n) + n * better)
            height = np.where(better, loss, height)
    return worst


__all__ = ["Raised", "Victim", "WorstCase", "WorstOf", "worst_of"]

"""Up to which level noise on inputs and the penalty it implies are the same thing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hormesis.errors import SettingError
from hormesis.results import Estimate
from hormesis.theory.checks import level, rate
from hormesis.theory.nets import Loss, gaussian_penalty, loss_of, measured_increase


@dataclass(frozen=True)
class Equivalence:
    """Penalty and measured increase of the loss at each level of noise, and where the two part.

    At a level they agree when the penalty is inside the interval of the measured increase, or outside by at most
    `tolerance` of the increase. `holds_to` is the last level of the unbroken run of agreement, `ends_at` the first
    level after it (None: they agree at all levels).
    """

    loss: str
    sigmas: tuple[float, ...]
    penalty: tuple[float, ...]
    measured: tuple[Estimate, ...]
    tolerance: float

    @property
    def agrees(self) -> tuple[bool, ...]:
        """Whether penalty and measurement agree, level by level."""
        return tuple(
            max(m.low - p, p - m.high, 0.0) <= self.tolerance * abs(m.value)
            for p, m in zip(self.penalty, self.measured, strict=True)
        )

    @property
    def ends_at(self) -> float | None:
        """The first level at which penalty and measurement part."""
        return next((s for s, same in zip(self.sigmas, self.agrees, strict=True) if not same), None)

    @property
    def holds_to(self) -> float:
        """The last level of the unbroken run of agreement, 0 if there is none."""
        run = self.sigmas if self.ends_at is None else self.sigmas[: self.sigmas.index(self.ends_at)]
        return run[-1] if run else 0.0

    def __repr__(self) -> str:
        lines = [f"{'sigma':>8} {'penalty':>10} {'measured':>10}  95 % interval"]
        for s, p, m, same in zip(self.sigmas, self.penalty, self.measured, self.agrees, strict=True):
            mark = "" if same else "  parted"
            lines.append(f"{s:8g} {p:10.4g} {m.value:10.4g}  {m.low:.4g} to {m.high:.4g}{mark}")
        end = (
            "at every level"
            if self.ends_at is None
            else f"to {self.holds_to:g}, parted from {self.ends_at:g}"
        )
        return "\n".join([f"Noise and its penalty agree {end} ({self.loss})", *lines])

    def to_frame(self) -> Any:
        """Return a pandas frame with one row per level."""
        import pandas as pd

        return pd.DataFrame(
            {
                "sigma": self.sigmas,
                "penalty": self.penalty,
                "measured": [m.value for m in self.measured],
                "low": [m.low for m in self.measured],
                "high": [m.high for m in self.measured],
                "agrees": self.agrees,
            }
        )


def equivalence(
    net: Any,
    X: Any,
    y: Any,
    sigmas: Sequence[float],
    *,
    scale: ArrayLike = 1.0,
    loss: Loss = "auto",
    residuals: bool = False,
    tolerance: float = 0.1,
    pairs: int = 32,
    seed: int = 0,
) -> Equivalence:
    """Return penalty and measured increase at each level of Gaussian input noise, and the level at which they part.

    The penalty is the noise's effect to second order, by default without the net's curvature weighted by its residuals.
    So the two part where the noise reaches across the net's bends (a large level), and at once where the net is biased or
    fits noise (then `residuals=True` agrees again at small levels).

    Parameters
    ----------
    net, X, y, loss, residuals
        As in `gaussian_penalty`.
    sigmas : floats above 0, rising
        Levels of noise.
    scale : float or one per feature
        The noise of a feature has standard deviation sigma x scale.
    tolerance : float
        How far outside the interval the penalty may lie, as a share of the measured increase.
    pairs, seed
        Antithetic pairs of draws per level, the same draws at every level.

    Raises
    ------
    SettingError, DataError, MissingExtraError
        Levels that do not rise; what `gaussian_penalty` and `measured_increase` raise.

    References
    ----------
    Bishop (1995); Grandvalet, Canu and Boucheron (1997), Noise injection: theoretical prospects.

    Examples
    --------
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> equivalence(lambda X: X[:, 0] ** 3, X, X[:, 0] ** 3, [0.05, 0.1, 0.2]).ends_at
    0.2
    """
    doses = [level("sigmas", s, zero=False) for s in sigmas]
    if not doses or sorted(set(doses)) != doses:
        raise SettingError(f"`sigmas={list(sigmas)!r}`: expected levels that rise, such as [0.1, 0.2, 0.5].")
    rate("tolerance", tolerance)
    kind = loss_of(loss, y)
    sizes = np.asarray(scale, np.float64)
    one = gaussian_penalty(net, X, sizes, y, loss=kind, residuals=residuals, seed=seed).value
    measured = [measured_increase(net, X, y, s * sizes, loss=kind, pairs=pairs, seed=seed) for s in doses]
    return Equivalence(kind, tuple(doses), tuple(one * s * s for s in doses), tuple(measured), tolerance)

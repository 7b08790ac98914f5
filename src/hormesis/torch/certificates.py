"""What randomised smoothing proved, as a record: classes, radii, and accuracy that no small move can take away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hormesis.errors import DataError, SettingError
from hormesis.results import Estimate
from hormesis.statistics import Sample, score_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CertifiedAccuracy:
    """The share of rows that are right and certified to each radius, with Wilson's 95 % interval over rows."""

    radii: tuple[float, ...]
    accuracy: tuple[Estimate, ...]

    def __repr__(self) -> str:
        lines = [f"{r:8g} {a.value:10.4f}  {a.low:.4f} to {a.high:.4f}" for r, a in self._pairs()]
        return "\n".join([f"{'radius':>8} {'certified':>10}  95 % interval", *lines])

    def _pairs(self) -> list[tuple[float, Estimate]]:
        return list(zip(self.radii, self.accuracy, strict=True))

    def to_frame(self) -> Any:
        """Return a pandas frame with one row per radius."""
        import pandas as pd

        rows = [(r, a.value, a.low, a.high) for r, a in self._pairs()]
        return pd.DataFrame(rows, columns=["radius", "certified_accuracy", "low", "high"])


@dataclass(frozen=True, eq=False)
class Certificates:
    """One certificate per row.

    `code` is the number of the class (-1: abstained), `labels` its name; no move shorter than `radius` (l2, in units of
    the scale) changes the smoothed answer, each statement wrong with probability `alpha` at most. `p_lower` bounds the
    probability of the class under noise, `cap` is the largest radius that n draws can show.

    >>> found = Certificates(np.array([1, -1]), np.array([0.8, 0.0]), np.array([0.99, 0.4]), 1.6, np.arange(2), 0.5, 10_000, 0.001)
    >>> found
    Certificates of 2 rows: 1 certified, 1 abstained; median radius 0.8
    sigma 0.5, 10000 draws, risk 0.001 per row; no radius above the cap of 1.6 can be shown, and 0 rows reach it
    >>> found.certified_accuracy([0.5, 1.0], [1, 1])
      radius  certified  95 % interval
         0.5     0.5000  0.0945 to 0.9055
           1     0.0000  0.0000 to 0.6576
    """

    code: NDArray[np.int64]
    radius: Floats
    p_lower: Floats
    cap: float
    classes: NDArray[Any]
    sigma: float
    n: int
    alpha: float

    @staticmethod
    def named(classes: NDArray[Any], code: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels of class numbers; -1 stays -1 for integer labels above it, and is None for others."""
        whole = classes.dtype.kind in "iu" and int(classes.min()) >= 0
        out = np.full(code.shape, -1, np.int64) if whole else np.full(code.shape, None, object)
        out[code >= 0] = classes[code[code >= 0]]
        return out

    @property
    def labels(self) -> NDArray[Any]:
        """The certified class of each row; -1 (None for labels that are no integers) where it abstained."""
        return self.named(self.classes, self.code)

    @property
    def abstained(self) -> NDArray[np.bool_]:
        """The rows without an answer."""
        return self.code < 0

    def __repr__(self) -> str:
        sure = self.radius[~self.abstained]
        middle = f"; median radius {np.median(sure):.4g}" if sure.size else ""
        return (
            f"Certificates of {self.code.size} rows: {sure.size} certified, {self.abstained.sum()} abstained{middle}\n"
            f"sigma {self.sigma:g}, {self.n} draws, risk {self.alpha:g} per row; no radius above the cap of {self.cap:.4g} "
            f"can be shown, and {(sure >= self.cap * (1 - 1e-9)).sum()} rows reach it"
        )

    def certified_accuracy(self, radii: Sequence[float], y: ArrayLike) -> CertifiedAccuracy:
        """Return the share of rows whose class is right and whose radius is at least each of `radii`.

        Abstentions count as wrong. Radii above the cap are 0 whatever the model is.

        Raises
        ------
        DataError, SettingError
            Another number of labels than rows; a negative radius.

        References
        ----------
        Cohen, Rosenfeld and Kolter (2019), section 4: "certified test set accuracy", with their `radius >= r`.
        """
        truth = np.asarray(y)
        if truth.shape != self.code.shape:
            raise DataError(
                f"y has shape {truth.shape}: expected {self.code.shape}, one label per certificate."
            )
        if any(not r >= 0 for r in radii):
            raise SettingError(f"`radii={list(radii)!r}`: radii are 0 or more.")
        right = (self.labels == truth) & ~self.abstained
        return CertifiedAccuracy(
            tuple(map(float, radii)), tuple(_share(right & (self.radius >= r)) for r in radii)
        )

    def to_frame(self) -> Any:
        """Return a pandas frame with one row per certificate."""
        import pandas as pd

        return pd.DataFrame({"label": self.labels, "radius": self.radius, "p_lower": self.p_lower})


def _share(hit: NDArray[np.bool_]) -> Estimate:
    value = float(hit.mean())
    influence = hit.astype(np.float64) - value
    return Estimate(*score_interval([Sample(value, influence, hit.size)], share=True, smallest=hit.size))

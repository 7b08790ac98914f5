"""Where an input may be moved by an attack: bounds, scale, frozen, integer and one-hot features."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from hormesis.errors import DataError, SettingError
from hormesis.profile import Profile
from hormesis.torch.attacks.ball import BALLS, Ball

Norm = Literal["linf", "l2", "l1"]


@dataclasses.dataclass(frozen=True, eq=False)
class Space:
    """The inputs an attack may use, feature by feature; every setting broadcasts against one row of the input.

    Parameters
    ----------
    low, high : float or array
        Bounds of each feature; none by default.
    scale : float or array
        What epsilon 1 means for each feature, in its own units: an attack moves a feature by at most epsilon x scale.
    frozen : array of bool, optional
        Features that stay as they are.
    integer : array of bool, optional
        Features that stay whole numbers: their move is cut towards the clean value.
    groups : sequence of sequences of int
        One-hot columns that belong together, by feature number: exactly one of them stays 1. A change of category is a
        move of 1 in two columns, so it happens only where epsilon x scale allows that.

    Examples
    --------
    >>> space = Space.learn(torch.tensor([[0.0, 10.0], [1.0, 20.0], [2.0, 30.0], [3.0, 40.0]]))
    >>> [round(float(s), 2) for s in space.scale]
    [1.11, 11.12]
    """

    low: Any = -float("inf")
    high: Any = float("inf")
    scale: Any = 1.0
    frozen: Any = None
    integer: Any = None
    groups: Sequence[Sequence[int]] = ()

    @classmethod
    def image(cls, low: float = 0.0, high: float = 1.0) -> Self:
        """Return the space of images: every value from `low` to `high`, epsilon in units of the whole range."""
        return cls(low, high, scale=high - low)

    @classmethod
    def learn(
        cls,
        X: Any,
        *,
        bounds: bool = False,
        frozen: Sequence[int] = (),
        groups: Sequence[Sequence[int]] = (),
    ) -> Self:
        """Learn the space of training data: scale is the robust spread of each feature, constant ones are frozen.

        Parameters
        ----------
        X : table, array or tensor, shape (rows, ...)
            Training data.
        bounds : bool
            Hold each feature to the range seen in `X`.
        frozen, groups : feature numbers
            Features that stay as they are; one-hot columns that belong together (their scale is 1).
        """
        if isinstance(X, Tensor):
            X = X.detach().cpu().numpy()
        shape = X.shape[1:] if isinstance(X, np.ndarray) else ()
        table = X.reshape(len(X), -1) if isinstance(X, np.ndarray) else X
        made = cls.of(Profile.learn(table), frozen=frozen, groups=groups)
        if bounds:
            values = np.asarray(table, np.float64)
            limits = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
            made = dataclasses.replace(made, low=torch.tensor(limits[0]), high=torch.tensor(limits[1]))
        return made._shaped(shape) if len(shape) > 1 else made

    @classmethod
    def of(
        cls, profile: Profile, *, frozen: Sequence[int] = (), groups: Sequence[Sequence[int]] = ()
    ) -> Self:
        """Return the space of a profile: spreads as scale, whole-number and boolean columns as integers."""
        columns = profile.columns
        spreads = [c.spread or (1.0 if c.kind == "boolean" else 0.0) for c in columns]
        scale = torch.tensor(spreads, dtype=torch.float64)
        integer = torch.tensor([c.kind in ("integer", "boolean") for c in columns])
        still = torch.zeros(len(columns), dtype=torch.bool)
        still[list(frozen)] = True
        for group in groups:
            scale[list(group)] = 1.0
            integer[list(group)] = False
        return cls(scale=scale, frozen=still, integer=integer if integer.any() else None, groups=groups)

    def _shaped(self, shape: tuple[int, ...]) -> Self:
        fields = ("low", "high", "scale", "frozen", "integer")
        each = {f: getattr(self, f) for f in fields}
        found: dict[str, Any] = {
            f: v.reshape(shape) for f, v in each.items() if isinstance(v, Tensor) and v.ndim
        }
        return dataclasses.replace(self, **found)

    def ball(self, x: Tensor, epsilon: float, norm: Norm) -> Ball:
        """Return what lies within epsilon of `x` in this space.

        Raises
        ------
        DataError
            `x` lies outside the bounds, or a setting does not fit its shape.
        SettingError
            A feature has a scale that is negative or not finite, epsilon is too large for the dtype, a mask is no mask, or
            the norm is unknown.
        """
        if norm not in BALLS:
            raise SettingError(f"`norm={norm!r}`: norms are `linf`, `l2` and `l1`.")
        low, high = self._like(x, "low"), self._like(x, "high")
        scale, integer = self._like(x, "scale"), self._mask(x, "integer")
        frozen = self._mask(x, "frozen")
        most = torch.finfo(x.dtype).max
        if not bool(((scale >= 0) & (scale < torch.inf)).all()):
            raise SettingError("`Space(scale=...)`: a scale is 0 or more; 0 keeps the feature as it is.")
        if 2 * epsilon * float(max(scale.max() if scale.numel() else 0.0, 1.0)) > most:
            raise SettingError(
                f"`epsilon={epsilon:g}` times the scale is more than {x.dtype} can hold: use a smaller one."
            )
        self._check(x, low, high)
        if frozen is not None:
            scale = torch.where(frozen, torch.zeros_like(scale), scale)
        groups = [self._group(x, list(g)) for g in self.groups]
        return BALLS[norm](x, epsilon, low=low, high=high, scale=scale, integer=integer, groups=groups)

    def _like(self, x: Tensor, field: str) -> Tensor:
        value = torch.as_tensor(getattr(self, field), dtype=x.dtype, device=x.device)
        try:
            value.expand(x.shape[1:])
        except RuntimeError:
            raise DataError(
                f"`Space({field}=...)` has shape {tuple(value.shape)}; a row of the input has {tuple(x.shape[1:])}: "
                "give one number, or one for each feature."
            ) from None
        return value

    def _mask(self, x: Tensor, field: str) -> Tensor | None:
        value = getattr(self, field)
        if value is None:
            return None
        mask = torch.as_tensor(value, device=x.device)
        if mask.dtype != torch.bool:
            raise SettingError(
                f"`Space({field}=...)` is one bool for each feature; {mask.dtype} was given. Feature numbers go to "
                f"`Space.learn(X, {field}=[...])`."
                if field == "frozen"
                else f"`Space({field}=...)` is one bool for each feature; {mask.dtype} was given."
            )
        return self._like(x, field).bool()

    def _group(self, x: Tensor, group: list[int]) -> Tensor:
        if x.ndim != 2 or not group or not 0 <= min(group) <= max(group) < x.shape[1]:
            raise DataError(
                f"`Space(groups=...)` holds {group}, and the input has shape {tuple(x.shape)}: groups are feature numbers "
                "of a table (rows, features)."
            )
        return torch.tensor(group, device=x.device)

    def _check(self, x: Tensor, low: Tensor, high: Tensor) -> None:
        if not bool(((x >= low) & (x <= high)).all()):
            limits = f"{float(low.min()):g} to {float(high.max()):g}"
            raise DataError(
                f"The input holds values from {float(x.min()):g} to {float(x.max()):g}, outside the space's bounds "
                f"({limits}): attacks start from legal inputs. Use `Space.learn(X_train)`, or bounds that hold the data."
            )

"""The layer that all noise layers are: noisy in training, silent in evaluation, its level an attribute."""

import math
from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from hormesis.errors import DataError, SettingError, listed, nearest
from hormesis.torch.source import Seed, Source

Mode = Literal["row", "batch"]


class NoiseLayer(nn.Module):
    """A layer that is noisy in training, silent in evaluation, and has nothing to save.

    Parameters
    ----------
    level : float
        The dose; 0 is exactly no change. A plain attribute: set it between epochs for a schedule.
    generator : int, torch.Generator or None
        Where the noise comes from. None: a new seed. See also `seed_noise`.
    always : bool
        Be noisy in evaluation, too: for a noisy evaluation that is asked for.
    """

    most: ClassVar[float] = 1.0
    rule: ClassVar[str] = "a fraction, 0 to 1"

    def __init__(self, level: float, *, generator: Seed = None, always: bool = False) -> None:
        super().__init__()
        self.level = level
        self.always = always
        self.source = Source(generator, type(self).__name__)

    @property
    def level(self) -> float:
        """The dose, checked whenever it is set."""
        return self._level

    @level.setter
    def level(self, level: float) -> None:
        value = float(level)
        if not 0 <= value <= self.most or math.isinf(value):
            mend = f" Did you mean {value / 100:g}?" if self.most == 1 < value <= 100 else ""
            raise SettingError(f"`{type(self).__name__}(level={level!r})`: level is {self.rule}.{mend}")
        self._level = value

    @property
    def noisy(self) -> bool:
        """Whether the next batch gets noise."""
        return (self.training or self.always) and self.level > 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with noise, or the input itself where the layer is silent."""
        if not self.noisy:
            return x
        source = self.source.on(x.device)
        if source.device.type != x.device.type:
            raise DataError(
                f"{type(self).__name__} got a batch on `{x.device}` and has a generator on `{source.device}`: "
                "give the layer an integer, which serves any device, or a generator of that device."
            )
        return self.disturb(x, source)

    @abstractmethod
    def disturb(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Return a new tensor: the input with noise of a level above 0."""

    def extra_repr(self) -> str:
        """Show the settings in the representation of the model."""
        return f"{self.level:g}" + (", always=True" if self.always else "")


def known_mode(layer: nn.Module, mode: str) -> Mode:
    """Return the mode if it is one."""
    if mode not in ("row", "batch"):
        raise SettingError(
            f"`{type(layer).__name__}(mode={mode!r})`: mode is one of {listed(('row', 'batch'))}."
            + nearest(mode, ("row", "batch"))
        )
    return "row" if mode == "row" else "batch"

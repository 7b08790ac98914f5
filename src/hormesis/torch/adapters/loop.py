"""Training noise in a plain loop: batches of any loader, with noise that is a function of seed, epoch and batch."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Generator

from hormesis.torch.layers.base import NoiseLayer
from hormesis.torch.source import generator

BatchNoise = Callable[..., Any]


class NoisyBatches:
    """Iterate over a loader's (x, y, ...) batches with noise, another one in each epoch; use it for training batches alone.

    Parameters
    ----------
    loader : iterable of batches
        Its batches are left as they are.
    noises : noise layers, or functions of (x, y, generator=)
        In order. A function returns x, or x and y: `mixup`, or ``lambda x, y, generator: attack.perturb(model, x, y,
        generator=generator)``.
    seed : int
        Batch b of epoch e has the same noise in every run; put ranks of a parallel run into the seed.

    Attributes
    ----------
    epoch : int
        The number of the next epoch; set it when training is resumed.

    Examples
    --------
    >>> import torch
    >>> from hormesis.torch.layers.cells import GaussianNoise
    >>> loader = NoisyBatches([(torch.zeros(2, 3), torch.zeros(2))], GaussianNoise(0.1))
    >>> (first, _), (second, _) = next(iter(loader)), next(iter(loader))
    >>> torch.equal(first, second)
    False
    """

    def __init__(self, loader: Iterable[Any], *noises: NoiseLayer | BatchNoise, seed: int = 0) -> None:
        self.loader, self.noises, self.seed, self.epoch = loader, noises, seed, 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        for index, (x, y, *more) in enumerate(self.loader):
            rng = generator(self.seed, "batches", epoch, index, device=x.device)
            yield (*noised(self.noises, x, y, rng), *more)


def noised(noises: Iterable[NoiseLayer | BatchNoise], x: Any, y: Any, rng: Generator) -> tuple[Any, Any]:
    """Return a batch with the noises in order, all drawn from one generator."""
    for noise in noises:
        if isinstance(noise, NoiseLayer):
            x = noise.disturb(x, rng) if noise.level else x
        else:
            said = noise(x, y, generator=rng)
            x, y = said if isinstance(said, tuple) else (said, y)
    return x, y

"""The nets themselves: a table net and an image net that take raw values and hold their training layers inside."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from hormesis.torch.layers.cells import FeatureDropout, GaussianNoise
from hormesis.torch.layers.paths import DropBlock, StochasticDepth

FAR = 1e6  # a standardised value beyond this is no number that a net can answer to


@dataclasses.dataclass(frozen=True)
class Inside:
    """The doses of the techniques that live inside a net; 0 leaves the layer out."""

    activation_noise: float = 0.0
    dropout: float = 0.0
    feature_dropout: float = 0.0
    dropblock: float = 0.0
    stochastic_depth: float = 0.0
    block_size: int = 3


class Standardise(nn.Module):
    """Bring raw values to mean 0 and variance 1 of the training data; a missing value becomes the mean.

    Shapes: (n, d) in and (n, d + number of indicators) out; images (n, c, h, w) by channel, without indicators. A constant
    column is 0 whatever comes. Values so far out that no float can square them are held at a million deviations.

    >>> layer = Standardise(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 0.0]), indicators=[1])
    >>> layer(torch.tensor([[3.0, float("nan")]]))
    tensor([[1., 0., 1.]])
    """

    mean: Tensor
    factor: Tensor
    indicators: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, indicators: Sequence[int] = ()) -> None:
        super().__init__()
        factor = torch.where(deviation > 0, 1 / deviation, torch.zeros_like(deviation))
        self.register_buffer("mean", mean)
        self.register_buffer("factor", factor)
        self.register_buffer("indicators", torch.tensor(list(indicators), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised values, then one column of 0 and 1 per indicator."""
        z = ((x - self.mean) * self.factor).clamp(-FAR, FAR).nan_to_num(0.0)
        if not self.indicators.numel():
            return z
        return torch.cat([z, torch.isnan(x[:, self.indicators]).to(z.dtype)], dim=1)


class Residual(nn.Module):
    """A block with a way around it: x + depth(block(x))."""

    def __init__(self, block: nn.Module, depth: nn.Module) -> None:
        super().__init__()
        self.block, self.depth = block, depth

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output added to its input."""
        out: Tensor = x + self.depth(self.block(x))
        return out


class Answer(nn.Module):
    """The last layer: logits of shape (n, classes), or numbers of shape (n,) in the target's own units."""

    center: Tensor
    spread: Tensor

    def __init__(
        self, width: int, classes: int | None, target: tuple[float, float], rng: torch.Generator
    ) -> None:
        super().__init__()
        self.classes = classes
        self.linear = linear(width, classes or 1, rng)
        self.register_buffer("center", torch.tensor(target[0]))
        self.register_buffer("spread", torch.tensor(target[1]))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits or numbers."""
        out: Tensor = self.linear(x)
        return out if self.classes else out[:, 0] * self.spread + self.center


def linear(inputs: int, outputs: int, rng: torch.Generator) -> nn.Linear:
    """Return a linear layer with torch's own initial weights, drawn from `rng` and not from the global generator.

    >>> a, b = (linear(3, 2, torch.Generator().manual_seed(0)) for _ in range(2))
    >>> torch.equal(a.weight, b.weight)
    True
    """
    layer: nn.Linear = skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
    _drawn(layer, inputs, rng)
    return layer


def conv(inputs: int, outputs: int, rng: torch.Generator) -> nn.Conv2d:
    """Return a 3 x 3 convolution that keeps the size, with initial weights drawn from `rng`."""
    layer: nn.Conv2d = skip_init(nn.Conv2d, inputs, outputs, kernel_size=3, padding=1)  # type: ignore[no-untyped-call]
    _drawn(layer, inputs * 9, rng)
    return layer


def _drawn(layer: Any, fan_in: int, rng: torch.Generator) -> None:
    limit = fan_in**-0.5
    with torch.no_grad():
        for p in (layer.weight, layer.bias):
            p.uniform_(-limit, limit, generator=rng)


class TabularModule(nn.Module):
    """A multilayer perceptron over raw numeric columns.

    Shapes: (n, d) in, where NaN is a missing value; logits (n, classes) or numbers (n,) out. Each hidden layer is linear, ReLU
    and then the training layers asked for. Layers of equal width get a way around them where stochastic depth asks for it.

    >>> rng = torch.Generator().manual_seed(0)
    >>> net = TabularModule(Standardise(torch.zeros(4), torch.ones(4)), 4, (8,), 3, rng=rng)
    >>> net(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        standardise: Standardise,
        columns: int,
        hidden: Sequence[int],
        classes: int | None,
        *,
        rng: torch.Generator,
        inside: Inside | None = None,
        target: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        super().__init__()
        inside = inside or Inside()
        self.standardise = standardise
        self.enter = FeatureDropout(inside.feature_dropout) if inside.feature_dropout else nn.Identity()
        widths = [columns + standardise.indicators.numel(), *hidden]
        blocks = [_dense(a, b, inside, rng) for a, b in itertools.pairwise(widths)]
        with torch.no_grad():  # an indicator that training never sees stays without effect
            first = blocks[0][0] if blocks else None
            if first is not None:
                first.weight[:, columns:] = 0
        ways = [
            _around(block, inside) if a == b else block
            for block, a, b in zip(blocks, widths, hidden, strict=False)
        ]
        self.body = nn.Sequential(*ways)
        self.answer = Answer(widths[-1], classes, target, rng)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits or numbers for raw rows."""
        out: Tensor = self.answer(self.body(self.enter(self.standardise(x))))
        return out


class ConvModule(nn.Module):
    """A small residual convolutional net over raw pixels.

    Shapes: (n, c, h, w) in; logits (n, classes) or numbers (n,) out. Each stage is convolution, residual convolution, halving;
    the last maps are averaged to 2 x 2. Groups are normalised, not batches, so that one row never depends on another: an
    attacked batch cannot spoil running statistics, as there are none.

    >>> rng = torch.Generator().manual_seed(0)
    >>> net = ConvModule(Standardise(torch.zeros(1, 1, 1), torch.ones(1, 1, 1)), 1, (4, 8), 3, rng=rng)
    >>> net(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        standardise: Standardise,
        colours: int,
        channels: Sequence[int],
        classes: int | None,
        *,
        rng: torch.Generator,
        inside: Inside | None = None,
        target: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        super().__init__()
        inside = inside or Inside()
        self.standardise = standardise
        self.enter = FeatureDropout(inside.feature_dropout) if inside.feature_dropout else nn.Identity()
        stages: list[nn.Module] = []
        for a, b in zip([colours, *channels[:-1]], channels, strict=True):
            stages += [_maps(a, b, inside, rng), _around(_maps(b, b, inside, rng), inside, always=True)]
            stages += [nn.MaxPool2d(2, ceil_mode=True)]
        self.body = nn.Sequential(*stages, nn.AdaptiveAvgPool2d(2), nn.Flatten(), *_dropped(inside))
        self.answer = Answer(4 * channels[-1], classes, target, rng)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits or numbers for raw images."""
        out: Tensor = self.answer(self.body(self.enter(self.standardise(x))))
        return out


def _dense(inputs: int, outputs: int, inside: Inside, rng: torch.Generator) -> Any:
    return nn.Sequential(linear(inputs, outputs, rng), nn.ReLU(), *_noised(inside), *_dropped(inside))


def _maps(inputs: int, outputs: int, inside: Inside, rng: torch.Generator) -> nn.Module:
    groups = next(g for g in (8, 4, 2, 1) if outputs % g == 0)
    blocked = [DropBlock(inside.dropblock, block_size=inside.block_size)] if inside.dropblock else []
    layers = [conv(inputs, outputs, rng), nn.GroupNorm(groups, outputs), nn.ReLU()]
    return nn.Sequential(*layers, *_noised(inside), *blocked)


def _around(block: nn.Module, inside: Inside, *, always: bool = False) -> nn.Module:
    if inside.stochastic_depth:
        return Residual(block, StochasticDepth(inside.stochastic_depth))
    return Residual(block, nn.Identity()) if always else block


def _noised(inside: Inside) -> list[nn.Module]:
    return [GaussianNoise(inside.activation_noise)] if inside.activation_noise else []


def _dropped(inside: Inside) -> list[nn.Module]:
    return [FeatureDropout(inside.dropout)] if inside.dropout else []

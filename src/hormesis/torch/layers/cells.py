"""Noise on cells and features, as layers: Gaussian, scaled, masked, dropped or swapped."""

import math

import torch
from torch import Tensor, nn

from hormesis.errors import DataError, SettingError
from hormesis.torch.dice import coins, normals
from hormesis.torch.layers.base import Mode, NoiseLayer, known_mode
from hormesis.torch.source import Seed


class GaussianNoise(NoiseLayer):
    """Add zero-mean Gaussian noise to inputs or activations, as sensors and rounding do.

    ``x + level * scale * z`` with z standard normal in each cell. Without `scale` the level is sigma in the
    input's own units, of any size; with `scale`, one spread per feature, it is sigma in spreads.

    Parameters
    ----------
    level : float
        Sigma, 0 or more.
    scale : Tensor, optional
        Spread of the training data per feature: one number for each index of axis `dim`, or the shape of a row.
    dim : int
        Axis of the features in a batch.

    Raises
    ------
    DataError
        The input holds integers, or has another number of features than `scale`.

    Notes
    -----
    Source: Bishop (1995), Training with noise is equivalent to Tikhonov regularization.
    In large batches on a CPU z is told in 65536 steps, at most 4.4: see `hormesis.torch.dice.normals`.

    Examples
    --------
    >>> x = torch.zeros(2, 3)
    >>> layer = GaussianNoise(5.0, scale=torch.tensor([0.0, 1.0, 10.0]), generator=0)
    >>> (layer(x) != 0).tolist()
    [[False, True, True], [False, True, True]]
    >>> layer.eval()(x) is x
    True
    """

    most = math.inf
    rule = "sigma, a finite number from 0"
    scale: Tensor | None

    def __init__(
        self,
        level: float,
        *,
        scale: Tensor | None = None,
        dim: int = 1,
        generator: Seed = None,
        always: bool = False,
    ) -> None:
        super().__init__(level, generator=generator, always=always)
        self.dim = dim
        known = None if scale is None else torch.as_tensor(scale).detach()
        if known is not None and not bool((known.isfinite() & (known >= 0)).all()):
            raise SettingError(
                f"`GaussianNoise(scale={scale!r})`: spreads are finite numbers from 0; take them from training data."
            )
        self.register_buffer("scale", known, persistent=False)

    def disturb(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Return ``x + level * scale * z``."""
        _need_floats(self, x)
        z = normals(x.shape, source, x.dtype)  # the sum goes in here, a tensor less to allocate
        if self.scale is not None:
            z *= per_feature(self.scale, x, self.dim, "scale")
        return z.mul_(self.level).add_(x)


class GaussianDropout(NoiseLayer):
    """Multiply each cell by Gaussian noise of mean 1: dropout's mean and variance, and no cell is lost.

    ``x * (1 + sqrt(p / (1 - p)) z)`` with p the level. The expectation is the input.
    Source: Srivastava et al. (2014), Dropout, section 10.

    >>> layer = GaussianDropout(0.5, generator=0)
    >>> layer(torch.ones(10_000)).std().round(decimals=1)
    tensor(1.)
    """

    most = math.nextafter(1.0, 0.0)
    rule = "a fraction, 0 to below 1"

    def disturb(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Return the input times noise of mean 1."""
        _need_floats(self, x)
        z = normals(x.shape, source, x.dtype)
        return x * z.mul_(math.sqrt(self.level / (1 - self.level))).add_(1)


class Masking(NoiseLayer):
    """Replace cells by a fill value without rescaling the rest, as missing values that were imputed.

    Each cell is hit with probability `level`. Works on integers, too (token ids and a mask id).

    Parameters
    ----------
    level : float
        Fraction of cells.
    value : float or Tensor
        What a lost cell becomes: one number, or one per feature, such as the means of the training data.
    dim : int
        Axis of the features in a batch.

    Raises
    ------
    DataError
        The input has another number of features than `value`.

    Notes
    -----
    Source: Vincent et al. (2008), Extracting and composing robust features with denoising autoencoders.

    Examples
    --------
    >>> Masking(1.0, value=torch.tensor([7.0, 8.0]))(torch.zeros(2, 2))
    tensor([[7., 8.],
            [7., 8.]])
    """

    value: Tensor

    def __init__(
        self,
        level: float,
        *,
        value: float | Tensor = 0.0,
        dim: int = 1,
        generator: Seed = None,
        always: bool = False,
    ) -> None:
        super().__init__(level, generator=generator, always=always)
        self.dim = dim
        self.register_buffer("value", torch.as_tensor(value).detach(), persistent=False)

    def disturb(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Return the input with its lost cells filled."""
        hit = coins(x.shape, self.level, source)
        return torch.where(hit, per_feature(self.value, x, self.dim, "value"), x)


class FeatureDropout(NoiseLayer):
    """Drop whole features or channels, as a sensor that is gone, and rescale the rest.

    A feature is set to 0 with probability `level`; the rest is divided by ``1 - level``, so that the expectation
    is the input.

    Parameters
    ----------
    level : float
        Fraction of features.
    mode : {"row", "batch"}
        Each row loses its own features, or the batch loses the same ones.
    dim : int
        Axis of the features in a batch: 1 for tables and images, -1 for tokens.

    Raises
    ------
    DataError
        The input has no such axis.

    Notes
    -----
    Source: Tompson et al. (2015), Efficient object localization using convolutional networks (SpatialDropout).

    Examples
    --------
    >>> x = FeatureDropout(0.5, mode="batch", generator=0)(torch.ones(100, 6, 4))
    >>> lost = (x == 0)
    >>> bool((lost.any(dim=2).any(dim=0) == lost.all(dim=2).all(dim=0)).all())
    True
    """

    def __init__(
        self,
        level: float,
        *,
        mode: Mode = "row",
        dim: int = 1,
        generator: Seed = None,
        always: bool = False,
    ) -> None:
        super().__init__(level, generator=generator, always=always)
        self.mode = known_mode(self, mode)
        self.dim = dim

    def disturb(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Return the input without some of its features."""
        if not -x.ndim <= self.dim < x.ndim:
            raise DataError(
                f"FeatureDropout got a batch of shape {tuple(x.shape)}, which has no axis {self.dim}."
            )
        shape = [1] * x.ndim
        shape[0] = len(x) if self.mode == "row" else 1
        shape[self.dim] = x.shape[self.dim]
        return x * kept(tuple(shape), self.level, source, x.dtype)


class SwapNoise(NoiseLayer):
    """Replace cells by the same feature of another row of the batch, as in denoising autoencoders for tables.

    Each cell is hit with probability `level`; its donor is any other row, all equally likely. Marginals stay as they
    are, values stay possible ones (categories, too). A batch of one row has no donor and stays as it is.
    Source: Bahri et al. (2022), SCARF; the name from Jahrer (2017), winner of Porto Seguro on Kaggle.

    >>> SwapNoise(1.0)(torch.tensor([[1, 10], [2, 20]]))
    tensor([[ 2, 20],
            [ 1, 10]])
    """

    rule = "a fraction of cells, 0 to 1"

    def disturb(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Return the input with some cells taken from other rows."""
        n = len(x)
        if n < 2:
            return x
        flat = x.flatten()
        hit = coins(flat.shape, self.level, source).nonzero().squeeze(1)
        rows_on = torch.randint(1, n, hit.shape, generator=source, device=x.device)
        donor = rows_on.mul_(len(flat) // n).add_(hit).remainder_(len(flat))
        return flat.index_copy(0, hit, flat.index_select(0, donor)).view(x.shape)


def seed_noise(model: nn.Module, seed: int, *path: str | int) -> list[str]:
    """Seed every noise layer of a model by its name: other noise in each layer, the same again for the same seed.

    Put the rank into the path under data-parallel training, and the epoch for noise that a resumed run repeats.
    Wrappers (`torch.compile`, DDP) do not change the names. Returns the names.

    >>> net = nn.Sequential(GaussianNoise(1.0), GaussianNoise(1.0))
    >>> seed_noise(net, 0, "epoch", 3)
    ['0', '1']
    >>> x = torch.zeros(2)
    >>> bool((net[0](x) != net[1](x)).all())
    True
    """
    layers = {n: m for n, m in model.named_modules() if isinstance(m, NoiseLayer)}
    names = [name.replace("_orig_mod.", "").removeprefix("module.") for name in layers]
    for name, layer in zip(names, layers.values(), strict=True):
        layer.source.reseed(seed, *path, name)
    return names


def kept(shape: tuple[int, ...], level: float, source: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Return factors that are 0 with probability `level`, else ``1 / (1 - level)``."""
    return coins(shape, 1 - level, source, dtype).div_(1 - level if level < 1 else 1)


def per_feature(values: Tensor, x: Tensor, dim: int, name: str) -> Tensor:
    """Lay numbers along the features of a batch, in its dtype."""
    if values.ndim == 1 and x.ndim > 1:
        fits, shape = values.shape[0] == x.shape[dim], [1] * x.ndim
        shape[dim] = -1
        values = values.view(shape)
    else:
        fits = values.ndim == 0 or values.shape == x.shape[1:]
    if not fits:
        raise DataError(
            f"A batch of shape {tuple(x.shape)} does not fit `{name}` of {values.numel()} numbers: "
            f"give one per feature (axis {dim}), one for each cell of a row, or a single number."
        )
    return values.to(x.dtype)


def _need_floats(layer: nn.Module, x: Tensor) -> None:
    if not x.is_floating_point():
        raise DataError(
            f"{type(layer).__name__} got {x.dtype}: it adds real numbers. Put it after the embedding, or give floats."
        )

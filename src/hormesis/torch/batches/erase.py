"""Batches with a box erased in each row: random erasing and cutout."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from hormesis.errors import DataError, SettingError, listed, nearest
from hormesis.torch.batches.boxes import box_mask, centred, paste
from hormesis.torch.dice import for_rows, normals
from hormesis.torch.source import Seed, Source

Filling = Literal["zero", "mean", "noise"]


def random_erasing(
    x: Tensor,
    p: float = 0.5,
    *,
    area: tuple[float, float] = (0.02, 1 / 3),
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
    mode: Filling = "zero",
    generator: Seed = None,
) -> Tensor:
    """Erase a box of random size, shape and place in some images of a batch, as an object in the way.

    Share of the area uniform in `area`; height / width log-uniform in the part of `aspect` for which the box lies inside
    of the image: no trials, no box lost. Series (n, c, t) lose an interval. The batch is left as it is.

    Parameters
    ----------
    x : Tensor
        Images (n, c, h, w) or series (n, c, t), floats.
    p : float
        Probability that an image is hit; 0 is exactly no change.
    area, aspect : tuple of float
        Ranges of the share of the area and of height / width.
    mode : {"zero", "mean", "noise"}
        Fill with 0, with the mean of the image's channel, or with Gaussian noise of its mean and spread.
    generator : int, torch.Generator or None
        An integer gives the same choices in each call.

    Raises
    ------
    SettingError
        A setting is out of its range.
    DataError
        The batch is of another shape, or of integers.

    Notes
    -----
    Source: Zhong et al. (2020), Random erasing data augmentation.

    Examples
    --------
    >>> x = torch.ones(100, 1, 20, 20)
    >>> lost = 1 - random_erasing(x, 1.0, area=(0.25, 0.25), generator=0).mean(dim=(1, 2, 3))
    >>> bool(((lost - 0.25).abs() < 0.03).all())
    True
    """
    _check(x, "random_erasing", p, mode)
    for name, (least, most), top in (("area", area, 1), ("aspect", aspect, math.inf)):
        if not 0 < least <= most <= top:
            raise SettingError(
                f"`random_erasing({name}={(least, most)})`: {name} is a range of numbers above 0"
                + (" up to 1." if top == 1 else ".")
            )
    if not p or not x.numel():
        return x
    source = for_rows(generator, "random_erasing")
    u = torch.rand(2 * x.ndim - 2, len(x), dtype=torch.float64, generator=source, device=source.device)
    low, size = _inside(x, u[1:], area, aspect)
    return _filled(x, low, low + size * (u[0] < p), mode, generator)


def cutout(x: Tensor, size: int, *, p: float = 1.0, mode: Filling = "zero", generator: Seed = None) -> Tensor:
    """Erase a square of a fixed size in images of a batch; its centre may lie at the border.

    Parameters
    ----------
    x : Tensor
        Images (n, c, h, w) or series (n, c, t), floats.
    size : int
        Side of the square in pixels; 0 is exactly no change.
    p : float
        Probability that an image is hit.
    mode : {"zero", "mean", "noise"}
        As in `random_erasing`.
    generator : int, torch.Generator or None
        An integer gives the same choices in each call.

    Raises
    ------
    SettingError
        A setting is out of its range.
    DataError
        The batch is of another shape, or of integers.

    Notes
    -----
    Source: DeVries & Taylor (2017), Improved regularization of convolutional neural networks with cutout.

    Examples
    --------
    >>> x = cutout(torch.ones(1, 1, 4, 4), 2, generator=0)
    >>> int((x == 0).sum()) in (1, 2, 4)
    True
    """
    _check(x, "cutout", p, mode)
    if size < 0 or size != int(size):
        raise SettingError(f"`cutout(size={size!r})`: size is a whole number of pixels from 0.")
    if not p or not size or not x.numel():
        return x
    source = for_rows(generator, "cutout")
    hit = torch.rand(len(x), dtype=torch.float64, generator=source, device=source.device) < p
    low, high = centred(x, int(size), source)
    return _filled(x, low, torch.where(hit, high, low), mode, generator)


def _check(x: Tensor, name: str, p: float, mode: str) -> None:
    if not 0 <= p <= 1:
        raise SettingError(f"`{name}(p={p!r})`: p is a probability, 0 to 1.")
    if mode not in get_args(Filling):
        raise SettingError(
            f"`{name}(mode={mode!r})`: mode is one of {listed(get_args(Filling))}.{nearest(mode, get_args(Filling))}"
        )
    if x.ndim not in (3, 4):
        raise DataError(
            f"`{name}` got a batch of shape {tuple(x.shape)}: it needs (n, c, h, w) or (n, c, t). "
            "For tables use the layer Masking."
        )
    if not x.is_floating_point():
        raise DataError(f"`{name}` got a batch of {x.dtype}: give floats, as in `x.float()`.")


def _inside(
    x: Tensor, u: Tensor, area: tuple[float, float], aspect: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Return where boxes begin, and their sides, (axes, n), all inside of the image, from uniforms."""
    sizes = x.shape[2:]
    cells = (u[0] * (area[1] - area[0])).add_(area[0]).mul_(math.prod(sizes))
    if len(sizes) == 1:
        size = cells.round_().clamp_(min=1)[None]
    else:
        h, w = sizes
        log = cells.log()
        least = (log - 2 * math.log(w)).clamp_(min=math.log(aspect[0]))
        most = (2 * math.log(h) - log).clamp_(max=math.log(aspect[1]))
        tall = torch.lerp(least, most, u[1]).add_(log).div_(2).exp_()
        tall = torch.maximum(tall, cells / w).round_().clamp_(1, h)
        size = torch.stack([tall, (cells / tall).round_().clamp_(1, w)])
    room = torch.tensor(sizes, device=u.device)[:, None] + 1 - size
    return (u[-len(sizes) :] * room).long(), size.long()


def _filled(x: Tensor, low: Tensor, high: Tensor, mode: Filling, generator: Seed) -> Tensor:
    if mode == "noise":
        return _noised(x, low, high, generator)
    filling = x.new_zeros(()) if mode == "zero" else _of_channels(x.detach())
    return paste(x, filling, box_mask(low, high, x))


def _noised(x: Tensor, low: Tensor, high: Tensor, generator: Seed) -> Tensor:
    """Fill boxes with noise of the mean and spread of each channel; none is drawn for the rest."""
    hit = (high > low).all(dim=0).nonzero().squeeze(1)
    rows = x.detach().index_select(0, hit.to(x.device))
    mean = _of_channels(rows)
    spread = _of_channels((rows - mean).square_()).sqrt_()
    mask = box_mask(low[:, hit], high[:, hit], rows).flatten(1)
    row, place = mask.nonzero().unbind(1)
    channels, size = x.shape[1], mask.shape[1]
    z = normals((len(row), channels), Source(generator, "filling").on(x.device), x.dtype).to(x.device)
    mean, spread = (s.view(-1, channels).index_select(0, row) for s in (mean, spread))
    first = hit.to(x.device).index_select(0, row).mul_(channels * size).add_(place)
    cells = first[:, None] + torch.arange(0, channels * size, size, device=x.device)
    return x.flatten().index_copy(0, cells.flatten(), z.mul_(spread).add_(mean).flatten()).view(x.shape)


def _of_channels(x: Tensor) -> Tensor:
    return x.flatten(2).mean(dim=2).view(*x.shape[:2], *[1] * (x.ndim - 2))

"""Draws that layers and batch functions share: coins, normals, and choices for the rows of a batch."""

import functools
import math

import torch
from torch import Tensor

from hormesis.torch.source import Seed, Source

Shape = torch.Size | tuple[int, ...]

_STEPS = 1 << 16
_CHUNK = 1 << 16  # cells: on a CPU the buffers stay in its cache
_LARGE = 1 << 15  # cells from which the table of slices is worth fetching into the cache


def coins(shape: Shape, p: float, source: torch.Generator, dtype: torch.dtype = torch.bool) -> Tensor:
    """Return a mask that is true (1) with probability `p` in each cell, on the device of the generator.

    Four cells share one 64-bit word; the threshold is rounded at random, so that the rate is exact.

    >>> coins((2, 3), 1.0, torch.Generator()).all()
    tensor(True)
    """
    limit = p * _STEPS
    if not 1 <= limit < _STEPS - 1:
        return torch.rand(shape, generator=source, device=source.device, dtype=torch.float64).lt(p).to(dtype)
    up = torch.rand((), generator=source, device=source.device) < limit % 1
    threshold = (
        int(limit) - _STEPS // 2 + (bool(up) if up.device.type == "cpu" else up)
    )  # a GPU is not waited for
    out = torch.empty(shape, dtype=torch.uint8 if dtype == torch.bool else dtype, device=source.device)
    for part in _parts(out):
        torch.lt(_words(len(part), source), threshold, out=part)  # into bool it takes seven times as long
    return out.view(torch.bool) if dtype == torch.bool else out


def normals(shape: Shape, source: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return standard normals on the device of the generator, for training noise.

    Large tensors on a CPU take 16 bits per cell: one of 65536 slices of equal probability, told by its mean and scaled
    to variance 1 (so at most 4.4 sigma), in two thirds of the time of `torch.randn`. Others are `torch.randn`.

    >>> normals((2, 3), torch.Generator()).shape
    torch.Size([2, 3])
    """
    if source.device.type != "cpu" or math.prod(shape) < _LARGE:
        return torch.randn(shape, generator=source, dtype=dtype, device=source.device)
    out = torch.empty(shape, dtype=torch.float32, device=source.device)
    for part in _parts(out):
        index = _words(len(part), source).view(torch.uint16).to(torch.int32)
        torch.index_select(_slices(), 0, index, out=part)
    return out.to(dtype)


def _parts(out: Tensor) -> tuple[Tensor, ...]:
    """Return a new tensor as flat parts that stay in the cache of a CPU."""
    flat = out.view(-1)
    return torch.split(flat, _CHUNK) if flat.device.type == "cpu" and len(flat) > _CHUNK else (flat,)


def _words(n: int, source: torch.Generator) -> Tensor:
    """Return 16 random bits for each of n cells."""
    wide = torch.empty(-(-n // 4), dtype=torch.int64, device=source.device)
    return wide.random_(-(1 << 63), None, generator=source).view(torch.int16)[:n]


@functools.lru_cache(1)
def _slices() -> Tensor:
    """Return the mean of a standard normal in each of 65536 slices of equal probability."""
    edges = torch.special.ndtri(torch.arange(_STEPS + 1, dtype=torch.float64, device="cpu") / _STEPS)
    density = torch.exp(-edges * edges / 2) / math.sqrt(2 * math.pi)
    means = (density[:-1] - density[1:]) * _STEPS
    return (means / means.square().mean().sqrt()).to(torch.float32)


def for_rows(seed: Seed, *path: str) -> torch.Generator:
    """Return the generator of choices per row: made on the CPU, so that they are the same for any device."""
    return Source(seed, *path).on("cpu")


def symmetric_beta(alpha: float, n: int, source: torch.Generator) -> Tensor:
    """Draw n float64 numbers from Beta(alpha, alpha), without rejection.

    Student's t with 2 alpha degrees of freedom in polar form, mapped to (0, 1).
    Source: Bailey (1994), Polar generation of random variates with the t-distribution; Devroye (1996).

    >>> lam = symmetric_beta(0.4, 1000, torch.Generator().manual_seed(0))
    >>> bool((lam >= 0).all() and (lam <= 1).all()), round(float(lam.mean()), 1)
    (True, 0.5)
    """
    if alpha == 1:
        return torch.rand(n, dtype=torch.float64, generator=source, device=source.device)
    u, v = torch.rand(2, n, dtype=torch.float64, generator=source, device=source.device)
    c, w = torch.cos(2 * math.pi * v), u ** (1 / alpha)
    return (1 + c * torch.rsqrt(c * c + w / (1 - w))) / 2

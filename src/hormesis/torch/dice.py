"""Draws that layers and batch functions share: coins, normals, and choices for the rows of a batch."""

import functools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hormesis.torch.source import Seed, Source

Shape = torch.Size | tuple[int, ...]

_STEPS = 1 << 16
_CHUNK = 1 << 16  # cells: on a CPU the buffers stay in its cache
_LARGE = 1 << 17  # cells from which the table of slices is worth fetching into the cache


def coins(shape: Shape, p: float, source: torch.Generator) -> Tensor:
    """Return a mask that is true with probability `p` in each cell, on the device of the generator.

    Four cells share one 64-bit word; the threshold is rounded at random, so that the rate is exact.

    >>> coins((2, 3), 1.0, torch.Generator()).all()
    tensor(True)
    """
    limit = p * _STEPS
    if not 1 <= limit < _STEPS - 1:
        return torch.rand(shape, generator=source, device=source.device, dtype=torch.float64) < p
    up = torch.rand((), generator=source, device=source.device) < limit % 1
    threshold = up.to(torch.int16) + (int(limit) - _STEPS // 2)
    out = torch.empty(shape, dtype=torch.bool, device=source.device)
    for part, words in _sixteens(out, source):
        torch.lt(words, threshold, out=part)
    return out


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
    index = torch.empty(_CHUNK, dtype=torch.int32, device=source.device)
    for part, words in _sixteens(out, source):
        torch.index_select(_slices(), 0, index[: len(part)].copy_(words.view(torch.uint16)), out=part)
    return out.to(dtype)


def _sixteens(out: Tensor, source: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Walk through a new tensor, with 16 random bits for each cell."""
    cells = out.view(-1)
    size = min(_CHUNK, len(cells)) if out.device.type == "cpu" else len(cells)
    words = torch.empty(-(-size // 4), dtype=torch.int64, device=out.device)
    for start in range(0, len(cells), max(size, 1)):
        part = cells[start : start + size]
        words.random_(-(1 << 63), None, generator=source)
        yield part, words.view(torch.int16)[: len(part)]


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
    c = torch.cos(2 * math.pi * v)
    t = (u ** (-1 / alpha) - 1) * c * c
    return (1 + torch.sign(c) / torch.sqrt(1 + 1 / t)) / 2

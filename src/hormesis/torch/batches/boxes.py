"""One box per row of a batch: as bounds, as a mask that broadcasts, and pasted."""

import torch
from torch import Tensor

_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def centred(x: Tensor, length: Tensor | int, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return boxes of some length around random centres, cut at the border: where each begins and ends, (axes, n).

    >>> low, high = centred(torch.zeros(3, 1, 8), 8, torch.Generator().manual_seed(0))
    >>> (high - low).shape, bool((high - low <= 8).all())
    (torch.Size([1, 3]), True)
    """
    sizes = torch.tensor(x.shape[2:], device=source.device)[:, None]
    spot = torch.rand(len(sizes), len(x), dtype=torch.float64, generator=source, device=source.device)
    begin = (spot * sizes).long() - length // 2
    return begin.clamp(min=0), torch.minimum(begin + length, sizes)


def box_mask(low: Tensor, high: Tensor, x: Tensor) -> Tensor:
    """Return boxes as integers -1 (inside) and 0, (n, 1, h, w), for `paste` into a batch (n, c, h, w).

    `low` and `high` are (k, n): where the box of a row begins and ends on each of the k axes of a cell; k is 2 for
    images, 1 for series. A cell is inside when exactly one of its distances to the two ends is negative.

    >>> box_mask(torch.tensor([[1]]), torch.tensor([[3]]), torch.zeros(1, 1, 4))
    tensor([[[ 0, -1, -1,  0]]], dtype=torch.int32)
    """
    bounds = torch.stack([low, high]).to(x.device, torch.int32)
    mask = torch.full((len(x), 1), -1, dtype=_WORDS[x.element_size()], device=x.device)
    for axis, size in enumerate(x.shape[2:]):
        away = torch.arange(size, dtype=torch.int32, device=x.device) - bounds[:, axis, :, None]
        line = away[0].bitwise_xor_(away[1]).bitwise_right_shift_(31).to(mask.dtype)
        mask = mask.unsqueeze(-1) & line.view(len(x), 1, *[1] * axis, size)
    return mask


def paste(x: Tensor, patch: Tensor, mask: Tensor) -> Tensor:
    """Return `x` with `patch` where the mask is -1, bit by bit: no arithmetic, so NaN and infinity do not leak.

    A patch of the shape of `x` is used up. Bits are several times as fast as `torch.where` on a CPU; where gradients
    flow, `torch.where` it is.

    >>> paste(torch.zeros(2), torch.ones(2), torch.tensor([0, -1], dtype=torch.int32))
    tensor([0., 1.])
    """
    if torch.is_grad_enabled() and (x.requires_grad or patch.requires_grad):
        return torch.where(mask != 0, patch, x)
    old, new = x.view(mask.dtype), patch.view(mask.dtype)
    new = new.bitwise_xor_(old) if new.shape == old.shape else new ^ old
    return new.bitwise_and_(mask).bitwise_xor_(old).view(x.dtype)

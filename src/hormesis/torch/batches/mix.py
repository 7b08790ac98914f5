"""Batches of mixed rows: mixup, CutMix and manifold mixup, with a weight and a partner for each row."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hormesis.errors import DataError, ModelError, SettingError, listed, nearest
from hormesis.torch.batches.boxes import box_mask, centred, paste
from hormesis.torch.batches.targets import MixedTarget
from hormesis.torch.dice import for_rows, symmetric_beta
from hormesis.torch.source import Seed


def mixup(x: Tensor, y: Tensor, alpha: float = 1.0, *, generator: Seed = None) -> tuple[Tensor, MixedTarget]:
    """Blend each row of a batch with another one, and the targets alike, so that a net is linear in between.

    ``lam * x + (1 - lam) * x[partner]`` with lam from Beta(alpha, alpha) per row and a random permutation of partners.
    Any shape of inputs, any number of rows; targets are classes or numbers. The batch is left as it is.

    Parameters
    ----------
    x : Tensor
        Inputs (n, ...), floats.
    y : Tensor
        Targets (n, ...).
    alpha : float
        Strength; 0 is exactly no change, 1 is lam uniform.
    generator : int, torch.Generator or None
        An integer gives the same choices in each call: pass a generator, or one seed per step.

    Returns
    -------
    tuple of Tensor and MixedTarget
        The mixed inputs; their targets, whose `loss` takes any criterion.

    Raises
    ------
    SettingError
        `alpha` is negative or not finite.
    DataError
        Inputs are not floats, or inputs and targets are not of one length.

    Notes
    -----
    Source: Zhang et al. (2018), mixup: beyond empirical risk minimization.

    Examples
    --------
    >>> x, y = torch.eye(3), torch.tensor([0, 1, 2])
    >>> mixed, target = mixup(x, y, 1.0, generator=0)
    >>> mixed.allclose(target.soft(3))
    True
    """
    target = _paired(x, y, alpha, generator, "mixup")
    return (x if not alpha else target.mix(x)), target


def cutmix(x: Tensor, y: Tensor, alpha: float = 1.0, *, generator: Seed = None) -> tuple[Tensor, MixedTarget]:
    """Paste a box of another row into each row of a batch; targets are weighted by what is really left.

    Images (n, c, h, w): a box of share ``1 - lam``, its centre anywhere, cut at the border; series (n, c, t): an
    interval; tables (n, f): each feature with probability ``1 - lam``. lam is from Beta(alpha, alpha) per row; the
    weight of the target is the exact share of the cells that stay. Targets that are maps (n, h, w) are pasted, too.

    Parameters
    ----------
    x : Tensor
        Inputs (n, ...), floats.
    y : Tensor
        Targets (n, ...).
    alpha : float
        Strength; 0 is exactly no change.
    generator : int, torch.Generator or None
        An integer gives the same choices in each call.

    Returns
    -------
    tuple of Tensor and MixedTarget
        The mixed inputs; their targets, whose `loss` takes any criterion.

    Raises
    ------
    SettingError
        `alpha` is negative or not finite.
    DataError
        Inputs are not floats (n, f, ...), or inputs and targets are not of one length.

    Notes
    -----
    Source: Yun et al. (2019), CutMix; for tables Bahri et al. (2022), SCARF.

    Examples
    --------
    >>> x = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    >>> mixed, target = cutmix(x, torch.tensor([0.0, 1.0]), generator=2)
    >>> mixed.mean(dim=(1, 2, 3)).equal(target.blended)
    True
    """
    if x.ndim < 2:
        raise DataError(
            f"`cutmix` got inputs of shape {tuple(x.shape)}: it needs (n, features) or more axes."
        )
    source = for_rows(generator, "cutmix")
    target = _paired(x, y, alpha, source, "cutmix")
    if not alpha or not x.numel():
        return x, target
    if x.ndim == 2:
        hit = (
            torch.rand(x.shape, generator=source, device=source.device)
            >= target.weight.to(source.device)[:, None]
        )
        return _cells(x, target, hit.to(x.device))
    mask, weight = _boxes(x, target.weight, source)
    mixed = paste(x, x.index_select(0, target.partner.to(x.device)), mask)
    if y.shape[1:] == x.shape[2:]:
        pasted = torch.where(mask[:, 0] != 0, target.second, y)
        return mixed, MixedTarget(pasted, pasted, weight, target.partner)
    return mixed, MixedTarget(y, target.second, weight, target.partner)


@contextmanager
def manifold_mixup(
    model: nn.Module,
    layers: Sequence[str],
    y: Tensor,
    alpha: float = 2.0,
    *,
    generator: Seed = None,
) -> Iterator[MixedTarget]:
    """Mix the rows of a batch at the output of a hidden layer, chosen at random, for the one forward pass inside.

    Parameters
    ----------
    model : nn.Module
        Any model with layers whose output is a tensor (n, ...).
    layers : sequence of str
        Names of modules to choose from; "" is the input of the model.
    y : Tensor
        Targets of the batch (n, ...).
    alpha : float
        Strength of Beta(alpha, alpha) per row; 0 is exactly no change.
    generator : int, torch.Generator or None
        An integer gives the same choices in each call.

    Yields
    ------
    MixedTarget
        Targets of the mixed rows.

    Raises
    ------
    SettingError
        A layer does not exist.
    ModelError
        The layer was not run inside, or its output is not a tensor of n rows.

    Notes
    -----
    Source: Verma et al. (2019), Manifold mixup.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> x, y = torch.ones(5, 3), torch.tensor([0, 1, 0, 1, 1])
    >>> with manifold_mixup(net, ["", "0", "1"], y, generator=0) as target:
    ...     output = net(x)
    >>> target.loss(nn.CrossEntropyLoss(), output).shape
    torch.Size([])
    """
    name, source = _chosen(model, layers, for_rows(generator, "manifold_mixup"))
    target = _paired(y, y, alpha, source, "manifold_mixup")
    ran: list[str] = []

    def mix(_: nn.Module, given: Any, made: Any = None) -> Any:
        h = given[0] if not name else made
        if not isinstance(h, Tensor) or len(h) != len(y):
            raise ModelError(
                f"`manifold_mixup({name or 'input'!r})`: the layer gave {_told(h)}, not a tensor of {len(y)} rows."
            )
        mixed = h if ran or not alpha else target.mix(h)
        ran.append(name)
        return mixed if name else (mixed, *given[1:])

    module = model.get_submodule(name)
    handle = module.register_forward_hook(mix) if name else module.register_forward_pre_hook(mix)
    try:
        yield target
    finally:
        handle.remove()
    if not ran:
        raise ModelError(
            f"`manifold_mixup({name or 'input'!r})`: the layer was not run inside the `with` block."
        )


def _paired(x: Tensor, y: Tensor, alpha: float, generator: Seed, purpose: str) -> MixedTarget:
    """Choose a partner and a weight for each row; the weight is rounded as it will be applied."""
    if not 0 <= alpha < math.inf:
        raise SettingError(
            f"`{purpose}(alpha={alpha!r})`: alpha is a finite number from 0, which is no mixing."
        )
    if purpose != "manifold_mixup" and not x.is_floating_point():
        raise DataError(f"`{purpose}` got inputs of {x.dtype}: give floats, as in `x.float()`.")
    n = len(x)
    if len(y) != n:
        raise DataError(f"`{purpose}` got {n} inputs and {len(y)} targets: give one target per input.")
    dtype = x.dtype if x.is_floating_point() else torch.float32
    if not alpha:
        weight, partner = torch.ones(n, dtype=dtype), torch.arange(n)
    else:
        source = for_rows(generator, purpose)
        weight = symmetric_beta(alpha, n, source).to(dtype)
        partner = torch.randperm(n, generator=source, device=source.device)
    partner = partner.to(y.device)
    return MixedTarget(
        y, y.index_select(0, partner), weight.to(y.device, torch.promote_types(dtype, torch.float32)), partner
    )


def _cells(x: Tensor, target: MixedTarget, hit: Tensor) -> tuple[Tensor, MixedTarget]:
    mixed = torch.where(hit, x.index_select(0, target.partner.to(x.device)), x)
    weight = 1 - hit.to(target.weight.dtype).mean(dim=1).to(target.weight.device)
    return mixed, MixedTarget(target.first, target.second, weight, target.partner)


def _boxes(x: Tensor, weight: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
    share = (1 - weight.to(source.device, torch.float64)) ** (1 / (x.ndim - 2))
    sizes = torch.tensor(x.shape[2:], device=source.device)[:, None]
    low, high = centred(x, (share * sizes).round_().long(), source)
    kept = 1 - (high - low).prod(dim=0) / math.prod(x.shape[2:])
    return box_mask(low, high, x), kept.to(weight.device, weight.dtype)


def _chosen(model: nn.Module, layers: Sequence[str], source: torch.Generator) -> tuple[str, torch.Generator]:
    known = [name for name, _ in model.named_modules()]
    for name in layers:
        if name not in known:
            raise SettingError(
                f"`manifold_mixup(layers={list(layers)!r})`: {name!r} is no module of {type(model).__name__}; "
                f"modules are {listed(known[1:])}.{nearest(name, known)}"
            )
    if not layers or isinstance(layers, str):
        raise SettingError(f"`manifold_mixup(layers={layers!r})`: give a list of names of modules.")
    return layers[int(torch.randint(len(layers), (), generator=source, device=source.device))], source


def _told(h: object) -> str:
    return f"a tensor of shape {tuple(h.shape)}" if isinstance(h, Tensor) else f"a {type(h).__name__}"

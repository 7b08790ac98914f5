"""Noise in the weights of a model, for a training step or for an evaluation, taken out again bit for bit."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hormesis.errors import ModelError, SettingError, nearest
from hormesis.key import key
from hormesis.torch import keyed
from hormesis.torch.dice import Shape, coins, normals
from hormesis.torch.source import Seed, Source, generator
from hormesis.torch.weights.kept import kept, write
from hormesis.torch.weights.on_the_fly import OnTheFly, check_reachable, current
from hormesis.torch.weights.selection import Kinds, Names, Weight, weights_of

ROOT3 = math.sqrt(3.0)
BLOCK = {"cpu": 1 << 16}
WIDE = 1 << 22

KEYED: dict[str, Callable[[Tensor, int], Tensor]] = {
    "gaussian": keyed.normal,
    "uniform": lambda lanes, k: keyed.uniform(lanes, k).sub_(0.5).mul_(2 * ROOT3),
    "sign": lambda lanes, k: keyed.below(lanes, k, 0.5).to(torch.float64).mul_(2).sub_(1),
}
FAST: dict[str, Callable[[Shape, torch.Generator, torch.dtype], Tensor]] = {
    "gaussian": normals,
    "uniform": lambda shape, rng, dtype: torch.empty(shape, dtype=dtype, device=rng.device).uniform_(
        -ROOT3, ROOT3, generator=rng
    ),
    "sign": lambda shape, rng, dtype: coins(shape, 0.5, rng, dtype).mul_(2).sub_(1),
}


@dataclass(frozen=True)
class WeightDraw:
    """Noise of mean 0 and variance 1 for any weight: a pure function of this address and the weight's name.

    With `by_key` it is made from the key, equal on every device; without, by a generator that the key seeds, which is
    faster and equal on one kind of device.
    """

    kind: str
    seed: int
    path: tuple[str | int, ...]
    by_key: bool

    def unit(self, name: str, weight: Tensor) -> Tensor:
        """Return the noise of a weight: its shape, contiguous, in float32 or wider."""
        dtype = torch.promote_types(weight.dtype, torch.float32)
        address = (*self.path, "weights", self.kind, name)
        if self.by_key:
            out = torch.empty(weight.shape, dtype=dtype, device=weight.device)
            return _keyed(self.kind, out, key(self.seed, *address))
        return FAST[self.kind](weight.shape, generator(self.seed, *address, device=weight.device), dtype)

    def noisy(self, name: str, weight: Tensor, scale: float) -> Tensor:
        """Return a weight plus `scale` times its noise, rounded once to its dtype."""
        return added(weight, self.unit(name, weight), scale)


def added(weight: Tensor, unit: Tensor, scale: float) -> Tensor:
    """Return a weight plus `scale` times its noise, rounded once to its dtype; the noise is used up."""
    out = unit.mul_(scale).add_(weight.detach()).to(weight.dtype)
    return out if weight.is_contiguous() else torch.empty_like(weight).copy_(out)


def _keyed(kind: str, out: Tensor, k: int) -> Tensor:
    flat, step = out.view(-1), BLOCK.get(out.device.type, WIDE)
    for a in range(0, flat.numel(), step):
        lanes = keyed.lane(torch.arange(a, min(a + step, flat.numel()), device=out.device))
        flat[a : a + step] = KEYED[kind](lanes, k)
    return out


def spread(weight: Tensor) -> float:
    """Return the standard deviation of a tensor's values, summed in float64; exactly 0 where all are equal.

    >>> spread(torch.tensor([1.0, 3.0])), spread(torch.full((7,), 0.1))
    (1.0, 0.0)
    """
    flat = weight.detach().reshape(-1)
    if flat.numel() < 2:
        return 0.0
    parts = torch.split(flat, 1 << 18)
    wide = torch.float32 if flat.device.type == "mps" else torch.float64
    first = flat[0].to(wide)
    mean = torch.stack([(part.to(wide) - first).sum() for part in parts]).sum() / flat.numel()
    squares = torch.stack([(part.to(wide) - first - mean).square_().sum() for part in parts]).sum()
    return math.sqrt(float(squares) / flat.numel())


@contextmanager
def weight_noise(
    model: nn.Module,
    level: float,
    *,
    kind: str = "gaussian",
    relative: bool = True,
    include: Names = None,
    exclude: Names = None,
    types: Kinds = None,
    buffers: bool = False,
    generator: Seed = None,
    seed: int | None = None,
    path: tuple[str | int, ...] = (),
    memory: str = "copy",
) -> Iterator[nn.Module]:
    """Add noise to the weights of a model inside a block; afterwards every bit is what it was.

    Imitates imprecise hardware, quantisation and, in training, the search for flat minima: take the gradient at noisy weights,
    leave the block, step. w' = w + level * s * z, where z has mean 0 and variance 1 and s is the standard deviation of the
    tensor's own values (`relative`) or 1. A tensor of equal values (a fresh bias, a fresh norm scale) has s = 0 and stays.
    Tied weights get one noise. Frozen weights get it too: leave them out by `exclude`. Weights are put back also after an exception
    or Ctrl-C. At level 0 nothing is touched.

    Parameters
    ----------
    model : torch.nn.Module
        Also compiled or wrapped for data parallelism; the noise goes by the names of the module inside.
    level : float
        In standard deviations of each tensor, or in the weights' own unit.
    kind : {"gaussian", "uniform", "sign"}
        The distribution of z: normal, uniform, or +1 and -1 by a coin.
    relative : bool
        Whether a level counts standard deviations of each tensor.
    include, exclude : names, patterns or regular expressions, optional
        Parameters by name (``"head.weight"``), by module (``"encoder"``) or by pattern (``"*.bias"``).
    types : classes or names of classes, optional
        Only weights that layers of these kinds own, as ``nn.Linear`` or ``"Linear"``.
    buffers : bool
        Also floating-point buffers (running statistics); their layers must be in eval mode.
    generator : int, torch.Generator or None
        For training, at the speed of torch: a generator is moved by one number per block, an int is the same noise each time.
    seed : int, optional
        For evaluation: noise by key from (seed, path, name of the weight, position), equal on every device.
    path : tuple of names and numbers
        More of the address, as ``("repeat", 3)``: other path, other noise.
    memory : {"copy", "none"}
        ``"copy"`` writes into the weights and keeps a copy, so call `backward` inside. ``"none"`` keeps no copy: each
        function of torch gets a noisy weight that is freed after use and made again in the backward pass. It is
        slower, takes attention off its fused path, and is not for compiled or scripted models nor for activation
        checkpointing.

    Raises
    ------
    SettingError
        A setting out of its range, or a name that nothing in the model has.
    ModelError
        No module; a weight that is not finite; weights written to inside the block, by an optimizer.

    Notes
    -----
    Sources: An (1996), The effects of adding noise during backpropagation training on a generalization performance;
    Murray and Edwards (1994), Enhanced MLP performance and fault tolerance resulting from synaptic weight noise.
    Training noise in large tensors on a CPU is told in 65536 steps, at most 4.4: see `hormesis.torch.dice.normals`.

    Examples
    --------
    >>> net = nn.Linear(2, 1, bias=False)
    >>> before = net.weight.clone()
    >>> with weight_noise(net, 0.1, seed=0):
    ...     torch.equal(net.weight, before)
    False
    >>> torch.equal(net.weight, before)
    True
    """
    if memory not in ("copy", "none"):
        raise SettingError(f"`memory={memory!r}`: it is 'copy' or 'none'.")
    check_level(level)
    weights = weights_of(model, include, exclude, types, buffers=buffers)
    draw = draw_of(kind, generator, seed, path)
    check_buffers(weights)
    scales = [level * scale_of(w, relative=relative, exact=draw.by_key) if level else 0.0 for w in weights]
    noised = [(w, s) for w, s in zip(weights, scales, strict=True) if s]
    if memory == "none":
        check_reachable(model)
        with OnTheFly([(t, _maker(draw, w.name, s)) for w, s in noised for t in w.tensors]):
            yield model
        return
    with kept([w.tensor for w, _ in noised], "`weight_noise`") as held:
        write((w.tensor, draw.noisy(w.name, w.tensor, s)) for w, s in noised)
        held.seal()
        yield model


def _maker(draw: WeightDraw, name: str, scale: float) -> Callable[[Tensor], Tensor]:
    return lambda weight: draw.noisy(name, weight, scale)


def draw_of(kind: str, generator: Seed, seed: int | None, path: tuple[str | int, ...] = ()) -> WeightDraw:
    """Return the noise of one block, by key where a seed is given."""
    check_kind(kind)
    if seed is not None:
        if generator is not None:
            raise SettingError(
                "`generator` (training) and `seed` (evaluation) were both given: give one of them."
            )
        return WeightDraw(kind, seed, path, by_key=True)
    device = generator.device if isinstance(generator, torch.Generator) else torch.device("cpu")
    rng = Source(generator, "weight-noise").on(device)
    fresh = int(torch.randint(1 << 62, (1,), generator=rng, device=device))
    return WeightDraw(kind, fresh, path, by_key=False)


def check_kind(kind: str) -> None:
    """Refuse an unknown distribution."""
    if kind not in KEYED:
        raise SettingError(f"`kind={kind!r}` is unknown.{nearest(kind, KEYED)} Known: {', '.join(KEYED)}.")


def check_level(level: float) -> None:
    """Refuse a level that is no dose."""
    if not (isinstance(level, int | float) and math.isfinite(level) and level >= 0):
        raise SettingError(
            f"`level={level!r}`: it is a number of standard deviations, 0 or more; 0.05 is a small one."
        )


def check_buffers(weights: list[Weight]) -> None:
    """Refuse noise in buffers that the forward pass writes to."""
    for w in weights:
        if not isinstance(w.tensor, nn.Parameter) and any(owner.training for owner in w.owners):
            raise SettingError(
                f"`buffers=True`: `{w.name}` is updated in training; call `model.eval()` first."
            )


def scale_of(weight: Weight, *, relative: bool, exact: bool = True) -> float:
    """Return what a level is multiplied by for one weight; `exact` sums in float64, equal on every device."""
    if not relative:
        return 1.0
    values = current(weight.tensor).detach()
    s = spread(values) if exact else _quick_spread(values)
    if not math.isfinite(s):
        raise ModelError(
            f"`{weight.name}` holds NaN or infinity, so it has no standard deviation to take a share of."
        )
    return s


def _quick_spread(values: Tensor) -> float:
    wide = values.to(torch.promote_types(values.dtype, torch.float32))
    return float(torch.std(wide, correction=0)) if values.numel() > 1 else 0.0

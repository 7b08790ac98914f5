"""Noise in gradients, just before the optimizer uses them."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hormesis.errors import SettingError
from hormesis.torch.source import Seed, Source
from hormesis.torch.weights.noise import FAST, check_kind, check_level


def noise_at(level: float, step: int, decay: float = 0.55) -> float:
    """Return the standard deviation at a step: level / (1 + step)^(decay / 2), so that the variance falls as 1/t^decay.

    >>> noise_at(0.1, 0), round(noise_at(0.1, 99), 4)
    (0.1, 0.0282)
    """
    return level * math.pow(1.0 + step, -decay / 2)


def add_gradient_noise(
    parameters: nn.Module | Iterable[Tensor],
    level: float,
    *,
    kind: str = "gaussian",
    relative: bool = False,
    generator: Seed = None,
) -> None:
    """Add noise to gradients in place, after `backward` and before `optimizer.step()`.

    g' = g + level * s * z with z of mean 0 and variance 1; s is 1, or the root mean square of each gradient (`relative`). Parameters
    without a gradient, and sparse gradients, are left alone. A schedule is ``noise_at(level, step)``. With a GradScaler
    call ``scaler.unscale_(optimizer)`` first, or use `gradient_noise` on the optimizer, which needs no care.

    Parameters
    ----------
    parameters : torch.nn.Module or iterable of tensors
        Whose gradients.
    level : float
        In the gradient's own unit, or a share of each gradient's root mean square.
    kind : {"gaussian", "uniform", "sign"}
        The distribution of z.
    relative : bool
        Whether a level is a share of each gradient's root mean square.
    generator : int, torch.Generator or None
        In a loop give a generator: an int is the same noise each time. Ranks of a data-parallel run need the same one.

    Raises
    ------
    SettingError
        A level that is negative or not finite, or an unknown kind.

    Notes
    -----
    Source: Neelakantan et al. (2015), Adding gradient noise improves learning for very deep networks.

    Examples
    --------
    >>> w = nn.Parameter(torch.zeros(3))
    >>> w.sum().backward()
    >>> add_gradient_noise([w], 0.1, generator=0)
    >>> w.grad.equal(torch.ones(3))
    False
    """
    check_level(level)
    check_kind(kind)
    tensors = parameters.parameters() if isinstance(parameters, nn.Module) else parameters
    _add(tensors, level, kind, Source(generator, "gradient-noise"), relative=relative)


@torch.no_grad()
def _add(tensors: Iterable[Tensor], level: float, kind: str, source: Source, *, relative: bool) -> None:
    for grad in [t.grad for t in tensors] if level else []:
        if grad is None or grad.is_sparse:
            continue
        dtype = torch.promote_types(grad.dtype, torch.float32)
        noise = FAST[kind](grad.shape, source.on(grad.device), dtype)
        size: float | Tensor = level
        if relative:
            size = torch.linalg.vector_norm(grad, dtype=dtype).mul_(level / math.sqrt(max(grad.numel(), 1)))
        grad.add_(noise.mul_(size))


@contextmanager
def gradient_noise(
    target: torch.optim.Optimizer | nn.Module,
    level: float,
    *,
    decay: float = 0.0,
    start: int = 0,
    kind: str = "gaussian",
    relative: bool = False,
    generator: Seed = None,
) -> Iterator[None]:
    """Add noise to gradients inside a block, by itself; training code stays as it is.

    On an optimizer (the better way) noise is added once per step, just before it: after accumulation, clipping and unscaling, and
    not in steps that a GradScaler skips. On a module it is added whenever `backward` has accumulated a gradient; loss scales
    and accumulated batches then need ``relative=True``. The standard deviation at step t is level / (1 + t)^(decay/2).

    Parameters
    ----------
    target : torch.optim.Optimizer or torch.nn.Module
        Whose gradients.
    level : float
        In the gradient's own unit, or a share of each gradient's root mean square (`relative`).
    decay : float
        0 keeps the level; 0.55 is the published schedule. Only an optimizer counts steps.
    start : int
        The number of the first step, where training resumes.
    kind : {"gaussian", "uniform", "sign"}
        The distribution of z.
    relative : bool
        Whether a level is a share of each gradient's root mean square.
    generator : int, torch.Generator or None
        Where the noise comes from; ranks of a data-parallel run need the same one.

    Raises
    ------
    SettingError
        A level that is negative or not finite, an unknown kind, a decay without an optimizer.

    Notes
    -----
    Source: Neelakantan et al. (2015), Adding gradient noise improves learning for very deep networks.

    Examples
    --------
    >>> w = nn.Parameter(torch.zeros(3))
    >>> sgd = torch.optim.SGD([w], lr=1.0)
    >>> with gradient_noise(sgd, 0.1, generator=0):
    ...     w.sum().backward()
    ...     sgd.step()
    >>> w.equal(torch.full((3,), -1.0))
    False
    """
    check_level(level)
    check_kind(kind)
    source = Source(generator, "gradient-noise")

    def add(tensors: Iterable[Tensor], dose: float) -> None:
        _add(tensors, dose, kind, source, relative=relative)

    with ExitStack() as hooks:
        if isinstance(target, torch.optim.Optimizer):
            before = _BeforeStep(add, level, decay, start, relative=relative)
            hooks.callback(target.register_step_pre_hook(before).remove)
        elif isinstance(target, nn.Module) and not decay:
            for p in target.parameters():
                if p.requires_grad:
                    hooks.callback(p.register_post_accumulate_grad_hook(lambda p: add([p], level)).remove)  # type: ignore[no-untyped-call]
        else:
            raise SettingError(
                f"`gradient_noise` on {type(target).__name__} with decay={decay!r}: give an optimizer, which counts steps, "
                "or a module with decay=0."
            )
        yield


class _BeforeStep:
    """Called by an optimizer before it steps; with a closure, the noise comes after each gradient that it computes."""

    def __init__(
        self,
        add: Callable[[Iterable[Tensor], float], None],
        level: float,
        decay: float,
        start: int,
        *,
        relative: bool,
    ) -> None:
        self.add, self.level, self.decay, self.step, self.relative = add, level, decay, start, relative

    def __call__(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
        dose = noise_at(self.level, self.step, self.decay)
        self.step += 1
        scale = getattr(optimizer, "grad_scale", None)
        if scale is not None and not self.relative:
            dose *= float(scale)
        closure = kwargs.get("closure") or (args[1] if len(args) > 1 else None)
        if closure is None:
            self.add(_tensors(optimizer), dose)
            return None

        def noisy() -> Any:
            with torch.enable_grad():
                loss = closure()
            self.add(_tensors(optimizer), dose)
            return loss

        return (*args[:1], noisy), {k: v for k, v in kwargs.items() if k != "closure"}


def _tensors(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]

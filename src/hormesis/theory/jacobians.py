"""The Gauss-Newton penalty of a torch net by automatic differentiation: exact, or from random signs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hormesis.errors import DataError, MissingExtraError
from hormesis.key import below, fold, key, lane
from hormesis.theory.checks import Floats, levels

MOST = 256
Net = Callable[[Any], Any]


def torch_module() -> Any:
    """Return torch, or say how to get it."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError("Nets need torch: pip install 'hormesis[torch]'.") from None
    return torch


@contextmanager
def still(net: Any) -> Iterator[None]:
    """Put a torch net in evaluation mode, and each of its modules back in its own mode after it, also on an error."""
    modes = [(module, module.training) for module in net.modules()] if hasattr(net, "modules") else []
    if modes:
        net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@dataclass(frozen=True)
class Way:
    """Which loss, and how its derivatives are taken."""

    loss: str
    method: str
    probes: int
    seed: int


def penalties(net: Any, X: Any, sigma: ArrayLike, way: Way) -> tuple[Floats, bool]:
    """Return the parts of the Gauss-Newton penalty, and whether their sum is exact (else their mean estimates it)."""
    torch = torch_module()
    weight = _halves(X, sigma)
    with still(net), torch.no_grad():
        flat = _flat(net, way.loss)
        outputs = flat(X[:1]).shape[1]
        method = _cheapest(outputs, weight.numel()) if way.method == "auto" else way.method
        if method == "forward":
            return _forward(flat, X, weight, way.loss), True
        vectors = _vectors(method, len(X), outputs, way)
        return _reverse(flat, X, weight, way.loss, vectors), method == "reverse"


def curvatures(net: Any, X: Any, y: Any, sigma: ArrayLike, way: Way) -> tuple[Floats, bool]:
    """Return the parts of half the trace of the loss's Hessian on the scale of the noise, and whether they are exact."""
    torch = torch_module()
    size = _halves(X, sigma).sqrt()
    target = torch.as_tensor(y, device=X.device)
    method = ("reverse" if size.numel() <= MOST else "hutchinson") if way.method == "auto" else way.method
    with still(net), torch.no_grad():
        flat, parts = _flat(net, way.loss), []

        def total(inputs: Any) -> Any:
            if way.loss == "cross_entropy":
                return torch.nn.functional.cross_entropy(flat(inputs), target.long(), reduction="sum")
            out = flat(inputs)
            return 0.5 * ((out - target.to(out).reshape(out.shape)) ** 2).sum()

        _, back = torch.func.vjp(torch.func.grad(total), X)
        for vector in _vectors(method, len(X), size.numel(), way):
            v = size * torch.from_numpy(vector).to(X).expand(len(X), -1).reshape(X.shape)
            parts.append(float((v * back(v)[0]).double().sum()) / len(X))
    return np.array(parts), method != "hutchinson"


def _halves(X: Any, sigma: ArrayLike) -> Any:
    """Return sigma^2 / 2 of each feature, in the shape of one row."""
    torch = torch_module()
    if not X.is_floating_point():
        raise DataError(f"X is a tensor of {X.dtype}: noise on inputs needs floats.")
    width = int(np.prod(X.shape[1:]))
    return torch.from_numpy(levels("sigma", sigma, width) ** 2 / 2).to(X).reshape(X.shape[1:])


def _cheapest(outputs: int, width: int) -> str:
    if min(outputs, width) > MOST:
        return "hutchinson"
    return "reverse" if outputs <= 2 * width else "forward"


def _flat(net: Net, loss: str) -> Net:
    """Return the net with outputs of shape (n, C); one logit becomes two, the first of them 0."""
    torch = torch_module()

    def flat(X: Any) -> Any:
        out = net(X)
        if loss == "cross_entropy" and out.ndim > 2:
            raise DataError(
                f"The net's outputs have shape {tuple(out.shape)}: cross-entropy needs logits (n, C)."
            )
        out = out.reshape(len(X), -1)
        if loss == "cross_entropy" and out.shape[1] == 1:
            return torch.cat([torch.zeros_like(out), out], 1)
        return out

    return flat


def _vectors(method: str, rows: int, width: int, way: Way) -> Iterator[Floats]:
    """Yield the unit vectors, or random signs by address, one for each row."""
    if method != "hutchinson":
        yield from np.eye(width)
        return
    lanes = lane(np.arange(rows))[:, None]
    for k in range(way.probes):
        cells = (lanes ^ fold(key(way.seed, "hutchinson", k), np.arange(width))[None, :]).ravel()
        yield np.where(below(cells, 0, 0.5), 1.0, -1.0).reshape(rows, width)


def _reverse(net: Net, X: Any, weight: Any, loss: str, vectors: Iterator[Floats]) -> Floats:
    """Return E weight.(J'Lv)^2 for each vector v, where H = LL'."""
    torch = torch_module()
    outputs, back = torch.func.vjp(net, X)
    likely = outputs.softmax(1) if loss == "cross_entropy" else None
    parts = []
    for vector in vectors:
        v = torch.from_numpy(vector).to(outputs).expand_as(outputs)
        if likely is not None:
            half = likely.sqrt()
            v = half * v - likely * (half * v).sum(1, keepdim=True)
        slope = back(v)[0]
        parts.append(float((weight * slope**2).double().sum()) / len(X))
    return np.array(parts)


def _forward(net: Net, X: Any, weight: Any, loss: str) -> Floats:
    """Return E weight_j (Je_j)'H(Je_j) for each feature j."""
    torch = torch_module()
    outputs = net(X)
    likely = outputs.softmax(1) if loss == "cross_entropy" else None
    # J'u is linear in u, so its own backward pass is Jv: no forward-mode rules are needed of the net's layers
    _, push = torch.func.vjp(lambda u: torch.func.vjp(net, X)[1](u)[0], torch.zeros_like(outputs))
    parts = []
    for j in range(weight.numel()):
        one = torch.zeros(weight.numel(), dtype=X.dtype, device=X.device)
        one[j] = 1.0
        slope = push(one.reshape(weight.shape).repeat(len(X), *(1,) * weight.ndim))[0].double()
        size = (
            (slope**2).sum(1) if likely is None else (likely * slope**2).sum(1) - (likely * slope).sum(1) ** 2
        )
        parts.append(float(weight.reshape(-1)[j]) * float(size.mean()))
    return np.array(parts)

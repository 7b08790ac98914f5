"""Evaluation noise by address in torch: the same bits as `hormesis.key`, on any device, whatever the batch or order.

On the CPU tensors are lent to NumPy, which is faster there; elsewhere the scheme runs in int64 tensor operations.
Keys are integers, or int64 tensors that broadcast against the lanes (one key per column).
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hormesis import key as host
from hormesis.errors import RowIdError, SettingError

Key = int | Tensor
CHUNK = {"cpu": 1 << 16}
WHOLE = 1 << 24
_PHI, _ADD, _MUL, _MIX = (
    k - (1 << 64) for k in (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xD6E8FEB86659FD93, 0xBEA225F9EB34556D)
)
_SIGN, _LOW52, _LOW53, _ONE_F8 = -(1 << 63), (1 << 52) - 1, (1 << 53) - 1, 0x3FF0000000000000


def signed(word: int) -> int:
    """Return an unsigned 64-bit number as the int64 with the same bits."""
    return word - (1 << 64) if word >> 63 else word


def keys(words: list[int], device: torch.device | str = "cpu") -> Tensor:
    """Return 64-bit keys as an int64 tensor."""
    return torch.tensor([signed(word) for word in words], dtype=torch.int64, device=device)


def _xor_shift(x: Tensor, k: int) -> Tensor:
    return x.bitwise_xor_(x.bitwise_right_shift(k).bitwise_and_((1 << (64 - k)) - 1))


def _mix(x: Tensor) -> Tensor:
    for k in (32, 29, 32):
        _xor_shift(x, k).mul_(_MIX)
    return _xor_shift(x, 29)


def lane(rows: Tensor) -> Tensor:
    """Return the 64-bit lane of each integer row id.

    Raises
    ------
    RowIdError
        Row ids that are no integers.

    >>> f"{lane(torch.tensor([0])).item():016x}"
    '3ba9a87a30442dfc'
    """
    if rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool:
        raise RowIdError(f"row ids are integers, not {rows.dtype}: they must name rows exactly.")
    x = rows.to(torch.int64) * _PHI
    return _xor_shift(_xor_shift(x.add_(_ADD), 32).mul_(_MUL), 29)


def fold(parent: int, children: Tensor) -> Tensor:
    """Return child keys of a key for numbered axes: pixels, dimensions, draws."""
    return _mix(lane(children).add_(signed(parent)))


def _mixed(lanes: Tensor, k: Key, *, flip: int = 0) -> Tensor:
    x = _mix(lanes ^ (signed(k) if isinstance(k, int) else k))
    return x.bitwise_xor_(flip) if flip else x


def _uniform(lanes: Tensor, k: Key, *, mirror: bool = False) -> Tensor:
    x = _mixed(lanes, k, flip=-1 if mirror else 0)
    x = x.bitwise_right_shift_(12).bitwise_and_(_LOW52).bitwise_or_(_ONE_F8)
    return x.view(torch.float64).sub_(1.0 - 2.0**-53)


def _below(lanes: Tensor, k: Key, p: float, *, mirror: bool = False) -> Tensor:
    x = _mixed(lanes, k, flip=-1 if mirror else 0)
    return x.bitwise_xor_(_SIGN) < int(p * 2.0**64) - (1 << 63)


@functools.lru_cache(8)
def _table(device: torch.device) -> tuple[Tensor, Tensor]:
    start, slope = host._normal_table()
    return torch.from_numpy(start).to(device), torch.from_numpy(slope).to(device)


def _normal(lanes: Tensor, k: Key, *, mirror: bool = False) -> Tensor:
    start, slope = _table(lanes.device)
    x = _mixed(lanes, k, flip=_SIGN if mirror else 0)
    exact = x.bitwise_right_shift(10).bitwise_and_(_LOW53).bitwise_or_(1).to(torch.float64).view(torch.int64)
    index = exact.bitwise_right_shift(42).sub_(1023 << 10)
    rest = exact.bitwise_and_(((1 << 42) - 1) & ~0xFFFF).to(torch.float64)
    size = rest.mul_(slope[index]).add_(start[index])
    return x.bitwise_and_(_SIGN).bitwise_or_(size.view(torch.int64)).view(torch.float64)


Drawn = Callable[..., Tensor]


def _numpy(draw: Callable[..., NDArray[Any]]) -> Drawn:
    """Return a draw of `hormesis.key` for CPU tensors: memory is lent, not copied."""

    def drawn(lanes: Tensor, k: Key, *more: float, **mirror: bool) -> Tensor:
        one = signed(k) if isinstance(k, int) else 0
        whole = lanes if isinstance(k, int) else lanes ^ k
        flat = whole.contiguous().view(-1).numpy().view(np.uint64)
        return torch.from_numpy(draw(flat, one % (1 << 64), *more, **mirror)).view(whole.shape)

    return drawn


def _bits(lanes: host.Lanes, k: int) -> NDArray[np.int64]:
    return host.bits(lanes, k).view(np.int64)


_HOST: dict[str, Drawn] = {
    "bits": _numpy(_bits),
    "uniform": _numpy(host.uniform),
    "below": _numpy(host.below),
    "normal": _numpy(host.normal),
}
_DEVICE: dict[str, Drawn] = {"bits": _mixed, "uniform": _uniform, "below": _below, "normal": _normal}


def _draw(name: str, lanes: Tensor, k: Key, *more: float, **mirror: bool) -> Tensor:
    return (_HOST if lanes.device.type == "cpu" else _DEVICE)[name](lanes, k, *more, **mirror)


def bits(lanes: Tensor, k: Key) -> Tensor:
    """Return 64 random bits per lane under key `k`, as int64."""
    return _draw("bits", lanes, k)


def uniform(lanes: Tensor, k: Key, *, mirror: bool = False) -> Tensor:
    """Return float64 uniforms in (0, 1), never 0 nor 1; `mirror` returns exactly one minus them."""
    return _draw("uniform", lanes, k, mirror=mirror)


def below(lanes: Tensor, k: Key, p: float, *, mirror: bool = False) -> Tensor:
    """Return ``uniform < p`` by an integer comparison."""
    if not 0 < p < 1:
        like = lanes if isinstance(k, int) else lanes ^ k
        return torch.full(like.shape, p > 0, device=lanes.device)
    return _draw("below", lanes, k, p, mirror=mirror)


def normal(lanes: Tensor, k: Key, *, mirror: bool = False) -> Tensor:
    """Return float64 standard normals, equal to `hormesis.key.normal` bit for bit; `mirror` negates."""
    return _draw("normal", lanes, k, mirror=mirror)


def integers(lanes: Tensor, k: Key, n: int) -> Tensor:
    """Return integers from 0 to n - 1."""
    return uniform(lanes, k).mul_(n).to(torch.int64).clamp_(max=n - 1)


def row_ids(x: Tensor, rows: Tensor | None = None) -> Tensor:
    """Return the row ids of a batch on its device: those given, else positions.

    Raises
    ------
    RowIdError
        Another number of ids than rows, or ids that are no integers.
    """
    if rows is None:
        return torch.arange(len(x), device=x.device)
    if rows.shape != x.shape[:1]:
        raise RowIdError(f"`rows` has shape {tuple(rows.shape)}; {len(x)} rows need one id each.")
    return rows.to(x.device)


def spans(rows: int, width: int, device: torch.device) -> list[slice]:
    """Return slices of rows whose values fit into the cache of a CPU, or into a device's memory."""
    step = max(1, CHUNK.get(device.type, WHOLE) // max(width, 1))
    return [slice(a, min(a + step, rows)) for a in range(0, rows, step)]


def _like(draw: Drawn, x: Tensor, k: int, rows: Tensor | None, dtype: torch.dtype) -> Tensor:
    home = x.device if exact(x.device) else torch.device("cpu")
    lanes, width = lane(row_ids(x, rows).to(home)), math.prod(x.shape[1:])
    columns = fold(k, torch.arange(width, device=home))
    out = torch.empty((len(x), width), dtype=dtype, device=home)
    for s in spans(len(x), width, home):
        out[s] = draw(lanes[s, None], columns)
    return out.view(x.shape).to(x.device)


def exact(device: torch.device) -> bool:
    """Tell a device that has float64, in which noise is computed; Apple's has none, and the CPU works for it."""
    return device.type != "mps"


def _floats(x: Tensor) -> torch.dtype:
    if not x.is_floating_point():
        raise SettingError(f"noise like a tensor of {x.dtype} would be cut to whole numbers: give it floats.")
    return x.dtype


def normal_like(x: Tensor, seed: int, *path: str | int, rows: Tensor | None = None) -> Tensor:
    """Return standard normals of the shape, dtype and device of `x`, each a pure function of its address.

    The value at [i, ...] depends on (seed, path, id of row i, number of the flattened feature) and on nothing else:
    the batch may be split, permuted or moved to another device. It is computed in float64 and cast once.

    Parameters
    ----------
    x : float tensor, shape (n, ...)
        What the noise is to look like; its values are not read.
    seed : int
        Seed of the noise.
    *path : names
        What the noise is for: with the seed, its address.
    rows : int64 tensor, shape (n,), optional
        Row ids; None counts the rows of this batch from 0.

    Raises
    ------
    SettingError, RowIdError
        `x` holds no floats; ids that do not name the rows.

    Examples
    --------
    >>> x = torch.zeros(4, 2, 3)
    >>> half = normal_like(x[2:], 0, "gaussian", rows=torch.tensor([2, 3]))
    >>> bool(half.equal(normal_like(x, 0, "gaussian")[2:]))
    True
    """
    return _like(normal, x, host.key(seed, *path), rows, _floats(x))


def uniform_like(x: Tensor, seed: int, *path: str | int, rows: Tensor | None = None) -> Tensor:
    """Return uniforms in (0, 1) by address, as `normal_like`; float16 and float32 may round to 1.

    >>> uniform_like(torch.zeros(2, 2), 0, "u").shape
    torch.Size([2, 2])
    """
    return _like(uniform, x, host.key(seed, *path), rows, _floats(x))


def below_like(x: Tensor, p: float, seed: int, *path: str | int, rows: Tensor | None = None) -> Tensor:
    """Return a mask that is True with probability `p`, by address, as `normal_like`; a larger p hits a superset.

    >>> x = torch.zeros(100, 10)
    >>> few, many = below_like(x, 0.1, 0, "hit"), below_like(x, 0.5, 0, "hit")
    >>> bool((few <= many).all())
    True
    """
    return _like(lambda lanes, k: below(lanes, k, p), x, host.key(seed, *path), rows, torch.bool)

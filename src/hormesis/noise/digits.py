"""Numbers with fewer digits or bits, or in another unit, held at the largest float."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST = float(np.finfo(np.float64).max)
_EXACT = 22  # the largest power of ten that is a float
_TENS = 10.0 ** np.arange(_EXACT + 1)
_SCALES = np.concatenate([1 / _TENS[:0:-1], _TENS])
_WHOLE_TENS = np.array([10**k for k in range(20)], np.uint64)
_FLOAT16 = float(np.finfo(np.float16).max)
_BFLOAT16 = float(2.0**128 - 2.0**120)
_DROPPED = np.uint64(45)  # a float64 has 52 bits of fraction, a bfloat16 has 7


def round_digits(x: NDArray[Any], digits: int) -> NDArray[Any]:
    """Round floats or integers to their first significant digits."""
    if x.dtype.kind in "iu":
        size = np.searchsorted(_WHOLE_TENS, _magnitude(x), "right")
        return _round_whole(x, _WHOLE_TENS[np.maximum(size - digits, 0)])
    size = np.searchsorted(_SCALES, np.abs(x), "right")
    places = digits + _EXACT - size
    out = _round_places(x, np.clip(places, -_EXACT, _EXACT))
    far = np.flatnonzero(((size == 0) | (size == _SCALES.size) | (places > _EXACT)) & (x != 0))
    written = np.array([float(f"{value:.{digits - 1}e}") for value in x[far].tolist()])
    out[far] = _held(written, x[far])
    return out


def round_decimals(x: NDArray[Any], decimals: int) -> NDArray[Any]:
    """Round floats or integers to a number of digits behind the point; below zero, in front of it."""
    if x.dtype.kind in "iu":
        return x if decimals >= 0 else _round_whole(x, _WHOLE_TENS[[-decimals]])
    return _round_places(x, np.array([decimals]))


def _round_places(x: Floats, places: NDArray[np.intp]) -> Floats:
    """Round floats to decimal places, correctly also where scaling them makes a half or unmakes it."""
    up, down = _TENS[np.maximum(places, 0)], _TENS[np.maximum(-places, 0)]
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = x * up / down
        whole = np.rint(scaled)
        out = whole / up * down
        doubt = np.abs(np.abs(scaled - whole) - 0.5) <= np.abs(scaled) * 2.0**-52
        doubt &= (up > 1) | (scaled * down != x) | (np.abs(x) >= 2.0**53)
    out = np.where(np.abs(scaled) < 2.0**52, out, x)
    some = np.flatnonzero(doubt)
    out[some] = list(map(round, x[some].tolist(), np.broadcast_to(places, x.shape)[some].tolist()))
    return out


def _magnitude(x: NDArray[Any]) -> NDArray[np.uint64]:
    if x.dtype.kind == "u":
        return x.astype(np.uint64, copy=False)
    wide = x.astype(np.int64, copy=False)
    return np.abs(wide).view(np.uint64)


def _round_whole(x: NDArray[Any], step: NDArray[np.uint64]) -> NDArray[Any]:
    """Round integers to multiples of a power of ten, held within 64 bits."""
    top = np.uint64(2**64 - 1 if x.dtype.kind == "u" else 2**63)
    times, rest = np.divmod(_magnitude(x), step)
    half, odd = step - rest, times & np.uint64(1)
    up = (rest > half) | ((rest == half) & (odd == 1))
    below = times * step
    rounded = np.where(up, np.where(below > top - step, top, below + step), below)
    if x.dtype.kind == "u":
        return rounded
    return np.where(x < 0, (-rounded).view(np.int64), np.minimum(rounded, top - np.uint64(1)).view(np.int64))


def scaled_by(factor: Any, x: NDArray[Any]) -> Floats:
    """Return numbers times a factor, held at the largest float."""
    with np.errstate(over="ignore"):
        return _held(x * factor, x)


def _held(new: Floats, old: NDArray[Any]) -> Floats:
    """Hold at the largest float what passed it; what was infinite before stays."""
    over = np.isinf(new) & np.isfinite(old)
    new[over] = np.copysign(MOST, new[over])
    return new


def float16(x: Floats) -> Floats:
    """Round floats to the nearest float16, held at its largest finite number."""
    return np.clip(x, -_FLOAT16, _FLOAT16).astype(np.float16).astype(np.float64)


def bfloat16(x: Floats) -> Floats:
    """Round floats to the nearest bfloat16, held at its largest finite number."""
    held = np.clip(x, -_BFLOAT16, _BFLOAT16)
    word = held.view(np.uint64)
    odd = (word >> _DROPPED) & np.uint64(1)
    word += odd + ((np.uint64(1) << (_DROPPED - np.uint64(1))) - np.uint64(1))
    word &= ~((np.uint64(1) << _DROPPED) - np.uint64(1))
    small = np.flatnonzero(np.abs(x) < 2.0**-126)
    held[small] = np.ldexp(np.rint(np.ldexp(x[small], 133)), -133)
    return held


def int8(x: Floats, low: float, high: float) -> Floats:
    """Round floats to the nearest of 256 evenly spaced values from `low` to `high`, held there."""
    half = high / 2 - low / 2
    if half == 0:
        return x
    share = np.rint((np.clip(x, low, high) / 2 - low / 2) / half * 255) / 255
    return low * (1 - share) + high * share

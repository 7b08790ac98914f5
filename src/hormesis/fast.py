"""The draws of `hormesis.key` as compiled loops, bit for bit: loaded where numba is installed, once it pays.

NumPy in `hormesis.key` is the definition. Loops are serial (processes and threads of the caller may share the cores)
and hold no lock of Python's.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.core.errors import NumbaError

from hormesis.key import _ADD, _LOW53, _MIX, _MUL, _ONE_F8, _PHI, _SIGN, Lanes

_FRACTION = np.uint64(((1 << 42) - 1) & ~0xFFFF)


def _array(kind: Any, *, readonly: bool = True) -> Any:
    return types.Array(kind, 1, "C", readonly=readonly)


_WORD, _WORDS, _FLOATS = types.uint64, _array(types.uint64), _array(types.float64)


def _loop(out: Any, *given: Any) -> Callable[[Any], Any]:
    """Compile at import for one signature, so that a call never compiles; results are kept on disk where they can be."""
    signature = types.void(*given, _array(out, readonly=False))

    def compiled(function: Any) -> Any:
        try:
            return njit(signature, cache=True, nogil=True)(function)
        except (RuntimeError, OSError):  # no folder to keep it in, or a full one
            return njit(signature, nogil=True)(function)
        except NumbaError as error:
            raise ImportError("this version of numba cannot compile the loops") from error

    return compiled


@njit(inline="always")
def _mixed(x: Any) -> Any:
    x = (x ^ (x >> np.uint64(32))) * _MIX
    x = (x ^ (x >> np.uint64(29))) * _MIX
    x = (x ^ (x >> np.uint64(32))) * _MIX
    return x ^ (x >> np.uint64(29))


@njit(inline="always")
def _word(data: Any, start: int, size: int) -> Any:
    word = np.uint64(0)
    for j in range(size):
        word |= np.uint64(data[start + j]) << np.uint64(8 * j)
    return word


@_loop(types.uint64, _WORDS)
def lane(ids: Lanes, out: Any) -> None:
    """Write the lane of each row id."""
    for i in range(ids.size):
        x = ids[i] * _PHI + _ADD
        x = (x ^ (x >> np.uint64(32))) * _MUL
        out[i] = x ^ (x >> np.uint64(29))


@_loop(types.uint64, _array(types.int64), _array(types.uint8))
def text_lane(offsets: Any, data: Any, out: Any) -> None:
    """Write the lane of each UTF-8 string over the lane of its length."""
    for i in range(out.size):
        x, begin, stop = out[i], offsets[i], offsets[i + 1]
        tail = stop - (stop - begin) % 8
        for start in range(begin, tail, 8):
            x = _mixed(x + _word(data, start, 8))
        if tail < stop:
            x = _mixed(x + _word(data, tail, stop - tail))
        out[i] = x


@_loop(types.uint64, _WORDS, _WORD)
def bits(lanes: Lanes, k: np.uint64, out: Any) -> None:
    """Write 64 random bits per lane."""
    for i in range(lanes.size):
        out[i] = _mixed(lanes[i] ^ k)


@_loop(types.float64, _WORDS, _WORD, _WORD)
def uniform(lanes: Lanes, k: np.uint64, flip: np.uint64, out: Any) -> None:
    """Write uniforms in (0, 1)."""
    for i in range(lanes.size):
        x = _mixed(lanes[i] ^ k) ^ flip
        out[i] = np.uint64((x >> np.uint64(12)) | _ONE_F8).view(np.float64) - (1.0 - 2.0**-53)


@_loop(types.boolean, _WORDS, _WORD, _WORD, _WORD)
def below(lanes: Lanes, k: np.uint64, flip: np.uint64, limit: np.uint64, out: Any) -> None:
    """Write whether the bits are below a limit."""
    for i in range(lanes.size):
        out[i] = (_mixed(lanes[i] ^ k) ^ flip) < limit


@_loop(types.float64, _WORDS, _WORD, _WORD, _FLOATS, _FLOATS)
def normal(lanes: Lanes, k: np.uint64, flip: np.uint64, start: Any, slope: Any, out: Any) -> None:
    """Write standard normals; `slope * rest` is exact, so that no compiler can round it another way."""
    for i in range(lanes.size):
        x = _mixed(lanes[i] ^ k) ^ flip
        whole = np.int64((x >> np.uint64(10)) & _LOW53 | np.uint64(1))
        exact = np.float64(whole).view(np.uint64)
        at = (exact >> np.uint64(42)) - np.uint64(1023 << 10)
        size = np.float64(start[at] + slope[at] * np.float64(np.int64(exact & _FRACTION)))
        out[i] = np.uint64(x & _SIGN | size.view(np.uint64)).view(np.float64)

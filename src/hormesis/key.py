"""Randomness by address: every random number is a pure function of (seed, path of names, row id).

The scheme `hormesis.v1` has four layers, all integers until the last step: `key` (seed and names to 64 bits),
`lane` (row id to 64 bits), `bits` (one mix per value) and a distribution. No generator, no state, no libm:
equal bits on every machine, for any batch, order, subset or worker. The finaliser's constants are
Jon Maiga's mx3 (public domain). A change of constants or tables is a new scheme, never a silent one.
"""

import functools
import hashlib
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hormesis.errors import RowIdError

SCHEME = "hormesis.v1"
CHUNK = 16384

Lanes = NDArray[np.uint64]
_U = np.uint64
_PHI, _ADD, _MUL = _U(0x9E3779B97F4A7C15), _U(0xD1B54A32D192ED03), _U(0xD6E8FEB86659FD93)
_MIX, _SIGN, _LOW53 = _U(0xBEA225F9EB34556D), _U(1 << 63), _U((1 << 53) - 1)
_ONE_F8, _ALL = _U(0x3FF0000000000000), _U(0xFFFFFFFFFFFFFFFF)
_SH = [_U(k) for k in range(64)]


def key(seed: int, *path: str | int) -> int:
    """Return the 64-bit key of a seed and a path of names: typed, length-prefixed, order-sensitive.

    >>> f"{key(0, 'gaussian', 'age'):016x}"
    '2b72086da9bda626'
    """
    digest = hashlib.blake2b(digest_size=8, person=SCHEME.encode())
    for part in (int(seed), *path):
        word = b"i%d" % part if isinstance(part, int | np.integer) else b"s" + part.encode("utf-8")
        digest.update(len(word).to_bytes(4, "little") + word)
    return int.from_bytes(digest.digest(), "little")


class Engine:
    """Who draws: NumPy, and from some number of values on compiled loops with the same bits, where numba is installed.

    Importing numba and its loops takes as long as NumPy takes to draw `pays` values (`bench/fast.py`), so that waiting
    for these costs at most twice the time of the better choice.
    """

    def __init__(self, pays: float = 1 << 27) -> None:
        self.pays = pays
        self.drawn = 0

    def loops(self, size: int) -> ModuleType | None:
        """Count the values of a call; return the compiled loops if they are to draw them, None for NumPy."""
        self.drawn += size
        return _loops() if self.drawn >= self.pays else None


@functools.lru_cache(1)
def _loops() -> ModuleType | None:
    try:
        from hormesis import fast
    except ImportError:  # no numba, or one that does not go with this NumPy
        return None
    return fast


ENGINE = Engine()


def _xor_shift(x: Lanes, k: int, t: Lanes) -> None:
    np.right_shift(x, _SH[k], out=t)
    np.bitwise_xor(x, t, out=x)


def _mix(x: Lanes, t: Lanes) -> Lanes:
    for k in (32, 29, 32):
        _xor_shift(x, k, t)
        np.multiply(x, _MIX, out=x)
    _xor_shift(x, 29, t)
    return x


def lane(ids: ArrayLike) -> Lanes:
    """Return the 64-bit lane of each integer row id: keyless, so it is shared by every column and noise.

    >>> f"{int(lane([0])[0]):016x}"
    '3ba9a87a30442dfc'
    """
    numbers = np.ascontiguousarray(ids)
    if numbers.dtype.kind not in "iu":
        raise RowIdError(
            f"row ids are integers or strings, not {numbers.dtype}: they must name rows exactly."
        )
    words = numbers.view(_U) if numbers.dtype in (np.int64, np.uint64) else numbers.astype(np.int64).view(_U)
    out = np.empty_like(words)
    if loops := ENGINE.loops(words.size):
        loops.lane(words, out)
        return out
    spare = np.empty(min(CHUNK, words.size), _U)
    for a in range(0, words.size, CHUNK):
        x = out[a : a + CHUNK]
        t = spare[: x.size]
        np.multiply(words[a : a + CHUNK], _PHI, out=x)
        np.add(x, _ADD, out=x)
        _xor_shift(x, 32, t)
        np.multiply(x, _MUL, out=x)
        _xor_shift(x, 29, t)
    return out


def text_lane(offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> Lanes:
    """Return the lane of each UTF-8 string, given Arrow offsets (n + 1) and bytes.

    A string is its byte length and its little-endian 8-byte words, the last one padded with zeros.
    """
    start, length = offsets[:-1], np.diff(offsets)
    out = lane(length)
    if loops := ENGINE.loops(data.size // 8):
        loops.text_lane(np.ascontiguousarray(offsets), np.ascontiguousarray(data), out)
        return out
    padded = np.concatenate([data, np.zeros(8, np.uint8)])
    words = np.ndarray((padded.size - 7,), "<u8", padded, strides=(1,))
    rows = np.arange(length.size)
    for w in range(int(-(-length.max(initial=0) // 8))):
        rows = rows[length[rows] > 8 * w]
        left = np.minimum(length[rows] - 8 * w, 8).astype(_U)
        word = words[start[rows] + 8 * w] & (_ALL >> (_SH[63] + _SH[1] - left * _SH[8]))
        x = out[rows] + word
        out[rows] = _mix(x, np.empty_like(x))
    return out


def fold(parent: int, children: ArrayLike) -> Lanes:
    """Return child keys of a key for numbered axes (pixels, dimensions, draws)."""
    x = lane(np.atleast_1d(np.asarray(children))) + _U(parent)
    return _mix(x, np.empty_like(x))


def _mixed(lanes: Lanes, k: int, flip: np.uint64) -> Iterator[tuple[slice, Lanes, Lanes]]:
    size = min(CHUNK, lanes.size)
    buffer, spare = np.empty(size, _U), np.empty(size, _U)
    for a in range(0, lanes.size, CHUNK):
        part = lanes[a : a + CHUNK]
        x, t = buffer[: part.size], spare[: part.size]
        np.bitwise_xor(part, _U(k), out=x)
        _mix(x, t)
        if flip:
            np.bitwise_xor(x, flip, out=x)
        yield slice(a, a + part.size), x, t


def bits(lanes: Lanes, k: int) -> Lanes:
    """Return 64 random bits per lane under key `k`."""
    out = np.empty(lanes.size, _U)
    if loops := ENGINE.loops(lanes.size):
        loops.bits(np.ascontiguousarray(lanes), _U(k), out)
        return out
    for s, x, _ in _mixed(lanes, k, _U(0)):
        out[s] = x
    return out


def uniform(lanes: Lanes, k: int, *, mirror: bool = False) -> NDArray[np.float64]:
    """Return uniforms in (0, 1), never 0 nor 1; `mirror` returns exactly one minus them."""
    out, flip = np.empty(lanes.size), _ALL if mirror else _U(0)
    if loops := ENGINE.loops(lanes.size):
        loops.uniform(np.ascontiguousarray(lanes), _U(k), flip, out)
        return out
    for s, x, _ in _mixed(lanes, k, flip):
        np.right_shift(x, _SH[12], out=x)
        np.bitwise_or(x, _ONE_F8, out=x)
        np.subtract(x.view(np.float64), 1.0 - 2.0**-53, out=out[s])
    return out


def below(lanes: Lanes, k: int, p: float, *, mirror: bool = False) -> NDArray[np.bool_]:
    """Return ``uniform < p`` by an integer comparison."""
    if not 0 < p < 1:
        return np.full(lanes.size, p > 0)
    out, limit, flip = np.empty(lanes.size, np.bool_), _U(int(p * 2.0**64)), _ALL if mirror else _U(0)
    if loops := ENGINE.loops(lanes.size):
        loops.below(np.ascontiguousarray(lanes), _U(k), flip, limit, out)
        return out
    for s, x, _ in _mixed(lanes, k, flip):
        np.less(x, limit, out=out[s])
    return out


def integers(lanes: Lanes, k: int, n: int, *, mirror: bool = False) -> NDArray[np.int64]:
    """Return integers from 0 to n - 1, with a bias below n * 2**-52."""
    return np.minimum((uniform(lanes, k, mirror=mirror) * n).astype(np.int64), n - 1)


@functools.lru_cache(1)
def _normal_table() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    quantile = statistics.NormalDist().inv_cdf
    z = np.array([[-quantile((1 + i / 1024) * 2.0 ** (e - 54)) for i in range(1025)] for e in range(53)])
    z = np.round(z * 2.0**27) / 2.0**27
    return z[:, :-1].ravel().copy(), (z[:, 1:] - z[:, :-1]).ravel() * 2.0**-42


def normal(lanes: Lanes, k: int, *, mirror: bool = False) -> NDArray[np.float64]:
    """Return standard normals: the inverse CDF, piecewise linear on 53 octaves of the tail; `mirror` negates."""
    start, slope = _normal_table()
    out, flip = np.empty(lanes.size), _SIGN if mirror else _U(0)
    if loops := ENGINE.loops(lanes.size):
        loops.normal(np.ascontiguousarray(lanes), _U(k), flip, start, slope, out)
        return out
    floats, index = np.empty(min(CHUNK, lanes.size), _U), np.empty(min(CHUNK, lanes.size), np.int64)
    for s, x, t in _mixed(lanes, k, flip):
        f, i = floats[: x.size].view(np.float64), index[: x.size]
        np.right_shift(x, _SH[10], out=t)
        np.bitwise_and(t, _LOW53, out=t)
        np.bitwise_or(t, _SH[1], out=t)
        np.copyto(f, t.view(np.int64), casting="unsafe")
        exact = f.view(np.int64)
        np.right_shift(exact, 42, out=i)
        np.subtract(i, 1023 << 10, out=i)
        np.bitwise_and(exact, ((1 << 42) - 1) & ~0xFFFF, out=exact)
        d = t.view(np.float64)
        np.copyto(d, exact, casting="unsafe")
        np.take(slope, i, out=f, mode="clip")
        np.multiply(f, d, out=f)
        np.take(start, i, out=d, mode="clip")
        np.add(f, d, out=f)
        np.bitwise_and(x, _SIGN, out=x)
        np.bitwise_or(x, f.view(_U), out=out[s].view(_U))
    return out


@dataclass(frozen=True)
class Draw:
    """Random numbers for some rows at one address: walk by name, draw by purpose.

    Two purposes of one address are independent; one purpose drawn twice is the same number. With `mirror`
    every uniform u becomes 1 - u and every normal z becomes -z: the second half of an antithetic pair.

    >>> rows = Draw(lane(np.arange(4)), seed=0).within("gaussian", "age")
    >>> rows.normal("z").shape, rows.at([2]).normal("z")[0] == rows.normal("z")[2]
    ((4,), np.True_)
    """

    lanes: Lanes
    seed: int
    path: tuple[str | int, ...] = ()
    mirror: bool = False
    ids: NDArray[np.int64] | None = None  # row ids, where they are whole numbers
    origin: NDArray[np.intp] | None = None  # where each row was at first; None while no row came or went

    def within(self, *names: str | int) -> "Draw":
        """Return the same rows at an address further down."""
        return replace(self, path=(*self.path, *names))

    def at(self, rows: ArrayLike) -> "Draw":
        """Return the same address for some of the rows (positions or a mask)."""
        some = np.asarray(rows)
        ids, origin = (None if x is None else x[some] for x in (self.ids, self.origin))
        return replace(self, lanes=self.lanes[some], ids=ids, origin=origin)

    def taken(self, rows: NDArray[np.intp], copy: NDArray[np.int64]) -> "Draw":
        """Return the draw of a table made of these rows; copies (number above 0) get randomness of their own."""
        start = np.arange(self.lanes.size) if self.origin is None else self.origin
        out = replace(self.at(rows), origin=start[rows])
        for number in range(1, int(copy.max(initial=0)) + 1):
            some = copy == number
            out.lanes[some] = bits(out.lanes[some], key(0, *self.path, "copy", number))
        return out

    def bursts(self, length: int, purpose: str) -> "Draw":
        """Return the draw in which runs of `length` consecutive row ids are one; where runs begin is random.

        Raises
        ------
        RowIdError
            Row ids are strings, which have no neighbours.
        """
        if self.ids is None:
            raise RowIdError(
                "Bursts are runs of consecutive rows, and row ids that are text have no order: "
                "use a row id column of whole numbers, or positions."
            )
        phase = integers(lane([0]), key(self.seed, *self.path, purpose), length)
        return replace(self, lanes=lane((self.ids + phase) // length))

    def uniform(self, purpose: str) -> NDArray[np.float64]:
        """Draw one uniform in (0, 1) per row."""
        return uniform(self.lanes, key(self.seed, *self.path, purpose), mirror=self.mirror)

    def below(self, p: float | NDArray[np.float64], purpose: str) -> NDArray[np.bool_]:
        """Draw ``uniform < p`` per row, for one p or one per row: a larger p hits a superset of rows."""
        if isinstance(p, np.ndarray):
            return self.uniform(purpose) < p
        return below(self.lanes, key(self.seed, *self.path, purpose), p, mirror=self.mirror)

    def normal(self, purpose: str) -> NDArray[np.float64]:
        """Draw one standard normal per row."""
        return normal(self.lanes, key(self.seed, *self.path, purpose), mirror=self.mirror)

    def integers(self, n: int, purpose: str) -> NDArray[np.int64]:
        """Draw one integer from 0 to n - 1 per row."""
        return integers(self.lanes, key(self.seed, *self.path, purpose), n, mirror=self.mirror)

    def coin(self, purpose: str) -> float:
        """Draw one uniform that all rows of this address share."""
        return float(uniform(lane([0]), key(self.seed, *self.path, purpose), mirror=self.mirror)[0])

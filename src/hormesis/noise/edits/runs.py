"""Many strings as one run of characters, edited in many places at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.key import CHUNK, Draw, Lanes, bits, key, lane

Strings = NDArray[Any]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Splices:
    """Edits in ascending order: string `owner` loses `removed` characters at `at` and gets `count` of `typed` there."""

    owner: Ints
    at: Ints
    removed: Ints
    typed: Ints
    count: Ints

    def at_rows(self, rows: Mask) -> "Splices":
        """Return some of the edits."""
        return Splices(
            self.owner[rows], self.at[rows], self.removed[rows], self.typed[rows], self.count[rows]
        )


@dataclass(frozen=True)
class Run:
    """The code points of many strings, each string followed by a line feed."""

    codes: NDArray[np.uint32]
    length: Ints
    begin: Ints

    @classmethod
    def of(cls, strings: Strings) -> "Run":
        """Read strings; any string has a run: empty ones, line feeds and lone surrogates too."""
        words = strings.tolist()
        length = np.fromiter(map(len, words), np.int64, len(words))
        text = "\n".join([*words, ""]).encode("utf-32-le", "surrogatepass")
        return cls(np.frombuffer(text, np.uint32), length, np.cumsum(length + 1) - length - 1)

    @property
    def end(self) -> Ints:
        """Where each string's line feed is."""
        return self.begin + self.length

    def spliced(self, edits: Splices) -> Strings:
        """Return the strings after edits that do not overlap."""
        copies: Ints = np.ones(self.codes.size, np.int64 if edits.typed.shape[1] > 100 else np.int8)
        copies[_spans(edits.at, edits.removed)] = 0
        copies[edits.at] += edits.count
        new = np.repeat(self.codes, copies)
        grown = edits.count - edits.removed
        place = edits.at + np.cumsum(grown) - grown
        for j in range(edits.typed.shape[1]):
            has = edits.count > j
            new[place[has] + j] = edits.typed[has, j]
        return cut(new, self.length + np.bincount(edits.owner, grown, self.length.size).astype(np.int64))


def _spans(at: Ints, size: Ints) -> Ints:
    """Return the places ``at, at + 1, ...``, `size` of them for each."""
    if size.max(initial=0) <= 1:
        return at[size > 0]
    first = np.cumsum(size) - size
    return np.repeat(at - first, size) + np.arange(int(size.sum()))


def cut(codes: NDArray[np.uint32], length: Ints) -> Strings:
    """Return the strings of a run of characters, each followed by a line feed."""
    text = codes.tobytes().decode("utf-32-le", "surrogatepass")
    lines = text.split("\n")[:-1]
    if len(lines) > length.size:
        stop = np.cumsum(length + 1) - 1
        lines = [text[a:b] for a, b in zip((stop - length).tolist(), stop.tolist(), strict=True)]
    return np.fromiter(lines, object, len(lines))


def by_chunks(edit: Callable[[Strings, Draw], Strings], strings: Strings, draw: Draw) -> Strings:
    """Edit some thousand strings at a time, which keeps runs in the processor's cache."""
    out = np.empty(strings.size, object)
    for a in range(0, strings.size, CHUNK):
        rows = slice(a, a + CHUNK)
        out[rows] = edit(strings[rows], _drawn_by(draw.lanes[rows], draw))
    return out


def _drawn_by(lanes: Lanes, draw: Draw) -> Draw:
    """Return the draw at the same address for other lanes, which are no rows of a table any more."""
    return Draw(lanes, draw.seed, draw.path, draw.mirror)


@dataclass(frozen=True)
class Stretches:
    """Places ``start`` to ``stop - 1`` of string `owner`, one edit each, with the randomness of each edit."""

    owner: Ints
    start: Ints
    stop: Ints
    draw: Draw


def stretches(places: Ints, length: Ints, rate: float, draw: Draw) -> Stretches:
    """Divide the places of each string into equal stretches, ``rate * length`` of them (rounded at random, at least 1)."""
    count = np.ones_like(length)
    if rate:
        wanted = (rate * length + draw.uniform("edits")).astype(np.int64)
        count = np.clip(wanted, 1, np.maximum(places, 1))
    owner = np.repeat(np.arange(length.size), count)
    if owner.size == length.size:
        return Stretches(owner, np.zeros_like(places), places, draw)
    number = np.arange(owner.size) - np.repeat(np.cumsum(count) - count, count)
    start, stop = ((number + k) * places[owner] // count[owner] for k in (0, 1))
    further = bits(draw.lanes, key(draw.seed, *draw.path, "further"))[owner] + lane(number)
    lanes = np.where(number == 0, draw.lanes[owner], further)
    return Stretches(owner, start, stop, _drawn_by(lanes, draw))


def pick(u: NDArray[np.float64], n: Ints) -> Ints:
    """Return a number from 0 to n - 1 (0 where n is 0) for each uniform."""
    return np.minimum((u * n).astype(np.int64), np.maximum(n - 1, 0))


def choose(possible: Mask, draw: Draw) -> Ints:
    """Return one of the possible options (columns) of each row, each alike; -1 where there is none."""
    n = possible.sum(axis=1)
    order = np.argsort(~possible, axis=1, kind="stable")
    chosen = order[np.arange(n.size), pick(draw.uniform("kind"), n)]
    chosen[n == 0] = -1
    return chosen

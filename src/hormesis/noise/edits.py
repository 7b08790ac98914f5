"""Single-character edits of many strings at once, as people at keyboards make them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.key import Draw

# Shares of insertion, deletion, substitution and transposition, and of substitutions that hit an adjacent key,
# among one-edit misspellings of fast typists (63,570 corrections collected by the codespell project).
MIX = (0.27, 0.35, 0.20, 0.18)
ADJACENT = 0.31
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _neighbours() -> NDArray[np.int64]:
    """Return eight neighbours of each letter on a staggered QWERTY keyboard, repeated cyclically."""
    rows = [("qwertyuiop", 0.0, 0), ("asdfghjkl", 0.25, 1), ("zxcvbnm", 0.75, 2)]
    at = {c: (i + shift, y) for row, shift, y in rows for i, c in enumerate(row)}
    table = np.empty((26, 8), np.int64)
    for c in _LETTERS:
        x, y = at[c]
        near = [d for d, (u, v) in at.items() if d != c and abs(u - x) <= 1 and abs(v - y) <= 1]
        table[ord(c) - 97] = [ord(near[k % len(near)]) for k in range(8)]
    return table


_NEAR = _neighbours()


def misspell(strings: NDArray[Any], draw: Draw) -> NDArray[Any]:
    """Return every string with one edit that really changes it.

    >>> from hormesis.key import Draw, lane
    >>> misspell(np.array(["Zurich", "Bern"], object), Draw(lane([0, 1]), seed=3))
    array(['Zuricm', 'Bsern'], dtype=object)
    """
    words = strings.tolist()
    length = np.fromiter(map(len, words), np.int64, len(words))
    text = "\n".join([*words, ""]).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(text, np.uint32).copy()
    begin = np.cumsum(length + 1) - length - 1
    at = np.minimum((draw.uniform("position") * length).astype(np.int64), np.maximum(length - 1, 0))
    old = np.where(length > 0, codes[begin + at], ord("a")).astype(np.int64)
    following = np.where(at + 1 < length, codes[begin + at + (length > 0)], old)
    kind = np.searchsorted(np.cumsum(MIX)[:3], draw.uniform("edit"), side="right")
    kind[(kind == 3) & (old == following)] = 2
    kind[(kind == 1) & (length < 2)] = 2
    kind[length == 0] = 0
    typed = np.where(kind == 0, _letter_like(old, draw), _substitute(old, draw))
    edited = _edit(codes, begin + at, kind, typed)
    return _cut(edited, length + np.array([1, -1, 0, 0])[kind])


def _edit(
    codes: NDArray[np.uint32], at: NDArray[np.int64], kind: NDArray[np.int64], typed: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Return a run of characters with one edit at each of the places `at`."""
    swap = at[kind == 3]
    codes[swap], codes[swap + 1] = codes[swap + 1], codes[swap]
    codes[at[kind == 2]] = typed[kind == 2]
    copies = np.ones(codes.size, np.int8)
    copies[at[kind == 1]], copies[at[kind == 0]] = 0, 2
    new = np.repeat(codes, copies)
    shift = np.cumsum((kind == 0).astype(np.int64) - (kind == 1))
    new[(at + shift - 1)[kind == 0]] = typed[kind == 0]
    return new


def _cut(codes: NDArray[np.uint32], length: NDArray[np.int64]) -> NDArray[Any]:
    """Return the strings of a run of characters, each followed by a line feed."""
    text = codes.tobytes().decode("utf-32-le", "surrogatepass")
    lines = text.split("\n")[:-1]
    if len(lines) > length.size:
        stop = np.cumsum(length + 1) - 1
        lines = [text[a:b] for a, b in zip((stop - length).tolist(), stop.tolist(), strict=True)]
    return np.fromiter(lines, object, len(lines))


def _letter_like(old: NDArray[np.int64], draw: Draw) -> NDArray[np.int64]:
    """Return any letter in the case of the old one, any digit for a digit."""
    letter = draw.integers(26, "letter") + 97
    letter = np.where((old >= 65) & (old <= 90), letter - 32, letter)
    return np.where(_digit(old), draw.integers(10, "digit") + 48, letter)


def _substitute(old: NDArray[np.int64], draw: Draw) -> NDArray[np.int64]:
    """Return another character: an adjacent key or any other letter in the same case; digits for digits."""
    upper, lower = (old >= 65) & (old <= 90), (old >= 97) & (old <= 122)
    index = np.where(upper, old - 65, np.where(lower, old - 97, 0))
    near = _NEAR[index, draw.integers(8, "neighbour")] - 97
    other = (index + 1 + draw.integers(25, "letter")) % 26
    letter = np.where(draw.below(ADJACENT, "adjacent"), near, other) + np.where(upper, 65, 97)
    digit = (old - 48 + 1 + draw.integers(9, "digit")) % 10 + 48
    return np.where(_digit(old), digit, letter)


def _digit(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (codes >= 48) & (codes <= 57)

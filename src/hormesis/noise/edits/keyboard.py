"""Misspellings: insertions, deletions, substitutions and transpositions, as people at keyboards make them."""

from dataclasses import dataclass

import numpy as np

from hormesis.key import Draw
from hormesis.noise.edits.runs import Ints, Mask, Run, Splices, Stretches, Strings, by_chunks, pick, stretches

INSERTION, DELETION, SUBSTITUTION, TRANSPOSITION = range(4)


@dataclass(frozen=True)
class Mix:
    """How misspellings come about.

    `shares` of insertions, deletions, substitutions and transpositions; the share of edits at the `first` letter
    (None: like any other); `adjacent`, `vowel`: substitutions meant for an adjacent key, for another vowel;
    `doubled`, `undoubled`: insertions meant to double a letter, deletions meant to undo a double. What is meant
    adds to what happens by chance: the numbers are set so that both together have the measured shares on English words.
    """

    shares: tuple[float, float, float, float]
    first: float | None
    adjacent: float
    vowel: float
    doubled: float
    undoubled: float


MIXES = {
    "fast_typist": Mix((0.27, 0.35, 0.20, 0.18), 0.029, 0.165, 0.44, 0.155, 0.60),
    "weak_speller": Mix((0.22, 0.35, 0.37, 0.06), 0.128, 0.0, 0.55, 0.19, 0.70),
    "phone": Mix((0.15, 0.20, 0.60, 0.05), None, 0.80, 0.0, 0.3, 0.0),
    "scanner": Mix((0.15, 0.35, 0.50, 0.0), None, 0.0, 0.0, 0.0, 0.0),
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOWELS = np.array([ord(c) for c in "aeiou"])


def _neighbours() -> Ints:
    """Return neighbours of each letter on a staggered QWERTY keyboard, repeated cyclically to be alike in number."""
    rows = [("qwertyuiop", 0.0, 0), ("asdfghjkl", 0.25, 1), ("zxcvbnm", 0.75, 2)]
    at = {c: (i + shift, y) for row, shift, y in rows for i, c in enumerate(row)}
    table = np.empty((26, 60), np.int64)
    for c in _LETTERS:
        x, y = at[c]
        near = [d for d, (u, v) in at.items() if d != c and abs(u - x) <= 1 and abs(v - y) <= 1]
        table[ord(c) - 97] = [ord(near[k % len(near)]) for k in range(60)]
    return table


def _vowel_places() -> Ints:
    """Return the position of each ASCII character among the vowels, -1 for others; the last entry is for all others."""
    table = np.full(129, -1)
    table[_VOWELS] = table[_VOWELS - 32] = np.arange(5)
    return table


_NEAR = _neighbours()
_VOWEL = _vowel_places()
_IS_VOWEL = _VOWEL >= 0


def misspell(strings: Strings, draw: Draw, mix: str = "fast_typist", rate: float = 0.0) -> Strings:
    """Return every string misspelled: one edit, or ``rate * length`` of them; each string really changes.

    >>> from hormesis.key import Draw, lane
    >>> misspell(np.array(["Zurich", "Bern"], object), Draw(lane([0, 1]), seed=3))
    array(['Zurihc', 'Besrn'], dtype=object)
    """
    return by_chunks(lambda some, here: _misspell(some, here, MIXES[mix], rate), strings, draw)


def _misspell(strings: Strings, draw: Draw, mix: Mix, rate: float) -> Strings:
    run = Run.of(strings)
    where = stretches(run.length, run.length, rate, draw)
    out = run.spliced(_strike(run, where, mix))
    if where.owner.size > strings.size:  # several edits may undo each other, or leave nothing
        undone = (out == strings) | (out == "")
        out[undone] = _misspell(strings[undone], draw.at(undone), mix, 0.0)
    return out


def _strike(run: Run, where: Stretches, mix: Mix) -> Splices:
    """Draw one edit in each stretch: its kind, its place, then what is typed."""
    begin, size = run.begin[where.owner], where.stop - where.start
    kind = np.searchsorted(np.cumsum(mix.shares)[:3], where.draw.uniform("edit"), side="right")
    kind[(kind == DELETION) & (run.length[where.owner] < 2)] = SUBSTITUTION
    kind[(kind == TRANSPOSITION) & (size < 2)] = SUBSTITUTION
    kind[size == 0] = INSERTION
    last = where.stop == run.length[where.owner]
    places = size + ((kind == INSERTION) & last) - (kind == TRANSPOSITION)
    at = begin + where.start + _place(places, where, mix.first)
    _aim(run, where, mix, kind, at)
    old = run.codes[at].astype(np.int64)
    swap = kind == TRANSPOSITION
    following = run.codes[at[swap] + 1]
    kind[swap] = np.where(following == old[swap], SUBSTITUTION, TRANSPOSITION)
    return _typed(run, where, mix, kind, at)


def _place(places: Ints, where: Stretches, first: float | None) -> Ints:
    """Return where in its stretch an edit goes: at the first letter with probability `first`, elsewhere alike."""
    u = where.draw.uniform("position")
    if first is None:
        return pick(u, places)
    later = 1 + pick((u - first) / (1 - first), places - 1)
    at = np.where(u < first, 0, later)
    return np.where(where.start > 0, pick(u, places), np.where(places < 2, 0, at))


def _aim(run: Run, where: Stretches, mix: Mix, kind: Ints, at: Ints) -> None:
    """Move some deletions to a doubled letter and some substitutions to a vowel, where their stretch has one."""
    if mix.undoubled:
        rows = np.flatnonzero(kind == DELETION)
        rows = rows[where.draw.at(rows).below(mix.undoubled, "undouble")]
        doubled = np.flatnonzero(run.codes[1:] == run.codes[:-1]) + 1
        _move(run, where, at, rows, doubled, 1)
    if mix.vowel:
        rows = np.flatnonzero(kind == SUBSTITUTION)
        rows = rows[where.draw.at(rows).below(mix.vowel, "vowel")]
        _move(run, where, at, rows, np.flatnonzero(_IS_VOWEL[np.minimum(run.codes, 128)]), 0)


def _move(run: Run, where: Stretches, at: Ints, rows: Ints, places: Ints, skip: int) -> None:
    """Move the edits of `rows` to one of the places in their stretch, the first letter excepted."""
    begin = run.begin[where.owner[rows]] + where.start[rows]
    low = np.searchsorted(places, begin + np.maximum(skip, where.start[rows] == 0))
    high = np.searchsorted(places, begin + (where.stop - where.start)[rows])
    found = high > low
    rows, low, high = rows[found], low[found], high[found]
    at[rows] = places[low + pick(where.draw.at(rows).uniform("aim"), high - low)]


def _typed(run: Run, where: Stretches, mix: Mix, kind: Ints, at: Ints) -> Splices:
    """Return the edits with the characters that take the place of the old ones."""
    typed = np.zeros((at.size, 2), np.int64)
    swap, new, sub = (np.flatnonzero(kind == k) for k in (TRANSPOSITION, INSERTION, SUBSTITUTION))
    typed[swap, 0], typed[swap, 1] = run.codes[at[swap] + 1], run.codes[at[swap]]
    typed[sub, 0] = _substitute(run.codes[at[sub]].astype(np.int64), where.draw.at(sub), mix)
    own = np.maximum(at[new] - 1, run.begin[where.owner[new]])
    typed[new, 0] = _insert(run.codes[own].astype(np.int64), where.draw.at(new), mix)
    return Splices(where.owner, at, np.array([0, 1, 1, 2])[kind], typed, np.array([1, 0, 1, 2])[kind])


def _insert(near: Ints, draw: Draw, mix: Mix) -> Ints:
    """Return the neighbour again, or any letter in its case; digits by digits, other scripts by other scripts."""
    letter = draw.integers(26, "letter") + np.where(_upper(near), 65, 97)
    letter = np.where(_digit(near), draw.integers(10, "digit") + 48, letter)
    letter = np.where(near > 127, _related(near, draw.integers(16, "related")), letter)
    double = draw.below(mix.doubled, "double") & (near != 10)
    return np.where(double, near, letter)


def _substitute(old: Ints, draw: Draw, mix: Mix) -> Ints:
    """Return another character: a vowel for a vowel, an adjacent key, or any other of its kind."""
    upper, lower = _upper(old), (old >= 97) & (old <= 122)
    index = np.where(upper, old - 65, np.where(lower, old - 97, 0))
    letter = (index + 1 + draw.integers(25, "letter")) % 26
    if mix.adjacent:
        adjacent = draw.below(mix.adjacent / (1 - mix.vowel), "adjacent")
        letter = np.where(adjacent, _NEAR[index, draw.integers(60, "neighbour")] - 97, letter)
    if mix.vowel:
        vowel = _VOWEL[np.minimum(old, 128)]
        other = _VOWELS[(vowel + 1 + draw.integers(4, "other vowel")) % 5] - 97
        letter = np.where(draw.below(mix.vowel, "vowel") & (vowel >= 0), other, letter)
    letter += np.where(upper, 65, 97)
    digit = (old - 48 + 1 + draw.integers(9, "digit")) % 10 + 48
    letter = np.where(_digit(old), digit, letter)
    return np.where(old > 127, _related(old, 1 + draw.integers(15, "related")), letter)


def _related(codes: Ints, step: Ints) -> Ints:
    """Return characters of the same 16 code points: mostly letters of the same script and case."""
    return np.asarray((codes & ~15) | ((codes + step) & 15))


def _upper(codes: Ints) -> Mask:
    return np.asarray((codes >= 65) & (codes <= 90))


def _digit(codes: Ints) -> Mask:
    return np.asarray((codes >= 48) & (codes <= 57))

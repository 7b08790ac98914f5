"""Pieces of one or two characters replaced by others that look like them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hormesis.key import Draw
from hormesis.noise.edits.runs import Ints, Run, Splices, Strings, by_chunks, pick, stretches


@dataclass(frozen=True)
class Pieces:
    """What each piece of text may turn into: pieces of one or two characters, replacements of any length."""

    single: Ints  # piece of each code point, the last entry for all beyond
    pair: Ints  # piece of each two ASCII characters
    size: Ints
    options: Ints
    typed: Ints  # (all replacements of all pieces, characters)
    count: Ints

    @classmethod
    def of(cls, table: Mapping[str, tuple[str, ...]]) -> "Pieces":
        """Prepare a table of pieces and what may become of each."""
        single = np.full(2 + max(ord(p) for p in table if len(p) == 1), -1)
        pair = np.full((129, 129), -1)
        for i, piece in enumerate(table):
            if len(piece) == 1:
                single[ord(piece)] = i
            else:
                pair[ord(piece[0]), ord(piece[1])] = i
        new = [t for targets in table.values() for t in targets]
        typed = np.zeros((len(new), max(map(len, new))), np.int64)
        for row, target in zip(typed, new, strict=True):
            row[: len(target)] = [ord(c) for c in target]
        size, options = np.array([[len(p), len(t)] for p, t in table.items()]).T
        return cls(single, pair, size, options, typed, np.array([len(t) for t in new]))

    def find(self, codes: NDArray[np.uint32]) -> tuple[Ints, Ints]:
        """Return where pieces are, in ascending order, and which ones."""
        one = self.single[np.minimum(codes, self.single.size - 1)]
        at = np.flatnonzero(one >= 0)
        if self.size.max() == 1:
            return at, one[at]
        opens = np.asarray((self.pair >= 0).any(axis=1))
        start = np.flatnonzero(opens[np.minimum(codes[:-1], 128)])
        two = self.pair[np.minimum(codes[start], 128), np.minimum(codes[start + 1], 128)]
        found, two = start[two >= 0], two[two >= 0]
        both = np.concatenate([at, found])
        order = np.argsort(both, kind="stable")
        return both[order], np.concatenate([one[at], two])[order]


def confuse(strings: Strings, draw: Draw, pieces: Pieces, rate: float = 0.0) -> Strings:
    """Replace one piece of each string, or ``rate * length`` of them; a string without any stays."""
    return by_chunks(lambda some, here: _confuse(some, here, pieces, rate), strings, draw)


def _confuse(strings: Strings, draw: Draw, pieces: Pieces, rate: float) -> Strings:
    run = Run.of(strings)
    at, piece = pieces.find(run.codes)
    low, high = np.searchsorted(at, run.begin), np.searchsorted(at, run.end)
    where = stretches(high - low, run.length, rate, draw)
    has = where.stop > where.start
    owner, start, stop = where.owner[has], where.start[has], where.stop[has]
    here = where.draw.at(has)
    chosen = low[owner] + start + pick(here.uniform("place"), stop - start)
    edits = _splices(pieces, owner, at[chosen], piece[chosen], here)
    out = run.spliced(edits)
    if where.owner.size > strings.size:  # several edits may undo each other
        undone = (out == strings) & (high > low)
        out[undone] = _confuse(strings[undone], draw.at(undone), pieces, 0.0)
    return out


def _splices(pieces: Pieces, owner: Ints, at: Ints, piece: Ints, draw: Draw) -> Splices:
    """Return what becomes of pieces; of two that overlap the first."""
    option = pick(draw.uniform("option"), pieces.options[piece])
    row = (np.cumsum(pieces.options) - pieces.options)[piece] + option
    edits = Splices(owner, at, pieces.size[piece], pieces.typed[row], pieces.count[row])
    free = np.append(True, at[1:] >= at[:-1] + edits.removed[:-1])[: at.size]
    return edits if free.all() else edits.at_rows(free)

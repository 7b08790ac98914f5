"""Misspellings as somebody recorded them, word by word."""

import re
from collections.abc import Mapping

import numpy as np

from hormesis.key import Draw
from hormesis.noise.edits.runs import Ints, Mask, Run, Splices, Strings, cut, pick, stretches

Dictionary = Mapping[str, tuple[str, ...]]
# Words end at white space and punctuation, but not at hyphens and apostrophes.
_ENDS = np.array(
    [bool(re.match(r"[\s!\"#$%&()*+,./:;<=>?@\[\\\]^_`{|}~]", chr(c))) for c in range(128)] + [False]
)


class Recorded:
    """A dictionary of recorded misspellings, for words in the case in which it has them, Capitalised and in CAPITALS."""

    def __init__(self, misspellings: Dictionary) -> None:
        known: dict[str, tuple[str, ...]] = {}
        for form in (str, str.capitalize, str.upper):
            for word, wrong in misspellings.items():
                new = tuple(w for w in map(form, wrong) if w != form(word))
                if new:
                    known.setdefault(form(word), new)
        self.index = {word: i for i, word in enumerate(known)}
        self.options = np.array([len(wrong) for wrong in known.values()], np.int64)
        self.first = np.cumsum(self.options) - self.options
        self.wrong = np.array([w for wrong in known.values() for w in wrong], object)

    def find(self, words: list[str]) -> Ints:
        """Return the number of each word in the dictionary, -1 where it is not there."""
        return np.fromiter((self.index.get(w, -1) for w in words), np.int64, len(words))

    def draw(self, known: Ints, draw: Draw) -> Strings:
        """Return one of the recorded misspellings of each word, each alike."""
        wrong: Strings = self.wrong[self.first[known] + pick(draw.uniform("recorded"), self.options[known])]
        return wrong


def misremember(strings: Strings, draw: Draw, recorded: Recorded, rate: float = 0.0) -> tuple[Strings, Mask]:
    """Replace known cells, else one known word of each (or ``rate * length`` words); also tell which were known."""
    out, whole = strings.copy(), recorded.find(strings.tolist())
    rows = np.flatnonzero(whole >= 0)
    out[rows] = recorded.draw(whole[rows], draw.at(rows))
    rest = np.flatnonzero(whole < 0)
    out[rest], some = _words(strings[rest], draw.at(rest), recorded, rate)
    known = whole >= 0
    known[rest] = some
    return out, known


def _words(strings: Strings, draw: Draw, recorded: Recorded, rate: float) -> tuple[Strings, Mask]:
    """Replace words within strings; a string in which no word is known stays."""
    run = Run.of(strings)
    at, size, word = _known_words(run, recorded)
    low, high = np.searchsorted(at, run.begin), np.searchsorted(at, run.end)
    where = stretches(high - low, run.length, rate, draw)
    has = where.stop > where.start
    here = where.draw.at(has)
    chosen = (low[where.owner] + where.start + pick(where.draw.uniform("word"), where.stop - where.start))[
        has
    ]
    typed = Run.of(recorded.draw(word[chosen], here))
    table = np.zeros((chosen.size, int(typed.length.max(initial=1))), np.int64)
    inside = np.arange(table.shape[1]) < typed.length[:, None]
    table[inside] = np.delete(typed.codes, typed.end)
    edits = Splices(where.owner[has], at[chosen], size[chosen], table, typed.length)
    return run.spliced(edits), high > low


def _known_words(run: Run, recorded: Recorded) -> tuple[Ints, Ints, Ints]:
    """Return where the known words are, how long they are, and which."""
    stop = np.flatnonzero(_ENDS[np.minimum(run.codes, 128)])
    start = np.append(0, stop[:-1] + 1)[: stop.size]
    codes = run.codes.copy()
    codes[stop] = 10
    word = recorded.find(cut(codes, stop - start).tolist())
    known = (word >= 0) & (stop > start)
    return start[known], (stop - start)[known], word[known]

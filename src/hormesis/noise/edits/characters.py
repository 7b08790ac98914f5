"""Case, white space, length and encoding of strings, as forms, exports and imports damage them."""

from collections.abc import Callable

import numpy as np

from hormesis.key import Draw
from hormesis.noise.edits.runs import Ints, Run, Splices, Strings, by_chunks, choose, cut, pick

CASES: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "swapped": str.swapcase,
}
# What is written, and whether it takes the place of a space inside the string.
SPACES = {
    "leading": (" ", False),
    "trailing": (" ", False),
    "doubled": ("  ", True),
    "lost": ("", True),
    "nonbreaking": ("\u00a0", True),
    "tab": ("\t", True),
}
_REPLACEMENT = 0xFFFD


def _cp1252() -> Ints:
    """Return the characters of Windows-1252, control characters where it has none, as browsers read it."""
    table = np.arange(256)
    for byte in range(128, 160):
        text = bytes([byte]).decode("cp1252", "ignore")
        table[byte] = ord(text) if text else byte
    return table


_MISREAD = {"cp1252": _cp1252(), "latin-1": np.arange(256)}
_LOST = {"question": ord("?"), "replacement": _REPLACEMENT}


def recase(strings: Strings, draw: Draw, cases: tuple[str, ...]) -> Strings:
    """Write every string in one of the cases that change it; a string that none changes stays."""
    words = strings.tolist()
    number = {word: i for i, word in enumerate(dict.fromkeys(words))}
    known = np.fromiter(number, object, len(number))
    forms = np.empty((len(number), len(cases)), object)
    for j, case in enumerate(cases):
        forms[:, j] = np.fromiter(map(CASES[case], number), object, len(number))
    own = np.fromiter(map(number.__getitem__, words), np.int64, len(words))
    chosen = choose((forms != known[:, None])[own], draw)
    return np.where(chosen < 0, strings, forms[own, chosen])


def respace(strings: Strings, draw: Draw, kinds: tuple[str, ...]) -> Strings:
    """Damage the white space of every string in one of the ways it allows; a string that allows none stays."""
    return by_chunks(lambda some, here: _respace(some, here, kinds), strings, draw)


def _respace(strings: Strings, draw: Draw, kinds: tuple[str, ...]) -> Strings:
    run = Run.of(strings)
    inner = np.flatnonzero(run.codes == ord(" "))
    low, high = np.searchsorted(inner, run.begin + 1), np.searchsorted(inner, run.end - 1)
    within = np.array([SPACES[k][1] for k in kinds])
    kind = choose((high > low)[:, None] | ~within, draw)
    rows = np.flatnonzero(kind >= 0)
    kind = kind[rows]
    at = np.where([k == "leading" for k in kinds], run.begin[rows, None], run.end[rows, None])
    at = at[np.arange(rows.size), kind]
    space = within[kind]
    own = rows[space]
    at[space] = inner[low[own] + pick(draw.at(own).uniform("space"), (high - low)[own])]
    typed = np.array([[ord(c) for c in SPACES[k][0].ljust(2, "\0")] for k in kinds])
    count = np.array([len(SPACES[k][0]) for k in kinds])
    return run.spliced(Splices(rows, at, space.astype(np.int64), typed[kind], count[kind]))


def truncate(strings: Strings, draw: Draw, width: int | None) -> Strings:
    """Cut every string to `width` characters, or at a random place; shorter strings stay, and so do single characters."""
    words = strings.tolist()
    if width is None:
        length = np.fromiter(map(len, words), np.int64, len(words))
        keep = (1 + pick(draw.uniform("keep"), length - 1)).tolist()
        return np.fromiter((w[:k] for w, k in zip(words, keep, strict=True)), object, len(words))
    return np.fromiter((w[:width] for w in words), object, len(words))


def misread(strings: Strings, draw: Draw, kinds: tuple[str, ...]) -> Strings:
    """Read every string's bytes wrongly, or lose all but its ASCII characters; a string of ASCII stays."""
    out = strings.copy()
    rows = np.flatnonzero(~np.fromiter(map(str.isascii, strings.tolist()), bool, strings.size))
    run = Run.of(strings[rows])
    owner = np.repeat(np.arange(rows.size), run.length + 1)
    losable = np.bincount(owner, (run.codes > 127) & (run.codes != _REPLACEMENT), rows.size) > 0
    kind = choose(np.stack([losable | (k != "replacement") for k in kinds], axis=1), draw.at(rows))
    for j, name in enumerate(kinds):
        some = rows[kind == j]
        out[some] = _read_as(name, strings[some])
    return out


def _read_as(name: str, strings: Strings) -> Strings:
    run = Run.of(strings)
    if name in _LOST:
        return cut(np.where(run.codes > 127, _LOST[name], run.codes).astype(np.uint32), run.length)
    text = "\n".join([*strings.tolist(), ""]).encode("utf-8", "surrogatepass")
    size = 1 + sum((run.codes > most).astype(np.int64) for most in (0x7F, 0x7FF, 0xFFFF))
    length = np.add.reduceat(size, run.begin) - 1 if run.begin.size else run.length
    return cut(_MISREAD[name][np.frombuffer(text, np.uint8)].astype(np.uint32), length)

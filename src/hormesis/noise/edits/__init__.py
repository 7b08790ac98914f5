"""Edits of many strings at once, for cells and for free text alike: strings and randomness in, strings out."""

from hormesis.noise.edits.characters import misread, recase, respace, truncate
from hormesis.noise.edits.keyboard import misspell
from hormesis.noise.edits.lookalikes import homoglyphs, scanned
from hormesis.noise.edits.pieces import confuse
from hormesis.noise.edits.recorded import Recorded, misremember

__all__ = [
    "Recorded",
    "confuse",
    "homoglyphs",
    "misread",
    "misremember",
    "misspell",
    "recase",
    "respace",
    "scanned",
    "truncate",
]

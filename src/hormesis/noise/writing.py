"""How the writing in categories and texts goes bad: at the keyboard, in the scanner, on its way through files."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Interval, MinLen

from hormesis.columns import Cells, infer
from hormesis.key import Draw
from hormesis.noise import edits
from hormesis.noise.base import CellNoise, Columns, Fraction, Spares, noise
from hormesis.noise.where import Where
from hormesis.profile import ColumnProfile, Kind

Share = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Ge(1)]
Script = Literal["cyrillic", "greek", "fullwidth"]
Case = Literal["upper", "lower", "title", "swapped"]
Space = Literal["leading", "trailing", "doubled", "lost", "nonbreaking", "tab"]
Encoding = Literal["cp1252", "latin-1", "question", "replacement"]
_SCANNER = (
    0.15  # of the cells that a scanner gets wrong, those in which it confuses nothing but loses or invents
)


class WritingNoise(CellNoise):
    """A noise of strings; values that are not text, as categories may be, stay."""

    applies_to: ClassVar[tuple[Kind, ...]] = ("category", "text")
    spares: ClassVar[Spares] = "values"

    def cells(self, values: Cells, column: ColumnProfile, draw: Draw) -> Cells:
        if infer(values) == "string":
            return self.strings(values, column, draw)
        text = np.fromiter((isinstance(value, str) for value in values.tolist()), bool, values.size)
        out = values.copy()
        out[text] = self.strings(values[text], column, draw.at(text))
        return out

    @abstractmethod
    def strings(self, strings: Cells, column: ColumnProfile, draw: Draw) -> Cells:
        """Return what becomes of the hit strings."""


@noise
class Typos(WritingNoise):
    """Misspell categories and texts, as people at keyboards do.

    A hit cell gets one edit: a character inserted, deleted, substituted or two swapped. The mix "fast_typist" has the
    shares measured on 63,570 misspellings from Wikipedia (codespell), "weak_speller" those on 33,792 of the Birkbeck
    corpus: the kinds of edits (0.27, 0.35, 0.20, 0.18 and 0.22, 0.35, 0.37, 0.06), the first letter wrong (0.023 and
    0.088), substitutions of a vowel by a vowel (0.46 and 0.57) and by an adjacent key (0.31; weak spellers 0.13, where
    chance alone makes 0.17 here), letters doubled or undoubled (0.19 and 0.21 of insertions and deletions). "phone" is
    chosen, not measured: mostly substitutions by adjacent keys, as thumbs make them. "ocr" confuses look-alike
    characters (see OCRErrors) and sometimes loses one.

    A hit cell gets ``character_error_rate * length`` edits (rounded at random, spread over the cell) where that is more
    than one, so that long texts suffer as short ones do. `misspellings` maps words to recorded misspellings: a hit cell
    that is one of them (a word or a phrase), or holds such a word, gets one of those; others get ordinary edits. A
    misspelled category is one that nobody has seen; categories that are not text stay. Unit of `level`: fraction of
    present cells.

    Source: Damerau (1964), a technique for computer detection and correction of spelling errors; Mitton (1985), the
    Birkbeck corpus.

    Examples
    --------
    >>> import pandas as pd
    >>> city = pd.DataFrame({"city": ["Zurich", "Bern", "Geneva"]})
    >>> Typos(1.0).apply(city, seed=1).city.tolist()
    ['Zuric', 'Bernn', 'GKeneva']
    >>> Typos(1.0, misspellings={"Geneva": ["Genva"], "Bern": ["Berne"]}).apply(city, seed=1).city.tolist()
    ['Zuric', 'Berne', 'Genva']
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    mix: Literal["fast_typist", "weak_speller", "phone", "ocr"] = "fast_typist"
    character_error_rate: Share = 0.0
    misspellings: dict[str, Annotated[tuple[str, ...], MinLen(1)]] | None = None
    where: Where = Where()

    def strings(self, strings: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        if not self.misspellings:
            return self._edited(strings, draw)
        recorded = edits.Recorded(self.misspellings)
        out, known = edits.misremember(strings, draw, recorded, self.character_error_rate)
        out[~known] = self._edited(strings[~known], draw.at(~known))
        return out

    def _edited(self, strings: Cells, draw: Draw) -> Cells:
        if self.mix != "ocr":
            return edits.misspell(strings, draw, self.mix, self.character_error_rate)
        out = edits.confuse(strings, draw, edits.scanned(), self.character_error_rate)
        rest = draw.below(_SCANNER, "other") | (out == strings)
        out[rest] = edits.misspell(strings[rest], draw.at(rest), "scanner", self.character_error_rate)
        return out


@noise
class OCRErrors(WritingNoise):
    """Confuse characters that look alike, as the reading of scanned paper does.

    One confusion in a hit cell, or ``character_error_rate * length`` (rounded at random) where that is more: 0 and O,
    1 and l, 5 and S, but also rn and m, cl and d, vv and w, from our own table after the lists of proof-readers, each
    alike. A cell with no such character stays. Read old newspapers have character error rates of 0.02 to 0.29. Unit of
    `level`: fraction of present cells.

    Source: Holley (2009), how good can it get?

    Examples
    --------
    >>> import pandas as pd
    >>> OCRErrors(1.0).apply(pd.DataFrame({"name": ["Bern", "Amt", "10"]}), seed=2).name.tolist()
    ['Bcrn', 'Amf', 'I0']
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    character_error_rate: Share = 0.0
    where: Where = Where()

    def strings(self, strings: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        return edits.confuse(strings, draw, edits.scanned(), self.character_error_rate)


@noise
class Homoglyphs(WritingNoise):
    """Replace letters by look-alikes of other scripts, as deceivers and mixed keyboards do.

    One letter of a hit cell, or ``character_error_rate * length`` (rounded at random) where that is more, becomes a
    Cyrillic, Greek or full-width character of the same look, from our own short table, or goes back to Latin from
    there. A cell without such letters stays. Unit of `level`: fraction of present cells.

    Source: Gabrilovich and Gontmakher (2002), the homograph attack.

    Examples
    --------
    >>> import pandas as pd
    >>> out = Homoglyphs(1.0, scripts=("cyrillic",)).apply(pd.DataFrame({"city": ["Oslo", "Bern"]})).city
    >>> out.tolist(), [city.isascii() for city in out]
    (['Oѕlo', 'Вern'], [False, False])
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    character_error_rate: Share = 0.0
    scripts: Annotated[tuple[Script, ...], MinLen(1)] = ("cyrillic", "greek", "fullwidth")
    where: Where = Where()

    def strings(self, strings: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        return edits.confuse(strings, draw, edits.homoglyphs(self.scripts), self.character_error_rate)


@noise
class CaseErrors(WritingNoise):
    """Write cells in another case, as forms and old systems without small letters do.

    A hit cell is written in one of `cases` that changes it, each alike: all upper, all lower, Title Case, or with every
    letter's case swapped, as caps lock does. A cell without cased letters stays. Unit of `level`: fraction of present
    cells.

    Source: Rahm and Do (2000), data cleaning: problems and current approaches.

    Examples
    --------
    >>> import pandas as pd
    >>> CaseErrors(1.0).apply(pd.DataFrame({"city": ["Bern", "New York", "東京"]}), seed=1).city.tolist()
    ['bern', 'nEW yORK', '東京']
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    cases: Annotated[tuple[Case, ...], MinLen(1)] = ("upper", "lower", "title", "swapped")
    where: Where = Where()

    def strings(self, strings: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        return edits.recase(strings, draw, self.cases)


@noise
class WhitespaceErrors(WritingNoise):
    """Damage the white space of cells, as copy and paste and careless exports do.

    A hit cell gets one of `kinds` that it allows, each alike: a leading or a trailing space, or one inner space
    doubled, lost, made non-breaking or a tab. A cell that allows none of them stays. Unit of `level`: fraction of
    present cells.

    Source: Christen (2012), data matching, chapter 3, data pre-processing.

    Examples
    --------
    >>> import pandas as pd
    >>> WhitespaceErrors(1.0).apply(pd.DataFrame({"city": ["Bern", "New York", "Ulm"]}), seed=1).city.tolist()
    ['Bern ', ' New York', ' Ulm']
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    kinds: Annotated[tuple[Space, ...], MinLen(1)] = (
        "leading",
        "trailing",
        "doubled",
        "lost",
        "nonbreaking",
        "tab",
    )
    where: Where = Where()

    def strings(self, strings: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        return edits.respace(strings, draw, self.kinds)


@noise
class Truncation(WritingNoise):
    """Cut cells off at the end, as fields of fixed width do.

    A hit cell keeps its first `width` characters; None cuts each cell at a place of its own, any place alike, with at
    least one character kept and one lost. Cells that are short enough stay, and so do single characters. Unit of
    `level`: fraction of present cells.

    Source: ICAO (2021), Doc 9303, machine readable travel documents, truncation of names.

    Examples
    --------
    >>> import pandas as pd
    >>> Truncation(1.0, width=4).apply(pd.DataFrame({"city": ["Zurich", "Bern", "Geneva"]})).city.tolist()
    ['Zuri', 'Bern', 'Gene']
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    width: Count | None = None
    where: Where = Where()

    def strings(self, strings: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        return edits.truncate(strings, draw, self.width)


@noise
class EncodingErrors(WritingNoise):
    """Garble all but plain ASCII letters, as files opened in the wrong encoding are (mojibake).

    A hit cell suffers one of `kinds`, each alike: its UTF-8 bytes read as Windows-1252 ("cp1252") or as "latin-1", or
    all its characters beyond ASCII lost to "?" ("question") or to U+FFFD ("replacement"). Cells of ASCII alone stay.
    Unit of `level`: fraction of present cells.

    Source: The Unicode Consortium (2023), the Unicode standard, section 3.9.

    Examples
    --------
    >>> import pandas as pd
    >>> city = pd.DataFrame({"city": ["Zürich", "Genève", "Bern"]})
    >>> EncodingErrors(1.0, kinds=("cp1252",)).apply(city).city.tolist()
    ['ZÃ¼rich', 'GenÃ¨ve', 'Bern']
    """

    level: Fraction = 0.1
    columns: Columns = "any"
    kinds: Annotated[tuple[Encoding, ...], MinLen(1)] = ("cp1252", "latin-1", "question", "replacement")
    where: Where = Where()

    def strings(self, strings: Cells, column: ColumnProfile, draw: Draw) -> Cells:  # noqa: ARG002
        return edits.misread(strings, draw, self.kinds)


@noise
class UnseenCategory(WritingNoise):
    """Replace categories by ones that training never saw, as new products, new codes and new countries are.

    A hit cell becomes one of `values` new categories, each alike: ``unseen-1``, ``unseen-2`` and so on, but none that
    the training data have. Categorical columns get longer lists of categories; categories that are not text stay.
    Unit of `level`: fraction of present cells.

    Source: Breck et al. (2019), data validation for machine learning.

    Examples
    --------
    >>> import pandas as pd
    >>> UnseenCategory(1.0).apply(pd.DataFrame({"city": ["Bern", "unseen-1", "Ulm"]})).city.tolist()
    ['unseen-2', 'unseen-2', 'unseen-2']
    """

    level: Fraction = 0.1
    columns: Columns = "categorical"
    values: Annotated[int, Interval(ge=1, le=1000)] = 1
    where: Where = Where()

    def strings(self, strings: Cells, column: ColumnProfile, draw: Draw) -> Cells:
        new = np.array(_unseen(column, self.values + 1), object)
        number = draw.integers(self.values, "category")
        number[new[number] == strings] = (
            self.values
        )  # a cell that holds the new category already takes the next
        out: Cells = new[number]
        return out


def _unseen(column: ColumnProfile, count: int) -> list[str]:
    """Return the first new names that are no category of the training data."""
    names = (f"unseen-{i}" for i in range(1, count + len(column.categories) + 1))
    return [name for name in names if name not in column.index][:count]

"""CSV files, read whole or in pieces: the types of a column are those of all its rows."""

import csv
import gzip
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hormesis.errors import DataError, HormesisError, listed
from hormesis.progress import track

_WHOLE = ("int64", "uint64", "huge")
_NUMBERS = (*_WHOLE, "negative", "float64")
_TRUTHS = ("bool", "boolean")
_MEGABYTE = 1 << 20
_PIECE, _CELLS = 1 << 17, 1 << 22


def piece_rows(columns: int) -> int:
    """Return how many rows are held at once: 131,072, and fewer of a wide table."""
    return max(1024, min(_PIECE, _CELLS // max(columns, 1)))


@contextmanager
def readable(path: str | Path, kind: str) -> Iterator[None]:
    """Turn what a parser raises into one sentence."""
    try:
        yield
    except HormesisError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(
            f"`{path}` is not a readable {kind} file: byte 0x{error.object[error.start]:02x} is not UTF-8 text. "
            f"If it was saved as Latin-1 or by Excel, convert it: iconv -f WINDOWS-1252 -t UTF-8 {path} > utf8.csv"
        ) from None
    except (OSError, EOFError, ValueError) as error:  # parsers' own errors are kinds of ValueError
        said = str(error).strip().split("\n")[0].rstrip(".")
        raise DataError(f"`{path}` is not a readable {kind} file: {said}.") from None


def read_csv(path: Path) -> tuple[Any, list[str]]:
    """Read a CSV file whole; return a pandas DataFrame and notes."""
    with readable(path, "CSV"):
        file = _File(path)
        frame, notes = file.parse("."), []
        if file.separator == ";":
            comma = file.parse(",")
            if _numeric(map(_kind, _columns(comma))) > _numeric(map(_kind, _columns(frame))):
                frame, notes = comma, [COMMA]
    file.check(frame)
    if file.numbered(frame, 0):
        return frame.iloc[:, 1:], [*notes, NUMBERED]
    return frame, notes


COMMA = "numbers are read with a decimal comma"
NUMBERED = "the unnamed first column holds row numbers and was left out"


class CsvTable:
    """A CSV file in pieces of rows; types, the decimal sign and the count are found by reading it once before.

    Raises
    ------
    DataError
        Not UTF-8, not a table, no rows, repeated column names, more values than names.
    """

    held: tuple[str, ...] = ()

    def __init__(self, path: Path, rows: int | None = None, *, show: bool | None = None) -> None:
        self.name, self.notes = str(path), list[str]()
        with readable(path, "CSV"):
            self._file = _File(path)
            found = _Found(self._file)
            decimals = (".", ",") if self._file.separator == ";" else (".",)
            rows = rows or piece_rows(len(self._file.header))
            for frames in self._file.survey(rows, decimals, show=show):
                found.add(frames)
            if not found.rows:
                raise DataError(f"`{path}` has a header and no rows: there is nothing to learn from.")
            self._decimal, self._dtypes = found.decide()
            self._dtypes = {n: d for n, d in self._dtypes.items() if not found.numbered or n != found.first}
        self.rows, self.names = found.rows, list(self._dtypes)
        self.notes += [COMMA] if self._decimal == "," else []
        self.notes += [NUMBERED] if found.numbered else []

    def pieces(self, rows: int) -> Iterator[Any]:
        """Yield pandas DataFrames of at most `rows` rows, in order."""
        with readable(self.name, "CSV"):
            settings = {"chunksize": rows, "dtype": self._dtypes, "usecols": self.names or None}
            with self._file.parse(self._decimal, **settings) as reader:
                for frame in reader:
                    yield frame.reset_index(drop=True)


class _File:
    """A CSV file with its separator and its header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as file:
            line = str(file.readline())
        self.separator = max(",;\t|", key=line.count)
        self.header = next(csv.reader([line], delimiter=self.separator, skipinitialspace=True), [])
        names = [h for h in self.header if h]
        repeated = sorted({h for h in names if names.count(h) > 1})
        if repeated:
            raise DataError(
                f"`{path}` names {listed(repeated)} more than once: column names must be unique. Rename them."
            )

    def parse(self, decimal: str, source: Any = None, **settings: Any) -> Any:
        """Parse by the one set of rules of this package."""
        import pandas as pd

        return pd.read_csv(
            self.path if source is None else source, sep=self.separator, decimal=decimal, skipinitialspace=True,
            low_memory=False, compression="gzip" if self.path.suffix == ".gz" else None, **_exact(pd), **settings,
        )  # fmt: skip

    def survey(self, rows: int, decimals: tuple[str, ...], *, show: bool | None) -> Iterator[tuple[Any, ...]]:
        """Yield pieces once for each decimal sign, types guessed piece by piece."""
        size = self.path.stat().st_size
        with ExitStack() as held:
            file = held.enter_context(self.path.open("rb"))
            show = show and size > 64 * _MEGABYTE
            advance = held.enter_context(track("reading, MB", size // _MEGABYTE, show=show))
            sources = (file, *[self.path] * (len(decimals) - 1))
            parsed = (self.parse(d, s, chunksize=rows) for d, s in zip(decimals, sources, strict=True))
            done = 0
            for frames in zip(*[held.enter_context(reader) for reader in parsed], strict=True):
                yield frames
                for _ in range(done, file.tell() // _MEGABYTE):
                    advance()
                done = file.tell() // _MEGABYTE

    def check(self, frame: Any, start: int = 0) -> None:
        """Refuse rows that hold more values than the header has names: pandas takes the first ones for an index."""
        import pandas as pd

        if not frame.index.equals(pd.RangeIndex(start, start + len(frame))):
            raise DataError(
                f"`{self.path}` has rows of more values than its header has names ({len(self.header)}): "
                "name every column."
            )

    def numbered(self, frame: Any, start: int) -> bool:
        """Tell whether the first column has no name and counts the rows."""
        if not self.header or self.header[0] or not frame.shape[1]:
            return False
        return bool(frame.iloc[:, 0].tolist() == list(range(start, start + len(frame))))


def _exact(pandas: Any) -> dict[str, str]:
    """Return what makes pandas before 3.1 read numbers to their last bit; later ones do so by themselves."""
    release = tuple(map(int, pandas.__version__.split(".")[:2]))
    return {"float_precision": "round_trip"} if release < (3, 1) else {}


class _Found:
    """What the pieces of a CSV file have shown so far."""

    def __init__(self, file: _File) -> None:
        self._file, self.rows, self.numbered, self.first = file, 0, True, ""
        self._kinds: list[dict[str, str]] = []

    def add(self, frames: tuple[Any, ...]) -> None:
        """Take in a piece, parsed once for each decimal sign."""
        frame = frames[0]
        self._file.check(frame, self.rows)
        self.numbered = self.numbered and self._file.numbered(frame, self.rows)
        self.first = frame.columns[0] if frame.shape[1] else ""
        now = [dict(zip(f.columns, map(_kind, _columns(f)), strict=True)) for f in frames]
        self._kinds = [
            {n: _join(old[n], new[n]) for n in new} for old, new in zip(self._kinds or now, now, strict=True)
        ]
        self.rows += len(frame)

    def decide(self) -> tuple[str, dict[str, str]]:
        """Return the decimal sign that makes more numbers, and the type of each column."""
        point, comma = self._kinds[0], self._kinds[-1]
        better = _numeric(comma.values()) > _numeric(point.values())
        said = {"negative": "int64", "empty": "float64", "huge": "str"}
        return ("," if better else "."), {n: said.get(k, k) for n, k in (comma if better else point).items()}


def _columns(frame: Any) -> Iterator[Any]:
    return (series for _, series in frame.items())


def _numeric(kinds: Any) -> int:
    return sum(kind in (*_NUMBERS, "empty") for kind in kinds)


def _kind(series: Any) -> str:
    """Return the type of one piece of a column; what is missing all over is `empty` and fits any."""
    from pandas.api.types import infer_dtype

    kind = series.dtype.kind
    if kind == "f":
        return "float64" if series.notna().any() else "empty"
    if kind == "i":
        return "negative" if (series < 0).any() else "int64"
    if kind in "ub":
        return "uint64" if kind == "u" else "bool"
    found = infer_dtype(series, skipna=True)
    if found == "string" and _whole(series.dropna()):
        return "huge"
    return {"boolean": "boolean", "integer": "huge"}.get(found, "str")


def _whole(texts: Any) -> bool:
    """Tell whole numbers, with gaps, that pandas left as text, as no integer type holds them all."""
    digits = r"\s*([+-]?\d+\s*)?"
    return re.fullmatch(digits, texts.iloc[0]) is not None and bool(texts.str.fullmatch(digits).all())


def _join(a: str, b: str) -> str:
    """Return the type that pandas gives to a column whose pieces have types `a` and `b`."""
    kinds = {a, b}
    if len(kinds) == 1:
        return a
    if "empty" in kinds:
        (other,) = kinds - {"empty"}
        return {"int64": "float64", "negative": "float64", "bool": "boolean", "uint64": "huge"}.get(
            other, other
        )
    if kinds <= set(_TRUTHS):
        return "boolean"
    if not kinds <= set(_NUMBERS):
        return "str"
    if "float64" in kinds:
        return "float64"
    if kinds == {"int64", "negative"}:
        return "negative"
    return "huge" if kinds & {"huge", "negative"} else "uint64"


class CsvSink:
    """A CSV file written piece by piece: the bytes are the same for any pieces."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._header = True

    def write(self, piece: Any) -> None:
        """Write some rows."""
        _for_csv(piece).to_csv(self._file, index=False, header=self._header, lineterminator="\n")
        self._header = False

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


def _for_csv(piece: Any) -> Any:
    """Return a pandas DataFrame whose cells are written alike whatever else the piece holds."""
    if not hasattr(piece, "schema"):
        return piece
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = {t: pd.ArrowDtype(t) for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.bool_())}
    whole |= {t: pd.ArrowDtype(t) for t in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())}
    for j, field in enumerate(piece.schema):
        if pa.types.is_timestamp(field.type):
            text = pc.replace_substring_regex(piece.column(j).cast(pa.string()), r"\.0+", "")
            piece = piece.set_column(j, field.name, text)
    gone = {field.type for field in piece.schema if piece.column(field.name).null_count}
    return piece.replace_schema_metadata().to_pandas(
        types_mapper={t: d for t, d in whole.items() if t in gone}.get
    )

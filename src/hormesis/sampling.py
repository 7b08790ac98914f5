"""The profile of a table in pieces: learnt from all rows, or of a long table from rows chosen by address."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hormesis.errors import DataError
from hormesis.files.sources import Pieces
from hormesis.frames import stack, take
from hormesis.key import Lanes, bits, key, lane
from hormesis.profile import Profile
from hormesis.progress import track

LEARNT = 1_000_000
_CELLS = 20_000_000
_STEP = 1 << 20


def learn(
    table: Pieces, rows: int, notes: list[str], *, most: int = LEARNT, show: bool | None = None
) -> Profile:
    """Learn the profile of a table in pieces of `rows` rows, from `most` rows at most and 20 million cells.

    Which rows of a longer table those are depends on its length alone; a note says so.
    """
    most = min(most, max(1000, _CELLS // max(len(table.names), 1)))
    if table.rows <= most:
        parts = list(_kept(table, rows, show=show))
    else:
        limit = _limit(table.rows, most)
        notes.append(f"the noise is scaled by {most:,} of the {table.rows:,} rows of {table.name}")
        parts = [
            take(part, np.flatnonzero(_hash(start, start + len(part)) <= limit))
            for start, part in placed(_kept(table, rows, show=show))
        ]
    return Profile.learn(stack(parts))


def load_profile(path: str | Path) -> Profile:
    """Read a profile from a JSON file.

    Raises
    ------
    DataError
        No such file, or no profile in it.
    """
    try:
        return Profile.from_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"The profile `{path}` cannot be read: {error.strerror or error}.") from None
    except ValueError as error:
        said = str(error).split("\n")[0]
        raise DataError(f"`{path}` holds no profile as `Profile.to_json` writes it: {said}.") from None


def _kept(table: Pieces, rows: int, *, show: bool | None) -> Iterator[Any]:
    """Yield pieces without the columns that are carried along."""
    with track("learning", -(-table.rows // rows), show=show and table.rows > rows) as advance:
        for piece in table.pieces(rows):
            yield piece.drop_columns(list(table.held)) if table.held else piece
            advance()


def placed(parts: Iterator[Any]) -> Iterator[tuple[int, Any]]:
    """Yield each piece with the position of its first row."""
    start = 0
    for part in parts:
        yield start, part
        start += len(part)


def _hash(start: int, stop: int) -> Lanes:
    return bits(lane(np.arange(start, stop)), key(0, "profile", "sample"))


def _limit(rows: int, most: int) -> np.uint64:
    """Return the hash up to which lie exactly `most` of the positions below `rows`."""
    least = np.empty(0, np.uint64)
    for start in range(0, rows, _STEP):
        least = np.concatenate([least, _hash(start, min(start + _STEP, rows))])
        if least.size > most:
            least = np.partition(least, most - 1)[:most]
    return np.uint64(least.max())

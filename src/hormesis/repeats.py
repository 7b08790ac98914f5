"""Repeated row ids of a table in pieces, found in little memory."""

import tempfile
from typing import IO

import numpy as np

from hormesis.errors import RowIdError
from hormesis.key import Lanes

_BUCKETS = 64
_HELD = 1 << 18  # bytes of a bucket before it goes to disk


class Repeats:
    """The lanes of all row ids, 8 bytes each, dealt by value to unnamed files that are then looked through one by one."""

    def __init__(self) -> None:
        self._files: list[IO[bytes]] = []

    def add(self, lanes: Lanes) -> None:
        """Take in the lanes of some rows."""
        if not self._files:
            self._files = [tempfile.SpooledTemporaryFile(_HELD) for _ in range(_BUCKETS)]  # noqa: SIM115 (open over calls)
        bucket = (lanes >> np.uint64(58)).astype(np.uint8)
        order = np.argsort(bucket, kind="stable")
        parts = np.split(lanes[order], np.cumsum(np.bincount(bucket, minlength=_BUCKETS))[:-1])
        for file, part in zip(self._files, parts, strict=True):
            file.write(part.tobytes())

    def check(self, row_id: str | None) -> None:
        """Raise where an id is there twice."""
        repeated = 0
        for file in self._files:
            file.seek(0)
            lanes = np.frombuffer(file.read(), np.uint64)
            repeated += lanes.size - np.unique(lanes).size
        if repeated:
            raise RowIdError(
                f"Row id column `{row_id}` repeats {repeated:,} ids: rows of one id would get the same noise. "
                "Use a unique column, or positions."
            )

    def close(self) -> None:
        """Remove the files."""
        for file in self._files:
            file.close()

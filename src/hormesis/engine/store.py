"""A store of measured cells: one SQLite file, shared by processes and threads, that never gives back a damaged cell."""

import contextlib
import hashlib
import os
import sqlite3
import struct
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from hormesis.engine.packing import Cell, packed, unpacked
from hormesis.errors import SettingError

__all__ = ["Cell", "Store", "key_of"]

SCHEMA = 1
MAGIC = b"SQLite format 3\x00"
APPLICATION = 0x1E48524D  # in SQLite's file header, at byte 68: tells our files from others
MARK = "hormesis store of measured cells"
CREATE = f"""
    BEGIN IMMEDIATE;
    PRAGMA application_id = {APPLICATION};
    CREATE TABLE IF NOT EXISTS about /* {MARK} */ (name TEXT PRIMARY KEY, value INTEGER);
    CREATE TABLE IF NOT EXISTS cells (key BLOB PRIMARY KEY, payload BLOB, checksum BLOB);
    CREATE TABLE IF NOT EXISTS damaged (key BLOB, payload BLOB, checksum BLOB);
    INSERT OR IGNORE INTO about VALUES ('schema', {SCHEMA});
    COMMIT;
"""
PATIENCE = 60.0  # seconds to wait for another process that writes
BATCH = 500  # keys asked in one statement, below SQLite's limit of variables
SIDES = ("", "-wal", "-shm", "-journal")
OUTER = {  # what is no damage of the file: SQLite's primary codes, and what they mean in words
    sqlite3.SQLITE_BUSY: "another program holds the file",
    sqlite3.SQLITE_LOCKED: "another program holds the file",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened there",
    sqlite3.SQLITE_PERM: "access is denied",
    sqlite3.SQLITE_IOERR: "the disk refuses",
    sqlite3.SQLITE_NOMEM: "memory is short",
    sqlite3.SQLITE_PROTOCOL: "the file system cannot lock files",
}


def key_of(*parts: str | int | float | None) -> bytes:
    """Return 16 bytes that stand for some parts; other parts, kinds or bounds between them give other bytes.

    >>> key_of("ab", "c") == key_of("a", "bc"), key_of(1) == key_of(1.0), len(key_of(None))
    (False, False, 16)
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if not (part is None or isinstance(part, str | int | float)):
            raise TypeError(f"{part!r}: a key is made of text, numbers and None")
        plain = float(part) if isinstance(part, float) else part  # numpy's floats are floats of another repr
        text = plain if isinstance(plain, str) else repr(plain)
        said = text.encode("utf-8", "surrogatepass")
        kind = next(k for k in (str, bool, int, float, type(None)) if isinstance(plain, k)).__name__
        digest.update(f"{kind}:{len(said)}:".encode() + said)
    return digest.digest()


class Store:
    """Cells by key in one file that several processes may read and write at once.

    In WAL mode with `synchronous=NORMAL` a process killed at any moment loses nothing that was committed; a power cut may
    lose the last commits, never the file, and what is lost is measured again: waiting for the disk would buy nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._notes: list[str] = []
        self._set_aside = 0
        self._writes = True
        self._connection, self._file = _connected(self)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a store, or make one where there is none.

        Raises
        ------
        SettingError
            The folder is missing or read-only, or the file is not a store.
        """
        if not isinstance(path, str | os.PathLike):
            raise SettingError(f"`store={path!r}`: give the name of a file, such as 'stress.sqlite'.")
        place = Path(path).absolute()
        if place.is_dir():
            raise SettingError(f"`store={str(path)!r}`: a folder; give the name of a file in it.")
        if not place.parent.is_dir():
            raise SettingError(f"`store={str(path)!r}`: there is no folder `{place.parent}`: make it first.")
        return cls(place)

    @property
    def notes(self) -> list[str]:
        """What was set aside, and why storing stopped, in plain sentences."""
        n = self._set_aside
        cells = "1 stored cell was" if n == 1 else f"{n} stored cells were"
        aside = [
            f"{cells} damaged (checksum): set aside in `{self.path.name}`, table `damaged`, and measured again"
        ]
        return [*self._notes, *(aside if n else [])]

    @property
    def size(self) -> int:
        """Bytes on disk. Nothing is ever thrown away: to start anew, delete the file."""
        files = [Path(f"{self.path}{side}") for side in SIDES[:2]]
        return sum(f.stat().st_size for f in files if f.exists())

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Cell]:
        """Return the cells that are known; damaged ones are set aside and left out."""
        with self._lock:
            try:
                rows = [row for a in range(0, len(keys), BATCH) for row in self._rows(keys[a : a + BATCH])]
            except sqlite3.Error as error:
                self._failed(error, "read")
                return {}
            sound = {bytes(k): p for k, p, c in rows if _is_sound(k, p, c)}
            bad = [bytes(k) for k, p, c in rows if not _is_sound(k, p, c)]
            if bad:
                self._put_aside(bad)
        return {k: unpacked(p) for k, p in sound.items()}

    def put(self, cells: Mapping[bytes, Cell]) -> None:
        """Store cells, all or none; where the disk refuses, storing stops with a note and the run goes on."""
        rows = [(k, p, _checksum(k, p)) for k, p in ((k, self._packed(c)) for k, c in cells.items()) if p]
        with self._lock:
            if not rows or not self._writes:
                return
            try:
                self._write([("INSERT OR REPLACE INTO cells VALUES (?, ?, ?)", rows)])
            except (sqlite3.Error, OSError, OverflowError) as error:
                self._failed(error, "written")

    def close(self) -> None:
        """Close the file; what was put is on disk already."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(self, keys: Sequence[bytes]) -> list[tuple[Any, Any, Any]]:
        marks = ", ".join("?" * len(keys))
        asked = f"SELECT key, payload, checksum FROM cells WHERE key IN ({marks})"
        return self._connection.execute(asked, list(keys)).fetchall()

    def _write(self, statements: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in statements:
                self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")
        except BaseException:  # Ctrl-C too: a transaction left open would shut out the other processes
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _put_aside(self, keys: Sequence[bytes]) -> None:
        self._set_aside += len(keys)
        rows = [(k,) for k in keys]
        copy = "INSERT INTO damaged SELECT key, payload, checksum FROM cells WHERE key = ?"
        try:
            self._write([(copy, rows), ("DELETE FROM cells WHERE key = ?", rows)])
        except (sqlite3.Error, OSError) as error:
            self._failed(error, "written")

    def _packed(self, cell: Cell) -> bytes | None:
        try:
            return packed(cell)
        except (TypeError, ValueError) as error:
            note = f"some answers cannot be stored ({error}) and are measured again each time"
            self._notes += [note] * (note not in self._notes)
            return None

    def _failed(self, error: Exception, doing: str) -> None:
        """Go on without the store where the world is to blame, with a fresh file where the file is."""
        reason = _reason(error)
        if reason is None:
            self._connection.close()
            try:
                _set_aside(self, "damaged", self._file)
                self._connection, self._file = _connected(self)
            except SettingError as refused:
                self._stop(str(refused))
        elif doing == "written":
            self._stop(reason)
        else:
            self._note(f"the store `{self.path.name}` could not be read ({reason}): measured again")

    def _stop(self, reason: str) -> None:
        if self._writes:
            self._note(
                f"storing in `{self.path.name}` stopped ({reason}): the results are complete, but not all are stored"
            )
        self._writes = False

    def _note(self, note: str) -> None:
        self._notes += [note] * (note not in self._notes)


def _checksum(key: bytes, payload: bytes) -> bytes:
    return hashlib.blake2b(key + payload, digest_size=16, salt=struct.pack("<Q", len(key))).digest()


def _is_sound(key: Any, payload: Any, checksum: Any) -> bool:
    return all(isinstance(part, bytes) for part in (key, payload, checksum)) and checksum == _checksum(
        key, payload
    )


def _reason(error: Exception) -> str | None:
    """Return why SQLite could not, in words; None where the file itself is damaged."""
    if isinstance(error, OSError | OverflowError | MemoryError):
        return str(error.strerror if isinstance(error, OSError) and error.strerror else error)
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or isinstance(
        error, sqlite3.DataError
    ):  # what Python's module says itself, as of a blob above 1 GB
        return str(error)
    return OUTER.get(code & 0xFF)


def _connected(store: Store) -> tuple[sqlite3.Connection, tuple[int, int] | None]:
    """Open the file of a store, whole and of this version: any other of ours is set aside for a fresh one."""
    path = store.path
    for _ in range(5):  # other processes may renew the file as well
        kind, file = _kind(path), _identity(path)
        if kind == "foreign":
            raise SettingError(
                f"`store='{path}'`: this file is no store of hormesis, and it is left as it is. Give another name."
            )
        found = _tried(path) if kind != "damaged" else kind
        if isinstance(found, sqlite3.Connection):
            return found, _identity(path)
        _set_aside(store, found, file)
    raise SettingError(f"`store='{path}'`: it cannot be made anew. Give another name.")


def _tried(path: Path) -> sqlite3.Connection | str:
    """Return a connection, or why there is none: damaged or of another version."""
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        if _prepared(connection) == SCHEMA:
            return connection
        why = "version"
    except sqlite3.Error as error:
        reason, why = _reason(error), "damaged"
        if reason is not None:
            raise SettingError(
                f"`store='{path}'`: {reason}. Give a file in a local folder that can be written."
            ) from None
    if connection is not None:
        connection.close()
    return why


def _kind(path: Path) -> str:
    """Look at a file's first page: new, ours, damaged or foreign; what is not surely ours is foreign."""
    try:
        with path.open("rb") as file:
            page = file.read(4096)
    except FileNotFoundError:
        return "new"
    except OSError as error:
        raise SettingError(
            f"`store='{path}'`: {error.strerror}. Give a file that can be read and written."
        ) from None
    ours = page[68:72] == struct.pack(">I", APPLICATION) or (page[:16] == MAGIC and MARK.encode() in page)
    if ours:
        return "ours" if page[:16] == MAGIC else "damaged"
    return "foreign" if page else "new"


def _prepared(connection: sqlite3.Connection) -> int:
    """Make the tables where there are none, and return the version of those that are there."""
    connection.text_factory = bytes  # a damaged text is a damaged row, not an error of decoding
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables:  # before the WAL, so that the first page tells whose file it is even after a kill
        connection.executescript(CREATE)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")  # can it be written?
    connection.execute("ROLLBACK")
    found = connection.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
    connection.execute("SELECT key, payload, checksum FROM cells LIMIT 0")
    return int(found[0]) if found and isinstance(found[0], int) else 0


def _set_aside(store: Store, why: str, found: tuple[int, int] | None) -> None:
    """Rename the file and its companions; processes that hold it open go on with the renamed one."""
    path = store.path
    if _identity(path) != found:  # another process has renewed it since
        return
    number = 1
    while Path(f"{path}.{why}-{number}").exists():
        number += 1
    aside = Path(f"{path}.{why}-{number}")
    try:
        for side in SIDES:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{side}").rename(f"{aside}{side}")
    except OSError as error:
        raise SettingError(
            f"`store='{path}'`: it is damaged and cannot be set aside: {error.strerror}. Give another name."
        ) from None
    what = "was written by another version" if why == "version" else "was damaged as a whole"
    store._note(f"the store `{path.name}` {what}: set aside as `{aside.name}`, a fresh one was made")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file lies at a path."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino

"""Files written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hormesis.errors import DataError, SettingError

_LONGEST = 255  # bytes of a file name


def check_writable(*paths: Path | None) -> None:
    """Refuse a path that cannot be written before any work is done; None and ``-`` are no files."""
    for path in paths:
        if path is None or str(path) == "-":
            continue
        folder = path.absolute().parent
        if len(os.fsencode(path.name)) > _LONGEST:
            raise SettingError(f"`{path.name[:40]}...` cannot be written: its name is too long.")
        if path.is_dir():
            raise SettingError(f"`{path}` cannot be written: it is a folder.")
        if not folder.is_dir():
            raise SettingError(f"`{path}` cannot be written: its folder does not exist.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SettingError(f"`{path}` cannot be written: its folder is read-only for you.")


@contextmanager
def aside(path: str | Path) -> Iterator[Path]:
    """Yield a hidden file beside `path` that takes its place at the end; after an error or Ctrl-C it is gone.

    Raises
    ------
    DataError
        The file cannot be made or written, as in a read-only folder or on a full disk.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:60]}.")
        os.close(handle)
        hidden = Path(name)
        try:
            yield hidden
            hidden.chmod(0o666 & ~_umask())
            hidden.replace(target)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise
    except OSError as error:
        said = os.strerror(error.errno) if error.errno else error
        raise DataError(f"`{target}` cannot be written: {said}.") from None


def write_aside(path: str | Path, content: str | bytes) -> None:
    """Write a file whole or not at all: beside it first, then renamed."""
    with aside(path) as hidden:
        hidden.write_bytes(content.encode() if isinstance(content, str) else content)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

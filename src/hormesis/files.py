"""Files written whole or not at all, and the versions that computed them."""

import os
import platform
import sys
import tempfile
from pathlib import Path

from hormesis.errors import DataError


def versions() -> dict[str, str]:
    """Versions of what computed a result."""
    from importlib.metadata import version

    packages = ("hormesis", "numpy", "pandas", "scikit-learn", "skrub")
    return {
        "python": platform.python_version(),
        **{p: version(p) for p in packages},
        "platform": sys.platform,
    }


def write_aside(path: str | Path, content: str | bytes) -> None:
    """Write a file whole or not at all: beside it first, then renamed."""
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    try:
        handle, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise DataError(f"`{target}` cannot be written: {error.strerror or error}.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        umask = os.umask(0)
        os.umask(umask)
        Path(aside).chmod(0o666 & ~umask)
        Path(aside).replace(target)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise

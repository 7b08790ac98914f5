"""What all records share: strict fields, finite numbers, JSON of one schema version."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from hormesis.errors import DataError, listed
from hormesis.files.aside import write_aside

SCHEMA_VERSION = 2
STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_OWN = {"StressResult": "curves", "HardenResult": "trials", "ScenariosResult": "cells"}


def finite(value: Any) -> Any:
    """Return None for NaN and infinity, which JSON cannot say.

    >>> finite(0.5), finite(float("inf"))
    (0.5, None)
    """
    return None if isinstance(value, float) and not math.isfinite(value) else value


Measured = Annotated[float | None, BeforeValidator(finite)]
Numbers = tuple[Measured, ...]


def dump(kind: type, value: Any, path: str | Path | None) -> str:
    """Return a record as JSON; with `path`, write it there too (whole or not at all)."""
    text = TypeAdapter(kind).dump_json(value, indent=1).decode()
    if path is not None:
        write_aside(path, text + "\n")
    return text


def load(kind: Any, text: str) -> Any:
    """Read a record of this schema version.

    Raises
    ------
    DataError
        The text is no JSON, is cut off, holds another record, or was written by another version.
    """
    name = kind.__name__
    found = _parsed(text, name)
    other = next(
        (k for k, key in _OWN.items() if k != name and key in found and _OWN.get(name) not in found), None
    )
    if other:
        raise DataError(f"This is the JSON of a {other}, not of a {name}: read it with {other}.from_json.")
    version = found.get("schema_version")
    if version is None:
        raise DataError(f"This JSON has no `schema_version`: `{name}.to_json` did not write it.")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"This {name} has schema version {version!r}; this hormesis reads version {SCHEMA_VERSION}. "
            "Read it with the hormesis that wrote it, or measure again."
        )
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise DataError(
            f"This JSON is no whole {name}: {_wrong(error)}. Give what `to_json` wrote."
        ) from None


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        start = " ".join(str(text[:40]).split())
        what = f"`{start}...`" if len(text) > 40 else f"`{start}`"
        raise DataError(
            f"{what} is not JSON ({error}): it may be cut off. Give the whole text that `{name}.to_json` wrote."
        ) from None
    if not isinstance(found, dict):
        raise DataError(f"This JSON holds a {type(found).__name__}, not a {name}. Give what `to_json` wrote.")
    return found


def _wrong(error: ValidationError) -> str:
    places = [".".join(map(str, e["loc"])) or e["msg"] for e in error.errors()]
    return f"look at {listed(places, most=3)}"

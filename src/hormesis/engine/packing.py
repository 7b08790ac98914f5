"""A cell of measured values as bytes, exactly and without pickle."""

import io
import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cell:
    """What was measured once: facts that JSON can hold, and arrays."""

    meta: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def packed(cell: Cell) -> bytes:
    """Return a length, a JSON header and the arrays one after the other.

    Raises
    ------
    TypeError, ValueError
        The cell holds what neither JSON nor NumPy's file format can hold.
    """
    bodies = {name: _array_bytes(values) for name, values in cell.arrays.items()}
    arrays = [[name, len(body), shape] for name, (body, shape) in bodies.items()]
    head = json.dumps({"meta": cell.meta, "arrays": arrays}).encode()
    return b"".join([struct.pack("<Q", len(head)), head, *(body for body, _ in bodies.values())])


def unpacked(payload: bytes) -> Cell:
    """Return the cell that was packed."""
    start = 8 + struct.unpack_from("<Q", payload)[0]
    header, arrays = json.loads(payload[8:start]), {}
    for name, length, shape in header["arrays"]:
        arrays[name] = _array(payload[start : start + length], shape)
        start += length
    return Cell(header["meta"], arrays)


def _array_bytes(values: NDArray[Any]) -> tuple[bytes, list[int] | None]:
    """Return an array in NumPy's file format, or Python objects as JSON with their shape."""
    if values.dtype.kind == "O":
        strange = {type(v).__name__ for v in values.flat} - {"str", "int", "float", "bool", "NoneType"}
        if strange:
            raise TypeError(f"an array holds {', '.join(sorted(strange))}")
        return json.dumps(values.ravel().tolist()).encode(), list(values.shape)
    file = io.BytesIO()
    np.lib.format.write_array(file, values, allow_pickle=False)
    return file.getvalue(), None


def _array(body: bytes, shape: list[int] | None) -> NDArray[Any]:
    if shape is None:
        values: NDArray[Any] = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
        return values
    flat = json.loads(body)
    objects = np.empty(len(flat), dtype=object)
    objects[:] = flat
    return objects.reshape(shape)

"""Strings of Arrow columns, read and written many at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PROBE = 1000


def is_text(column: Any) -> bool:
    """Tell an Arrow column of strings from other ones."""
    import pyarrow as pa

    return bool(pa.types.is_large_string(column.type) or pa.types.is_string(column.type))


def read(column: Any) -> NDArray[Any]:
    """Return strings, none missing, as objects; where they repeat, equal ones are one object, made once."""
    import pyarrow as pa

    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if len(whole.slice(0, PROBE).unique()) * 2 > min(len(whole), PROBE):
        return np.asarray(whole.to_numpy(zero_copy_only=False))
    coded = whole.dictionary_encode()
    words = coded.dictionary.to_numpy(zero_copy_only=False)
    return np.asarray(words[coded.indices.to_numpy()])


def tally(column: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct values of an Arrow column, plain or a dictionary, and how often each is there."""
    import pyarrow as pa

    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    found = plain.drop_null().value_counts()
    words = found.field("values").to_pylist()
    return np.fromiter(words, object, len(words)), found.field("counts").to_numpy()


def write(column: Any, rows: NDArray[np.intp], values: NDArray[Any]) -> Any:
    """Return a column with other strings at ascending `rows`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    new = pa.array(values, pa.large_string())
    _, offsets, data = new.buffers()
    stops = np.zeros(len(column) + 1, np.int64)
    stops[rows + 1] = np.diff(np.frombuffer(offsets, np.int64)[: len(new) + 1])
    np.cumsum(stops, out=stops)
    spread = pa.LargeStringArray.from_buffers(len(column), pa.py_buffer(stops), data or pa.py_buffer(b""))
    return pc.if_else(_mask(column, rows), spread.cast(column.type), _unsliced(column))


def lose(column: Any, rows: NDArray[np.intp]) -> Any:
    """Return a column without its strings at `rows`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(_mask(column, rows), pa.scalar(None, column.type), _unsliced(column))


def _unsliced(column: Any) -> Any:
    """Return a column that begins where its memory does: Arrow 17 reads others past their end in `if_else`."""
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if not any(chunk.offset for chunk in chunks):
        return column
    whole = pa.concat_arrays([*chunks, chunks[0].slice(0, 0)])
    return pa.chunked_array([whole]) if isinstance(column, pa.ChunkedArray) else whole


def encoded(values: Any, dtype: Any) -> Any:
    """Return values as a dictionary of an Arrow type, with wider indices where the old ones cannot count them."""
    import pyarrow as pa

    coded = values.dictionary_encode()
    known = len(coded.unique()) if isinstance(coded, pa.ChunkedArray) else len(coded.dictionary)
    room = 2 ** (dtype.index_type.bit_width - pa.types.is_signed_integer(dtype.index_type))
    index = dtype.index_type if known <= room else pa.int32()
    return coded.cast(pa.dictionary(index, dtype.value_type, dtype.ordered))


def _mask(column: Any, rows: NDArray[np.intp]) -> Any:
    import pyarrow as pa

    hit = np.zeros(len(column), np.bool_)
    hit[rows] = True
    return pa.array(hit)

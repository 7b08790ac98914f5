"""Parquet files, read and written in pieces: schema, codec and the types that pandas gives them are kept."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hormesis.errors import DataError
from hormesis.files.csv import readable

_BUFFER = 1 << 20  # column chunks are read through a buffer: one row group may hold the whole file
_CODECS = {"UNCOMPRESSED": "NONE", "LZ4_RAW": "LZ4", "LZ4_HADOOP": "LZ4"}


class ParquetTable:
    """A Parquet file in pieces of rows, as Arrow tables.

    `held` names the columns that are an index of pandas: they are carried along and left alone.

    Raises
    ------
    DataError
        Not a Parquet file, or no rows.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.name, self.notes = str(path), list[str]()
        with readable(path, "Parquet"):
            self._file = pq.ParquetFile(
                path, buffer_size=_BUFFER, pre_buffer=False
            )  # else it keeps what it read
            self.schema = self._file.schema_arrow
        self.rows = self._file.metadata.num_rows
        if not self.rows:
            raise DataError(f"`{path}` has a header and no rows: there is nothing to learn from.")
        index = _pandas(self.schema).get("index_columns", [])
        self.held = tuple(n for n in self.schema.names if n in [i for i in index if isinstance(i, str)])
        self.names = [n for n in self.schema.names if n not in self.held]

    @property
    def codec(self) -> str:
        """The compression of the first column."""
        found = str(self._file.metadata.row_group(0).column(0).compression)
        return _CODECS.get(found, found)

    def pieces(self, rows: int) -> Iterator[Any]:
        """Yield Arrow tables of at most `rows` rows, in order."""
        import pyarrow as pa

        with readable(self.name, "Parquet"):
            if rows >= self.rows:
                yield self._file.read()
                return
            for batch in self._file.iter_batches(rows):
                yield pa.Table.from_batches([batch])


class ParquetSink:
    """A Parquet file written piece by piece, a row group each; the first piece fixes the schema."""

    def __init__(self, path: Path, like: ParquetTable | None = None) -> None:
        self._path, self._like = path, like
        self._schema: Any = None
        self._writer: Any = None
        self._lost: set[str] = set()

    def write(self, piece: Any) -> None:
        """Write some rows.

        Raises
        ------
        DataError
            They do not fit the first piece.
        """
        table = _arrow(piece)
        if self._writer is None:
            self._open(table)
        table = self._fitted(table)
        self._lost |= {n for n in table.column_names if table.column(n).null_count}
        if len(table):
            self._writer.write_table(table, row_group_size=len(table))

    def _open(self, table: Any) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        fields = [f.with_nullable(True) for f in table.schema]  # noqa: FBT003 (pyarrow takes the flag by position)
        self._schema = pa.schema(fields)
        codec = self._like.codec if self._like else "SNAPPY"
        self._writer = pq.ParquetWriter(self._path, self._schema, compression=codec, store_schema=False)
        self._metadata = dict((self._like.schema if self._like else table.schema).metadata or {})

    def _fitted(self, table: Any) -> Any:
        import pyarrow as pa

        if table.column_names != self._schema.names:
            raise DataError(
                f"The noise gives columns {table.column_names} to some rows and {self._schema.names} to the first ones: "
                "it cannot be written piece by piece."
            )
        try:
            return table.replace_schema_metadata().cast(self._schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            said = str(error).split("\n")[0].rstrip(".")
            raise DataError(
                f"The noise gives values to some rows that do not fit the first ones: {said}."
            ) from None

    def close(self) -> None:
        """Write the end of the file: its schema, with the types of pandas as they turned out."""
        if self._writer is None:
            return
        known = _pandas(self._schema.with_metadata(self._metadata))
        if known:
            known["columns"] = [self._described(c) for c in known["columns"] if self._still(c)]
            self._metadata[b"pandas"] = json.dumps(known).encode()
        whole = self._schema.with_metadata(self._metadata or None)
        arrow = base64.b64encode(whole.serialize()).decode()
        self._writer.add_key_value_metadata({**self._metadata, b"ARROW:schema": arrow})
        self._writer.close()

    def _still(self, column: dict[str, Any]) -> bool:
        """Tell whether what pandas knows of a column is still true: it is there, of its old type."""
        name, old = column["field_name"], self._like.schema if self._like else self._schema
        if name not in self._schema.names or name not in old.names:
            return name is None
        return bool(self._schema.field(name).type == old.field(name).type)

    def _described(self, column: dict[str, Any]) -> dict[str, Any]:
        """Say that integers and booleans which lost cells are pandas' nullable ones, not floats or objects."""
        kind = str(column["numpy_type"])
        if column["field_name"] not in self._lost or not str(column["pandas_type"]).startswith(kind):
            return column
        if not kind.startswith(("int", "uint", "bool")):
            return column
        nullable = "boolean" if kind == "bool" else kind.replace("uint", "UInt").replace("int", "Int")
        return column | {"numpy_type": nullable}


def _arrow(piece: Any) -> Any:
    import pyarrow as pa

    return piece if isinstance(piece, pa.Table) else pa.Table.from_pandas(piece, preserve_index=False)


def _pandas(schema: Any) -> dict[str, Any]:
    """Return what pandas wrote about a table, empty where it did not."""
    found = (schema.metadata or {}).get(b"pandas")
    return dict(json.loads(found)) if found else {}

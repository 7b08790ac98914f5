"""Files: types are those of all rows whatever the pieces, and pandas finds them again."""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hormesis import Recipe
from hormesis.files.sources import open_pieces, read_table
from hormesis.streaming import apply_file


@pytest.fixture
def out(tmp_path):
    return tmp_path


def csv_of(frame):
    return frame.to_csv(index=False, lineterminator="\n").encode()


def test_gzip_bom_semicolons_and_decimal_commas(out):
    rows = "".join(f"{k};{k % 7},5;Zürich {k}\n" for k in range(200))
    (out / "t.csv.gz").write_bytes(gzip.compress(("\ufeff;x;name\n" + rows).encode()))
    recipe = Recipe.from_dict({"steps": [{"noise": "GaussianNoise", "level": 0.5}]})
    done = [apply_file(str(out / "t.csv.gz"), recipe, out / f"{p}.csv", piece=p) for p in (9, 500)]
    assert done[0] == done[1]
    assert "decimal comma" in done[0].notes[0]
    assert "row numbers" in done[0].notes[1]
    assert (out / "9.csv").read_bytes() == (out / "500.csv").read_bytes()
    assert (out / "9.csv").read_text(encoding="utf-8").startswith("x,name\n")


def test_numbers_are_read_to_the_last_bit(out):
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-500, 500).clip(-300, 300)
    for separator, sign in (",.", ";,"):
        rows = "".join(f"{k}{separator}{v!r}\n".replace(".", sign) for k, v in enumerate(values.tolist()))
        (out / "t.csv").write_text(f"k{separator}x\n" + rows)
        assert (read_table(str(out / "t.csv"))[0].x == values).all()
        assert (pd.concat(open_pieces(str(out / "t.csv"), 300).pieces(300)).x == values).all()


CELLS = {
    "whole, then gaps": ["1"] * 9 + ["", "2"],
    "whole, then fractions": ["1", "2", "3.50", "4"],
    "codes with a word at the end": ["007", "008", "", "x"],
    "truths with gaps": ["True", "False", "", "TRUE", "true"],
    "truths, then numbers": ["True", "False", "1", "0"],
    "gaps, then truths": ["", "", "", "False"],
    "nothing": ["", "NA", "", ""],
    "beyond 63 bits": ["1", "2", str(2**63 + 5)],
    "beyond 63 bits and below zero": ["-1", "2", str(2**63 + 5)],
    "fractions and beyond": ["1.5", str(2**63 + 5), str(2**70)],
    "below zero, beyond and fractions": ["-1", str(2**63 + 5), "1.5"],
    "gaps, beyond and fractions": ["", str(2**63 + 5), "1.5"],
    "beyond, then words": [str(2**70), "-1", "x"],
    "gaps, then words": ["", "", "3", "x y"],
    "infinities": ["1", "inf", "-inf"],
}


@pytest.mark.parametrize("case", CELLS)
@pytest.mark.parametrize("piece", [1, 2, 3])
def test_types_are_those_of_the_whole_file(out, case, piece):
    rows = "".join(f"{k},{cell}\n" for k, cell in enumerate(CELLS[case]))
    (out / "t.csv").write_text("k,cell\n" + rows)
    opened = open_pieces(str(out / "t.csv"), piece)
    pieces = pd.concat(list(opened.pieces(piece)), ignore_index=True)
    assert csv_of(pieces) == csv_of(read_table(str(out / "t.csv"))[0])
    assert opened.rows == len(pieces)


def test_pandas_finds_its_types_again(out):
    days = pd.date_range("2024-01-01", periods=300, tz="Europe/Zurich")
    frame = pd.DataFrame(
        {
            "size": pd.Categorical(["S", "L", "M"] * 100, ["S", "M", "L", "XL"], ordered=True),
            "day": days.where(np.arange(300) % 11 > 0),
            "small": np.arange(300, dtype="int8") % 100,
            "maybe": pd.array([1, None, 3] * 100, dtype="Int64"),
            "tags": [[1, 2]] * 300,
        },
        index=pd.Index([f"row {k}" for k in range(300)], name="who"),
    )
    frame.to_parquet(out / "t.parquet", row_group_size=77)
    recipe = Recipe.from_dict(
        {"steps": [{"noise": "MissingValues", "level": 0.2}, {"noise": "CategorySwap", "level": 0.2}]}
    )
    apply_file(str(out / "t.parquet"), recipe, out / "n.parquet", piece=50)
    noisy, whole = pd.read_parquet(out / "n.parquet"), recipe.apply(frame)
    pd.testing.assert_frame_equal(noisy.drop(columns="tags"), whole.drop(columns="tags"))
    assert (noisy.index == frame.index).all()
    assert noisy["small"].dtype == "Int8"


def test_categories_that_differ_by_row_group_and_fields_that_were_never_missing(out):
    words = pa.array(["a", "b"] * 50 + ["c", "a"] * 50).dictionary_encode()
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("w", words.type)])
    with pq.ParquetWriter(out / "t.parquet", schema) as writer:
        for a in range(0, 200, 20):
            part = words.slice(a, 20).cast(pa.string()).dictionary_encode()
            writer.write_table(pa.table([pa.array(range(20)), part], schema=schema))
    recipe = Recipe.from_dict(
        {"steps": [{"noise": "MissingValues", "level": 0.3}, {"noise": "CategorySwap", "level": 0.9}]}
    )
    apply_file(str(out / "t.parquet"), recipe, out / "n.parquet", piece=15)
    noisy = pq.read_table(out / "n.parquet")
    whole = recipe.apply(pq.read_table(out / "t.parquet"))
    assert noisy.column("w").cast(pa.string()).to_pylist() == whole.column("w").cast(pa.string()).to_pylist()
    assert noisy.column("n").to_pylist() == whole.column("n").to_pylist()
    assert noisy.schema.field("w").type == words.type


def test_times_are_written_alike_whatever_the_piece(out):
    times = pd.to_datetime(["2024-01-01"] * 50 + ["2024-01-02 03:04:05.25"] * 50, format="ISO8601")
    pd.DataFrame({"t": times, "k": range(100)}).to_parquet(out / "t.parquet")
    recipe = Recipe.from_dict({"steps": [{"noise": "MissingValues", "level": 0.1}]})
    for piece in (10, 100):
        apply_file(str(out / "t.parquet"), recipe, out / f"{piece}.csv", piece=piece)
    assert (out / "10.csv").read_bytes() == (out / "100.csv").read_bytes()
    written = pd.read_csv(out / "10.csv", parse_dates=["t"], date_format="ISO8601").t
    assert (written.dropna() == pd.Series(times)[written.notna()]).all()

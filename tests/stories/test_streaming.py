"""A file of any size gets the noise it would get in one piece: pieces, row groups and formats change nothing."""

import io
import resource
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hormesis import Recipe
from hormesis.errors import HormesisError, RowIdError
from hormesis.files.sources import open_pieces, read_table
from hormesis.frames import share_by_column
from hormesis.noise import DateFormat, ReorderedColumns
from hormesis.profile import Profile
from hormesis.sampling import learn
from hormesis.streaming import apply_file

ROWS = 1503
PANDAS = tuple(map(int, pd.__version__.split(".")[:2]))
STEPS = [
    {"noise": "MissingValues", "level": 0.1},
    {"noise": "GaussianNoise", "level": 0.2, "columns": ["income", "age"]},
    {"noise": "MissingValues", "name": "mar", "level": 0.2, "columns": ["flag", "age"],
     "where": {"mechanism": "MAR", "driver": "income", "strength": 2}},
    {"noise": "Typos", "level": 0.3, "columns": ["name"]},
    {"noise": "CategorySwap", "level": 0.2, "columns": ["city"]},
    {"noise": "SwapNoise", "level": 0.1, "probability": 0.5},
]  # fmt: skip
RECIPE = Recipe.from_dict({"seed": 5, "steps": STEPS})


@pytest.fixture(scope="module")
def table():
    r = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": r.permutation(ROWS) * 7,
            "age": r.integers(18, 90, ROWS),
            "income": r.normal(3000, 500, ROWS).round(2),
            "city": r.choice(["Bern", "Genf", "Basel, Stadt"], ROWS),
            "name": [f"name {k}" for k in r.integers(0, 10**6, ROWS)],
            "flag": r.choice([True, False], ROWS),
        }
    )
    frame.loc[r.random(ROWS) < 0.05, "income"] = np.nan
    frame.loc[r.random(ROWS) < 0.05, "city"] = None
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("streaming")
    table.to_csv(path / "t.csv", index=False)
    table.to_parquet(path / "t.parquet", row_group_size=371, compression="zstd")
    table.iloc[:, ::-1].to_parquet(path / "train.parquet")
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path


def csv_of(frame):
    return frame.to_csv(index=False, lineterminator="\n").encode()


@pytest.mark.parametrize("piece", [61, 1000, ROWS])
@pytest.mark.parametrize("row_id", [None, "id"])
@pytest.mark.parametrize("profile", [False, True])
def test_csv_is_that_of_one_piece_to_the_byte(folder, out, table, piece, row_id, profile):
    learnt = Profile.learn(table.head(500)) if profile else None
    apply_file(str(folder / "t.csv"), RECIPE, out / "n.csv", profile=learnt, row_id=row_id, piece=piece)
    whole = RECIPE.apply(read_table(str(folder / "t.csv"))[0], profile=learnt, row_id=row_id)
    assert (out / "n.csv").read_bytes() == csv_of(whole)


@pytest.mark.parametrize("piece", [61, 1000, ROWS])
@pytest.mark.parametrize("row_id", [None, "id"])
@pytest.mark.parametrize("profile", [False, True])
def test_parquet_is_that_of_one_piece(folder, out, table, piece, row_id, profile):
    learnt = Profile.learn(table.head(500)) if profile else None
    apply_file(
        str(folder / "t.parquet"), RECIPE, out / "n.parquet", profile=learnt, row_id=row_id, piece=piece
    )
    whole = RECIPE.apply(table, profile=learnt, row_id=row_id)
    whole.to_parquet(out / "whole.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(out / "n.parquet"), pd.read_parquet(out / "whole.parquet"))
    arrow = RECIPE.apply(pq.read_table(folder / "t.parquet"), profile=learnt, row_id=row_id)
    assert pq.read_table(out / "n.parquet").replace_schema_metadata().equals(arrow.replace_schema_metadata())
    assert pq.ParquetFile(out / "n.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_a_row_at_a_time(out, table, end):
    table.head(40).to_csv(out / "t.csv", index=False)
    table.head(40).to_parquet(out / "t.parquet", row_group_size=3)
    shown = []
    for piece in (1, 7, 40):
        apply_file(str(out / f"t.{end}"), RECIPE, out / f"{piece}.{end}", piece=piece)
        shown.append(read_table(str(out / f"{piece}.{end}"))[0])
    pd.testing.assert_frame_equal(shown[0], shown[2])
    pd.testing.assert_frame_equal(shown[1], shown[2])


def test_memory_does_not_grow_with_the_file(out):
    column = np.random.default_rng(0).random(100_000)
    with pq.ParquetWriter(out / "t.parquet", pa.schema([("x", pa.float64())])) as writer:
        for _ in range(20):
            writer.write_table(pa.table({"x": column}))
    held, others = [], pa.total_allocated_bytes()
    for _ in open_pieces(str(out / "t.parquet")).pieces(10_000):
        held.append(pa.total_allocated_bytes() - others)
    assert max(held) < 4 * column.nbytes < (out / "t.parquet").stat().st_size


@pytest.mark.parametrize(("source", "end"), [("t.csv", "parquet"), ("t.parquet", "csv")])
def test_formats_cross(folder, out, table, source, end):
    shown = []
    for piece in (100, ROWS):
        apply_file(str(folder / source), RECIPE, out / f"{piece}.{end}", piece=piece)
        shown.append(read_table(str(out / f"{piece}.{end}"))[0])
    pd.testing.assert_frame_equal(*shown)
    whole = RECIPE.apply(table)
    assert csv_of(pd.read_csv(io.BytesIO(csv_of(whole)))) == csv_of(pd.read_csv(io.BytesIO(csv_of(shown[0]))))


def recipe_of(*steps):
    return Recipe.from_dict(
        {"steps": [dict(zip(("noise", "level"), s[:2], strict=True)) | s[2] for s in steps]}
    )


LONG = {
    "look-back": [("StuckColumn", 0.4, {"length": 13}), ("StuckColumn", 0.3, {"name": "b", "length": 50, "columns": ["name"]})],
    "copies": [("DuplicateRows", 0.2, {"copies": 3, "near": 0.4})],
    "lost rows": [("DropRows", 0.4, {}), ("GaussianNoise", 0.1, {})],
    "rows and look-back": [
        ("DropRows", 0.3, {}),
        ("StuckColumn", 0.4, {"length": 9}),
        ("DuplicateRows", 0.3, {}),
        ("StuckColumn", 0.4, {"name": "again", "length": 5}),
        ("MissingValues", 0.2, {}),
    ],
    "all rows": [("ShuffledRows", 0.3, {})],
}  # fmt: skip


@pytest.mark.parametrize("case", LONG)
@pytest.mark.parametrize("piece", [60, 1000])
def test_noises_of_rows_and_of_their_neighbours(folder, out, table, case, piece):
    recipe = recipe_of(*LONG[case])
    done = apply_file(str(folder / "t.csv"), recipe, out / "n.csv", piece=piece)
    whole = recipe.apply(read_table(str(folder / "t.csv"))[0])
    assert (out / "n.csv").read_bytes() == csv_of(whole)
    assert (done.rows, done.rows_after) == (ROWS, len(whole))
    assert ("in one piece" in " ".join(done.notes)) == (case == "all rows")
    apply_file(str(folder / "t.parquet"), recipe, out / "n.parquet", piece=piece)
    assert csv_of(pd.read_parquet(out / "n.parquet")) == csv_of(recipe.apply(table))


def test_every_row_of_an_index_goes_with_its_row(out, table):
    frame = table.set_index("id")
    frame["twin"] = frame.index
    frame.to_parquet(out / "t.parquet")
    recipe = recipe_of(("DropRows", 0.3, {}), ("DuplicateRows", 0.3, {}))
    apply_file(str(out / "t.parquet"), recipe, out / "n.parquet", piece=100)
    noisy = pd.read_parquet(out / "n.parquet")
    assert (noisy.index == noisy.twin).all()
    assert noisy.index.name == "id"


def test_rates_are_those_of_the_whole(folder, out, table):
    done = [apply_file(str(folder / "t.csv"), RECIPE, out / f"{p}.csv", piece=p) for p in (150, ROWS)]
    assert done[0] == done[1]
    whole = share_by_column(table, RECIPE.apply(table), range(table.shape[1]))
    assert done[0].changed == pytest.approx({n: s for n, s in whole.items() if s})
    text = recipe_of(("NumbersAsText", 1.0, {"columns": ["income"]}))
    done = apply_file(str(folder / "t.csv"), text, out / "t.csv", piece=150)
    assert done.changed == pytest.approx({"income": table.income.notna().mean()})
    gone = apply_file(str(folder / "t.csv"), recipe_of(("DropRows", 0.5, {})), out / "d.csv", piece=150)
    assert gone.changed == {}
    assert gone.words() == [f"rows: {ROWS:,} -> {gone.rows_after:,}"]


def test_look_back_by_ids_needs_a_sorted_file(folder, out, table):
    recipe = recipe_of(*LONG["look-back"][:1])
    with pytest.raises(HormesisError, match="not sorted by `id`"):
        apply_file(str(folder / "t.csv"), recipe, out / "n.csv", piece=100, row_id="id")
    table.sort_values("id").to_csv(out / "s.csv", index=False)
    apply_file(str(out / "s.csv"), recipe, out / "n.csv", piece=100, row_id="id")
    whole = recipe.apply(read_table(str(out / "s.csv"))[0], row_id="id")
    assert (out / "n.csv").read_bytes() == csv_of(whole)


def test_the_sample_of_a_long_table_depends_on_its_length_alone(folder):
    notes = []
    learnt = [learn(open_pieces(str(folder / "t.csv"), 99), p, notes, most=300) for p in (10, 400, ROWS)]
    assert learnt[0] == learnt[1] == learnt[2]
    assert learnt[0].rows == 300
    assert "300 of the 1,503 rows" in notes[0]


def test_a_target_is_left_to_noise_on_labels(folder, out, table):
    source = str(folder / "t.csv")
    features = [("MissingValues", 0.3, {"where": {"mechanism": "MAR", "driver": "city"}})]
    recipe = recipe_of(*features, ("LabelFlips", 0.2, {}))
    apply_file(source, recipe, out / "n.csv", target="city", piece=100)
    noisy = pd.read_csv(out / "n.csv")
    flipped = (noisy.city != table.city) & table.city.notna()
    assert noisy.city.isna().sum() == table.city.isna().sum()
    assert abs(flipped.sum() - 0.2 * table.city.count()) < 4.9 * (0.16 * table.city.count()) ** 0.5
    apply_file(source, recipe_of(*features), out / "all.csv", piece=100)
    others = [c for c in table if c != "city"]
    assert csv_of(noisy[others]) == csv_of(pd.read_csv(out / "all.csv")[others])
    with pytest.raises(HormesisError, match="names the target `city`"):
        apply_file(
            source, recipe_of(("CategorySwap", 0.2, {"columns": ["city"]})), out / "n.csv", target="city"
        )


def test_scaled_by_another_file_or_a_profile(folder, out, table):
    source, train = str(folder / "t.csv"), str(folder / "train.parquet")
    apply_file(source, RECIPE, out / "a.csv", train=train, piece=100)
    apply_file(source, RECIPE, out / "b.csv", profile=Profile.learn(table), piece=70)
    assert (out / "a.csv").read_bytes() == (out / "b.csv").read_bytes()


@pytest.mark.parametrize("text", [False, True])
def test_ids_that_repeat_in_another_piece_are_found(out, text):
    ids = [f"row {k}" for k in range(100)] if text else list(range(100))
    pd.DataFrame({"id": [*ids, ids[3]], "x": 1.5}).to_csv(out / "t.csv", index=False)
    with pytest.raises(RowIdError, match="`id` repeats 1 ids"):
        apply_file(str(out / "t.csv"), RECIPE_X, out / "n.csv", row_id="id", piece=10)
    assert [p.name for p in out.iterdir()] == ["t.csv"]


RECIPE_X = Recipe.from_dict({"steps": [{"noise": "GaussianNoise", "level": 0.5}]})
BAD = {
    "latin-1": ("x,y\n1,caf\xe9\n".encode("latin-1"), "iconv -f WINDOWS-1252"),
    "latin-1 late": (b"x,y\n" + b"1,a\n" * 300 + b"2,caf\xe9\n", "byte 0xe9 is not UTF-8"),
    "nothing": (b"", "is empty"),
    "a header alone": (b"x,y\n", "has a header and no rows"),
    "more values than names": (b"x,y\n1,2,3\n4,5,6\n", "more values than its header has names"),
    "a longer row": (b"x,y\n" + b"1,2\n" * 310 + b"3,4,5\n", "not a readable CSV file"),
    "a longer row first in its piece": (b"x,y\n" + b"1,2\n" * 300 + b"3,4,5\n", "not a readable CSV file"),
    "repeated names": (b"x,x\n1,2\n", "more than once"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_sentence_and_leaves_nothing(out, case):
    if case.endswith("first in its piece") and PANDAS < (3, 1):
        pytest.skip("pandas before 3.1 overlooks it there")
    content, said = BAD[case]
    (out / "t.csv").write_bytes(content)
    with pytest.raises(HormesisError, match=said):
        apply_file(str(out / "t.csv"), RECIPE_X, out / "n.csv", piece=50)
    assert [p.name for p in out.iterdir()] == ["t.csv"]


WRONG = {
    "an unknown row id": ({"row_id": "idd"}, "Did you mean `id`?"),
    "an unknown target": ({"target": "citty"}, "Did you mean `city`?"),
    "an unknown folder": ({"out": "gone/n.csv"}, "its folder does not exist"),
    "a long name": ({"out": "n" * 300 + ".csv"}, "its name is too long"),
    "no table": ({"out": "n.txt"}, "written as .csv or .parquet"),
    "the input": ({"out": "t.csv"}, "is the table itself"),
    "two scales": ({"train": "t.csv", "profile": Profile.learn(pd.DataFrame({"x": [1]}))}, "not both"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_found_before_any_work(folder, case):
    settings, said = WRONG[case]
    before = sorted(folder.iterdir())
    with pytest.raises(HormesisError, match=said.replace("?", "[?]")):
        apply_file(str(folder / "t.csv"), RECIPE, folder / settings.pop("out", "n.csv"), **settings)
    assert sorted(folder.iterdir()) == before


def start(out, source, end, **settings):
    (out / "recipe.yaml").write_text(RECIPE_X.to_yaml())
    words = f"-m hormesis apply {source} --recipe recipe.yaml --out n.{end}".split()
    return subprocess.Popen([sys.executable, *words], cwd=out, stderr=subprocess.PIPE, text=True, **settings)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_end_in_the_middle_leaves_no_half_written_file(out, sent, code):
    pd.DataFrame({"x": np.arange(1_200_000.0), "y": 1.5}).to_parquet(out / "t.parquet")
    process = start(out, "t.parquet", "csv")
    for line in process.stderr:
        if line.startswith("noise"):
            break
    process.send_signal(sent)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code, said
    assert ("interrupted" in said) == (sent == signal.SIGINT)
    assert not (out / "n.csv").exists()
    left = [p.name for p in out.iterdir() if p.name not in ("t.parquet", "recipe.yaml")]
    assert len(left) == (sent == signal.SIGKILL)
    assert all(name.startswith(".n.csv.") for name in left)


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_a_full_disk_is_one_sentence(folder, out, table, end):
    pd.concat([table] * 20).drop(columns="id").to_csv(out / "t.csv", index=False)
    small = 100_000

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (small, small))

    process = start(out, "t.csv", end, preexec_fn=limit)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2, said
    assert "cannot be written: File too large." in said
    assert len(said.strip().splitlines()) == 1
    assert sorted(p.name for p in out.iterdir()) == ["recipe.yaml", "t.csv"]


def test_a_table_that_shares_no_column_with_the_training_data_is_refused(out):
    pd.DataFrame({"x": np.arange(9.0), "new": 1.0}).to_csv(out / "t.csv", index=False)
    pd.DataFrame({"y": np.arange(9.0)}).to_csv(out / "other.csv", index=False)
    pd.DataFrame({"x": np.arange(9.0)}).to_csv(out / "train.csv", index=False)
    with pytest.raises(HormesisError, match="shares no column with the training data, which have `y`"):
        apply_file(str(out / "t.csv"), RECIPE_X, out / "n.csv", train=str(out / "other.csv"))
    done = apply_file(str(out / "t.csv"), RECIPE_X, out / "n.csv", train=str(out / "train.csv"))
    assert done.notes == ("columns that the training data do not have stay as they are: `new`",)


def test_it_is_said_when_nothing_changed_and_when_columns_moved(out):
    pd.DataFrame({"x": np.arange(9), "y": 1}).to_csv(out / "t.csv", index=False)
    for noise, said in (
        (DateFormat(1.0), "nothing changed"),
        (ReorderedColumns(1.0), "columns stand in another order"),
    ):
        assert apply_file(str(out / "t.csv"), Recipe([noise]), out / "n.csv").notes == (said,)

"""The store: what is put comes back exactly, whatever happens to the file, the disk or the process in between."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hormesis.engine.packing import packed, unpacked
from hormesis.engine.store import Cell, Store, key_of
from hormesis.errors import SettingError

WRITER = """
import sys
import numpy as np
from hormesis.engine.packing import packed, unpacked
from hormesis.engine.store import Cell, Store, key_of
path, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Store.open(path) as store:
    for i in range(count):
        store.put({key_of(who, i): Cell({"i": i}, {"a": np.full(2000, float(i))})})
        print(i, flush=True)
    assert not store.notes, store.notes
"""


def cell(i=0):
    return Cell({"i": i}, {"a": np.arange(500.0) + i})


def same(one, other):
    assert one.meta == other.meta
    assert one.arrays.keys() == other.arrays.keys()
    for name, values in one.arrays.items():
        found = other.arrays[name]
        assert found.dtype == values.dtype
        assert found.shape == values.shape
        if values.dtype.kind == "O":
            assert [(type(v), repr(v)) for v in values.flat] == [(type(v), repr(v)) for v in found.flat]
        else:
            assert found.tobytes() == values.tobytes()


def writer(path, who, count, **kwargs):
    command = [sys.executable, "-c", WRITER, str(path), who, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **kwargs)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.sqlite"


@pytest.fixture
def outsider():
    """A folder that one who is not root can reach, and that one's rights while the test runs."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        me = os.geteuid()
        yield place, lambda: os.seteuid(65534) if me == 0 else None
        os.seteuid(me)
        place.chmod(0o755)


KINDS = (np.bool_, np.int64, np.float32, np.float64, "<U5", "datetime64[ns]")
PLAIN_VALUES = st.one_of(st.text(max_size=5), st.integers(), st.floats(), st.booleans(), st.none())


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(st.sampled_from(KINDS), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    hnp.arrays(object, hnp.array_shapes(max_dims=2, max_side=4), elements=PLAIN_VALUES),
    st.dictionaries(st.text(max_size=4), PLAIN_VALUES.filter(lambda v: v == v), max_size=4),
)
def test_cells_are_packed_exactly(values, objects, meta):
    put = Cell(meta, {"values": values, "turned": values.T, "objects": objects})
    same(put, unpacked(packed(put)))


def test_cells_come_back_from_the_file(path):
    put = Cell(
        {"said": "é\ud800", "nothing": None}, {"labels": np.array(["a", 3, None], object), "share": np.eye(3)}
    )
    with Store.open(path) as store:
        store.put({b"k": put})
        same(put, store.get([b"k"])[b"k"])
    with Store.open(str(path)) as store:
        same(put, store.get([b"k"])[b"k"])
        assert store.notes == []


def test_more_keys_than_one_statement_takes(path):
    keys = [key_of(i) for i in range(1300)]
    with Store.open(path) as store:
        store.put({k: cell(i) for i, k in enumerate(keys)})
        found = store.get([*keys, key_of("never put")])
    assert set(found) == set(keys)
    assert found[keys[1299]].meta == {"i": 1299}


def test_the_file_is_all_there_is_after_closing_and_its_size_grows(path):
    with Store.open(path) as store:
        before = store.size
        store.put({b"k": Cell({}, {"a": np.zeros(100_000)})})
        assert store.size >= before + 800_000
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with Store.open(path) as store:
        assert store.get([b"k"])[b"k"].arrays["a"].size == 100_000


def test_keys_tell_parts_and_kinds_apart():
    parts = [
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        ("1",),
        (1,),
        (1.0,),
        (True,),
        (None,),
        ("None",),
        (),
        ("",),
        ("", ""),
    ]
    assert len({key_of(*p) for p in parts}) == len(parts)
    assert key_of(np.float64(0.1)) == key_of(0.1)
    with pytest.raises(TypeError, match="made of text"):
        key_of([1])


def test_what_cannot_be_stored_is_said_once_and_the_rest_is_stored(path):
    strange = Cell({}, {"a": np.array([object()])})
    with Store.open(path) as store:
        store.put({b"bad": strange, b"good": cell()})
        store.put({b"bad": strange})
        assert list(store.get([b"bad", b"good"])) == [b"good"]
        assert len(store.notes) == 1
        assert "an array holds object" in store.notes[0]


@pytest.mark.parametrize("what", ["payload", "checksum", "type", "swapped"])
def test_damaged_rows_are_set_aside_and_can_be_stored_again(path, what):
    with Store.open(path) as store:
        store.put({b"bad": cell(1), b"good": cell(2)})
        with sqlite3.connect(path) as other:
            if what == "swapped":  # a sound payload under another cell's key
                good = other.execute(
                    "SELECT payload, checksum FROM cells WHERE key = ?", [b"good"]
                ).fetchone()
                other.execute("UPDATE cells SET payload = ?, checksum = ? WHERE key = ?", [*good, b"bad"])
            elif what == "type":
                other.execute("UPDATE cells SET payload = 7 WHERE key = ?", [b"bad"])
            else:
                held = bytearray(
                    other.execute(f"SELECT {what} FROM cells WHERE key = ?", [b"bad"]).fetchone()[0]
                )
                held[len(held) // 2] ^= 1
                other.execute(f"UPDATE cells SET {what} = ? WHERE key = ?", [bytes(held), b"bad"])
        other.close()
        assert list(store.get([b"bad", b"good"])) == [b"good"]
        assert store.notes == [
            "1 stored cell was damaged (checksum): set aside in `answers.sqlite`, table `damaged`, and measured again"
        ]
        store.put({b"bad": cell(1)})
        same(cell(1), store.get([b"bad"])[b"bad"])
        assert len(store.notes) == 1
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT key FROM damaged").fetchall() == [(b"bad",)]
    other.close()


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_of_the_file_never_give_a_wrong_cell(path, seed):
    keys = [key_of(i) for i in range(60)]
    with Store.open(path) as store:
        store.put({k: cell(i) for i, k in enumerate(keys)})
    held = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    pages = rng.integers(0, len(held) // 4096, 4) * 4096 + rng.integers(
        0, 200, 4
    )  # where SQLite keeps its own books
    for place in [*pages, *rng.integers(100, len(held), 20)]:
        held[place] ^= 1 << rng.integers(8)
    path.write_bytes(held)
    with Store.open(path) as store:
        for i, k in enumerate(keys):
            for found in store.get([k]).values():
                same(cell(i), found)
        assert store.notes
        store.put({k: cell(i) for i, k in enumerate(keys)})
        if not any("stopped" in note for note in store.notes):
            assert set(store.get(keys)) == set(keys)


def test_a_torn_file_is_set_aside_with_its_companions_for_a_fresh_one(path):
    with Store.open(path) as store:
        store.put({key_of(i): cell(i) for i in range(200)})
    torn = path.read_bytes()[:20_000]
    path.write_bytes(torn)
    Path(f"{path}-wal").write_bytes(b"left over")
    with Store.open(path) as store:
        store.get([key_of(i) for i in range(200)])
        store.put({b"k": cell()})
        assert set(store.get([b"k"])) == {b"k"}
        assert store.notes == [
            "the store `answers.sqlite` was damaged as a whole: set aside as `answers.sqlite.damaged-1`, a fresh one was made"
        ]
    assert Path(f"{path}.damaged-1").stat().st_size == len(torn)


def test_a_broken_head_is_known_as_ours_and_set_aside(path):
    for number in (1, 2):
        with Store.open(path) as store:
            store.put({b"k": cell()})
        held = bytearray(path.read_bytes())
        held[:4] = b"\0\0\0\0"
        path.write_bytes(held)
        with Store.open(path) as store:
            assert store.get([b"k"]) == {}
        assert Path(f"{path}.damaged-{number}").read_bytes() == held


def test_another_version_is_set_aside(path):
    with Store.open(path) as store:
        store.put({b"k": cell()})
    with sqlite3.connect(path) as other:
        other.execute("UPDATE about SET value = 99 WHERE name = 'schema'")
    other.close()
    with Store.open(path) as store:
        assert store.get([b"k"]) == {}
        assert (
            "`answers.sqlite` was written by another version: set aside as `answers.sqlite.version-1`"
            in store.notes[0]
        )
    with sqlite3.connect(f"{path}.version-1") as other:
        assert other.execute("SELECT count(*) FROM cells").fetchone() == (1,)
    other.close()


def test_files_of_others_are_left_as_they_are(tmp_path):
    table, database = tmp_path / "table.csv", tmp_path / "their.db"
    table.write_text("a,b\n1,2\n" * 2000)
    with sqlite3.connect(database) as other:
        other.execute("CREATE TABLE t (a)")
    other.close()
    for file in (table, database):
        before = file.read_bytes()
        with pytest.raises(SettingError, match="no store of hormesis, and it is left as it is"):
            Store.open(file)
        assert file.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (True, "give the name of a file"),
        (".", "a folder; give the name of a file in it"),
        ("/no/such/folder/s.sqlite", "there is no folder `/no/such/folder`: make it first"),
        ("/proc/s.sqlite", "cannot be opened there. Give a file in a local folder"),
    ],
)
def test_places_that_cannot_be(given, said):
    with pytest.raises(SettingError, match=said):
        Store.open(given)


def test_a_read_only_folder_and_a_read_only_file(outsider):
    folder, become = outsider
    path = folder / "s.sqlite"
    with Store.open(path) as store:
        store.put({b"k": cell()})
    path.chmod(0o444)
    become()
    with pytest.raises(SettingError, match="Give a file in a local folder that can be written"):
        Store.open(path)
    with pytest.raises(SettingError, match="Give a file in a local folder that can be written"):
        Store.open(folder / "new.sqlite")


def test_a_file_that_may_not_be_read(outsider):
    folder, become = outsider
    path = folder / "s.sqlite"
    Store.open(path).close()
    path.chmod(0)
    become()
    with pytest.raises(SettingError, match="Permission denied\\. Give a file that can be read and written"):
        Store.open(path)


def test_a_full_disk_stops_storing_and_nothing_is_raised_or_lost(path):
    with Store.open(path) as store:
        store.put({b"k": cell()})
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        for i in range(3):
            store.put({key_of(i): Cell({}, {"a": np.zeros(10_000)})})
        assert store.notes == [
            "storing in `answers.sqlite` stopped (the disk is full): the results are complete, but not all are stored"
        ]
        same(cell(), store.get([b"k"])[b"k"])
    with Store.open(path) as store:
        assert set(store.get([b"k", key_of(0)])) == {b"k"}
        assert store.notes == []


def test_a_disk_that_refuses_to_write_stops_storing(path):
    """The kernel itself refuses: no file of this process may grow above 200 kB."""
    script = WRITER.replace("    assert not store.notes, store.notes\n", "    print(*store.notes)\n")
    limited = subprocess.run(
        [sys.executable, "-c", script, str(path), "w", "40"],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )
    assert "storing in `answers.sqlite` stopped" in limited.stdout
    with Store.open(path) as store:
        found = store.get([key_of("w", i) for i in range(40)])
        assert 3 <= len(found) < 40
        assert store.notes == []


def test_a_file_held_by_another_program_stops_storing(path, monkeypatch):
    monkeypatch.setattr("hormesis.engine.store.PATIENCE", 0.1)
    with Store.open(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        store.put({b"k": cell()})
        other.execute("ROLLBACK")
        other.close()
        assert "stopped (another program holds the file)" in store.notes[0]


def test_several_processes_write_at_once_to_a_file_that_none_has_made(path):
    writers = [writer(path, who, 40) for who in "abcd"]
    for process in writers:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with Store.open(path) as store:
        found = store.get([key_of(who, i) for who in "abcd" for i in range(40)])
        assert len(found) == 160
        assert found[key_of("c", 39)].arrays["a"][0] == 39
        assert store._connection.execute("PRAGMA integrity_check").fetchone() == (b"ok",)


@pytest.mark.parametrize("after", [0, 3, 17, 40])
def test_a_killed_writer_loses_nothing_that_it_had_stored(path, after):
    process = writer(path, "w", 100_000)
    said = [process.stdout.readline() for _ in range(after)]
    time.sleep(0.003 * after if after else 0.15)
    process.send_signal(signal.SIGKILL)
    said += process.communicate(timeout=60)[0].splitlines(keepends=True)
    count = sum(line.endswith("\n") for line in said)
    with Store.open(path) as store:
        found = store.get([key_of("w", i) for i in range(count + 1)])
        assert {key_of("w", i) for i in range(count)} <= set(found)
        assert all(c.arrays["a"][0] == c.meta["i"] for c in found.values())
        assert store._connection.execute("PRAGMA integrity_check").fetchone() == (b"ok",)
        assert store.notes == []


def test_an_interrupted_put_leaves_no_trace_and_no_lock(path, monkeypatch):
    with Store.open(path) as store:

        def cells():
            yield b"a", b"payload", b"checksum"
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store._write([("INSERT INTO cells VALUES (?, ?, ?)", cells())])
        with Store.open(path) as other:
            other.put({b"k": cell()})
            assert other.notes == []
        assert set(store.get([b"a", b"k"])) == {b"k"}


def test_threads_share_a_store(path):
    with Store.open(path) as store:

        def work(who):
            for i in range(50):
                store.put({key_of(who, i): cell(i)})
                store.get([key_of(who, j) for j in range(i + 1)])

        threads = [threading.Thread(target=work, args=(who,)) for who in "abcd"]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(store.get([key_of(who, i) for who in "abcd" for i in range(50)])) == 200
        assert store.notes == []


def test_a_store_renewed_by_one_process_stays_usable_for_another(path):
    """Both find the same damage, one after the other: the second must not put aside what the first has made."""
    with Store.open(path) as one, Store.open(path) as other:
        other.put({b"k": cell()})
        for store in (one, other):
            store._failed(sqlite3_error(), "read")
        one.put({b"n": cell(1)})
        other.put({b"m": cell(3)})
        assert set(other.get([b"k", b"n", b"m"])) == {b"n", b"m"}
        assert [len(one.notes), len(other.notes)] == [1, 0]
    with Store.open(path) as store:
        assert set(store.get([b"k", b"n", b"m"])) == {b"n", b"m"}
        assert store.notes == []
    with sqlite3.connect(f"{path}.damaged-1") as other:
        assert other.execute("SELECT count(*) FROM cells").fetchone() == (1,)
    other.close()


def sqlite3_error():
    """Return the very error that SQLite raises of a malformed file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
        connection = sqlite3.connect(Path(folder, "x"))
        with pytest.raises(sqlite3.DatabaseError) as caught:
            connection.execute("SELECT * FROM sqlite_schema")
        connection.close()
    return caught.value

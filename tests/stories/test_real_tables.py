"""The main job on real tables, small: raw columns, blanks, ids, classes in words, numbers to predict."""

import os
from pathlib import Path

import pytest

from hormesis import harden, stress
from hormesis.files.sources import read
from hormesis.hardening import train_default

DATA = Path(os.environ.get("HORMESIS_DATA", Path(__file__).parents[3] / "shared" / "data"))
TABLES = {
    "adult/clean.csv": "income",
    "tables/TelcoChurn.csv": "Churn",
    "tables/CaliforniaHousing.csv": "MedHouseVal",
    "tables/BikeSharing.csv": "cnt",
}
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the tables are not part of the repository: set HORMESIS_DATA to their folder"
)


@pytest.mark.parametrize("name", TABLES)
def test_harden_gives_an_answer_with_a_proof(name):
    source = read(str(DATA / name), TABLES[name])
    noises = [n for n in ("MissingValues", "CategorySwap") if n == "MissingValues" or "tables/C" not in name]
    if "Bike" in name:
        noises = ["MissingValues"]
    result = harden(
        None, source.X, source.y, noises=noises, held_out=["Outliers"], levels=[0.1, 0.4],
        max_rows=1500, search_rows=500, cv=2, copies=1,
    )  # fmt: skip
    assert result.verdict in ("harden", "keep")
    assert result.proof.provenance.sampled.startswith("1,500 of ")
    assert all(None not in c.score for c in result.proof.curves)
    for row in result.table().to_dict("records"):
        assert row["before"]


def test_a_dirty_table_scores_worse_than_its_clean_twin():
    clean, dirty = (read(str(DATA / "adult" / f"{kind}.csv"), "income") for kind in ("clean", "dirty"))
    assert "row numbers" in clean.notes[0]
    model, X, y, profile, _ = train_default(clean.X[:6000], clean.y[:6000], seed=0)
    result = stress(model, X, y, noises="MissingValues", levels=[0.3], profile=profile)
    assert result.curves[0].score[0] < result.curves[0].clean
    rows = X.index
    assert model.score(dirty.X.iloc[rows], clean.y.iloc[rows]) < model.score(
        clean.X.iloc[rows], clean.y.iloc[rows]
    )


def test_the_default_model_answers_alike_twice():
    source = read(str(DATA / "adult" / "clean.csv"), "income")
    first, second = (train_default(source.X[:3000], source.y[:3000], seed=0) for _ in range(2))
    assert (first[0].predict_proba(first[1]) == second[0].predict_proba(second[1])).all()

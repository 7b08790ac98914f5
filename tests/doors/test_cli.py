"""The command line as a stranger meets it: real processes, real files, one sentence for each mistake."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from hormesis import Recipe


def run(words, cwd=None):
    command = [sys.executable, "-m", "hormesis", *words.split()]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli")
    r = np.random.default_rng(0)
    n = 400
    table = pd.DataFrame(
        {
            "age": r.integers(18, 90, n),
            "income": r.normal(3000, 500, n).round(2),
            "city": r.choice(["Bern", "Genf", "Basel"], n),
        }
    )
    table["paid"] = np.where(table.age + r.normal(0, 10, n) > 50, "yes", "no")
    table.to_csv(path / "table.csv", index=False)
    table.to_parquet(path / "table.parquet")
    (path / "empty.csv").write_text("")
    (path / "header.csv").write_text("a,b\n")
    (path / "twice.csv").write_text("a,a,y\n1,2,0\n3,4,1\n")
    (path / "binary.csv").write_bytes(bytes(range(256)) * 10)
    (path / "bad.parquet").write_text("this is not parquet")
    table.assign(paid="yes").to_csv(path / "oneclass.csv", index=False)
    table.assign(paid=3.5).to_csv(path / "constant.csv", index=False)
    table.assign(void=np.nan).to_csv(path / "void.csv", index=False)
    table.assign(income=np.where(table.age > 80, np.inf, table.income)).to_csv(
        path / "infinite.csv", index=False
    )
    table[["paid"]].to_csv(path / "alone.csv", index=False)
    (path / "recipe.yaml").write_text(
        Recipe.from_dict({"steps": [{"noise": "MissingValues", "level": 0.2}]}).to_yaml()
    )
    (path / "wrong.yaml").write_text(
        "steps:\n- noise: Typo\n- {noise: Outliers, level: 7}\n- {noise: Shift, direktion: up}\n"
    )
    (path / "model.pkl").write_bytes(b"x")
    (path / "raising.py").write_text(
        "def model(table):\n    raise RuntimeError('the database is down')\n"
        "def shy(table):\n    assert not table.isna().any().any(), 'no gaps please'\n    return (table.age > 50).map({True: 'yes', False: 'no'})\n"
    )
    return path


MISTAKES = {
    "no such file": ("stress gone.csv --target paid", "`gone.csv` is not a file"),
    "an empty file": ("stress empty.csv --target paid", "`empty.csv` is empty"),
    "a header alone": ("harden header.csv --target b", "has a header and no rows"),
    "not a table": ("stress binary.csv --target paid", "is not a readable CSV file"),
    "not parquet": ("stress bad.parquet --target paid", "is not a readable Parquet file"),
    "repeated names": ("harden twice.csv --target y", "names `a` more than once"),
    "a typo in the target": ("harden table.csv --target piad", "Did you mean `paid`?"),
    "no target": ("stress table.csv", "Say --target NAME"),
    "the target alone": ("stress alone.csv --target paid", "nothing but the target"),
    "one class": ("harden oneclass.csv --target paid", "one class only"),
    "a constant target": ("stress constant.csv --target paid", "nothing to learn"),
    "an empty column": ("harden void.csv --target paid", "No value in any row of `void`"),
    "infinities": ("stress infinite.csv --target paid", "infinite values"),
    "a level of 7": ("stress table.csv --target paid --noise Typos --levels 7", "Did you mean 0.07?"),
    "levels in words": ("stress table.csv --target paid --levels much", "give numbers with commas"),
    "an unknown noise": ("stress table.csv --target paid --noise Typoes", "Did you mean `Typos`?"),
    "an unknown scorer": ("stress table.csv --target paid --scoring roc_acu", "Did you mean `roc_auc`"),
    "a wrong recipe": ("recipe check wrong.yaml", "steps[1]"),
    "no such recipe": ("apply table.csv --recipe gone.yaml --out x.csv", "cannot be read"),
    "a pickle": ("stress table.csv --target paid --model model.pkl", "can run any code"),
    "no such model": ("stress table.csv --target paid --model nowhere:model", "cannot be imported"),
    "a model that raises": ("stress table.csv --target paid --model raising:model", "the database is down"),
    "no such bundle": ("stress sklearn:brest_cancer", "Did you mean `breast_cancer`?"),
    "an output nowhere": (
        "stress table.csv --target paid --html gone/report.html",
        "its folder does not exist",
    ),
    "an output of no kind": (
        "apply table.csv --recipe recipe.yaml --out noisy.doc",
        "written as .csv or .parquet",
    ),
    "a table over itself": ("apply table.csv --recipe recipe.yaml --out table.csv", "would overwrite it"),
    "a file for a folder": ("harden table.csv --target paid --out table.csv", "give a folder"),
    "an unknown option": ("stress table.csv --tarjet paid", "No such option"),
    "an unknown noise to show": ("noises Typoes", "Did you mean `Typos`?"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_clear_sentence_and_exit_code_2(case, folder):
    words, said = MISTAKES[case]
    before = sorted(p.name for p in folder.iterdir())
    done = run(words, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert said in " ".join((done.stderr + done.stdout).split())
    assert "Traceback" not in done.stderr
    assert [p for p in sorted(p.name for p in folder.iterdir()) if p != "__pycache__"] == before


def test_all_mistakes_of_a_recipe_come_at_once(folder):
    said = run("recipe check wrong.yaml", cwd=folder).stderr
    assert "`Typo` is unknown. Did you mean `Typos`?" in said
    assert "Did you mean 0.07?" in said
    assert "Did you mean `direction`?" in said


def test_a_model_that_raises_under_noise_is_a_result(folder):
    words = "stress table.csv --target paid --model raising:shy --noise MissingValues --scoring accuracy"
    done = run(words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "the model raises AssertionError: no gaps please" in done.stdout


def test_stress_says_the_verdict_and_writes_the_files(folder):
    words = "stress table.parquet --target paid --noise Outliers --noise Typos --levels 0.1,0.5 --json r.json --html r.html"
    done = run(words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "outliers: " in done.stdout
    result = json.loads((folder / "r.json").read_text())
    assert result["schema_version"] == 2
    assert {c["noise"] for c in result["curves"]} == {"outliers", "typos"}
    assert (folder / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert "stress: 4 of 4" in done.stderr


def test_a_plan_says_what_would_be_run_and_runs_nothing(folder):
    done = run("stress table.csv --target paid --noise Outliers --plan --json plan.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "outliers: 12 levels from 1 % to 50 %, searched" in done.stdout
    assert "predicted rows" in done.stdout
    assert not (folder / "plan.json").exists()


def test_a_search_by_column_with_limits_and_a_store(folder):
    words = "stress table.csv --target paid --noise MissingValues --by-column --store kept.sqlite --thresholds limits.yaml"
    first = run(words, cwd=folder)
    assert first.returncode == 0, first.stderr
    limits = (folder / "limits.yaml").read_text()
    assert " alone: " in first.stdout
    assert "missing-values@income" in limits
    again = run(words, cwd=folder)
    assert (folder / "limits.yaml").read_text() == limits
    assert "came from the store" in again.stdout
    strip = lambda text: [line for line in text.splitlines() if "predicted" not in line]  # noqa: E731
    assert strip(first.stdout) == strip(again.stdout)


def test_scenarios_say_what_noise_costs_where(folder):
    done = run(
        "scenarios table.csv --target paid --noise MissingValues --levels 0.3 --repeats 2 --json s.json",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert "test only loses" in done.stdout or "test only gains" in done.stdout
    assert json.loads((folder / "s.json").read_text())["cells"]


def test_json_on_the_output_is_json_alone(folder):
    done = run("stress table.csv --target paid --noise Outliers --levels 0.1 --json -", cwd=folder)
    assert json.loads(done.stdout)["finished"] is True


def test_harden_writes_recipe_result_and_a_model_that_stress_loads(folder):
    words = (
        "harden table.csv --target paid --noise Outliers --noise MissingValues --levels 0.1,0.3 --out hard"
    )
    done = run(words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith(("Hardened with", "Keep your model"))
    Recipe.load(folder / "hard" / "recipe.yaml")
    assert json.loads((folder / "hard" / "result.json").read_text())["trials"]
    again = run(
        "stress table.csv --target paid --model hard/model.skops --noise Outliers --levels 0.1", cwd=folder
    )
    assert again.returncode == 0, again.stderr


def test_apply_changes_what_was_asked_and_says_it(folder):
    done = run("apply table.csv --recipe recipe.yaml --out noisy.csv --seed 3", cwd=folder)
    assert done.returncode == 0, done.stderr
    noisy, clean = pd.read_csv(folder / "noisy.csv"), pd.read_csv(folder / "table.csv")
    lost = noisy.isna().mean()
    assert ((lost > 0.1) & (lost < 0.3)).all()
    assert f"income: {100 * lost['income']:.2f} % of cells changed" in done.stdout
    assert (noisy.income.dropna() == clean.income[noisy.income.notna()]).all()


def test_noises_and_schema_are_listed():
    listed = run("noises").stdout
    assert "MissingValues" in listed
    assert "fraction" in listed
    shown = run("noises missingvalues").stdout
    assert "Source: Rubin (1976)" in shown
    assert "level" in shown
    schema = json.loads(run("recipe schema").stdout)
    assert {s["title"] for s in schema["properties"]["steps"]["items"]["oneOf"]} >= {"Typos", "Shift"}


def test_ctrl_c_leaves_what_is_finished(folder):
    words = "stress table.csv --target paid --repeats 32 --noise Outliers --noise Typos --noise SwapNoise --json partial.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "hormesis", *words.split()], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith("stress:"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    result = json.loads((folder / "partial.json").read_text())
    assert not result["finished"]
    assert 1 <= len(result["curves"]) <= 3
    assert any("interrupted" in note for note in result["notes"])
    assert out


def test_help_has_examples_and_is_quick():
    started = time.process_time()
    done = run("harden --help")
    assert "Example: hormesis harden" in " ".join(done.stdout.split())
    assert time.process_time() - started < 5

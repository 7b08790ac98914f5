"""Importing is light: nothing heavy is loaded before it is used."""

import ast
import subprocess
import sys

import pytest

HEAVY = ("sklearn", "pandas", "torch", "bokeh", "skrub", "polars", "pyarrow", "numba")


@pytest.mark.parametrize(
    "code",
    [
        "import hormesis; dir(hormesis)",
        "import sys; sys.argv = ['hormesis', '--help']\nfrom hormesis.cli import main\ntry: main()\nexcept SystemExit: pass",
    ],
    ids=["import", "help"],
)
def test_loads_nothing_heavy(code):
    report = f"{code}\nimport sys; sys.stderr.write(' '.join(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""


EXTRAS = {
    "hormesis/fast.py": {"numba"},
    "hormesis/display.py": {"matplotlib"},
    "thresholds/schema.py": {"pandera", "polars"},
}


def imported(path):
    """Return the packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_the_package_imports_only_what_it_says_it_needs():
    import re
    import tomllib
    from pathlib import Path

    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    named = {re.split(r"[<>=\[]", d)[0].lower() for d in project["dependencies"]}
    said = {"scikit-learn": "sklearn", "pyyaml": "yaml"}
    through = {"scipy", "joblib", "threadpoolctl", "annotated_types", "pydantic_core", "jinja2", "markupsafe"}
    allowed = {said.get(n, n) for n in named} | through | {"hormesis", "skops"}
    allowed |= set(sys.stdlib_module_names)
    nets = {"torch", "skorch"}
    adapters = {"lightning", "transformers"}
    for path in (root / "src").rglob("*.py"):
        room = set(path.parts)
        deep = nets if room & {"torch", "theory"} else set()
        deep |= adapters if "adapters" in room else set()
        deep |= EXTRAS.get("/".join(path.parts[-2:]), set())
        for line in imported(path):
            assert line in allowed | deep, f"{path.name} imports {line}"


def test_every_public_name_is_there_and_is_no_module():
    import inspect

    import hormesis

    for name in hormesis.__all__:
        assert not inspect.ismodule(getattr(hormesis, name))
        assert getattr(hormesis, name).__doc__
    with pytest.raises(AttributeError):
        _ = hormesis.nothing

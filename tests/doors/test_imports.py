"""Importing is light: nothing heavy is loaded before it is used."""

import subprocess
import sys

import pytest

HEAVY = ("sklearn", "pandas", "torch", "bokeh", "skrub", "polars", "pyarrow")


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


def test_every_public_name_is_there_and_is_no_module():
    import inspect

    import hormesis

    for name in hormesis.__all__:
        assert not inspect.ismodule(getattr(hormesis, name))
        assert getattr(hormesis, name).__doc__
    with pytest.raises(AttributeError):
        _ = hormesis.nothing

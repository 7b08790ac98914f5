"""Hypothesis tries the same examples in every run; what needs a package that is not installed is left out.

Set HORMESIS_SEARCH to let Hypothesis look for new examples. This file lies beside the tests' folder and not in it: pytest puts
its folder on the path of imports, where tests/torch would pass for the library.
"""

import importlib.util
import os
import re
from pathlib import Path

from hypothesis import Phase, settings

brief = (Phase.explicit, Phase.generate, Phase.shrink)
settings.register_profile(
    "same", derandomize=True, deadline=None, max_examples=15, database=None, phases=brief
)
settings.register_profile("search", deadline=None, max_examples=500)
settings.load_profile("search" if "HORMESIS_SEARCH" in os.environ else "same")

ROOT = Path(__file__).parent
collect_ignore = []


def lacks(*packages):
    """Tell whether one of these is not installed."""
    return any(importlib.util.find_spec(package) is None for package in packages)


if lacks("torch"):
    loads = re.compile(r">>> (import|from) (hormesis\.)?torch")
    pages = [p for p in ROOT.glob("docs/**/*.md") if loads.search(p.read_text("utf-8"))]
    collect_ignore += ["tests/torch", "src/hormesis/torch", *map(str, pages)]
if lacks("matplotlib"):
    collect_ignore += ["src/hormesis/display.py"]
if lacks("matplotlib", "pandera"):
    collect_ignore += ["docs/guide/stress-that-can-be-trusted.md"]

"""Hypothesis tries the same examples in every run; set HORMESIS_SEARCH to let it look for new ones."""

import importlib.util
import os
import sys

from hypothesis import Phase, settings

brief = (Phase.explicit, Phase.generate, Phase.shrink)
settings.register_profile(
    "same", derandomize=True, deadline=None, max_examples=15, database=None, phases=brief
)
settings.register_profile("search", deadline=None, max_examples=500)
settings.load_profile("search" if "HORMESIS_SEARCH" in os.environ else "same")

library = importlib.util.find_spec("torch")
if library is None or library.origin is None:  # without it, `torch` would be the folder tests/torch
    sys.modules["torch"] = None  # type: ignore[assignment]
    collect_ignore = ["torch"]

"""Hypothesis tries the same examples in every run; set HORMESIS_SEARCH to let it look for new ones."""

import os

from hypothesis import Phase, settings

brief = (Phase.explicit, Phase.generate, Phase.shrink)
settings.register_profile(
    "same", derandomize=True, deadline=None, max_examples=15, database=None, phases=brief
)
settings.register_profile("search", deadline=None, max_examples=500)
settings.load_profile("search" if "HORMESIS_SEARCH" in os.environ else "same")

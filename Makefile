# Each target makes what it needs: nothing but Python 3.11+, git and make is assumed.
PYTHON ?= python3
DEV := .venv
CORE := .venv-core
JOBS ?= 2
OLDEST := .venv-oldest
NEWEST := .venv-newest
# no torch, so that conftest.py leaves out what needs it: its versions are another question, all else has to work without it
GUESTS := hypothesis polars pytest pytest-xdist
# one OpenMP thread for each test process: threads that wait for each other cost more than they bring
ONE := OMP_NUM_THREADS=1

.PHONY: help demo test test-slow test-oldest test-newest check bench clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(CORE)/.made ## Install the package alone, harden a model on real data, prove it
	$(CORE)/bin/hormesis harden sklearn:breast_cancer --out demo-output --html demo-output.html

test: $(DEV)/.made ## Run the tests
	$(ONE) $(DEV)/bin/python -m pytest -n $(JOBS) -m "not slow"

test-slow: $(DEV)/.made ## Run the sweeps that take minutes
	$(ONE) $(DEV)/bin/python -m pytest -n $(JOBS) -m slow

test-oldest: $(OLDEST)/.made ## Run the tests without torch on the oldest supported versions
	$(ONE) $(OLDEST)/bin/python -m pytest -n $(JOBS) -m "not slow"

test-newest: $(NEWEST)/.made ## Run the tests without torch on the newest versions there are
	$(ONE) $(NEWEST)/bin/python -m pytest -n $(JOBS) -m "not slow"

check: $(DEV)/.made ## Lint, format, types, floors
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

bench: $(DEV)/.made ## Time the noises against plain NumPy and torch, as ratios in one run
	$(DEV)/bin/python bench/apply.py
	$(DEV)/bin/python bench/fast.py
	$(DEV)/bin/python bench/device.py
	$(DEV)/bin/python bench/torch_peers.py

clean: ## Remove what the targets made
	rm -rf $(DEV) $(CORE) $(OLDEST) $(NEWEST) demo-output demo-output.html

$(CORE)/.made: pyproject.toml constraints.txt $(shell find src -type f -not -name '*.pyc')
	$(PYTHON) -m venv $(CORE)
	$(CORE)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt .
	@touch $@

$(DEV)/.made: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

$(OLDEST)/.made: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-oldest.txt -e ".[fast,models]" $(GUESTS)
	@touch $@

$(NEWEST)/.made: pyproject.toml
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager -e ".[models]" $(GUESTS)
	@touch $@

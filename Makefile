# `make demo` and `make test` need Python 3.11+ and nothing else; PYTHON=python3.12 chooses another.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests run in two processes; without this, each would start a thread per core in every library.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# Each process takes a half of the files in a row, so that a module's fixtures are made once; who is done takes over.
TWO := -n 2 --dist worksteal

.PHONY: install install-cpu demo browser postgres snakemake test slow gpu soak fire lint types format api clean

install: $(VENV)/installed

# Builds without GPU support, first, so that pip finds torch there already; docs/dependencies.md has the sizes.
# xgboost-cpu has the same folder as xgboost, which therefore goes first.
install-cpu: | $(VENV)/bin/python
	$(BIN)/python -m pip install --index-url https://download.pytorch.org/whl/cpu torch torchvision
	$(BIN)/python -m pip install -e .
	$(BIN)/python -m pip uninstall -y xgboost nvidia-nccl-cu12
	$(BIN)/python -m pip install xgboost-cpu
	@touch $(VENV)/installed

demo: $(VENV)/installed
	rm -rf demo && mkdir demo
	$(BIN)/lymphofeat simulate demo/cohort --patients 60 --seed 1
	$(BIN)/lymphofeat check demo/cohort
	$(BIN)/lymphofeat extract demo/cohort --cache demo/features.h5
	$(BIN)/lymphofeat compare demo/cohort --cache demo/features.h5
	$(BIN)/lymphofeat tune --cache demo/features.h5 --study demo/study.db --trials 60
	$(BIN)/lymphofeat evaluate --cache demo/features.h5 --study demo/study.db --trials 10
	$(BIN)/lymphofeat submit --cache demo/features.h5 --study demo/study.db --out demo/submission.csv
	head -n 4 demo/submission.csv
	$(BIN)/lymphofeat report --cache demo/features.h5 --study demo/study.db --out demo/report.html
	@echo "The report: $(CURDIR)/demo/report.html"

# Chromium and its driver, for the tests of the report: finds them, else installs Debian's packages (root or sudo).
browser:
	$(PYTHON) -m tests.browser.chromium

# PostgreSQL, for the tests of studies in it: finds it, else installs Debian's package (root or sudo).
postgres:
	$(PYTHON) -m tests.postgres.server

# Snakemake, for the test of docs/Snakefile, in an environment of its own: it holds SQLAlchemy to an older release.
snakemake: $(VENV)-snakemake/bin/snakemake

$(VENV)-snakemake/bin/snakemake:
	$(PYTHON) -m venv $(VENV)-snakemake
	$(VENV)-snakemake/bin/python -m pip install --quiet --disable-pip-version-check snakemake

test: $(VENV)/installed-dev
	$(ONE_THREAD) $(BIN)/python -m pytest $(TWO) $(PYTEST)

slow: $(VENV)/installed-dev
	$(ONE_THREAD) $(BIN)/python -m pytest $(TWO) -m slow -o timeout=1800 $(PYTEST)

# What only a GPU shows; fails where torch finds none.
gpu: $(VENV)/installed-dev
	LYMPHOFEAT_NEEDS_GPU=1 $(BIN)/python -m pytest tests/gpu $(PYTEST)

soak: $(VENV)/installed-dev
	$(ONE_THREAD) $(BIN)/python -m tests.soak $(SOAK)

# Kills and damaged files by tests/fire/__main__.py, then all that tests/fire tests besides.
fire: $(VENV)/installed-dev
	$(ONE_THREAD) $(BIN)/python -m tests.fire $(FIRE)
	$(ONE_THREAD) $(BIN)/python -m pytest tests/fire -m "slow or not slow" -o timeout=1800

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# docs/api.md from the docstrings; a test holds the page to them.
api: $(VENV)/installed-dev
	$(BIN)/python docs/make_api.py

clean:
	rm -rf $(VENV) $(VENV)-snakemake demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is older than 3.11; give another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV): torch brings about 5 GB, a minute or more on a fast line …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-dev: setup.cfg pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV): torch brings about 5 GB, a minute or more on a fast line …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(VENV)/installed $@

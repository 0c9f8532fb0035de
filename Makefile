# `make demo` and `make test` install everything in .venv. Only `make profiles` writes elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Part of the wheel, with a configuration and tests of its own.
LEPTON := workflow/snakemake-executor-plugin-lepton
# Eight tests at a time, because most tests wait. Tests of one test bed run one after the other
# (tests/conftest.py).
PYTEST ?= -n 8

# Tests start many Pythons. With bytecode, none of them compiles snakeval or the tests again.
export PYTHONDONTWRITEBYTECODE :=

# Seconds that each campaign plays its next seeds.
CAMPAIGN_SECONDS ?= 45

# An environment with the lowest versions that pyproject.toml allows, and the tests of the packages
# that call libraries.
LOWEST := $(VENV)/lowest
LOWEST_TESTS ?= $(addprefix tests/unit/,cli config results exporters matrix harnesses)
LOWEST_TOOLS := pytest|pytest-xdist|hypothesis|cryptography|snakemake-executor-plugin-cluster-generic

.PHONY: demo test tests lowest campaigns engines docs reference tutorials lint english format profiles constraints clean

demo: $(VENV)/ready  ## two models on three benchmarks, and the table
	@$(BIN)/snakemake --profile profiles/local

# Lint runs beside the tests, most of which wait. A failure of one does not end the other.
test: $(VENV)/ready  ## what cannot run here is skipped and named; in CI a skip is a failure
	@$(MAKE) --no-print-directory --keep-going --jobs 2 lint tests

tests: $(VENV)/ready
	@LEPTON_NO_SKIPS=$(SNAKEVAL_REQUIRE_TESTBEDS) $(BIN)/pytest $(PYTEST)

lowest: $(LOWEST)/ready  ## not part of `make test`: a wrong lower bound fails here
	@$(LOWEST)/bin/pytest $(PYTEST) -W ignore $(LOWEST_TESTS)

campaigns: $(VENV)/ready  ## the next seeds of each campaign; tests/campaigns has their results
	@$(BIN)/python tests/campaigns/faults.py --seconds $(CAMPAIGN_SECONDS)
	@$(BIN)/python tests/campaigns/kills.py --seconds $(CAMPAIGN_SECONDS)
	@$(BIN)/python tests/campaigns/mutations.py --seconds $(CAMPAIGN_SECONDS)
	@$(BIN)/python tests/campaigns/edges.py --seconds $(CAMPAIGN_SECONDS)
	@$(BIN)/python tests/campaigns/budgets.py --seconds $(CAMPAIGN_SECONDS)
	@$(BIN)/python tests/campaigns/series.py --seconds $(CAMPAIGN_SECONDS)
	@$(BIN)/python tests/campaigns/alarms.py --seconds 10

engines: $(VENV)/ready  ## engine starts and scores of a series on a real vLLM: an hour, 3.5 GB
	@PYTHON=$(PYTHON) bash tests/testbed/vllm.sh
	@$(BIN)/python tests/campaigns/engines.py --append

# A warning fails the build: a link or an anchor that does not exist, a page without a place.
docs: $(VENV)/docs  ## the docs site in build/docs, which needs no other host
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The docs site is build/docs/index.html"

reference: $(VENV)/ready  ## the pages of docs/reference, from the code; a test compares them
	@PYTHONPATH=docs $(BIN)/python -m hooks.reference

tutorials: $(VENV)/ready  ## each command of the tutorials, typed; it takes minutes
	@$(BIN)/pytest $(PYTEST) tests/tutorials/typed.py

lint: $(VENV)/ready english
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@cd $(LEPTON) && $(CURDIR)/$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/snakefmt --check Snakefile rules
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --lint --quiet

english: $(VENV)/ready  ## the phrases of tests/lint/banned.txt, in all that people read
	@$(BIN)/python tests/lint/english.py

format: $(VENV)/ready
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/snakefmt Snakefile rules

# Link the profiles in ~/.config/snakemake, so that `snakemake --profile local` works from any
# directory. Profiles of your own stay.
profiles: $(VENV)/ready
	@$(BIN)/snakeval profiles install

# uv takes a fraction of pip's time, also because only what is imported gets compiled. It does not
# read pip's configuration: where only that names an index or a proxy, pip does it. Like pip, it
# trusts the certificates of the system, such as those of a company's proxy.
export UV_SYSTEM_CERTS ?= 1
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
install = { $(PIP) uv && $(BIN)/uv pip install --quiet \
	  --python $(BIN)/python $(call pinned,$(1)); } || $(PIP) $(call pinned,$(1))
pinned = --constraint constraints.txt --editable '.[$(1)]'

# The tested versions. `pip install snakeval` accepts all versions that pyproject.toml allows.
$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "snakeval requires Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "Creating $(VENV) with the pinned dependencies (once, some minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(call install,dev)
	@touch $@

# Not in `dev`, so that `make test` installs nothing for it.
$(VENV)/docs: $(VENV)/ready
	@$(call install,docs)
	@touch $@

# pip has no lowest resolution.
$(LOWEST)/ready: pyproject.toml constraints.txt
	@echo "Creating $(LOWEST) with the lowest dependencies (once, some minutes)"
	@rm -rf $(LOWEST) && $(PYTHON) -m venv $(LOWEST)
	@$(LOWEST)/bin/pip install --quiet --disable-pip-version-check uv
	@$(LOWEST)/bin/uv pip install --quiet --compile-bytecode --python $(LOWEST)/bin/python \
	  --resolution lowest-direct --editable '.[lepton,parquet,wandb,mlflow,gsheets,slurm]' \
	  $$(grep -E '^($(LOWEST_TOOLS))==' constraints.txt)
	@touch $@

constraints:
	@rm -rf $(VENV)/fresh && $(PYTHON) -m venv $(VENV)/fresh
	@$(VENV)/fresh/bin/pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	@$(VENV)/fresh/bin/pip freeze --exclude-editable > constraints.txt
	@rm -rf $(VENV)/fresh

clean:
	rm -rf $(VENV) .snakemake .mypy_cache .ruff_cache .pytest_cache

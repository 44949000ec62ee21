# What a person types. Every target sets up what it needs and is quick when nothing has changed.
PYTHON ?= python3
BIN := .venv/bin
RUN := runs/quickstart

.DEFAULT_GOAL := help
.PHONY: help demo test lint types docs check soak benchmark clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: .venv/installed ## train a small English-French model and show what it translates (about 2 minutes)
	$(BIN)/nmt train configs/quickstart.yaml --run-dir $(RUN) --replace
	@echo
	@echo "Now translate sentences of your own:"
	@echo "    $(BIN)/nmt repl $(RUN)"

test: .venv/installed-dev ## run the default tests
	$(BIN)/python -m pytest

lint: .venv/installed-dev ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev ## check types
	$(BIN)/mypy

docs: .venv/installed-dev ## write docs/configuration.md from the fields of nmt/config*.py
	$(BIN)/python scripts/configuration_docs.py

check: ## run everything that CI runs
	bash .ci/run

soak: .venv/installed-dev ## try for hours what the tests of reliability try for a minute (about 3 hours)
	$(BIN)/python -m pytest -m "slow or not slow" --soak 20 -rP tests/reliability tests/test_traps.py

benchmark: .venv/installed ## measure the speed and memory of training and translation on this machine (a few minutes)
	$(BIN)/python scripts/benchmark.py limit
	@echo
	$(BIN)/python scripts/benchmark.py train
	@echo
	$(BIN)/python scripts/benchmark.py decode

clean: ## remove the environments and all that was built; runs/ stays
	rm -rf .venv .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "nmt needs Python 3.11 or newer. Received: $(PYTHON) ($$($(PYTHON) --version 2>&1))." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

# A stamp each, so that nothing is installed twice; a change of the requirements installs anew.
.venv/installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the package and what it needs into .venv; TensorFlow alone is several hundred megabytes ..."
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[plots]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

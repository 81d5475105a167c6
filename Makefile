# The two commands to know: make race, make test. `make` alone lists the others.
.DEFAULT_GOAL := help
SHELL := bash

# PYTHON: the interpreter that .venv is made from
PYTHON ?= python3
# TORCH: another build of torch, as pip writes it (TORCH=torch==2.13.0+cpu)
TORCH ?=
# PIP_ARGS: more words for pip, such as the index that has that build
PIP_ARGS ?=
# BUDGET: training FLOPs of each contender in a race (BUDGET=1e13)
BUDGET ?=
# ARGS: more overrides for a race (ARGS="contenders=[k_exaone,llama] seeds=[0,1]")
ARGS ?=
export PYTHON TORCH PIP_ARGS

BIN := .venv/bin/python
# Two workers with one torch thread each; a file's tests stay together, so that it makes its fixtures once.
PYTEST := OMP_NUM_THREADS=1 $(BIN) -m pytest --quiet -n 2 --dist loadfile
CHECKS := lint types imports unit notebooks

.PHONY: help setup setup-notebooks setup-dev race lab test $(CHECKS) format clean

help: ## list the targets and the variables
	@echo "usage: make <target> [VARIABLE=value]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@awk -F ': ' '/^# [A-Z_]+: / { printf "  %-16s %s\n", substr($$1, 3), $$2 }' $(MAKEFILE_LIST)

setup: ## make .venv and install what a race needs
	@bash tools/setup.sh runtime

setup-notebooks: ## the same and Jupyter
	@bash tools/setup.sh notebooks

setup-dev: ## the same and everything that the checks need
	@bash tools/setup.sh dev

race: setup ## train every contender for equal FLOPs, judge them, write the report
	@$(BIN) -m experiments.race $(if $(BUDGET),budget_flops=$(BUDGET)) $(ARGS)

lab: setup-notebooks ## open the notebooks in JupyterLab
	@$(BIN) -m jupyter lab notebooks

test: setup-dev ## every check, stopping at the first that fails
	@for check in $(CHECKS); do \
	    echo "== $$check"; started=$$SECONDS; \
	    $(MAKE) --no-print-directory $$check || { echo "== $$check failed after $$((SECONDS - started)) s"; exit 1; }; \
	    echo "== $$check passed in $$((SECONDS - started)) s"; \
	done

lint: setup-dev ## style of the code (ruff)
	@$(BIN) -m ruff check . && $(BIN) -m ruff format --check . || { echo "make format puts most of it right"; exit 1; }

types: setup-dev ## types of lab/ and experiments/ (mypy)
	@$(BIN) -m mypy

imports: setup-dev ## which room may import which (import-linter)
	@.venv/bin/lint-imports --no-logo

unit: setup-dev ## tests/
	@$(PYTEST)

notebooks: setup-dev ## run every notebook from top to bottom
	@$(PYTEST) --nbmake --nbmake-timeout=300 --timeout=600 notebooks

format: setup-dev ## put the code into the style that lint asks for
	@$(BIN) -m ruff check --fix --quiet . ; $(BIN) -m ruff format --quiet .

clean: ## remove .venv and the tools' caches; runs and corpora stay
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build *.egg-info
	@find lab experiments tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

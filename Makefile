# Two commands do everything on a fresh machine: `make repro` runs the study, `make test` passes the tests.

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

STUDY ?= quick

.PHONY: help repro test lint readme same accept browse publish ui dashboard clean

help:  ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 16

repro: $(VENV)/installed  ## the default study: train, report, publish
	dvc repro

test: lint  ## lint, types and tests
	pytest

lint: $(VENV)/installed  ## style and types, without tests
	ruff check .
	ruff format --check .
	mypy

readme: $(VENV)/installed  ## put the tables of reports/ into README.md
	python -m pipelines.readme

same: $(VENV)/installed  ## after a refactoring: compare bits with the code of the committed results
	python -m refactoring.same

accept: $(VENV)/installed  ## where `make same` is green: keep the committed results for the new code
	python -m refactoring.accept

browse: publish ui  ## all committed runs and studies in the MLflow UI, without training

publish: $(VENV)/installed  ## everything that was trained to MLflow
	python -m pipelines.publish

ui: $(VENV)/installed  ## the MLflow UI: prints a URL for each of its views
	python -m pipelines.ui

dashboard: $(VENV)/installed  ## a search in Optuna's dashboard, with STUDY=name
	@test -f studies/$(STUDY).journal || { echo "studies/$(STUDY).journal does not exist; run 'dvc repro search@$(STUDY)' first, or name another with STUDY="; exit 1; }
	optuna-dashboard studies/$(STUDY).journal

clean:  ## remove caches of Python and of tools; results, .venv and mlruns stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache dvc_plots
	find src pipelines tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: requirements.lock
	@echo "Installing requirements.lock into $(VENV) (about 2 GB, a few minutes) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with make PYTHON=/path/to/python3 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

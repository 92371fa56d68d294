# Two commands do everything on a fresh machine: `make repro` runs the study, `make test` passes the tests.

PYTHON ?= python3
VENV := .venv
# of the tests: a worker for each core, four at most, each with whole files
WORKERS := --numprocesses logical --maxprocesses 4 --no-loadscope-reorder
# DVC runs commands with it, and an account's own may be one that runs nothing
export SHELL := /bin/sh
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export STUDY
export MLFLOW_DISABLE_TELEMETRY := true

define TELL_UNTRIED
import platform, sys
here = f"Python {sys.version_info.major}.{sys.version_info.minor} on {platform.system()}"
if here not in ("Python 3.11 on Linux", "Python 3.12 on Linux"):
    print(f"Tried with Python 3.11 and 3.12 on Linux. This is {here}: it may work, and `make test` tells.")
endef
export TELL_UNTRIED

.PHONY: help setup demo repro test test-all lint audit readme same accept browse publish ui dashboard docs notebooks clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 16

setup: $(VENV)/installed  ## .venv with all libraries: two minutes

demo: $(VENV)/installed  ## one network that groks, on the screen: half a minute
	grokking run embedding_mlp modulus=59 --name demo

repro: $(VENV)/installed  ## the default study: train, report, publish
	python -m pipelines.check
	python -m pipelines.repro

test: lint  ## lint, types and tests
	pytest $(WORKERS)

test-all: lint  ## the same, with faults at many more writes: an hour
	GROKKING_CHANGES=60 GROKKING_TEST_ALL=1 pytest $(WORKERS)

lint: $(VENV)/installed  ## style and types, without tests
	ruff check .
	ruff format --check .
	mypy

audit: $(VENV)/installed  ## what SECURITY.md promises, checked on this machine
	python -m tools.audit

readme: $(VENV)/installed  ## put tables of reports/ into README.md, outputs of commands into docs
	python -m pipelines.readme

same: $(VENV)/installed  ## after a refactoring: compare bits with the code of the committed results
	python -m refactoring.same

accept: $(VENV)/installed  ## where `make same` is green: keep the committed results for the new code
	python -m refactoring.accept

browse: $(VENV)/installed  ## all committed runs and studies in the MLflow UI, without training
	python -m pipelines.browse

publish: $(VENV)/installed  ## everything that was trained to MLflow
	python -m pipelines.publish

ui: $(VENV)/installed  ## the MLflow UI: prints a URL for each of its views
	python -m pipelines.ui

dashboard: $(VENV)/installed  ## searches of this machine; with STUDY=name one of them in Optuna's dashboard
	python -m pipelines.dashboard $(if $(STUDY),"$$STUDY")

docs: $(VENV)/docs-installed  ## the documentation site, in site/: open site/index.html
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --quiet

notebooks: $(VENV)/docs-installed  ## run the notebooks and keep what they print and draw
	python -m tools.notebooks

clean:  ## remove caches of Python and of tools; results, .venv and mlruns stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache dvc_plots
	find $(wildcard src pipelines tests benchmarks tools refactoring) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: requirements.lock pyproject.toml
	@echo "Installing requirements.lock into $(VENV) (about 2 GB, a few minutes) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with make PYTHON=/path/to/python3 ...")'
	@$(PYTHON) -c "$$TELL_UNTRIED"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@test -e .git || $(VENV)/bin/dvc config --local core.no_scm true  # a copy without git, such as a zip file
	@$(VENV)/bin/python -m tools.site_cache
	@touch $@

$(VENV)/docs-installed: requirements-docs.txt $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --requirement requirements-docs.txt
	@touch $@

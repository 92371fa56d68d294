# Two commands do everything on a fresh machine: `make repro` runs the study, `make test` passes the tests.

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

STUDY ?= quick

.PHONY: repro test same accept publish ui dashboard lint clean

repro: $(VENV)/installed
	dvc repro

test: $(VENV)/installed
	ruff check .
	ruff format --check .
	mypy
	pytest

# after a refactoring: compare with the code of the committed results, bit by bit; accept these results for it
same accept: $(VENV)/installed
	python -m refactoring.$@

publish: $(VENV)/installed
	python -m pipelines.publish

ui: $(VENV)/installed
	python -m pipelines.ui

dashboard: $(VENV)/installed
	@test -f studies/$(STUDY).journal || { echo "studies/$(STUDY).journal does not exist; run 'dvc repro search@$(STUDY)' first, or name another with STUDY="; exit 1; }
	optuna-dashboard studies/$(STUDY).journal

$(VENV)/installed: requirements.lock
	@echo "Installing requirements.lock into $(VENV) (about 2 GB, a few minutes) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with make PYTHON=/path/to/python3 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

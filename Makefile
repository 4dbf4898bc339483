# `make help` lists the targets. Everything runs in .venv, which `make setup` builds from requirements.txt.
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := true
# Threads that wait sleep instead of spinning, for what else runs on the machine.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup repro test test-fast lint check corpus reference splits study studies leaderboard lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## build the virtual environment from requirements.txt

$(VENV)/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed; name one with make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

repro: setup ## run the whole workflow: whatever a change in params.yaml affects, and nothing else
	dvc repro

check: setup ## say whether params.yaml is right
	@python -m medcode check

test: setup ## check style and run all tests
	ruff check
	ruff format --check
	python -m pytest

test-fast: setup ## run the tests that do not run the workflow
	python -m pytest -m "not workflow"

lint: setup ## mend style
	ruff check --fix
	ruff format

corpus: setup ## get an open corpus: make corpus CORPUS=codiesp [FROM=folder or zip]
	@python -m medcode fetch "$(CORPUS)" --to "data/raw/$(CORPUS)" $(if $(FROM),--from "$(FROM)")

reference: setup ## get the official tables of codes: make reference [FROM=folder or zip]
	@python -m medcode fetch reference --to reference/official/files $(if $(FROM),--from "$(FROM)")

splits: setup ## get published splits: make splits NAME=caml FROM=folder
	@python -m medcode splits "$(NAME)" --from "$(FROM)" --to "data/splits-published/$(NAME)"

study: setup ## the table of a paper: make study NAME=mtram-ablation [SEEDS=3] [CORPUS=mimic3] [JOBS=2]
	@python -m medcode study "$(NAME)" $(if $(SEEDS),--seeds "$(SEEDS)") $(if $(CORPUS),--corpus "$(CORPUS)")
ifdef JOBS
	python -m medcode study "$(NAME)" --targets data | xargs -r dvc repro
	python -m medcode study "$(NAME)" --targets runs | xargs -r -n 1 -P "$(JOBS)" dvc --wait-for-lock repro --single-item
endif
	dvc repro --keep-going "studies/$(NAME)/dvc.yaml"

studies: setup ## list the studies, and how far they are
	@python -m medcode study

leaderboard: setup ## write docs/LEADERBOARD.md from all finished studies
	@python -m medcode study --leaderboard docs/LEADERBOARD.md

lock: ## pin requirements.in and all that it needs into requirements.txt
	$(PYTHON) -m venv .lock && .lock/bin/pip install --quiet -r requirements.in
	{ echo '# Everything that requirements.in needs, pinned. Written by `make lock`; change requirements.in instead.'; \
	  .lock/bin/pip freeze --all | grep -v '^pip==' | sed 's/^\(torch==[0-9.]*\)+cpu$$/\1/'; } > requirements.txt
	rm -rf .lock

clean: ## remove checkpoints of trainings that were stopped, logs and temporary files
	rm -rf checkpoints logs .pytest_cache .ruff_cache .hypothesis

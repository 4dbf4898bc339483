# `make help` lists the targets. Everything runs in .venv, which `make setup` builds from requirements.txt.
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := true
# The medcode beside this file, whatever clone an environment that is active was made for.
export PYTHONPATH := $(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH))
# Threads that wait sleep instead of spinning, for what else runs on the machine.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup repro test test-all test-fast test-slow lint types check model predictions corpus reference splits study studies leaderboard crossval lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## build the virtual environment from requirements.txt

$(VENV)/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one with make PYTHON=python3.13" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

repro: setup ## run the whole workflow: whatever a change in params.yaml affects, and nothing else
	dvc --wait-for-lock repro

check: setup ## say whether params.yaml is right
	@python -m medcode check

# Two tests at a time, each on one thread, so that both cores work and no test waits for another's threads.
PYTEST := OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: setup types ## check style and types and run the tests, but for the slow ones
	ruff check
	ruff format --check
	$(PYTEST) -m "not slow"

test-slow: setup ## run the slow tests alone
	$(PYTEST) -m slow

test-all: test test-slow ## run all tests

test-fast: setup ## run the tests that do not run the workflow
	$(PYTEST) -m "not workflow and not slow"

lint: setup ## fix style
	ruff check --fix
	ruff format

types: setup ## check the types of what pyproject.toml lists
	mypy

model: setup ## write the three files of a new model: make model NAME=my_model
	@python -m medcode new-model "$(NAME)"

predictions: setup ## write the codes of dev or test, ranked by score: make predictions SPLIT=test
	@python -m medcode predictions --split "$(or $(SPLIT),test)"

corpus: setup ## get an open corpus: make corpus CORPUS=codiesp [FROM=folder or zip]
	@python -m medcode fetch "$(CORPUS)" --to "data/raw/$(CORPUS)" $(if $(FROM),--from "$(FROM)")

reference: setup ## get the official tables of codes: make reference [FROM=folder or zip]
	@python -m medcode fetch reference --to reference/official/files $(if $(FROM),--from "$(FROM)")

splits: setup ## get published splits: make splits NAME=caml FROM=folder
	@python -m medcode splits "$(NAME)" --from "$(FROM)" --to "data/splits-published/$(NAME)"

study: setup ## a table, of a paper or of models: make study NAME=mtram-ablation [SEEDS=3] [CORPUS=mimic3] [JOBS=2 or RAY=auto]
	@exec python -m medcode study "$(NAME)" --run $(if $(SEEDS),--seeds "$(SEEDS)") $(if $(CORPUS),--corpus "$(CORPUS)") $(if $(JOBS),--jobs "$(JOBS)") $(if $(RAY),--ray "$(RAY)")

studies: setup ## list the studies, and how far they are
	@python -m medcode study

leaderboard: setup ## write docs/LEADERBOARD.md and README's table of models from finished studies
	@python -m medcode study --leaderboard docs/LEADERBOARD.md --readme README.md

crossval: setup ## cross-validate the run of params.yaml over train and dev: make crossval [FOLDS=10] [JOBS=2]
	@exec python -m medcode crossval $(if $(FOLDS),--folds "$(FOLDS)") $(if $(JOBS),--jobs "$(JOBS)")

lock: ## pin requirements.in and all that it needs into requirements.txt
	$(PYTHON) -m venv .lock && .lock/bin/pip install --quiet -r requirements.in
	{ echo '# Everything that requirements.in needs, pinned. Written by `make lock`; change requirements.in instead.'; \
	  .lock/bin/pip freeze --all | grep -v '^pip==' | sed 's/^\(torch==[0-9.]*\)+cpu$$/\1/'; } > requirements.txt
	rm -rf .lock

clean: ## remove checkpoints, logs and temporary files
	rm -rf checkpoints logs .pytest_cache .ruff_cache .mypy_cache .hypothesis

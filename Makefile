# Everything a developer, a continuous integration job or a newcomer does here. A bare `make` prints this help.
# The recipes need Python 3.11 or newer, git and make; all that they install lands in .venv.

SHELL := /bin/sh
.SHELLFLAGS := -euc
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Asked of each candidate, so that a launcher without a Python behind it does not count.
PYTHON_FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for candidate in python3 python3.14 python3.13 python3.12 python3.11 python /usr/bin/python3; do \
	if "$$candidate" -c '$(PYTHON_FITS)' >/dev/null 2>&1; then echo "$$candidate"; break; fi; done)

define NO_PYTHON
Lastmile needs Python 3.11 or newer with the venv and ensurepip modules, and found none on the PATH.
  Debian, Ubuntu:  apt-get install python3 python3-venv
  Elsewhere:       install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11 setup
endef
export NO_PYTHON

.PHONY: help setup up down test soak check bench proto lock release-protos clean

help: ## Print this help
	@echo "Lastmile. Start it with 'make up', test it with 'make test'."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv and install the locked dependencies (every other target does it by itself)

$(READY): requirements/dev.lock pyproject.toml libs/api/lastmile/descriptors.binpb
	@[ -n "$(PYTHON)" ] || { echo "$$NO_PYTHON" >&2; exit 1; }
	@"$(PYTHON)" -c '$(PYTHON_FITS)' >/dev/null 2>&1 || { echo "PYTHON=$(PYTHON) does not fit."; echo "$$NO_PYTHON"; exit 1; } >&2
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "making $(VENV) with $(PYTHON)"; "$(PYTHON)" -m venv --clear $(VENV); }
	@echo "installing requirements/dev.lock into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
		--only-binary :all: --require-hashes --requirement requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
		--no-deps --no-build-isolation --editable .
	@echo "compiling the matching core"
	@$(BIN)/python -m services.assignment.matching.warm
	@touch $(READY)

up: $(READY) ## Start everything on this machine; ARGS="--help" lists what can be chosen
	@$(BIN)/lastmile up $(ARGS)

down: $(READY) ## Stop what `make up` started
	@$(BIN)/lastmile down $(ARGS)

test: $(READY) ## Run every test; ARGS="tests/unit -k lifecycle" runs some
	@$(BIN)/python -m pytest $(ARGS)

soak: $(READY) ## Run the fault tests that can ask for more at full size: 200 kills of a run of 100,000 rows
	@LASTMILE_RECON_KILLS=200 LASTMILE_RECON_ROWS=100000 \
		$(BIN)/python -m pytest tests/faults/test_recon_under_kills.py -o timeout=5400 $(ARGS)

check: $(READY) ## Lint, types, import rules, contracts, stubs, locks and the tidy test; ARGS="ruff mypy" runs some
	@$(BIN)/python scripts/check.py $(ARGS)

bench: $(READY) ## Run one benchmark: NAME=intake; without NAME, list them
	@$(BIN)/python scripts/bench.py $(NAME)

proto: $(READY) ## Generate what is generated: libs/api from protos/, docs/lifecycle.md, docs/asyncapi.json, docs/papers
	@$(BIN)/python scripts/proto.py
	@PYTHONPATH=. $(BIN)/python scripts/lifecycle.py
	@PYTHONPATH=. $(BIN)/python scripts/asyncapi.py
	@$(BIN)/python scripts/papers.py

lock: $(READY) ## Pin the dependencies of pyproject.toml; UPGRADE=1 takes the newest that fit
	@$(BIN)/python scripts/locks.py $(if $(UPGRADE),--upgrade)

release-protos: $(READY) ## Make today's contracts the ones that later changes may not break
	@$(BIN)/buf build protos --exclude-source-info --output protos/released.binpb

clean: ## Remove .venv, build/ and every cache; data in .lastmile/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -not -path './.lastmile/*' -prune -exec rm -rf {} +

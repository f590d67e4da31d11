.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

run: $(VENV)/ready ## Create what is needed and serve http://127.0.0.1:8080
	$(BIN)/entrepot serve

test: $(VENV)/ready ## Everything: the checks, the tests and the real clients
	$(MAKE) --no-print-directory check
	$(BIN)/python -m tests.clients.install
	$(BIN)/python -m pytest tests --junitxml=build/tests.xml -q

check: $(VENV)/ready ## Format, lint, types, import contracts
	$(BIN)/ruff format --check . && $(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: $(VENV)/ready ## The tests that need no foreign client and no network
	$(BIN)/python -m pytest tests -q -m "not client and not public and not browser"

bench: $(VENV)/ready ## Measure beside nginx and the peers; writes bench/RESULTS.md
	$(BIN)/python -m bench

format: $(VENV)/ready ## Put the code into its one form
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

$(VENV)/ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable . --group dev && touch $@

.PHONY: run test check quick bench format help

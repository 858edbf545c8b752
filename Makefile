# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo test quick check fmt bench proto lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/installed ## Install everything into .venv, at locked versions with checked hashes

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install ## Push a million rows and a real table through the service, read the files back
	$(BIN)/sluice demo

test: install ## Run every test
	$(PYTEST) -n 2 --dist worksteal -m "not serial"
	$(PYTEST) -m serial

quick: install ## Run the tests that take milliseconds
	$(PYTEST) -n 2 -m "not slow and not serial" tests/unit tests/contracts tests/properties

check: install ## Lint, types, import rules, stubs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python infra/gen_proto.py --check
	$(BIN)/python infra/gen_error_docs.py --check

fmt: install ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## Measure ourselves beside others; see tests/bench/README.md
	$(BIN)/python -m tests.bench

proto: install ## Generate the stubs from layers/sluice/proto
	$(BIN)/python infra/gen_proto.py

lock: ## Resolve the dependencies again (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra dev --override infra/lock-overrides.txt pyproject.toml -o requirements.lock

clean: ## Remove what was built
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis demo-output

# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The order of tests is another for each committed tree, and the same whenever that tree is tested again.
ORDER := $(shell printf '%d' 0x$$(git rev-parse --short=7 HEAD^{tree} 2>/dev/null || echo 1))
PYTEST := $(BIN)/python -m pytest --randomly-seed=$(ORDER)

# The API's tests once more, over the cloud's adapters and the stand-ins of its services.
OVER_THE_CLOUD := $(addprefix tests/e2e/test_, every_error_code.py http_bad_inputs.py http_stream.py http_files.py grpc_unary.py grpc_stream.py)

# Python and pytest keep what they compiled, here too where the machine says not to: tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install demo cloud-demo layers s test php-versions more-languages all-faults tools quick coverage check fmt bench soak mutants proto lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/installed ## Install everything into .venv, at locked versions with checked hashes

$(VENV)/installed: requirements.lock pyproject.toml
	@echo "Installing the locked packages into $(VENV); the first time takes a minute or two."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install ## Push a million rows and a real table through the service, read the files back
	$(BIN)/sluice demo

cloud-demo: install ## The same on Alibaba Cloud's services as stand-ins: real SDKs, built layers, faults
	$(BIN)/python -m infra.local.demo

layers: install ## Build the layers of the deployed functions into build/layers
	$(BIN)/python -m infra.build_layers

s: install ## Install the deployment tool `s` of Serverless Devs (needs npm)
	npm ci --prefix infra/serverless_devs --no-audit --no-fund

# Five workers on two cores: half of the time goes to waiting for processes that the tests start.
test: install ## Run every test; as root with apt-get, also install the programs that some of them run
	@$(BIN)/python -m tests.support.programs --install
	$(PYTEST) -n 5 --dist worksteal
	SLUICE_TEST_STORES=cloud $(PYTEST) -n 4 --dist worksteal $(OVER_THE_CLOUD)
	@$(BIN)/python -m tests.support.programs --left-out

php-versions: install ## Run the PHP client on PHP 7.4 to 8.5 as WebAssembly (needs Node.js; npm installs half a gigabyte)
	$(PYTEST) -n 2 --php_versions -m php_versions tests/senders/test_php_versions.py

more-languages: install ## Run the clients of JavaScript, Java and Go (as root with apt-get, installs their toolchains)
	@$(BIN)/python -m tests.support.programs --install --all
	$(PYTEST) -n 2 --dist worksteal --more_languages -m more_languages tests/senders

all-faults: install ## Run every fault and pair of faults, of which `make test` takes a part, and more random schedules
	SLUICE_SIM_RUNS=400 $(PYTEST) -n 2 --dist worksteal tests/faults/test_single_faults.py tests/faults/test_fault_pairs.py tests/faults/test_random_schedules.py

tools: install ## Test the tools beside the product: deployment by the real `s` (needs npm), `make bench`, `make mutants`
	@$(BIN)/python -m tests.support.programs --install
	$(PYTEST) -n 3 --dist worksteal --tools -m tools tests/deploy tests/e2e/test_bench_sections.py tests/unit/test_mutation.py

quick: install ## Run the tests that take milliseconds
	$(PYTEST) -n 3 --dist worksteal -m "not slow and not memory" tests/unit tests/contracts tests/properties

# Processes that tests start are not measured. 80 % is what was asked for.
coverage: install ## Measure which lines of the package the tests run that take no seconds each
	$(PYTEST) -n 3 --dist worksteal -m "not slow and not memory" --cov --cov-report=term --cov-fail-under=80

check: install ## Lint, types, import rules, stubs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python infra/gen_proto.py --check
	$(BIN)/python infra/gen_error_docs.py --check
	$(BIN)/python infra/gen_option_docs.py --check
	$(BIN)/python -m infra.serverless_devs.checks
	$(BIN)/python -m infra.provision check

fmt: install ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install build/bench/installed ## Measure ourselves beside others; see tests/bench/README.md
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY)) $(if $(RECORD),--record)

mutants: install ## Change the core at random places and count the changes that no test notices; COUNT=300 SEED=1 AGAIN=1
	$(BIN)/python -m tests.mutation $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(if $(AGAIN),--again)

# What only the benchmarks need; the rest comes from .venv, which stays as its lock says.
build/bench/installed: tests/bench/requirements.lock $(VENV)/installed
	@echo "Installing the rivals and the drawing library into build/bench/packages."
	rm -rf build/bench/packages
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --target build/bench/packages -r tests/bench/requirements.lock
	@touch $@

soak: install $(if $(RECORD),build/bench/installed) ## Send exports for MINUTES (60) and see that the service's memory stays flat
	$(BIN)/python -m tests.bench.soak --minutes $(or $(MINUTES),60) $(if $(RECORD),--record)

proto: install ## Generate the stubs from layers/sluice/proto
	$(BIN)/python infra/gen_proto.py
	if command -v protoc; then $(BIN)/python infra/gen_php_messages.py; fi

# What the benchmarks need too and find in .venv.
IN_VENV := numpy packaging tzdata certifi charset-normalizer click idna markdown-it-py mdurl pluggy pygments pyyaml requests rich setuptools tomlkit typing-extensions urllib3

lock: ## Resolve the dependencies again (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra dev --override infra/lock-overrides.txt pyproject.toml -o requirements.lock
	uv pip compile --python-version 3.12 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url --no-annotate -c requirements.lock --override layers/deps/left-out.txt layers/deps/requirements.in -o layers/deps/requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate -c requirements.lock $(foreach one,$(IN_VENV),--no-emit-package $(one)) tests/bench/requirements.in -o tests/bench/requirements.lock

clean: ## Remove what was built
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis demo-output cloud-demo-output

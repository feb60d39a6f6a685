# Every target does its own set-up from a bare clone: a virtual environment in .venv, with everything installed into it.

# The newest Python that the wheels of the embedded Redis exist for; `make PYTHON=/path/to/python …` takes another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
	then echo $$python; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
# Libraries that cannot be installed together have an environment each.
COEXIST := coexist coexist-older coexist-redis-om
GENERATED := examples/classifiers/redis_vector_index
# A worker for each core, with a server of its own. One server for all, in VECMIGRATE_TEST_REDIS_URL, allows one worker.
PARALLEL := $(if $(VECMIGRATE_TEST_REDIS_URL),,-n auto --dist worksteal)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Tests must not see a virtual environment or a server that the caller happens to have.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help demo tour test lint pytest reliability bench generate test-containers coexist clean

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Migrate a legacy deployment before your eyes, on an embedded Redis
	$(BIN)/python examples/demo.py

tour: $(VENV)/.installed ## Change an index in production: spec, review, migration, upgrade under load, rollback
	$(BIN)/python examples/tour.py

test: lint pytest ## Everything that needs no container: style, types, layers, generated code, tests

lint: $(VENV)/.installed ## ruff, mypy --strict, the layers of the design, specs against migrations and generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict vecmigrate $(GENERATED)
	$(BIN)/lint-imports --no-cache
	$(BIN)/vecmigrate check

pytest: $(VENV)/.installed ## Unit, integration and crash tests, on an embedded Redis
	$(BIN)/python -m pytest -m "not container and not coexist" $(PARALLEL)

test-containers: $(VENV)/.installed ## The integration tests and fault tests against Redis in containers
	$(BIN)/python -m tests.containers.run

reliability: $(VENV)/.installed ## Bring about each fault of docs/reliability.md a few times (FAULTS="--full --markdown": as published)
	$(BIN)/python -m tests.reliability $(FAULTS)

coexist: $(COEXIST:%=.venv-%/.installed) ## RedisVL, LangChain, LlamaIndex and Redis OM beside vecmigrate, on an embedded Redis
	for extra in $(COEXIST); do .venv-$$extra/bin/python -m pytest -m coexist tests/coexist || exit 1; done

bench: $(VENV)/.installed ## Measure backfill, search and start-up against other ways to do it
	$(BIN)/python -m benchmarks

generate: $(VENV)/.installed ## Write the helpers that the specs describe
	$(BIN)/vecmigrate generate

clean: ## Remove the virtual environment, caches and build results
	rm -rf $(VENV) $(COEXIST:%=.venv-%) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "no virtual environment could be made (on Debian: apt-get install python3-venv)" >&2; exit 1; }

.venv-%/.installed: pyproject.toml | $(VENV)/bin/python
	test -x $(@D)/bin/python || $(VENV)/bin/python -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[dev]'
	touch $@

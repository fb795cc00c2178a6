.DEFAULT_GOAL := help
.PHONY: help setup demo test contract faults lint types bench clean lock

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

help: ## What there is to do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## The virtual environment, from the hashed lock file

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}; say make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements-setup.lock
	@echo "Installing about 190 packages (15 s to 2 minutes) ..."
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## The main job on real events, then serve until Ctrl-C (ARGS="--exit --json")
	@$(BIN)/lah demo $(ARGS)

test: setup ## All tests, on a real PostgreSQL, a real broker and a real Dagster
ifeq ($(strip $(ARGS)),)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/main_job
	@$(BIN)/python -m pytest tests/main_job  # whole hubs, which want both cores and the usual ports: one by one
else
	@$(BIN)/python -m pytest $(ARGS)
endif

contract: setup ## The running API against its document, every phase of schemathesis (ARGS="--max-examples 20")
	@$(BIN)/python tests/api/contract.py $(ARGS)

faults: setup ## Landing killed, frozen, filled and locked, 200 times (ARGS="--seed 7")
	@$(BIN)/python -m tests.faults $(ARGS)

lint: setup ## ruff: style, and the walls between the rooms
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup ## mypy --strict
	@$(BIN)/mypy

bench: setup ## Every benchmark, quick form
	@for b in landing landing_alternatives freshness live serving backfill_year rollups anomalies forecasts; do $(BIN)/python -m benchmarks.$$b --quick --json; done

lock: ## Renew both lock files from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --upgrade --generate-hashes --no-header --no-annotate --quiet --output-file requirements.lock
	@echo uv | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --output-file requirements-setup.lock
	@printf 'quixstreams[postgresql]\npathway\npgpq\nadbc-driver-postgresql\nchdb\nduckdb\nadtk\npyod\nstumpy\nstatsforecast\nprophet\n' | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --output-file benchmarks/peers.lock

clean: ## Stop what runs here, remove the environment, data and caches
	@if [ -x $(BIN)/lah ]; then $(BIN)/lah down --quiet --remove-data; fi
	@rm -rf .venv .venv-peers .lah .pytest_cache .hypothesis .mypy_cache .ruff_cache dbt/target dbt/logs

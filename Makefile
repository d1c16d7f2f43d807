# make help lists what can be done here.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/installed  ## Install, migrate and serve on http://127.0.0.1:8000
	@exec $(BIN)/python app.py

demo: .venv/installed  ## Serve made-up devices from a temporary folder, until Ctrl+C
	@exec $(BIN)/python -m apidevices demo

test: .venv/installed-dev  ## Run all tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 $(ARGS)

torture: .venv/installed-dev  ## Kill server and database under load, for half an hour
	$(BIN)/python -m pytest --hypothesis-profile=torture tests/test_history_replay.py
	$(BIN)/python -m tests.torture $(ARGS)

bench: .venv/installed-bench  ## Measure what it costs; ARGS='1 2 --quick' for some of it
	@exec $(BIN)/python -m benchmarks $(ARGS)

screenshots: .venv/installed-dev  ## Take the README's pictures of the demo
	@exec $(BIN)/python -m harness.screenshots

lint: .venv/installed-dev  ## Check style, types and templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/djlint --check --quiet templates
	$(BIN)/djlint --lint --quiet templates

format: .venv/installed-dev  ## Bring code and templates into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djlint --reformat --quiet templates

clean:  ## Remove what was installed and built; data stays
	rm -rf .venv dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv

# The versions that were tested together; pyproject.toml says which others are thought to do.
.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[standalone,postgresql]'
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "Installing what the tests and checks need, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[standalone,postgresql,dev]'
	@touch $@

.venv/installed-bench: .venv/installed-dev
	@echo "Installing what the benchmarks compare with, once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[standalone,postgresql,bench]'
	@touch $@

.PHONY: help run demo test torture bench screenshots lint format clean

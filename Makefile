# "make help" lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Tests often wait for servers, so run two processes more than there are cores.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/installed  ## Install, migrate and serve on http://127.0.0.1:8000
	@exec $(BIN)/python app.py

demo: .venv/installed  ## Run a demo with simulated devices until Ctrl+C
	@exec $(BIN)/python -m apidevices demo

test: .venv/installed-dev  ## Run all tests
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 $(ARGS)

torture: .venv/installed-dev  ## Kill the server and database under load for half an hour
	$(BIN)/python -m pytest --hypothesis-profile=torture tests/test_history_replay.py
	$(BIN)/python -m tests.torture.merges
	$(BIN)/python -m tests.torture $(ARGS)

hostile: .venv/installed-hostile  ## Attack the server for a quarter of an hour, or in parts: ARGS='shapes floods'
	@exec $(BIN)/python -m tests.hostile $(ARGS)

bench: .venv/installed-bench  ## Run all benchmarks, or some parts: ARGS='gate lists --quick'
	@exec $(BIN)/python -m benchmarks $(ARGS)

screenshots: .venv/installed-dev  ## Take the screenshots in the README, or of every page: ARGS=FOLDER
	@exec $(BIN)/python -m harness.screenshots $(ARGS)

lighthouse: .venv/installed-dev  ## Measure pages with Lighthouse
	@exec $(BIN)/python -m harness.lighthouse

lint: .venv/installed-dev  ## Check style, types, imports and templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/djlint --check --quiet templates
	$(BIN)/djlint --lint --quiet templates

format: .venv/installed-dev  ## Format code and templates
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djlint --reformat --quiet templates

clean:  ## Delete installed and built files, and keep data
	rm -rf .venv dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is required, but this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .venv

# constraints.txt pins the tested versions; pyproject.toml has the supported ranges.
.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing dependencies into .venv (first run only)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[standalone,postgresql]'
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "Installing development dependencies (first run only)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[standalone,postgresql,dev]'
	@touch $@

.venv/installed-bench: .venv/installed-dev
	@echo "Installing benchmark dependencies (first run only)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[standalone,postgresql,bench]'
	@touch $@

# Scanners pin versions that conflict with ours. Without them, their parts are skipped.
.venv/installed-hostile: .venv/installed-dev tests/hostile/tools.txt
	@echo "Installing scanners into .venv/hostile (first run only)"
	@$(PYTHON) -m venv .venv/hostile
	@.venv/hostile/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/hostile/tools.txt || echo "The scanners can't be installed. Their parts are skipped."
	@touch $@

.PHONY: help run demo test torture hostile bench screenshots lighthouse lint format clean

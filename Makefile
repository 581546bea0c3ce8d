# Everything sets itself up: the virtual environment, its packages, and what Debian has to bring.
# `make demo` and `make test` are all a newcomer needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
WORKERS ?= 2

.PHONY: demo test slow check lint types layers format docs bench lock clean

demo: $(VENV)/.demo
	$(BIN)/bon ask "Why is the sky blue? Answer in two sentences." -n 8 --max-tokens 128 \
		--scorer selfcertainty --scorer heuristic --by selfcertainty
	$(BIN)/python examples/gain.py

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow" --cov --cov-report=term:skip-covered

# Sandboxes count what they leave behind on the machine, so they are tested with nothing beside them.
SANDBOXED := tests/sandbox tests/score/code

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m slow $(SANDBOXED:%=--ignore=%)
	$(BIN)/python -m pytest -m slow $(SANDBOXED)

check: lint types layers test

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/mypy tests/typing

layers: $(VENV)/.dev
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev
	for page in docs/cli.md docs/api.md ARCHITECTURE.md; do \
		$(BIN)/python scripts/reference.py $$(basename $$page) > $$page.new && mv $$page.new $$page || exit 1; \
	done

bench: $(VENV)/.dev
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

lock: $(VENV)/.dev
	$(BIN)/python scripts/lock.py > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) .coverage .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "bon needs Python 3.11 or later; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[local,fast]'
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt packages.apt
	sh scripts/debian.sh
	$(PIP) --editable '.[dev]'
	touch $@

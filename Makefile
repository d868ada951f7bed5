# make demo: the main job on a small real sample, results in build/demo/
# make test: lint, types and tests
# Both make their own virtual environment, .venv, from the pinned versions in constraints.txt.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-slow docs lint setup clean

demo: setup
	$(BIN)/omnifold-pub demo

test: setup lint
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# Pseudo-experiments, tutorials, and the closure of the demo (which takes up what make demo left).
test-slow: setup
	$(BIN)/python -m pytest -m slow --numprocesses 2 --dist worksteal

# The documentation, with the tutorials run: build/docs/index.html
docs: setup
	$(BIN)/sphinx-build -W --keep-going -n docs build/docs

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "installing into $(VENV), once (some minutes, mostly PyTorch) ..."
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt editables hatchling setuptools
	$(PIP) install --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

clean:
	rm -rf build dist $(VENV)

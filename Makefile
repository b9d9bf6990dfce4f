# `make train` and `make test` need Python 3.11 to 3.13 and nothing else; PYTHON=python3.12 chooses one.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# What must hold on every backend of Keras.
BACKEND_TESTS = tests/attention tests/layers tests/applications/test_training_step.py \
  tests/training/test_checkpoints.py tests/training/test_precision.py tests/training/test_resume.py
# And what is slow there, beside the tests that start programs on JAX themselves.
SLOW_BACKEND_TESTS = tests/training --deselect tests/training/test_distribution.py
# XLA's optimizations are not what is tested, and compiling with them takes twice as long.
JAX = KERAS_BACKEND=jax JAX_DISABLE_MOST_OPTIMIZATIONS=1
# What pip is to install for test-torch. Linux's default wheel brings CUDA along;
# TORCH="--index-url=https://download.pytorch.org/whl/cpu torch" does not.
TORCH ?= torch

.PHONY: train test test-slow test-torch torch lint clean

train: $(VENV)/installed
	$(BIN)/python train.py

test: lint
	$(BIN)/python -m pytest -n 2 -m "not slow"
	$(JAX) $(BIN)/python -m pytest -n 2 -m "not slow" $(BACKEND_TESTS)

torch: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)

test-torch: torch
	KERAS_BACKEND=torch $(BIN)/python -m pytest -n 2 -m "not slow" $(BACKEND_TESTS)

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 -m slow
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 $(SLOW_BACKEND_TESTS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/installed: requirements.txt pyproject.toml
	@echo "Installing requirements.txt into $(VENV); this takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache build *.egg-info

# `make train` and `make test` need Python 3.11 to 3.13 and nothing else; PYTHON=python3.12 chooses one.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Processes that run tests, each of which takes up to 4 GB: `make test WORKERS=8` on a larger machine.
WORKERS ?= 2

# What pip installs for test-torch. Linux's default wheel includes CUDA;
# TORCH="--index-url=https://download.pytorch.org/whl/cpu torch" does not.
TORCH ?= torch

.PHONY: help train test test-slow test-tenth test-torch test-beam test-timm test-browser torch beam lint tables stubs docs clean

help:  # this list
	@grep -E "^[a-z-]+:.*  #" Makefile | sed -E "s/^([a-z-]+):.*  # /\1	/" | expand -t 14

train: $(VENV)/installed  # the environment, and a network trained on the digits, into runs/digits
	$(BIN)/python train.py

test: lint  # the environment, style and types, the site, and the tests on TensorFlow and JAX: eight minutes
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not browser"
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n $(WORKERS) -m "backend and not slow"

torch: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)

test-torch: torch  # the tests that must pass on every backend, on PyTorch
	KERAS_BACKEND=torch $(BIN)/python -m pytest -n $(WORKERS) -m "backend and not slow"

# Not in the environment from the start, since it needs an older protobuf.
beam: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[beam]"

test-beam: beam  # predicting with Apache Beam
	$(BIN)/python -m pytest tests/commands/test_predict_on_beam.py

test-timm: torch  # converted networks compared with timm's own
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "timm>=1,<2" --no-deps
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torchvision --no-deps
	$(BIN)/python benchmarks/timm_parity.py

test-browser: $(VENV)/installed  # the pages in Chromium, with the system packages chromium and chromium-driver
	$(BIN)/python -m pytest -m browser tests/browser

test-slow: $(VENV)/installed  # the slow tests
	$(BIN)/python -m pytest -n $(WORKERS) -m slow
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n $(WORKERS) -m "jax or (backend and slow)"

TENTH ?= 0
test-tenth: $(VENV)/installed  # a tenth of the slow tests on TensorFlow, with TENTH=3 another one
	$(BIN)/python -m pytest -n $(WORKERS) -m slow --tenth=$(TENTH)

lint: $(VENV)/installed  # style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tables: $(VENV)/installed  # the tables in README.md and docs/, every network built and counted
	$(BIN)/python benchmarks/doc_tables.py --count

stubs: $(VENV)/installed  # applications/__init__.pyi, the builders' signatures for editors
	$(BIN)/python docs/write_stubs.py

# Without --quiet, which would hide warnings from --strict.
docs: $(VENV)/installed  # the documentation as a site in build/site, and the notebooks, docs/*.ipynb
	$(BIN)/jupytext --quiet --to ipynb docs/tutorial.py docs/finetuning.py
	NO_MKDOCS_2_WARNING=1 TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/mkdocs build --strict
	@echo "Built build/site; $(BIN)/python -m http.server --directory build/site shows it on http://localhost:8000"

$(VENV)/installed: requirements.txt pyproject.toml
	@echo "Installing requirements.txt into $(VENV); this takes a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -e ".[demo,detection,docs,litert,onnx,timm,test]"
	touch $@

clean:  # removes everything that was made, except runs
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info

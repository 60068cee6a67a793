# Set-up and checks. `make demo`, `make test`, `make check`; RATINGS= and MOVIES= give the demo a file of your own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
COMPILE := $(BIN)/pip-compile --quiet --unsafe-package reelstream --generate-hashes --no-emit-index-url \
  --no-emit-trusted-host --no-emit-find-links --no-emit-options --strip-extras
REELSTREAM_WAREHOUSE ?= demo-warehouse
export REELSTREAM_WAREHOUSE
.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lock clean

help:
	@echo "make demo   set up, then run all of it on real ratings   [RATINGS=ratings.csv] [MOVIES=movies.csv]"
	@echo "make test   set up, then run every test"
	@echo "make check  format, lint, types, then make test"
	@echo "make setup  the set-up alone: $(VENV) with pinned packages, and the Kafka jars"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements/dev.txt pyproject.toml setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh setup.sh
	@touch $@

demo: setup
	@$(BIN)/reelstream demo $(if $(RATINGS),--ratings "$(RATINGS)") $(if $(MOVIES),--movies "$(MOVIES)")

test: setup
	@env -u REELSTREAM_WAREHOUSE $(BIN)/python -m pytest

check: setup
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(MAKE) --no-print-directory test

format: setup
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock:
	$(COMPILE) --extra dev --extra demo --extra test --output-file requirements/dev.txt pyproject.toml
	$(COMPILE) --constraint requirements/dev.txt --output-file requirements/run.txt pyproject.toml

clean:
	rm -rf $(VENV) build *.egg-info demo-warehouse

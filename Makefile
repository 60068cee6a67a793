# Set-up and checks. `make demo`, `make test`, `make check`; RATINGS= and MOVIES= give the demo a file of your own.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --system-certs
TEST_WORKERS ?= 3
REELSTREAM_WAREHOUSE ?= demo-warehouse
export REELSTREAM_WAREHOUSE
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long check check-long format lock clean

help:
	@echo "make demo   set up, then run all of it on real ratings   [RATINGS=ratings.csv] [MOVIES=movies.csv]"
	@echo "make test   set up, then run every test"
	@echo "make test-long  the same with ten times as many examples of each property"
	@echo "make check  format, lint, types, then make test"
	@echo "make setup  the set-up of make demo alone: $(VENV) with pinned packages, a Java, and the Kafka jars"
	@echo "make check-long  make demo and make test on a bare Debian, as root and as a user; needs root and debootstrap"

setup: $(VENV)/.demo-ready

$(VENV)/.demo-ready: requirements/demo.txt requirements/bootstrap.txt pyproject.toml
	@$(call set-up,demo)

$(VENV)/.test-ready: requirements/dev.txt requirements/bootstrap.txt pyproject.toml
	@$(call set-up,test)
	@touch $(VENV)/.demo-ready

define set-up
command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "reelstream: there is no $(PYTHON); install Python 3.11 or newer, or run make PYTHON=/path/to/python3." >&2; exit 4; }; \
"$(PYTHON)" tools/set_up.py $(1) "$(VENV)" && touch "$(VENV)/.$(1)-ready"
endef

demo: setup
	@$(BIN)/reelstream demo $(if $(RATINGS),--ratings "$(RATINGS)") $(if $(MOVIES),--movies "$(MOVIES)")

test: $(VENV)/spark-classes.jsa
	@$(call pytest,short)

test-long: $(VENV)/spark-classes.jsa
	@$(call pytest,long)

# A hundred JVMs of Spark start in the tests; each takes half the time with its classes archived.
$(VENV)/spark-classes.jsa: $(VENV)/.test-ready
	@echo "archiving the classes that Spark loads, once …" >&2
	@$(BIN)/python -m tests.fixtures.class_archive

# A file's tests stay together, in the order of the files; each worker has a broker and a Spark session of its own.
define pytest
env -u REELSTREAM_WAREHOUSE $(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder \
  --durations 20 --hypothesis-profile $(1)
endef

check: $(VENV)/.test-ready
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(MAKE) --no-print-directory test

check-long:
	@sh tests/bare_machine.sh

format: $(VENV)/.test-ready
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: $(VENV)/.test-ready
	$(COMPILE) --extra dev --extra demo --extra test --output-file requirements/dev.txt pyproject.toml
	$(COMPILE) --constraint requirements/dev.txt --extra demo --output-file requirements/demo.txt pyproject.toml
	$(COMPILE) --constraint requirements/dev.txt --extra all --output-file requirements/run.txt pyproject.toml
	$(COMPILE) --constraint requirements/dev.txt --output-file requirements/bootstrap.txt requirements/bootstrap.in
	$(BIN)/python -m requirements.lock_jars

clean:
	rm -rf $(VENV) build *.egg-info demo-warehouse

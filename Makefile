# The words of the project: `make demo` shows it, `make test` tests it, `make check` is the gate.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-kafka demo-chaos test check docs lock clean

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

venv: $(VENV)/.dev  ## make .venv with eventhub and everything that the gate needs

# What runs the demo: eventhub itself, at the versions the gate has seen.
$(VENV)/.runtime: pyproject.toml requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --constraint requirements-dev.txt --editable '.[sqlite]'
	@touch $@

$(VENV)/.dev: pyproject.toml requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --requirement requirements-dev.txt --editable .
	@touch $(VENV)/.runtime $@

demo: $(VENV)/.runtime  ## run the three example services in one process, in memory
	$(BIN)/python -m examples

demo-kafka: $(VENV)/.dev  ## run them as three processes on a real Apache Kafka
	$(BIN)/python -m examples --kafka

demo-chaos: $(VENV)/.dev  ## run them on a real Kafka and PostgreSQL while each is killed at random
	$(BIN)/python -m examples --chaos

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m nox --session tests

check: $(VENV)/.dev  ## run the gate: lint, types, layers, docs, tests
	$(BIN)/python -m nox

docs: $(VENV)/.dev  ## build the documentation into site/
	$(BIN)/python -m nox --session docs

lock:  ## resolve the development tools anew and pin what was found
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade pip
	build/lock/bin/python -m pip install --quiet --group dev --editable '.[postgres,protobuf,sqlalchemy,sqlite,testing]'
	{ echo '# Every package of the development environment, pinned by `make lock`.'; \
	  build/lock/bin/python -m pip freeze --exclude-editable; } > requirements-dev.txt

clean:  ## remove what the other words made
	rm -rf $(VENV) build dist site .cache .coverage .hypothesis .import_linter_cache .mypy_cache .nox .pytest_cache .ruff_cache

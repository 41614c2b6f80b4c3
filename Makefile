# `make demo` and `make test` do all set-up themselves: a virtual environment, then what the local control plane needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
RESULTS := build/tests
STEP = @printf '\n== %s\n'

.DEFAULT_GOAL := help
.PHONY: help venv build demo test lint unit e2e bench-judge generate clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## the virtual environment, from the lock file

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1 || echo missing); this needs Python 3.11 or newer:" \
	    "install one, or name it, as in: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(STEP) "virtual environment in $(VENV), with every package pinned by hash"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

build: $(STAMP) ## the programs of the local control plane, once per machine
	$(STEP) "programs of the local control plane, those that are missing"
	@$(BIN)/python -m e2e.build

demo: build ## the whole thing on real parts, in about five minutes; KEEP=1 leaves it up
	$(STEP) "demo"
	@$(BIN)/python -m e2e.demo

test: lint unit e2e ## everything that must hold before a change is merged
	$(STEP) "all tests together"
	@$(BIN)/python -m tests.total $(RESULTS)/unit.xml $(RESULTS)/e2e.xml

lint: $(STAMP) ## ruff, mypy --strict, import contracts
	$(STEP) "ruff"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(STEP) "mypy"
	@$(BIN)/mypy
	$(STEP) "import contracts"
	@$(BIN)/lint-imports

unit: $(STAMP) ## pure code, property tests
	$(STEP) "unit and property tests"
	@$(BIN)/pytest tests -n 2 --junit-xml=$(RESULTS)/unit.xml

e2e: build ## against the local control plane
	$(STEP) "end-to-end tests on the local control plane"
	@mkdir -p $(RESULTS)
	@$(BIN)/python -m e2e.runs $(RESULTS)/e2e.xml

bench-judge: $(STAMP) ## the judge beside its peers' rules, by simulation; RUNS=500 takes hours, QUICK=1 minutes
	$(STEP) "the judge and its peers on the same data"
	@$(BIN)/python -m tests.perf.bench_judge --runs $(or $(RUNS),500) $(if $(QUICK),--quick)

generate: $(STAMP) ## crds/ and deploy/admission.yaml from the code, the attack table in docs/ from its data
	$(BIN)/rollwarden crds --dir crds
	$(BIN)/python -m rollwarden.admission > deploy/.admission.yaml && mv deploy/.admission.yaml deploy/admission.yaml
	$(BIN)/python -m e2e.attacks

clean: ## what was generated here; the built programs stay in the user cache
	rm -rf build dist $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

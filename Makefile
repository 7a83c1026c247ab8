# What a person types. CI calls these targets and nothing else.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN_DONE := $(VENV)/.run-installed
DEV_DONE := $(VENV)/.dev-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo up test check bench fmt lint types walls schemas migrate lock clean

help: ## Show this help
	@echo "billfleet: billing work done exactly once in effect. Type one of:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(RUN_DONE): requirements/run.lock pyproject.toml contracts/pyproject.toml producers/pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes --only-binary :all: --no-binary font-roboto -r requirements/run.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e ./contracts -e ./producers -e .
	@touch $@

$(DEV_DONE): requirements/dev.lock $(RUN_DONE)
	$(PIP) install --quiet --require-hashes -r requirements/dev.lock
	@touch $@

demo: $(RUN_DONE) ## Watch accounts being rebilled on an embedded PostgreSQL and AWS endpoint
	$(BIN)/billfleet demo

up: $(RUN_DONE) ## Run the embedded stack and the whole fleet until Ctrl-C
	$(BIN)/billfleet up

test: $(DEV_DONE) ## Run every test
	$(BIN)/python -m pytest -n auto --dist loadgroup

.PHONY: dashboards
dashboards: $(DEV_DONE) ## Write the dashboards of Grafana and CloudWatch
	$(BIN)/python -m billfleet_ops.dashboards

CHROMIUM ?= /usr/bin/chromium
.PHONY: browser
browser: $(DEV_DONE) ## Click through the console in Chromium (CHROMIUM=/usr/bin/chromium)
	BILLFLEET_BROWSER=$(CHROMIUM) $(BIN)/python -m pytest tests/browser

check: fmt-check lint types walls schemas-check templates-check test ## All that CI asks: format, lint, types, walls, schemas, tests

SEEDS ?= 1000
.PHONY: sim sim-mutants
sim: $(DEV_DONE) ## Run the fleet in SEEDS simulated worlds (make sim SEEDS=10000)
	PYTHONPATH=tests $(BIN)/python -m simulation --seeds $(SEEDS)

sim-mutants: $(DEV_DONE) ## Plant bugs in the runtime: the simulation must find each
	PYTHONPATH=tests $(BIN)/python -m simulation --mutants --seeds 1000

bench: $(DEV_DONE) ## Measure rebilling beside the pure-SQL limit
	$(BIN)/python bench/rebill.py

.PHONY: bench-consume bench-produce bench-footprint
bench-consume: $(DEV_DONE) ## Measure a message's cost beside other SQS consumers
	$(BIN)/python bench/consume.py --save

.PHONY: bench-where
bench-where: $(DEV_DONE) ## Show where the CPU of a message goes (needs the right to trace)
	$(BIN)/python bench/where.py

bench-footprint: $(DEV_DONE) ## Measure a worker's memory and its time to start
	$(BIN)/python bench/footprint.py

.PHONY: bench-analytics
bench-analytics: $(DEV_DONE) ## Measure counting events beside a plain COPY, and check the count
	$(BIN)/python bench/analytics.py --events 200000

bench-produce: $(DEV_DONE) ## Measure sending beside other SQS producers
	$(BIN)/python bench/produce.py --save

.PHONY: bench-console bench-long-dlq bench-replay-killed
bench-console: $(DEV_DONE) ## Measure the console's first paint with 50 queues and 100,000 messages
	BILLFLEET_BROWSER=$(CHROMIUM) $(BIN)/python bench/console.py

bench-long-dlq: $(DEV_DONE) ## Look into, plan and replay 100,000 dead letters
	$(BIN)/python bench/long_dlq.py

bench-replay-killed: $(DEV_DONE) ## Kill a replay of 10,000 messages five times: each arrives once
	BILLFLEET_REPLAY_MESSAGES=10000 $(BIN)/python -m pytest tests/acceptance/test_replay_killed.py

fmt: $(DEV_DONE) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --select I .

.PHONY: fmt-check schemas-check
fmt-check: $(DEV_DONE)
	$(BIN)/ruff format --check .

lint: $(DEV_DONE) ## Lint the code and the CloudFormation templates
	$(BIN)/ruff check .
	$(BIN)/cfn-lint ops/aws/*.yaml

types: $(DEV_DONE) ## Type-check everything, strictly
	$(BIN)/mypy

walls: $(DEV_DONE) ## Check the walls between the rooms
	$(BIN)/lint-imports

schemas: $(DEV_DONE) ## Write the JSON Schemas, the AsyncAPI and the OpenAPI document
	$(BIN)/python -m billfleet_contracts.schemas
	$(BIN)/python -m billfleet_gateway.openapi_file

schemas-check: $(DEV_DONE)
	$(BIN)/python -m billfleet_contracts.schemas --check
	$(BIN)/python -m billfleet_gateway.openapi_file --check

.PHONY: templates templates-check
templates: $(DEV_DONE) ## Write the CloudFormation templates that follow from the catalogue
	$(BIN)/python -m billfleet_ops.aws_templates

templates-check: $(DEV_DONE)
	$(BIN)/python -m billfleet_ops.aws_templates --check

migrate: $(RUN_DONE) ## Bring the database at MIGRATION_DATABASE_URL (or DATABASE_URL) to this version
	$(BIN)/billfleet migrate

lock: $(BIN)/python ## Pin the newest allowed versions again, with hashes
	$(PIP) install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header requirements/run.in -o requirements/run.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header requirements/dev.in -o requirements/dev.lock

clean: ## Remove the virtual environment and the state of the embedded stack
	rm -rf $(VENV) .billfleet .mypy_cache .ruff_cache .pytest_cache
